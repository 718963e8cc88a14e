"""Files sent to be judged: their way from upload to report, who sees them, and when they are gone."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from streamguard.alerts.owner import this_owner
from streamguard.config import CheckSettings
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.scan_documents import ScanDocument
from streamguard.server.app import Server
from streamguard.server.checks import Checks
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.support.portraits import painted_green, portrait, portrait_clip
from tests.support.training_data import ROOT, environment
from tests.support.warm import warm_python

CHECKS = "/api/v1/checks"
EXAMPLE = ROOT / "examples" / "check_file" / "check_file.py"
RAW = {"Content-Type": "application/octet-stream"}
PUBLISHER, OTHER, VIEWER, ADMIN = (f"{name}-token-{'x' * 16}" for name in ("publisher", "other", "viewer", "admin"))
TOKENS = [
    {"token": PUBLISHER, "scopes": ["publish"]},
    {"token": OTHER, "scopes": ["publish"]},
    {"token": VIEWER, "scopes": ["view"]},
    {"token": ADMIN, "scopes": ["admin"]},
]


def jpeg(*, fake: bool) -> bytes:
    """A small picture of the portrait."""
    memory = io.BytesIO()
    Image.fromarray(painted_green(portrait()) if fake else portrait()).save(memory, "JPEG", quality=95)
    return memory.getvalue()


def read(path: Path) -> bytes:
    return path.read_bytes()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def left(server: Server) -> list[str]:
    """Names of the files that lie on the server."""
    return sorted(each.name for each in server.checks.settings.place.rglob("*") if each.is_file())


async def ended(http: aiohttp.ClientSession, path: str, **request: Any) -> dict[str, Any]:
    """The check once it has ended."""
    async with asyncio.timeout(120):
        while True:
            told: dict[str, Any] = await (await http.get(path, **request)).json()
            if told["state"] in {"done", "failed"}:
                return told
            await asyncio.sleep(0.02)


async def sent(http: aiohttp.ClientSession, data: Any, name: str = "clip.mp4", **request: Any) -> dict[str, Any]:
    """The check of a file that is taken."""
    headers = {**RAW, **request.pop("headers", {})}
    response = await http.post(CHECKS, data=data, params={"name": name}, headers=headers, **request)
    told: dict[str, Any] = await response.json()
    assert response.status == 201, told
    assert response.headers["Location"] == f"{CHECKS}/{told['id']}"
    return told


async def test_from_upload_to_report(server: Server, http: aiohttp.ClientSession, half_fake: Path) -> None:
    clip = read(half_fake)
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("note", "nobody asks")
    form.add_field("file", clip, filename="Gespräch 1.mp4", content_type="video/mp4")
    response = await http.post(CHECKS, data=form)
    assert response.status == 201, await response.text()
    told = await response.json()
    assert (told["name"], told["bytes"], told["result"]) == ("Gespräch 1.mp4", len(clip), None)
    path = response.headers["Location"]
    shares = []
    while (now := await (await http.get(path)).json())["state"] != "done":
        shares.append(now["progress"])
        await asyncio.sleep(0.01)
    assert shares == sorted(shares)
    assert any(0 < share < 1 for share in shares)
    assert now["progress"] == 1

    # The report is the one that `scan` writes.
    report = ScanDocument.model_validate(now["result"])
    (file,) = report.files
    assert (file.path, file.finding, file.judged, file.fake) == ("Gespräch 1.mp4", "FAKE", 116, 60)
    assert report.model.startswith("green@")

    page = await http.get(now["report"])
    text = await page.text()
    assert page.content_type == "text/html"
    assert "script" not in page.headers["Content-Security-Policy"]
    assert "Gespräch 1.mp4" in text
    assert "A face looks manipulated in 52% of the judged frames." in text
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    # The clip is fake for three seconds; nothing else stands beside that.
    assert 2 <= len(pictures) <= 4
    assert not re.search(r"(src|href)=\"?(https?:|//)", text)
    assert (await http.get(now["report"].replace("key=", "key=x"))).status == 404

    # The file is gone as soon as it is judged, its result when it is told to.
    assert left(server) == ["owner", "report.html"]
    assert (await http.delete(path)).status == 204
    assert (await http.get(path)).status == (await http.delete(path)).status == 404
    assert left(server) == ["owner"]

    text = await (await http.get("/metrics")).text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    values = {(each.name, *each.labels.values()): each.value for f in families.values() for each in f.samples}
    assert values["streamguard_checks_ended_total", "done"] == 1
    assert values["streamguard_checks_received_bytes_total",] == len(clip)
    assert values["streamguard_checks", "running"] == 0


async def test_a_picture(http: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "image/jpeg"}
    told = await sent(http, jpeg(fake=True), "face.jpg", headers=headers)
    (file,) = (await ended(http, f"{CHECKS}/{told['id']}"))["result"]["files"]
    assert (file["kind"], file["finding"], file["contains_fake"], file["frames"]) == ("picture", "FAKE", True, 1)


async def test_who_sees_it(serve_with: ServeWith) -> None:
    async with serve_with(tokens=TOKENS) as (_, http):
        for token, status in ((VIEWER, 403), (None, 401)):
            headers = RAW | (bearer(token) if token else {})
            assert (await http.post(CHECKS, data=b"x", headers=headers)).status == status
        told = await sent(http, jpeg(fake=False), headers=bearer(PUBLISHER))
        path = f"{CHECKS}/{told['id']}"
        done = await ended(http, path, headers=bearer(PUBLISHER))
        for token, status in ((PUBLISHER, 200), (ADMIN, 200), (OTHER, 404), (VIEWER, 404)):
            assert (await http.get(path, headers=bearer(token))).status == status
        # The link holds by itself, as it cannot be guessed.
        assert (await http.get(done["report"])).status == 200
        for token, status in ((OTHER, 404), (VIEWER, 404), (ADMIN, 204)):
            assert (await http.delete(path, headers=bearer(token))).status == status


async def test_no_more_than_there_is_room_for(serve_with: ServeWith, half_fake: Path) -> None:
    async with serve_with(checks={"waiting": 1}) as (server, http):
        first = await sent(http, read(half_fake))
        second = await sent(http, read(half_fake))
        refused = await http.post(CHECKS, data=b"x", headers=RAW)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
        assert (await refused.json())["type"].endswith("overloaded")
        assert (await (await http.get(f"{CHECKS}/{second['id']}")).json())["ahead"] == 1
        # The one that is judged is ended, and the next one's turn has come.
        await until(lambda: (now := server.checks.find(first["id"])) is not None and now.progress > 0)
        assert (await http.delete(f"{CHECKS}/{first['id']}")).status == 204
        await until(lambda: (now := server.checks.find(second["id"])) is not None and now.state == "running")
        assert server.checks.ended["removed"] == 1
        assert (await ended(http, f"{CHECKS}/{second['id']}"))["state"] == "done"


def left_by_the_dead(folder: Path) -> Path:
    """What a process left that was killed."""
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        place, _, rest = this_owner().partition(":")
        _, _, rest = rest.partition(":")
        (folder / "owner").write_text(f"{place}:{process.pid}:{rest}")
        process.kill()
    (folder / "face.mp4").write_bytes(b"somebody's face")
    return folder


async def test_results_expire_and_leftovers_go(detector: Path, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    gone = left_by_the_dead(tmp_path / "checks" / "gone")
    settings = CheckSettings(folder=tmp_path / "checks", keep_hours=2)
    async with Guard.open(str(detector), "torch") as guard:
        checks, others = Checks(guard, settings, lambda: now), Checks(guard, settings)
        await checks.start()
        assert not gone.exists()
        # Another server in the same folder takes nothing from this one.
        await others.start()
        async with checks.place("face.jpg", None) as check:
            await asyncio.to_thread((check.folder / "upload").write_bytes, jpeg(fake=True))
            checks.begin(check)
        await others.aclose()
        await until(lambda: check.state == "done")
        now += timedelta(hours=1.9)
        await checks.sweep()
        assert checks.find(check.id) is check
        now += timedelta(hours=0.2)
        await checks.sweep()
        assert checks.find(check.id) is None
        assert not check.folder.exists()
        await checks.aclose()
    assert list((tmp_path / "checks").iterdir()) == []


async def test_a_switch_turns_it_off(serve_with: ServeWith) -> None:
    async with serve_with(checks={"enabled": False}) as (_, http):
        refused = await http.post(CHECKS, data=b"x", headers=RAW)
        assert (refused.status, (await refused.json())["type"]) == (403, "urn:streamguard:problem:switched-off")


async def test_the_example_sends_a_file(serve_with: ServeWith, half_fake: Path, tmp_path: Path) -> None:
    async with serve_with(tokens=TOKENS) as (server, _):
        page, pipe = tmp_path / "report.html", asyncio.subprocess.PIPE
        for token, code in ((PUBLISHER, 10), (VIEWER, 1)):
            process = await asyncio.create_subprocess_exec(
                *(*warm_python(), str(EXAMPLE), server.url, str(half_fake), "--page", str(page)),
                stdout=pipe, stderr=pipe, env={**environment(), "STREAMGUARD_TOKEN": token},
            )  # fmt: skip
            said, trouble = await process.communicate()
            assert process.returncode == code, trouble.decode()
            if code == 10:
                assert said.decode().startswith(
                    f"{half_fake.name}: FAKE, 52% of 116 judged frames fake, called fake 3.0-6.0 s"
                )
                assert "Looks fake" in read(page).decode()
            else:
                assert "scope" in trouble.decode()
        assert server.checks.counts().total() == 0


async def test_highlights_are_marked(http: aiohttp.ClientSession) -> None:
    told = await sent(http, jpeg(fake=True), "face.jpg")
    page = await (await http.get((await ended(http, f"{CHECKS}/{told['id']}"))["report"])).text()
    (picture,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    marked = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))), np.int16)
    red, green, _ = marked[100:130, 210:240].reshape(-1, 3).mean(axis=0)
    assert red > green


async def test_words_never_contradict(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "part.mp4", 4.0, (2.6, 4.0))
    done = await ended(http, f"{CHECKS}/{(await sent(http, read(clip)))['id']}")
    assert done["result"]["files"][0]["finding"] == "FAKE_IN_PART"
    page = await (await http.get(done["report"])).text()
    assert "Looks fake in part" in page
    assert "No sign of manipulation" not in page
