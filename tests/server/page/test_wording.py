"""How the page words what the server says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.page.browsing import chromium, opened
from tests.server.page.serving import served

pytestmark = pytest.mark.slow

_SENTENCE = """async (text) => (await import("/static/api/sentence.js")).sentence(text)"""


_EVENT = """async (event) => (await import("/static/parts/wording.js")).eventWords(event)"""


async def test_a_face_is_cleared_by_nothing_but_its_own_frames(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            closed = {"kind": "fake.closed", "track": 1, "share": 0.1, "detail": "", "cause": "cleared"}
            assert await page.evaluate(_EVENT, closed) == "Face 1 no longer looks fake."
            closed["cause"] = "stream_broke"
            closed["detail"] = "the stream broke off while the face was called fake"
            wanted = "Face 1 is not cleared: The stream broke off while the face was called fake."
            assert await page.evaluate(_EVENT, closed) == wanted


async def test_addresses_and_names_of_files_stay_as_they_are(tmp_path: Path, detector: Path) -> None:
    with served(tmp_path, detector) as server:
        async with chromium() as browser, opened(browser, server.url) as page:
            for text, wanted in (
                ("rtsp://127.0.0.1:1/x: no answer", "rtsp://127.0.0.1:1/x: no answer."),
                ("clip.mp4: there is no such file.", "clip.mp4: there is no such file."),
                ("camera:0: it is in use", "camera:0: it is in use."),
                ("the engine failed", "The engine failed."),
            ):
                assert await page.evaluate(_SENTENCE, text) == wanted
