"""Pulled streams are kept alive: whatever a source says, it is tried again, and what comes after a break is told."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from streamguard.media import supervisor
from streamguard.server.app import Server
from streamguard.types import Event, EventKind
from tests.server.conftest import ServeWith
from tests.server.peers import told, until
from tests.support.moody_host import Mood, MoodyHost
from tests.support.portraits import portrait_clip

FOREVER = 4
"""Attempts after which it is believed that there are always more."""
STREAM = (EventKind.STREAM_UP, EventKind.STREAM_DOWN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real face, a fake one, and an HLS recording."""
    made = tmp_path_factory.mktemp("pulled")
    portrait_clip(made / "real.ts", 1.0)
    portrait_clip(made / "fake.ts", 4.0, (0.0, 4.0))
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXTINF:1.0,", "real.ts", "#EXT-X-ENDLIST", ""]
    (made / "real.m3u8").write_text("\n".join(lines))
    return made


@pytest.fixture
def host(folder: Path) -> Iterator[MoodyHost]:
    """Where they can be fetched."""
    with MoodyHost(folder) as host:
        yield host


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_RARELY", 0.5)


async def connections(server: Server) -> list[Event]:
    """What was told of the stream's connection, oldest first."""
    found = await told(server, stream="a")
    return [event for event in reversed(found) if event.kind in STREAM]


@pytest.mark.parametrize("mood", ["missing", "unauthorized", "page"])
async def test_a_stream_of_the_file_is_tried_until_it_is_there(
    serve_with: ServeWith, host: MoodyHost, mood: Mood
) -> None:
    host.mood = mood
    async with serve_with(streams=[{"name": "a", "source": f"{host.url}/real.ts"}]) as (server, _):
        stream = server.hub.find("a")
        await until(lambda: host.asked[mood] >= FOREVER)
        assert stream.state == "down"
        (down,) = await connections(server)
        assert (down.kind, down.epoch, down.detail) == (EventKind.STREAM_DOWN, 0, stream.status().detail)
        assert "127.0.0.1" in down.detail
        host.mood = "good"
        await until(lambda: stream.state == "up" and stream.counts.judged)
        assert [(event.kind, event.epoch) for event in await connections(server)] == [
            (EventKind.STREAM_DOWN, 0),
            (EventKind.STREAM_UP, 0),
        ]
        assert (stream.interruptions, stream.restarts) == (0, 0)


async def test_one_added_over_the_api_is_told_its_error_before_it_was_up_only(
    serve_with: ServeWith, host: MoodyHost
) -> None:
    host.mood = "missing"
    new = {"source": f"{host.url}/real.ts", "name": "a"}
    async with serve_with() as (server, http):
        await http.post("/api/v1/streams", json=new)
        stream = server.hub.find("a")
        await until(lambda: stream.state == "failed")
        assert (host.asked["missing"], await connections(server)) == (1, [])
        host.mood = "good"
        await http.patch("/api/v1/streams/a", json={"source": new["source"]})
        await until(lambda: stream.counts.judged and host.asked["good"] > 1)
        host.mood = "missing"
        await until(lambda: host.asked["missing"] > FOREVER)
        assert stream.state == "down"
        # Nothing comes, and the figures say so.
        await until(lambda: stream.status().rates.received == stream.status().rates.judged == 0.0)
        host.mood = "good"
        await until(lambda: stream.state == "up")
        assert [event.kind for event in await connections(server)] == [*STREAM, EventKind.STREAM_UP]
        assert stream.interruptions == 1


@pytest.mark.parametrize("name", ["real.ts", "real.m3u8"])
async def test_what_breaks_after_the_first_round_is_up_again_once_it_returns(
    serve_with: ServeWith, host: MoodyHost, name: str
) -> None:
    async with serve_with(streams=[{"name": "a", "source": f"{host.url}/{name}"}]) as (server, _):
        stream = server.hub.find("a")

        def rounds_of(epoch: int, asked: int) -> bool:
            judged = stream.newest is not None and stream.newest.frame.epoch == epoch
            return stream.state == "up" and host.asked["good"] >= asked + 4 and judged

        for epoch in range(2):
            # The next rounds of one and the same stream; on a busy machine the first verdict comes after some of them.
            await until(partial(rounds_of, epoch, host.asked["good"]))
            host.stop()
            await until(lambda: stream.state == "down")
            host.start()
        # The state is that of the source; what is told of it comes after the frames that still are judged.
        await until(lambda: server.events.counts[EventKind.STREAM_UP] == 3)
        assert [(event.kind, event.epoch) for event in await connections(server)] == [
            (EventKind.STREAM_UP, 0),
            (EventKind.STREAM_DOWN, 0),
            (EventKind.STREAM_UP, 1),
            (EventKind.STREAM_DOWN, 1),
            (EventKind.STREAM_UP, 2),
        ]


async def test_a_fake_whose_stream_breaks_off_is_not_cleared(serve_with: ServeWith, host: MoodyHost) -> None:
    async with serve_with(streams=[{"name": "a", "source": f"{host.url}/fake.ts"}]) as (server, http):
        await until(lambda: server.events.counts[EventKind.FAKE_OPENED])
        host.mood = "missing"
        await until(lambda: server.events.counts[EventKind.STREAM_DOWN])
        events = (await (await http.get("/api/v1/events?kind=fake.closed")).json())["events"]
        assert [event["detail"] for event in events] == ["the stream broke off while the face was called fake"]


async def test_what_is_over_has_no_rates(serve_with: ServeWith, host: MoodyHost) -> None:
    async with serve_with() as (server, http):
        new = {"source": f"{host.url}/real.ts", "name": "a", "loop": False}
        assert (await http.post("/api/v1/streams", json=new)).status == 201
        await until(lambda: server.hub.find("a").state == "ended")
        document = await (await http.get("/api/v1/streams/a")).json()
        assert set(document["rates"].values()) == {0.0}
        assert document["totals"]["received"] > 0
        ready = await (await http.get("/health/ready")).json()
        assert ready["load"]["streams"] == 0
