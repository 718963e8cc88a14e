"""The command line: one module per command, registered here.

Exit codes: 0 done; 2 wrong usage; 3 source unreachable; 4 no usable video; 5 model; 6 engine; 7 configuration;
8 data; 9 output; 10 a fake was found (`scan --exit-code`; it goes before a fault of another file); 11 a running
server cannot be reached, or refused; 130 and 143 stopped by Ctrl-C and SIGTERM; 1 anything else. Of several faults
the first one counts.
"""

from __future__ import annotations

import sys

import typer

from streamguard.cli import (
    bench,
    capacity,
    compare,
    compile,
    config,
    demo,
    doctor,
    evaluate,
    evidence,
    join,
    packs,
    scan,
    search,
    serve,
    soak,
    train,
    watch,
    webhook,
    webhook_admin,
)
from streamguard.errors import StreamguardError

__all__ = ["app", "main"]

app = typer.Typer(
    name="streamguard",
    help="Real-time deepfake detection for live video. An automated estimate that may be wrong.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("scan")(scan.scan)
app.command("watch")(watch.watch)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("compile")(compile.compile_)
app.command("bench")(bench.bench)
app.command("capacity")(capacity.capacity)
app.command("evaluate")(evaluate.evaluate)
app.command("manifest")(packs.manifest)
app.command("pack")(packs.pack)
app.command("thin")(packs.thin)
app.command("train")(train.train)
app.command("join")(join.join)
app.command("compare")(compare.compare)
app.command("search")(search.search)
app.command("soak")(soak.soak)
for name, command in webhook_admin.COMMANDS.items():
    webhook.webhook.command(name)(command)
app.add_typer(webhook.webhook, name="webhook")
app.add_typer(evidence.evidence, name="evidence")
app.add_typer(config.config, name="config")


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and leave.")) -> None:
    if version:
        from streamguard import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; a known fault becomes one line on stderr and its exit code."""
    try:
        app()
    except StreamguardError as error:
        print(f"streamguard: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
