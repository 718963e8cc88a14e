"""What `config check` says of a configuration is what `serve` would refuse."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamguard.config import load_config
from streamguard.server.preflight import preflight

RULE = '[[rules]]\nname = "r"\nsecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"\nurl = "%s"\n'
STREAM = '[[streams]]\nname = "door"\nsource = "x.mp4"\n'


async def told(folder: Path, text: str) -> list[str]:
    """All that is foreseen of a file that reads well; alerts lie in the folder."""
    path = folder / "streamguard.toml"
    path.write_text(text if "[alerts]" in text else f'{text}[alerts]\nfolder = "{folder}/kept/alerts"\n')
    return [str(problem) for problem in await preflight(load_config(path))]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[engine]\nmodel = "unet_lite"\n', ("engine.model: unet_lite: no detector", "unet_lite0")),
        ('[engine]\nengine = "cuda"\n', ("engine.engine: cuda: no engine of that name", "torch")),
        ('[engine]\ncache = "/proc/nope"\n', ("engine.cache: /proc/nope",)),
        (f'{STREAM}model = "nope"\n', ("streams.door.model: nope: no detector", "unet_lite0")),
        ('[server]\nsinks = ["nosink"]\n', ("server.sinks[0]: nosink: no sink",)),
        ('[alerts]\nfolder = "/proc/nope"\n', ("alerts.folder: /proc/nope: nothing can be kept there",)),
        (RULE % "http://93.184.216.34/x", ("rules.r.url: http is not encrypted", "alerts.allow_http = true")),
        (RULE % "https://10.1.2.3/key/s3cret", ("rules.r.url: it leads to 10.1.2.3", "alerts.allow_networks")),
        (RULE % "https://localhost/x", ("rules.r.url", "private, local or reserved")),
    ],
)
async def test_what_serve_would_refuse_is_told_with_its_key(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    (line,) = await told(tmp_path, text)
    assert line.startswith(f"{tmp_path / 'streamguard.toml'}, ")
    assert all(part in line for part in parts), line
    assert "s3cret" not in line


async def test_all_is_told_at_once_and_nothing_is_left_behind(tmp_path: Path) -> None:
    text = f'[engine]\nmodel = "a"\nengine = "b"\n[server]\nsinks = ["c", "d"]\n{STREAM}model = "e"\n'
    assert len(await told(tmp_path, text)) == 5
    assert os.listdir(tmp_path) == ["streamguard.toml"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[engine]\nengine = "torch"\n',
        (RULE % "http://10.1.2.3/x")
        + '[alerts]\nallow_http = true\nallow_networks = ["10.0.0.0/8"]\nfolder = "{}/new"',
        RULE % "https://no-such-host.example/x",
        '[alerts]\nenabled = false\nfolder = "/proc/nope"',
    ],
)
async def test_what_will_do_passes(tmp_path: Path, text: str) -> None:
    assert await told(tmp_path, text.replace("{}", str(tmp_path))) == []


async def test_files_that_sign_on_broker_and_credentials_need(tmp_path: Path) -> None:
    (tmp_path / "wrong.pem").write_text("no certificate")
    given = """
[server]
grants = [{ group = "desk", scopes = ["view"] }]
openid = { issuer = "https://id.example", audience = ["x"], ca_file = "WRONG" }
mqtt = { host = "broker.example", ca_file = "WRONG" }
[checks]
trust_file = "WRONG"
"""
    path = tmp_path / "guard.toml"
    path.write_text(given.replace("WRONG", str(tmp_path / "wrong.pem")))
    found = {str(error): error.remedy for error in await preflight(load_config(path))}
    for key in ("server.openid", "server.mqtt", "checks.trust_file"):
        assert any(key in text and "certificates" in text for text in found), (key, found)
