"""Databases of both kinds, a clock that is turned by hand, and events to tell."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from streamguard.alerts import Database, Outbox, Sealer
from streamguard.clock import wall_clock
from tests.alerts.tools import Clock, House, house
from tests.support import postgres
from tests.support.receiver import Receiver, receiver

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC).timestamp()
"""A Monday at noon."""
_names = itertools.count(1)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands until it is turned."""
    return Clock(START)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A running PostgreSQL."""
    programs = postgres.binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: run `make system`")
    with postgres.server(programs) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'alerts.db'}"
    url = make_url(request.getfixturevalue("postgres_server"))
    name = f"alerts_{next(_names)}"
    engine = create_async_engine(url.set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(sa.text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with its tables."""
    async with await Database.open(database_url) as opened:
        yield opened


@pytest.fixture
def outbox(database: Database, clock: Clock) -> Outbox:
    """The outbox of the database."""
    return Outbox(database, clock=clock)


@pytest.fixture(scope="session")
def sealer() -> Sealer:
    """Seals secrets with a key of its own."""
    return Sealer(Sealer.new_key())


@pytest.fixture(autouse=True)
async def _loop_is_warm() -> None:
    """The loop's own helpers exist before a test's leak guard counts."""
    await asyncio.sleep(0)


@pytest.fixture
async def receiving() -> AsyncIterator[Receiver]:
    """A TLS receiver of webhooks."""
    async with receiver() as one:
        yield one


@pytest.fixture
async def home(database: Database, receiving: Receiver, sealer: Sealer) -> AsyncIterator[House]:
    """The alerts' parts around one database; time stands still at the present, as the signatures' check asks."""
    async with house(database, receiving, Clock(wall_clock()), sealer) as one:
        yield one
