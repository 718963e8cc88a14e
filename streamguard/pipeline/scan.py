"""Files judged to the end by the same code as live streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from streamguard.errors import StreamguardError, UnsupportedMedia, redact
from streamguard.media import SoundListener, SourceItem, SourceSupervisor, Taps, Up
from streamguard.media.still import is_still, still_items
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.sampling import Demand
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Event, Frame
from streamguard.verdict import FileVerdict, VideoTally

OnReport = Callable[[FrameReport], Awaitable[None]]
_LEAST_PIXELS = 1_000_000
"""Least count of a picture: each costs a look for faces."""


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Limits for a file that somebody else has chosen; infinite by default.

    Attributes:
        seconds: of media.
        pixels: of all its pictures together; a small one counts for a million.
    """

    seconds: float = float("inf")
    pixels: float = float("inf")


class FileScan:
    """One file, judged frame by frame; a picture (JPEG, PNG, WebP) as a single frame.

    After `run`, `verdict` holds what is said of the frames judged and `fault` what ended it early, if anything:
    what was judged before a fault is never lost.

    Args:
        guard: judges.
        path: the file (or a URL that ends).
        options: how it is judged.
        limits: where it is given up.
        sound: gets the compressed sound, as `Guard.watch`.
    """

    needs_frames = False
    """As a follower of the source: each frame is judged anyway."""

    def __init__(
        self,
        guard: Guard,
        path: str,
        options: WatchOptions = WatchOptions(),
        *,
        limits: ScanLimits = ScanLimits(),
        sound: SoundListener | None = None,
    ) -> None:
        self._guard, self._path, self._options = guard, path, options
        self._limits, self._sound = limits, sound
        self._pixels = 0
        self._tally = VideoTally()
        self.frame_count: int | None = None
        """Frames the container promises, once it is open; None when it does not say. For progress bars."""
        self.events: list[Event] = []
        self.fault: StreamguardError | None = None
        self.duration = 0.0
        self.width = self.height = 0
        self.is_picture = False

    @property
    def verdict(self) -> FileVerdict:
        """Verdict on the frames judged so far."""
        return self._tally.result()

    @property
    def progress(self) -> float:
        """Share of the file that is judged, 0..1; 0 as long as nobody knows."""
        return min(1.0, self._tally.frames / self.frame_count) if self.frame_count else 0.0

    async def run(self, on_report: OnReport | None = None) -> FileVerdict:
        """Judge the whole file; `on_report` is awaited after each frame, in order."""
        name, demand, options = Path(redact(self._path)).name, Demand(self), self._options
        self.is_picture = await asyncio.to_thread(is_still, self._path)
        source = partial(still_items, name, self._path, options.source) if self.is_picture else self._path
        options = replace(options, still=self.is_picture)
        try:
            async with (
                SourceSupervisor(name, source, options.source, taps=Taps(demand, sound=self._sound)) as items,
                aclosing(self._guard.pipeline(items, name, options, demand).run()) as judged,
            ):
                async for item in judged:
                    if isinstance(item, Event):
                        self.events.append(item)
                        continue
                    self._tally.push(item.faces, item.state)
                    self.duration = item.frame.time
                    self.width, self.height = item.frame.image.width, item.frame.image.height
                    if on_report is not None:
                        await on_report(item)
        except StreamguardError as error:
            self.fault = error
        return self.verdict

    def follow(self, item: SourceItem) -> None:
        """Take what the source tells of itself, and give up what goes beyond the limits."""
        if isinstance(item, Up):
            if item.live:
                raise UnsupportedMedia(self._path, "a live stream has no end", "Use `streamguard watch`")
            self.frame_count = item.frame_count
            self._check(item.duration or 0.0)
        elif isinstance(item, Frame):
            self._pixels += max(_LEAST_PIXELS, item.image.width * item.image.height)
            self._check(item.time)

    def _check(self, seconds: float) -> None:
        limits = self._limits
        if seconds > limits.seconds:
            cause = f"it is longer than {limits.seconds / 60:g} minutes"
            raise UnsupportedMedia(self._path, cause, "Cut it into shorter pieces")
        if self._pixels > limits.pixels:
            cause = "it holds more pictures, or larger ones, than may be judged at once"
            raise UnsupportedMedia(self._path, cause, "Cut it into shorter pieces, or scale it down")
