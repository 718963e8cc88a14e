"""Evidence through the whole server: from before the fake began to the link in the alert, and gone again."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import av
import cv2
import numpy as np
import pytest

from streamguard.alerts.evidence import verify_manifest
from streamguard.config import ServerSettings
from streamguard.errors import OutputError
from streamguard.server.alert_feed import MOST_MATERIAL, AlertFeed
from streamguard.server.app import Server
from streamguard.server.evidence import EvidenceKeeper, Material
from streamguard.types import Event, EventKind
from tests.server.conftest import ServeWith
from tests.server.peers import published, until
from tests.server.test_webhooks_api import alerting, problem, subscribed
from tests.support.portraits import FACE, LEFT, TOP
from tests.support.rtsp_server import RtspServer

EVIDENCE = {"enabled": True}


def greenness(rgb: Any) -> float:
    """How much greener than red the middle of the face is, in steps of 0..255."""
    x, y = round(FACE[0]) - LEFT, round(FACE[1]) - TOP
    red, green, _ = rgb[y - 20 : y + 20, x - 15 : x + 15].reshape(-1, 3).astype(float).mean(axis=0)
    return float(green - red)


def decoded(jpeg: bytes) -> Any:
    """RGB pixels."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1)
    assert picture is not None
    return picture[..., ::-1]


async def kept(http: aiohttp.ClientSession, links: list[str]) -> dict[str, bytes]:
    """The files that the links lead to."""
    files = {}
    for link in links:
        response = await http.get(link)
        assert response.status == 200, await response.text()
        assert response.headers["Cache-Control"] == "private, no-store"
        files[urlsplit(link).path.rpartition("/")[2]] = await response.read()
    return files


def folders_of(root: Path, name: str) -> list[Path]:
    """All that has the name, below the folder."""
    return list(root.rglob(name))


async def opened_alert(hears: Any) -> dict[str, Any]:
    """The first `fake.opened`."""
    await hears.until(lambda: any(one.document["type"] == "fake.opened" for one in hears.accepted()))
    return next(one.document["data"] for one in hears.accepted() if one.document["type"] == "fake.opened")


async def test_the_clip_begins_before_the_fake(serve_with: ServeWith, tmp_path: Path, half_fake: Path) -> None:
    folder = tmp_path / "kept"
    settings = {"alerts": {"folder": folder}, "evidence": EVIDENCE}
    async with alerting(serve_with, tmp_path, **settings) as (server, http, hears):
        await subscribed(http, hears)
        await http.post("/api/v1/streams", json={"source": str(half_fake), "name": "clip", "loop": False})
        data = await opened_alert(hears)
        assert all(link.startswith(f"{server.url}/evidence/") for link in data["evidence"])
        files = await kept(http, data["evidence"])
        assert set(files) == {"manifest.json", "snapshot.jpg", "snapshot-mask.jpg", "face.jpg", "clip.mp4"}
        (tmp_path / "clip.mp4").write_bytes(files["clip.mp4"])
        with av.open(str(tmp_path / "clip.mp4")) as clip:
            pictures = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
        green = [greenness(picture) > 20 for picture in pictures]
        # Real for three seconds, then fake until the vote had seen enough.
        assert not any(green[:40])
        assert all(green[-5:])
        plain, masked = (decoded(files[name]) for name in ("snapshot.jpg", "snapshot-mask.jpg"))
        assert plain.shape == masked.shape == (240, 320, 3)
        assert greenness(plain) > 20
        assert np.abs(plain.astype(int) - masked).max() > 50
        assert decoded(files["face.jpg"]).shape == (256, 256, 3)
        told = await (await http.get("/api/v1/evidence")).json()
        key = base64.b64decode(told["public_key"])
        (place,) = (folder / "evidence").glob(f"*/{data['event']}")
        manifest = verify_manifest(place, key)
        assert (manifest["model"], manifest["engine"]) == (data["model"], data["engine"])
        assert json.loads(files["manifest.json"]) == manifest
        # Half of a clip is what a browser's player asks for.
        clip_link = next(link for link in data["evidence"] if "clip.mp4" in link)
        part = await http.get(clip_link, headers={"Range": "bytes=0-99"})
        assert (part.status, await part.read(), part.content_type) == (206, files["clip.mp4"][:100], "video/mp4")


async def test_links_that_are_wrong_and_evidence_that_is_erased(
    serve_with: ServeWith, tmp_path: Path, half_fake: Path
) -> None:
    async with alerting(serve_with, tmp_path, evidence=EVIDENCE) as (server, http, hears):
        await subscribed(http, hears)
        await http.post("/api/v1/streams", json={"source": str(half_fake), "name": "clip", "loop": False})
        link = (await opened_alert(hears))["evidence"][-1]
        assert (await http.get(link)).status == 200
        bare, _, query = link.partition("?")
        expires = int(query.partition("=")[2].partition("&")[0])
        for wrong in (
            bare,
            link[:-1] + ("0" if link[-1] != "0" else "1"),
            link.replace(str(expires), str(expires + 1)),
            link.replace(bare.rpartition("/")[2], "manifest.sig"),
            bare.replace("/evidence/", "/evidence/x") + "?" + query,
        ):
            await problem(await http.get(wrong), 403, "evidence link")
        await problem(await http.get(f"{link}&more=1"), 422, "query.more")
        await until(lambda: server.events.find(limit=1)[0])
        opened = next(each for each in server.events.find(limit=99)[0] if each.kind is EventKind.FAKE_OPENED)
        await until(lambda: server.events.has_picture(opened.id))
        erased = await http.delete("/api/v1/streams/clip/evidence")
        assert (erased.status, await erased.json()) == (200, {"events": 1})
        assert not server.events.has_picture(opened.id)
        await problem(await http.get(link), 404, "limited time")
        assert await (await http.delete("/api/v1/streams/clip/evidence")).json() == {"events": 0}
        assert await (await http.delete("/api/v1/streams/nobody/evidence")).json() == {"events": 0}


