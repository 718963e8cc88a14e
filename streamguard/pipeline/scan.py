"""Files judged to the end by the same code as live streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from streamguard.errors import StreamguardError, UnsupportedMedia, redact
from streamguard.media import SourceItem, SourceSupervisor, Up
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Event
from streamguard.verdict import FileVerdict, VideoTally

OnReport = Callable[[FrameReport], Awaitable[None]]


class FileScan:
    """One file, judged frame by frame.

    After `run`, `verdict` holds what is said of the frames judged and `fault` what ended it early, if anything:
    what was judged before a fault is never lost.

    Args:
        guard: judges.
        path: the file (or a URL that ends).
        options: how it is judged.
    """

    def __init__(self, guard: Guard, path: str, options: WatchOptions = WatchOptions()) -> None:
        self._guard, self._path, self._options = guard, path, options
        self._tally = VideoTally()
        self.frame_count: int | None = None
        """Frames the container promises, once it is open; None when it does not say. For progress bars."""
        self.events: list[Event] = []
        self.fault: StreamguardError | None = None
        self.duration = 0.0
        self.width = self.height = 0

    @property
    def verdict(self) -> FileVerdict:
        """What is said of the frames judged so far."""
        return self._tally.result()

    async def run(self, on_report: OnReport | None = None) -> FileVerdict:
        """Judge the whole file; `on_report` is awaited after each frame, in order."""
        name = Path(redact(self._path)).name
        try:
            async with (
                SourceSupervisor(name, self._path, self._options.source) as source,
                aclosing(self._opened(source)) as opened,
                aclosing(self._guard.pipeline(opened, name, self._options).run()) as items,
            ):
                async for item in items:
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

    async def _opened(self, source: SourceSupervisor) -> AsyncGenerator[SourceItem, None]:
        async for item in source:
            if isinstance(item, Up):
                if item.live:
                    raise UnsupportedMedia(self._path, "a live stream has no end", "Use `streamguard watch`")
                self.frame_count = item.frame_count
            yield item
