"""Sending: what is asked for is what arrives, in order, and alike for every clip."""

from __future__ import annotations

import numpy as np
import pytest

from streamguard.errors import DataError
from streamguard.media import picture_from_rgb, rgb_of
from streamguard.training.sending import CONDITIONS, ClipSender, Sending, parse_sendings
from streamguard.types import Picture
from tests.support.media_files import index_of, picture
from tests.support.portraits import portrait_pictures


def pictures(count: int = 24, width: int = 160, height: int = 96) -> list[tuple[int, Picture]]:
    return [(i, picture_from_rgb(picture(i, width, height))) for i in range(count)]


def sent(
    text: str, given: list[tuple[int, Picture]], rate: float = 20.0
) -> tuple[list[tuple[int, Picture]], ClipSender]:
    sender = ClipSender(parse_sendings(text)[0], rate)
    return list(sender.through(iter(given))), sender


def test_conditions_are_read_each_once_in_order() -> None:
    assert parse_sendings("250k, 1.5M,360p,250k,250k@360p,q50") == (
        Sending("250k", bit_rate=250_000),
        Sending("1.5M", bit_rate=1_500_000),
        Sending("360p", height=360),
        Sending("250k@360p", height=360, bit_rate=250_000),
        Sending("q50", quality=50),
    )
    assert len(parse_sendings(CONDITIONS)) == 12


@pytest.mark.parametrize(
    "text", ["", " , ", "250", "k", "360", "q0", "q101", "8p", "1k", "360p@250k", "q50@360p", "1M@2M", "-1M"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="robustness"):
        parse_sendings(text)


def test_sizes_only_shrink_stay_even_and_go_by_the_shorter_side() -> None:
    small = Sending("240p", height=240)
    assert small.size(854, 480) == (428, 240)
    assert small.size(480, 853) == (240, 426)
    assert small.size(427, 241) == (426, 240)
    assert small.size(320, 240) is None
    assert Sending("1M", bit_rate=1_000_000).size(33, 21) == (33, 21)


@pytest.mark.parametrize("text", ["100k", "64p", "30k@64p", "q40"])
def test_every_picture_arrives_with_its_key(text: str) -> None:
    given = pictures()
    arrived, _ = sent(text, given)
    assert [key for key, _ in arrived] == [key for key, _ in given]
    for key, each in arrived:
        assert index_of(each.y) == key % 10
        assert (each.width, each.height) == ((106, 64) if "64p" in text else (160, 96))
        assert (each.matrix, each.full_range) == (given[0][1].matrix, given[0][1].full_range)


def test_fewer_bits_and_lower_quality_lose_more() -> None:
    given = list(enumerate(picture_from_rgb(rgb) for rgb in portrait_pictures(1.5)))

    def loss(text: str) -> float:
        arrived, _ = sent(text, given)
        return float(
            np.mean(
                [
                    np.abs(rgb_of(a).astype(float) - rgb_of(b)).mean()
                    for (_, a), (_, b) in zip(arrived, given, strict=True)
                ]
            )
        )

    assert loss("40k") > 1.3 * loss("200k") > 1.3 * loss("2M")
    assert loss("q20") > 1.3 * loss("q60") > 1.3 * loss("q95")


def test_the_bit_rate_is_nearly_reached_and_counted() -> None:
    given = list(enumerate(picture_from_rgb(rgb) for rgb in portrait_pictures(4.0)))
    _, sender = sent("150k", given)
    assert 90_000 < sender.bytes * 8 / 4 < 210_000
    assert sent("q50", given[:3])[1].bytes == 0


def test_equal_pictures_are_sent_equally() -> None:
    first, second = (sent("60k", pictures())[0] for _ in range(2))
    for (_, a), (_, b) in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.y, b.y)


def test_nothing_to_send_is_nothing_and_enlarging_is_refused() -> None:
    assert sent("1M", [])[0] == []
    with pytest.raises(DataError, match="not larger"):
        sent("480p", pictures(1))
