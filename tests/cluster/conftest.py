"""A PostgreSQL of the tests' own, with a fresh database for each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from streamguard.cluster.leases import LeaseTerms
from streamguard.cluster.store import LeaseStore
from tests.alerts.conftest import postgres_server

__all__ = ["postgres_server"]
QUICK = LeaseTerms(beat=0.2, lost=1.0, plan=0.1, gather=0.3, alone=20.0)
_names = itertools.count(1)


@pytest.fixture
async def shared_url(postgres_server: str) -> str:
    """The URL of an empty PostgreSQL database."""
    url = make_url(postgres_server)
    name = f"cluster_{next(_names)}"
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(sa.text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
async def store(shared_url: str) -> AsyncIterator[LeaseStore]:
    """An open store of leases."""
    async with LeaseStore.open(shared_url, QUICK) as opened:
        yield opened
