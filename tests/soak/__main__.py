"""The server under faults for a long time: `make soak`.

python -m tests.soak --seconds 1800 --streams 6 --every 20 --json soak.json
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.box import SIMPLE
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column, Table

from streamguard.cli.runner import check_writable, console, notes, run
from streamguard.files import write_text
from tests.support.command import run_command

if TYPE_CHECKING:
    from tests.soak.report import SoakReport
    from tests.soak.run import Progress
    from tests.soak.stage import Plan

MISSED = 1
LEVELS = ("debug", "info", "warning", "error", "none")


def main(
    url: Annotated[
        list[str] | None, typer.Argument(metavar="URL...", help="Streams to watch; default: generated ones.")
    ] = None,
    streams: Annotated[int, typer.Option(min=1, max=64, help="How many are generated.")] = 6,
    seconds: Annotated[float, typer.Option(min=5.0, help="How long.")] = 1800.0,
    every: Annotated[float, typer.Option(min=1.0, help="Seconds between two faults.")] = 20.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="server-killed, network-cut, connection-reset, half-frames, resolution-change, engine-raises, "
            "engine-dead, engine-hang, disk-full, webhook-dead; may be repeated. Default: all that the streams "
            "allow for."
        ),
    ] = None,
    json_out: Annotated[Path | None, typer.Option("--json", metavar="OUT", help="Write the report as JSON.")] = None,
    warm_up: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds before memory and descriptors count; default: a sixth.")
    ] = None,
    settle: Annotated[
        float, typer.Option(min=0.0, help="Seconds at the end in which the last messages may be delivered.")
    ] = 400.0,
    rate: Annotated[float, typer.Option(min=5.0, max=60.0, help="Pictures per second of generated streams.")] = 25.0,
    size: Annotated[str, typer.Option(help="Of their pictures, in pixels.")] = "640x360",
    judged: Annotated[float, typer.Option(min=0.5, max=60.0, help="Frames judged per second and stream.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Decides order and length of the faults.")] = 1,
    model: Annotated[str, typer.Option(help="Detector, as named by `streamguard doctor`.")] = "unet_lite0",
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    log_level: Annotated[str, typer.Option(help="Of the server's log on stderr; none: no log.")] = "none",
) -> None:
    """Run a server on many streams, break things one after the other, and say what was lost.

    Sources are killed, the network is cut, pictures come halved or in another size, the engine raises or hangs, the
    disk is full, the webhook dies. The exit code is 1 where a stream was not back within 15 s, a stale frame was
    judged, an alert was lost, memory grew by 5 % or descriptors grew. Ctrl-C ends it with the report of what there
    was; what was not yet late then counts neither way.
    """
    from tests.soak.faults import chosen
    from tests.soak.stage import Plan

    if log_level not in LEVELS:
        raise typer.BadParameter(f"choose from {', '.join(LEVELS)}", param_hint="--log-level")
    if json_out is not None:
        check_writable(json_out)
    chosen(fault or ())
    plan = Plan(
        streams=streams,
        urls=tuple(url or ()),
        seconds=seconds,
        every=every,
        faults=tuple(fault or ()),
        warm_up=seconds / 6 if warm_up is None else warm_up,
        settle=settle,
        seed=seed,
        rate=rate,
        size=_size(size),
        judged=judged,
        model=model,
        engine=engine,
    )
    _set_up_log(log_level)
    run(lambda: _soak(plan, json_out))


async def _soak(plan: Plan, json_out: Path | None) -> int:
    from tests.soak.run import soak as soaked

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with tempfile.TemporaryDirectory(prefix="streamguard-soak-") as folder, Bar(*columns, console=notes) as bar:
        report = await soaked(plan, Path(folder), _shown(bar, plan.seconds))
    if json_out is not None:
        await asyncio.to_thread(write_text, json_out, report.model_dump_json(indent=2) + "\n")
    _print(report)
    return 0 if report.good else MISSED


def _shown(bar: Bar, seconds: float) -> Callable[[Progress], None]:
    task = bar.add_task("", total=seconds)

    def show(progress: Progress) -> None:
        broken = f": {progress.fault}" if progress.fault else ""
        bar.update(
            task,
            completed=progress.seconds,
            description=f"{progress.phase}, {_counted(progress.faults, 'fault')}{broken}",
        )

    return show


def _print(report: SoakReport) -> None:
    console.print(_faults(report))
    console.print(_lost(report))
    verdicts = Table(*_folded("bar", "found", ""), title="Bars", title_justify="left", box=SIMPLE)
    for bar in report.bars:
        verdicts.add_row(bar.what, bar.value, "[green]met[/]" if bar.met else "[bold red]MISSED[/]")
    console.print(verdicts)
    if report.interrupted:
        console.print("Interrupted: this is what there was.")


def _folded(*names: str) -> list[Column]:
    """Columns that hold all of their text, however narrow the terminal."""
    return [Column(name, overflow="fold") for name in names]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _faults(report: SoakReport) -> Table:
    table = Table(
        *_folded("fault", "times", "seconds each", "streams hit", "back after: median", "worst", "not back"),
        title=f"{_counted(report.streams, 'stream')}, {report.seconds:g} s, {_counted(len(report.faults), 'fault')}",
        title_justify="left",
        box=SIMPLE,
    )
    kinds = defaultdict(list)
    for fault in report.faults:
        kinds[fault.name].append(fault)
    for name, faults in kinds.items():
        backs = [back for fault in faults for back in fault.back.values()]
        known = [back for back in backs if back is not None]
        lasted = [fault.lasted for fault in faults]
        cut = sum(len(fault.cut_short) for fault in faults)
        table.add_row(
            name,
            str(len(faults)),
            f"{min(lasted):.1f} to {max(lasted):.1f}",
            str(len(backs)) if backs else "none",
            f"{median(known):.1f} s" if known else "-",
            f"{max(known):.1f} s" if known else "-",
            f"{len(backs) - len(known) - cut}{f' ({cut} cut short)' if cut else ''}" if backs else "-",
        )
    return table


def _lost(report: SoakReport) -> Table:
    frames, verdicts, alerts, process = report.frames, report.verdicts, report.alerts, report.process
    table = Table(*_folded("what", "figures"), title="What was lost", title_justify="left", box=SIMPLE)
    on_air = f"{frames.on_air} on air, " if frames.on_air is not None else ""
    counted = f"{on_air}{frames.received} received, {frames.judged} analysed, {frames.dropped} dropped"
    table.add_row("frames", counted)
    oldest = f", the oldest {verdicts.oldest:.1f} s" if verdicts.oldest is not None else ""
    table.add_row("verdicts", f"{verdicts.judged} of frames{oldest}; {verdicts.stale} of stale frames")
    table.add_row(
        "", f"{verdicts.unknown} frames UNKNOWN while the engine had failed; {verdicts.unreadable} unreadable"
    )
    table.add_row("", f"{verdicts.silent:.1%} of the time without a verdict for more than a second")
    told = f"{alerts.events} to be told, {alerts.sent} messages, {alerts.received} received, {alerts.repeated} twice"
    table.add_row("alerts", f"{told}, {alerts.lost} lost; {alerts.without_evidence} without evidence")
    if process.memory_megabytes and process.memory_growth is not None:
        first, last = process.memory_megabytes
        table.add_row(
            "memory", f"{first:.0f} MB after the warm-up, {last:.0f} MB at the end ({process.memory_growth:+.1%})"
        )
    for name, pair in (("descriptors", process.descriptors), ("threads", process.threads)):
        if pair:
            table.add_row(name, f"{pair[0]} after the warm-up, {pair[1]} at the end")
    engine = report.engine
    failed = ", ".join(f"{name} {count}" for name, count in engine.failures.items()) or "none"
    loads = ", ".join(f"{name} {count}" for name, count in engine.loads.items()) or "none"
    table.add_row("engine", f"{engine.judging} judges; failed batches: {failed}; loaded again: {loads}")
    return table


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter("write it as 640x360", param_hint="--size")
    found = int(width), int(height)
    if not (320 <= found[0] <= 3840 and 240 <= found[1] <= 2160) or found[0] % 2 or found[1] % 2:
        raise typer.BadParameter("from 320x240 to 3840x2160, even numbers", param_hint="--size")
    return found


def _set_up_log(level: str) -> None:
    import logging

    from streamguard.logs import set_up_logs

    known: dict[str, Literal["debug", "info", "warning", "error"]] = {
        "debug": "debug",
        "info": "info",
        "warning": "warning",
        "error": "error",
    }
    set_up_logs(known.get(level, "error"), "text")
    if level == "none":
        logging.disable(logging.CRITICAL)


if __name__ == "__main__":
    run_command(main)
