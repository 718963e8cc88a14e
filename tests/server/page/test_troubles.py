"""Everything that goes wrong is a sentence with a remedy."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from playwright.async_api import TimeoutError as PlaywrightTimeout
from playwright.async_api import expect

from tests.server.page.browsing import chromium, opened, plays
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-the-tests-0123456789"


async def test_a_camera_that_is_refused_or_not_there(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium(camera="pattern", allow=False) as browser, opened(browser, server.url) as page:
            await page.get_by_role("button", name="Check my camera").click()
            refused = page.get_by_role("alert").filter(has_text="The browser was not allowed to use the camera.")
            await expect(refused).to_contain_text("Allow the camera for this page")
            await expect(page.get_by_role("button", name="Check my camera")).to_be_enabled()
        async with chromium() as browser, opened(browser, server.url) as page:
            await page.get_by_role("button", name="Check my camera").click()
            missing = page.get_by_role("alert").filter(has_text="No camera was found.")
            await expect(missing).to_contain_text("Plug one in")


async def test_a_page_that_is_not_secure(tmp_path: Path, detector: Path) -> None:
    host = "guard.test"
    with served(tmp_path, detector, allowed_hosts=[host]) as server:
        rules = f"--host-resolver-rules=MAP {host} 127.0.0.1"
        async with (
            chromium(camera="pattern", more=(rules,)) as browser,
            opened(browser, f"http://{host}:{server.port}") as page,
        ):
            for button in ("Check my camera", "Guard a call"):
                await page.get_by_role("button", name=button).click()
                insecure = page.get_by_role("region", name=button).get_by_role("alert")
                await expect(insecure).to_contain_text(f"http://localhost:{server.port}")


async def test_the_server_goes_and_comes_back(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "door.mp4", 4.0)
    streams = [{"name": "door", "source": str(clip)}]
    async with chromium() as browser, opened(browser, "about:blank") as page:
        with served(tmp_path, detector, streams=streams) as first:
            await page.goto(f"{first.url}/#/stream/door")
            await plays(page)
        gone = page.get_by_role("status").filter(has_text="The streamguard server does not answer.")
        await expect(gone.first).to_contain_text("Check that it is running")
        again = page.get_by_role("button", name="Try now")
        await expect(again).to_be_visible()
        with served(tmp_path, detector, streams=streams, port=first.port):
            # By itself it may have found the server meanwhile.
            with contextlib.suppress(PlaywrightTimeout):
                await again.click(timeout=3_000)
            await plays(page)
            await expect(gone).to_have_count(0)


async def test_a_token_is_asked_for_and_kept_for_the_tab_alone(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "door.mp4", 4.0)
    tokens = [{"token": TOKEN, "scopes": ["view"]}]
    with served(tmp_path, detector, tokens=tokens, streams=[{"name": "door", "source": str(clip)}]) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            dialog = page.get_by_role("dialog", name="Access token")
            await dialog.get_by_label("Token").fill("not-the-token-of-the-tests")
            await dialog.get_by_role("button", name="Continue").click()
            await expect(dialog.get_by_role("alert")).to_have_text("That token is not known here.")
            # It stays open, and no advice for programs is given.
            await expect(dialog.get_by_role("button", name="Continue")).to_be_enabled()
            assert "Bearer" not in await page.locator("body").inner_text()
            await dialog.get_by_label("Token").fill(TOKEN)
            await page.keyboard.press("Enter")
            await page.get_by_role("link", name="door").click()
            await plays(page)
            await page.reload()
            await plays(page)
            assert not [url for url in asked if TOKEN in url]
            assert await page.evaluate("localStorage.length") == 0
            assert await page.context.cookies() == []

            await page.get_by_role("link", name="All streams").click()
            # What the token does not open is not offered.
            for region, act in (
                ("Check my camera", "send video"),
                ("Guard a call", "send video"),
                ("Watch a feed", "add feeds"),
            ):
                way = page.get_by_role("region", name=region)
                await expect(way).to_contain_text(f"Your access token may not {act}.")
                await expect(way.get_by_role("button")).to_be_disabled()
            await expect(page.get_by_text("Webhooks", exact=True)).to_be_hidden()
            await page.set_viewport_size({"width": 320, "height": 900})
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320
            await page.get_by_role("link", name="door").click()
            await plays(page)
            await expect(page.get_by_role("button", name="Remove this stream")).to_be_hidden()


async def test_without_a_token_the_page_says_what_is_missing(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector, tokens=[{"token": TOKEN, "scopes": ["admin"]}]) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            await page.get_by_role("dialog").get_by_role("button", name="Not now").click()
            again = page.get_by_role("button", name="Enter a token")
            await again.click()
            await page.get_by_role("dialog").get_by_label("Token").fill(TOKEN)
            await page.keyboard.press("Enter")
            await expect(page.get_by_text("No stream is watched yet.")).to_be_visible()
            await expect(again).to_have_count(0)
            await expect(page.get_by_text("Webhooks", exact=True)).to_be_visible()
            await expect(page.get_by_role("button", name="Watch", exact=True)).to_be_enabled()
            await expect(page.get_by_text("Your access token may not")).to_have_count(0)
