"""What the page says of a face: no sign found, unsure, fake; in words, signs and colours, on every width."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.server.page.browsing import chromium, fetched, opened, plays
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip

pytestmark = pytest.mark.slow

_CHIP = """async (state) => {
  const { stateChip } = await import("/static/parts/state_chip.js");
  const chip = stateChip(state);
  document.body.append(chip);
  const { color, backgroundColor } = getComputedStyle(chip);
  const sign = chip.querySelector("path").getAttribute("d");
  chip.remove();
  return { words: chip.textContent, sign, ground: backgroundColor, ink: color };
}"""
_WORDS = """async ([state, share]) => (await import("/static/parts/wording.js")).verdictWords(state, share, 1)"""
STATES = {"REAL": "no sign found", "UNSURE": "unsure", "FAKE": "FAKE", "UNKNOWN": "NOT JUDGED"}


async def test_every_state_has_words_a_sign_and_a_colour_of_its_own(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                chips = {state: await page.evaluate(_CHIP, state) for state in STATES}
                assert {state: chip["words"] for state, chip in chips.items()} == STATES
                for one, two in itertools.combinations(chips.values(), 2):
                    assert one["sign"] != two["sign"]
                    assert (one["ground"], one["ink"]) != (two["ground"], two["ink"])
                assert contrast(chips["UNSURE"]["ground"], chips["UNSURE"]["ink"]) > 7
                assert contrast(chips["UNSURE"]["ground"], chips["FAKE"]["ground"]) > 1.5
            for state in STATES:
                for share in (0, 0.2, None):
                    said = await page.evaluate(_WORDS, [state, share])
                    assert not re.search(r"\breal\b", f"{said}", re.IGNORECASE)


async def test_three_streams_in_three_states(tmp_path: Path, detector: Path, unsure_detector: Path) -> None:
    real = portrait_clip(tmp_path / "real.mp4", 2.0)
    fake = portrait_clip(tmp_path / "fake.mp4", 2.0, (0.0, 2.0))
    streams = [
        {"name": "front-door", "source": str(real)},
        {"name": "lobby", "source": str(fake), "model": str(unsure_detector)},
    ]
    newsroom = json.dumps({"name": "newsroom", "source": str(fake), "loop": True})
    with served(tmp_path, detector, streams=streams) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            tiles = page.get_by_role("region", name="Streams").get_by_role("listitem")
            await expect(tiles.filter(has_text="front-door")).to_have_attribute("data-state", "REAL")
            # What opened before the page did is no news to it.
            added = await page.request.post(
                f"{server.url}/api/v1/streams", data=newsroom, headers={"Content-Type": "application/json"}
            )
            assert added.status == 201
            for name, state in (("front-door", "REAL"), ("lobby", "UNSURE"), ("newsroom", "FAKE")):
                tile = tiles.filter(has_text=name)
                await expect(tile).to_have_attribute("data-state", state)
                await expect(tile).to_contain_text(STATES[state])
            await expect(page.get_by_role("alert").filter(has_text="newsroom looks fake")).to_be_visible()
            await narrow(page)

            await page.goto(f"{server.url}/#/stream/lobby")
            await plays(page)
            verdict = page.get_by_role("region", name="Verdict")
            await expect(verdict).to_have_attribute("data-state", "UNSURE")
            await expect(verdict).to_contain_text(re.compile("Unsure.*too weak to call it fake"))
            await expect(page.get_by_role("region", name="Faces").get_by_role("listitem")).to_contain_text("unsure")
            await expect(page.locator("#spoken")).to_have_text("lobby: Unsure.")
            await expect(page.locator(".legend .key")).to_have_text(
                ["No sign of manipulation found", "Unsure", "Looks fake", "Not judged"]
            )
            # Nobody is alerted.
            assert await page.get_by_role("alert").filter(has_text="lobby").count() == 0
            assert {event["kind"] for event in await events(page, "lobby")} <= {"stream.up"}
            stream = await fetched(page, "/api/v1/streams/lobby")
            assert (stream["verdict"], stream["tracks"][0]["state"]) == ("UNSURE", "UNSURE")
            assert stream["tracks"][0]["suspect_share"] > 0.5 > stream["tracks"][0]["share"]
            await narrow(page)


async def events(page: Page, stream: str) -> list[dict[str, str]]:
    """What was told of it so far."""
    found: list[dict[str, str]] = (await fetched(page, f"/api/v1/events?stream={stream}"))["events"]
    return found


async def narrow(page: Page) -> None:
    """It fits a phone."""
    before = page.viewport_size
    assert before
    await page.set_viewport_size({"width": 320, "height": 700})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await page.set_viewport_size(before)


def contrast(one: str, two: str) -> float:
    """WCAG's ratio of two colours, each `rgb(r, g, b)`."""
    light, dark = sorted(map(luminance, (one, two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """WCAG's relative luminance, 0..1."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
