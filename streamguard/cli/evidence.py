"""`streamguard evidence`: what a running server keeps of its alerts."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from streamguard.cli.remote import HERE, Authority, Remote, Server, Token
from streamguard.cli.runner import run
from streamguard.errors import ConfigError

evidence = typer.Typer(add_completion=False, help="Evidence of alerts: verify it, erase it.", no_args_is_help=True)


@evidence.command("erase")
def erase(
    stream: Annotated[str, typer.Argument(help="The stream's name; it need not exist any more.")],
    server: Server = HERE,
    token: Token = None,
    ca_file: Authority = None,
) -> None:
    """Erase all pictures and clips of a stream; links to them are dead from then on."""
    remote = Remote(server, token, ca_file)

    async def work() -> int:
        told: Any = await remote.ask("DELETE", f"streams/{quote(stream, safe='')}/evidence")
        print(f"evidence of {told['events']} alerts is erased")
        return 0

    run(work)


@evidence.command("key")
def key(server: Server = HERE, token: Token = None, ca_file: Authority = None) -> None:
    """Print the public key that verifies a server's manifests."""
    remote = Remote(server, token, ca_file)

    async def work() -> int:
        told: Any = await remote.ask("GET", "evidence")
        if told["public_key"] is None:
            raise ConfigError("evidence", "this server keeps none", "set evidence.enabled in its settings")
        print(told["public_key"])
        return 0

    run(work)


@evidence.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="The files of one alert, with manifest.json and manifest.sig.")],
    key: Annotated[str, typer.Option(help="The server's public key, as `streamguard evidence key` printed it.")],
) -> None:
    """Check a manifest's signature and the hash of every file in it."""
    from streamguard.alerts.evidence import verify_manifest

    try:
        public = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        public = b""
    if len(public) != 32:
        raise ConfigError("--key", "it is not base64 of 32 bytes", "give what `streamguard evidence key` prints")
    manifest = verify_manifest(folder, public)
    print(f"right: event {manifest['event']['id']}, {len(manifest['files'])} files")
