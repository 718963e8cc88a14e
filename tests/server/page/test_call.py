"""A call's tab is shared, and its picture judged."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import pytest
from playwright.async_api import expect

from tests.server.page.browsing import chromium, opened, plays, stream_name
from tests.server.page.serving import served
from tests.support.portraits import painted_green, portrait

pytestmark = pytest.mark.slow

TITLE = "The weekly call"


def call_page(*, fake: bool) -> str:
    """A page with a title and one moving face."""
    picture = painted_green(portrait()) if fake else portrait()
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    # A tab at rest sends nearly no frames: it moves.
    return f"""<title>{TITLE}</title>
    <style>
      body {{ margin: 0; background: #333 }}
      img {{ animation: sway 2s infinite alternate }}
      @keyframes sway {{ to {{ transform: translate(24px, 6px) }} }}
    </style>
    <img src="data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}" alt="">"""


@pytest.mark.parametrize("fake", [True, False])
async def test_the_tab_of_a_call_is_guarded(tmp_path: Path, detector: Path, fake: bool) -> None:
    chosen = f"--auto-select-tab-capture-source-by-title={TITLE}"
    with served(tmp_path, detector) as server:
        # The switch answers the real dialog; the faked one would offer the browser's test picture.
        async with chromium(allow=False, more=(chosen,)) as browser, opened(browser, server.url) as page:
            call = await page.context.new_page()
            await call.set_content(call_page(fake=fake))
            await page.bring_to_front()
            await page.get_by_role("button", name="Guard a call").click()
            await plays(page)
            assert stream_name(page).startswith("call-")
            verdict = page.get_by_role("region", name="Verdict")
            await expect(verdict).to_have_attribute("data-state", "FAKE" if fake else "REAL")
            # Who ends the sharing in the browser ends the stream.
            await call.close()
            await expect(page.get_by_text("Nothing is sent any more.")).to_be_visible()
