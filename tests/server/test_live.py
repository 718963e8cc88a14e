"""Video in by WHIP, video and verdicts back by WHEP, data channel and server-sent events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from streamguard.server.app import Server
from streamguard.types import EventKind
from tests.server.peers import Peer, masked, published, told, until


@pytest.mark.parametrize(("sent", "played"), [("vp8", "h264"), ("h264", "vp8")])
async def test_a_fake_is_told_on_every_way(server: Server, http: aiohttp.ClientSession, sent: str, played: str) -> None:
    async with published(http, codec=sent) as publisher, Peer(http) as viewer:
        await viewer.play("cam", codec=played)
        await until(lambda: any(message["state"] == "FAKE" for message in viewer.messages))
        await until(lambda: any(message["state"] == "FAKE" for message in publisher.messages))
        await until(lambda: masked(viewer))
        message = viewer.messages[-1]
        assert message["type"] == "verdict"
        assert message["stream"] == "cam"
        face = message["faces"][0]
        x0, y0, x1, y1 = face["box"]
        assert 0.25 < x0 < x1 < 0.75
        assert 0.1 < y0 < y1 < 0.9
        assert (face["verdict"], face["state"], face["track"]) == ("FAKE", "FAKE", 1)
        stream = await (await http.get("/api/v1/streams/cam")).json()
        assert (stream["kind"], stream["state"], stream["verdict"]) == ("published", "up", "FAKE")
        assert (stream["width"], stream["height"], stream["viewers"]) == (320, 240, 1)
        assert stream["latency_ms"]["p50"] > 0
        assert stream["totals"]["judged"] > 5
        await until(lambda: server.events.counts[EventKind.FAKE_OPENED])
        (opened,) = await told(server, kind=EventKind.FAKE_OPENED)
        await until(lambda: server.events.picture(opened.id) is not None)
        events = (await (await http.get("/api/v1/events?kind=fake.opened")).json())["events"]
        assert [event["stream"] for event in events] == ["cam"]
        picture = await http.get(events[0]["snapshot"])
        assert picture.content_type == "image/jpeg"
        assert (await picture.read())[:2] == b"\xff\xd8"


async def test_a_real_face_stays_real(http: aiohttp.ClientSession) -> None:
    async with published(http, fake_from=None) as publisher, Peer(http) as viewer:
        await viewer.play("cam")
        await until(lambda: len(publisher.messages) > 40)
        assert publisher.messages[-1]["state"] == "REAL"
        assert all(message["state"] != "FAKE" for message in publisher.messages)
        assert {face["verdict"] for message in publisher.messages for face in message["faces"]} <= {"REAL", "UNKNOWN"}


@pytest.mark.parametrize("overlay", ["exact", "none"])
async def test_other_overlays(http: aiohttp.ClientSession, overlay: str) -> None:
    async with published(http) as publisher, Peer(http) as viewer:
        await viewer.play("cam", overlay)
        await until(lambda: any(message["state"] == "FAKE" for message in publisher.messages))
        count = len(viewer.frames)
        await until(lambda: len(viewer.frames) > count + 10)
        assert masked(viewer) is (overlay == "exact")


async def test_viewers_share_one_encoder_and_each_begins_with_a_key_frame(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async with published(http):
        viewers = [await Peer(http).play("cam") for _ in range(3)]
        for viewer in viewers:
            await until(lambda viewer=viewer: len(viewer.frames) > 10)
        feed = server.hub.find("cam").feeds["live"]
        assert feed.viewers == 3
        received = server.hub.find("cam").counts.received
        # Three encoders would have made three times as many.
        assert feed.pictures <= received + 25
        for viewer in viewers:
            await viewer.close()
        await until(lambda: feed.viewers == 0)


async def test_a_late_viewer_and_one_that_lost_pictures_get_a_key_frame(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async with published(http), Peer(http) as first, Peer(http) as second:
        await first.play("cam", codec="h264")
        await until(lambda: len(first.frames) > 5)
        feed = server.hub.find("cam").feeds["live"]
        fanout = feed.fanouts["h264"]
        before = fanout.keyframes
        await second.play("cam", codec="h264")
        await until(lambda: len(second.frames) > 2)
        assert fanout.keyframes == before + 1
        receiver = first.pc.getReceivers()[0]
        # The private door by which aiortc tells a sender that a picture is lost.
        ssrc = next(iter(receiver._RTCRtpReceiver__remote_streams))  # type: ignore[attr-defined]
        await receiver._send_rtcp_pli(ssrc)
        await until(lambda: fanout.keyframes == before + 2)


async def test_the_end_of_a_publisher_ends_its_stream_and_its_viewers(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async with Peer(http) as viewer:
        async with published(http):
            await viewer.play("cam")
            await until(lambda: viewer.frames)
        await until(lambda: not server.hub.streams())
        await until(lambda: viewer.track is not None and viewer.track.readyState == "ended")
        await until(lambda: server.book.count() == 0)
        assert (await http.get("/api/v1/streams/cam")).status == 404


async def read_events(response: aiohttp.ClientResponse, enough: int = 10_000) -> list[dict[str, Any]]:
    """Server-sent events, until the stream of them ends or there are enough."""
    events: list[dict[str, Any]] = []
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if not line:
            events.append({**fields, "data": json.loads(fields["data"])})
            fields = {}
            if len(events) >= enough:
                break
        else:
            name, _, value = line.partition(": ")
            fields[name] = value
    return events


async def test_server_sent_events(server: Server, http: aiohttp.ClientSession) -> None:
    async with published(http) as publisher:
        response = await http.get("/api/v1/streams/cam/events")
        assert response.headers["Content-Type"] == "text/event-stream"
        reading = asyncio.create_task(read_events(response))
        await until(lambda: any(message["state"] == "FAKE" for message in publisher.messages))
        await until(lambda: server.hub.find("cam").counts.judged > 40)
        assert publisher.response is not None
        await http.delete(publisher.response.headers["Location"])
        events = await reading
    kinds = [event["event"] for event in events]
    assert set(kinds) == {"state", "verdict", "alert"}
    alerts = [event for event in events if event["event"] == "alert"]
    opened = next(event for event in alerts if event["data"]["kind"] == "fake.opened")
    assert opened["id"] == opened["data"]["id"]
    assert opened["data"]["snapshot"] is not None
    assert events[-1]["data"]["state"] == "ended"
    verdicts = [event["data"] for event in events if event["event"] == "verdict"]
    times = [verdict["time"] for verdict in verdicts]
    assert times == sorted(times)
    assert len(verdicts) <= 10 * (times[-1] - times[0]) + 12


async def test_alerts_that_were_missed_are_sent_again(
    serve_with: Any, half_fake: Any, http: aiohttp.ClientSession, server: Server
) -> None:
    response = await http.post("/api/v1/streams", json={"source": str(half_fake), "name": "clip"})
    assert response.status == 201
    await until(lambda: server.events.counts["fake.opened"] > 0)
    events = (await (await http.get("/api/v1/events?stream=clip")).json())["events"]
    first = events[-1]
    assert first["kind"] == "stream.up"
    response = await http.get("/api/v1/streams/clip/events", headers={"Last-Event-ID": first["id"]})
    sent = await read_events(response, 1)
    response.close()
    assert sent[0]["event"] == "alert"
    assert sent[0]["data"]["kind"] == "fake.opened"
