"""`streamguard watch`: judge a live stream as it plays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamguard.cli.runner import STYLES, check_writable, console, notes, run
from streamguard.errors import OutputError
from streamguard.types import Event, EventKind, Verdict

if TYPE_CHECKING:
    from streamguard.media.output import PushStatus
    from streamguard.pipeline.stream import FrameReport

STATE_EVERY = 1.0
MOST_ROWS = 12
FIRST = {Verdict.FAKE: 0, Verdict.UNSURE: 1}
NOTICE = "An automated estimate that may be wrong."


def watch(
    url: Annotated[
        str,
        typer.Argument(help="camera:0, a file, loop:FILE, or an rtsp, rtmp, http(s), udp, HLS or whep+https URL."),
    ],
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One JSON object a line on stdout instead of the table.")
    ] = False,
    overlay: Annotated[Path | None, typer.Option(metavar="OUT.mp4", help="Write the video with masks.")] = None,
    restream: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET",
            help="Send the video with masks, and its sound, on: an rtsp, rtmp or udp URL, a folder or .m3u8 file "
            "(HLS), or a .ts file; an existing one is appended to. May be given several times.",
        ),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds.")] = None,
    transport: Annotated[str, typer.Option(help="RTSP over `tcp` or `udp`.")] = "tcp",
    token: Annotated[
        str | None,
        typer.Option(envvar="STREAMGUARD_SOURCE_TOKEN", help="Bearer token for the endpoint of a WHEP source."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds until the source must have answered, or may be silent.")
    ] = 10.0,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not check the certificates of https, rtsps and rtmps hosts.")
    ] = False,
    hwaccel: Annotated[
        Literal["off", "auto", "cuda", "vaapi", "qsv", "vdpau", "videotoolbox", "d3d11va"],
        typer.Option(help="Decode on a device; software where there is none."),
    ] = "off",
    wait: Annotated[bool, typer.Option("--wait", help="Keep trying when the source is not there yet.")] = False,
    model: Annotated[str, typer.Option(help="Detector, as named by `streamguard doctor`.")] = "unet_lite0",
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
) -> None:
    """Watch a stream and say, while it plays, which faces are fake. Ctrl-C ends it cleanly.

    Lines of --jsonl, by `kind`: stream.up, stream.state (each second and at each change; with the frames received,
    judged and dropped), fake.opened, fake.updated, fake.closed, stream.degraded, stream.down, output.state.
    """
    if transport not in {"tcp", "udp"}:
        raise typer.BadParameter("choose tcp or udp", param_hint="--transport")
    chosen: Literal["tcp", "udp"] = "udp" if transport == "udp" else "tcp"
    if overlay is not None:
        check_writable(overlay, url)
    source = SourceSettings(chosen, timeout, not insecure, token, hwaccel)
    run(lambda: _watch(url, jsonl, overlay, restream or [], seconds, source, wait, model, engine))


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Options of the source as given, held until `media` is worth loading."""

    transport: Literal["tcp", "udp"]
    patience: float
    verify_tls: bool
    token: str | None = field(default=None, repr=False)
    hwaccel: Literal["off", "auto", "cuda", "vaapi", "qsv", "vdpau", "videotoolbox", "d3d11va"] = "off"


async def _watch(
    url: str,
    jsonl: bool,
    overlay: Path | None,
    targets: list[str],
    seconds: float | None,
    asked: SourceSettings,
    wait: bool,
    model: str,
    engine: str | None,
) -> int:
    from streamguard.media import SourceOptions
    from streamguard.media.address import parse_address
    from streamguard.media.whep.address import is_whep
    from streamguard.pipeline.extensions import source_of
    from streamguard.pipeline.guard import Guard, WatchOptions
    from streamguard.pipeline.recorder import OverlayRecorder
    from streamguard.pipeline.restream import Restream

    _check_targets(targets, url)
    source = SourceOptions(
        transport=asked.transport,
        open_timeout=asked.patience,
        read_timeout=asked.patience,
        verify_tls=asked.verify_tls,
        token=asked.token,
        hwaccel=asked.hwaccel,
    )
    if not wait and not is_whep(url) and isinstance(source_of(url, url), str):
        # A missing file is reported before an engine is loaded.
        parse_address(url, source)
    options = WatchOptions(source=source, wait_for_source=wait)
    async with contextlib.AsyncExitStack() as stack:
        guard = await stack.enter_async_context(Guard.open(model, engine))
        recorder = None
        if overlay is not None:
            recorder = await stack.enter_async_context(OverlayRecorder(overlay, guard.spec.threshold))
        show: JsonLines | TextLines | Screen
        if jsonl or not console.is_terminal:
            show = JsonLines() if jsonl else TextLines()
        else:
            show = stack.enter_context(Screen(f"{guard.spec.name} on {guard.engine.name}"))
        sent = None
        if targets:
            sent = Restream(targets, guard.spec.threshold, on_change=show.output)
            stack.callback(lambda: [show.output(status) for status in sent.outputs])
            await stack.enter_async_context(sent)
        # What is sent on has to come in real time.
        sound, frames = (sent.sound, sent.frame) if sent else (None, None)
        watched = guard.watch(url, live=bool(targets) or None, options=options, sound=sound, frames=frames)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), aclosing(watched) as items:
                async for item in items:
                    show.add(item)
                    if isinstance(item, Event):
                        continue
                    if sent is not None:
                        sent.report(item)
                    if recorder is not None:
                        await recorder.write(item)
    return 0


