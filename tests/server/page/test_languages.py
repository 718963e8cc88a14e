"""Languages: every catalogue is whole, nothing is said outside of them, and the page speaks what it is told to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from streamguard.server.site import PAGE
from tests.server.page.browsing import chromium, opened
from tests.server.page.serving import served
from tests.server.page.test_page_files import languages
from tests.support.portraits import portrait_clip

CATEGORIES = {
    "en": {"one", "other"},
    "de": {"one", "other"},
    "fr": {"one", "many", "other"},
    "es": {"one", "many", "other"},
    "uk": {"one", "few", "many", "other"},
}
"""Plural categories of whole numbers and of others (Unicode CLDR)."""
OTHERS = [code for code in languages() if code != "en"]
_LITERAL = r'"(?:[^"\\]|\\.)*"'
_KEY = re.compile(rf"\b[tN]\(\s*({_LITERAL})")
_NAMED = re.compile(r"\{(\w+)\}")
# What stays the same in every language: names, codes, the text that the browser lays out.
_SAME = re.compile(r"^[\W\d_]*$|^[a-z0-9_./:-]+$")


def catalogue(code: str) -> dict[str, Any]:
    """The texts of a language by their English ones."""
    found: dict[str, Any] = json.loads((PAGE / "language" / f"{code}.json").read_text())
    return found


def texts(entry: str | dict[str, str]) -> list[str]:
    """All its plural forms."""
    return [entry] if isinstance(entry, str) else list(entry.values())


def without_comments(source: str) -> str:
    """JavaScript without its comments, as far as this page's style goes."""
    return re.sub(r"(?m)(^|\s)//.*$", "", re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL))


def keys() -> set[str]:
    """Every text that the page looks up."""
    found = {
        json.loads(literal)
        for path in PAGE.rglob("*.js")
        for literal in _KEY.findall(without_comments(path.read_text()))
    }
    html = (PAGE / "index.html").read_text()
    return found | set(re.findall(r"data-say>([^<]+)<", html)) | set(re.findall(r'data-label="([^"]+)"', html))


@pytest.mark.parametrize("code", OTHERS)
def test_a_catalogue_has_every_text_and_no_other(code: str) -> None:
    assert set(catalogue(code)) == keys()


@pytest.mark.parametrize("code", OTHERS)
def test_a_catalogue_puts_in_the_same_values(code: str) -> None:
    for english, entry in catalogue(code).items():
        for text in texts(entry):
            assert text.strip(), english
            assert set(_NAMED.findall(text)) == set(_NAMED.findall(english)), f"{english}: {text}"


@pytest.mark.parametrize("code", languages())
def test_plurals_are_whole(code: str) -> None:
    plurals = {english for english, entry in catalogue("en").items() if isinstance(entry, dict)}
    assert plurals <= keys()
    entries = catalogue(code)
    assert {english for english, entry in entries.items() if isinstance(entry, dict)} == plurals
    for english in plurals:
        assert set(entries[english]) == CATEGORIES[code], english


def test_no_english_stands_outside_the_catalogues() -> None:
    """Two words and more with a capital or a stop are meant for people: they are looked up."""
    for path in PAGE.rglob("*.js"):
        source = without_comments(path.read_text())
        rest = re.sub(rf"\b[tN]\(\s*{_LITERAL}", "", source)
        rest = re.sub(r'(?m)^(import|export) .*?from ".*?";', "", rest)
        for literal in [*re.findall(_LITERAL, rest), *re.findall(r"`[^`]*`", rest)]:
            text = re.sub(r"\$\{[^}]*\}", "", literal[1:-1]).strip()
            spoken = re.match(r"[A-Z][a-z]+( [a-z]+)+", text) or re.search(r"[a-z]{2,} [a-z]{2,}.*[.!?]$", text)
            assert not spoken, f"{path.name}: {literal}"


