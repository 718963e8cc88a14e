"""Who does not see, or has no mouse, can do all of it: axe-core finds nothing, and the keyboard alone suffices."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.server.page.browsing import chromium, fetched, opened
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip

pytestmark = pytest.mark.slow

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
_FOUND = """async () => {
  const { violations, passes } = await axe.run(document);
  const found = violations.map(({ id, impact, nodes }) => [impact, id, ...nodes.map(({ target }) => `${target}`)]);
  return { found, passes: passes.length };
}"""


_TYPED = """() => [...document.querySelectorAll("input:not([type=checkbox], [type=radio])")].map((input) =>
  ["autocapitalize", "autocorrect", "autocomplete", "spellcheck"].map((name) => input.getAttribute(name)))"""


_REMOVE = """() => Promise.all(["newsroom", "door"].map((name) =>
  fetch(`/api/v1/streams/${name}`, { method: "DELETE" })))"""


async def look(page: Page) -> None:
    """Fail where axe-core finds anything, however small, in both colour schemes."""
    await page.evaluate(AXE)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        told = await page.evaluate(_FOUND)
        assert told["passes"] > 10
        assert told["found"] == [], f"{page.url}, {scheme}"


async def test_axe_finds_nothing_in_any_view(tmp_path: Path, detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMGUARD_EVIDENCE", json.dumps({"enabled": True}))
    door = portrait_clip(tmp_path / "door.mp4", 2.0)
    fake = portrait_clip(tmp_path / "newsroom.mp4", 8.0, (0.0, 8.0))
    streams = [
        {"name": "newsroom", "source": str(fake)},
        {"name": "studio", "source": str(door), "loop": False},
        {"name": "door", "source": str(door)},
        {"name": "lobby", "source": str(tmp_path / "nothing.mp4")},
    ]
    with served(tmp_path, detector, streams=streams, alerts={"folder": str(tmp_path / "alerts")}) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            await expect(page.locator(".tile")).to_have_count(4)
            await page.get_by_text("Webhooks", exact=True).click()
            await look(page)
            # Nothing that is typed is capitalised or corrected.
            typed = await page.evaluate(_TYPED)
            assert len(typed) == 4
            assert set(map(tuple, typed)) == {("none", "off", "off", "false")}
            await page.goto(f"{server.url}/#/stream/newsroom")
            await expect(page.get_by_role("region", name="Events").get_by_role("link").first).to_be_visible()
            await look(page)
            await page.goto(f"{server.url}/#/stream/studio")
            await expect(page.get_by_role("region", name="Verdict")).to_have_attribute("data-past", "yes")
            await look(page)
            await page.goto(f"{server.url}/#/stream/door")
            await expect(page.get_by_role("region", name="Faces").get_by_role("listitem")).not_to_have_count(0)
            await look(page)
            await page.get_by_role("button", name="Remove this stream").click()
            await look(page)
            await page.keyboard.press("Escape")
            await page.goto(f"{server.url}/#/history")
            await expect(page.locator(".incident")).to_have_count(1)
            await look(page)
            (incident,) = (await fetched(page, "/api/v1/incidents"))["incidents"]
            # Its clip is judged behind live streams: on a busy machine that would take its time.
            await page.evaluate(_REMOVE)
            await page.goto(f"{server.url}/#/incident/{incident['id']}")
            await expect(page.locator(".clip video").nth(1)).to_be_visible()
            await look(page)
            await page.goto(f"{server.url}/#/stream/nobody")
            await expect(page.get_by_text("There is no stream")).to_be_visible()
            await look(page)


async def test_the_keyboard_alone_suffices(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "door.mp4", 2.0)
    with served(tmp_path, detector, streams=[{"name": "door", "source": str(clip)}]) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            await expect(page.locator(".tile")).to_have_count(1)
            names = [await tab(page)]
            while names[-1] and len(names) < 60:
                names.append(await tab(page))
            for wanted in (
                "Skip to the content",
                "History",
                "Alert sound",
                "Check my camera",
                "Guard a call",
                "Address",
                "Watch",
                "door",
                "Webhooks",
                "Language",
            ):
                assert any(wanted in name for name in names), f"{wanted}: {names}"


async def tab(page: Page) -> str:
    """Go on to the next element: its name; empty where that is the page itself."""
    await page.keyboard.press("Tab")
    return str(
        await page.evaluate(
            """() => {
              const element = document.activeElement;
              if (!element || element === document.body) return "";
              // Where one is has to be seen.
              const style = getComputedStyle(element);
              if (style.outlineStyle === "none" && style.boxShadow === "none") return `unseen ${element.outerHTML}`;
              const label = element.labels?.[0]?.textContent ?? "";
              return element.ariaLabel || label || element.textContent || element.tagName;
            }"""
        )
    )
