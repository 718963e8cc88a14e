"""`streamguard cluster`: workers on many machines, started over Ray, looked after through their database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from streamguard.cli.runner import console, notes, run, write_report
from streamguard.errors import ConfigError, RemoteError

if TYPE_CHECKING:
    from streamguard.cluster.store import LeaseStore, WorkerEntry
    from streamguard.config import Config

cluster = typer.Typer(
    name="cluster",
    help="Spread streams over many machines: workers are started over Ray, and known by their database.",
    no_args_is_help=True,
    add_completion=False,
)
File: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="Settings as TOML: the same file at the same path on every node.")
]
Address: TypeAlias = Annotated[
    str | None, typer.Option("--address", help="`host:port` of Ray's head; default: RAY_ADDRESS, else this machine's.")
]
_BEGIN = 180.0
_LOOK = 0.5
_WIDE = 240
"""Characters of a line of tables that go into a pipe."""


@dataclass(frozen=True, slots=True)
class _Open:
    config: Config
    store: LeaseStore


@cluster.command()
def up(
    config: File = None,
    address: Address = None,
    local: Annotated[bool, typer.Option("--local", help="Start Ray on this machine first, for itself alone.")] = False,
    port: Annotated[int, typer.Option(min=1024, max=65535, help="Of the Ray that --local starts.")] = 6379,
    cpus: Annotated[int | None, typer.Option(min=1, help="Processors that --local tells Ray of.")] = None,
    rolling: Annotated[
        bool, typer.Option("--rolling", help="Replace workers that run, node after node: for a new version.")
    ] = False,
) -> None:
    """Start a worker on each node, or GPU of it, and take over the streams and rules of the file.

    Call it again to change streams and rules. Nodes that join later get workers by themselves.
    """
    # The workers have another working folder.
    place = config.absolute() if config is not None else None
    run(lambda: _up(place, address, (port, cpus) if local else None, rolling=rolling))


@cluster.command()
def status(
    config: File = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    prometheus: Annotated[
        Path | None, typer.Option(help="Write the workers as a file for Prometheus to find them (file_sd_config).")
    ] = None,
) -> None:
    """Show workers and streams. Asks the database alone: it works while Ray is down."""
    run(lambda: _status(config, prometheus, as_json=as_json))


@cluster.command()
def drain(
    node: Annotated[str, typer.Argument(help="As `status` names it.")],
    config: File = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let it take streams again.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until it is empty; 0: do not.")] = 120.0,
) -> None:
    """Let the workers of a node give their streams to others, one reconnection each."""
    run(lambda: _drain(config, node, wait, undo=undo))


@cluster.command()
def down(
    config: File = None,
    address: Address = None,
    wait: Annotated[float, typer.Option(min=1, help="Seconds for the workers to end in good order.")] = 20.0,
) -> None:
    """End all workers. Streams and events stay in the database; Ray itself runs on."""
    run(lambda: _down(config, address, wait))


async def _up(config: Path | None, address: str | None, local: tuple[int, int | None] | None, *, rolling: bool) -> int:
    from streamguard.cluster import launch
    from streamguard.cluster.roster import Roster
    from streamguard.cluster.shared import shared_key
    from streamguard.server.preflight import preflight

    async with _opened(config) as (opened, loaded):
        if problems := await preflight(loaded):
            raise problems[0]
        path = str(config) if config is not None else None
        if local is not None:
            address = await asyncio.to_thread(launch.start_local, *local)
            notes.print(f"streamguard: Ray runs at {address}; end it by `ray stop`", highlight=False, soft_wrap=True)
        with launch.connected(address) as ray:
            wanted = [each[0] for each in launch.places(ray.nodes())]
            if not wanted:
                remedy = "give a node processors: `ray start --num-cpus`"
                raise RemoteError("Ray", "no node has a processor for a worker", remedy)
            sealer = await asyncio.to_thread(shared_key, opened.config)
            await _settle(opened.config)
            await Roster(opened.store.database, sealer).settle(opened.config.streams)
            known = {each.row.id for each in await opened.store.workers()}
            await asyncio.to_thread(launch.start_keeper, ray, path, {})
            if rolling:
                await _roll(opened.store, ray)
            seats = {each.seat for each in wanted}

            def begun(entries: list[WorkerEntry]) -> bool:
                answered = {
                    each.row.seat for each in entries if not each.row.lost and (each.row.able or each.card.detail)
                }
                loading = [each for each in entries if "being loaded" in each.card.detail and each.row.id not in known]
                return seats <= answered and not loading

            await _until(opened.store, begun, _BEGIN, "not every worker has begun; see `streamguard cluster status`")
            return _show(await opened.store.workers(), await _counts(opened.store))


async def _roll(store: LeaseStore, ray: Any) -> None:
    """Replace the workers node after node; each gives its streams up first."""
    from streamguard.cluster import launch

    for node in [each for each in ray.nodes() if each["Alive"]]:
        named = {place.seat for place, id, _, _ in launch.places(ray.nodes()) if id == node["NodeID"]}
        alive = [each for each in await store.workers() if not each.row.lost]
        old = {each.row.id for each in alive if each.row.seat in named}
        if not old:
            continue
        notes.print(f"streamguard: {', '.join(sorted(named))} is replaced", highlight=False, soft_wrap=True)
        if any(each.row.able and each.row.id not in old for each in alive):
            await store.order(old, "drain")
            await _until_empty(store, old, 120.0)
        await asyncio.to_thread(launch.end_workers, ray, 20.0, {node["NodeID"]})

        def back(entries: list[WorkerEntry], named: set[str] = named, old: set[str] = old) -> bool:
            able = {each.row.seat for each in entries if each.row.able and each.row.id not in old and not each.row.lost}
            return named <= able

        await _until(store, back, _BEGIN, "the new worker has not begun; the others go on as they were")


async def _status(config: Path | None, prometheus: Path | None, *, as_json: bool) -> int:
    from streamguard.cluster.atlas import Atlas
    from streamguard.cluster.member import SharedClock

    async with _opened(config) as (opened, _):
        atlas = Atlas(opened.store, SharedClock())
        report = await atlas.report()
        if prometheus is not None:
            write_report(prometheus, json.dumps(await atlas.targets(), indent=2) + "\n")
        if as_json:
            console.print_json(data=report)
            return 0
        return _show(await opened.store.workers(), await _counts(opened.store))


async def _drain(config: Path | None, node: str, wait: float, *, undo: bool) -> int:
    async with _opened(config) as (opened, _):
        store = opened.store
        entries = await store.workers()
        named = {each.row.id for each in entries if node in {each.card.node, each.row.seat} and not each.row.lost}
        if not named:
            known = ", ".join(sorted({each.card.node for each in entries if not each.row.lost})) or "none"
            raise ConfigError(node, "no worker lives on a node of that name", f"there is {known}")
        others = [each for each in entries if each.row.able and not each.row.lost and each.row.id not in named]
        if not undo and not any(each.row.order == "" for each in others):
            remedy = "start another node first, or end all of it by `streamguard cluster down`"
            raise RemoteError(node, "there is no other worker that could take its streams", remedy)
        await store.order(named, "" if undo else "drain")
        if not undo and wait:
            await _until_empty(store, named, wait)
        return _show(await store.workers(), await _counts(store))


async def _down(config: Path | None, address: str | None, wait: float) -> int:
    from streamguard.cluster import launch

    async with _opened(config) as (opened, _):
        with launch.connected(address) as ray:
            await asyncio.to_thread(launch.end_keeper, ray)
            ended = await asyncio.to_thread(launch.end_workers, ray, wait)
        left = [each for each in await opened.store.workers() if not each.row.lost]
        console.print(f"{ended} workers ended" + (f"; {len(left)} are still told of" if left else ""))
    return 0


@asynccontextmanager
async def _opened(path: Path | None) -> AsyncIterator[tuple[_Open, Any]]:
    from streamguard.cluster.shared import shared_database, terms_of
    from streamguard.cluster.store import LeaseStore
    from streamguard.config import load_config

    loaded = load_config(path, {})
    config = loaded.config
    async with LeaseStore.open(shared_database(config), terms_of(config.cluster), patience=10.0) as store:
        yield _Open(config, store), loaded


async def _settle(config: Config) -> None:
    """Bring the rules of the file into the database, once for all workers."""
    from streamguard.alerts import Alerts, TargetPolicy
    from streamguard.cluster.shared import shared_database, shared_key_file
    from streamguard.server.configured_rules import check_rules, settle_rules

    targets = TargetPolicy(tuple(config.alerts.allow_networks), config.alerts.allow_http)
    key = await asyncio.to_thread(shared_key_file, config)
    async with Alerts.open(shared_database(config), key, targets=targets) as alerts:
        await check_rules(alerts.subscriptions, config)
        await settle_rules(alerts.subscriptions, config)


async def _until_empty(store: LeaseStore, workers: set[str], seconds: float) -> None:
    async def held() -> int:
        return sum(each.owner in workers for each in await store.leases())

    async with asyncio.timeout(seconds + 1):
        for _ in range(int(seconds / _LOOK) + 1):
            if not await held():
                return
            await asyncio.sleep(_LOOK)
    raise RemoteError(
        "drain", f"{await held()} streams are still there after {seconds:g} s", "is there room elsewhere?"
    )


async def _until(store: LeaseStore, so: Callable[[list[WorkerEntry]], bool], seconds: float, why: str) -> None:
    for _ in range(int(seconds / _LOOK)):
        if so(await store.workers()):
            return
        await asyncio.sleep(_LOOK)
    notes.print(f"streamguard: {why}", highlight=False, soft_wrap=True)


async def _counts(store: LeaseStore) -> dict[str | None, int]:
    counts: dict[str | None, int] = {}
    for each in await store.leases():
        counts[each.owner] = counts.get(each.owner, 0) + 1
    return counts


def _show(entries: list[WorkerEntry], counts: dict[str | None, int]) -> int:
    """Print the table; the exit code."""
    from rich.table import Table

    from streamguard.cluster.atlas import worker_state

    table = Table(box=None, pad_edge=False)
    for column in ("worker", "state", "streams", "capacity", "heard of", "version", "address", "remark"):
        table.add_column(column, overflow="fold")
    for each in entries:
        row, card = each.row, each.card
        table.add_row(
            row.seat,
            worker_state(each),
            str(counts.get(row.id, 0)),
            f"{row.capacity:.1f}",
            f"{each.silent:.0f} s ago",
            card.version,
            card.url,
            card.detail,
        )
    # What is read by a program is not folded.
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)
    if counts.get(None):
        console.print(f"{counts[None]} streams wait for a worker")
    versions = {each.card.version for each in entries if not each.row.lost}
    if len(versions) > 1:
        console.print(f"workers of {len(versions)} versions: `streamguard cluster up --rolling` makes them one")
    return 0
