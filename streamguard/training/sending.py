"""Simulation of a call or site that recodes a clip: smaller, H.264 at a bit rate, JPEG per frame."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from streamguard.errors import DataError
from streamguard.media import Recoder, picture_from_rgb, rgb_of
from streamguard.training.augment import jpeg
from streamguard.training.parts import scaled
from streamguard.types import Picture

T = TypeVar("T")

CONDITIONS = "250k,1M,4M,240p,360p,480p,720p,q30,q50,q70,q85,q95"
"""Argument of `parse_sendings` for the usual robustness curves."""
SIZE_CRF = 23
_BIT_RATE = re.compile(r"(\d+(?:\.\d+)?)([kM])")
_HEIGHT = re.compile(r"(\d+)p")
_QUALITY = re.compile(r"q(\d+)")


@dataclass(frozen=True, slots=True)
class Sending:
    """One way of sending a clip.

    Attributes:
        name: as a person writes it: `250k`, `360p`, `250k@360p`, `q50`.
        height: the shorter side of the picture that is sent, in pixels; None leaves the size.
        bit_rate: bits per second of H.264; None with a height: constant quality (x264's 23), so that size alone
            differs.
        quality: of JPEG, 1..100, frame by frame; None sends no JPEG.
    """

    name: str
    height: int | None = None
    bit_rate: int | None = None
    quality: int | None = None

    def size(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height as sent, even where they change; None where the picture is not larger than asked."""
        if self.height is None:
            return width, height
        shorter = min(width, height)
        if shorter <= self.height:
            return None
        factor = self.height / shorter
        return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)


def parse_sendings(text: str) -> tuple[Sending, ...]:
    """The conditions of a comma-separated list, each once, in its order.

    Args:
        text: `250k` or `4M` (H.264 at that bit rate), `360p` (scaled down), both as `250k@360p`, `q50` (JPEG).

    Raises:
        DataError: an item is none of these, or out of range.
    """
    names = dict.fromkeys(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise DataError("robustness", "no condition is named", f"give some of {CONDITIONS}")
    return tuple(_parse(name) for name in names)


def _parse(name: str) -> Sending:
    sending = Sending(name)
    parts = name.split("@")
    rate, height = _BIT_RATE.fullmatch(parts[0]), _HEIGHT.fullmatch(parts[-1])
    if rate is not None:
        sending = replace(sending, bit_rate=round(float(rate[1]) * (1000 if rate[2] == "k" else 1_000_000)))
    if height is not None:
        sending = replace(sending, height=int(height[1]))
    if len(parts) == 1 and (found := _QUALITY.fullmatch(name)) is not None:
        sending = replace(sending, quality=int(found[1]))
    known = (sending.bit_rate, sending.height, sending.quality)
    if sum(value is not None for value in known) != len(parts):
        raise DataError("robustness", f"{name!r} is no condition", "write 250k, 4M, 360p, 250k@360p or q50")
    for value, low, high, unit in zip(
        known, (10_000, 64, 1), (100_000_000, 8192, 100), ("bit/s", "lines", "of JPEG's 100"), strict=True
    ):
        if value is not None and not low <= value <= high:
            raise DataError("robustness", f"{name!r} is outside {low} to {high} {unit}", "choose another value")
    return sending


class ClipSender:
    """Sends one clip's pictures; each comes back with what it was handed over with.

    Args:
        sending: how.
        rate: frames per second of the clip, above 0.
    """

    def __init__(self, sending: Sending, rate: float) -> None:
        self._sending, self._rate = sending, rate
        self.bytes = 0
        """Bytes sent so far, of H.264 only."""

    def through(self, pictures: Iterable[tuple[T, Picture]]) -> Iterator[tuple[T, Picture]]:
        """The pictures as they arrive, in order.

        Raises:
            UnsupportedMedia: the encoder refuses them.
            DataError: they are not larger than the size asked for.
        """
        sending = self._sending
        if sending.quality is not None:
            for key, picture in pictures:
                yield key, _as_jpeg(picture, sending.quality)
            return
        waiting: deque[T] = deque()
        recoder: Recoder | None = None
        for key, picture in pictures:
            size = sending.size(picture.width, picture.height)
            if size is None:
                raise DataError(sending.name, "the picture is not larger than that", "send larger clips")
            small = scaled(picture, *size)
            if recoder is None:
                crf = SIZE_CRF if sending.bit_rate is None else None
                recoder = Recoder(small, "h264", self._rate, bit_rate=sending.bit_rate, crf=crf)
            waiting.append(key)
            for arrived in recoder.push(small):
                yield waiting.popleft(), arrived
            self.bytes = recoder.bytes
        if recoder is not None:
            for arrived in recoder.finish():
                yield waiting.popleft(), arrived
            self.bytes = recoder.bytes
            if waiting:
                raise recoder.refusal()


def _as_jpeg(picture: Picture, quality: int) -> Picture:
    pixels = jpeg(rgb_of(picture), quality)
    return picture_from_rgb(pixels, matrix=picture.matrix, full_range=picture.full_range)
