"""Clips of what a WebRTC peer sends: kept from its pictures as they come, keyframes asked for."""

from __future__ import annotations

import asyncio
import io
import logging
import queue
import threading
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from aiortc import RTCRtpReceiver

from streamguard.media import picture_of
from streamguard.media.aiortc_hooks import keep_received
from streamguard.media.clip import clip_bytes, clip_container
from streamguard.media.live_encoder import LiveCodec, LiveEncoder
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.received_packets import is_keyframe
from streamguard.types import Picture

RATE = 20


class Receiver(RTCRtpReceiver):
    """The parts of aiortc's receiver that decoding uses, without a connection."""

    def __init__(self) -> None:
        super().__init__("video", SimpleNamespace(state="new"))  # type: ignore[arg-type]  # never used

    @property
    def decoder(self) -> queue.Queue[Any]:
        """What the decoder's thread takes pictures from."""
        found: queue.Queue[Any] = self._RTCRtpReceiver__decoder_queue  # type: ignore[attr-defined]  # as aiortc names it
        return found

    @property
    def fault(self) -> threading.Event:
        """What makes aiortc send a PLI."""
        found: threading.Event = self._RTCRtpReceiver__decoder_error  # type: ignore[attr-defined]  # as aiortc names it
        return found


@pytest.fixture(autouse=True)
async def _loop() -> None:
    """aiortc makes events of a running loop."""
    await asyncio.sleep(0)


def picture(index: int, size: tuple[int, int] = (320, 240)) -> Picture:
    """A picture of a texture that slowly grows brighter: no encoder takes it for a cut."""
    texture = np.random.default_rng(0).integers(0, 60, (size[1], size[0], 3), np.uint8)
    rgb = texture + np.uint8(index)
    made = picture_of(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p"))
    assert made is not None
    return made


def sent(
    codec: LiveCodec, count: int, keyframes: tuple[int, ...] = (), size: tuple[int, int] = (320, 240)
) -> list[Any]:
    """Encoded pictures, as aiortc hands them to its decoder."""
    encoder = LiveEncoder(codec)
    packets = [
        packet
        for n in range(count)
        for packet in encoder.encode(picture(n, size), n * 90_000 // RATE, keyframe=n in keyframes)
    ]
    return [SimpleNamespace(data=bytes(packet), timestamp=packet.pts) for packet in packets]


def feed(receiver: Receiver, codec: LiveCodec, pictures: list[Any]) -> list[bool]:
    """Put pictures through the decoder's queue; after each, whether a keyframe was asked for."""
    asked = []
    for each in pictures:
        task = (SimpleNamespace(name=codec.upper()), each)
        receiver.decoder.put(task)
        assert receiver.decoder.get() is task
        asked.append(receiver.fault.is_set())
        receiver.fault.clear()
    return asked


def shown(clip: bytes) -> list[tuple[float, int]]:
    """(time, width) of each picture of a clip."""
    with av.open(io.BytesIO(clip), "r") as file:
        return [(float(frame.time or 0), frame.width) for frame in file.decode(video=0)]


@pytest.mark.parametrize(("codec", "container"), [("h264", "mp4"), ("vp8", "webm")])
def test_a_clip_of_what_was_received(codec: LiveCodec, container: str) -> None:
    receiver, keeper = Receiver(), PacketKeeper(20.0, 2**24)
    assert keep_received(receiver, keeper)
    feed(receiver, codec, sent(codec, 3 * RATE))
    kept = keeper.copy()
    assert kept is not None
    head, packets = kept
    assert clip_container(head) == container
    assert len(packets) == 3 * RATE
    found = shown(clip_bytes(head, packets))
    assert len(found) == 3 * RATE
    assert found[0][0] == 0
    assert found[-1][0] == pytest.approx(3 - 1 / RATE, abs=0.01)
    with av.open(io.BytesIO(clip_bytes(head, packets)), format=container) as file:
        assert file.streams.video[0].codec_context.codec.canonical_name == codec


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_keyframes_are_asked_for_where_none_come(codec: LiveCodec) -> None:
    """And so the ring forgets what is old, instead of all it has once it is full."""
    receiver, keeper = Receiver(), PacketKeeper(2.0, 2**24)
    keep_received(receiver, keeper, keyframe_seconds=1.0)
    asked = feed(receiver, codec, sent(codec, 6 * RATE, keyframes=(3 * RATE,)))
    assert [n for n, now in enumerate(asked) if now] == [RATE, 2 * RATE, 4 * RATE, 5 * RATE]
    kept = keeper.copy()
    assert kept is not None
    assert kept[1][0].pts == 3 * 90_000
    assert kept[1][0].base == Fraction(1, 90_000)


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_publisher_may_change_the_size(codec: LiveCodec) -> None:
    receiver, keeper = Receiver(), PacketKeeper(20.0, 2**24)
    keep_received(receiver, keeper)
    small, large = sent(codec, RATE), sent(codec, RATE, size=(640, 480))
    for each in large:
        each.timestamp += 90_000
    feed(receiver, codec, small + large)
    kept = keeper.copy()
    assert kept is not None
    assert {width for _, width in shown(clip_bytes(*kept))} == {320, 640}


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_rubbish_ends_clips_and_nothing_else(codec: LiveCodec) -> None:
    receiver, keeper = Receiver(), PacketKeeper(20.0, 2**24)
    keep_received(receiver, keeper)
    rubbish = b"\0\0\1\x67\0\0\1\x65" if codec == "h264" else b"\0\1\2"
    assert is_keyframe(codec, rubbish)
    feed(receiver, codec, [SimpleNamespace(data=rubbish, timestamp=0), SimpleNamespace(data=b"", timestamp=1)])
    feed(receiver, codec, sent(codec, 3))
    assert keeper.copy() is None


def test_other_codecs_and_the_end_pass_through() -> None:
    receiver, keeper = Receiver(), PacketKeeper(20.0, 2**24)
    keep_received(receiver, keeper)
    feed(receiver, "opus", [SimpleNamespace(data=b"\1\2", timestamp=0)])  # type: ignore[arg-type]  # not one of them
    receiver.decoder.put(None)
    assert receiver.decoder.get() is None
    assert keeper.copy() is None


def test_an_aiortc_that_is_not_known_has_no_clips(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="streamguard"):
        assert not keep_received(SimpleNamespace(), PacketKeeper(1.0, 1000))  # type: ignore[arg-type]  # lacks everything
    assert "no clips" in caplog.text


def test_what_a_keyframe_is() -> None:
    for codec in ("h264", "vp8"):
        pictures = sent(codec, 10, keyframes=(4,))
        assert [n for n, each in enumerate(pictures) if is_keyframe(codec, each.data)] == [0, 4]
    assert not is_keyframe("h264", b"\0\0\1\x65alone")
