"""One button: the camera's picture goes out by WHIP and comes back by WHEP, judged and painted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.server.page.browsing import chromium, fetched, opened, orange_share, plays, stream_name, waits_for_orange
from tests.server.page.serving import served

pytestmark = pytest.mark.slow


async def test_a_fake_face_is_painted_and_told(tmp_path: Path, detector: Path, fake_camera: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium(camera=fake_camera) as browser, opened(browser, server.url) as page:
            await page.get_by_role("button", name="Check my camera").click()
            await plays(page)
            await expect(page.get_by_role("region", name="Verdict")).to_have_attribute("data-state", "FAKE")
            await expect(page.get_by_role("region", name="Verdict")).to_contain_text("may be wrong")
            await expect(page.get_by_role("region", name="Faces").get_by_role("listitem")).to_contain_text("FAKE")
            name = stream_name(page)
            banner = page.get_by_role("alert").filter(has_text=f"A face in {name} looks fake")
            await expect(banner).to_be_visible()
            await expect(banner).to_contain_text("An automated estimate that may be wrong.")
            await waits_for_orange(page, above=0.5)
            # The banner tells it to screen readers; what was said before is said no more.
            await expect(page.locator("#spoken")).to_be_empty()
            event = page.get_by_role("region", name="Events").get_by_role("listitem").filter(has_text="looks fake")
            await event.get_by_role("button").click()
            await expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
            await page.keyboard.press("Escape")
            timeline = page.get_by_role("img", name="Timeline of the last minute")
            await expect(timeline).to_have_attribute("aria-label", re.compile(r"FAKE; at most \d+\s?%"))
            await page.get_by_role("button", name="Dismiss").click()
            await expect(banner).to_have_count(0)

            # The marks can be switched off; the judging goes on.
            await page.get_by_text("Off", exact=True).click()
            await plays(page)
            assert await orange_share(page) < 0.01
            await expect(page.get_by_role("region", name="Verdict")).to_have_attribute("data-state", "FAKE")

            await page.get_by_role("button", name="Stop", exact=True).click()
            await expect(page.get_by_text("Nothing is sent any more.")).to_be_visible()
            await page.get_by_role("link", name="To the start page").click()
            await expect(page.get_by_text("No stream is watched yet.")).to_be_visible()
            assert await fetched(page, "/api/v1/streams") == {"streams": []}


async def test_a_real_face_stays_real(tmp_path: Path, detector: Path, real_camera: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium(camera=real_camera) as browser, opened(browser, server.url) as page:
            await page.get_by_role("button", name="Check my camera").click()
            await plays(page)
            verdict = page.get_by_role("region", name="Verdict")
            await expect(verdict).to_have_attribute("data-state", "REAL")
            await expect(verdict).to_contain_text("No sign of manipulation found")
            name = stream_name(page)
            await expect(page.locator("#spoken")).to_have_text(f"{name}: No sign of manipulation found.")
            judged = (await fetched(page, f"/api/v1/streams/{name}"))["totals"]["judged"]
            await page.wait_for_function(
                "async ([name, most]) => (await (await fetch(`api/v1/streams/${name}`)).json()).totals.judged > most",
                arg=[name, judged + 40],
                polling=250,
            )
            await expect(verdict).to_have_attribute("data-state", "REAL")
            assert await page.locator(".banner").count() == 0
            assert await orange_share(page) < 0.01


async def test_the_camera_goes_on_beside_other_views_and_comes_back_after_a_restart(
    tmp_path: Path, detector: Path, real_camera: Path
) -> None:
    async with chromium(camera=real_camera) as browser, opened(browser, "about:blank") as page:
        with served(tmp_path, detector) as first:
            await page.goto(first.url)
            await page.get_by_role("button", name="Check my camera").click()
            await plays(page)
            name = stream_name(page)
            await page.get_by_role("link", name="All streams").click()
            await expect(page.get_by_role("link", name="Your camera is on")).to_be_visible()
            await expect(page.get_by_role("link", name=name)).to_be_visible()
            await page.set_viewport_size({"width": 320, "height": 700})
            for words in page.get_by_role("link", name="Your camera is on"), page.locator("#sound"):
                box = await words.bounding_box()
                assert box
                # One line of text.
                assert box["height"] < 48
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320
            await page.get_by_role("link", name="Your camera is on").click()
            await plays(page)
        gone = page.get_by_role("status").filter(has_text="The streamguard server does not answer.")
        await expect(gone.first).to_be_visible()
        with served(tmp_path, detector, port=first.port):
            await plays(page)
            await expect(page.get_by_role("region", name="Verdict")).to_have_attribute("data-state", "REAL")
            await expect(gone).to_have_count(0)


_SDP = "v=0\r\nm=video 9 UDP 96 97 102\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
_SDP += "a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1\r\na=sendrecv\r\n"


async def test_pictures_keep_their_size_and_are_sharp_from_the_beginning(
    tmp_path: Path, detector: Path, real_camera: Path
) -> None:
    with served(tmp_path, detector) as server:
        async with chromium(camera=real_camera) as browser, opened(browser, server.url) as page:
            asked = await page.evaluate(
                """async (sdp) => (await import("/static/webrtc/whip.js")).quickStart(sdp)""", _SDP
            )
            extra = "x-google-start-bitrate=1500"
            wanted = _SDP.replace("VP8/90000\r\n", f"VP8/90000\r\na=fmtp:96 {extra}\r\n")
            assert asked == wanted.replace("packetization-mode=1", f"packetization-mode=1;{extra}")

            await page.get_by_role("button", name="Check my camera").click()
            await plays(page)
            peer = "window.peers.find((peer) => peer.getSenders().some(({ track }) => track))"
            assert extra in await page.evaluate(f"{peer}.remoteDescription.sdp")
            parameters = await page.evaluate(f"{peer}.getSenders()[0].getParameters()")
            assert parameters["degradationPreference"] == "maintain-resolution"
