"""The small parts by themselves: clock, encoder, packet fan-out, meter, ICE links."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from typing import Any

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from streamguard.config import IceServerSettings
from streamguard.media import picture_from_rgb, rgb_of
from streamguard.media.live_encoder import CLOCK, LiveCodec, LiveEncoder
from streamguard.media.packet_fanout import PacketFanout
from streamguard.pipeline.stream import Counts
from streamguard.server.rtc import ice_links
from streamguard.streams.meter import StreamMeter
from streamguard.streams.viewers import RtpClock
from streamguard.types import Frame, Picture
from tests.support.media_files import index_of, picture


def picture_number(index: int, width: int = 64, height: int = 48) -> Picture:
    """A synthetic picture that tells its number."""
    return picture_from_rgb(picture(index, width, height))


def frame(index: int, epoch: int = 0, time: float | None = None, arrived: float = 0.0) -> Frame:
    """A frame; its picture is of no interest."""
    return Frame("s", epoch, index, index / 25 if time is None else time, arrived, picture_number(0))


def test_the_clock_rises_over_epochs_and_follows_arrival() -> None:
    clock = RtpClock()
    stamps = [clock.stamp(frame(n, 0, n / 25, 100 + n / 25)) for n in range(3)]
    assert np.diff(stamps).tolist() == [CLOCK // 25] * 2
    # Another epoch begins at 0 again, ten seconds later.
    assert clock.stamp(frame(0, 1, 0.0, 110.0)) == 110 * CLOCK
    # Late by jitter only: the media time counts. Late for good: arrival does.
    assert clock.stamp(frame(1, 1, 0.04, 110.3)) == round(110.04 * CLOCK)
    assert clock.stamp(frame(2, 1, 0.08, 113.0)) == 113 * CLOCK
    assert clock.stamp(frame(3, 1, 0.08, 113.0)) == 113 * CLOCK + 1


@pytest.mark.parametrize("codec", ["h264", "vp8"])
@pytest.mark.parametrize("size", [(64, 48), (65, 47)])
def test_pictures_are_encoded_without_delay_or_b_frames(codec: LiveCodec, size: tuple[int, int]) -> None:
    encoder = LiveEncoder(codec)
    decoder: Any = av.CodecContext.create("h264" if codec == "h264" else "vp8", "r")
    keys, shown = [], []
    for index in range(12):
        packets = encoder.encode(picture_number(index, *size), index * 3600, keyframe=index == 7)
        assert len(packets) == 1
        packet = packets[0]
        assert packet.pts == index * 3600
        assert packet.dts is None or packet.dts <= packet.pts
        keys.append(packet.is_keyframe)
        shown += [index_of(each.to_ndarray()[: size[1], : size[0]]) for each in decoder.decode(packet)]
    shown += [index_of(each.to_ndarray()[: size[1], : size[0]]) for each in decoder.decode(None)]
    assert keys == [index in {0, 7} for index in range(12)]
    assert shown == [index % 10 for index in range(12)]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_new_size_and_full_range(codec: LiveCodec) -> None:
    encoder = LiveEncoder(codec)
    encoder.encode(picture_number(1), 0)
    rgb = picture(1, 128, 96)
    packets = encoder.encode(picture_from_rgb(rgb, full_range=True), 0)
    assert packets[0].is_keyframe
    assert packets[0].pts == 1
    decoder: Any = av.CodecContext.create("h264" if codec == "h264" else "vp8", "r")
    decoded = [*decoder.decode(packets[0]), *decoder.decode(None)][0]
    luma = decoded.to_ndarray()[:96, :128].astype(int)
    assert np.abs(luma - picture_from_rgb(rgb).y).mean() < 8
    assert rgb_of(picture_from_rgb(rgb)).shape == (96, 128, 3)


async def test_a_viewer_that_falls_behind_goes_on_at_a_key_frame() -> None:
    now = 0.0
    with ThreadPoolExecutor(1) as executor:
        fanout = PacketFanout("h264", executor, clock=lambda: now)
        slow, quick = fanout.join(), fanout.join()
        got = []
        for index in range(70):
            await fanout.send(picture_number(index), index * 3600)
            got.append(await quick.recv())
            now += 0.04
        assert slow.dropped > 60
        assert [packet.pts for packet in got] == [index * 3600 for index in range(70)]
        first = await slow.recv()
        assert first.is_keyframe
        assert first.pts is not None
        assert first.pts > 60 * 3600
        # Everybody asks; one key frame answers all.
        before = fanout.keyframes
        for _ in range(5):
            quick.request_keyframe()
            await fanout.send(picture_number(0), 70 * 3600)
        assert fanout.keyframes - before <= 1
        slow.stop()
        fanout.close()
        assert fanout.viewers == 0
        with pytest.raises(MediaStreamError):
            await quick.recv()


def test_rates_and_percentiles() -> None:
    now = 0.0
    meter = StreamMeter(lambda: now)
    assert meter.percentiles() is None
    assert astuple(meter.rates()) == (0.0, 0.0, 0.0)
    for second in range(1, 11):
        now = float(second)
        meter.mark(Counts(30 * second, 10 * second, 20 * second))
        meter.judged(0.1 if second < 10 else 0.4)
    assert astuple(meter.rates()) == pytest.approx((30, 10, 20))
    assert meter.percentiles() == (0.1, 0.4)
    assert sum(meter.buckets) == 10
    assert meter.latency_sum == pytest.approx(1.3)
    now = 100.0
    assert meter.percentiles() is None


def test_links_of_ice_servers() -> None:
    servers = [
        IceServerSettings(urls=["stun:a", "turn:b?transport=udp"]),
        IceServerSettings(urls=["turns:c"], username='q"\\', credential="x"),
    ]
    assert ice_links(servers) == [
        '<stun:a>; rel="ice-server"',
        '<turn:b?transport=udp>; rel="ice-server"',
        '<turns:c>; rel="ice-server"; username="q\\"\\\\"; credential="x"; credential-type="password"',
    ]
