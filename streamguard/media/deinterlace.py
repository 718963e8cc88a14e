"""Interlaced pictures made whole, and nothing done to the others."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.error
from av.filter import Graph


class Deinterlacer:
    """Passes progressive frames through and sends interlaced ones through libavfilter's bwdif, plane by plane.

    bwdif looks at the frame before and the one behind: interlaced pictures are late by one frame. Their number and
    times stay as they are (one picture of two fields).
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._shape: tuple[int, int, str, Fraction] | None = None
        self.frames = 0
        """Interlaced frames until now."""

    def push(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        """The frames that can be shown now, in order.

        Raises:
            av.FFmpegError: there is no way to deinterlace the pixel format.
        """
        if not frame.interlaced_frame:
            # Streams are mixed: films among the news. What is still held comes first.
            return [*self.finish(), frame]
        self.frames += 1
        base = frame.time_base or Fraction(1, 90_000)
        shape = (frame.width, frame.height, frame.format.name, base)
        ready = self.finish() if shape != self._shape else []
        if self._graph is None:
            self._graph, self._shape = _graph(*shape), shape
        self._graph.vpush(frame)
        return ready + self._pulled()

    def finish(self) -> list[av.VideoFrame]:
        """The frames that were held back."""
        if self._graph is None:
            return []
        self._graph.vpush(None)
        left = self._pulled()
        self._graph = self._shape = None
        return left

    def _pulled(self) -> list[av.VideoFrame]:
        frames: list[av.VideoFrame] = []
        while True:
            try:
                frame = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return frames
            # bwdif counts in half ticks.
            if frame.pts is not None and self._shape is not None:
                frame.pts, frame.time_base = round(frame.pts * frame.time_base / self._shape[3]), self._shape[3]
            frames.append(frame)


def _graph(width: int, height: int, format: str, base: Fraction) -> Graph:
    graph = Graph()
    # One thread per stream, as the decoder.
    graph.threads = 1
    source: Any = graph.add_buffer(width=width, height=height, format=format, time_base=base)  # type: ignore[arg-type]  # PyAV takes a name
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=all"), graph.add("buffersink")).configure()
    return graph
