"""Streams that begin at the same moment and share one engine: each verdict belongs to its own stream."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from streamguard.pipeline.guard import Guard
from streamguard.pipeline.stream import FrameReport
from streamguard.server.messages import verdict_json
from streamguard.streams.live_stream import LiveStream
from streamguard.types import EventKind, Verdict
from tests.server.conftest import ServeWith
from tests.server.peers import told, until
from tests.support.portraits import portrait_clip

SECONDS = 4.0
MESSAGES = 80
ROUNDS = 3


class Collector:
    """Takes the place of a data channel."""

    def __init__(self, stream: LiveStream) -> None:
        self.messages: list[dict[str, Any]] = []
        self._name = stream.name
        stream.reports.listen(self._take)

    def _take(self, report: FrameReport) -> None:
        self.messages.append(json.loads(verdict_json(self._name, report)))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same portrait, as it is and with a green face."""
    folder = tmp_path_factory.mktemp("apart")
    return {
        "REAL": portrait_clip(folder / "real.mp4", SECONDS),
        "FAKE": portrait_clip(folder / "fake.mp4", SECONDS, (0.0, SECONDS)),
    }


async def test_live_streams_of_one_server(serve_with: ServeWith, clips: dict[str, Path]) -> None:
    streams = [
        {"name": f"{truth}-{number}", "source": str(clip)} for number in range(2) for truth, clip in clips.items()
    ]
    async with serve_with(streams=streams) as (server, _):
        collectors = {stream.name: Collector(stream) for stream in server.hub.streams()}
        await until(lambda: all(len(each.messages) > MESSAGES for each in collectors.values()), 120)
        for name, collector in collectors.items():
            truth = name.partition("-")[0]
            assert {message["stream"] for message in collector.messages} == {name}
            assert {message["state"] for message in collector.messages} <= {truth, "UNKNOWN"}
            assert collector.messages[-1]["state"] == truth
            faces = [face for message in collector.messages for face in message["faces"]]
            assert {face["verdict"] for face in faces} <= {truth, "UNKNOWN"}
            assert all(len(message["faces"]) <= 1 for message in collector.messages)
            # A machine that judges once a second may lose a face and find it again as another one.
            tracks = [face["track"] for face in faces]
            assert tracks[0] == 1
            assert tracks == sorted(tracks)
        opened = {event.stream for event in await told(server, kind=EventKind.FAKE_OPENED)}
        assert opened == {"FAKE-0", "FAKE-1"}


@pytest.mark.parametrize("engine", ["torch", "openvino"])
async def test_files_as_fast_as_they_can_be_judged(detector: Path, clips: dict[str, Path], engine: str) -> None:
    async with Guard.open(str(detector), engine) as guard:

        async def judged(truth: str) -> None:
            faces = 0
            async for item in guard.watch(str(clips[truth]), live=False):
                if isinstance(item, FrameReport):
                    states = [face.state for face in item.faces if face.state is not Verdict.UNKNOWN]
                    assert {state.value for state in states} <= {truth}
                    faces += len(states)
            assert faces > SECONDS * 15

        for _ in range(ROUNDS):
            await asyncio.gather(*(judged(truth) for truth in clips for _ in range(2)))
