"""What happened: searched, watched again with the mask beside it, marked, reported."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from playwright.async_api import Download, Page, expect

from tests.server.page.browsing import FACE, PIXELS, chromium, fetched, opened
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip

pytestmark = pytest.mark.slow

# Shares of orange pixels on the face: in the original, and in the painted one.
_ORANGE = (
    """async ([x0, y0, x1, y1]) => {
  const hot = (video) => {
"""
    + PIXELS
    + """    let count = 0;
    for (let i = 0; i < data.length; i += 4) count += data[i] - data[i + 1] > 25 && data[i + 1] - data[i + 2] > 45;
    return count / (data.length / 4);
  };
  return [...document.querySelectorAll(".clip video")].map(hot);
}"""
)
_SETTLED = """() => [...document.querySelectorAll(".clip video")]
  .every((video) => !video.seeking && video.currentTime)"""
_MOMENTS = "() => [...document.querySelectorAll('.clip video')].map((video) => video.currentTime)"


async def orange(page: Page) -> list[float]:
    """How much of the face is orange, original and painted."""
    found: list[float] = await page.evaluate(_ORANGE, list(FACE))
    return found


async def saved(download: Download) -> str:
    """The text that the browser kept."""
    path = await download.path()
    return await asyncio.to_thread(path.read_text)


async def test_an_incident_is_found_watched_and_marked(
    tmp_path: Path, detector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMGUARD_EVIDENCE", json.dumps({"enabled": True}))
    fake = portrait_clip(tmp_path / "newsroom.mp4", 8.0, (0.0, 8.0))
    with served(tmp_path, detector, alerts={"folder": str(tmp_path / "alerts")}) as server:
        async with chromium() as browser, opened(browser, f"{server.url}/#/stream/newsroom") as page:
            said: list[str] = []
            page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
            stream = {"name": "newsroom", "source": str(fake)}
            await page.request.post(f"{server.url}/api/v1/streams", data=stream)
            events = page.get_by_role("region", name="Events")
            await expect(events.get_by_role("link", name="Details of").first).to_be_visible()
            await page.get_by_role("button", name="Remove this stream").click()
            await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
            await expect(page.get_by_text("No stream is watched yet.")).to_be_visible()
            await page.get_by_role("link", name="History").click()
            await expect(page.get_by_role("heading", name="History", level=1)).to_be_focused()
            rows = page.locator(".incident")
            await expect(rows).to_have_count(1)
            await expect(rows).to_contain_text("newsroom")
            # Nobody was cleared, and nothing looks like it.
            await expect(rows).to_contain_text("not cleared")
            await expect(rows).to_contain_text("Not reviewed yet")

            await page.get_by_label("Least score, %").fill("100")
            await page.get_by_label("Stream", exact=True).fill("elsewhere")
            await page.get_by_role("button", name="Search").click()
            await expect(page.get_by_text("Nothing matches.")).to_be_visible()
            await page.reload()
            await expect(page.get_by_label("Stream", exact=True)).to_have_value("elsewhere")
            await page.get_by_role("link", name="Clear").click()
            await rows.get_by_role("link").focus()
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("heading", level=1)).to_have_text("A face called fake in “newsroom”")

            # Original and mask at the same moment, which the slider moves.
            clip = page.locator(".clip")
            await expect(clip.locator("video").nth(1)).to_be_visible()
            slider = page.get_by_role("slider", name="Moment of the clip")
            await page.wait_for_function("() => document.querySelectorAll('.clip video')[1].readyState > 1")
            await clip.get_by_role("button", name="Play").click()
            await page.wait_for_function(f"() => ({_MOMENTS})().every((now) => now > 0.2)")
            await clip.get_by_role("button", name="Pause").click()
            await slider.press("End")
            await page.wait_for_function(_SETTLED)
            original, painted = await orange(page)
            assert original < 0.01
            assert painted > 0.2
            await slider.press("Home")
            await page.wait_for_function(f"() => ({_MOMENTS})()[0] === 0")
            await page.get_by_label("With mask", exact=True).check()
            await expect(clip.locator("video").first).to_be_hidden()
            await expect(page.get_by_role("img", name="Score along the clip")).to_be_visible()
            why = page.get_by_role("region", name="Why it was judged this way")
            await expect(why).to_contain_text("manipulated pixels in the face")
            await expect(why).to_contain_text("No detector sees every kind of fake.")

            await page.get_by_label("False alarm").check()
            await page.get_by_label("Note").fill("Green light on the stage.")
            await page.get_by_role("button", name="Save", exact=True).click()
            await expect(page.get_by_text("Saved: False alarm")).to_be_visible()
            (incident,) = (await fetched(page, "/api/v1/incidents?mark=false_alarm"))["incidents"]
            assert incident["note"] == "Green light on the stage."
            async with page.expect_download() as saving:
                await page.get_by_role("button", name="Save the report").click()
            report = await saved(await saving.value)
            assert "Green light on the stage." in report
            await page.get_by_role("link", name="History", exact=True).first.click()
            await expect(rows).to_contain_text("False alarm")
            async with page.expect_download() as saving:
                await page.get_by_role("button", name="Save these as CSV").click()
            assert "newsroom" in await saved(await saving.value)
            await page.set_viewport_size({"width": 320, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320
            assert said == []
            await page.goto(f"{server.url}/#/incident/01ARZ3NDEKTSV4RRFFQ69G5FAV")
            await expect(page.get_by_role("alert").filter(has_text="The history shows what there is.")).to_be_visible()
