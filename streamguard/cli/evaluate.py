"""`streamguard evaluate`: measure a detector on labelled clips."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streamguard.cli.runner import check_writable, console, notes, run
from streamguard.errors import StreamguardError


def evaluate(
    pairs: Annotated[
        Path | None, typer.Option(help="Folder of side-by-side clips: left half real, right half fake.")
    ] = None,
    real: Annotated[Path | None, typer.Option(help="Folder of real clips.")] = None,
    fake: Annotated[Path | None, typer.Option(help="Folder of fake clips.")] = None,
    only: Annotated[str, typer.Option(help="Comma-separated persons (--pairs) or real clips (--real) to keep.")] = "",
    every: Annotated[int, typer.Option(min=1, help="Judge every n-th frame.")] = 1,
    json_out: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write every figure and frame.")
    ] = None,
    html_out: Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write a report to read.")] = None,
    model: Annotated[str, typer.Option(help="Detector: a name, or the path of its folder.")] = "unet_v1",
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
) -> None:
    """Measure how well a detector does on labelled clips: AUC, precision, recall, Dice, with intervals.

    A clip that cannot be read is named and left out; its exit code is returned once the others are reported.
    """
    if (pairs is None) == (real is None and fake is None) or (real is None) != (fake is None):
        raise typer.BadParameter("give either --pairs, or --real and --fake", param_hint="--pairs")
    for out in (json_out, html_out):
        if out is not None:
            check_writable(out)
    kept = tuple(name.strip() for name in only.split(",") if name.strip())
    run(lambda: _evaluate(pairs, real, fake, kept, every, json_out, html_out, model, engine))


async def _evaluate(
    pairs: Path | None,
    real: Path | None,
    fake: Path | None,
    only: tuple[str, ...],
    every: int,
    json_out: Path | None,
    html_out: Path | None,
    model: str,
    engine: str | None,
) -> int:
    from streamguard.pipeline.guard import Guard
    from streamguard.training.evaluation.report import write_html, write_json
    from streamguard.training.evaluation.summary import summarise
    from streamguard.training.evaluation.table import group_table, headline_table, unjudged_table
    from streamguard.training.measure import Clip, labelled_clips, measure, pair_clips

    if pairs is not None:
        clips = pair_clips(pairs, only)
        remark = f"Side-by-side clips: left half real, right half fake{'; only ' + ', '.join(only) if only else ''}."
    else:
        assert real is not None
        assert fake is not None
        clips = labelled_clips(real, fake, only)
        remark = "Real and fake clips of different sources: sizes and codecs differ, so read with care."
    failures: list[tuple[Clip, StreamguardError]] = []
    guard = await asyncio.to_thread(Guard.open, model, engine)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with guard:
        with Progress(*columns, console=notes, transient=True) as progress:
            task = progress.add_task("clips", total=len(clips))
            done: set[str] = set()

            def advance(clip: Clip, frames: int) -> None:
                done.add(clip.name)
                progress.update(task, completed=len(done) - 1, description=f"{clip.name}, frame {frames}")

            def skipped(clip: Clip, error: StreamguardError) -> None:
                done.add(clip.name)
                failures.append((clip, error))
                text = f"streamguard: {clip.name} left out: {error}"
                notes.print(text, style="red", markup=False, highlight=False, soft_wrap=True)

            evaluation = await measure(guard, clips, every=every, notes=[remark], advance=advance, skipped=skipped)
    if failures:
        names = ", ".join(clip.name for clip, _ in failures)
        evaluation = replace(evaluation, notes=(*evaluation.notes, f"Left out, as they could not be read: {names}."))
    summary = await asyncio.to_thread(summarise, evaluation)
    console.print(headline_table(evaluation, summary))
    console.print(group_table(summary))
    console.print(unjudged_table(summary))
    if json_out is not None:
        await asyncio.to_thread(write_json, evaluation, summary, json_out)
    if html_out is not None:
        await asyncio.to_thread(write_html, evaluation, summary, html_out)
    return failures[0][1].exit_code if failures else 0
