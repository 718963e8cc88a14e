"""A server process killed between the opening of a fake and the end of its evidence: the alert arrives."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.page.serving import served
from tests.server.test_webhooks_api import LOOPBACK, subscribed
from tests.support.receiver import answering, receiver
from tests.support.training_data import ROOT, environment

pytestmark = pytest.mark.slow


@asynccontextmanager
async def slow_server(settings: dict[str, Any]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running server that never finishes evidence, and its URL; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.slow_evidence_server", json.dumps(settings)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    )
    try:
        yield process, await said(process, "open ")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def said(process: asyncio.subprocess.Process, beginning: str) -> str:
    """The rest of the process's next line that begins so."""
    assert process.stdout is not None
    async with asyncio.timeout(120):
        async for line in process.stdout:
            if line.decode().startswith(beginning):
                return line.decode().removeprefix(beginning).strip()
    raise AssertionError(f"the server ended before it said `{beginning}`")


async def test_killed_while_evidence_is_made(
    tmp_path: Path, detector: Path, half_fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as hears:
        authority = tmp_path / "authority.pem"
        hears.ca.cert_pem.write_to_path(str(authority))
        alerts = {"allow_networks": LOOPBACK, "ca_file": str(authority), "folder": str(tmp_path / "kept")}
        both = {"alerts": alerts, "evidence": {"enabled": True}}
        # What arrives before the kill does not count.
        hears.behaviour["/"] = answering(500)
        settings = {"port": 0, "model": str(detector), "engine": "torch", **both}
        async with slow_server(settings) as (process, url), aiohttp.ClientSession(url) as http:
            await subscribed(http, hears)
            body = {"source": str(half_fake), "name": "clip"}
            assert (await http.post("/api/v1/streams", json=body)).status == 201
            event = await said(process, "begun ")
            process.send_signal(signal.SIGKILL)
            assert await process.wait() == -signal.SIGKILL
        hears.behaviour.clear()
        for name, value in both.items():
            monkeypatch.setenv(f"STREAMGUARD_{name.upper()}", json.dumps(value))
        with served(tmp_path, detector):
            await hears.until(lambda: len(hears.accepted()) >= 2)
    # The stream is fetched again, and closes what the killed server left open.
    opened, closed = (one.document for one in hears.accepted()[:2])
    assert (opened["type"], closed["type"]) == ("fake.opened", "fake.closed")
    assert (opened["data"]["event"], opened["data"]["evidence"]) == (event, [])
    assert (closed["data"]["cause"], closed["data"]["incident"]) == ("stream_broke", opened["data"]["incident"])
    assert len({one.webhook_id for one in hears.requests if event in one.webhook_id}) == 1
