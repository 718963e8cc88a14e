"""Evidence through the whole server: from before the fake began to the link in the alert, and gone again."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import av
import cv2
import numpy as np
import pytest

from streamguard.alerts import Fence
from streamguard.alerts.evidence import verify_manifest
from streamguard.errors import OutboxError, OutputError
from streamguard.server.app import Server
from streamguard.streams import alert_feed
from streamguard.streams.alert_feed import MOST_MATERIAL, AlertFeed
from streamguard.streams.evidence import EvidenceKeeper, Material
from streamguard.types import Event, EventKind
from tests.server.conftest import ServeWith
from tests.server.peers import Peer, PortraitTrack, published, told, until
from tests.server.test_webhooks_api import alerting, problem, subscribed
from tests.support.portraits import FACE, LEFT, TOP
from tests.support.rtsp_server import RtspServer
from tests.support.settings import config_of

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
        await until(lambda: server.events.counts[EventKind.FAKE_OPENED])
        opened = next(iter(await told(server, kind=EventKind.FAKE_OPENED)))
        await until(lambda: server.events.picture(opened.id) is not None)
        erased = await http.delete("/api/v1/streams/clip/evidence")
        assert (erased.status, await erased.json()) == (200, {"events": 1, "incidents": 0})
        assert server.events.picture(opened.id) is None
        gone = await http.get(link)
        assert gone.headers["Cache-Control"] == "no-store"
        await problem(gone, 410, "it was erased, or its time is over")
        # Whoever changed the link learns nothing of what was there.
        await problem(await http.get(link[:-1]), 403, "evidence link")
        assert await (await http.delete("/api/v1/streams/clip/evidence")).json() == {"events": 0, "incidents": 0}
        assert await (await http.delete("/api/v1/streams/nobody/evidence")).json() == {"events": 0, "incidents": 0}


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
        await server.hub.desk.tidy(1000.0, 1000.0)
        assert not folders_of(tmp_path, data["event"])
        assert (await http.get(data["evidence"][0])).status == 403


@pytest.mark.parametrize(("codec", "name"), [("h264", "clip.mp4"), ("vp8", "clip.webm")])
async def test_a_clip_of_what_is_published(serve_with: ServeWith, tmp_path: Path, codec: str, name: str) -> None:
    """The very packets that came by WHIP, from before the fake began."""
    folder = tmp_path / "kept"
    settings = {"alerts": {"folder": folder}, "evidence": EVIDENCE}
    async with alerting(serve_with, tmp_path, **settings) as (_, http, hears):
        await subscribed(http, hears)
        async with Peer(http) as peer:
            track = PortraitTrack(seconds=12.0, fake_from=3.0)
            response = await peer.post("/whip/cam", await peer.offer(codec=codec, send=track))
            assert response.status == 201
            data = await opened_alert(hears)
            files = await kept(http, data["evidence"])
        key = base64.b64decode((await (await http.get("/api/v1/evidence")).json())["public_key"])
    assert set(files) == {"manifest.json", "snapshot.jpg", "snapshot-mask.jpg", "face.jpg", name}
    (place,) = (folder / "evidence").glob(f"*/{data['event']}")
    assert name in verify_manifest(place, key)["files"]
    with av.open(str(place / name)) as clip:
        found = [(float(frame.time or 0), greenness(frame.to_ndarray(format="rgb24")) > 20) for frame in clip.decode()]
    assert found[0][0] == 0
    began = next(time for time, green in found if green)
    assert began > 1.0, "it does not begin before the fake"
    assert all(green for _, green in found[-5:])


async def test_no_clip_where_none_is_wanted(serve_with: ServeWith, tmp_path: Path) -> None:
    async with alerting(serve_with, tmp_path, evidence={**EVIDENCE, "clip_seconds": 0}) as (_, http, hears):
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
        config_of(alerts={"enabled": False}, evidence=EVIDENCE)
    token = {"token": "0123456789abcdef", "scopes": ["admin"]}
    outside = {"host": "0.0.0.0", "tokens": [token], "evidence": EVIDENCE}
    with pytest.raises(ValueError, match="public_url"):
        config_of(**outside)
    config_of(**outside, public_url="https://guard.example")


class Disk(EvidenceKeeper):
    """Has no room, or never an end."""

    def __init__(self, *, endless: bool = False) -> None:
        self.tried: list[str] = []
        self._endless = endless

    async def save(self, event: Event, material: Material) -> tuple[str, ...]:
        """Fails."""
        self.tried.append(event.id)
        if self._endless:
            await asyncio.Event().wait()
        raise OutputError("evidence", "the disk is full", "make room")


@dataclass
class Outlet:
    """Remembers what it took; its database fails so often at first."""

    failures: int = 0
    told: list[tuple[str, bool]] = field(default_factory=list)
    attached: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def submit(self, event: Event, hold: float = 0.0, fence: Fence | None = None) -> None:
        """Takes an event."""
        self.told.append((event.id, hold > 0))

    async def committed(self, event: str) -> None:
        """Fails as often as the rest."""
        self._fail()

    async def attach(self, event: str, links: Sequence[str]) -> None:
        """Takes links."""
        self._fail()
        self.attached.append((event, tuple(links)))

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OutboxError("outbox", "the disk is full", "make room")


async def fed(outlet: Outlet, disk: EvidenceKeeper) -> None:
    """Twenty openings at once, every other one with what evidence is made of."""
    feed = AlertFeed("door", outlet, disk)
    for n in range(20):
        event = Event(str(n), EventKind.FAKE_OPENED, "door", 0, datetime.now(UTC))
        feed.put(event, Material(None, None) if n % 2 == 0 else None)  # type: ignore[arg-type]  # never looked at
    # All of them are told before any evidence was begun.
    assert [id for id, _ in outlet.told] == [str(n) for n in range(20)]
    assert not outlet.attached
    await feed.aclose()


WITH = [str(2 * n) for n in range(MOST_MATERIAL)]
"""Those that wait for their evidence."""


async def test_a_full_disk_holds_no_alert_up_nor_turns_their_order() -> None:
    outlet, disk = Outlet(), Disk()
    await fed(outlet, disk)
    assert [id for id, held in outlet.told if held] == disk.tried == WITH
    assert outlet.attached == [(id, ()) for id in WITH]


async def test_evidence_without_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_feed, "PATIENCE", 0.05)
    outlet = Outlet()
    await fed(outlet, Disk(endless=True))
    assert outlet.attached == [(id, ()) for id in WITH]


@pytest.mark.parametrize(("failures", "missing"), [(3, 0), (len(alert_feed.PAUSES) + 1, 1)])
async def test_links_are_committed_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch, failures: int, missing: int
) -> None:
    monkeypatch.setattr(alert_feed, "PAUSES", (0.0,) * len(alert_feed.PAUSES))
    outlet = Outlet(failures)
    await fed(outlet, Disk())
    assert outlet.attached == [(id, ()) for id in WITH[missing:]]
