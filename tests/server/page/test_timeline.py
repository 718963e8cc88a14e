"""The timeline draws the lines of the server's vote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.page.browsing import chromium, opened
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip

pytestmark = pytest.mark.slow

_KEEP_WORDS = """
window.words = new Set();
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
  window.words.add(text);
  return fillText.call(this, text, ...at);
};
"""
_DRAW = """async (vote) => {
  window.words.clear();
  const { Timeline } = await import("/static/parts/timeline.js");
  const timeline = new Timeline();
  document.body.append(timeline.element);
  if (vote) timeline.setVote(vote);
  timeline.start();
  while (!window.words.has("now")) await new Promise(requestAnimationFrame);
  timeline.stop();
  timeline.element.remove();
  return [...window.words];
}"""


async def test_the_lines_are_those_of_the_vote(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, "about:blank") as page:
            await page.add_init_script(_KEEP_WORDS)
            await page.goto(server.url)
            unknown = await page.evaluate(_DRAW, None)
            assert {"0%", "100%"} <= set(unknown)
            assert "called fake above" not in unknown
            drawn = await page.evaluate(_DRAW, {"window": 2, "open_share": 0.6, "close_share": 0.2})
            assert {"0%", "20%", "60%", "100%", "called fake above", "released below"} <= set(drawn)


async def test_a_stream_shows_its_own(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "door.mp4", 4.0)
    with served(tmp_path, detector, streams=[{"name": "door", "source": str(clip)}]) as server:
        async with chromium() as browser, opened(browser, "about:blank") as page:
            await page.add_init_script(_KEEP_WORDS)
            await page.goto(f"{server.url}/#/stream/door")
            await page.wait_for_function(
                "() => ['30%', '50%', 'called fake above'].every((word) => window.words.has(word))"
            )
