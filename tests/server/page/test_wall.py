"""Feeds by address, and the wall of all streams."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import FloatRect, Locator, expect

from tests.server.page.browsing import chromium, opened, plays
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip

pytestmark = pytest.mark.slow

_COUNT_TONES = """() => {
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...at) { window.tones += 1; return start.apply(this, at); };
}"""


# Where the tiles end, and how much of the screen is theirs.
_FILLED = """() => {
  const tiles = [...document.querySelectorAll(".tile")].map((tile) => tile.getBoundingClientRect());
  const area = tiles.reduce((sum, { width, height }) => sum + width * height, 0);
  return Math.max(...tiles.map(({ bottom }) => bottom)) <= innerHeight && area > 0.8 * innerWidth * innerHeight;
}"""


async def test_feeds_come_and_go(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "door.mp4", 4.0)
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            await expect(page.get_by_text("No stream is watched yet.")).to_be_visible()
            await page.get_by_label("Address").fill(str(clip))
            await page.locator("#feed-name").fill("door")
            await page.locator("#feed-name").press("Enter")
            await plays(page)
            await expect(page.get_by_role("heading", name="door", level=1)).to_be_focused()

            await page.get_by_role("link", name="All streams").click()
            await page.get_by_label("Address").fill(str(clip))
            await page.locator("#feed-name").fill("door")
            await page.get_by_role("button", name="Watch", exact=True).click()
            taken = page.get_by_role("alert").filter(has_text="There is a stream “door” already.")
            await expect(taken).to_contain_text("Choose another name.")

            await page.get_by_role("link", name="door").click()
            await page.get_by_role("button", name="Remove this stream").click()
            await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
            await expect(page.get_by_text("No stream is watched yet.")).to_be_visible()


async def test_a_feed_that_is_not_there_says_why(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            await page.get_by_label("Address").fill(str(tmp_path / "nothing.mp4"))
            await page.get_by_role("button", name="Watch", exact=True).click()
            await expect(page.get_by_role("status").filter(has_text="nothing.mp4")).to_be_visible()
            # Nobody has looked for a face.
            await expect(page.get_by_role("region", name="Verdict")).to_contain_text("There is no picture.")
            await expect(page.get_by_role("region", name="Faces")).to_contain_text("There is no picture.")
            await expect(page.get_by_text("No face is in the picture.")).to_have_count(0)
            await page.goto(f"{server.url}/#/stream/nobody")
            await expect(page.get_by_text("There is no stream “nobody”.")).to_be_visible()
            await expect(page.get_by_role("region", name="Faces")).to_be_hidden()


async def test_the_wall_shows_every_stream_and_tells_of_a_fake(tmp_path: Path, detector: Path) -> None:
    real = portrait_clip(tmp_path / "real.mp4", 4.0)
    half = portrait_clip(tmp_path / "half.mp4", 8.0, (3.0, 8.0))
    streams = [
        {"name": "front-door", "source": str(real)},
        {"name": "newsroom", "source": str(half)},
        {"name": "lobby", "source": str(tmp_path / "nothing.mp4")},
    ]
    with served(tmp_path, detector, streams=streams) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            await page.evaluate(_COUNT_TONES)
            sound = page.get_by_role("switch", name="Alert sound")
            await expect(sound).to_have_attribute("aria-checked", "true")
            await sound.click()
            await expect(sound).to_have_attribute("aria-checked", "false")
            await sound.click()
            # It is heard at once how it will sound.
            await page.wait_for_function("window.tones > 0")
            before = await page.evaluate("window.tones")
            # The choice is kept.
            assert await page.evaluate("localStorage.getItem('streamguard.sound')") == "on"
            tiles = page.get_by_role("region", name="Streams").get_by_role("listitem")
            await expect(tiles).to_have_count(3)
            for name in ("front-door", "newsroom"):
                picture = tiles.filter(has_text=name).locator("img")
                # Only what is in sight is fetched.
                await tiles.filter(has_text=name).scroll_into_view_if_needed()
                await expect(picture).to_be_visible()
                shown = await picture.get_attribute("src")
                await expect(picture).not_to_have_attribute("src", shown or "")
            await expect(tiles.filter(has_text="front-door")).to_contain_text("no sign found")
            banner = page.get_by_role("alert").filter(has_text="A face in newsroom looks fake")
            await expect(banner).to_be_visible()
            await page.wait_for_function("(before) => window.tones > before", arg=before)
            # The keyboard alone is enough.
            await banner.get_by_role("link", name="Look").focus()
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", name="newsroom", level=1)).to_be_focused()
            await plays(page)


async def test_the_wall_fills_a_whole_screen(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "door.mp4", 4.0)
    streams = [{"name": f"door-{place}", "source": str(clip)} for place in range(4)]
    size = {"width": 1920, "height": 1080}
    with served(tmp_path, detector, streams=streams) as server:
        async with chromium() as browser, opened(browser, server.url, viewport=size, screen=size) as page:
            tiles = page.get_by_role("region", name="Streams").get_by_role("listitem")
            await expect(tiles).to_have_count(4)
            await page.get_by_role("button", name="Full screen").click()
            leave = page.get_by_role("button", name="Leave full screen")
            await expect(leave).to_be_visible()
            await page.wait_for_function(_FILLED)
            assert len({round(box["y"]) for box in await boxes(tiles)}) == 2
            await leave.click()
            await expect(page.get_by_role("button", name="Full screen", exact=True)).to_be_visible()
            assert await page.evaluate("document.fullscreenElement") is None


async def boxes(found: Locator) -> list[FloatRect]:
    """Where they lie on the page."""
    return [box for each in await found.all() if (box := await each.bounding_box())]
