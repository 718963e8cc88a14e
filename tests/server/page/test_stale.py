"""A server that does not answer: what is shown is of the past, and says so within three seconds."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.server.page.browsing import chromium, opened, plays
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip

pytestmark = pytest.mark.slow

LIMIT_S = 3.0
"""From the server's silence until what is shown is greyed."""
_AS_OF = re.compile(r"as of \d{1,2}:\d\d:\d\d")


async def greyed(page: Page, place: str, since: float) -> float:
    """Wait until the place is marked as past; the seconds since then."""
    await page.wait_for_selector(f"{place}[data-stale]", state="attached")
    return time.monotonic() - since


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
async def test_verdicts_and_pictures_of_the_past_are_grey(tmp_path: Path, detector: Path, how: signal.Signals) -> None:
    fake = portrait_clip(tmp_path / "door.mp4", 4.0, (0.0, 4.0))
    with served(
        tmp_path, detector, streams=[{"name": "door", "source": str(fake)}], ends_well=False, stops=True
    ) as server:
        async with chromium() as browser, opened(browser, f"{server.url}/#/stream/door") as page:
            wall = await page.context.new_page()
            await wall.goto(server.url)
            await plays(page)
            verdict = page.get_by_role("region", name="Verdict")
            await expect(verdict).to_have_attribute("data-state", "FAKE")
            tile = wall.get_by_role("region", name="Streams").get_by_role("listitem")
            await expect(tile).to_have_attribute("data-state", "FAKE")
            connection = page.get_by_role("region", name="Connection")
            await expect(connection).to_contain_text("frames/s")

            server.process.send_signal(how)
            since = time.monotonic()
            assert await greyed(page, ".stream", since) < LIMIT_S
            assert await greyed(wall, ".tile", since) < LIMIT_S
            await expect(verdict).to_contain_text(_AS_OF)
            await expect(tile).to_contain_text(_AS_OF)
            await expect(connection).to_contain_text("No answer")
            await expect(page.locator(".stage")).to_contain_text(_AS_OF)
            for place in (verdict.locator(".verdict-sign"), tile):
                assert "grayscale" in await place.evaluate("(place) => getComputedStyle(place).filter")
            await expect(page.get_by_role("status").filter(has_text="does not answer")).to_be_visible()
            assert not re.search(r"\bGood\b", await page.locator("body").inner_text())


async def test_what_comes_again_is_of_now(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "door.mp4", 4.0)
    with served(tmp_path, detector, streams=[{"name": "door", "source": str(clip)}], stops=True) as server:
        async with chromium() as browser, opened(browser, f"{server.url}/#/stream/door") as page:
            await plays(page)
            server.process.send_signal(signal.SIGSTOP)
            await page.wait_for_selector(".stream[data-stale]", state="attached")
            server.process.send_signal(signal.SIGCONT)
            await expect(page.locator(".stream")).not_to_have_attribute("data-stale", "")
            await expect(page.locator(".verdict .as-of")).to_be_hidden()
            await plays(page)


async def test_a_stream_that_is_over_keeps_its_last_verdict_as_past(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "door.mp4", 1.0)
    streams = [{"name": "door", "source": str(clip), "loop": False}]
    with served(tmp_path, detector, streams=streams) as server:
        async with chromium() as browser, opened(browser, "about:blank") as page:
            said: list[str] = []
            page.on("console", lambda message: said.append(message.text))
            # How much of a file a busy machine judges must not decide: only the last verdict is put in.
            found = await page.request.get(f"{server.url}/api/v1/streams/door")
            over = {
                **(await found.json()),
                "state": "ended",
                "verdict": "UNKNOWN",
                "last_verdict": "FAKE",
                "tracks": [],
            }
            closed = {
                "id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                "kind": "fake.closed",
                "stream": "door",
                "epoch": 0,
                "track": 1,
                "at": "2026-01-05T10:00:00Z",
                "detail": "the stream ended",
                "cause": "stream_ended",
            }
            told = "".join(
                f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in (("state", over), ("alert", closed))
            )
            await page.route("**/api/v1/streams", lambda route: route.fulfill(json={"streams": [over]}))
            await page.route(
                "**/api/v1/streams/door/events",
                lambda route: route.fulfill(body=told, content_type="text/event-stream"),
            )
            await page.route("**/snapshot?mask=1", lambda route: route.fulfill(body=b"", content_type="image/jpeg"))
            await page.goto(server.url)
            tile = page.get_by_role("region", name="Streams").get_by_role("listitem")
            await expect(tile).to_contain_text("last verdict")
            await expect(tile).to_contain_text("FAKE")
            await tile.get_by_role("link").click()
            verdict = page.get_by_role("region", name="Verdict")
            await expect(verdict).to_have_attribute("data-past", "yes")
            await expect(verdict).to_have_attribute("data-state", "FAKE")
            await expect(verdict).to_contain_text("Last verdict")
            # Whoever was called fake to the end was not cleared.
            await expect(verdict).to_contain_text("A face that looked fake was not cleared")
            assert "Looks fake" not in await page.title()
            assert not [text for text in said if "404" in text or "409" in text]


async def test_a_camera_that_comes_and_goes_is_no_error(tmp_path: Path, detector: Path, real_camera: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium(camera=real_camera) as browser, opened(browser, server.url) as page:
            said: list[str] = []
            # A picture may be asked for just when its stream has gone; all else is known before.
            page.on("response", lambda got: said.append(got.url) if got.status in {404, 409} else None)
            await page.get_by_role("button", name="Check my camera").click()
            await plays(page)
            verdict = page.get_by_role("region", name="Verdict")
            await expect(verdict).to_have_attribute("data-state", "REAL")
            await page.get_by_role("button", name="Stop").click()
            await expect(page.get_by_text("Nothing is sent any more.")).to_be_visible()
            await expect(verdict).to_have_attribute("data-past", "yes")
            await page.get_by_role("link", name="All streams").click()
            await expect(page.get_by_text("No stream is watched yet.")).to_be_visible()
            assert not [url for url in said if "/snapshot" not in url]
