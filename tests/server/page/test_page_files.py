"""The page's files: nothing from elsewhere, nothing inline, fit for every width."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from streamguard.server.site import PAGE
from tests.server.page.browsing import chromium, opened, plays
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip

_LANGUAGES = re.compile(r"LANGUAGES = \{(.*?)\}", re.DOTALL)
FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())
WIDTHS = (320, 390, 820, 1440, 3840)


def languages() -> list[str]:
    """The codes of all languages of the page."""
    found = _LANGUAGES.search((PAGE / "language/language.js").read_text())
    assert found
    return re.findall(r"(\w+):", found[1])


def test_nothing_comes_from_elsewhere() -> None:
    assert {path.suffix for path in FILES} == {".html", ".js", ".json", ".css", ".svg"}
    for path in FILES:
        text = path.read_text()
        for url in re.findall(r"https?://[^\s\"'`$]+", text):
            # The namespace of drawings is a name, not an address; the other is a sentence's example.
            assert url in {"http://www.w3.org/2000/svg", "http://localhost"}, f"{path.name}: {url}"


def test_nothing_is_inline() -> None:
    html = (PAGE / "index.html").read_text()
    assert "<style" not in html
    assert not re.search(r"\s(style|on\w+)=", html)
    for script in re.findall(r"<script\b[^>]*>(.*?)</script>", html, re.DOTALL):
        assert not script.strip()


def test_every_file_is_reached_from_the_page() -> None:
    html = (PAGE / "index.html").read_text()
    reached = {PAGE / name for name in re.findall(r"(?:href|src)=\"static/([^\"]+)\"", html)} | {PAGE / "index.html"}
    todo = [path for path in reached if path.suffix == ".js"]
    while todo:
        path = todo.pop()
        for name in re.findall(r"from \"(\.[^\"]+)\"", path.read_text()):
            found = (path.parent / name).resolve()
            assert found.exists(), f"{path.name} imports {name}"
            if found not in reached:
                reached.add(found)
                todo.append(found)
    # Catalogues are chosen by name.
    reached |= {PAGE / "language" / f"{code}.json" for code in languages()}
    assert sorted(reached) == FILES


@pytest.mark.slow
async def test_no_width_makes_it_scroll_sideways(tmp_path: Path, detector: Path) -> None:
    name = "a-name-as-long-as-a-name-may-be-" + 32 * "x"
    clip = portrait_clip(tmp_path / "a.mp4", 2.0)
    with served(tmp_path, detector, streams=[{"name": name, "source": str(clip)}]) as server:
        async with chromium() as browser, opened(browser, server.url, reduced_motion="reduce") as page:
            for address in ("#/", f"#/stream/{name}"):
                await page.goto(f"{server.url}/{address}")
                await expect(page.get_by_text(name).first).to_be_visible()
                if "stream/" in address:
                    await plays(page)
                for width in WIDTHS:
                    await page.set_viewport_size({"width": width, "height": 900})
                    wide = await page.evaluate("document.documentElement.scrollWidth")
                    assert wide <= width, f"{address} at {width}"


@pytest.mark.slow
async def test_event_streams_are_read_however_they_are_cut(tmp_path: Path, detector: Path) -> None:
    text = 'id: 1\nevent: alert\ndata: {"a":1}\n\n: hush\n\ndata: b\r\ndata: c\r\n\r\nevent: none\n\ndata: cut'
    wanted = [["alert", '{"a":1}', "1"], ["message", "b\nc", "1"]]
    read = """async ([text, size]) => {
      const { EventParser } = await import("/static/api/events.js");
      const seen = [];
      const parser = new EventParser((...event) => seen.push(event));
      for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size));
      return seen;
    }"""
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            for size in (1, 2, 3, 7, len(text)):
                assert await page.evaluate(read, [text, size]) == wanted