# Every text of the page in brackets, those that come of the server and of people aside.
_UNSAID = """(known) => {
  const words = (text) => text.replace(/⟦[^⟧]*⟧/g, "").replace(/⟦.*$|^.*⟧/g, "");
  const found = [];
  const look = (text, where) => {
    let rest = words(text);
    // The longest first: they may hold one another.
    for (const one of known.toSorted((a, b) => b.length - a.length)) rest = rest.replaceAll(one, "");
    if (/\\p{L}{2,}/u.test(rest)) found.push(`${where}: ${text}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement: parent, data } = walker.currentNode;
    if (!parent.closest("script, noscript, [hidden], option[lang]")) look(data, parent.className || parent.tagName);
  }
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest("noscript, [hidden]")) continue;
    for (const name of ["aria-label", "title", "alt"]) {
      if (element.hasAttribute(name)) look(element.getAttribute(name), `${element.tagName} ${name}`);
    }
  }
  return found;
}"""
KNOWN = ["streamguard", "API", "door", "clip", "frames", "kbit", "ms", "AM", "PM"]


async def bracketed(route: Route) -> None:
    """German whose every text is the English one in brackets."""
    entries = {key: f"⟦{key}⟧" for key in keys()}
    await route.fulfill(json=entries)


async def unsaid(page: Page, *known: str) -> list[str]:
    """What is shown and was not looked up."""
    found: list[str] = await page.evaluate(_UNSAID, [*KNOWN, *known])
    return found


@pytest.mark.slow
async def test_every_view_says_nothing_but_what_is_in_the_catalogues(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", 4.0)
    streams = [{"name": "door", "source": str(clip)}]
    with served(tmp_path, detector, streams=streams) as server:
        async with chromium() as browser, opened(browser, "about:blank", locale="de-DE") as page:
            await page.route("**/language/de.json", bracketed)
            await page.goto(server.url)
            await expect(page.get_by_role("link", name="door")).to_be_visible()
            await page.get_by_text("⟦Webhooks⟧", exact=True).click()
            await expect(page.get_by_text("⟦Nobody is notified yet.⟧")).to_be_visible()
            assert await unsaid(page) == []
            await page.goto(f"{server.url}/#/stream/door")
            await expect(page.get_by_role("region", name="⟦Events⟧").get_by_role("listitem")).not_to_have_count(0)
            assert await unsaid(page, str(clip), "320x240") == []
            await page.goto(f"{server.url}/#/history")
            await expect(page.get_by_text("⟦No face was called fake yet.⟧")).to_be_visible()
            assert await unsaid(page) == []
            await page.goto(f"{server.url}/#/stream/nobody")
            await expect(page.get_by_text("⟦It may have ended.")).to_be_visible()
            assert await unsaid(page, "nobody") == []


@pytest.mark.slow
async def test_the_browsers_language_is_spoken_and_another_can_be_chosen(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url, locale="uk-UA") as page:
            await expect(page.get_by_role("heading", level=1)).to_have_text("Чи справжнє обличчя в цьому відео?")
            await expect(page.locator("html")).to_have_attribute("lang", "uk")
            await page.get_by_label("Мова").select_option("de")
            await expect(page.get_by_role("heading", level=1)).to_have_text("Ist das Gesicht in diesem Video echt?")
            await expect(page.locator("html")).to_have_attribute("lang", "de")
            await page.reload()
            # It is kept.
            await expect(page.get_by_role("switch", name="Warnton")).to_be_visible()
            said = await page.evaluate(
                """async () => {
                  const { t, number } = await import("/static/language/language.js");
                  const faces = [1, 2, 5].map((count) => t("{count} faces", { count }));
                  return [...faces, number(1234.5), t("no such text {a}", { a: "b" })];
                }"""
            )
            assert said == ["1 Gesicht", "2 Gesichter", "5 Gesichter", "1.234,5", "no such text b"]
        # A language that there is none of is English; so is one whose catalogue cannot be had.
        async with chromium() as browser, opened(browser, "about:blank", locale="pl-PL") as page:
            await page.goto(server.url)
            await expect(page.get_by_role("heading", level=1)).to_have_text("Is the face in this video real?")
            await page.route("**/language/fr.json", lambda route: route.abort())
            await page.get_by_label("Language").select_option("fr")
            await expect(page.get_by_role("heading", level=1)).to_have_text("Is the face in this video real?")
            await expect(page.locator("html")).to_have_attribute("lang", "en")
