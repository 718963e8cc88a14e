"""The guards of a server: its own, and those of streams that ask for another detector."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from streamguard.config import EngineSettings
from streamguard.pipeline.guard import Guard


class Guards:
    """Opens a guard per further detector, shared by the streams that ask for it.

    Args:
        own: judges all other streams; closed by its owner.
        settings: the engine of all of them.
    """

    def __init__(self, own: Guard, settings: EngineSettings) -> None:
        self._own, self._settings = own, settings
        self._more: dict[str, Guard] = {}

    def find(self, model: str | None) -> Guard:
        """The guard of a detector; None for the server's own.

        Raises:
            KeyError: it was not opened.
        """
        return self._own if model in {None, self._settings.model} else self._more[str(model)]

    async def prepare(self, models: Iterable[str | None]) -> None:
        """Open guards for those detectors that have none. Not to be cancelled: a compiling engine cannot be.

        Raises:
            ModelError, EngineError, ConfigError: as `Guard.load`; those opened until then stay.
        """
        wanted = self._settings
        for model in models:
            if model is not None and model != wanted.model and model not in self._more:
                # They share one machine, and so the order of whose frame is next.
                opening = partial(
                    Guard.load, model, wanted.engine, threads=wanted.threads, cache=wanted.cache, turns=self._own.turns
                )
                self._more[model] = await asyncio.to_thread(opening)

    async def keep(self, models: Iterable[str | None]) -> None:
        """Close the guards of all other detectors; no stream may use them any more."""
        for model in self._more.keys() - set(models):
            await self._more.pop(model).aclose()

    async def aclose(self) -> None:
        """Close all but the server's own; the streams must have been closed before."""
        await self.keep(())
