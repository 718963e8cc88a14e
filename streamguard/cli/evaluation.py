"""What `streamguard evaluate` does once its options are read."""

from __future__ import annotations

import asyncio
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streamguard.cli.runner import console, notes
from streamguard.errors import StreamguardError

if TYPE_CHECKING:
    from streamguard.pipeline.guard import Guard
    from streamguard.training.clips import Clip
    from streamguard.training.evaluation.gallery import Gallery
    from streamguard.training.evaluation.records import Evaluation, FrameRecord
    from streamguard.training.evaluation.robustness import Condition
    from streamguard.training.sending import Sending
    from streamguard.types import FaceVerdict

_NAMED = 8


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """The options of `training.judge.OnnxNetwork`, in its order, until that is worth loading."""

    path: Path
    layout: str
    mean: str
    std: str
    output: str
    fake_class: int
    threshold: float
    margin: float


@dataclass(frozen=True, slots=True)
class Judge:
    """Who judges: a detector, or the network in its place; and whether the quality gate holds."""

    model: str
    engine: str | None
    gate: bool
    onnx: OnnxOptions | None

    def open(self) -> Guard:
        """The guard; see `training.judge.open_guard`."""
        from streamguard.training.judge import OnnxNetwork, open_guard

        network = None if self.onnx is None else OnnxNetwork(*astuple(self.onnx))
        return open_guard(self.model, self.engine, network, gated=self.gate)

    def remarks(self) -> list[str]:
        """What a reader of the figures has to know of it."""
        said = [] if self.gate else ["The quality gate was open: small and blurred faces were judged, too."]
        if self.onnx is not None:
            said.append(
                f"The network is {self.onnx.path.name}; faces are those that the gate of {self.model} lets through."
            )
        return said


@dataclass(frozen=True, slots=True)
class Material:
    """Which clips are judged, and every how many frames."""

    pairs: Path | None
    real: Path | None
    fake: Path | None
    only: tuple[str, ...]
    every: int

    @property
    def folders(self) -> list[Path]:
        """The folders that are read."""
        return [folder for folder in (self.pairs, self.real, self.fake) if folder is not None]

    def clips(self) -> list[Clip]:
        """The clips in them.

        Raises:
            DataError: a folder is missing or empty, or nothing is named so.
        """
        from streamguard.training.clips import labelled_clips, pair_clips

        if self.pairs is not None:
            return pair_clips(self.pairs, self.only)
        assert self.real is not None
        assert self.fake is not None
        return labelled_clips(self.real, self.fake, self.only)

    def remarks(self) -> list[str]:
        """What a reader of the figures has to know of the clips."""
        from streamguard.training.clips import passed_over

        if self.pairs is not None:
            only = f"; only {', '.join(self.only)}" if self.only else ""
            said = [f"Side-by-side clips: left half real, right half fake{only}."]
        else:
            said = [
                "Real and fake clips of different sources: sizes and codecs differ, so a part of any AUC may be theirs "
                "and not the manipulation's. Read it beside the baselines."
            ]
        if self.every > 1:
            said.append(f"One frame in {self.every} was judged; the others had no vote.")
        for folder in self.folders:
            if others := passed_over(folder):
                named = ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
                said.append(f"In {folder.name}, {len(others)} entries are no videos and were passed over: {named}.")
        return said


