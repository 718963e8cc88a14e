"""`streamguard watch` in a process of its own: hosts that misbehave, and what it writes."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import numpy as np
import pytest
import trustme
from rich.console import Console

from streamguard.cli.reports import LINE_KINDS
from streamguard.cli.watch import Screen
from streamguard.media import open_source
from streamguard.pipeline.stream import Counts, FrameReport
from streamguard.types import EventKind, Frame, Picture
from streamguard.verdict import StreamVote
from tests.cli.conftest import Run, assert_one_line
from tests.support.hosts import refused_port, silent_host, web_server
from tests.support.media_files import make_video
from tests.support.portraits import RATE
from tests.support.rtsp_server import RtspServer


def test_a_file_as_json_lines(run: Run, half_fake: Path) -> None:
    result = run("watch", half_fake, "--jsonl")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["kind"] for line in lines} <= set(LINE_KINDS)
    assert [line["kind"] for line in lines if line["kind"] != "stream.state"] == [
        "stream.up",
        "fake.opened",
        "fake.closed",
    ]
    states = [line for line in lines if line["kind"] == "stream.state"]
    assert [state["time"] for state in states] == sorted(state["time"] for state in states)
    assert {state["state"] for state in states} == {"UNKNOWN", "REAL", "FAKE"}
    assert states[-1]["tracks"][0]["share"] > 0.9
    # A file is read without drops.
    frames = [state["frames"] for state in states]
    assert frames[0] == {"received": 1, "judged": 1, "dropped": 0}
    assert all(told["received"] == told["judged"] and told["dropped"] == 0 for told in frames)
    assert {line["stream"] for line in lines} == {str(half_fake)}


def test_the_kinds_of_lines_are_documented(run: Run) -> None:
    assert set(LINE_KINDS) == {kind.value for kind in EventKind} | {"stream.state", "output.state"}
    text = run("watch", "--help", model="x").stdout
    assert all(kind in text for kind in LINE_KINDS)


def test_a_file_as_lines_for_people(run: Run, half_fake: Path) -> None:
    result = run("watch", half_fake)
    assert (result.returncode, result.stderr) == (0, "")
    words = [line.split(maxsplit=1)[1] for line in result.stdout.splitlines()]
    assert words[0] == "stream.up 320x240"
    assert any(word.startswith("fake.opened face 1") for word in words)
    said = [word.split(": ")[1] for word in words if " s: " in word]
    assert said == ["NOT JUDGED", "no sign of manipulation found", "FAKE"]


def test_a_face_that_is_unsure_alerts_nobody(run: Run, half_fake: Path, unsure_detector: Path) -> None:
    lines = [json.loads(line) for line in run("watch", half_fake, "--jsonl", model=unsure_detector).stdout.splitlines()]
    assert {line["kind"] for line in lines} == {"stream.up", "stream.state"}
    states = [line for line in lines if line["kind"] == "stream.state"]
    assert [state["state"] for state in states][-1] == "UNSURE"
    assert (states[-1]["tracks"][0]["share"], states[-1]["tracks"][0]["suspect_share"]) == (0.0, 1.0)


def test_the_table_tells_what_was_dropped() -> None:
    image = Picture(np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
    report = FrameReport(Frame("cam", 0, 6, 0.2, 0.0, image), (), StreamVote().push(0.2, []), Counts(7, 5, 2))
    screen, console = Screen("green"), Console(width=80)
    screen.add(report)
    with console.capture() as said:
        console.print(screen.table())
    assert "frames: 7 received, 5 judged, 2 dropped" in said.get()


def test_a_stream_is_sent_on_whatever_becomes_of_one_target(run: Run, half_fake: Path, tmp_path: Path) -> None:
    (tmp_path / "hls").mkdir()
    dead = f"rtmp://127.0.0.1:{refused_port()}/live/k3y"
    targets = [part for target in ("out.ts", "hls", dead) for part in ("--restream", target)]
    result = run("watch", f"loop:{half_fake}", "--jsonl", "--seconds", 20, *targets)
    assert (result.returncode, result.stderr) == (0, "")
    assert "k3y" not in result.stdout
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    last = {line["target"]: line for line in lines if line["kind"] == "output.state"}
    assert set(last) == {"out.ts", "hls/live.m3u8", dead.replace("k3y", "***")}
    received = [line["frames"]["received"] for line in lines if line["kind"] == "stream.state"][-1]
    for target in ("out.ts", "hls/live.m3u8"):
        # All, judged or not; as there is no sound, the output begins a second late.
        assert last[target]["sent"] + last[target]["dropped"] > 0.9 * (received - RATE)
        assert last[target]["failures"] == 0
        with open_source(tmp_path / target) as source:
            assert len(list(source)) > 20
    assert last[dead.replace("k3y", "***")]["failures"] > 0
    assert "connection refused" in last[dead.replace("k3y", "***")]["detail"]
    # No epoch but the first, however often the file began anew.
    assert {line["epoch"] for line in lines if "epoch" in line} == {0}


def test_a_recording_is_gone_on_with_and_that_is_told(run: Run, real: Path, tmp_path: Path) -> None:
    before = make_video(tmp_path / "out.ts", frames=30).read_bytes()
    result = run("watch", real, "--jsonl", "--restream", "out.ts")
    assert (result.returncode, result.stderr) == (0, "streamguard: out.ts: the existing recording is appended to\n")
    assert (tmp_path / "out.ts").read_bytes().startswith(before)
    assert (tmp_path / "out.ts").stat().st_size > len(before)


def test_where_nothing_can_be_sent(run: Run, real: Path) -> None:
    assert_one_line(run("watch", real, "--restream", "gopher://x/y"), 9, "gopher", "nothing can be pushed")
    assert_one_line(run("watch", real, "--restream", "no/out.ts"), 9, "folder does not exist")
    assert_one_line(run("watch", real, "--restream", ""), 9, "it is empty")
    assert_one_line(run("watch", real, "--restream", "a.ts", "--restream", "./a.ts"), 9, "./a.ts: two outputs")
    clip = make_video(real.parent / "own.ts", frames=5)
    assert_one_line(run("watch", f"loop:{clip}", "--restream", clip), 9, "this is the video to judge")
    assert clip.stat().st_size > 0


def test_a_certificate_nobody_signed(run: Run, tmp_path: Path) -> None:
    # Read in one go: the test's web server knows no ranges.
    make_video(tmp_path / "a.mp4", movflags="+faststart")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with web_server(tmp_path, context) as base:
        url = f"{base}/a.mp4"
        assert_one_line(run("watch", url), 3, "certificate is not trusted", "--insecure")
        assert run("watch", url, "--insecure", "--jsonl").returncode == 0
        assert run("scan", url, "--insecure").returncode == 0


def test_the_seconds_and_the_overlay(run: Run, half_fake: Path, tmp_path: Path) -> None:
    with RtspServer(half_fake, rate=RATE) as server:
        result = run("watch", server.url, "--seconds", 4, "--jsonl", "--overlay", "out.mp4")
    assert (result.returncode, result.stderr) == (0, "")
    with open_source(tmp_path / "out.mp4") as source:
        frames = list(source)
    assert len(frames) > 5
    assert frames[-1].time < 4
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("url", ["rtsp://bob:s3cret@127.0.0.1:{}/live", "http://bob:s3cret@127.0.0.1:{}/live"])
def test_a_refused_port(run: Run, url: str) -> None:
    result = run("watch", url.format(refused_port()))
    assert_one_line(result, 3, "bob:***@127.0.0.1", "connection refused", "Check that the server runs")
    assert "s3cret" not in result.stdout + result.stderr


def test_a_wrong_password(run: Run, real: Path) -> None:
    with RtspServer(real, rate=RATE, user="bob", password="s3cret") as server:
        result = run("watch", server.url_for("bob", "wr0ng/?pass"))
    assert_one_line(result, 3, "bob:***@127.0.0.1", "refused the credentials", "Check user and password")
    assert "wr0ng" not in result.stdout + result.stderr


def test_a_host_that_never_answers(run: Run) -> None:
    with silent_host() as port:
        result = run("watch", f"rtsp://127.0.0.1:{port}/live", "--timeout", 1)
    assert_one_line(result, 3, "no answer within the time limit", "Check host, port")


@pytest.mark.parametrize(
    ("url", "code", "cause"),
    [
        ("rtsp://nowhere.invalid/live", 3, "host name is unknown"),
        ("gopher://host/live", 4, "protocol 'gopher' is not supported"),
        ("rtsp:///live", 3, "names no host"),
        ("camera:77", 3, "no device /dev/video77"),
        ("none.mp4", 3, "no such file"),
    ],
)
def test_a_source_that_cannot_be(run: Run, url: str, code: int, cause: str) -> None:
    assert_one_line(run("watch", url, "--jsonl"), code, cause)


def test_a_missing_file_is_told_before_the_detector_is_loaded(run: Run) -> None:
    assert_one_line(run("watch", "loop:none.mp4", model="none"), 3, "no such file")


def test_a_wrong_transport_is_wrong_usage(run: Run) -> None:
    assert run("watch", "rtsp://127.0.0.1/live", "--transport", "pigeon").returncode == 2
