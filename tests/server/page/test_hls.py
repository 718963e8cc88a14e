"""The HLS output of a stream, played by the page: picture, marks and sound."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from streamguard.media.output.segment import browser_segment
from tests.media.test_segment import as_segment
from tests.server.page.browsing import LIMIT, chromium, opened, orange_share, plays, waits_for_orange
from tests.server.page.serving import Served, served
from tests.server.test_auth import TOKENS
from tests.support.flash_beep import flash_beep_clip
from tests.support.portraits import portrait_clip
from tests.support.sounding import TONE, with_tone

pytestmark = pytest.mark.slow

_ADVANCES = """async () => {
  const video = document.querySelector("video");
  const before = [video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames];
  await new Promise((resolve) => setTimeout(resolve, 250));
  const after = [video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames];
  return video.src.startsWith("blob:") && after[0] > before[0] && after[1] > before[1];
}"""
_LISTEN = """() => {
  const context = new AudioContext();
  window.heard = context.createAnalyser();
  window.heard.fftSize = 8192;
  context.createMediaElementSource(document.querySelector("video")).connect(window.heard);
}"""
_PEAK = """() => {
  const levels = new Float32Array(window.heard.frequencyBinCount);
  window.heard.getFloatFrequencyData(levels);
  const peak = levels.indexOf(Math.max(...levels));
  return levels[peak] > -60 ? (peak * window.heard.context.sampleRate) / window.heard.fftSize : 0;
}"""


@contextmanager
def sent_on(folder: Path, detector: Path, **settings: object) -> Iterator[Served]:
    """A server whose stream `studio`, a green face and a tone, goes into a folder as HLS."""
    clip = with_tone(portrait_clip(folder / "silent.mp4", 4.0, (0.0, 4.0)), folder / "studio.mp4")
    (folder / "hls").mkdir()
    stream = {"name": "studio", "source": f"loop:{clip}", "outputs": [str(folder / "hls")]}
    with served(folder, detector, streams=[stream], **settings) as server:
        yield server


async def advances(page: Page) -> None:
    """Wait until the video's time and its decoded pictures rise."""
    await page.wait_for_function(f"async () => await ({_ADVANCES})()")


async def test_it_plays_with_marks_and_sound(tmp_path: Path, detector: Path) -> None:
    with sent_on(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, f"{server.url}/#/stream/studio") as page:
            await plays(page)
            await page.get_by_text("With sound", exact=True).click()
            await expect(page.locator(".stage-frame")).to_have_attribute("data-empty", "false")
            await advances(page)
            await waits_for_orange(page, above=0.5)
            assert not await page.evaluate("document.querySelector('video').muted")
            await page.evaluate(_LISTEN)
            await page.wait_for_function(f"() => Math.abs(({_PEAK})() - {TONE}) < 20")
            # It goes on past what was there at first.
            reached = await page.evaluate("document.querySelector('video').currentTime")
            await page.wait_for_function(
                "(least) => document.querySelector('video').currentTime > least", arg=reached + 8
            )
            assert await orange_share(page) > 0.5
            panel = page.get_by_role("region", name="Sent on")
            await expect(panel).to_contain_text("1 of 1 up")
            await expect(panel.get_by_role("listitem")).to_contain_text("pictures")
            # And back to the picture that comes at once.
            await page.get_by_text("Off", exact=True).click()
            await plays(page)
            assert await page.evaluate("document.querySelector('video').muted")
            assert await orange_share(page) < 0.01


async def test_the_token_stays_out_of_the_addresses(tmp_path: Path, detector: Path) -> None:
    view = str(TOKENS[1]["token"])
    asked: list[str] = []
    with sent_on(tmp_path, detector, tokens=TOKENS) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            page.on("request", lambda request: asked.append(request.url))
            await page.get_by_role("textbox", name="Token").fill(view)
            await page.keyboard.press("Enter")
            await page.get_by_role("link", name="studio").click()
            async with page.expect_request(re.compile(r"\.mp4"), timeout=LIMIT):
                await page.get_by_text("With sound", exact=True).click()
            await advances(page)
    assert any(".mp4" in url for url in asked)
    assert not any(view in url for url in asked)


