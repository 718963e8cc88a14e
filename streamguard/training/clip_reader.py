"""One labelled clip's pictures: its rectangle, sent on as asked, every n-th frame."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeAlias

from streamguard.media import VideoSource, open_source
from streamguard.training.clips import Clip
from streamguard.training.parts import tile
from streamguard.training.sending import ClipSender, Sending
from streamguard.types import Picture

Moment: TypeAlias = tuple[int, float]
"""A frame's number and its media seconds."""

_USUAL_RATE = 25.0


class ClipReader:
    """Reads a clip; a context manager. Blocks: iterate `pictures` in an executor.

    Args:
        clip: which file, and which part of it.
        every: hand out every n-th frame; all of them are sent.
        sending: what the pictures go through first; None leaves them as they are.

    Raises:
        StreamguardError: on entering or reading, the file cannot be read or the rectangle is outside.
    """

    def __init__(self, clip: Clip, every: int = 1, sending: Sending | None = None) -> None:
        self.clip, self._every, self.sending = clip, every, sending
        self._source: VideoSource | None = None
        self._sender: ClipSender | None = None
        self._size = (0, 0)
        self._last = 0.0
        self.partners: dict[int, Picture] = {}
        """The real one of a fake of the same file, unsent, by frame number, until somebody takes it: a handful at a
        time."""

    def __enter__(self) -> Self:
        source = self._source = open_source(str(self.clip.path))
        place = self.clip.row.rectangle
        self._size = (source.width, source.height) if place is None else place[2:]
        if self.sending is not None:
            self._sender = ClipSender(self.sending, source.average_rate or _USUAL_RATE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._source is not None:
            self._source.close()

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the pictures handed out; None where the clip is too small for what is asked."""
        return self._size if self.sending is None else self.sending.size(*self._size)

    @property
    def codec(self) -> str:
        """The codec whose marks were left last."""
        if self.sending is not None:
            return "h264" if self.sending.quality is None else "jpeg"
        return self._source.codec if self._source is not None else ""

    @property
    def bit_rate(self) -> int | None:
        """Bits per second: the file's, or what was sent until now; None where nobody knows."""
        if self._sender is not None:
            return round(self._sender.bytes * 8 / self._last) if self._sender.bytes and self._last else None
        duration = self._source.duration if self._source is not None else None
        return round(self.clip.path.stat().st_size * 8 / duration) if duration else None

    def pictures(self) -> Iterator[tuple[Moment, Picture]]:
        """Pictures with their frame's number and time.

        Raises:
            MediaError, SourceError: the file proves damaged, or cannot be sent so.
            DataError: the rectangle reaches outside.
        """
        pictures = self._decoded()
        if self._sender is not None:
            pictures = self._sender.through(pictures)
        for moment, picture in pictures:
            if moment[0] % self._every == 0:
                yield moment, picture

    def _decoded(self) -> Iterator[tuple[Moment, Picture]]:
        row = self.clip.row
        beside = row.partner == row.file and self._sender is None
        for item in self._source or ():
            self._last = item.time
            if beside and item.index % self._every == 0:
                self.partners[item.index] = tile(item.picture, row.partner_rectangle)
            yield (item.index, item.time), tile(item.picture, row.rectangle)
