"""How often a person's track changes its number, by the rate at which a live stream is judged.

python -m tests.benchmarks.identity --rates 2,5,10,25 CLIP [CLIP ...]

With `--crossing` the people of two clips change places, one passing in front of the other. A switch is a number of a
judged face more than there are people.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from streamguard.cli.runner import console
from streamguard.faces import FaceFinder, QualityGate
from streamguard.faces.detector import CenterFaceDetector
from streamguard.media import open_source
from streamguard.media.picture import picture_from_rgb, rgb_of
from streamguard.models import CROP_MARGIN
from streamguard.types import Frame, Picture, UInt8Array
from tests.support.command import run_command

_HEIGHT = 360
_LIMITS = QualityGate(smallest_face=24, least_sharpness=0, least_inside=0.5)


def main(
    clips: Annotated[list[Path], typer.Argument(help="Videos of people who stay in the picture.")],
    rates: Annotated[str, typer.Option(help="Judged frames a second, with commas.")] = "2,5,10,25",
    people: Annotated[int, typer.Option(min=1, help="That each clip shows all the time.")] = 1,
    crossing: Annotated[bool, typer.Option(help="Two clips' people change places, again and again.")] = False,
    seconds: Annotated[float, typer.Option(help="Of each clip at the most.")] = 20.0,
) -> None:
    """Print identity switches a minute."""
    detector = CenterFaceDetector()
    together = list(itertools.pairwise(clips))[::2] if crossing else [(clip,) for clip in clips]
    there = 2 * people if crossing else people
    for rate in (float(each) for each in rates.split(",")):
        switches, length, shown = 0, 0.0, 0
        for files in together:
            numbers: set[int] = set()
            finder, due, last = FaceFinder(detector, _LIMITS, CROP_MARGIN), 0.0, 0.0
            for index, (time, picture) in enumerate(_pictures(files, seconds)):
                last = time
                if time < due - 0.001:
                    continue
                due = max(due + 1 / rate, time)
                found = finder.find(Frame("clip", 0, index, time, 0.0, picture), live=True)
                numbers |= {crop.face.track for crop in found.crops}
            if numbers:
                switches, length, shown = switches + max(0, len(numbers) - there), length + last, shown + 1
        told = f"{rate:g} judged/s: {switches} switches in {length / 60:.1f} min of {shown} clips"
        console.print(f"{told}, {switches / length * 60:.2f} a minute" if length else told)


def _pictures(files: Sequence[Path], seconds: float) -> Iterator[tuple[float, Picture]]:
    """Media time and picture; of two files, both in one, crossing."""
    with open_source(files[0]) as first:
        if len(files) == 1:
            for frame in first:
                if frame.time > seconds:
                    return
                yield frame.time, frame.picture
            return
        with open_source(files[1]) as second:
            for one, other in zip(first, second, strict=False):
                if one.time > seconds:
                    return
                front, back = (_low(rgb_of(each.picture)) for each in (one, other))
                yield one.time, picture_from_rgb(_crossed(front, back, one.time))


def _low(rgb: UInt8Array) -> UInt8Array:
    """At one height, its middle as wide as high."""
    zoom = _HEIGHT / len(rgb)
    low = cv2.resize(rgb, (round(rgb.shape[1] * zoom / 2) * 2, _HEIGHT), interpolation=cv2.INTER_AREA)
    side = min(_HEIGHT, low.shape[1])
    left = (low.shape[1] - side) // 2
    return np.asarray(low[:, left : left + side], dtype=np.uint8)


def _crossed(front: UInt8Array, back: UInt8Array, time: float) -> UInt8Array:
    """Both in a wide picture, which they walk through from side to side in four seconds, the first one in front."""
    whole = np.full((_HEIGHT, 3 * _HEIGHT, 3), 96, np.uint8)
    way = abs((time / 4) % 2 - 1)
    for person, share in ((back, 1 - way), (front, way)):
        left = round(share * (whole.shape[1] - person.shape[1]))
        whole[:, left : left + person.shape[1]] = person
    return whole


if __name__ == "__main__":
    run_command(main)
