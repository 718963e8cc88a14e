"""`streamguard config`: check and show the configuration of `streamguard serve`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from streamguard.cli.runner import console
from streamguard.errors import InvalidConfig

File = Annotated[Path | None, typer.Argument(help="Settings as TOML. Without: the environment and the defaults alone.")]

config = typer.Typer(
    add_completion=False, help="Check and show the configuration of `streamguard serve`.", no_args_is_help=True
)


@config.command()
def check(file: File = None) -> None:
    """Report everything that is wrong, one line each on stderr. Exit with 7 if anything is, with 0 otherwise.

    Looks for detectors, engines, plugins and folders on this machine too, as this user.
    """
    from streamguard.config import load_config, missing_folders

    try:
        loaded = load_config(file)
        # The engines' libraries are loaded for what can be read.
        from streamguard.server.preflight import preflight

        if problems := asyncio.run(preflight(loaded)):
            raise InvalidConfig.of(problems)
    except InvalidConfig as error:
        for problem in error.problems:
            print(f"streamguard: {problem}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    read = loaded.config
    for stream, folder in missing_folders(read.streams):
        print(f"streamguard: streams.{stream}.outputs: {folder} is not there yet: down until it is", file=sys.stderr)
    console.print(
        f"{file or 'environment'}: all right; streams {len(read.streams)}, rules {len(read.rules)}",
        highlight=False,
        soft_wrap=True,
    )


@config.command()
def show(file: File = None, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show the values in force and where each comes from; secrets are hidden."""
    from streamguard.config import load_config
    from streamguard.config.reference import rows

    found = rows(load_config(file))
    if as_json:
        print(json.dumps([asdict(row) for row in found], indent=2))
        return
    table = Table(*(Column(name, overflow="fold") for name in ("key", "value", "from")), box=None)
    for row in found:
        told = row.value if isinstance(row.value, str) else json.dumps(row.value)
        table.add_row(Text(row.key), Text(told), Text(row.origin))
    console.print(table)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file."""
    from streamguard.config.reference import schema as made

    print(json.dumps(made(), indent=2))
