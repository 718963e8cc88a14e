"""`streamguard scan`: judge files."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from streamguard.cli.runner import check_writable, console, notes, run
from streamguard.errors import OutputError, StreamguardError, one_line, redact
from streamguard.files import write_text
from streamguard.types import Verdict

if TYPE_CHECKING:
    from streamguard.cli.reports import FileDocument, TrackDocument
    from streamguard.pipeline.guard import Guard, WatchOptions
    from streamguard.pipeline.stream import FrameReport

FAKE_FOUND = 10
ENGINE_WAIT = 600.0
"""Seconds that a file waits for an engine that failed and is being loaded again."""
ENGINE_ANSWER = 60.0
"""Seconds that it waits for an answer: longer than a live picture does."""
MOST_ROWS, MOST_SPANS = 20, 4
STYLES = {
    Verdict.FAKE: "bold dark_orange3",
    Verdict.UNSURE: "gold3",
    Verdict.REAL: "dodger_blue2",
    Verdict.UNKNOWN: "grey58",
}


def scan(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Video files.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", metavar="OUT", help="Write the report as JSON.")] = None,
    overlay: Annotated[Path | None, typer.Option(metavar="OUT.mp4", help="Write the video with masks.")] = None,
    model: Annotated[str, typer.Option(help="Detector, as named by `streamguard doctor`.")] = "unet_lite0",
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the certificates of https hosts.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Leave with 10 when a fake was found.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the report and leave.")] = False,
) -> None:
    """Judge video files: which faces are fake, when, and how surely."""
    if schema:
        import json

        from streamguard.cli.reports import ScanDocument

        typer.echo(json.dumps(ScanDocument.model_json_schema(by_alias=True), indent=2))
        return
    if not files:
        raise typer.BadParameter("name at least one video file", param_hint="FILE...")
    if overlay is not None and len(files) > 1:
        raise typer.BadParameter("one annotated video needs one FILE", param_hint="--overlay")
    for out in (json_out, overlay):
        if out is not None:
            check_writable(out, *files)
    if json_out is not None and overlay is not None and json_out.resolve() == overlay.resolve():
        raise OutputError(str(overlay), "the report and the video cannot be one file", "give two names")
    run(lambda: _scan(files, json_out, overlay, model, engine, exit_code, verify_tls=not insecure))


async def _scan(
    files: list[str],
    json_out: Path | None,
    overlay: Path | None,
    model: str,
    engine: str | None,
    exit_code: bool,
    *,
    verify_tls: bool,
) -> int:
    from streamguard.cli.reports import scan_document
    from streamguard.inference import Recovery
    from streamguard.media import SourceOptions
    from streamguard.pipeline.guard import Guard, WatchOptions

    documents: list[FileDocument] = []
    faults: list[StreamguardError] = []
    complete = False
    options = WatchOptions(source=SourceOptions(verify_tls=verify_tls))
    recovery = Recovery(answer=ENGINE_ANSWER)
    guard = await asyncio.to_thread(Guard.open, model, engine, patience=ENGINE_WAIT, recovery=recovery)
    async with guard:
        try:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as progress:
                for path in files:
                    await _scan_file(guard, path, options, overlay, progress, documents, faults)
            complete = True
        finally:
            for document in documents:
                _print(document)
            if json_out is not None:
                report = scan_document(guard, documents, complete=complete)
                try:
                    write_text(json_out, report.model_dump_json(by_alias=True, indent=2) + "\n")
                except OutputError as error:
                    faults.append(error)
            for fault in faults:
                notes.print(f"streamguard: {fault}", style="red", markup=False, highlight=False, soft_wrap=True)
    if exit_code and any(document.contains_fake or document.verdict is Verdict.FAKE for document in documents):
        return FAKE_FOUND
    return faults[0].exit_code if faults else 0


async def _scan_file(
    guard: Guard,
    path: str,
    options: WatchOptions,
    overlay: Path | None,
    progress: Progress,
    documents: list[FileDocument],
    faults: list[StreamguardError],
) -> None:
    from streamguard.cli.reports import file_document
    from streamguard.pipeline.recorder import OverlayRecorder
    from streamguard.pipeline.scan import FileScan

    task = progress.add_task(one_line(Path(redact(path)).name), total=None, state="")
    scanned = FileScan(guard, path, options)
    recorder: OverlayRecorder | None = None

    async def show(report: FrameReport) -> None:
        said = f"{report.state.state.label:13} {report.frame.time:6.1f} s"
        progress.update(task, total=scanned.frame_count, advance=1, state=said)
        if recorder is not None:
            await recorder.write(report)

    try:
        async with contextlib.AsyncExitStack() as stack:
            if overlay is not None:
                recorder = await stack.enter_async_context(OverlayRecorder(overlay, guard.spec.threshold))
            await scanned.run(show)
    except OutputError as error:
        faults.append(error)
    finally:
        progress.remove_task(task)
        documents.append(file_document(path, scanned))
        if scanned.fault is not None:
            faults.append(scanned.fault)


def _print(document: FileDocument) -> None:
    """One line for the file, whatever its length, then a table of its faces."""
    line = Text(f"{one_line(document.path)}: ").append(*_said(document.verdict, document.verdict.words, document))
    if document.share is not None:
        line.append(f", {document.share:.0%} of {document.judged} judged frames fake")
        if document.unsure:
            line.append(f", {document.unsure / document.judged:.0%} unsure")
    elif document.tracks:
        line.append(", no face could be judged")
    else:
        line.append(f", no face in {document.frames} frames" if document.frames else ", not one frame could be read")
    console.print(line, soft_wrap=True)
    if document.tracks:
        console.print(_table(document))


def _said(verdict: Verdict, words: str, of: FileDocument | TrackDocument) -> tuple[str, str]:
    """The verdict for people, and its style; where a fake was found in part, nobody reads that no sign was found."""
    if of.fake_intervals and verdict is not Verdict.FAKE:
        return "fake in part", STYLES[Verdict.FAKE]
    return words, STYLES[verdict]


def _table(document: FileDocument) -> Table:
    table = Table(box=SIMPLE, caption_justify="left", show_edge=False, pad_edge=False, collapse_padding=True)
    # A detector without a band is never unsure.
    unsure = ["unsure"] if any(track.unsure for track in document.tracks) else []
    columns = ("face", "verdict", "fake", *unsure, "score", "judged", "unjudged", "seen, s", "held for fake, s")
    for column in columns:
        table.add_column(column, justify="left" if column.startswith(("verdict", "held")) else "right")
    # Fakes first, then by how much was seen of a face: a long film has hundreds of passers-by.
    told = sorted(document.tracks, key=_gravity)[:MOST_ROWS]
    for track in sorted(told, key=lambda track: track.track):
        spans = [f"{start:.1f}-{end:.1f}" for start, end in track.fake_intervals]
        more = [f"and {len(spans) - MOST_SPANS} more"] if len(spans) > MOST_SPANS else []
        table.add_row(
            str(track.track),
            Text(*_said(track.verdict, track.verdict.label, track)),
            "-" if track.share is None else f"{track.share:.0%}",
            *(f"{track.unsure / track.judged:.0%}" if track.judged else "-" for _ in unsure),
            "-" if track.score is None else f"{track.score:.2f}",
            str(track.judged),
            str(track.unknown),
            f"{track.first:.1f}-{track.last:.1f}",
            ", ".join(spans[:MOST_SPANS] + more) or "-",
        )
    if hidden := len(document.tracks) - len(told):
        table.caption = f"and {hidden} more faces; --json writes all"
    return table


def _gravity(track: TrackDocument) -> tuple[bool, int, int, int]:
    return not track.fake_intervals, -track.fake, -track.unsure, -track.judged