async def test_a_link_that_has_expired(serve_with: ServeWith, tmp_path: Path, half_fake: Path) -> None:
    brief = {"enabled": True, "link_days": 1e-9}
    async with alerting(serve_with, tmp_path, evidence=brief) as (_, http, hears):
        await subscribed(http, hears)
        await http.post("/api/v1/streams", json={"source": str(half_fake), "name": "clip", "loop": False})
        await problem(await http.get((await opened_alert(hears))["evidence"][0]), 403, "expired")


async def test_old_evidence_is_removed(serve_with: ServeWith, tmp_path: Path, half_fake: Path) -> None:
    async with alerting(serve_with, tmp_path, evidence={**EVIDENCE, "keep_days": 1e-9}) as (server, http, hears):
        await subscribed(http, hears)
        await http.post("/api/v1/streams", json={"source": str(half_fake), "name": "clip", "loop": False})
        data = await opened_alert(hears)
        assert len(folders_of(tmp_path, data["event"])) == 1
        assert server.hub.desk is not None
        await server.hub.desk.tidy(1000.0)
        assert not folders_of(tmp_path, data["event"])
        assert (await http.get(data["evidence"][0])).status == 403


async def test_a_published_stream_has_pictures_and_no_clip(serve_with: ServeWith, tmp_path: Path) -> None:
    async with alerting(serve_with, tmp_path, evidence=EVIDENCE) as (_, http, hears):
        await subscribed(http, hears)
        async with published(http):
            files = await kept(http, (await opened_alert(hears))["evidence"])
    assert set(files) == {"manifest.json", "snapshot.jpg", "snapshot-mask.jpg", "face.jpg"}


async def test_a_clip_of_a_camera(serve_with: ServeWith, tmp_path: Path, half_fake: Path) -> None:
    with RtspServer(half_fake) as camera:
        async with alerting(serve_with, tmp_path, evidence=EVIDENCE) as (_, http, hears):
            await subscribed(http, hears)
            await http.post("/api/v1/streams", json={"source": camera.url, "name": "camera"})
            files = await kept(http, (await opened_alert(hears))["evidence"])
    (tmp_path / "camera.mp4").write_bytes(files["clip.mp4"])
    with av.open(str(tmp_path / "camera.mp4")) as clip:
        green = [greenness(frame.to_ndarray(format="rgb24")) > 20 for frame in clip.decode(video=0)]
    assert not any(green[:10])
    assert any(green)


async def test_none_is_kept_unless_asked_for(server: Server, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    assert await (await http.get("/api/v1/evidence")).json() == {"enabled": False, "public_key": None}
    assert server.hub.desk is not None
    assert not server.hub.desk.feed("x").wants_material
    await problem(await http.get("/evidence/a/b/c.jpg"), 404, "keeps none")
    assert not folders_of(tmp_path, "evidence")


def test_evidence_needs_alerts_and_an_address() -> None:
    with pytest.raises(ValueError, match=r"needs alerts\.enabled"):
        ServerSettings.model_validate({"alerts": {"enabled": False}, "evidence": EVIDENCE})
    token = {"token": "0123456789abcdef", "scopes": ["admin"]}
    outside = {"host": "0.0.0.0", "tokens": [token], "evidence": EVIDENCE}
    with pytest.raises(ValueError, match="public_url"):
        ServerSettings.model_validate(outside)
    ServerSettings.model_validate({**outside, "public_url": "https://guard.example"})


class FullDisk(EvidenceKeeper):
    """Has no room."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    async def save(self, event: Event, material: Material) -> tuple[str, ...]:
        """Fails."""
        self.tried.append(event.id)
        raise OutputError("evidence", "the disk is full", "make room")


async def test_a_full_disk_holds_no_alert_up_nor_turns_their_order() -> None:
    told: list[Event] = []
    disk = FullDisk()
    feed = AlertFeed("door", told.append, disk)
    now = datetime.now(UTC)
    events = [Event(str(n), EventKind.FAKE_OPENED, "door", 0, now) for n in range(20)]
    for n, event in enumerate(events):
        feed.put(event, Material(None, None) if n % 2 == 0 else None)  # type: ignore[arg-type]  # never looked at
    assert not told
    await feed.aclose()
    assert told == events
    assert len(disk.tried) == MOST_MATERIAL
    feed.put(events[0])
    assert told[-1] is events[0]
