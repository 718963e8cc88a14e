"""The REST API: streams, events, snapshots, engines, and what it refuses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from streamguard.server.app import Server
from streamguard.server.source_policy import SourcePolicy, public
from streamguard.streams.hub import slug
from streamguard.streams.live_events import LiveEvents
from streamguard.types import Event, EventKind
from tests.server.conftest import ServeWith
from tests.server.peers import Peer, published, until
from tests.server.test_protocol import problem
from tests.support.portraits import RATE
from tests.support.rtsp_server import RtspServer


async def answer(response: aiohttp.ClientResponse, status: int = 200) -> Any:
    """The JSON of an answer with that status."""
    assert response.status == status, await response.text()
    return await response.json()


async def test_a_file_plays_over_and_over(server: Server, http: aiohttp.ClientSession, half_fake: Path) -> None:
    made = await http.post("/api/v1/streams", json={"source": str(half_fake)})
    stream = await answer(made, 201)
    assert (stream["name"], stream["kind"], stream["state"]) == ("half", "pulled", "starting")
    assert made.headers["Location"] == "/api/v1/streams/half"
    await until(lambda: server.events.counts[EventKind.FAKE_OPENED] == 2)
    # Six seconds are one round: the second fake came in the second one, and no connection was made anew.
    assert server.events.counts[EventKind.STREAM_UP] == 1
    assert server.hub.find("half").state == "up"
    again = await http.post("/api/v1/streams", json={"source": str(half_fake)})
    assert (await answer(again, 201))["name"] == "half-2"
    await problem(await http.post("/api/v1/streams", json={"source": "x.mp4", "name": "half"}), 409)


async def test_a_file_that_ends(server: Server, http: aiohttp.ClientSession, real: Path) -> None:
    await answer(await http.post("/api/v1/streams", json={"source": str(real), "loop": False, "name": "once"}), 201)
    async with Peer(http) as viewer:
        await viewer.play("once")
        await until(lambda: server.hub.find("once").state == "ended")
        assert viewer.frames
        await until(lambda: server.book.count() == 0)
    changed = await http.patch("/api/v1/streams/once", json={"loop": True})
    assert (await answer(changed))["state"] == "starting"
    await until(lambda: server.hub.find("once").state == "up")
    assert (await http.delete("/api/v1/streams/once")).status == 204
    await problem(await http.get("/api/v1/streams/once"), 404)
    await problem(await http.delete("/api/v1/streams/once"), 404)
    await problem(await http.patch("/api/v1/streams/once", json={}), 404)


async def test_a_camera_with_a_password(server: Server, http: aiohttp.ClientSession, half_fake: Path) -> None:
    with RtspServer(half_fake, rate=RATE, user="bob", password="s3cret", transport="tcp") as camera:
        stream = await answer(await http.post("/api/v1/streams", json={"source": camera.url, "name": "door"}), 201)
        assert "s3cret" not in str(stream)
        assert stream["source"].startswith("rtsp://bob:***@127.0.0.1")
        await until(lambda: server.hub.find("door").counts.judged > 5)
        camera.kill()
        await until(lambda: server.hub.find("door").state == "down")
        document = await answer(await http.get("/api/v1/streams/door"))
        assert document["detail"]
        assert document["verdict"] == "UNKNOWN"
        camera.start()
        await until(lambda: server.hub.find("door").state == "up")


async def test_a_published_stream_cannot_be_changed_but_ended(server: Server, http: aiohttp.ClientSession) -> None:
    async with published(http):
        await problem(await http.patch("/api/v1/streams/cam", json={"loop": True}), 409)
        assert (await http.delete("/api/v1/streams/cam")).status == 204
        await until(lambda: server.book.count() == 0)


async def test_snapshots(server: Server, http: aiohttp.ClientSession) -> None:
    async with published(http):
        await problem(await http.get("/api/v1/streams/cam/snapshot"), 404)
        await until(lambda: server.hub.find("cam").counts.judged > 12)
        pictures = []
        for mask in (0, 1):
            response = await http.get(f"/api/v1/streams/cam/snapshot?mask={mask}")
            assert response.content_type == "image/jpeg"
            assert response.headers["Cache-Control"] == "no-store"
            pictures.append(cv2.imdecode(np.frombuffer(await response.read(), np.uint8), cv2.IMREAD_COLOR))
        assert [picture.shape for picture in pictures] == [(240, 320, 3), (240, 320, 3)]
        assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 2
        await problem(await http.get("/api/v1/streams/cam/snapshot?mask=maybe"), 422)
    await problem(await http.get("/api/v1/events/none/snapshot"), 404)


async def test_engines_and_ice_servers(serve_with: ServeWith) -> None:
    ice = [{"urls": ["turn:127.0.0.1"], "username": "u", "credential": "c"}]
    async with serve_with(ice_servers=ice) as (_, http):
        engines = await answer(await http.get("/api/v1/engines"))
        assert engines["model"].startswith("green@")
        assert [each["name"] for each in engines["engines"] if each["in_use"]] == ["torch"]
        assert all(each["reason"] for each in engines["engines"])
        assert "unet_lite0" in engines["models"]
        servers = await answer(await http.get("/api/v1/ice-servers"))
        assert servers == {"ice_servers": [{"urls": ["turn:127.0.0.1"], "username": "u", "credential": "c"}]}


async def test_bodies_that_are_refused(http: aiohttp.ClientSession) -> None:
    where = "/api/v1/streams"
    for body in ({}, {"source": ""}, {"source": 3}, {"source": "x", "name": "../x"}, {"source": "x", "more": 1}, []):
        document = await problem(await http.post(where, json=body), 422)
        assert document["detail"].startswith("body")
    await problem(await http.post(where, data=b"{", headers={"Content-Type": "application/json"}), 422)
    await problem(await http.post(where, data=b'{"source":"x"}', headers={"Content-Type": "text/plain"}), 415)
    await problem(await http.post(where, json={"source": "x" * 70_000}), 413)
    await problem(await http.put(where, json={}), 405)
    await problem(await http.get("/api/v1/nothing"), 404)


START = datetime.now(UTC).replace(microsecond=0)


def event(number: int, stream: str = "a", kind: EventKind = EventKind.STREAM_UP) -> Event:
    """An event at second `number`."""
    at = START + timedelta(seconds=number)
    return Event(f"id{number}", kind, stream, 0, at)


async def test_events_are_filtered_and_paged(server: Server, http: aiohttp.ClientSession) -> None:
    desk = server.hub.desk
    assert desk is not None
    for number in range(7):
        kind = EventKind.FAKE_OPENED if number % 3 == 0 else EventKind.STREAM_UP
        desk.alerts.submit(event(number, "a" if number % 2 else "b", kind))

    async def ids(query: str) -> list[str]:
        page = await answer(await http.get(f"/api/v1/events?{query}"))
        return [each["id"] for each in page["events"]]

    assert await ids("") == [f"id{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
    assert await ids("stream=a") == ["id5", "id3", "id1"]
    assert await ids("kind=fake.opened") == ["id6", "id3", "id0"]
    since, until = ((START + timedelta(seconds=second)).isoformat()[:19] for second in (2, 4))
    assert await ids(f"since={since}Z&until={until}%2B00:00") == ["id3", "id2"]
    seen, cursor = [], ""
    while True:
        page = await answer(await http.get(f"/api/v1/events?limit=3{cursor}"))
        seen += [each["id"] for each in page["events"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [f"id{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
    assert await ids("cursor=unknown") == []
    for query in ("kind=x", "limit=0", "limit=501", "since=2026-01-01T00:00:00", "more=1", "limit=1&limit=2"):
        await problem(await http.get(f"/api/v1/events?{query}"), 422)


def test_pictures_in_memory_are_bounded() -> None:
    live = LiveEvents(pictures=1)
    for number in range(5):
        live.add(event(number))
        live.keep_picture(event(number), b"x")
    assert live.counts[EventKind.STREAM_UP] == 5
    assert (live.picture("id3"), live.picture("id4")) == (None, b"x")
    live.forget_pictures("b")
    assert live.picture("id4") == b"x"
    live.forget_pictures("a")
    assert live.picture("id4") is None


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rtsp://bob:s3cret@cam.local:554/live?token=x", "cam.local-live"),
        ("/videos/My Clip.mp4", "My-Clip"),
        ("camera:0", "camera-0"),
        ("rtmp://host/app/streamkey", "host-app"),
        ("http://[::1]/a", "1-a"),
        ("***", "stream"),
    ],
)
def test_names_made_of_sources(source: str, name: str) -> None:
    assert slug(source) == name


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.0.1",
    "172.16.5.5",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "fe80::1",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


def test_private_addresses_in_every_dress() -> None:
    assert not any(public(address) for address in PRIVATE)
    assert all(public(address) for address in ("1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"))


@pytest.mark.parametrize(
    "source",
    [
        "/etc/passwd",
        "camera:0",
        "file:///etc/passwd",
        "rtsp://127.0.0.1/x",
        "rtsp://localhost/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:80/x",
        "http://2130706433/x",
        "http://0x7f.1/x",
        "rtsp://user:pass@10.0.0.1/x",
        "udp://239.0.0.1:1234",
        "concat:/etc/passwd",
        "tcp://1.1.1.1:80",
        "HTTP://127.0.0.1/x",
    ],
)
async def test_sources_that_a_token_does_not_open(serve_with: ServeWith, source: str) -> None:
    token = "0123456789abcdef"
    async with serve_with(tokens=[{"token": token, "scopes": ["admin"]}]) as (server, http):
        headers = {"Authorization": f"Bearer {token}"}
        document = await problem(await http.post("/api/v1/streams", json={"source": source}, headers=headers), 403)
        assert "pass@" not in document["detail"]
        assert not server.hub.streams()


async def test_a_public_address_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [["93.184.216.34"], ["10.0.0.1"], ["93.184.216.34", "10.0.0.1"]]

    async def resolve(host: str, port: object, **more: object) -> list[Any]:
        return [(2, 1, 6, "", (address, 0)) for address in answers.pop(0)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    policy = SourcePolicy(local=False)
    assert await policy.checked("rtsp://u:p@cam.example:8554/x?y=1") == "rtsp://u:p@93.184.216.34:8554/x?y=1"
    for _ in range(2):
        with pytest.raises(Exception, match="private or local"):
            await policy.checked("rtsp://cam.example/x")


async def test_unknown_hosts() -> None:
    policy = SourcePolicy(local=False)
    for source in ("rtsp://no-such-host.invalid/x", "rtsp:///x", "rtsp://[/x", "http://a b/"):
        with pytest.raises(Exception, match=r"not known|no host|no URL"):
            await policy.checked(source)
