"""`streamguard scan`: judge files."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streamguard.cli.runner import STDOUT, check_writable, notes, run, write_report
from streamguard.errors import OutputError, StreamguardError, one_line, redact
from streamguard.types import Verdict

if TYPE_CHECKING:
    from streamguard.cli.scan_inputs import Inputs
    from streamguard.pipeline.guard import Guard, WatchOptions
    from streamguard.pipeline.recorder import OverlayRecorder, PictureRecorder
    from streamguard.pipeline.scan_documents import ScanFileDocument
    from streamguard.pipeline.stream import FrameReport
    from streamguard.provenance import Credentials

FAKE_FOUND = 10
ENGINE_WAIT = 600.0
"""Seconds that a file waits for an engine that failed and is being loaded again."""
ENGINE_ANSWER = 60.0
"""Seconds that it waits for an answer: longer than a live picture does."""


@dataclass(frozen=True, slots=True)
class _Outputs:
    """Destinations of the results; None where one is not wanted."""

    json: Path | None
    csv: Path | None
    overlay: Path | None

    @property
    def files(self) -> list[Path]:
        return [out for out in (self.json, self.csv, self.overlay) if out is not None and out != STDOUT]

    def check(self, inputs: Inputs) -> None:
        """Fail before hours of work rather than after."""
        if self.json == self.csv == STDOUT:
            raise typer.BadParameter("only one report goes to standard output", param_hint="--csv")
        if self.overlay is not None and len(inputs.paths) > 1:
            raise typer.BadParameter("one annotated video needs one FILE", param_hint="--overlay")
        for out in self.files:
            check_writable(out, *inputs.paths)
        if len({out.resolve() for out in self.files}) < len(self.files):
            cause = "the reports and the video cannot be one file"
            raise OutputError(str(self.files[-1]), cause, "give each its own name")


@dataclass(slots=True)
class _Results:
    """Return the report so far."""

    documents: list[ScanFileDocument] = field(default_factory=list)
    faults: list[StreamguardError] = field(default_factory=list)
    anchors: str = ""


@dataclass(frozen=True, slots=True)
class _Detector:
    model: str
    engine: str | None


def scan(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Videos and pictures.")] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write the report as JSON; `-` for stdout.")
    ] = None,
    csv_out: Annotated[
        Path | None, typer.Option("--csv", metavar="OUT", help="Write a row a file as CSV; `-` for stdout.")
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(metavar="OUT.mp4", help="Write the video with masks and sound, or OUT.jpg of a picture."),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Take folders: all videos and pictures in and below them.")
    ] = False,
    model: Annotated[str, typer.Option(help="Detector, as named by `streamguard doctor`.")] = "unet_lite0",
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the certificates of https hosts.")] = False,
    trust: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Authorities that vouch for signers of Content Credentials.")
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Leave with 10 when a fake was found.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the report and leave.")] = False,
) -> None:
    """Judge videos and pictures: which faces are fake, when, and how surely."""
    if schema:
        import json

        from streamguard.pipeline.scan_documents import ScanDocument

        typer.echo(json.dumps(ScanDocument.model_json_schema(by_alias=True), indent=2))
        return
    if not files:
        raise typer.BadParameter("name at least one file", param_hint="FILE...")
    from streamguard.cli.scan_inputs import inputs

    found, outputs = inputs(files, recursive=recursive), _Outputs(json_out, csv_out, overlay)
    outputs.check(found)
    from streamguard.provenance import load_anchors

    anchors = load_anchors(trust)
    run(lambda: _scan(found, outputs, _Detector(model, engine), exit_code, anchors, verify_tls=not insecure))


async def _scan(
    inputs: Inputs, outputs: _Outputs, detector: _Detector, exit_code: bool, anchors: str, *, verify_tls: bool
) -> int:
    from streamguard.inference import Recovery
    from streamguard.media import SourceOptions
    from streamguard.pipeline.guard import Guard, WatchOptions

    results = _Results(faults=list(inputs.faults), anchors=anchors)
    complete = False
    options = WatchOptions(source=SourceOptions(verify_tls=verify_tls))
    recovery = Recovery(answer=ENGINE_ANSWER)
    async with Guard.open(detector.model, detector.engine, patience=ENGINE_WAIT, recovery=recovery) as guard:
        try:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as progress:
                count = len(inputs.paths)
                whole = progress.add_task("all files", total=count, state=f"0 of {count}", visible=count > 1)
                for number, path in enumerate(inputs.paths, start=1):
                    await _scan_file(guard, path, options, outputs.overlay, progress, results)
                    progress.update(whole, completed=number, state=f"{number} of {count}")
            complete = True
        finally:
            _tell(guard, results, outputs, complete=complete)
    if exit_code and any(each.contains_fake or each.verdict is Verdict.FAKE for each in results.documents):
        return FAKE_FOUND
    return results.faults[0].exit_code if results.faults else 0


async def _scan_file(
    guard: Guard, path: str, options: WatchOptions, overlay: Path | None, progress: Progress, results: _Results
) -> None:
    from streamguard.pipeline.recorder import recorder_of
    from streamguard.pipeline.scan import FileScan
    from streamguard.pipeline.scan_documents import file_document

    task = progress.add_task(one_line(Path(redact(path)).name), total=None, state="")
    scanned = FileScan(guard, path, options)
    recorder: OverlayRecorder | PictureRecorder | None = None

    async def show(report: FrameReport) -> None:
        said = f"{report.state.state.label:13} {report.frame.time:6.1f} s"
        progress.update(task, total=scanned.frame_count, advance=1, state=said)
        if recorder is not None:
            await recorder.write(report)

    try:
        async with contextlib.AsyncExitStack() as stack:
            if overlay is not None:
                recorder = recorder_of(path, overlay, guard.spec.threshold)
                await stack.enter_async_context(recorder)
                scanned = FileScan(guard, path, options, sound=recorder.sound)
            await scanned.run(show)
    except OutputError as error:
        results.faults.append(error)
    finally:
        progress.remove_task(task)
        results.documents.append(file_document(path, scanned, await _credentials(path, results.anchors)))
        if scanned.fault is not None:
            results.faults.append(scanned.fault)


async def _credentials(path: str, anchors: str) -> Credentials | None:
    import asyncio

    from streamguard.provenance import Credentials, is_file, read_credentials

    if not is_file(path):
        return Credentials("not_read", why="it is no local file")
    return await asyncio.to_thread(read_credentials, Path(path), anchors)


def _tell(guard: Guard, results: _Results, outputs: _Outputs, *, complete: bool) -> None:
    from streamguard.cli.scan_tables import csv_text, show
    from streamguard.pipeline.scan_documents import scan_document

    report = scan_document(guard, results.documents, complete=complete)
    if STDOUT not in {outputs.json, outputs.csv}:
        for document in results.documents:
            show(document)
    texts = {
        outputs.json: f"{report.model_dump_json(by_alias=True, indent=2)}\n",
        outputs.csv: csv_text(results.documents),
    }
    for out, text in texts.items():
        if out is not None:
            try:
                write_report(out, text)
            except OutputError as error:
                results.faults.append(error)
    for fault in results.faults:
        notes.print(f"streamguard: {fault}", style="red", markup=False, highlight=False, soft_wrap=True)
