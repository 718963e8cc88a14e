"""Three nodes of Ray in network namespaces of their own, six RTSP cameras and two viewers; one fault after the other.

`python -m tests.cluster.three_nodes`, as root, tells how long each stream was without a judge, and what became of the
alerts. It takes about ten minutes, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer

from streamguard.alerts import Database, new_secret
from streamguard.cluster.shared import terms_of
from streamguard.cluster.store import LeaseStore, WorkerEntry
from streamguard.config import read_config
from streamguard.models import networks
from tests.cluster.namespaces import NET, NODES, kill_node, network, sh
from tests.support import postgres
from tests.support.command import run_command
from tests.support.portraits import RATE, green_detector, portrait_clip
from tests.support.receiver import Receiver, receiver
from tests.support.rtsp_server import RtspServer
from tests.support.settings import toml
from tests.support.training_data import ROOT

TOKEN = "acceptance-token-of-the-cluster"
RAY_TOKEN = "0123456789abcdef" * 4
STREAMS = tuple(f"camera{number}" for number in range(6))
PORT = 26379
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": RAY_TOKEN,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "3600",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
}


class ThreeNodes:
    """The stage.

    Args:
        folder: for everything.
        url: of the database.
        store: the leases.
        hook: receives the alerts.
    """

    def __init__(self, folder: Path, url: str, store: LeaseStore, hook: Receiver) -> None:
        self.folder, self.url, self.store, self.hook = folder, url, store, hook
        self.file = folder / "cluster.toml"
        self.door: asyncio.subprocess.Process | None = None
        self.gaps: dict[str, list[float]] = {}
        self.kept: list[asyncio.subprocess.Process] = []

    async def ray(self, node: int, *, again: bool = False) -> None:
        """Start Ray on a node; one that comes back must not see the others' processes, and take them for its own."""
        head, storage = [f"--address={NET}.11:{PORT}"], dict[str, str]()
        if node == 1:
            head = ["--head", f"--port={PORT}", "--include-dashboard=false"]
            storage = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(self.folder / "gcs")}
        line = [*head, f"--node-ip-address={NET}.1{node}", f"--node-name=node{node}", "--num-cpus=1"]
        line += ["--disable-usage-stats", f"--object-store-memory={75 * 1024 * 1024}", "--include-log-monitor=false"]
        line += [f"--temp-dir={self.folder}/ray{node}"]
        apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"] if again else []
        program = str(Path(sys.executable).with_name("ray"))
        command = ["ip", "netns", "exec", f"sgc{node}", *apart, program, "start", *line]
        environment = {**os.environ, **_ENVIRONMENT, **storage}
        if not again:
            for more in range(3, -1, -1):
                try:
                    await asyncio.to_thread(sh, *command, env=environment)
                    return
                except AssertionError:
                    # Ray gives itself half a minute, which a crowded machine may take.
                    kill_node(node)
                    if not more:
                        raise
        # The namespace ends with its first process.
        out = (self.folder / f"again{node}.log").open("a")
        self.kept.append(
            await asyncio.create_subprocess_exec(
                *command, "--block", env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        )

    async def command(self, *line: object) -> str:
        """A command of `streamguard cluster`, on the first node."""
        program = [sys.executable, "-m", "streamguard", "cluster", *line, "--config", self.file]
        environment = {**os.environ, **_ENVIRONMENT, "COLUMNS": "160"}
        return await asyncio.to_thread(sh, "ip", "netns", "exec", "sgc1", *program, env=environment, cwd=ROOT)

    async def open_door(self) -> None:
        """Start the front door, as who looks after it would."""
        self.door = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streamguard", "serve", "--cluster", "--config", str(self.file)),
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=(self.folder / "door.log").open("a"),
            stderr=subprocess.STDOUT,
        )

    async def workers(self) -> dict[str, WorkerEntry]:
        """Those that live, by node."""
        return {each.card.node: each for each in await self.store.workers() if each.row.able and not each.row.lost}

    async def judged(self) -> dict[str, tuple[str, int]]:
        """Stream -> (owner, frames it has judged there), asked of the workers themselves."""
        alive = {each.row.id: each for each in (await self.workers()).values()}
        owners = {each.stream: each.owner for each in await self.store.leases() if each.owner in alive}
        found: dict[str, tuple[str, int]] = {}

        async def ask(http: aiohttp.ClientSession, id: str) -> None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with http.get(f"{alive[id].card.url}/api/v1/streams") as answer:
                    for each in (await answer.json())["streams"]:
                        if owners.get(each["name"]) == id and each["state"] == "up":
                            found[each["name"]] = id, each["totals"]["judged"]

        limit = aiohttp.ClientTimeout(total=2.0)
        async with aiohttp.ClientSession(timeout=limit, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            await asyncio.gather(*(ask(http, id) for id in set(owners.values()) if id is not None))
        return found

    async def settled(self, limit: float = 240.0) -> None:
        """Wait until every stream is judged."""
        async with asyncio.timeout(limit):
            while True:
                found = await self.judged()
                if set(found) == set(STREAMS) and all(count for _, count in found.values()):
                    return
                await asyncio.sleep(0.5)

    async def fault(self, name: str, fallen: set[str], happen: Callable[[], Any]) -> None:
        """Let something happen to workers, and measure how long each of their streams is without a judge."""
        before = await self.judged()
        hit = {stream for stream, (owner, _) in before.items() if owner in fallen}
        began, gaps = time.monotonic(), dict[str, float]()
        done = happen()
        if asyncio.iscoroutine(done):
            await done
        watched = hit or set(STREAMS)
        while set(gaps) < watched and time.monotonic() - began < 90:
            for stream, (owner, count) in (await self.judged()).items():
                anew = owner not in fallen if stream in hit else count > before[stream][1] or owner != before[stream][0]
                if stream in watched and stream not in gaps and anew and count:
                    gaps[stream] = time.monotonic() - began
            await asyncio.sleep(0.1)
        self.gaps[name] = list(gaps.values())
        times = sorted(gaps.values())
        left = f", NOT AGAIN: {sorted(watched - set(gaps))}" if watched - set(gaps) else ""
        what = f"{len(hit)} streams fell" if hit else "no stream fell; next judged frame"
        if times:
            print(
                f"{name}: {what}; median {statistics.median(times):.1f} s, worst {max(times):.1f} s{left}", flush=True
            )
        else:
            print(f"{name}: {what}{left}", flush=True)


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[ThreeNodes]:
    """Everything but Ray: database, cameras, receiver, settings."""
    networks.save(green_detector(), folder / "green")
    clip = portrait_clip(folder / "half.mp4", 12.0, (3.0, 9.0))
    (folder / "alerts").mkdir()
    async with AsyncExitStack() as stack:
        stack.enter_context(network())
        url = stack.enter_context(postgres.server(postgres.binaries() or Path()))
        hook = await stack.enter_async_context(receiver(f"{NET}.1", address=f"{NET}.1"))
        hook.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        secret = new_secret()
        hook.secrets["/hook"] = secret
        cameras = [
            stack.enter_context(RtspServer(clip, rate=RATE, address=f"{NET}.1", transport="tcp")) for _ in STREAMS
        ]
        streams = [
            {"name": name, "source": camera.url, "sampling": {"judged_per_second": 4, "detect_every": 4}}
            for name, camera in zip(STREAMS, cameras, strict=True)
        ]
        settings = {
            "server": {
                "listen": f"{NET}.1:18080",
                "admission": "off",
                "log_format": "text",
                "tokens": [{"name": "all", "token": TOKEN, "scopes": ["admin"]}],
            },
            "engine": {"model": str(folder / "green"), "engine": "torch", "threads": 1},
            "alerts": {
                "database": url,
                "folder": str(folder / "alerts"),
                "allow_networks": [f"{NET}.0/24"],
                "ca_file": str(folder / "ca.pem"),
            },
            "checks": {"enabled": False},
            "streams": streams,
            "rules": [{"name": "hook", "url": hook.url("/hook", f"{NET}.1"), "secret": secret}],
        }
        (folder / "cluster.toml").write_text(toml(settings))
        config = read_config(folder / "cluster.toml")
        store = await stack.enter_async_context(LeaseStore.open(url, terms_of(config.cluster)))
        stage = ThreeNodes(folder, url, store, hook)
        stack.push_async_callback(_closed, stage)
        yield stage


async def _closed(stage: ThreeNodes) -> None:
    for node in NODES:
        kill_node(node)
    for process in stage.kept:
        await process.wait()
    if stage.door is not None and stage.door.returncode is None:
        stage.door.kill()
        await stage.door.wait()


class Viewers:
    """Two pages of a real Chromium, at the front door."""

    def __init__(self, pages: list[Any]) -> None:
        self._pages = pages

    async def decoded(self) -> list[int]:
        """Pictures each has decoded until now, over all its connections."""
        from tests.server.page.browsing import _FRAMES_DECODED

        return [int(await page.evaluate(_FRAMES_DECODED)) for page in self._pages]

    async def play(self, limit: float = 90.0) -> float:
        """Wait until both play; seconds."""
        began = time.monotonic()
        before = await self.decoded()
        async with asyncio.timeout(limit):
            while True:
                await asyncio.sleep(0.5)
                now = await self.decoded()
                if all(new > old + 5 for new, old in zip(now, before, strict=True)):
                    return time.monotonic() - began
                # A new connection counts from nothing.
                before = [min(pair) for pair in zip(before, now, strict=True)]


@asynccontextmanager
async def viewers(*streams: str) -> AsyncIterator[Viewers]:
    """Pages that show these streams."""
    from tests.server.page.browsing import chromium, opened

    async with chromium() as browser, AsyncExitStack() as stack:
        pages = []
        for stream in streams:
            page = await stack.enter_async_context(opened(browser, f"http://{NET}.1:18080/#/stream/{stream}"))
            await page.get_by_role("textbox", name="Token").fill(TOKEN)
            await page.keyboard.press("Enter")
            pages.append(page)
        yield Viewers(pages)


async def alerts_told(stage: ThreeNodes) -> str:
    """Whether what is stored was delivered, each once; waits for what is under way."""
    async with await Database.open(stage.url) as database, asyncio.timeout(120):
        while True:
            async with database.read() as connection:
                rows = (await connection.exec_driver_sql("SELECT webhook_id, status FROM deliveries")).all()
                kinds = (await connection.exec_driver_sql("SELECT kind, count(*) FROM events GROUP BY kind")).all()
            if all(row.status == "delivered" for row in rows):
                break
            await asyncio.sleep(1.0)
    came = stage.hook.ids("/hook")
    lost = [row.webhook_id for row in rows if row.webhook_id not in came]
    twice = [id for id in came if came[id] > 1]
    told = f"{len(rows)} alerts due, {len(came)} came, lost {len(lost)}, twice {len(twice)}"
    return f"{told}; events {dict(map(tuple, kinds))}"


async def refused(entry: WorkerEntry) -> str:
    """Late events that a worker was refused, as it tells itself."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{entry.card.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(line.split()[1] for line in lines if line.startswith("streamguard_cluster_events_refused_total"))


def ray_memory() -> str:
    """Megabytes of Ray's own processes, of all nodes."""
    sizes: Counter[str] = Counter()
    for node in NODES:
        for pid in sh("ip", "netns", "pids", f"sgc{node}", check=False).split():
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
                kind = "worker" if "WorkerActor" in name else f"node{node}"
                sizes[kind] += resident
    return json.dumps({name: round(size / 1e6) for name, size in sizes.items()})


async def main_async(folder: Path, *, watch: bool, pause: float) -> None:
    """One fault after the other."""
    async with staged(folder) as stage, AsyncExitStack() as stack:
        began = time.monotonic()
        await stage.ray(1)
        await asyncio.gather(stage.ray(2), stage.ray(3))
        print(f"three nodes of Ray after {time.monotonic() - began:.0f} s", flush=True)
        await stage.open_door()
        print(await stage.command("up", "--address", f"{NET}.11:{PORT}"), flush=True)
        await stage.settled()
        print(f"all judged after {time.monotonic() - began:.0f} s; Ray's memory, MB: {ray_memory()}", flush=True)
        looking = await stack.enter_async_context(viewers(STREAMS[0], STREAMS[1])) if watch else None

        async def seen() -> None:
            if looking is not None:
                print(f"  both viewers play ({await looking.play():.1f} s)", flush=True)

        await seen()
        workers = await stage.workers()
        victim = workers["node2"]
        await stage.fault("worker killed", {victim.row.id}, lambda: os.kill(victim.card.pid, signal.SIGKILL))
        await seen()
        await stage.settled()
        paused = (await stage.workers())["node3"]
        await stage.fault("worker paused", {paused.row.id}, lambda: os.kill(paused.card.pid, signal.SIGSTOP))
        await seen()
        await asyncio.sleep(pause)
        os.kill(paused.card.pid, signal.SIGCONT)
        await asyncio.sleep(8.0)
        print(f"  the paused worker goes on: {await refused(paused)} late events refused", flush=True)
        await stage.settled()

        async def no_door() -> None:
            assert stage.door is not None
            stage.door.kill()
            await stage.door.wait()
            await stage.open_door()

        await stage.fault("front door killed", set(), no_door)
        await seen()
        lost = (await stage.workers()).get("node2")
        await stage.fault("node killed", {lost.row.id} if lost else set(), lambda: kill_node(2))
        await seen()
        await stage.ray(2, again=True)
        await _until(lambda: _up(stage, "node2"))
        await stage.settled()
        print("  the node is back, with a worker", flush=True)
        head = (await stage.workers()).get("node1")
        await stage.fault("head's node killed", {head.row.id} if head else set(), lambda: kill_node(1))
        await seen()
        await stage.ray(1, again=True)
        await _until(lambda: _up(stage, "node1"))
        print("  the head is back, with a worker", flush=True)
        await stage.settled()
        print(await stage.command("drain", "node3"), flush=True)
        await stage.settled()
        print(await alerts_told(stage), flush=True)
        print(await stage.command("down", "--address", f"{NET}.11:{PORT}"), flush=True)
        every = [gap for name, gaps in stage.gaps.items() if name != "front door killed" for gap in gaps]
        print(f"all faults: median {statistics.median(every):.1f} s, worst {max(every):.1f} s", flush=True)


async def _up(stage: ThreeNodes, node: str) -> bool:
    return node in await stage.workers()


async def _until(so: Callable[[], Any], limit: float = 240.0) -> None:
    async with asyncio.timeout(limit):
        while True:
            if await so():
                return
            await asyncio.sleep(0.5)


def main(
    watch: Annotated[bool, typer.Option(help="With two viewers in a real Chromium.")] = True,
    pause: Annotated[float, typer.Option(min=1, help="Seconds that a worker is paused.")] = 60.0,
) -> None:
    """Run it, and print the figures."""
    with tempfile.TemporaryDirectory(prefix="sgc-", ignore_cleanup_errors=True) as folder:
        asyncio.run(main_async(Path(folder), watch=watch, pause=pause))


if __name__ == "__main__":
    run_command(main)
