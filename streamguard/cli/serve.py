"""`streamguard serve`: the server."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamguard.cli.runner import notes, stop_asked
from streamguard.cli.service_manager import ServiceManager
from streamguard.errors import InvalidConfig, StreamguardError

if TYPE_CHECKING:
    from streamguard.config import Config, Loaded
    from streamguard.server.app import Server


def serve(
    config: Annotated[Path | None, typer.Option(help="Settings as TOML; see `streamguard config`.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default 8080; 0 takes a free one.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
    model: Annotated[str | None, typer.Option(help="Detector, as named by `streamguard doctor`.")] = None,
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    text_log: Annotated[bool, typer.Option("--text-log", help="Plain-text logs instead of JSON.")] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Be a front door: answer for all workers of a cluster, and judge nothing.")
    ] = False,
) -> None:
    """Serve the page, WHIP, WHEP and the REST API. SIGTERM or Ctrl-C stops all streams cleanly; a third one at once.

    SIGHUP reads the file of --config again; changes to streams, rules and tokens take effect.
    """
    from streamguard.config import load_config, read_config
    from streamguard.server.listening import check_listening

    options = {
        "server.host": host,
        "server.port": port,
        "server.tls.certificate": tls_certificate,
        "server.tls.key": tls_key,
        "server.log_format": "text" if text_log else None,
        "engine.model": model,
        "engine.engine": engine,
    }
    loaded = load_config(config, options)
    # Before what takes its time is even imported.
    check_listening(loaded.config.server)
    if cluster:
        asyncio.run(_front_door(loaded.config))
        return
    asyncio.run(_serve(loaded, (lambda: read_config(config, options)) if config else None))


async def _serve(loaded: Loaded, reread: Callable[[], Config] | None) -> None:
    # Before what takes its time.
    stop, reload = stop_asked(), asyncio.Event()
    if reread is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.set)
    from streamguard.logs import set_up_logs
    from streamguard.pipeline.guard import Guard
    from streamguard.server.app import serving
    from streamguard.server.preflight import preflight

    config = loaded.config
    set_up_logs(config.server.log_level, config.server.log_format)
    if problems := await preflight(loaded):
        raise InvalidConfig.of(problems)
    wanted = config.engine
    opening = partial(Guard.load, wanted.model, wanted.engine, threads=wanted.threads, cache=wanted.cache)
    guard = await asyncio.to_thread(opening)
    manager = ServiceManager()
    if stop.is_set():
        await guard.aclose()
        return
    async with (
        guard,
        serving(config, guard, reread) as server,
        manager.running(f"open {server.url}", lambda: not server.hub.stuck),
    ):
        notes.print(f"streamguard: open {server.url}", highlight=False, soft_wrap=True)
        reloading = asyncio.create_task(_reload_when_asked(server, reload, manager), name="reloads")
        await stop.wait()
        reloading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reloading


async def _front_door(config: Config) -> None:
    stop = stop_asked()
    from streamguard.cluster.front_door import front_door
    from streamguard.logs import set_up_logs

    set_up_logs(config.server.log_level, config.server.log_format)
    async with front_door(config) as door, ServiceManager().running(f"open {door.url}"):
        notes.print(f"streamguard: open {door.url}", highlight=False, soft_wrap=True)
        await stop.wait()


async def _reload_when_asked(server: Server, asked: asyncio.Event, manager: ServiceManager) -> None:
    while True:
        await asked.wait()
        asked.clear()
        # What went wrong is in the log, and nothing was changed.
        with manager.reloading(), contextlib.suppress(StreamguardError):
            await server.reload()
