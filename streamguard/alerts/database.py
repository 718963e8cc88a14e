"""The database of the outbox: SQLite beside the program, or a shared PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from streamguard.errors import ConfigError, OutboxError, StreamguardError, redact

if TYPE_CHECKING:
    import aiosqlite

BUSY_SECONDS = 5.0
"""How long a writer waits for another process's transaction."""
_MIGRATION_LOCK = 0x5374_7267
_BEGIN = "streamguard_begin"
_REMEDY = "give sqlite:///path or postgresql://user:password@host/name"


class Database:
    """Connections and transactions. Made by `open`; an async context manager.

    On SQLite the journal is a write-ahead log that is synced at every commit: what was committed outlives a kill and
    a power cut. One writer at a time, in this process by a lock, between processes by `BEGIN IMMEDIATE`.
    """

    def __init__(self, engine: AsyncEngine, shown: str) -> None:
        self._engine, self._shown = engine, shown
        self._writer = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    @classmethod
    async def open(cls, url: str, *, busy: float = BUSY_SECONDS) -> Self:
        """Connect and bring the tables up to date.

        Args:
            url: `sqlite:///path` or `postgresql://user:password@host/name`.
            busy: seconds to wait for another process's lock.

        Raises:
            ConfigError: no such URL, or its driver is not installed.
            OutboxError: it cannot be reached, read or brought up to date.
        """
        engine, shown = _engine(url, busy)
        database = cls(engine, shown)
        try:
            async with database.write() as connection:
                if engine.dialect.name == "postgresql":
                    await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                await connection.run_sync(_migrate)
        except BaseException:
            await engine.dispose()
            raise
        return database

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @property
    def shared(self) -> bool:
        """Whether rows, not the whole database, are locked."""
        return self._writer is None

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; committed at the end, or nothing of it is kept.

        Raises:
            OutboxError: locked, full, out of reach or damaged.
        """
        async with self._writer or contextlib.nullcontext(), self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads.

        Raises:
            OutboxError: out of reach or damaged.
        """
        async with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                await connection.execution_options(**{_BEGIN: begin})
                async with connection.begin():
                    yield connection
        except StreamguardError:
            raise
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            cause, remedy = _told(error)
            raise OutboxError(self._shown, cause, remedy) from error


def read_url(url: str) -> sa.URL:
    """The URL of a database that alerts can be kept in; nothing is opened.

    Raises:
        ConfigError: it is none, of another kind, or keeps nothing.
    """
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    # A port that is no number is a ValueError.
    except (ArgumentError, ValueError):
        raise ConfigError(redact(url), "this is no database URL", _REMEDY) from None
    if kind == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise ConfigError(redact(url), "alerts need a database that outlives the process", _REMEDY)
    if kind not in {"sqlite", "postgresql", "postgres"}:
        raise ConfigError(redact(url), f"{kind} is not supported", _REMEDY)
    return parsed


def _engine(url: str, busy: float) -> tuple[AsyncEngine, str]:
    shown, parsed = redact(url), read_url(url)
    if parsed.get_backend_name() == "sqlite":
        folder = Path(str(parsed.database)).absolute().parent
        if not folder.is_dir():
            raise ConfigError(shown, "its folder does not exist", f"create {folder} first")
        engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"), connect_args={"timeout": busy})
        sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        try:
            engine = create_async_engine(
                parsed.set(drivername="postgresql+asyncpg"), pool_pre_ping=True, pool_size=4, max_overflow=4
            )
        except ModuleNotFoundError:
            raise ConfigError(shown, "the driver asyncpg is missing", 'pip install "streamguard[postgres]"') from None
    return engine, shown


def _prepare_sqlite(connection: Any, _: object) -> None:
    # Transactions are begun by hand: the driver would begin them late, as readers that cannot become writers.
    connection.isolation_level = None
    try:
        connection.run_async(_use_wal)
        cursor = connection.cursor()
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        connection.close()
        raise


async def _use_wal(connection: aiosqlite.Connection) -> None:
    # SQLite's own busy time-out does not hold for the change of the journal: two that open at once would fail.
    limit = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            async with connection.execute("PRAGMA journal_mode = WAL"):
                return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > limit:
                raise
            await asyncio.sleep(0.02)


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def _migrate(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "streamguard:alerts/migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        cause = f"its tables are not those of this version ({error})"
        raise OutboxError("outbox", cause, "update streamguard, or give another database") from error


def _told(error: Exception) -> tuple[str, str]:
    text = str(getattr(error, "orig", None) or error)
    if "locked" in text or "busy" in text:
        return "another process holds the database", "it is tried again; end what holds it"
    if "full" in text:
        return "the disk is full", "make room"
    if "malformed" in text or "not a database" in text:
        return f"the database is damaged ({text})", "restore it from a backup, or give another path"
    if isinstance(error, OSError) or "connect" in text.lower():
        return f"the database cannot be reached ({text})", "check the URL, and that it runs"
    return f"the database failed ({text})", "check the database"
