"""Evidence as a person sees it: the clip plays in the browser, and what was erased leaves no broken picture."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, expect

from tests.server.page.browsing import FACE, PIXELS, chromium, opened
from tests.server.page.serving import Served, served
from tests.server.test_webhooks_api import LOOPBACK, subscribed
from tests.support.portraits import portrait_clip
from tests.support.receiver import Receiver, receiver

pytestmark = pytest.mark.slow

# How much greener than red the middle of the face is, 0..255, and where in the clip: its first and last pictures.
_LOOK = (
    """async ([x0, y0, x1, y1]) => {
  const video = document.querySelector("video");
  video.muted = true;
  const until = (kind) => new Promise((done) => video.addEventListener(kind, done, { once: true }));
  const green = () => {
"""
    + PIXELS
    + """    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += data[i + 1] - data[i];
    return sum / (data.length / 4);
  };
  if (video.readyState < 2) await until("loadeddata");
  video.pause();
  if (video.currentTime > 0) {
    video.currentTime = 0;
    await until("seeked");
  }
  const seen = [[video.currentTime, green()]];
  const ended = until("ended");
  await video.play();
  await ended;
  seen.push([video.currentTime, green()]);
  return { seen, length: video.duration, error: video.error && video.error.message };
}"""
)


@asynccontextmanager
async def guarded(
    folder: Path, detector: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[tuple[Served, aiohttp.ClientSession, Receiver]]:
    """A server process that keeps evidence and tells the receiver."""
    async with receiver() as hears:
        authority = folder / "authority.pem"
        hears.ca.cert_pem.write_to_path(str(authority))
        alerts = {"allow_networks": LOOPBACK, "ca_file": str(authority)}
        monkeypatch.setenv("STREAMGUARD_ALERTS", json.dumps(alerts))
        monkeypatch.setenv("STREAMGUARD_EVIDENCE", json.dumps({"enabled": True}))
        with served(folder, detector, **settings) as server:
            async with aiohttp.ClientSession(server.url) as http:
                await subscribed(http, hears)
                yield server, http, hears


async def links_of(hears: Receiver) -> list[str]:
    """The links of the first opened fake."""

    def told() -> list[list[str]]:
        found = [one.document for one in hears.accepted() if one.document["type"] == "fake.opened"]
        return [document["data"]["evidence"] for document in found]

    await hears.until(lambda: bool(told()))
    assert told()[0], "an alert without evidence"
    return told()[0]


async def played(page: Page) -> dict[str, Any]:
    """What the clip that the page shows looks like at its beginning and its end."""
    await page.wait_for_selector("video", state="attached")
    shown: dict[str, Any] = await page.evaluate(_LOOK, list(FACE))
    return shown


async def test_the_clip_of_a_fetched_stream_plays(
    tmp_path: Path, detector: Path, half_fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever follows the link in the alert sees the face as it was, and then as the fake."""
    async with guarded(tmp_path, detector, monkeypatch) as (_, http, hears):
        body = {"source": str(half_fake), "name": "clip", "loop": False}
        assert (await http.post("/api/v1/streams", json=body)).status == 201
        (clip,) = [link for link in await links_of(hears) if "clip.mp4" in link]
        async with chromium() as browser, opened(browser, clip) as page:
            shown = await played(page)
            assert shown["error"] is None
            (begin, before), (end, after) = shown["seen"]
            assert begin == 0
            assert end == pytest.approx(shown["length"], abs=0.2)
            assert shown["length"] > 3
            assert before < 10
            assert after > 20
            refused = await page.goto(clip[:-1] + ("0" if clip[-1] != "0" else "1"))
            assert refused is not None
            assert refused.status == 403
            assert "evidence link" in (await refused.json())["detail"]


async def test_the_clip_of_a_browsers_camera_plays(
    tmp_path: Path, detector: Path, fake_camera: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published by WHIP from one Chromium, played in another; the packets are Chromium's own."""
    async with guarded(tmp_path, detector, monkeypatch) as (server, _, hears):
        async with chromium(camera=fake_camera) as browser, opened(browser, server.url) as page:
            await page.get_by_role("button", name="Check my camera").click()
            (clip,) = [link for link in await links_of(hears) if "/clip." in link]
        async with chromium() as browser, opened(browser, clip) as page:
            shown = await played(page)
        assert shown["error"] is None
        assert shown["seen"][0][0] == 0
        # The camera is fake from its first picture: the clip is no longer than the vote took.
        assert shown["length"] > 0.3
        assert shown["seen"][1][1] > 20


async def test_what_was_erased_leaves_no_broken_picture(
    tmp_path: Path, detector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = portrait_clip(tmp_path / "long.mp4", 60.0, (2.0, 60.0))
    async with guarded(tmp_path, detector, monkeypatch) as (server, http, hears):
        body = {"name": "clip", "source": str(long), "loop": False}
        assert (await http.post("/api/v1/streams", json=body)).status == 201
        async with chromium() as browser, opened(browser, f"{server.url}/#/stream/clip") as page:
            links = await links_of(hears)
            event = page.get_by_role("region", name="Events").get_by_role("listitem").filter(has_text="looks fake")
            await expect(event.get_by_role("button", name="Enlarge").first).to_be_visible()
            erased = await http.delete("/api/v1/streams/clip/evidence")
            assert (await erased.json())["events"] >= 1
            # What the page shows already goes with it; the words stay, also for who comes later.
            await expect(page.locator(".events img")).to_have_count(0)
            await expect(event.first).to_be_visible()
            await page.reload()
            await expect(event.first).to_be_visible()
            await expect(page.locator(".events img")).to_have_count(0)
            gone = await page.goto(links[0])
            assert gone is not None
            assert gone.status == 410
            told = await gone.json()
            assert "erased" in told["detail"]
            assert told["remedy"]
