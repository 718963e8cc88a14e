"""A stream whose source is changed: whoever watches it goes on watching."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import pytest

from streamguard.media import picture_from_rgb
from streamguard.server.app import Server
from streamguard.streams.viewers import OverlayFeed
from streamguard.types import EventKind, Frame
from tests.server.peers import Peer, masked, published, told, until
from tests.support.portraits import portrait_clip

STREAM = "/api/v1/streams/door"


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A green face, and nothing else."""
    return portrait_clip(tmp_path_factory.mktemp("change") / "fake.mp4", 4.0, (0.0, 4.0))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """One thread for painting and encoding."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


async def test_a_viewer_sees_the_new_source(
    server: Server, http: aiohttp.ClientSession, real: Path, fake: Path
) -> None:
    assert (await http.post("/api/v1/streams", json={"source": str(real), "name": "door"})).status == 201
    async with Peer(http) as viewer:
        await viewer.play("door")
        await until(lambda: any(message["state"] == "REAL" for message in viewer.messages))
        stream, session = server.hub.find("door"), viewer.pc.connectionState
        assert session == "connected"
        changed = await http.patch(STREAM, json={"source": str(fake)})
        document = await changed.json()
        assert (changed.status, document["state"], document["source"]) == (200, "starting", str(fake))
        assert document["totals"]["received"] == 0
        # The same connection brings the new picture and the new verdicts.
        await until(lambda: viewer.messages[-1]["state"] == "FAKE" and masked(viewer))
        assert viewer.pc.connectionState == "connected"
        assert server.book.opened == 1
        assert server.hub.find("door") is stream
        assert stream.feeds["live"].viewers == 1
        # And back: nobody goes on believing that a face is called fake.
        await until(lambda: server.events.counts[EventKind.FAKE_OPENED] == 1)
        assert (await http.patch(STREAM, json={"source": str(real)})).status == 200
        closed = await told(server, kind=EventKind.FAKE_CLOSED)
        assert [event.detail for event in closed] == ["the source was changed while the face was called fake"]
        await until(lambda: viewer.messages[-1]["state"] == "REAL")
        epochs = [event.epoch for event in await told(server, kind=EventKind.STREAM_UP)]
        assert epochs == [2, 1, 0]
        assert server.book.opened == 1


async def test_rate_and_priority_change_while_it_plays(server: Server, http: aiohttp.ClientSession, fake: Path) -> None:
    new = {"source": str(fake), "name": "door", "sampling": {"judged_per_second": 25}}
    assert (await http.post("/api/v1/streams", json=new)).status == 201
    await until(lambda: server.events.counts[EventKind.FAKE_OPENED] == 1)
    stream = server.hub.find("door")
    pipeline, newest = stream._pipeline, stream.newest
    assert newest is not None
    changed = await http.patch(STREAM, json={"sampling": {"judged_per_second": 2, "detect_every": 1}, "priority": 3})
    document = await changed.json()
    assert (changed.status, document["state"], document["priority"]) == (200, "up", 3)
    asked = {key: document["sampling"][key] for key in ("judged_per_second", "detect_every", "most")}
    assert asked == {"judged_per_second": 2, "detect_every": 1, "most": 2}
    times: list[float] = []
    with stream.reports.subscribe() as reports:
        while len(times) < 9:
            times.append((await reports.get()).frame.time)
    # The first were on their way already; one that is late is made up for.
    assert times[-1] - times[5] >= 3 * 0.5 - 0.25
    # What is not named stays; null takes the limit away.
    document = await (await http.patch(STREAM, json={"sampling": {"judged_per_second": None}})).json()
    assert (document["sampling"]["judged_per_second"], document["priority"]) == (None, 3)
    judged = stream.counts.judged
    await until(lambda: stream.counts.judged >= judged + 10)
    assert stream.newest is not None
    assert stream.newest.state.tracks.keys() == newest.state.tracks.keys()
    assert (stream._pipeline, stream.newest.frame.epoch) == (pipeline, newest.frame.epoch)
    assert server.events.counts[EventKind.FAKE_OPENED] == 1
    assert server.events.counts[EventKind.FAKE_CLOSED] == server.events.counts[EventKind.STREAM_DOWN] == 0


async def test_a_published_stream_is_judged_at_another_rate(server: Server, http: aiohttp.ClientSession) -> None:
    async with published(http, "door") as peer:
        changed = await http.patch(STREAM, json={"sampling": {"judged_per_second": 4}})
        assert (changed.status, (await changed.json())["sampling"]["judged_per_second"]) == (200, 4)
        assert (await http.patch(STREAM, json={"sampling": {"judged_per_second": 9}, "loop": True})).status == 409
        assert server.hub.find("door").request.watch.judged_per_second == 4
        assert peer.pc.connectionState != "closed"


async def test_the_old_form_of_the_rate_is_still_taken(server: Server, http: aiohttp.ClientSession, real: Path) -> None:
    new = {"source": str(real), "name": "door", "judged_per_second": 3}
    both = await http.post("/api/v1/streams", json={**new, "name": "both", "sampling": {"judged_per_second": 4}})
    assert (await both.json())["sampling"]["judged_per_second"] == 4
    made = await http.post("/api/v1/streams", json=new)
    assert (await made.json())["sampling"]["judged_per_second"] == 3
    schemas = (await (await http.get("/api/v1/openapi.json")).json())["components"]["schemas"]
    assert schemas["NewStream"]["properties"]["judged_per_second"]["deprecated"]
    for wrong in ({"sampling": {"judged_per_second": 0}}, {"sampling": {"often": 1}}, {"priority": 11}):
        assert (await http.patch(STREAM, json=wrong)).status == 422


async def test_a_listener_goes_on_listening(server: Server, http: aiohttp.ClientSession, real: Path) -> None:
    await http.post("/api/v1/streams", json={"source": str(real), "name": "door"})
    async with http.get(f"{STREAM}/events") as answer, asyncio.timeout(60):
        told = _told(answer)
        # It may be up before anybody listens.
        await _reaches(told, "state", state="up")
        await http.patch(STREAM, json={"transport": "udp"})
        await _reaches(told, "alert", epoch=1)
        await http.delete(STREAM)
        await _reaches(told, "state", state="ended")
        assert [each async for each in told] == []


async def test_a_source_that_is_not_there_can_be_corrected(
    server: Server, http: aiohttp.ClientSession, real: Path
) -> None:
    await http.post("/api/v1/streams", json={"source": str(real.with_name("none.mp4")), "name": "door"})
    await until(lambda: server.hub.find("door").state == "failed")
    await http.patch(STREAM, json={"source": str(real)})
    await until(lambda: server.hub.find("door").state == "up")
    async with Peer(http) as viewer:
        await viewer.play("door")
        await until(lambda: viewer.frames)


@pytest.mark.parametrize("nothing", [{}, {"source": None, "transport": None, "loop": None}])
async def test_a_change_without_any_changes_nothing(
    server: Server, http: aiohttp.ClientSession, real: Path, nothing: dict[str, None]
) -> None:
    await http.post("/api/v1/streams", json={"source": str(real), "name": "door"})
    stream = server.hub.find("door")
    await until(lambda: stream.counts.judged)
    answer = await http.patch(STREAM, json=nothing)
    document = await answer.json()
    assert (answer.status, document["state"], document["totals"]["received"] > 0) == (200, "up", True)
    before = stream.counts.judged
    await until(lambda: stream.counts.judged > before)
    assert server.events.counts[EventKind.STREAM_UP] == 1


async def test_changes_and_the_end_at_the_same_time(
    server: Server, http: aiohttp.ClientSession, real: Path, fake: Path
) -> None:
    await http.post("/api/v1/streams", json={"source": str(real), "name": "door"})
    await until(lambda: server.hub.find("door").state == "up")
    changes = [http.patch(STREAM, json={"source": str(source)}) for source in (fake, real, fake)]
    *changed, ended = await asyncio.gather(*changes, http.delete(STREAM))
    assert ended.status == 204
    assert {response.status for response in changed} <= {200, 404}
    assert (await http.get(STREAM)).status == 404
    assert server.hub.streams() == []


async def test_the_new_source_begins_with_a_key_frame(threads: ThreadPoolExecutor) -> None:
    feed = OverlayFeed("door", "none", 0.5, threads)
    track = feed.join("h264")
    packets: list[av.Packet[Any]] = []
    # Less than the pause between two key frames lies between the first picture and the change.
    for epoch, index in ((0, 0), (0, 1), (1, 0), (1, 1)):
        if (epoch, index) == (1, 0):
            await feed.renew()
        feed.frame(_frame(epoch, index))
        packets.append(await track.recv())
    assert [bool(packet.is_keyframe) for packet in packets] == [True, False, True, False]
    times = [packet.pts or 0 for packet in packets]
    assert times == sorted(set(times))
    track.stop()
    await feed.renew()
    # Nobody looks, so nothing is made; the next one to look gets pictures.
    feed.frame(_frame(2, 0))
    track = feed.join("h264")
    feed.frame(_frame(2, 1))
    assert (await track.recv()).is_keyframe
    assert feed.pictures == 5
    await feed.aclose()


def _frame(epoch: int, index: int) -> Frame:
    rgb = np.full((96, 128, 3), 40 + 40 * index + 80 * epoch, np.uint8)
    now = asyncio.get_running_loop().time()
    return Frame("door", epoch, index, index / 30, now, picture_from_rgb(rgb))


async def _told(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    kind = ""
    async for raw in answer.content:
        name, _, value = raw.decode().strip().partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


async def _reaches(told: AsyncIterator[tuple[str, dict[str, Any]]], kind: str, **wanted: object) -> None:
    async for each, data in told:
        if each == kind and wanted.items() <= data.items():
            return
    pytest.fail(f"it ended before {kind} {wanted}")
