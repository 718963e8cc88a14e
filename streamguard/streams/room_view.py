"""The guard's own picture in a conference room: all that are judged, side by side, with their masks."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from streamguard.logs import get_logger
from streamguard.media import scaled
from streamguard.media.live_encoder import CLOCK, LiveCodec
from streamguard.media.packet_fanout import PacketFanout, PacketTrack
from streamguard.overlay import banner
from streamguard.pipeline.annotate import annotated
from streamguard.pipeline.stream import FrameReport
from streamguard.streams.live_stream import LiveStream
from streamguard.types import Picture, Verdict

log = get_logger("streamguard.room")
WIDTH, HEIGHT = 1280, 720
_RATE = 5.0
"""Pictures a second."""


class Tile(NamedTuple):
    """One participant: his name, what was judged of him last, and the pixel threshold of his detector."""

    name: str
    report: FrameReport | None
    threshold: float


class RoomView:
    """Paints and encodes while somebody has joined, off the event loop.

    Args:
        name: of the room.
        streams: all that are judged now, each with its participant's name.
        executor: threads for painting and encoding.
    """

    def __init__(self, name: str, streams: Callable[[], Sequence[tuple[str, LiveStream]]], executor: Executor) -> None:
        self._name, self._streams, self._executor = name, streams, executor
        self._fanout: PacketFanout | None = None

    def join(self, codec: LiveCodec) -> PacketTrack:
        """The track of the room."""
        self._fanout = PacketFanout(codec, self._executor)
        return self._fanout.join()

    async def run(self) -> None:
        """Show what there is, until it is cancelled."""
        loop, began, failed = asyncio.get_running_loop(), time.monotonic(), False
        while True:
            moment = time.monotonic() - began
            if self._fanout is not None and self._fanout.viewers:
                # A stream that is down has no newest report in its status.
                tiles = [
                    Tile(shown, stream.status().newest, stream.guard.spec.threshold)
                    for shown, stream in self._streams()
                ]
                try:
                    picture = await loop.run_in_executor(self._executor, grid, tiles)
                    await self._fanout.send(picture, round(moment * CLOCK))
                except Exception:
                    if not failed:
                        log.exception("the room's view cannot be painted", room=self._name)
                    failed = True
            await asyncio.sleep(max(0.0, 1 / _RATE - (time.monotonic() - began - moment)))


def grid(tiles: Sequence[Tile], width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """The tiles in rows, as large as they fit. Blocks: call it in an executor.

    Args:
        tiles: in the order in which they are shown.
        width, height: of the whole, in pixels, both even.
    """
    whole = _blank(width, height)
    columns = math.ceil(math.sqrt(len(tiles))) or 1
    rows = math.ceil(len(tiles) / columns) or 1
    across, down = width // columns // 2 * 2, height // rows // 2 * 2
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        _put(whole, _painted(tile, across, down), column * across, row * down)
    return whole


def _painted(tile: Tile, width: int, height: int) -> Picture:
    state = Verdict.UNKNOWN if tile.report is None else tile.report.state.state
    blank = _blank(width, height)
    if tile.report is not None:
        picture = annotated(tile.report, tile.threshold, title=False)
        scale = min(width / picture.width, height / picture.height)
        inner = max(2, int(picture.width * scale) // 2 * 2), max(2, int(picture.height * scale) // 2 * 2)
        left, top = (width - inner[0]) // 4 * 2, (height - inner[1]) // 4 * 2
        _put(blank, scaled(picture, *inner), left, top)
    return banner(blank, f"{tile.name}: {state.label}", state)


def _blank(width: int, height: int) -> Picture:
    half = (height // 2, width // 2)
    return Picture(np.full((height, width), 16, np.uint8), np.full(half, 128, np.uint8), np.full(half, 128, np.uint8))


def _put(whole: Picture, picture: Picture, left: int, top: int) -> None:
    """Write into planes that were made here."""
    planes, parts = (whole.y, whole.u, whole.v), (picture.y, picture.u, picture.v)
    for plane, part, shift in zip(planes, parts, (0, 1, 1), strict=True):
        rows, columns = part.shape
        plane[top >> shift : (top >> shift) + rows, left >> shift : (left >> shift) + columns] = part