def _check_targets(texts: list[str], url: str) -> None:
    """Raise an OutputError where something cannot be written; name the files that are continued."""
    from streamguard.media.output import clash, parse_target

    targets = [parse_target(text) for text in texts]
    if (found := clash(targets)) is not None:
        raise OutputError(texts[found[1]], "two outputs lead to the same place", "give each its own")
    for target in targets:
        if target.file is not None:
            check_writable(target.file, url.removeprefix("loop:"))
        if target.file is not None and target.playlist is None and target.file.is_file():
            notes.print(
                f"streamguard: {target.shown}: the existing recording is appended to", highlight=False, soft_wrap=True
            )


class JsonLines:
    """Write every event, and the stream's state once a second and at each change, as JSON lines to stdout."""

    def __init__(self) -> None:
        self._told: tuple[int, float, Verdict] | None = None

    def add(self, item: FrameReport | Event) -> None:
        """Write what is due."""
        from streamguard.cli.reports import event_line, state_line

        if isinstance(item, Event):
            self._write(event_line(item))
            return
        now = (item.frame.epoch, item.frame.time, item.state.state)
        told = self._told
        if told is None or told[0] != now[0] or told[2] != now[2] or now[1] - told[1] >= STATE_EVERY:
            self._told = now
            self._write(state_line(item))

    def output(self, status: PushStatus) -> None:
        """Write how an output does."""
        from streamguard.cli.reports import output_line

        self._write(output_line(status))

    @staticmethod
    def _write(line: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class TextLines:
    """Events and changes of the stream's verdict, a line each: for a log."""

    def __init__(self) -> None:
        self._told: Verdict | None = None

    def add(self, item: FrameReport | Event) -> None:
        """Write what is due."""
        if isinstance(item, Event):
            console.print(event_text(item), soft_wrap=True)
        elif item.state.state is not self._told:
            self._told = item.state.state
            now = datetime.now(UTC)
            console.print(f"{now:%H:%M:%S} {item.frame.time:.1f} s: {self._told.words}", soft_wrap=True)
        sys.stdout.flush()

    def output(self, status: PushStatus) -> None:
        """Write how an output does."""
        console.print(output_text(status), soft_wrap=True)
        sys.stdout.flush()


class Screen:
    """A live table: faces with their state, and the newest events below."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._events: deque[Event] = deque(maxlen=8)
        self._outputs: dict[str, PushStatus] = {}
        self._report: FrameReport | None = None
        self._live = Live(console=console, refresh_per_second=5, get_renderable=self._picture)

    def __enter__(self) -> Screen:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def add(self, item: FrameReport | Event) -> None:
        """Remember the newest; the screen redraws itself a few times a second."""
        if isinstance(item, Event):
            self._events.append(item)
        else:
            self._report = item

    def output(self, status: PushStatus) -> None:
        """Remember how an output does."""
        self._outputs[status.target] = status

    def _picture(self) -> Group:
        outputs = (output_text(status) for status in self._outputs.values())
        return Group(self.table(), *outputs, *(event_text(event) for event in self._events))

    def table(self) -> Table:
        """The faces now."""
        report = self._report
        table = Table(
            title=self._title,
            title_justify="left",
            box=SIMPLE,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
            caption=NOTICE,
            caption_justify="left",
        )
        for column in ("face", "state", "why not", "fake share", "score", "judged"):
            table.add_column(column)
        if report is None:
            table.title = f"{self._title}: waiting for the first frame"
            return table
        table.title = (
            f"{self._title}   {report.frame.time:.1f} s   [{STYLES[report.state.state]}]{report.state.state.words}[/]"
        )
        reasons = {face.face.track: face.reason.value for face in report.faces if face.reason}
        counts = report.counts
        below = [f"frames: {counts.received} received, {counts.judged} judged, {counts.dropped} dropped"]
        # Those called fake first, then the doubtful, then the ones in the picture now.
        tracks = sorted(
            report.state.tracks.items(),
            key=lambda one: (FIRST.get(one[1].state, len(FIRST)), -one[1].judged, one[0]),
        )
        if len(tracks) > MOST_ROWS:
            below.append(f"and {len(tracks) - MOST_ROWS} more faces")
        table.caption = "\n".join([*below, NOTICE])
        for number, track in tracks[:MOST_ROWS]:
            table.add_row(
                str(number),
                f"[{STYLES[track.state]}]{track.state.label}[/]",
                reasons.get(number, ""),
                "-" if track.share is None else f"{track.share:.0%}",
                "-" if track.score is None else f"{track.score:.2f}",
                str(track.judged),
            )
        return table


def output_text(status: PushStatus) -> Text:
    """One line for people."""
    state = "up" if status.up else "down"
    counts = f"{status.sent} pictures sent, {status.dropped} dropped"
    reason = status.detail.removeprefix(f"{status.target}: ")
    return Text(" ".join(filter(None, (f"output {status.target} {state}: {counts}.", reason))))


def event_text(event: Event) -> Text:
    """One line for people, its time in UTC."""
    style = STYLES[Verdict.FAKE] if event.kind is EventKind.FAKE_OPENED else ""
    face = f"face {event.track}" if event.track is not None else ""
    share = f"{event.share:.0%} fake" if event.share is not None else ""
    parts = (f"{event.at:%H:%M:%S}", event.kind.value, face, share, event.detail)
    return Text(" ".join(filter(None, parts)), style=style)
