"""`streamguard demo`: the main job on a real picture, with no camera and no network."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from streamguard.cli.demo_page import show_page, somebody_looks
from streamguard.cli.runner import STYLES, check_writable, console, notes, run
from streamguard.cli.sheet import Moment
from streamguard.types import Event, Verdict

if TYPE_CHECKING:
    from streamguard.pipeline.guard import Guard
    from streamguard.pipeline.recorder import OverlayRecorder
    from streamguard.pipeline.stream import FrameReport
    from streamguard.types import UInt8Array

WIDTH, HEIGHT = 640, 480


def demo(
    seconds: Annotated[float, typer.Option(min=6.0, max=3600.0, help="Length of the clip, or of the watch.")] = 16.0,
    source: Annotated[str | None, typer.Option(help="Watch this instead: camera:0, a file or a URL.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for what the demo leaves.")] = Path("demo-output"),
    model: Annotated[str, typer.Option(help="Detector.")] = "unet_lite0",
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    page: Annotated[
        bool | None,
        typer.Option(help="Serve the page until Ctrl-C at the end; default: at a terminal with a display."),
    ] = None,
) -> None:
    """Guard a clip of a real portrait whose second half is faked; leave video, sheet and timeline, open the page."""
    with contextlib.suppress(OSError):
        out.mkdir(parents=True, exist_ok=True)
    check_writable(out / "annotated.mp4")
    shown = somebody_looks() if page is None else page
    run(lambda: _demo(seconds, source, out, model, engine, shown))


async def _demo(seconds: float, source: str | None, out: Path, model: str, engine: str | None, page: bool) -> int:
    from streamguard.pipeline.guard import Guard
    from streamguard.pipeline.recorder import OverlayRecorder
    from streamguard.training.portrait_clip import write_portrait_clip

    fake_from = seconds / 2 if source is None else None
    async with Guard.open(model, engine) as guard:
        notes.print(f"{guard.spec.name} on {guard.engine.describe()}", markup=False)
        url = source or str(out / "clip.mp4")
        if source is None:
            notes.print(f"making {url}: a real portrait, its face rendered by a network from {fake_from:g} s on")
            clip = out / "clip.mp4"
            await asyncio.to_thread(
                write_portrait_clip, clip, seconds=seconds, fake_from=fake_from, width=WIDTH, height=HEIGHT
            )
        recorder = OverlayRecorder(out / "annotated.mp4", guard.spec.threshold)
        async with recorder:
            moments, sheet = await _play(guard, url, seconds, recorder)
        await _leave(out, moments, sheet, fake_from)
        if page:
            await show_page(guard, url)
    return 0


async def _leave(
    out: Path, moments: list[Moment], sheet: list[tuple[float, UInt8Array]], fake_from: float | None
) -> None:
    """Write the results and print where they are."""
    from streamguard.files import write_text

    _print_verdicts(moments, fake_from)
    timeline = [
        {"time": round(m.time, 3), "state": m.state.value, "share": m.share, "frame_fake": m.fake} for m in moments
    ]
    write_text(
        out / "timeline.json", json.dumps({"schema": "streamguard.timeline/1", "frames": timeline}, indent=1) + "\n"
    )
    if moments:
        from streamguard.cli.sheet import contact_sheet

        await asyncio.to_thread(contact_sheet, out / "contact_sheet.png", sheet, moments, fake_from)
    for name in ("annotated.mp4", "contact_sheet.png", "timeline.json"):
        if (out / name).exists():
            console.print(f"{out / name}", markup=False)


async def _play(
    guard: Guard, url: str, seconds: float, recorder: OverlayRecorder
) -> tuple[list[Moment], list[tuple[float, UInt8Array]]]:
    """Watch at the clip's own rate, as a live stream: newest frame only."""
    from streamguard.media import rgb_of

    moments: list[Moment] = []
    sheet: list[tuple[float, UInt8Array]] = []
    due = 0.4
    with Progress(TextColumn("{task.description}"), BarColumn(), console=notes, transient=True) as progress:
        task = progress.add_task("watching", total=seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds + 30), aclosing(guard.watch(url, live=True)) as items:
                async for item in items:
                    if isinstance(item, Event):
                        notes.print(_told(item), markup=False)
                        continue
                    await recorder.write(item)
                    moments.append(_moment(item))
                    progress.update(task, completed=item.frame.time)
                    if item.frame.time >= due:
                        due += max(1.0, seconds / 12)
                        sheet.append((item.frame.time, await asyncio.to_thread(rgb_of, recorder.painted(item))))
                    if item.frame.time >= seconds:
                        break
    return moments, sheet


def _moment(report: FrameReport) -> Moment:
    judged = [face for face in report.faces if face.state is not Verdict.UNKNOWN]
    shares = [track.share for track in report.state.tracks.values() if track.share is not None]
    fake = any(face.state is Verdict.FAKE for face in judged) if judged else None
    return Moment(report.frame.time, report.state.state, max(shares, default=None), fake)


def _told(event: Event) -> str:
    time = f"{event.time:6.2f} s  " if event.time is not None else ""
    share = f"  {event.share:.0%} of the window's frames fake" if event.share is not None else ""
    return f"{time}{event.kind.value}{share}  {event.detail}".rstrip()


def _print_verdicts(moments: list[Moment], fake_from: float | None) -> None:
    table = Table(title="What the guard said", title_justify="left")
    for column in ("part", "truth", "verdict", "fake frames", "judged"):
        table.add_column(column)
    cut = fake_from if fake_from is not None else float("inf")
    parts = [
        ("first half", "real", [m for m in moments if m.time < cut]),
        ("second half", "rendered", [m for m in moments if m.time >= cut]),
    ]
    if fake_from is None:
        parts = [("all", "unknown", moments)]
    for name, truth, part in parts:
        judged = [moment for moment in part if moment.fake is not None]
        fakes = sum(1 for moment in judged if moment.fake)
        verdict = Verdict.UNKNOWN if not judged else Verdict.FAKE if 2 * fakes > len(judged) else Verdict.REAL
        table.add_row(name, truth, f"[{STYLES[verdict]}]{verdict.label}[/]", str(fakes), str(len(judged)))
    console.print(table)
    console.print("An automated estimate that may be wrong.")
