"""The command line: one module per command, found by name in `lazy`, which also says what the exit codes mean."""

from __future__ import annotations

import sys

import typer

from streamguard.cli.lazy import EXIT_CODES, LazyGroup, exit_codes
from streamguard.errors import StreamguardError

__all__ = ["app", "main"]

app = typer.Typer(
    name="streamguard",
    cls=LazyGroup,
    help="Real-time deepfake detection for live video. An automated estimate that may be wrong.",
    epilog=exit_codes(*EXIT_CODES) + "\n\nWith several errors, the first decides the code.",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and leave.")) -> None:
    if version:
        from streamguard import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; a known fault becomes one line on stderr and its exit code."""
    try:
        app(prog_name="streamguard")
    except StreamguardError as error:
        print(f"streamguard: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
