"""Pages of other origins in a real browser: what an allowed one may do, and that no other one may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser

from tests.server.conftest import ServeWith
from tests.server.page.browsing import chromium
from tests.server.peers import until
from tests.server.test_auth import ADMIN, TOKENS
from tests.server.test_evidence import EVIDENCE, opened_alert
from tests.server.test_webhooks_api import alerting

pytestmark = pytest.mark.slow

_ASKS = """async ([method, url, token, more]) => {
  const headers = { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...(more?.headers ?? {}) };
  try {
    const answer = await fetch(url, { method, headers, body: more?.body });
    const told = Object.fromEntries(answer.headers);
    return { status: answer.status, headers: told, text: (await answer.text()).slice(0, 2000) };
  } catch (error) {
    return { failed: error.name };
  }
}"""
_PUBLISHES_AND_PLAYS = """async ([url, token]) => {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const drawing = setInterval(() => {
    pen.fillStyle = `hsl(${Date.now() % 360} 50% 50%)`;
    pen.fillRect(0, 0, 300, 150);
  }, 40);
  const post = async (path, pc) => {
    await pc.setLocalDescription(await pc.createOffer());
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/sdp" };
    const made = await fetch(url + path, { method: "POST", headers, body: pc.localDescription.sdp });
    await pc.setRemoteDescription({ type: "answer", sdp: await made.text() });
    return ["Location", "ETag", "Link"].map((name) => made.headers.get(name));
  };
  const sender = new RTCPeerConnection(), player = new RTCPeerConnection();
  for (const track of canvas.captureStream(25).getTracks()) sender.addTrack(track);
  const published = await post("/whip/canvas", sender);
  player.addTransceiver("video", { direction: "recvonly" });
  const video = document.createElement("video");
  video.muted = true;
  const shown = new Promise((resolve) => { video.onplaying = resolve; });
  player.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); video.play(); };
  const played = await post("/whep/canvas", player);
  await shown;
  const ends = [];
  for (const [place, etag] of [played, published]) {
    const own = { Authorization: `Bearer ${token}` };
    const headers = { ...own, "If-Match": etag, "Content-Type": "application/trickle-ice-sdpfrag" };
    const patched = await fetch(url + place, { method: "PATCH", headers, body: "a=end-of-candidates\\r\\n" });
    const ended = await fetch(url + place, { method: "DELETE", headers: own });
    ends.push([patched.status, ended.status]);
  }
  sender.close(); player.close(); clearInterval(drawing);
  return { published, played, ends };
}"""
_FOLLOWS = """(url) => new Promise((resolve) => {
  const source = new EventSource(url);
  source.addEventListener("state", ({ data }) => { source.close(); resolve(JSON.parse(data).name); });
  source.onerror = () => { source.close(); resolve(null); };
})"""


@asynccontextmanager
async def pages(browser: Browser) -> AsyncIterator[tuple[str, str, Any, Any]]:
    """Two origins, neither of them the server's, and an empty page of each."""
    app = web.Application()

    async def empty(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Elsewhere</title>", content_type="text/html")

    app.router.add_get("/", empty)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        origins = []
        for _ in range(2):
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            origins.append(f"http://localhost:{runner.addresses[-1][1]}")
        made = [await browser.new_page() for _ in origins]
        for page, origin in zip(made, origins, strict=True):
            await page.goto(origin)
        yield (*origins, *made)
    finally:
        await runner.cleanup()


async def test_an_allowed_page_may_use_everything_and_no_other_page(
    serve_with: ServeWith, tmp_path: Path, half_fake: Path
) -> None:
    (tmp_path / "hls").mkdir()
    stream = {"name": "studio", "source": f"loop:{half_fake}", "outputs": [str(tmp_path / "hls" / "cam.m3u8")]}
    async with chromium() as browser, pages(browser) as (ours, _, page, other):
        settings: dict[str, Any] = {
            "tokens": TOKENS,
            "allowed_origins": [f"{ours}/"],
            "ice_servers": [{"urls": ["stun:127.0.0.1:9"]}],
            "alerts": {"folder": tmp_path / "kept"},
            "evidence": EVIDENCE,
            "allow_local_sources": True,
            "streams": [stream],
        }
        async with alerting(serve_with, tmp_path, **settings) as (server, http, hears):
            subscription = await http.post(
                "/api/v1/webhooks", json={"url": hears.url("/")}, headers={"Authorization": f"Bearer {ADMIN}"}
            )
            hears.secrets["/"] = (await subscription.json())["secret"]

            async def asked(
                method: str, url: str, *, token: str = ADMIN, page: Any = page, **more: Any
            ) -> dict[str, Any]:
                found: dict[str, Any] = await page.evaluate(_ASKS, [method, url, token, more])
                return found

            api = f"{server.url}/api/v1"
            added = await asked(
                "POST",
                f"{api}/streams",
                headers={"Content-Type": "application/json"},
                body=f'{{"source": "{half_fake}", "name": "clip"}}',
            )
            assert (added["status"], added["headers"]["location"]) == (201, "/api/v1/streams/clip")
            changed = await asked(
                "PATCH", f"{api}/streams/clip", headers={"Content-Type": "application/json"}, body="{}"
            )
            assert changed["status"] == 200
            told = await page.evaluate(_PUBLISHES_AND_PLAYS, [server.url, ADMIN])
            for kind in ("published", "played"):
                location, etag, link = told[kind]
                assert location.startswith("/wh")
                assert etag.startswith('"')
                assert link == '<stun:127.0.0.1:9>; rel="ice-server"'
            assert told["ends"] == [[204, 200], [204, 200]]
            follows = f"{api}/streams/clip/events?access_token={ADMIN}"
            assert await page.evaluate(_FOLLOWS, follows) == "clip"
            await until((tmp_path / "hls" / "cam-000001.ts").exists)
            listed = await asked("GET", f"{server.url}/hls/studio/0/cam.m3u8")
            assert "#EXTM3U" in listed["text"]
            segment = await asked("GET", f"{server.url}/hls/studio/0/cam-000000.mp4")
            assert float(segment["headers"]["media-start"]) >= 0
            evidence = (await opened_alert(hears))["evidence"][0]
            assert (await asked("GET", evidence, token=""))["status"] == 200
            # Failures are read as well: an unknown stream, a wrong token, an evidence link that was tampered with.
            problems = [
                (404, await asked("GET", f"{api}/streams/none")),
                (401, await asked("GET", f"{api}/streams", token="wrong-0123456789")),
                (403, await asked("GET", evidence[:-1] + ("A" if evidence[-1] != "A" else "B"), token="")),
            ]
            for status, problem in problems:
                assert (problem["status"], problem["headers"]["content-type"][:24]) == (
                    status,
                    "application/problem+json",
                )
            assert problems[1][1]["headers"]["www-authenticate"].startswith("Bearer")

            failed = {"failed": "TypeError"}
            for method, url in (
                ("GET", f"{api}/streams"),
                ("DELETE", f"{api}/streams/clip"),
                ("GET", f"{server.url}/hls/studio/0/cam.m3u8"),
                ("GET", evidence),
            ):
                assert await asked(method, url, page=other) == failed
            assert await other.evaluate(_FOLLOWS, follows) is None
            assert server.hub.find("clip")
