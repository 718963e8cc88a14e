"""Reads the configuration again while the server runs, and changes what is different."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from pydantic import Field

from streamguard.config import Changes, Config, apply, diff
from streamguard.errors import ConfigError, InvalidConfig, StreamguardError
from streamguard.logs import get_logger
from streamguard.server.configured import Configured
from streamguard.server.documents import Document

log = get_logger("streamguard.config")

LIVE = frozenset({"server.tokens", "server.max_streams", "server.admission"})
"""Keys beside streams and rules that can be changed while the server runs."""


class ReloadDocument(Document):
    """Result of reading the configuration again."""

    streams_added: list[str]
    streams_changed: list[str]
    streams_removed: list[str]
    streams_restored: list[str] = Field(
        description="Begun anew: their entry is the same, but they had been removed, had failed or ended."
    )
    rules_added: list[str]
    rules_changed: list[str]
    rules_removed: list[str]
    changed: list[str] = Field(description="Other keys that hold from now on.")
    needs_restart: list[str] = Field(
        description="Keys that are different in the file, and stay as they are until the server is started anew."
    )


class Reloader:
    """Owns the configuration that the server runs with.

    Args:
        config: what it was started with.
        reread: reads it again; None where there is no file.
        configured: makes the changes.
    """

    def __init__(self, config: Config, reread: Callable[[], Config] | None, configured: Configured) -> None:
        self._config, self._reread, self._configured = config, reread, configured
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[ReloadDocument]] = set()

    @property
    def possible(self) -> bool:
        """Return whether there is a file to read."""
        return self._reread is not None

    async def reload(self) -> ReloadDocument:
        """Read again and change what is different. It goes on where the caller is cancelled.

        Raises:
            ConfigError: there is no file, or something in it is wrong, or cannot be now; nothing was changed.
            ModelError, EngineError: a stream's detector cannot be opened; nothing was changed.
            OutboxError: the database failed; some rules may have been changed, and nothing else. Try again.
        """
        if self._reread is None:
            raise ConfigError("reload", "this server was started without a file", "start it with --config")
        task = asyncio.create_task(self._logged(self._reread), name="reload of the configuration")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Wait for what is under way."""
        for task in tuple(self._tasks):
            # Its failure is in the log.
            with contextlib.suppress(Exception):
                await task

    async def _logged(self, reread: Callable[[], Config]) -> ReloadDocument:
        try:
            async with self._turn:
                told = await self._reload(reread)
        except StreamguardError as error:
            problems = error.problems if isinstance(error, InvalidConfig) else (error,)
            log.error("configuration not reloaded", problems=[str(each) for each in problems])
            raise
        except Exception:
            log.exception("configuration not reloaded")
            raise
        log.info("configuration reloaded", **{key: names for key, names in told.model_dump().items() if names})
        return told

    async def _reload(self, reread: Callable[[], Config]) -> ReloadDocument:
        found = diff(self._config, await asyncio.to_thread(reread))
        live, later = _split(found, self._config)
        after = apply(live, self._config)
        restored = await self._configured.change(live, self._config, after)
        self._config = after
        return ReloadDocument(
            streams_added=[stream.name for stream in live.streams.added],
            streams_changed=[stream.name for stream in live.streams.changed],
            streams_removed=list(live.streams.removed),
            streams_restored=restored,
            rules_added=[rule.name for rule in live.rules.added],
            rules_changed=[rule.name for rule in live.rules.changed],
            rules_removed=list(live.rules.removed),
            changed=list(live.keys),
            needs_restart=list(later),
        )


def _split(found: Changes, before: Config) -> tuple[Changes, tuple[str, ...]]:
    """Return the settings that can be changed now, and the keys of those that cannot."""
    live = tuple(
        (key, value)
        for key, value in found.values
        # The first or last token decides who is let in without one, and by which host names.
        if key in LIVE and (key != "server.tokens" or bool(value) == bool(before.server.tokens))
    )
    kept = {key for key, _ in live}
    return replace(found, values=live), tuple(key for key in found.keys if key not in kept)
