"""A clip played through a restream without a judge, and what arrives at the other end recorded."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import av

from streamguard.media import Down, SourceSupervisor, Taps, Up
from streamguard.pipeline.restream import Restream
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Frame
from streamguard.verdict import StreamVote

PATIENCE = 60.0


async def play(restream: Restream, source: str, enough: Callable[[], bool]) -> int:
    """Send the source's pictures on in real time until enough; how many.

    Every fifth one is judged, to have no faces, and reported three pictures later.
    """
    vote, count = StreamVote(), 0
    judged: deque[tuple[int, Frame]] = deque()
    async with asyncio.timeout(PATIENCE), SourceSupervisor("s", source, taps=Taps(sound=restream.sound)) as items:
        async for item in items:
            if isinstance(item, Up | Down):
                continue
            restream.frame(item)
            if count % 5 == 0:
                judged.append((count + 3, item))
            if judged and judged[0][0] <= count:
                _, frame = judged.popleft()
                restream.report(FrameReport(frame, (), vote.push(frame.time, [])))
            count += 1
            if enough():
                break
    return count


@asynccontextmanager
async def recorded(url: str, path: Path, *, format: str | None = None) -> AsyncGenerator[threading.Event, None]:
    """Record what is played at the URL from now on, packet by packet; the event is set once it flows.

    The source may not be there yet.
    """
    flows, stop = threading.Event(), threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                with av.open(url, format=format, timeout=(3, 1)) as source:
                    _copy(source, path, flows, stop)
            except (av.FFmpegError, OSError):
                stop.wait(0.1)

    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        yield flows
    finally:
        stop.set()
        await task


def _copy(source: av.container.InputContainer, path: Path, flows: threading.Event, stop: threading.Event) -> None:
    with av.open(str(path), "w", format="matroska") as file:
        tracks = {one.index: file.add_stream_from_template(one, opaque=True) for one in source.streams}
        for packet in source.demux():
            if packet.dts is None or packet.stream_index not in tracks:
                continue
            packet.stream = tracks[packet.stream_index]
            file.mux(packet)
            flows.set()
            if stop.is_set():
                return
