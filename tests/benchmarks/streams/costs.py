"""What streams and faces cost, as a plot: `python -m tests.benchmarks.streams.costs --out costs.png`.

Processor time and memory of `streamguard serve` against the number of 720p25 streams of one face, and against the
number of faces of one stream, each judged five times a second.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from streamguard.cli.capacity import write_faces_clip
from streamguard.cli.runner import console
from streamguard.models import DEFAULT_MODEL
from tests.benchmarks.streams.__main__ import HEIGHT, LIMITS, RATE, WIDTH, ground_of
from tests.benchmarks.streams.contest import contestant
from tests.support.command import run_command

_WARM_UP = 4.0


@dataclass(frozen=True, slots=True)
class Point:
    """One trial: how many, processors in use, pictures judged a second of the slowest stream, megabytes."""

    count: int
    processors: float
    judged: float
    memory: float


async def measure(
    folder: Path, model: str, seconds: float, streams: Sequence[int], faces: Sequence[int]
) -> tuple[list[Point], list[Point]]:
    """Points by streams, and by faces."""
    who, found = contestant("streamguard"), []
    for counts, axis in ((streams, "streams"), (faces, "faces")):
        points = []
        for count in counts:
            clip = folder / f"{axis}{count}.mp4"
            write_faces_clip(clip, WIDTH, HEIGHT, RATE, count if axis == "faces" else 1)
            ground = await asyncio.to_thread(ground_of, clip, model, None, seconds, _WARM_UP, LIMITS, 1)
            one = await ground.trial(who, count if axis == "streams" else 1)
            point = Point(count, one.cpu * ground.cores, min(one.judged), one.memory)
            console.print(f"{count} {axis}: {point}", highlight=False)
            points.append(point)
        found.append(points)
    return found[0], found[1]


def slope(points: Sequence[Point], value: str) -> tuple[float, float]:
    """What each one more costs, and what there is without any, by least squares."""
    rising, base = np.polyfit([each.count for each in points], [getattr(each, value) for each in points], 1)
    return float(rising), float(base)


def draw(path: Path, streams: Sequence[Point], faces: Sequence[Point]) -> None:
    """Write the plot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes: Any = figure.subplots(1, 3)
    panels = (("streams", streams, "processors"), ("faces in the picture", faces, "processors"))
    for axis, (name, points, value) in zip(axes, (*panels, ("streams", streams, "memory")), strict=True):
        counts = [each.count for each in points]
        axis.plot(counts, [getattr(each, value) for each in points], "o", color="#c2410c")
        rising, base = slope(points, value)
        axis.plot(counts, [base + rising * each for each in counts], color="#475569", linewidth=1)
        unit = "processors" if value == "processors" else "MB"
        axis.set(xlabel=name, ylabel=unit, title=f"{rising:.3g} {unit} each", ylim=(0, None))
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main(
    out: Annotated[Path, typer.Option(help="The plot, PNG.")],
    model: Annotated[str, typer.Option(help="Detector.")] = DEFAULT_MODEL,
    seconds: Annotated[float, typer.Option(min=1.0, help="Measured of each trial.")] = 8.0,
    streams: Annotated[str, typer.Option(help="Numbers of streams, with commas.")] = "1,2,3,4,6",
    faces: Annotated[str, typer.Option(help="Numbers of faces, with commas.")] = "1,2,5,10",
) -> None:
    """Measure, print, draw."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = [[int(each) for each in text.split(",")] for text in (streams, faces)]
        by_streams, by_faces = asyncio.run(measure(Path(folder), model, seconds, *wanted))
    draw(out, by_streams, by_faces)


if __name__ == "__main__":
    run_command(main)
