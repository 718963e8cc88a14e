"""A real Chromium whose camera is a clip, and what its pages are asked."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import cv2
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.portraits import RATE, SIZE, portrait_pictures

LIMIT = 60_000
"""Milliseconds until a test that waits for the page gives up."""
Camera = Path | Literal["pattern"] | None

expect.set_options(timeout=LIMIT)

_KEEP_PEERS = """
window.peers = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...settings) { super(...settings); window.peers.push(this); }
};
"""
_FRAMES_DECODED = """async () => {
  let decoded = 0;
  for (const peer of window.peers) {
    if (peer.connectionState === "closed") continue;
    for (const report of (await peer.getStats()).values())
      if (report.type === "inbound-rtp") decoded += report.framesDecoded ?? 0;
  }
  return decoded;
}"""
PIXELS = """
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const pen = canvas.getContext("2d");
  pen.drawImage(video, 0, 0);
  const [left, right] = [x0, x1].map((x) => Math.round(x * canvas.width));
  const [top, bottom] = [y0, y1].map((y) => Math.round(y * canvas.height));
  const { data } = pen.getImageData(left, top, right - left, bottom - top);
"""
"""In the page: `data`, the pixels of `video` between the shares x0, y0, x1, y1 of its sides."""
# The overlay's vermillion over the clip's green face; skin alone has far less between green and blue.
_ORANGE = (
    """([x0, y0, x1, y1]) => {
  const video = document.querySelector("video");
"""
    + PIXELS
    + """  let hot = 0;
  for (let i = 0; i < data.length; i += 4) hot += data[i] - data[i + 1] > 25 && data[i + 1] - data[i + 2] > 45;
  return hot / (data.length / 4);
}"""
)
FACE = (0.42, 0.34, 0.58, 0.56)
"""The middle of the face in `portrait_pictures`, x0, y0, x1, y1 as shares of the picture."""


def camera_clip(path: Path, *, fake: bool, seconds: float = 4.0) -> Path:
    """A clip that Chromium plays over and over as its camera: raw 4:2:0 pictures (YUV4MPEG2)."""
    width, height = SIZE
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{round(RATE)}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in portrait_pictures(seconds, (0.0, seconds) if fake else None):
            file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@asynccontextmanager
async def chromium(*, camera: Camera = None, allow: bool = True, more: tuple[str, ...] = ()) -> AsyncIterator[Browser]:
    """A browser.

    Args:
        camera: the clip that is its camera, "pattern" for its own test picture, None for none.
        allow: whether the person says yes to whatever it asks.
        more: further switches.
    """
    switches = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=user-gesture-required", *more]
    if camera is not None:
        switches.append("--use-fake-device-for-media-stream")
    if isinstance(camera, Path):
        switches.append(f"--use-file-for-fake-video-capture={camera}")
    if allow:
        switches.append("--use-fake-ui-for-media-stream")
    async with async_playwright() as playwright:
        # Debian's where it is there, else the one that playwright installs.
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = await playwright.chromium.launch(executable_path=path, args=switches)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(browser: Browser, url: str, **settings: Any) -> AsyncIterator[Page]:
    """A page of its own context; it fails the test when a script throws or the security policy is broken."""
    wrong: list[str] = []
    context = await browser.new_context(**settings)
    context.set_default_timeout(LIMIT)
    await context.add_init_script(_KEEP_PEERS)
    page = await context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Security Policy" in said.text else None)
    try:
        await page.goto(url)
        yield page
    finally:
        await context.close()
    assert not wrong


async def plays(page: Page) -> None:
    """Wait until the returned video is decoded and goes on being decoded."""
    await expect(page.locator(".stage-frame")).to_have_attribute("data-empty", "false")
    before = await page.evaluate(_FRAMES_DECODED)
    await page.wait_for_function(
        f"async (before) => (await ({_FRAMES_DECODED})()) > before + 10", arg=before, polling=250
    )


async def orange_share(page: Page, region: tuple[float, float, float, float] = FACE) -> float:
    """Share of the region's pixels, 0..1, that have the colour of the overlay's heat."""
    return float(await page.evaluate(_ORANGE, list(region)))


async def waits_for_orange(page: Page, *, above: float) -> None:
    """Wait until more than that share of the face carries the overlay's colour."""
    await page.wait_for_function(f"(region) => ({_ORANGE})(region) > {above}", arg=list(FACE), polling=250)


def stream_name(page: Page) -> str:
    """Which stream the page shows."""
    found = re.search(r"#/stream/(.+)$", page.url)
    assert found, page.url
    return found[1]


async def fetched(page: Page, path: str) -> Any:
    """The JSON that the server answers to the page."""
    return await page.evaluate("async (path) => (await fetch(path)).json()", path)
