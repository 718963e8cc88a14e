"""The guard on a real RTSP server, as it plays: verdicts, loss and return of the source, and the same as a replay."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from streamguard.media import SourceOptions
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.scan import FileScan
from streamguard.pipeline.stream import FrameReport
from streamguard.types import EventKind, Verdict
from streamguard.verdict import VideoTally
from tests.cli.conftest import LIMIT, Start
from tests.support.portraits import RATE, portrait_clip
from tests.support.rtsp_server import RtspServer

Line = dict[str, Any]


def until(lines: Iterator[str], wanted: Callable[[Line], bool]) -> list[Line]:
    """The lines up to the first one wanted."""
    seen: list[Line] = []
    for text in lines:
        seen.append(json.loads(text))
        if wanted(seen[-1]):
            return seen
    raise AssertionError(f"the lines ended: {seen}")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_watch_lives_through_the_servers_death(start: Start, half_fake: Path, transport: Literal["tcp", "udp"]) -> None:
    with RtspServer(half_fake, rate=RATE, transport=transport) as server:
        process = start("watch", server.url, "--jsonl", "--transport", transport)
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        seen = until(lines, lambda line: line.get("state") == "REAL")
        up = seen[0]
        assert (up["kind"], up["epoch"]) == ("stream.up", 0)
        seen += until(lines, lambda line: line["kind"] == "fake.opened")
        # At the server's own rate: media time and the clock run alike.
        began, now = (datetime.fromisoformat(line["at"]) for line in (up, seen[-1]))
        assert (now - began).total_seconds() == pytest.approx(seen[-1]["time"], abs=2.5)
        server.kill()
        seen = until(lines, lambda line: line["kind"] == "stream.down")
        assert {line["epoch"] for line in seen} == {0}
        assert [line["kind"] for line in seen if line["kind"].startswith("fake")] == ["fake.closed"]
        assert "127.0.0.1" in seen[-1]["detail"]
        server.start()
        seen = until(lines, lambda line: line["kind"] == "stream.up")
        assert seen[-1]["epoch"] == 1
        seen = until(lines, lambda line: line.get("state") == "REAL")
        assert {line["epoch"] for line in seen} == {1}
        assert [track["track"] for track in seen[-1]["tracks"]] == [1]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (143, "")


def test_a_stream_that_stops_in_the_middle(start: Start, half_fake: Path) -> None:
    with RtspServer(half_fake, rate=RATE) as server:
        process = start("watch", server.url, "--jsonl", "--timeout", 2)
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        until(lines, lambda line: line.get("state") == "REAL")
        server.freeze()
        seen = until(lines, lambda line: line["kind"] == "stream.down")
        assert "stopped sending" in seen[-1]["detail"]
        server.resume()
        seen = until(lines, lambda line: line["kind"] == "stream.up")
        assert seen[-1]["epoch"] == 1
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_live_and_replay_agree(detector: Path, tmp_path: Path, transport: Literal["tcp", "udp"]) -> None:
    # A live stream is judged from a second or two after the connection on: the fake is spread over the clip.
    clip = portrait_clip(tmp_path / "clip.mp4", 10.0, (0.3, 1.0), every=1.0)
    live, states, again = VideoTally(), dict[int, Verdict](), dict[int, Verdict]()

    async def note(report: FrameReport) -> None:
        again.update((report.frame.index, face.state) for face in report.faces)

    async with Guard.open(str(detector), "torch") as guard:
        replay = await FileScan(guard, str(clip)).run(note)
        options = WatchOptions(source=SourceOptions(transport=transport))
        with RtspServer(clip, rate=RATE, loop=False, transport=transport) as server:
            async with aclosing(guard.watch(server.url, options=options)) as items:
                async for item in items:
                    if isinstance(item, FrameReport):
                        live.push(item.faces, item.state)
                        states.update((item.frame.index, face.state) for face in item.faces)
                    elif item.kind is EventKind.STREAM_DOWN:
                        break
    told = live.result()
    assert told.judged > 60
    assert replay.share is not None
    assert told.verdict == replay.verdict
    assert told.share == pytest.approx(replay.share, abs=0.05)
    assert told.contains_fake == replay.contains_fake
    judged = [index for index, state in states.items() if state is not Verdict.UNKNOWN]
    assert sum(states[index] is again[index] for index in judged) / len(judged) > 0.95
