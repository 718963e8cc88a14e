"""A program of the tests as a command line, its faults told as those of `streamguard` are."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from streamguard.errors import StreamguardError


def run_command(main: Callable[..., None]) -> None:
    """Run a typed function as this process's command; a known fault becomes one line on stderr and its exit code."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    try:
        app()
    except StreamguardError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
