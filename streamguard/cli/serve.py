"""`streamguard serve`: the server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamguard.cli.runner import notes, stop_asked

if TYPE_CHECKING:
    from streamguard.config import ServerSettings


def serve(
    config: Annotated[Path | None, typer.Option(help="Settings as TOML; README lists them.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default 8080; 0 takes a free one.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
    model: Annotated[str | None, typer.Option(help="Detector, as named by `streamguard doctor`.")] = None,
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    text_log: Annotated[bool, typer.Option("--text-log", help="Logs for people instead of JSON.")] = False,
) -> None:
    """Serve the page, WHIP, WHEP and the REST API. SIGTERM and Ctrl-C end all streams cleanly."""
    from streamguard.config import read_settings

    settings = read_settings(
        config,
        host=host,
        port=port,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        model=model,
        engine=engine,
        log_format="text" if text_log else None,
    )
    asyncio.run(_serve(settings))


async def _serve(settings: ServerSettings) -> None:
    from streamguard.pipeline.guard import Guard
    from streamguard.server.app import serving
    from streamguard.server.logs import set_up_logs

    set_up_logs(settings.log_level, settings.log_format)
    stop = stop_asked()
    guard = await asyncio.to_thread(Guard.open, settings.model, settings.engine)
    async with guard, serving(settings, guard) as server:
        notes.print(f"streamguard: open {server.url}", highlight=False, soft_wrap=True)
        await stop.wait()
