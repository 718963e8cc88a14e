"""`streamguard webhook` and `streamguard evidence` against a real server, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from streamguard.cli.webhook_admin import COMMANDS
from streamguard.pipeline.guard import Guard
from streamguard.server.app import serving
from tests.cli.conftest import environment
from tests.support.hosts import refused_port, web_server
from tests.support.receiver import Receiver, receiver
from tests.support.settings import config_of
from tests.support.warm import warm_python

TOKEN = "admin-0123456789abcdef"
Ask = Callable[..., Awaitable[tuple[int, str, str]]]


async def told(*arguments: object, **variables: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    process = await asyncio.create_subprocess_exec(
        *warm_python(),
        "-m",
        "streamguard",
        *map(str, arguments),
        env={**environment(), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert "Traceback" not in err.decode(), err.decode()
    return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def served(detector: Path, tmp_path: Path, **settings: object) -> AsyncIterator[tuple[str, Receiver, Ask]]:
    """A server's URL, a receiver it may send to, and the command line that knows both by the environment."""
    async with receiver() as hears:
        authority = tmp_path / "authority.pem"
        hears.ca.cert_pem.write_to_path(authority)
        alerts = {"allow_networks": ["127.0.0.0/8", "::1/128"], "ca_file": authority}
        tokens = [{"token": TOKEN, "scopes": ["admin"]}]
        wanted = config_of(port=0, tokens=tokens, alerts=alerts, **settings)
        async with Guard.open(str(detector), "torch") as guard, serving(wanted, guard) as server:

            async def ask(*arguments: object) -> tuple[int, str, str]:
                return await told(*arguments, STREAMGUARD_SERVER=server.url, STREAMGUARD_TOKEN=TOKEN)

            yield server.url, hears, ask


async def test_the_life_of_a_subscription(detector: Path, tmp_path: Path) -> None:
    async with served(detector, tmp_path) as (_, hears, ask):
        rule = ("--stream", "door*", "--stream", "lobby", "--rule", "least_score=0.5")
        code, out, err = await ask("webhook", "create", hears.url(), "--name", "desk\x1b[2J", *rule)
        assert (code, "not shown again" in err) == (0, True), err
        id, secret = (line.partition(": ")[2] for line in out.splitlines())
        hears.secrets["/"] = secret
        code, out, _ = await ask("webhook", "list")
        assert out.splitlines()[1].split("\t") == [id, "active", "desk\\x1b[2J", "streamguard", hears.url()]
        assert secret not in out
        code, out, _ = await ask("webhook", "change", id, "--name", "night", "--rule", "for_seconds=3")
        changed = json.loads(out)
        assert (code, changed["name"]) == (0, "night")
        assert changed["rule"]["streams"] == ["door*", "lobby"]
        assert (changed["rule"]["for_seconds"], changed["rule"]["within_seconds"]) == (3, 3)
        assert json.loads((await ask("webhook", "show", id))[1]) == changed
        code, out, _ = await ask("webhook", "test", id)
        sent = out.partition(":")[0]
        await hears.until(lambda: hears.ids()[sent] == 1)
        assert (await ask("webhook", "replay", id, "--delivery", sent))[0] == 0
        await hears.until(lambda: hears.ids()[sent] == 2)
        code, out, _ = await ask("webhook", "deliveries", id)
        row = out.splitlines()[1].split("\t")
        assert (row[1], row[-1]) == ("webhook.test", sent)
        assert (await ask("webhook", "pause", id))[1] == f"{id}: paused\n"
        assert (await ask("webhook", "resume", id))[1] == f"{id}: active\n"
        code, out, _ = await ask("webhook", "rotate", id, "--overlap", "0", "--json")
        assert json.loads(out)["secret"] != secret
        code, out, _ = await ask("webhook", "replay", id, "--since", "2020-01-01")
        assert (code, out.endswith("are sent again\n")) == (0, True)
        assert (await ask("webhook", "delete", id))[0] == 0
        assert len((await ask("webhook", "list"))[1].splitlines()) == 1


async def test_what_goes_wrong_is_one_line(detector: Path, tmp_path: Path) -> None:
    async with served(detector, tmp_path) as (url, _, ask):
        wrong = [
            await ask("webhook", "show", "sub_none"),
            await ask("webhook", "create", "https://10.0.0.1/"),
            await ask("webhook", "create", "https://example.com/", "--rule", "least_score"),
            await ask("webhook", "create", "https://example.com/", "--rule", "nonsense=1"),
            await ask("webhook", "change", "x"),
            await ask("webhook", "replay", "x"),
            await ask("evidence", "key"),
            await told("webhook", "list", "--server", url),
            await told("webhook", "list", "--server", f"http://127.0.0.1:{refused_port()}"),
            await told("webhook", "list", "--server", "nonsense"),
            await told("webhook", "list", "--server", url, "--ca-file", __file__),
        ]
    parts = ["sub_none", "10.0.0.1", "FIELD=VALUE", "rule.nonsense", "--name", "--since", "evidence.enabled"]
    parts += ["token is needed", "streamguard serve", "no http(s) URL", "PEM"]
    for (code, out, err), part in zip(wrong, parts, strict=True):
        assert code in {7, 11}, err
        assert out == ""
        assert len(err.splitlines()) == 1
        assert err.startswith("streamguard: ")
        assert part in err


async def test_a_server_of_another_kind(tmp_path: Path) -> None:
    with web_server(tmp_path) as url:
        code, _, err = await told("webhook", "list", "--server", url)
    assert (code, "404" in err, len(err.splitlines())) == (11, True, 1)


async def test_evidence_is_verified_and_erased(detector: Path, tmp_path: Path, half_fake: Path) -> None:
    settings = {"evidence": {"enabled": True}, "allow_local_sources": True}
    async with served(detector, tmp_path, **settings) as (url, hears, ask):
        code, out, _ = await ask("webhook", "create", hears.url())
        hears.secrets["/"] = out.splitlines()[1].partition(": ")[2]
        async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            body = {"name": "clip", "source": str(half_fake), "loop": False}
            assert (await http.post("/api/v1/streams", json=body)).status == 201
        await hears.until(lambda: bool(hears.requests))
        key = (await ask("evidence", "key"))[1].strip()
        (manifest,) = files(tmp_path, "manifest.json")
        code, out, err = await ask("evidence", "verify", manifest.parent, "--key", key)
        assert (code, "4 files" in out) == (0, True), err
        code, _, err = await ask("evidence", "verify", manifest.parent, "--key", "AAAA")
        assert (code, "32 bytes" in err) == (7, True)
        assert await ask("evidence", "erase", "clip") == (0, "evidence of 1 alerts is erased\n", "")
        assert not files(tmp_path, "manifest.json")


def files(root: Path, name: str) -> list[Path]:
    """All files of that name below the folder."""
    return list(root.rglob(name))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str) -> None:
    help = (COMMANDS[name].__doc__ or "").strip()
    assert help.endswith(".")