@dataclass(slots=True)
class Job:
    """One evaluation from its clips to its reports.

    Attributes:
        material, judge: what is judged, and by whom.
        robustness: conditions as typed, `all`, or empty.
        gallery, json_out, html_out: what is written, if anything.
        failures: clips left out, with the reason.
    """

    material: Material
    judge: Judge
    robustness: str
    gallery: Path | None
    json_out: Path | None
    html_out: Path | None
    failures: list[tuple[str, StreamguardError]] = field(default_factory=list)

    async def run(self) -> int:
        """Judge, print, write; the exit code of the first clip that was left out, or 0."""
        from streamguard.training.evaluation.gallery import Gallery, check_gallery
        from streamguard.training.sending import CONDITIONS, parse_sendings

        wanted = CONDITIONS if self.robustness == "all" else self.robustness
        sendings = parse_sendings(wanted) if wanted else ()
        clips = self.material.clips()
        if self.gallery is not None:
            check_gallery(self.gallery, self.material.folders)
        guard = await asyncio.to_thread(self.judge.open)
        async with guard:
            errors = Gallery(self.gallery, guard.spec.threshold) if self.gallery is not None else None
            evaluation, conditions = await self._measure(guard, clips, sendings, errors)
        await asyncio.to_thread(self._report, evaluation, conditions, errors)
        return self.failures[0][1].exit_code if self.failures else 0

    async def _measure(
        self, guard: Guard, clips: list[Clip], sendings: tuple[Sending, ...], errors: Gallery | None
    ) -> tuple[Evaluation, list[Condition]]:
        from streamguard.training.evaluation.robustness import condition
        from streamguard.training.measure import measure

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=notes, transient=True) as progress:
            task = progress.add_task("clips", total=len(clips) * (1 + len(sendings)))
            started: set[str] = set()

            async def judged(sending: Sending | None, chosen: list[Clip], remarks: list[str]) -> Evaluation:
                way = f" as {sending.name}" if sending is not None else ""

                def keep(clip: Clip, frame: FrameRecord, face: FaceVerdict) -> None:
                    # Sent clips err where the others do, and worse: they would crowd those out.
                    if errors is not None and sending is None:
                        errors.add(clip.name, frame, face)

                def advance(clip: Clip, frames: int) -> None:
                    started.add(clip.name + way)
                    progress.update(task, completed=len(started) - 1, description=f"{clip.name}{way}, frame {frames}")

                def skipped(clip: Clip, error: StreamguardError) -> None:
                    started.add(clip.name + way)
                    self.failures.append((clip.name + way, error))
                    text = f"streamguard: {clip.name}{way} left out: {error}"
                    notes.print(text, style="red", markup=False, highlight=False, soft_wrap=True)

                return await measure(
                    guard,
                    chosen,
                    every=self.material.every,
                    sending=sending,
                    notes=remarks,
                    advance=advance,
                    skipped=skipped,
                    keep=keep,
                )

            base = await judged(None, clips, [*self.material.remarks(), *self.judge.remarks()])
            names = {clip.name for clip in base.clips}
            readable = [clip for clip in clips if clip.name in names]
            conditions = []
            for sending in sendings:
                sent = await judged(sending, readable, [])
                figures = (sending.height, sending.bit_rate, sending.quality)
                conditions.append(await asyncio.to_thread(condition, sending.name, figures, base, sent))
        if self.failures:
            names_out = ", ".join(name for name, _ in self.failures)
            text = f"Left out, as they could not be read ({len(self.failures)}): {names_out}."
            base = replace(base, notes=(*base.notes, text))
        return base, conditions

    def _report(self, evaluation: Evaluation, conditions: list[Condition], errors: Gallery | None) -> None:
        from streamguard.training.evaluation.report import write_html, write_json
        from streamguard.training.evaluation.robustness import sent_figures
        from streamguard.training.evaluation.summary import summarise
        from streamguard.training.evaluation.table import (
            alerts_table,
            group_table,
            headline_table,
            robustness_tables,
            unjudged_table,
        )

        summary = summarise(evaluation)
        for table in (headline_table(evaluation, summary), alerts_table(summary), group_table(summary)):
            console.print(table)
        if conditions:
            for table in robustness_tables(conditions, sent_figures(evaluation.clips)):
                console.print(table)
        console.print(unjudged_table(summary))
        if self.json_out is not None:
            write_json(evaluation, summary, self.json_out, conditions)
        if self.html_out is not None:
            write_html(evaluation, summary, self.html_out, conditions)
        if errors is not None:
            written = len(errors.write())
            notes.print(f"{written} pictures in {self.gallery}. They show faces.", markup=False, highlight=False)
