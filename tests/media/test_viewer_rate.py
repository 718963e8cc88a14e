"""One encoder, many viewers: how its bit rate follows those whose way is full."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.media import picture_from_rgb
from streamguard.media.live_encoder import LiveCodec
from streamguard.media.packet_fanout import PacketFanout, PacketTrack, least_rate, next_rate
from streamguard.types import Picture

RATE = st.integers(0, 10_000_000)
FULL = st.integers(1, 10_000_000)
LIMITS = st.lists(st.none() | RATE, max_size=12)


@given(now=RATE, full=FULL, sent=st.floats(0, 1e7), limits=LIMITS)
def test_it_is_bounded(now: int, full: int, sent: float, limits: list[int | None]) -> None:
    after = next_rate(now, full, sent, limits)
    assert 0 < least_rate(full) <= after <= full
    assert least_rate(full) <= full


@given(full=FULL, sent=st.floats(0, 1e7), limits=LIMITS)
def test_whoever_is_not_limited_is_given_everything_again(full: int, sent: float, limits: list[int | None]) -> None:
    now = least_rate(full)
    for _ in range(12):
        now = next_rate(now, full, sent, [None] * len(limits))
    assert now == full


@given(now=st.integers(1_000_000, 2_000_000), sent=st.floats(9e5, 2e6), limits=LIMITS)
def test_it_follows_the_slowest_quarter(now: int, sent: float, limits: list[int | None]) -> None:
    full = 2_000_000
    after = next_rate(now, full, sent, limits)
    short = [limit for limit in limits if limit is not None and limit < 0.9 * sent]
    if len(short) * 4 <= len(limits):
        # A few slow ones do not spoil it for the rest.
        assert after >= min(now, full)
    else:
        assert after <= now
        assert sum(limit is None or limit >= min(after, max(short)) for limit in limits) >= len(limits) - len(short)


@given(now=RATE, full=FULL, limits=LIMITS)
def test_a_limit_above_what_is_sent_lowers_nothing(now: int, full: int, limits: list[int | None]) -> None:
    sent = min((limit for limit in limits if limit is not None), default=0)
    assert next_rate(now, full, sent, limits) >= min(now, full)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """One thread for encoding."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


class Fanned:
    """A fan-out on a clock of its own that is fed noise, the worst there is for an encoder."""

    def __init__(self, codec: LiveCodec, threads: ThreadPoolExecutor) -> None:
        self.now = 0.0
        self.fanout = PacketFanout(codec, threads, bitrate=800_000, clock=lambda: self.now)
        self._random = np.random.default_rng(1)
        self._count = 0

    async def run(self, seconds: float, *readers: PacketTrack) -> float:
        """So many seconds at 30 pictures a second; bits per second that the first reader got."""
        size, pictures = 0, round(seconds * 30)
        for _ in range(pictures):
            await self.fanout.send(self._noise(), self._count * 3000)
            self._count += 1
            self.now += 1 / 30
            sizes = [(await reader.recv()).size for reader in readers]
            size += sizes[0]
        return size * 8 / seconds

    def _noise(self) -> Picture:
        # Coarse enough for an encoder to be able to save on it.
        coarse = self._random.integers(0, 255, (18, 24, 3), np.uint8)
        return picture_from_rgb(cv2.resize(coarse, (192, 144), interpolation=cv2.INTER_CUBIC).astype(np.uint8))


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_a_viewer_whose_way_is_full_is_sent_less_and_more_later(
    codec: LiveCodec, threads: ThreadPoolExecutor
) -> None:
    fanned = Fanned(codec, threads)
    viewer = fanned.fanout.join()
    before = await fanned.run(3, viewer)
    assert fanned.fanout.bitrate == 800_000
    # The first estimate is low, as those of new receivers are: no reason to send less.
    viewer.told_bitrate(300_000)
    await fanned.run(2, viewer)
    assert (fanned.fanout.bitrate, fanned.fanout.slowed) == (800_000, 0)
    viewer.told_bitrate(250_000)
    keyframes = fanned.fanout.keyframes
    await fanned.run(1.1, viewer)
    assert (fanned.fanout.bitrate, fanned.fanout.slowed) == (225_000, 1)
    assert fanned.fanout.keyframes > keyframes
    after = await fanned.run(3, viewer)
    assert after < before / 2
    # It recovers: slowly, and all the way.
    for estimate in range(260_000, 2_000_000, 60_000):
        viewer.told_bitrate(estimate)
        await fanned.run(1.1, viewer)
    assert (fanned.fanout.bitrate, fanned.fanout.slowed) == (800_000, 1)
    viewer.stop()


async def test_one_slow_viewer_of_five_slows_nobody(threads: ThreadPoolExecutor) -> None:
    fanned = Fanned("h264", threads)
    viewers = [fanned.fanout.join() for _ in range(5)]
    await fanned.run(1.1, *viewers)
    for estimate in (400_000, 100_000):
        viewers[0].told_bitrate(estimate)
    await fanned.run(1.1, *viewers)
    assert (fanned.fanout.bitrate, fanned.fanout.slowed) == (800_000, 0)
    for estimate in (400_000, 200_000):
        viewers[1].told_bitrate(estimate)
    await fanned.run(1.1, *viewers)
    # Two are more than a quarter; the slowest of all is left behind.
    assert (fanned.fanout.bitrate, fanned.fanout.slowed) == (180_000, 1)
    # It leaves, and takes its limit with it.
    for viewer in viewers[:2]:
        viewer.stop()
    await fanned.run(5.1, *viewers[2:])
    assert fanned.fanout.bitrate > 180_000
    fanned.fanout.close()
