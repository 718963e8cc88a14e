"""One output and what may befall it: nobody reads, the disk is full, its process is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamguard.media import Backoff, open_source, picture_from_rgb
from streamguard.media.output import Mixer, OutPacket, Push, PushStatus, parse_target
from streamguard.types import Frame, UInt8Array
from tests.support.media_files import picture

PATIENCE = 60.0


class Feed:
    """Pictures without sound, as fast as they are asked for."""

    def __init__(self, pixels: Callable[[int], UInt8Array] = picture) -> None:
        self._mixer, self._pixels, self.index = Mixer(), pixels, 0

    def next(self) -> list[OutPacket]:
        """The packets of one more picture; of the first second none."""
        image = picture_from_rgb(self._pixels(self.index))
        time = self.index / 25
        self.index += 1
        return self._mixer.picture(image, Frame("s", 0, self.index, time, time, image))


async def feed(push: Push, source: Feed, enough: Callable[[], bool]) -> None:
    """Offer pictures until enough."""
    async with asyncio.timeout(PATIENCE):
        while not enough():
            push.offer(await asyncio.to_thread(source.next))


async def test_a_disk_that_is_full(tmp_path: Path) -> None:
    (tmp_path / "out.ts").symlink_to("/dev/full")
    told: list[PushStatus] = []
    async with Push(parse_target(str(tmp_path / "out.ts")), on_change=told.append) as push:
        await feed(push, Feed(), lambda: push.status.failures > 0)
    assert "no space left" in next(status.detail for status in told if not status.up)


async def test_a_file_is_gone_on_with_after_its_process_was_killed(tmp_path: Path) -> None:
    out, source = tmp_path / "out.ts", Feed()
    told: list[PushStatus] = []
    async with Push(parse_target(str(out)), backoff=Backoff(0.01), on_change=told.append) as push:
        await feed(push, source, lambda: push.status.sent > 60)
        for child in writers():
            os.kill(child, signal.SIGKILL)
        await feed(push, source, lambda: push.status.failures > 0)
        before = push.status.sent
        await feed(push, source, lambda: push.status.sent > before + 60)
    assert [status.up for status in told] == [True, False, True]
    assert [status.reconnects for status in told] == [0, 0, 1]
    assert "its writer was ended" in told[1].detail
    with open_source(out) as written:
        times = [frame.time for frame in written]
    # What was there before is still there.
    assert len(times) > 80
    assert times == sorted(times)


async def test_a_target_that_takes_nothing_any_more(tmp_path: Path) -> None:
    pipe = tmp_path / "out.ts"
    os.mkfifo(pipe)
    told: list[PushStatus] = []
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        # Noise, so that every buffer on the way is full soon.
        random = np.random.default_rng(1)
        source = Feed(lambda _: random.integers(0, 256, (240, 320, 3), np.uint8))
        target = parse_target(str(pipe))
        async with Push(target, patience=3, on_change=told.append) as push:
            # What it does not take waits first, and is dropped then.
            await feed(push, source, lambda: push.status.lag > 3)
            await feed(push, source, lambda: push.status.failures > 0)
            dropped = push.status.dropped
            assert push.status.lag == 0.0
    finally:
        os.close(reader)
    assert [status.up for status in told[:2]] == [True, False]
    assert "takes nothing any more" in told[1].detail
    assert dropped > 0


async def test_a_target_that_is_never_ready(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.ts")
    told: list[PushStatus] = []
    async with Push(parse_target(str(tmp_path / "out.ts")), patience=1, on_change=told.append) as push:
        await feed(push, Feed(), lambda: push.status.failures > 0)
    assert "no answer within the time limit" in told[0].detail
    assert told[0].sent == 0


async def test_nothing_is_begun_where_nothing_is_sent(tmp_path: Path) -> None:
    async with Push(parse_target(str(tmp_path / "out.ts"))) as push:
        assert push.status == PushStatus(str(tmp_path / "out.ts"))
    assert os.listdir(tmp_path) == []


async def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    out, source = tmp_path / "out.ts", Feed()
    packets = [one for _ in range(50) for one in await asyncio.to_thread(source.next)]
    async with Push(parse_target(str(out))) as push:
        push.offer(packets)
        # It is being opened by now; what follows is its end.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert (push.status.sent, push.status.packets, push.status.lag) == (25, 25, 0.0)
    with open_source(out) as written:
        assert len(list(written)) == len(packets) == 25


@pytest.mark.parametrize(
    ("text", "name", "format"),
    [
        ("rtsp://u:p@host/x", "rtsp://u:p@host/x", "rtsp"),
        ("rtmps://host/live/key", "rtmps://host/live/key", "flv"),
        ("udp://239.0.0.1:5004", "udp://239.0.0.1:5004?pkt_size=1316", "mpegts"),
        ("udp://239.0.0.1:5004?ttl=2", "udp://239.0.0.1:5004?ttl=2&pkt_size=1316", "mpegts"),
        ("a b.ts", "file:a b.ts", "mpegts"),
        ("x.m3u8", "file:x.m3u8", "hls"),
    ],
)
def test_targets(text: str, name: str, format: str) -> None:
    target = parse_target(text)
    assert (target.name, target.format) == (name, format)
    assert "p@" not in target.shown.replace("***@", "")
    assert "key" not in target.shown


def writers() -> list[int]:
    """The processes that write outputs."""
    tasks = Path("/proc/self/task").iterdir()
    children = [child for task in tasks for child in (task / "children").read_text().split()]
    return [int(child) for child in children if b"pusher.py" in Path(f"/proc/{child}/cmdline").read_bytes()]
