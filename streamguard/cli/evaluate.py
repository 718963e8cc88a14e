"""`streamguard evaluate`: measure a detector on the clips and pictures of a manifest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from streamguard.cli.runner import STDOUT, check_writable, console, notes, run, write_report

if TYPE_CHECKING:
    from streamguard.errors import StreamguardError
    from streamguard.pipeline.guard import Guard
    from streamguard.training.clips import Clip
    from streamguard.training.evaluation.gallery import Gallery
    from streamguard.training.evaluation.records import Evaluation, FrameRecord
    from streamguard.training.evaluation.sheets import Cell, Sheet
    from streamguard.training.manifest import Split
    from streamguard.training.sending import Sending
    from streamguard.types import FaceVerdict

_TOLD = 3
"""Things left out for one reason that are named in the terminal."""


def evaluate(
    manifest: Annotated[
        Path, typer.Option(help="Tab-separated manifest, as `streamguard manifest` writes it.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Option(help="Data root that the manifest's files are relative to.", show_default=False)
    ],
    detector: Annotated[str, typer.Argument(help="A name, or the path of its folder.")] = "unet_lite0",
    sets: Annotated[str, typer.Option(help="Comma-separated sets; default: all.")] = "",
    split: Annotated[str, typer.Option(help="Side of the manifest: `validation` or `train`.")] = "validation",
    most: Annotated[
        int, typer.Option(min=0, help="Most rows of each set, program and label, evenly sampled; 0: all.")
    ] = 0,
    every: Annotated[int, typer.Option(min=1, help="Judge every n-th frame of clips.")] = 1,
    robustness: Annotated[
        str, typer.Option(metavar="LIST", help="Judge the clips as sent, too: `all`, or 250k,1M,360p,250k@360p,q50.")
    ] = "",
    gallery: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the worst errors as pictures (they show faces).")
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Leave small and blurred faces unjudged, as live.")
    ] = True,
    json_out: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write every figure and frame; `-` for stdout.")
    ] = None,
    html_out: Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write a report to read.")] = None,
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    onnx: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Another network, in the detector's place; needs --layout.")
    ] = None,
    layout: Annotated[str, typer.Option(help="Network input: nchw|nhwc, rgb|bgr, 01|255, as in nchw-rgb-01.")] = "",
    mean: Annotated[str, typer.Option(help="Taken off its pictures, as in 0.485,0.456,0.406.")] = "",
    std: Annotated[str, typer.Option(help="Divides its pictures, as in 0.229,0.224,0.225.")] = "",
    output: Annotated[str, typer.Option(help="Network output: logit, probability, mask, mask-logit.")] = "probability",
    fake_class: Annotated[int, typer.Option(min=0, max=1, help="Which of its two classes is fake.")] = 1,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Its probability above which it says fake.")] = 0.5,
    margin: Annotated[
        float, typer.Option(min=1, max=3, help="Crop's side as a multiple of the face box's longer side.")
    ] = 1.4,
) -> None:
    """Measure a detector by set and program: AUC, recall, Dice, false alarms, time to alert, with intervals.

    What cannot be read is named and left out; the exit code of the first is returned once the others are reported.
    """
    if (onnx is None) != (not layout):
        raise typer.BadParameter("--onnx and --layout belong together", param_hint="--layout")
    if split not in {"validation", "train"}:
        raise typer.BadParameter("`validation` or `train`", param_hint="--split")
    for out in (json_out, html_out):
        if out not in {None, STDOUT}:
            check_writable(out)
    from streamguard.errors import DataError
    from streamguard.training.clips import chosen_clips
    from streamguard.training.evaluation.gallery import Gallery, check_gallery
    from streamguard.training.judge import OnnxNetwork, open_guard
    from streamguard.training.manifest import read_manifest
    from streamguard.training.sending import CONDITIONS, parse_sendings

    sendings = parse_sendings(CONDITIONS if robustness == "all" else robustness) if robustness else ()
    wanted = [name.strip() for name in sets.split(",") if name.strip()]
    side: Split = "train" if split == "train" else "validation"
    clips = chosen_clips(read_manifest(manifest), data, split=side, sets=wanted, most=most)
    if sendings and not any(clip.row.is_clip for clip in clips):
        raise DataError("--robustness", "there is no clip in these sets", "leave it out, or choose other sets")
    if gallery is not None:
        check_gallery(gallery, [data])
    remarks = [f"The side `{split}` of {manifest.name}: {', '.join(sorted({clip.row.set for clip in clips}))}."]
    if most:
        remarks.append(f"At most {most} rows of each set, program and label, evenly taken.")
    if every > 1:
        remarks.append(f"One frame in {every} of clips was judged; the others had no vote.")
    if not gate:
        remarks.append("The quality gate was open: small and blurred faces were judged, too.")
    network = None
    if onnx is not None:
        network = OnnxNetwork(onnx, layout, mean, std, output, fake_class, threshold, margin)
        remarks.append(f"The network is {onnx.name}; faces are those that the gate of {detector} lets through.")

    async def work() -> int:
        guard = await asyncio.to_thread(open_guard, detector, engine, network, gated=gate)
        async with guard:
            errors = Gallery(gallery, guard.spec.threshold) if gallery is not None else None
            with _Watcher(len(clips) + len(sendings) * sum(clip.row.is_clip for clip in clips), errors) as watcher:
                base = await watcher.judged(guard, clips, every, None, remarks)
                names = {clip.name for clip in base.clips}
                readable = [clip for clip in clips if clip.name in names]
                sent = [await watcher.judged(guard, readable, every, each) for each in sendings]
        await asyncio.to_thread(_report, base, list(zip(sendings, sent, strict=True)), json_out, html_out)
        if errors is not None:
            written = len(errors.write())
            notes.print(f"{written} pictures in {gallery}. They show faces.", markup=False, highlight=False)
        return watcher.failures[0].exit_code if watcher.failures else 0

    run(work)


class _Watcher(Progress):
    """Shows how far it is, and names what is left out."""

    def __init__(self, total: int, errors: Gallery | None) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        super().__init__(*columns, console=notes, transient=True)
        self._bar, self._errors = self.add_task("clips", total=total), errors
        self._started: set[str] = set()
        self._told: Counter[str] = Counter()
        self.failures: list[StreamguardError] = []

    async def judged(
        self, guard: Guard, clips: Sequence[Clip], every: int, sending: Sending | None, remarks: Sequence[str] = ()
    ) -> Evaluation:
        """The clips, judged as they are or as sent."""
        from streamguard.training.measure import measure

        way = f" as {sending.name}" if sending is not None else ""

        def keep(clip: Clip, frame: FrameRecord, face: FaceVerdict) -> None:
            # Sent clips err where the others do, and worse: they would crowd those out.
            if self._errors is not None and sending is None:
                self._errors.add(clip.name, clip.label, frame, face)

        def advance(clip: Clip, frames: int) -> None:
            self._started.add(clip.name + way)
            what = f"{clip.name}{way}" + (f", frame {frames}" if clip.row.is_clip else "")
            self.update(self._bar, completed=len(self._started) - 1, description=what)

        def skipped(clip: Clip, error: StreamguardError) -> None:
            self._started.add(clip.name + way)
            self.failures.append(error)
            self._told[error.cause] += 1
            if self._told[error.cause] <= _TOLD:
                text = f"streamguard: {clip.name}{way} left out: {error}"
                notes.print(text, style="red", markup=False, highlight=False, soft_wrap=True)

        return await measure(
            guard, clips, every=every, sending=sending, notes=remarks, advance=advance, skipped=skipped, keep=keep
        )


def _report(
    base: Evaluation, sent: Sequence[tuple[Sending, Evaluation]], json_out: Path | None, html_out: Path | None
) -> None:
    from dataclasses import replace

    from streamguard.training.evaluation.report import json_report, write_html
    from streamguard.training.evaluation.robustness import condition
    from streamguard.training.evaluation.sheets import sheets
    from streamguard.training.evaluation.summary import summarise
    from streamguard.training.evaluation.wording import DISCLAIMER
    from streamguard.training.sending import Sending

    summary = summarise(base)
    unsent = replace(base, clips=tuple(clip for clip in base.clips if not clip.still))
    every = [(Sending("as they are"), unsent), *sent] if sent else []
    conditions = [condition(sending, base, each) for sending, each in every]
    if json_out != STDOUT:
        console.print(f"{base.model} on {base.engine}", style="bold", markup=False, highlight=False)
        for sheet in sheets(base, summary, conditions):
            console.print(sheet_table(sheet))
        console.print(DISCLAIMER, markup=False, highlight=False)
    if json_out is not None:
        write_report(json_out, json_report(base, summary, conditions))
    if html_out is not None:
        write_html(base, summary, html_out, conditions)


def sheet_table(sheet: Sheet) -> Table:
    """The sheet; names from outside are no markup."""
    table = Table(
        title=Text(sheet.title),
        caption=Text(sheet.remark),
        title_justify="left",
        caption_justify="left",
        padding=(0, 1),
    )
    for index, head in enumerate(sheet.heads):
        table.add_column(head, justify="right" if index else "left", overflow="fold")
    for row in sheet.rows:
        table.add_row(*map(_text, row))
    return table


def _text(cell: Cell) -> Text:
    from streamguard.training.evaluation.metrics import Figure
    from streamguard.training.evaluation.wording import NONE, number

    if isinstance(cell, Figure):
        if cell.value is None:
            return Text(NONE, style="dim")
        spread = "" if cell.low is None or cell.high is None else f"{cell.low:.2f}\N{EN DASH}{cell.high:.2f}"
        cell = number(cell.value), spread
    over, under = (cell, "") if isinstance(cell, str) else cell
    return Text(over).append(f"\n{under}", style="dim") if under else Text(over)
