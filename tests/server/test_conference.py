"""What becomes of whoever is in a room, with an SFU that does as the test says."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import numpy as np
import pytest
from aiortc import MediaStreamTrack
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamguard.config import LIVE_NAME, RoomSettings, read_config
from streamguard.errors import SourceEnded, SourceRefused, UnsupportedMedia
from streamguard.media import Backoff, SourceOptions, picture_from_rgb
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.sfu.room import RoomCamera, ViewTrack
from streamguard.pipeline.stream import FrameReport
from streamguard.server.app import Server
from streamguard.streams.conference import Conference, ConferenceOptions, participant_slug
from streamguard.streams.room_view import Tile, grid
from streamguard.types import Frame, Verdict
from streamguard.verdict import StreamState
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.support.settings import config_of
from tests.support.training_data import ROOT


class Script:
    """An SFU of one room, and the adapter to it: the least that an adapter is.

    Args:
        speechless: nobody may publish.
    """

    def __init__(self, *, speechless: bool = False) -> None:
        self.steps: asyncio.Queue[tuple[RoomCamera, ...] | Exception] = asyncio.Queue()
        self.said: list[str] = []
        self.received: set[str] = set()
        self.receptions = 0
        self.joined = 0
        self._speechless = speechless

    async def __aenter__(self) -> Self:
        self.joined += 1
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def cameras(self) -> AsyncGenerator[tuple[RoomCamera, ...], None]:
        """What the test has put."""
        while True:
            step = await self.steps.get()
            self.steps.task_done()
            if isinstance(step, Exception):
                raise step
            yield step

    @asynccontextmanager
    async def receive(self, camera: RoomCamera, keeper: PacketKeeper | None) -> AsyncIterator[MediaStreamTrack]:
        """A track that shows nothing."""
        if camera.codec == "av1":
            raise UnsupportedMedia("room", "its video is av1", "use another codec")
        self.received.add(camera.id)
        self.receptions += 1
        try:
            yield Dark()
        finally:
            self.received.remove(camera.id)

    async def publish(self, view: ViewTrack | None) -> None:
        """Only where one may."""
        if self._speechless:
            raise SourceRefused("room", "there is no place", "make some")

    def tell(self, text: str) -> bool:
        """Keep it."""
        self.said.append(text)
        return not self._speechless


class Dark(MediaStreamTrack):
    """A track of which no picture comes."""

    kind = "video"

    async def recv(self) -> Any:
        """Never."""
        await asyncio.Event().wait()


@asynccontextmanager
async def attended(server: Server, script: Script, **options: Any) -> AsyncIterator[Conference]:
    """A conference in that room."""
    how = ConferenceOptions(**{"pause": 0.1, **options})
    conference = Conference("room", lambda: script, server.hub, None, how, Backoff(initial=0.01, cap=0.01))
    conference.start()
    try:
        yield conference
    finally:
        await conference.aclose()


def names(server: Server) -> set[str]:
    return {stream.name for stream in server.hub.streams()}


def cameras(**named: str) -> tuple[RoomCamera, ...]:
    return tuple(RoomCamera(key, key, name) for key, name in named.items())


async def test_whatever_comes_those_who_were_first_are_judged(server: Server) -> None:
    script, dice = Script(), random.Random(7)
    async with attended(server, script, most=3) as conference:
        order: list[str] = []
        for _ in range(40):
            there = {key: "same" for key in "abcdefg" if dice.random() < 0.5}
            order = [key for key in order if key in there] + [key for key in there if key not in order]
            await script.steps.put(cameras(**{key: there[key] for key in order}))
            await script.steps.join()
            wanted = (len(order), min(3, len(order)))
            await until(lambda: (conference.status().cameras, len(server.hub.streams())) == wanted)  # noqa: B023
            await until(lambda: len(script.received) == wanted[1])  # noqa: B023
        await script.steps.put(())
        await until(lambda: not server.hub.streams())


async def test_nobody_escapes_by_changing_his_name(server: Server) -> None:
    script = Script()
    async with attended(server, script, pause=1000.0):
        await script.steps.put(cameras(a="Ann"))
        await until(lambda: names(server) == {"room/Ann"})
        (first,) = server.hub.streams()
        for number in range(20):
            await script.steps.put(cameras(a=f"Nobody {number}"))
        await script.steps.join()
        assert server.hub.streams() == [first]
    async with attended(server, script):
        await script.steps.put(cameras(a="Ann"))
        await script.steps.put(cameras(a="Eve"))
        await until(lambda: names(server) == {"room/Eve"})


async def test_the_server_is_full(serve_with: ServeWith) -> None:
    script = Script()
    async with serve_with(max_streams=2) as (server, _), attended(server, script) as conference:
        await script.steps.put(cameras(a="Ann", b="Bob", c="Cy"))
        await until(lambda: conference.status().refused == Counter(server=1, participants=0))
        assert names(server) == {"room/Ann", "room/Bob"}
        assert ["Cy is not watched" in text for text in script.said] == [True]
        await server.hub.close("room/Ann")
        await until(lambda: "room/Cy" in names(server))
        # Somebody has removed her by hand: she is not taken up again.
        assert "room/Ann" not in names(server)


async def test_a_room_in_which_nobody_may_speak_is_watched_all_the_same(server: Server) -> None:
    script = Script(speechless=True)
    async with attended(server, script) as conference:
        await script.steps.put(cameras(a="Ann"))
        await until(lambda: names(server) == {"room/Ann"})
        assert (conference.status().state, conference.status().detail) == ("up", "room: there is no place. Make some.")


@pytest.mark.parametrize("fault", [SourceEnded("room", "gone", ""), RuntimeError("a fault of the adapter")])
async def test_whatever_breaks_the_room_is_joined_again(server: Server, fault: Exception) -> None:
    script = Script()
    async with attended(server, script) as conference:
        await script.steps.put(cameras(a="Ann"))
        await until(lambda: names(server) == {"room/Ann"})
        await script.steps.put(fault)
        await until(lambda: script.joined == 2 and not names(server))
        await script.steps.put(cameras(a="Ann"))
        await until(lambda: names(server) == {"room/Ann"})
        assert conference.status().reconnects == 1


async def test_a_video_that_cannot_be_received_is_down_and_says_so(server: Server) -> None:
    script = Script()
    async with attended(server, script):
        await script.steps.put((RoomCamera("a", 1, "Ann", "av1"),))
        await until(lambda: names(server) == {"room/Ann"})
        (stream,) = server.hub.streams()
        await until(lambda: stream.state == "down")
        assert "its video is av1" in stream.status().detail


async def test_a_video_that_never_shows_a_picture_is_down_and_tried_again(server: Server) -> None:
    script = Script()
    async with attended(server, script, source=SourceOptions(read_timeout=0.1)):
        await script.steps.put(cameras(a="Ann"))
        await until(lambda: names(server) == {"room/Ann"})
        (stream,) = server.hub.streams()
        await until(lambda: stream.state == "down")
        assert "no picture has come for 0.1 s" in stream.status().detail
        await until(lambda: script.receptions > 2)


@given(st.text())
def test_every_name_makes_a_streams_name(shown: str) -> None:
    name = f"room/{participant_slug(shown)}"
    assert re.fullmatch(LIVE_NAME, name)
    assert ".." not in name.split("/")


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (12, 4, 3)])
def test_the_grid_shows_each_in_a_place_of_its_own(count: int, columns: int, rows: int) -> None:
    white = picture_from_rgb(np.full((90, 160, 3), 255, np.uint8))
    report = FrameReport(Frame("s", 0, 0, 0.0, 0.0, white), (), StreamState(0.0, Verdict.UNKNOWN, {}, ()))
    picture = grid([Tile("Ann", report, 0.5)] * count, 640, 360)
    centres = [
        picture.y[(2 * row + 1) * 180 // rows, (2 * column + 1) * 320 // columns]
        for row in range(rows)
        for column in range(columns)
    ]
    # Limited range: 235 is white, 16 is black.
    assert centres == [235] * count + [16] * (columns * rows - count)


def test_an_empty_grid_is_black() -> None:
    assert not (grid([], 320, 180).y - 16).any()


def test_the_example_is_right() -> None:
    (stream,) = read_config(ROOT / "examples" / "conference_room" / "streamguard.toml").streams
    assert stream.room == RoomSettings()


def test_a_room_is_not_sent_on() -> None:
    room = {"name": "meeting", "source": "janus+ws://127.0.0.1/1", "outputs": ["a.ts"]}
    with pytest.raises(ValidationError, match="its participants cannot be sent on"):
        config_of(streams=[room])
