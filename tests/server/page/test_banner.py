"""The banner on top of every view: what it says while a face looks fake, and after."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.server.page.browsing import chromium, opened
from tests.server.page.serving import served

pytestmark = pytest.mark.slow

_TAKE = """async (events) => {
  const { AlertBanner } = await import("/static/parts/banner.js");
  const place = document.createElement("div");
  place.id = "tried";
  place.className = "alerts";
  document.querySelector("#tried")?.remove();
  document.body.prepend(place);
  window.rings = 0;
  const banner = new AlertBanner(place, () => (window.rings += 1));
  for (const [number, [kind, epoch, track, detail = "", stream = "door"]] of events.entries())
    banner.take({
      id: `0${number}`, kind, epoch, track, stream, share: 0.6, at: `2026-01-05T10:00:0${number}Z`, detail,
      cause: kind !== "fake.closed" ? null : detail ? "stream_broke" : "cleared",
    });
}"""


async def _said(page: Page, *events: tuple[str, int, int] | tuple[str, int, int, str]) -> str:
    await page.evaluate(_TAKE, [[f"fake.{kind}", *more] for kind, *more in events])
    return await page.locator("#tried").inner_text()


async def test_it_tells_the_present_and_the_past_apart(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url, locale="en-GB", timezone_id="UTC") as page:
            said = await _said(page, ("opened", 0, 1))
            assert "A face in door looks fake" in said
            assert "In 60% of the recent judged frames, since 10:00:00." in said
            said = await _said(page, ("opened", 0, 1), ("closed", 0, 1))
            assert "A face in door looked fake" in said
            assert "From 10:00:00 to 10:00:01, and no longer." in said
            broke = ("closed", 0, 1, "the stream broke off while the face was called fake")
            cut = await _said(page, ("opened", 0, 1), broke)
            assert "A face in door looked fake and was not cleared" in cut
            assert "From 10:00:00 to 10:00:01. The stream broke off while" in cut
            assert said.count("An automated estimate that may be wrong.") == 1
            # Nor does it look like an all-clear.
            colour = "getComputedStyle(document.querySelector('#tried .banner')).backgroundColor"
            open_ended = await page.evaluate(colour)
            await _said(page, ("opened", 0, 1), ("closed", 0, 1))
            assert await page.evaluate(colour) != open_ended


async def test_on_a_phone_banners_are_a_line_each_until_they_are_unfolded(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        phone = {"width": 390, "height": 844}
        async with chromium() as browser, opened(browser, server.url, viewport=phone) as page:
            await page.evaluate(_TAKE, [["fake.opened", 0, track, "", f"door-{track}"] for track in range(3)])
            place = page.locator("#tried")
            await expect(place.locator(".banner:visible")).to_have_count(1)
            box = await place.bounding_box()
            assert box
            assert box["height"] < 120
            fold = place.get_by_role("button", name="All 3 alerts")
            await expect(fold).to_have_attribute("aria-expanded", "false")
            await fold.click()
            await expect(place.locator(".banner:visible")).to_have_count(3)
            await place.get_by_role("button", name="Dismiss").first.click()
            await place.get_by_role("button", name="Show less").click()
            await expect(place.locator(".banner:visible")).to_have_count(1)


async def test_it_is_over_when_no_face_looks_fake_any_more(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            two = (("opened", 0, 1), ("opened", 0, 2))
            assert "looks fake" in await _said(page, *two, ("closed", 0, 1))
            await expect(page.locator("#tried .banner")).to_have_count(1)
            assert await page.evaluate("window.rings") == 2
            assert "looked fake" in await _said(page, *two, ("closed", 0, 1), ("closed", 0, 2))
            # The same number on another connection is another face.
            assert "looks fake" in await _said(page, ("opened", 0, 1), ("closed", 1, 1))
            # And an end that was told already changes nothing.
            assert "looks fake" in await _said(page, *two, ("closed", 0, 2), ("closed", 0, 2))
