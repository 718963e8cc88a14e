"""The receivers that users get: `streamguard webhook listen`, and the examples in Python and Node."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from streamguard.alerts import Payload, TargetPolicy, WebhookSender, new_secret, render_payload
from streamguard.alerts.keys import Secret
from streamguard.alerts.signing import sign
from streamguard.clock import wall_clock
from tests.alerts.tools import event
from tests.support.hosts import refused_port
from tests.support.training_data import ROOT, environment

EXAMPLES = ROOT / "examples" / "webhook_subscriber"
POLICY = TargetPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"),), allow_http=True)
LISTEN = [sys.executable, "-m", "streamguard", "webhook", "listen"]


@asynccontextmanager
async def running(*command: object, cwd: Path, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process with pipes; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        env={**environment(), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def opened(format: str = "streamguard", **more: Any) -> Payload:
    """A message about an opened fake."""
    message = render_payload(format, event("fake.opened", wall_clock(), **more))
    assert message is not None
    return message


async def post(sender: WebhookSender, port: int, secret: str, id: str, message: Payload) -> int | None:
    """Sign, send, and return the status."""
    headers = sign(id, wall_clock(), message.body, (Secret(secret),))
    answer = await sender.post(f"http://127.0.0.1:{port}/hook", message.body, headers)
    return answer.code


async def line(stream: asyncio.StreamReader | None) -> str:
    """The next line, without its end."""
    assert stream is not None
    async with asyncio.timeout(60):
        return (await stream.readline()).decode().rstrip("\n")


async def test_listen_verifies_and_marks_repetitions(tmp_path: Path) -> None:
    command = [*LISTEN, "--port", "0", "--jsonl", "--count", "4"]
    async with running(*command, cwd=tmp_path) as process, WebhookSender(POLICY) as sender:
        secret = (await line(process.stderr)).removeprefix("secret: ")
        port = int((await line(process.stderr)).rstrip("/").rpartition(":")[2])
        assert await post(sender, port, secret, "msg_1", opened()) == 204
        assert await post(sender, port, secret, "msg_1", opened()) == 204
        assert await post(sender, port, new_secret(), "msg_2", opened()) == 401
        assert (await sender.post(f"http://127.0.0.1:{port}/", "{}", {})).code == 401
        assert (await sender.post(f"http://127.0.0.1:{port}/", "x" * 70_000, {})).code == 413
        assert await post(sender, port, secret, "msg_3", opened("cloudevents")) == 204
        assert await post(sender, port, secret, "msg_4", opened("ms-graph")) == 204
        lines = [json.loads(await line(process.stdout)) for _ in range(6)]
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    assert [(one["webhook_id"], one["verified"], one["repeated"]) for one in lines] == [
        ("msg_1", True, 0),
        ("msg_1", True, 1),
        ("msg_2", False, 0),
        ("", False, 0),
        ("msg_3", True, 0),
        ("msg_4", True, 0),
    ]
    assert lines[0]["message"]["type"] == "fake.opened"
    assert [one["fault"] for one in lines if one["fault"]] == [
        "No matching signature found",
        "Missing required headers",
    ]


async def test_listen_tells_people(tmp_path: Path) -> None:
    secret = new_secret()
    async with (
        running(*LISTEN, "--port", "0", "--answer", "500", cwd=tmp_path, STREAMGUARD_WEBHOOK_SECRET=secret) as process,
        WebhookSender(POLICY) as sender,
    ):
        port = int((await line(process.stderr)).rstrip("/").rpartition(":")[2])
        assert await post(sender, port, secret, "msg_1", opened(stream="hall\x1b[2J")) == 500
        told = await line(process.stdout)
        process.terminate()
        async with asyncio.timeout(60):
            assert await process.wait() == 143
    assert told.isprintable()
    assert "right  fake.opened  hall" in told
    assert "0.90" in told


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [(["--secret", "short"], "does not begin with whsec_"), ([], "cannot be listened at")],
)
def test_listen_refuses(tmp_path: Path, arguments: list[str], cause: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*LISTEN, "--port", port, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env=environment(),
        )
    assert done.returncode == 7
    assert cause in done.stderr
    assert "Traceback" not in done.stderr


async def check_example(process: asyncio.subprocess.Process, port: int, secret: str) -> None:
    """Verifies, refuses, drops repetitions."""
    async with WebhookSender(POLICY) as sender:
        async with asyncio.timeout(60):
            while await post(sender, port, secret, "msg_0", opened()) is None:
                assert process.returncode is None
        assert json.loads(await line(process.stdout))["type"] == "fake.opened"
        assert await post(sender, port, secret, "msg_0", opened(track=5)) == 204
        assert await post(sender, port, new_secret(), "msg_1", opened()) == 401
        assert await post(sender, port, secret, "msg_2", opened(track=7)) == 204
        assert json.loads(await line(process.stdout))["data"]["track"] == 7


async def test_the_python_example(tmp_path: Path) -> None:
    secret, port = new_secret(), refused_port()
    script = EXAMPLES / "receiver.py"
    async with running(sys.executable, script, port, cwd=tmp_path, STREAMGUARD_WEBHOOK_SECRET=secret) as process:
        await check_example(process, port, secret)


@pytest.fixture
def node_folder(tmp_path: Path) -> Path:
    """A folder with the Node example and its package."""
    if shutil.which("node") is None or (npm := shutil.which("npm")) is None:
        pytest.skip("Node is not installed")
    found = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=True).stdout.strip()
    if not Path(found, "standardwebhooks").is_dir():
        pytest.skip("the npm package is not installed: run `npm install -g standardwebhooks`")
    (tmp_path / "node_modules").symlink_to(found)
    shutil.copy(EXAMPLES / "receiver.mjs", tmp_path)
    return tmp_path


async def test_the_node_example(node_folder: Path) -> None:
    secret, port = new_secret(), refused_port()
    async with running("node", "receiver.mjs", port, cwd=node_folder, STREAMGUARD_WEBHOOK_SECRET=secret) as process:
        await check_example(process, port, secret)


def test_the_examples_are_explained() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert all(one.name in text for one in EXAMPLES.glob("receiver.*"))
