"""Keyframes in pieces are joined; nothing else is held up, lost or put out of order."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from streamguard.media.keyframes import KeyframeJoiner
from tests.support.media_files import make_video


@pytest.fixture
def joiner(tmp_path: Path) -> Iterator[KeyframeJoiner]:
    with av.open(str(make_video(tmp_path / "a.mp4", frames=2))) as container:
        yield KeyframeJoiner(container.streams.video[0])


def packet(data: str, time: int | None, *, key: bool = False) -> Any:
    made = av.Packet(data.encode())
    made.pts, made.dts, made.time_base, made.is_keyframe = time, time, Fraction(1, 90_000), key
    return made


def told(packets: list[Any]) -> list[tuple[str, int | None]]:
    return [(bytes(each).decode(), each.pts) for each in packets]


def test_whole_keyframes_are_late_once_at_the_most(joiner: KeyframeJoiner) -> None:
    assert told(joiner.push(packet("K", None, key=True))) == []
    assert told(joiner.push(packet("a", 10))) == [("K", None), ("a", 10)]
    assert told(joiner.push(packet("b", 20))) == [("b", 20)]
    assert told(joiner.push(packet("L", 30, key=True))) == [("L", 30)]


def test_pieces_are_joined_each_time(joiner: KeyframeJoiner) -> None:
    # The first packet of all has no time.
    for piece, time in (("K", None), ("k", 0), ("k", 0)):
        assert joiner.push(packet(piece, time, key=True)) == []
    whole, after = joiner.push(packet("a", 10))
    assert told([whole, after]) == [("Kkk", 0), ("a", 10)]
    assert whole.is_keyframe
    assert whole.time_base == Fraction(1, 90_000)
    assert told(joiner.push(packet("b", 20))) == [("b", 20)]
    assert joiner.push(packet("L", 30, key=True)) == []
    assert joiner.push(packet("l", 30, key=True)) == []
    # One whole keyframe in between changes nothing, and two in a row do not mix.
    assert told(joiner.push(packet("M", 40, key=True))) == [("Ll", 30)]
    assert told(joiner.push(packet("N", 50, key=True))) == [("M", 40)]
    assert joiner.push(packet("n", 50, key=True)) == []
    assert told(joiner.push(packet("c", 60))) == [("Nn", 50), ("c", 60)]


def test_a_stream_that_begins_in_the_middle_of_a_group(joiner: KeyframeJoiner) -> None:
    assert told(joiner.push(packet("a", None))) == [("a", None)]
    assert told(joiner.push(packet("b", 10))) == [("b", 10)]
    assert joiner.push(packet("K", 20, key=True)) == []
    assert joiner.push(packet("k", 20, key=True)) == []
    assert told(joiner.push(packet("c", 30))) == [("Kk", 20), ("c", 30)]


def test_the_end_brings_out_what_is_held(joiner: KeyframeJoiner) -> None:
    joiner.push(packet("K", None, key=True))
    joiner.push(packet("k", 0, key=True))
    assert told(joiner.push(packet("", None))) == [("Kk", 0), ("", None)]
