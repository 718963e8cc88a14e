"""The examples around the server run, against a real one."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest

from streamguard.alerts import new_secret
from streamguard.media import open_source
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.server.test_auth import TOKENS
from tests.support.portraits import portrait_clip
from tests.support.training_data import ROOT, environment
from tests.support.warm import warm_python

EXAMPLES = ROOT / "examples"
CAMERA = EXAMPLES / "camera" / "publish_camera.py"
CALL = EXAMPLES / "video_call" / "call_alarm.py"
PLUGIN = EXAMPLES / "aiortc_plugin" / "guarded_call.py"
FOLLOW = EXAMPLES / "incidents" / "follow_incident.py"


@pytest.mark.parametrize("script", [CAMERA, CALL, PLUGIN, FOLLOW])
def test_its_readme_names_it(script: Path) -> None:
    text = (script.parent / "README.md").read_text()
    assert f"]({script.name})" in text
    assert "may be wrong" in " ".join(text.split())


SCOPES = {"admin": ["admin"], "desk": ["view", "review"]}


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def start(script: Path, *arguments: object, **more: str) -> asyncio.subprocess.Process:
    """An example as a process of its own."""
    pipe = asyncio.subprocess.PIPE
    line = [*warm_python(), str(script), *map(str, arguments)]
    return await asyncio.create_subprocess_exec(*line, stdout=pipe, stderr=pipe, env={**environment(), **more})


async def line_with(process: asyncio.subprocess.Process, words: str) -> str:
    """The next line of its output with these words."""
    assert process.stdout is not None
    assert process.stderr is not None
    seen = []
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            seen.append(line)
            if words in line:
                return line
    pytest.fail(f"no {words!r} in {seen}: {(await process.stderr.read()).decode()}")


async def ended(process: asyncio.subprocess.Process) -> str:
    """What it wrote to stderr until its end."""
    async with asyncio.timeout(60):
        _, trouble = await process.communicate()
    return trouble.decode()


async def test_a_camera_is_published_and_a_call_is_listened_to(serve_with: ServeWith, half_fake: Path) -> None:
    send, view = str(TOKENS[2]["token"]), str(TOKENS[1]["token"])
    async with serve_with(tokens=TOKENS) as (server, _):
        listener = await start(CALL, server.url, "camera", STREAMGUARD_TOKEN=view)
        await line_with(listener, "waiting for camera")
        camera = await start(CAMERA, server.url, "--camera", half_fake, STREAMGUARD_TOKEN=send)
        await line_with(camera, "publishing camera")
        await line_with(camera, "face 1 FAKE")
        await line_with(listener, "FAKE: face 1")
        camera.send_signal(signal.SIGINT)
        trouble = await ended(camera)
        assert camera.returncode == 0, trouble
        await until(lambda: not server.hub.streams())
        await line_with(listener, "the call has ended")
        trouble = await ended(listener)
        assert listener.returncode == 0, trouble
        refused = await start(CAMERA, server.url, "--camera", half_fake, STREAMGUARD_TOKEN=view)
        trouble = await ended(refused)
        assert "scope `publish`" in trouble


async def test_a_call_of_an_aiortc_program(detector: Path, half_fake: Path, tmp_path: Path) -> None:
    video = tmp_path / "call.mp4"
    process = await start(PLUGIN, half_fake, "--video", video, "--model", detector, "--seconds", 60)
    await line_with(process, "stream.up  320x240")
    await line_with(process, "fake.opened  face 1")
    process.send_signal(signal.SIGINT)
    trouble = await ended(process)
    assert process.returncode == 0, trouble
    with open_source(video) as source:
        assert len(list(source)) > 20


async def test_an_incident_is_followed_from_webhook_to_clip_to_report(serve_with: ServeWith, tmp_path: Path) -> None:
    assert len(FOLLOW.read_text().splitlines()) <= 40
    folder, secret, port = tmp_path / "filed", new_secret(), unused_port()
    folder.mkdir()
    fake = portrait_clip(tmp_path / "fake.mp4", 4.0, (0.0, 4.0))
    tokens = [{"token": f"{name}-0123456789ab", "scopes": scopes} for name, scopes in SCOPES.items()]
    alerts = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}
    admin = {"headers": {"Authorization": "Bearer admin-0123456789ab"}}
    more = {"evidence": {"enabled": True}, "allow_local_sources": True}
    async with serve_with(tokens=tokens, alerts=alerts, **more) as (server, http):
        environs = {"STREAMGUARD_SERVER": server.url, "STREAMGUARD_TOKEN": "desk-0123456789ab"}
        script = await start(FOLLOW, port, folder, STREAMGUARD_WEBHOOK_SECRET=secret, **environs)
        hook = {"url": f"http://127.0.0.1:{port}/", "secret": secret}
        assert (await http.post("/api/v1/webhooks", json=hook, **admin)).status == 201
        source = {"source": str(fake), "name": "door"}
        assert (await http.post("/api/v1/streams", json=source, **admin)).status == 201
        await line_with(script, "door: incident")
        script.send_signal(signal.SIGINT)
        await ended(script)
        (one,) = (await (await http.get("/api/v1/incidents?mark=confirmed", **admin)).json())["incidents"]
        files = {file.name.removeprefix(one["id"]).lstrip("-."): file for file in folder.iterdir()}
        assert set(files) == {"picture.jpeg", "mask.jpeg", "face.jpeg", "clip.mp4", "manifest.json", "html"} | {
            "signature.json"
        }
        assert (one["note"], len(one["marked_by"])) == ("Filed in filed.", 12)
        manifest = json.loads(files["manifest.json"].read_text())
        assert manifest["event"]["incident"] == one["id"]
        with open_source(files["clip.mp4"]) as source_of_clip:
            assert len(list(source_of_clip)) > 3
        report = files["html"].read_text()
        assert report.count("data:image/jpeg;base64,") == 3
        # The picture of an alert is that of its evidence once it is out of memory.
        server.events.forget_pictures("door")
        assert (await http.get(one["snapshot"], **admin)).content_type == "image/jpeg"
        await http.delete("/api/v1/streams/door", **admin)
        where = "/api/v1/streams/door/evidence"
        assert (await (await http.delete(where, **admin)).json()) == {"events": 1, "incidents": 0}
        page = await (await http.get(f"/api/v1/incidents/{one['id']}/report", **admin)).text()
        assert "No picture is kept" in page
        assert (await (await http.delete(f"{where}?incidents=1", **admin)).json()) == {"events": 0, "incidents": 1}
        assert (await http.get(f"/api/v1/incidents/{one['id']}/report", **admin)).status == 404