async def test_a_browser_without_media_sources_plays_by_itself(tmp_path: Path, detector: Path) -> None:
    with sent_on(tmp_path, detector, tokens=TOKENS) as server:
        async with chromium() as browser, opened(browser, "about:blank") as page:
            await page.context.add_init_script("delete window.MediaSource")
            await page.goto(server.url)
            await page.get_by_role("textbox", name="Token").fill(str(TOKENS[1]["token"]))
            await page.keyboard.press("Enter")
            await page.get_by_role("link", name="studio").click()
            if not await page.evaluate("document.createElement('video').canPlayType('application/vnd.apple.mpegurl')"):
                pytest.skip("this Chromium plays no HLS by itself")
            await page.get_by_text("With sound", exact=True).click()
            await expect(page.locator(".stage-frame")).to_have_attribute("data-empty", "false")
            await page.wait_for_function("() => document.querySelector('video').currentTime > 2")
            assert "/hls/studio/0/live.m3u8" in await page.evaluate("document.querySelector('video').src")
            await waits_for_orange(page, above=0.5)
            await page.get_by_text("Live", exact=True).click()
            await plays(page)


async def test_a_stream_that_is_not_sent_on_offers_no_sound(tmp_path: Path, detector: Path, real: Path) -> None:
    with served(tmp_path, detector, streams=[{"name": "door", "source": str(real)}]) as server:
        async with chromium() as browser, opened(browser, f"{server.url}/#/stream/door") as page:
            await plays(page)
            await expect(page.get_by_text("With sound", exact=True)).to_be_hidden()
            await expect(page.get_by_role("region", name="Sent on")).to_be_hidden()


_APPEND = """async (segments) => {
  const { SegmentBuffer } = await import("/static/hls/segment_buffer.js");
  const video = document.createElement("video");
  video.muted = true;
  document.body.append(video);
  const buffer = new SegmentBuffer(video);
  await buffer.open();
  const sizes = new Set();
  video.addEventListener("resize", () => sizes.add(`${video.videoWidth}x${video.videoHeight}`));
  for (const { data, type, start } of segments) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    await buffer.append(bytes.buffer, type, start);
  }
  const ranges = video.buffered.length;
  const end = video.buffered.end(video.buffered.length - 1);
  video.playbackRate = 4;
  await video.play();
  await new Promise((resolve) => {
    const look = setInterval(() => {
      if (video.currentTime < end - 0.5) return;
      clearInterval(look);
      resolve();
    }, 50);
  });
  buffer.close();
  video.remove();
  return { ranges, end, sizes: [...sizes] };
}"""


async def test_leaps_of_the_clock_and_other_sizes_are_played_on(tmp_path: Path, detector: Path) -> None:
    clips = [flash_beep_clip(tmp_path / f"{size[0]}.mp4", 2, size=size) for size in ((160, 120), (320, 240))]
    segments = []
    # On, after a minute in which nothing came, and after the clock began anew.
    for clip, begin in ((clips[0], 5.0), (clips[0], 7.0), (clips[0], 69.0), (clips[1], 71.0), (clips[1], 0.0)):
        made = browser_segment(as_segment(clip, begin))
        data = base64.b64encode(made.data).decode()
        segments.append({"data": data, "type": made.type, "start": made.start})
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            told = await page.evaluate(_APPEND, segments)
    assert told["ranges"] == 1
    assert told["end"] == pytest.approx(10.0, abs=0.4)
    assert told["sizes"] == ["160x120", "320x240"]


async def test_playlists_are_read(tmp_path: Path, detector: Path) -> None:
    text = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:3
#EXT-X-MEDIA-SEQUENCE:7
#EXTINF:2.5,
#EXT-X-PROGRAM-DATE-TIME:2026-03-02T12:00:00.000+0000
cam 1-000007.ts
#EXT-X-DISCONTINUITY
#EXTINF:2,a title
cam 1-000008.ts
"""
    read = """async (text) => (await import("/static/hls/playlist.js")).readPlaylist(text)"""
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            told = await page.evaluate(read, text)
            nothing = await page.evaluate(read, "#EXTM3U\r\n")
    assert told == {
        "target": 3,
        "segments": [
            {"number": 7, "duration": 2.5, "name": "cam 1-000007.ts"},
            {"number": 8, "duration": 2, "name": "cam 1-000008.ts"},
        ],
        "until": 1_772_452_804_500,
    }
    assert nothing == {"target": 2, "segments": [], "until": None}
