"""The database of alerts: SQLite beside the program or in memory, or a shared PostgreSQL."""

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

from streamguard.errors import ConfigError, DatabaseLocked, OutboxError, StreamguardError, redact
from streamguard.logs import get_logger

if TYPE_CHECKING:
    import aiosqlite

log = get_logger(__name__)

BUSY_SECONDS = 5.0
"""Seconds that a writer waits for another process's transaction."""
PATIENCE = 60.0
_STANDSTILL = 3.0
"""Seconds; a process that stands still in a transaction must not hold on to rows that others wait for."""
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
        # A database in memory has one connection.
        self._reader = self._writer if isinstance(engine.pool, sa.StaticPool) else None

    @classmethod
    async def open(
        cls, url: str, *, busy: float = BUSY_SECONDS, patience: float = PATIENCE, answer: float | None = None
    ) -> Self:
        """Connect and bring the tables up to date.

        Args:
            url: `sqlite:///path` or `postgresql://user:password@host/name`.
            busy: seconds that each transaction waits for another process's lock.
            patience: seconds that opening goes on trying for it, and says so in the log.
            answer: seconds that PostgreSQL has to answer and to take a connection; None for as long as it needs.

        Raises:
            ConfigError: no such URL, or its driver is not installed.
            OutboxError: it cannot be reached, read or brought up to date.
        """
        return await cls._opened(*_engine(url, busy, answer), asyncio.get_running_loop().time() + patience)

    @classmethod
    async def in_memory(cls) -> Self:
        """A database that is gone with the process."""
        engine = create_async_engine("sqlite+aiosqlite:///:memory:", poolclass=sa.StaticPool)
        _listen(engine)
        return await cls._opened(engine, "memory", 0.0)

    @classmethod
    async def _opened(cls, engine: AsyncEngine, shown: str, until: float) -> Self:
        database = cls(engine, shown)
        try:
            while True:
                try:
                    await database._bring_up_to_date()
                    return database
                except DatabaseLocked as error:
                    if asyncio.get_running_loop().time() >= until:
                        raise
                    log.warning("waiting for the database", detail=str(error))
        except BaseException:
            await engine.dispose()
            raise

    async def _bring_up_to_date(self) -> None:
        async with self.write() as connection:
            if self.shared:
                # It takes its time: what makes the tables is loaded meanwhile.
                await connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            await connection.run_sync(_migrate)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @property
    def shared(self) -> bool:
        """Return whether rows, not the whole database, are locked."""
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
        async with self._reader or contextlib.nullcontext(), self._transaction("BEGIN") as connection:
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
            kind, cause, remedy = _told(error)
            raise kind(self._shown, cause, remedy) from error


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


def _engine(url: str, busy: float, answer: float | None) -> tuple[AsyncEngine, str]:
    shown, parsed = redact(url), read_url(url)
    if parsed.get_backend_name() == "sqlite":
        folder = Path(str(parsed.database)).absolute().parent
        if not folder.is_dir():
            raise ConfigError(shown, "its folder does not exist", f"create {folder} first")
        engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"), connect_args={"timeout": busy})
        _listen(engine)
    else:
        standstill = {"idle_in_transaction_session_timeout": f"{_STANDSTILL * 1e3:.0f}"}
        limits = {} if answer is None else {"timeout": answer, "command_timeout": answer}
        try:
            engine = create_async_engine(
                parsed.set(drivername="postgresql+asyncpg"),
                pool_pre_ping=True,
                pool_size=4,
                max_overflow=4,
                connect_args={"server_settings": standstill, **limits},
            )
        except ModuleNotFoundError:
            raise ConfigError(shown, "the driver asyncpg is missing", 'pip install "streamguard[postgres]"') from None
    return engine, shown


def _listen(engine: AsyncEngine) -> None:
    sa.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)


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
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "streamguard:alerts/migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        found = MigrationContext.configure(connection).get_current_revision()
        newest = ScriptDirectory.from_config(config).get_current_head()
        age = "a newer" if str(found) > str(newest) else "an older"
        cause = f"{age} version of streamguard made it (its tables are {found}, this version's {newest})"
        raise OutboxError("alerts database", cause, "start that version, or give another database") from error


def _told(error: Exception) -> tuple[type[OutboxError], str, str]:
    text = str(getattr(error, "orig", None) or error)
    if "locked" in text or "busy" in text:
        return DatabaseLocked, "another process holds the database", "it is tried again; end what holds it"
    if "full" in text:
        return OutboxError, "the disk is full", "make room"
    if "malformed" in text or "not a database" in text:
        return OutboxError, f"the database is damaged ({text})", "restore it from a backup, or give another path"
    if isinstance(error, OSError) or "connect" in text.lower():
        return OutboxError, f"the database cannot be reached ({text})", "check the URL, and that it runs"
    return OutboxError, f"the database failed ({text})", "check the database"
