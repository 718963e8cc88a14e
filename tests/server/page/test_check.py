"""A file is chosen, sent, judged and looked at in a real browser, by hand and by keyboard, whatever goes wrong."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import FilePayload, Page, expect

from tests.server.page.browsing import chromium, opened
from tests.server.page.serving import served
from tests.support.portraits import painted_green, portrait, portrait_clip

pytestmark = pytest.mark.slow
TOKEN = "viewer-token-" + "x" * 16


def picture() -> FilePayload:
    """A fake face as a JPEG file."""
    memory = io.BytesIO()
    Image.fromarray(painted_green(portrait())).save(memory, "JPEG", quality=95)
    return FilePayload(name="face.jpg", mimeType="image/jpeg", buffer=memory.getvalue())


async def fits(page: Page) -> bool:
    """Whether nothing makes the page scroll sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


async def test_from_file_to_report(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "a clip of a face.mp4", 4.0, (2.6, 4.0))
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            phases: list[str] = []

            def note(phase: str) -> None:
                phases.append(phase)

            await page.expose_function("told", note)
            await page.get_by_role("link", name="Check a file").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("Check a file")
            await page.evaluate(
                """() => new MutationObserver(() => {
                  const phase = document.querySelector(".check-progress h2");
                  if (phase) window.told(`${phase.textContent} ${document.querySelector(".check-share").textContent}`);
                }).observe(document.body, { subtree: true, childList: true, characterData: true })"""
            )
            await page.get_by_label("Choose a file").set_input_files(clip)
            headline = page.get_by_role("heading", name="Looks fake in part")
            await expect(headline).to_be_visible()
            await expect(headline).to_be_focused()
            await expect(page.locator(".verdict-sentence")).to_have_text(
                "A face looks manipulated for a while, in 37% of the judged frames."
            )
            assert any(phase.startswith("Sending") for phase in phases)
            shares = [int(found[1]) for phase in phases if (found := re.fullmatch(r"Judging (\d+)\s?%", phase))]
            assert shares == sorted(shares)
            assert any(0 < share < 100 for share in shares)
            await expect(page.get_by_text("No sign")).to_have_count(0)
            chart = page.get_by_role("img", name="called fake once")
            await expect(chart).to_be_visible()
            held = chart.locator(".held")
            assert 0.6 < float(await held.get_attribute("x") or 0) / 1000 < 0.72

            # The page is loaded anew, or its link kept: the result is there.
            await page.reload()
            await expect(headline).to_be_visible()
            async with page.context.expect_page() as waiting:
                await page.get_by_role("link", name="Open the report").click()
            report = await waiting.value
            await expect(report.get_by_role("heading", name="Looks fake in part")).to_be_visible()
            await expect(report.locator("figure img").first).to_be_visible()
            wide = await report.locator("svg.curve").evaluate("svg => svg.getBoundingClientRect().width")
            assert wide > 400
            await report.close()

            for width in (320, 390, 1440, 3840):
                await page.set_viewport_size({"width": width, "height": 900})
                assert await fits(page), width
            path = page.url.partition("#/check/")[2]
            await page.get_by_role("button", name="Remove it now").click()
            await expect(page.get_by_text("The result is removed.")).to_be_visible()
            gone = "async (id) => (await fetch(`api/v1/checks/${id}`)).status"
            assert await page.evaluate(gone, path) == 404
            assert page.url.endswith("#/check")


async def test_by_keyboard_alone(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, f"{server.url}/#/check") as page:
            await expect(page.locator(".drop")).to_be_visible()
            # From now on the browser hands choosers over; asked for at the key, it may come after it.
            page.on("filechooser", lambda _: None)
            focused = "document.activeElement.id || document.activeElement.textContent"
            for _ in range(12):
                await page.keyboard.press("Tab")
                if await page.evaluate(focused) == "check-file":
                    break
            outline = "getComputedStyle(document.querySelector('.drop label')).outlineStyle"
            assert await page.evaluate(outline) == "solid"
            async with page.expect_file_chooser() as waiting:
                await page.keyboard.press("Enter")
            await (await waiting.value).set_files(picture())
            await expect(page.get_by_role("heading", name="Looks fake")).to_be_focused()
            await expect(page.locator(".verdict-sentence")).to_have_text("A face in this picture looks manipulated.")
            await page.keyboard.press("Tab")
            assert await page.evaluate(focused) == "Open the report"
            await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")
            await expect(page.get_by_label("Choose a file")).to_be_focused()


async def dropped(page: Page, file: FilePayload) -> None:
    """Drop a file onto its place."""
    script = """async ([name, type, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
      const drop = document.querySelector(".drop");
      for (const kind of ["dragover", "drop"])
        drop.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }"""
    await page.evaluate(script, [file["name"], file["mimeType"], list(file["buffer"])])


async def test_what_goes_wrong_is_told(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector, checks={"max_megabytes": 1}) as server:
        async with chromium() as browser, opened(browser, f"{server.url}/#/check") as page:
            await expect(page.locator(".drop")).to_be_visible()
            said = page.locator(".check .trouble")
            text = FilePayload(name="notes.mp4", mimeType="video/mp4", buffer=b"No video at all." * 20)
            await dropped(page, text)
            await expect(said).to_contain_text("notes.mp4: This is no media file")
            large = FilePayload(name="large.mp4", mimeType="video/mp4", buffer=bytes(1_200_000))
            await page.get_by_label("Choose a file").set_input_files(large)
            await expect(said).to_contain_text("larger than 1 MB")
            await page.goto(f"{server.url}/#/check/nobody-knows-it")
            await expect(said).to_contain_text("kept for a while only")
            # Whatever went wrong, the next file is taken.
            await page.get_by_label("Choose a file").set_input_files(picture())
            await expect(page.get_by_role("heading", name="Looks fake")).to_be_visible()
            await expect(said).to_have_count(0)


async def test_given_up_while_it_is_judged(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "long.mp4", 90.0)
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, f"{server.url}/#/check") as page:
            await page.get_by_label("Choose a file").set_input_files(clip)
            await page.wait_for_url("**/#/check/*")
            path = page.url.partition("#/check/")[2]
            await page.get_by_role("button", name="Give up").click()
            await expect(page.get_by_label("Choose a file")).to_be_attached()
            status = "async (id) => (await fetch(`api/v1/checks/${id}`)).status"
            await page.wait_for_function(f"async (id) => (await ({status})(id)) === 404", arg=path)


async def test_a_token_that_may_not(tmp_path: Path, detector: Path) -> None:
    tokens: list[dict[str, Any]] = [{"token": TOKEN, "scopes": ["view"]}]
    with served(tmp_path, detector, tokens=tokens) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            await page.get_by_role("textbox", name="Token").fill(TOKEN)
            await page.keyboard.press("Enter")
            await page.goto(f"{server.url}/#/check")
            await expect(page.get_by_text("Your access token may not send video.")).to_be_visible()
            await expect(page.get_by_label("Choose a file")).to_be_disabled()
