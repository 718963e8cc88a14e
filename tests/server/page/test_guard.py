"""Guarding a call: a warning reaches who looks at the call and not at this page."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from tests.server.page.browsing import LIMIT, chromium, opened, plays, stream_name
from tests.server.page.serving import served
from tests.server.page.test_call import TITLE, call_page

pytestmark = pytest.mark.slow

CHOSEN = f"--auto-select-tab-capture-source-by-title={TITLE}"
"""Answers the real dialog; the faked one would offer the browser's test picture."""
# Notifications that the browser took, and whether the tab was hidden then.
_KEEP_NOTICES = """
window.notices = [];
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    const notice = { title, body: options.body, hidden: document.hidden, shown: false };
    window.notices.push(notice);
    this.addEventListener("show", () => { notice.shown = true; });
  }
};
"""
_TOLD = """() => window.notices.find(({ shown, title }) => shown && title.includes("looks fake"))"""
_VIDEO_ONLY = "delete window.documentPictureInPicture;"
_NO_WINDOW = _VIDEO_ONLY + "delete HTMLVideoElement.prototype.requestPictureInPicture;"
_DENIED = "Object.defineProperty(Notification, 'permission', { get: () => 'denied' });"
_NO_NOTICES = "delete window.Notification;"


@asynccontextmanager
async def hideable(folder: Path) -> AsyncIterator[BrowserContext]:
    """A browser whose tabs are hidden when another is in front: Playwright's own claim to be seen always."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    async with async_playwright() as playwright:
        switches = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", CHOSEN]
        process = await asyncio.create_subprocess_exec(
            path or playwright.chromium.executable_path,
            *switches,
            f"--user-data-dir={folder / 'profile'}",
            "about:blank",
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            while not (found := re.search(rb"ws://\S+", await process.stderr.readline())):
                pass
            browser = await playwright.chromium.connect_over_cdp(found[0].decode(), no_defaults=True)
            (context,) = browser.contexts
            context.set_default_timeout(LIMIT)
            yield context
            await browser.close()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()


async def guarded(context: BrowserContext, url: str, *, fake: bool) -> tuple[Page, Page]:
    """The page that guards, and the call that it guards."""
    call = await context.new_page()
    await call.set_content(call_page(fake=fake))
    page = await context.new_page()
    await page.goto(url)
    await page.bring_to_front()
    await page.get_by_role("button", name="Guard a call").click()
    await expect(page.get_by_role("region", name="While you are in the call")).to_be_visible()
    return page, call


async def test_a_hidden_tab_warns_by_a_notification(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with hideable(tmp_path) as context:
            await context.grant_permissions(["notifications"], origin=server.url)
            await context.add_init_script(_KEEP_NOTICES)
            page, call = await guarded(context, server.url, fake=True)
            await call.bring_to_front()
            await page.wait_for_function(_TOLD, polling=250, timeout=4 * LIMIT)
            assert await page.evaluate("document.hidden")
            notice = await page.evaluate(f"({_TOLD})()")
            assert notice["hidden"]
            assert notice["title"] == f"A face in {stream_name(page)} looks fake"
            assert "may be wrong" in notice["body"]
            # It goes on to warn on whichever view.
            await page.evaluate("location.hash = '#/'")
            await expect(page.get_by_role("link", name="Your call is shared")).to_be_attached()


async def test_the_small_window_shows_picture_and_verdict(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector, ends_well=False) as server:
        async with chromium(allow=False, more=(CHOSEN,)) as browser, opened(browser, "about:blank") as first:
            context = first.context
            await context.grant_permissions(["notifications"])
            page, _ = await guarded(context, server.url, fake=True)
            await plays(page)
            async with context.expect_page() as opening:
                await page.get_by_role("button", name="Small window on top").click()
            small = (await opening.value).locator("main.small")
            await expect(small).to_have_attribute("data-state", "FAKE")
            await expect(small).to_contain_text("Looks fake")
            # The picture moves, on whichever view.
            await page.get_by_role("link", name="All streams").click()
            before = await small.locator("video").evaluate("(video) => video.currentTime")
            video = await small.locator("video").element_handle()
            assert video
            await (await opening.value).wait_for_function(
                "([video, before]) => video.currentTime > before", arg=[video, before], polling=250
            )
            server.process.kill()
            await expect(small).to_have_attribute("data-stale", "")
            await expect(small).to_contain_text(re.compile(r"as of \d{1,2}:\d\d"))
            await expect(small).to_contain_text("does not answer")


async def test_browsers_that_can_do_less_say_so(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        for script, denied, words in (
            (_VIDEO_ONLY + _DENIED, True, "Notifications are blocked for this page."),
            (_NO_WINDOW + _NO_NOTICES, False, "This browser shows no notifications for this page."),
        ):
            async with chromium(allow=False, more=(CHOSEN,)) as browser, opened(browser, "about:blank") as first:
                await first.context.add_init_script(script)
                page, _ = await guarded(first.context, server.url, fake=False)
                panel = page.get_by_role("region", name="While you are in the call")
                await expect(panel).to_contain_text(words)
                await expect(panel.get_by_role("switch", name="Alert sound")).to_be_visible()
                small = panel.get_by_role("button", name="Small window on top")
                if denied:
                    await plays(page)
                    await small.click()
                    await expect(panel.get_by_role("button", name="Close the small window")).to_be_visible()
                    assert await page.evaluate("document.pictureInPictureElement !== null")
                else:
                    await expect(panel).to_contain_text("no small window that stays on top")
                    await expect(small).to_be_hidden()
                    # Everything else works.
                    await plays(page)
