"""A call's tab is shared, and its picture judged."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import pytest
from playwright.async_api import expect

from streamguard.types import UInt8Array
from tests.server.page.browsing import chromium, opened, plays, stream_name
from tests.server.page.serving import served
from tests.support.portraits import painted_green, portrait

pytestmark = pytest.mark.slow

TITLE = "The weekly call"


def call_page(*, fake: bool) -> str:
    """A page with a title and one moving face."""
    source = data_url(painted_green(portrait()) if fake else portrait())
    # A tab at rest sends nearly no frames: it moves.
    return f"""<title>{TITLE}</title>
    <style>
      body {{ margin: 0; background: #333 }}
      img {{ animation: sway 2s infinite alternate }}
      @keyframes sway {{ to {{ transform: translate(24px, 6px) }} }}
    </style>
    <img src="{source}" alt="">"""


def data_url(picture: UInt8Array) -> str:
    """A picture, uint8 [height, width, 3] RGB, as the address of itself."""
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return f"data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}"


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


def meeting_page(pictures: list[str]) -> str:
    """A call as Jitsi, Meet and Zoom show it: each picture comes over WebRTC, into a tile of a grid."""
    return f"""<title>{TITLE}</title>
    <style>
      body {{ margin: 0; background: #202124; display: grid; grid-template-columns: 1fr 1fr; gap: 8px }}
      video {{ width: 100%; border-radius: 12px }}
    </style>
    <script>
      const join = async (source) => {{
        const picture = new Image();
        picture.src = source;
        await picture.decode();
        const canvas = Object.assign(document.createElement("canvas"), {{ width: 320, height: 240 }});
        const pen = canvas.getContext("2d");
        const began = performance.now();
        const draw = () => {{
          const moment = (performance.now() - began) / 1000;
          pen.drawImage(picture, -64 - 8 * Math.sin(moment), -4 - 4 * Math.sin(0.7 * moment));
        }};
        setInterval(draw, 100);
        const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()];
        here.onicecandidate = ({{ candidate }}) => there.addIceCandidate(candidate);
        there.onicecandidate = ({{ candidate }}) => here.addIceCandidate(candidate);
        there.ontrack = ({{ streams }}) => {{
          const video = Object.assign(document.createElement("video"), {{ muted: true, autoplay: true }});
          video.srcObject = streams[0];
          document.body.append(video);
          video.play();
        }};
        const media = canvas.captureStream(10);
        here.addTrack(media.getTracks()[0], media);
        await here.setLocalDescription();
        await there.setRemoteDescription(here.localDescription);
        await there.setLocalDescription();
        await here.setRemoteDescription(there.localDescription);
      }};
      {pictures!r}.forEach(join);
    </script>"""


async def test_one_of_three_in_a_meeting_is_fake(tmp_path: Path, detector: Path) -> None:
    chosen = f"--auto-select-tab-capture-source-by-title={TITLE}"
    pictures = [data_url(painted_green(portrait()) if fake else portrait()) for fake in (False, True, False)]
    with served(tmp_path, detector) as server:
        async with chromium(allow=False, more=(chosen,)) as browser, opened(browser, server.url) as page:
            call = await page.context.new_page()
            await call.set_content(meeting_page(pictures))
            await expect(call.locator("video")).to_have_count(3)
            await page.bring_to_front()
            await page.get_by_role("button", name="Guard a call").click()
            await plays(page)
            verdict = page.get_by_role("region", name="Verdict")
            await expect(verdict).to_have_attribute("data-state", "FAKE")
            path = f"api/v1/streams/{stream_name(page)}"
            await page.wait_for_function(
                """async (path) => {
                  const { tracks } = await (await fetch(path)).json();
                  return tracks.map(({ state }) => state).sort().join() === "FAKE,REAL,REAL";
                }""",
                arg=path,
                polling=500,
            )
