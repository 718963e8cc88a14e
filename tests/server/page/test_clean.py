"""`?clean=1`: the picture alone, or its marks alone, for OBS and other programs that show a page in theirs."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page, expect

from streamguard.types import UInt8Array
from tests.server.page.browsing import FACE, LIMIT, chromium, opened, waits_for_orange
from tests.server.page.serving import served
from tests.support.portraits import portrait_clip
from tests.support.training_data import ROOT

pytestmark = pytest.mark.slow
SIZE = {"width": 640, "height": 480}
SCENES = ROOT / "examples" / "obs" / "scenes.json"


async def shown(page: Page) -> UInt8Array:
    """What another program gets of the page: uint8 [height, width, 4] RGBA."""
    return np.asarray(Image.open(io.BytesIO(await page.screenshot(omit_background=True))).convert("RGBA"))


def of(picture: UInt8Array, region: tuple[float, float, float, float]) -> UInt8Array:
    """The part between shares x0, y0, x1, y1 of its sides."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = region
    return picture[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)]


def browser_sources() -> dict[str, str]:
    """The pages in the example's scenes, by the source's name."""
    sources = json.loads(SCENES.read_text())["sources"]
    return {each["name"]: each["settings"]["url"] for each in sources if each["id"] == "browser_source"}


async def test_the_picture_and_the_marks_alone(tmp_path: Path, detector: Path) -> None:
    clip = portrait_clip(tmp_path / "fake.mp4", 6.0, (0.0, 6.0))
    sampling = {"judged_per_second": 5}
    streams = [{"name": "studio", "source": str(clip), "loop": True, "sampling": sampling}]
    urls = browser_sources()
    with served(tmp_path, detector, streams=streams, ends_well=False) as server:
        async with chromium() as browser:
            url = urls["Annotated picture"].replace("http://127.0.0.1:8080", server.url)
            async with opened(browser, url, viewport=SIZE) as page:
                await expect(page.locator("video")).to_be_visible()
                await waits_for_orange(page, above=0.3)
                for part in (".bar", ".foot", "#alerts", "#notice", ".stage-tools"):
                    await expect(page.locator(part).first).to_be_hidden()
                box = await page.locator("video").bounding_box()
                assert box == {"x": 0, "y": 0, "width": 640, "height": 480}
                await expect(page.get_by_text("Not judged right now")).to_be_hidden()
            url = urls["Marks alone"].replace("http://127.0.0.1:8080", server.url)
            async with opened(browser, url, viewport=SIZE) as page:
                # On a busy machine a verdict may be old, and its marks are gone, when the picture is taken.
                async with asyncio.timeout(LIMIT / 1000):
                    while not of(picture := await shown(page), FACE)[..., 3].any():
                        pass
                # The picture's edges show what lies behind; the face is covered, in part.
                assert not of(picture, (0.0, 0.75, 1.0, 0.86)).any()
                face = of(picture, FACE)
                assert 60 < face[..., 3].mean() < 255
                red, green, blue = (face[..., channel].mean() for channel in range(3))
                assert red > green > blue
                server.process.kill()
                await expect(page.get_by_text("Not judged right now")).to_be_visible()
                await expect(page.locator(".clean img")).to_be_hidden()


def test_the_profile_of_obs_leads_to_the_stream_of_its_scenes() -> None:
    service = json.loads((SCENES.parent / "profile" / "service.json").read_text())
    assert service["type"] == "whip_custom"
    published = urlsplit(service["settings"]["server"]).path
    assert published == "/whip/studio"
    assert {urlsplit(url).fragment for url in browser_sources().values()} == {"/stream/studio"}
    encoder = json.loads((SCENES.parent / "profile" / "streamEncoder.json").read_text())
    # Browsers refuse H.264 with B-frames.
    assert (encoder["profile"], encoder["bf"]) == ("baseline", 0)
