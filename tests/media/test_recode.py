"""Through a codec and back: the same pictures, a little worse."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pytest

from streamguard.errors import UnsupportedMedia
from streamguard.media import picture_from_rgb, recode
from streamguard.media.recode import Codec
from streamguard.types import Picture
from tests.support.media_files import index_of, picture

CODECS = get_args(Codec)


def pictures(count: int, size: tuple[int, int] = (160, 120), **kind: Any) -> list[Picture]:
    return [picture_from_rgb(picture(i, *size), **kind) for i in range(count)]


def error(before: list[Picture], after: list[Picture]) -> float:
    pairs = zip(before, after, strict=True)
    return float(np.mean([np.abs(a.y.astype(int) - b.y).mean() for a, b in pairs]))


@pytest.mark.parametrize("size", [(160, 120), (161, 119)])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("quality", [{}, {"crf": 20}, {"bit_rate": 300_000}])
def test_count_order_size_and_colours_are_kept(codec: Codec, size: tuple[int, int], quality: dict[str, int]) -> None:
    before = pictures(25, size, matrix="bt709", full_range=True)
    after = recode(before, codec, 25, **quality)
    assert len(after) == 25
    for a, b in zip(before, after, strict=True):
        assert (a.y.shape, a.u.shape, a.v.shape) == (b.y.shape, b.u.shape, b.v.shape)
        assert (b.matrix, b.full_range) == ("bt709", True)
    assert 0 < error(before, after) < 12
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        assert error([a], [b]) < error([before[(i + 3) % 25]], [b])


@pytest.mark.parametrize(("codec", "good", "bad"), [("h264", 10, 45), ("mpeg4", 2, 31), ("vp8", 6, 60)])
def test_quality_is_heeded(codec: Literal["h264", "mpeg4", "vp8"], good: int, bad: int) -> None:
    before = pictures(12)
    assert error(before, recode(before, codec, 25, crf=good)) < error(before, recode(before, codec, 25, crf=bad))


@pytest.mark.parametrize("codec", CODECS)
def test_bit_rate_is_heeded(codec: Codec) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (12, 120, 160, 3), np.uint8)
    before = [picture_from_rgb(rgb) for rgb in noise]
    high, low = (error(before, recode(before, codec, 25, bit_rate=rate)) for rate in (4_000_000, 100_000))
    assert high < low


@pytest.mark.parametrize("codec", CODECS)
def test_one_picture_and_none(codec: Codec) -> None:
    assert recode([], codec, 25) == []
    (single,) = recode(pictures(1), codec, 29.97)
    assert index_of(single.y) == 0


def test_what_cannot_be_recoded() -> None:
    with pytest.raises(ValueError, match="not both"):
        recode(pictures(1), "h264", 25, bit_rate=1, crf=1)
    with pytest.raises(ValueError, match="differ in size"):
        recode([*pictures(1), *pictures(1, (64, 48))], "h264", 25)
    with pytest.raises(UnsupportedMedia):
        recode(pictures(1, (20_000, 2)), "h264", 25)
