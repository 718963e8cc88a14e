"""`streamguard capacity`: how many streams this machine can judge, and why not more."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from streamguard.cli.progress import Tell, with_bar
from streamguard.cli.runner import console, notes, run

if TYPE_CHECKING:
    from streamguard.pipeline.guard import Guard
    from streamguard.pipeline.measure import Survey
    from streamguard.types import Picture

CLIP_SECONDS = 4.0
_SIZE = re.compile(r"([1-9]\d{1,3})x([1-9]\d{1,3})")


def capacity(
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Of the streams' pictures.")] = "1280x720",
    rate: Annotated[float, typer.Option(min=1.0, max=120.0, help="Frames per second that come.")] = 25.0,
    faces: Annotated[int, typer.Option(min=0, max=16, help="In each picture.")] = 1,
    judged: Annotated[float, typer.Option(min=0.1, max=120.0, help="Frames per second to be judged of each.")] = 5.0,
    clip: Annotated[Path | None, typer.Option(help="Measure with this video in place of one of these values.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds that are measured.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout in place of the tables.")] = False,
    model: Annotated[str, typer.Option(help="Detector, as named by `streamguard doctor`.")] = "unet_lite0",
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
) -> None:
    """Measure how many live streams can be judged here, and say what runs out first.

    Plays more streams than the machine can judge for some seconds, and divides what there is by what each one took.
    """
    match = _SIZE.fullmatch(size)
    if match is None:
        raise typer.BadParameter("write it as 1280x720", param_hint="--size")
    # 4:2:0 pictures have even sides.
    width, height = (int(side) // 2 * 2 for side in match.groups())
    run(lambda: _capacity(width, height, rate, faces, judged, clip, seconds, as_json, model, engine))


async def _capacity(
    width: int,
    height: int,
    rate: float,
    faces: int,
    judged: float,
    clip: Path | None,
    seconds: float,
    as_json: bool,
    model: str,
    engine: str | None,
) -> int:
    from streamguard.media import open_source
    from streamguard.pipeline.guard import Guard
    from streamguard.pipeline.measure import survey

    what = f"{width}x{height} at {rate:g} frames/s with {faces} face{'' if faces == 1 else 's'}"
    if clip is not None:
        with open_source(clip) as source:
            shown = f" at {source.average_rate:g} frames/s" if source.average_rate else ""
            what = f"{source.width}x{source.height}{shown} ({clip.name})"
    with tempfile.TemporaryDirectory() as folder:
        async with Guard.open(model, engine) as guard:
            if clip is None:
                clip = Path(folder) / "faces.mp4"
                await with_bar("making a clip", partial(write_faces_clip, clip, width, height, rate, faces))
            with Progress(console=notes, transient=True) as bar:
                task = bar.add_task("measuring", total=None)
                found = await survey(guard, clip, seconds, lambda share: bar.update(task, total=1.0, completed=share))
    told = document(found, guard, what, judged)
    if as_json:
        console.print_json(json.dumps(told))
    else:
        for table in tables(told):
            console.print(table)
    return 0


def document(found: Survey, guard: Guard, what: str, judged: float) -> dict[str, Any]:
    """Return the findings as JSON values; times in milliseconds."""
    from streamguard.pipeline.capacity import ADMITTED_RATE, most_streams, scarce
    from streamguard.pipeline.cpu_usage import processors

    cost, means = found.cost, found.means

    def fits(rate: float) -> dict[str, Any]:
        return {
            "judged_per_second": rate,
            "streams": most_streams(cost, means, rate),
            "scarce": scarce(cost, means, rate),
        }

    return {
        "schema": "streamguard.capacity/1",
        "streams": what,
        "model": guard.model_label,
        "engine": guard.engine_label,
        "processors": round(means.processors, 3),
        "processors_usable": round(processors(), 3),
        "cost": {
            "stream_ms_per_second": round(cost.stream * 1e3, 2),
            "frame_ms": round(cost.frame * 1e3, 2),
            "detection_ms": round(cost.detection * 1e3, 2),
            "engine_ms_per_frame": round(cost.engine * 1e3, 2),
        },
        "measured": {
            "streams": found.streams,
            "judged_frames_per_second": round(sum(found.rates), 2),
            "least": round(min(found.rates), 2),
            "most": round(max(found.rates), 2),
            "latency_p95_ms": round(found.latency * 1e3, 1) if math.isfinite(found.latency) else None,
            "saturated": found.contended > 0.5,
        },
        "fits": [fits(judged), *([fits(ADMITTED_RATE)] if judged > ADMITTED_RATE else [])],
    }


def tables(told: dict[str, Any]) -> Iterator[Table]:
    """Return the document as tables for people."""
    cost, measured = told["cost"], told["measured"]
    table = Table(title=f"Streams of {told['streams']}", title_justify="left")
    for column in ("judged frames/s each", "streams that fit", "what runs out"):
        table.add_column(column, justify="right")
    for each in told["fits"]:
        table.add_row(f"{each['judged_per_second']:g}", str(each["streams"]), each["scarce"])
    if len(told["fits"]) > 1:
        table.caption = "the last line is where `streamguard serve` refuses one more"
    yield table
    why = Table(title="What was measured", title_justify="left", show_header=False)
    why.add_column()
    why.add_column(justify="right")
    why.add_row("processors to be had for judging", f"{told['processors']:.2f} of {told['processors_usable']:g}")
    why.add_row("a stream, decoded all the time", f"{cost['stream_ms_per_second']:.1f} ms a second")
    why.add_row("a judged frame, without finding faces", f"{cost['frame_ms']:.1f} ms")
    why.add_row("finding faces, once", f"{cost['detection_ms']:.1f} ms")
    why.add_row("the engine's time per judged frame", f"{cost['engine_ms_per_frame']:.1f} ms")
    rates = f"{measured['judged_frames_per_second']:.1f} ({measured['least']:.2f} to {measured['most']:.2f} each)"
    why.add_row(f"judged frames/s of {measured['streams']} streams at once", rates)
    if measured["latency_p95_ms"] is not None:
        why.add_row("their latency, 95th percentile", f"{measured['latency_p95_ms']:.0f} ms")
    why.caption = f"{told['model']} on {told['engine']}"
    if not measured["saturated"]:
        why.caption += "; the machine was not busy all the time: it may do more"
    yield why


def write_faces_clip(path: Path, width: int, height: int, rate: float, faces: int, tell: Tell | None = None) -> None:
    """A clip of so many portraits side by side, as H.264 in mp4.

    Args:
        path: the file to write.
        width, height: even, in pixels.
        rate: frames per second.
        faces: 0 for a grey picture with some noise.
        tell: called with the share that is written, 0..1, after each picture; what it raises ends it, without a file.

    Raises:
        OutputError: it cannot be written.
    """
    from streamguard.media import Mp4Writer

    with Mp4Writer(path, width, height, rate, crf=22) as writer:
        for index, picture in enumerate(_pictures(width, height, rate, faces)):
            writer.write(picture, index / rate)
            if tell is not None:
                tell((index + 1) / (CLIP_SECONDS * rate))


def _pictures(width: int, height: int, rate: float, faces: int) -> Iterator[Picture]:
    import numpy as np

    from streamguard.training.portrait_clip import portrait_frames
    from streamguard.types import Picture

    columns = math.ceil(math.sqrt(faces)) if faces else 1
    rows = math.ceil(faces / columns) if faces else 1
    wide, high = width // columns // 2 * 2, height // rows // 2 * 2
    random = np.random.default_rng(0)
    # Each face moves in its own way.
    tiles = [portrait_frames(CLIP_SECONDS, None, rate, wide, high, seed) for seed in range(faces)]
    for _ in range(round(CLIP_SECONDS * rate)):
        luma = random.integers(120, 136, (height, width), np.uint8)
        u, v = (np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8) for _ in range(2))
        for place, tile in enumerate(tiles):
            picture = next(tile)
            top, left = place // columns * high, place % columns * wide
            luma[top : top + high, left : left + wide] = picture.y
            for plane, part in ((u, picture.u), (v, picture.v)):
                plane[top // 2 : (top + high) // 2, left // 2 : (left + wide) // 2] = part
        yield Picture(luma, u, v)
