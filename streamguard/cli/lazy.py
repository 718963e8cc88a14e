"""The commands by name: a command's module is imported when the command is called, not to list it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

EXIT_CODES = {
    0: "done",
    1: "any other error",
    2: "wrong usage",
    3: "the source cannot be reached: missing, refused, unauthorized, timed out",
    4: "no usable video: empty, damaged, no video track, unsupported",
    5: "model: unknown, or its weights are damaged",
    6: "engine: unknown, unavailable, failed, or it did not pass its check",
    7: "a configuration or an option is wrong",
    8: "training data, evaluation data or evidence cannot be used",
    9: "a result cannot be written",
    10: "a fake was found (`scan --exit-code`), even where another file has a fault",
    11: "a running server cannot be reached, or refused what was asked",
    130: "stopped by Ctrl-C",
    143: "stopped by SIGTERM",
}
_ALWAYS = (0, 1, 2, 130, 143)
_JUDGING = (3, 4, 5, 6, 9)
_LEARNING = (5, 7, 8, 9)


class Entry(NamedTuple):
    """Place of a command.

    Attributes:
        target: module below `streamguard.cli`, and the function or Typer app in it.
        summary: its line in the list of commands.
        codes: exit codes of its own, beside those of every command.
    """

    target: str
    summary: str
    codes: tuple[int, ...] = ()


COMMANDS = {
    "scan": Entry("scan:scan", "Judge video files: which faces are fake, and when.", (*_JUDGING, 10)),
    "watch": Entry("watch:watch", "Watch a stream and say, while it plays, which faces are fake.", _JUDGING),
    "serve": Entry("serve:serve", "Serve the page, WHIP, WHEP and the REST API.", (5, 6, 7, 9)),
    "cluster": Entry("cluster:cluster", "Spread streams over many machines.", (7, 9, 11)),
    "demo": Entry("demo:demo", "Guard a clip of a real portrait that is faked half-way.", _JUDGING),
    "doctor": Entry("doctor:doctor", "Show this machine, its libraries, detectors and engines."),
    "compile": Entry("compile:compile_", "Compile and verify detectors for this machine.", (5, 6, 8, 9)),
    "bench": Entry("bench:bench", "Measure how fast each engine judges faces here.", _JUDGING),
    "capacity": Entry("capacity:capacity", "Measure how many live streams this machine can judge.", _JUDGING),
    "webhook": Entry("webhook_admin:webhook", "Send alerts to URLs: subscribe, look after, try out.", (7, 11)),
    "evidence": Entry("evidence:evidence", "Verify or erase the evidence of alerts.", (7, 8, 11)),
    "config": Entry("config:config", "Check and show the settings of `serve`.", (7,)),
    "evaluate": Entry("evaluate:evaluate", "Measure how well a detector detects.", (*_JUDGING, 8)),
    "manifest": Entry("packs:manifest", "List pictures and clips to learn from.", (8, 9)),
    "pack": Entry("packs:pack", "Cut the faces of a manifest into packs.", (5, 8, 9)),
    "thin": Entry("packs:thin", "Take an even share of every pack.", (8, 9)),
    "train": Entry("train:train", "Train a detector on packs.", _LEARNING),
    "join": Entry("join:join", "Make one detector of several.", _LEARNING),
    "compare": Entry("compare:compare", "Train networks alike and compare them.", _LEARNING),
    "search": Entry("search:search", "Search for good training settings.", _LEARNING),
}


def exit_codes(*codes: int) -> str:
    """Return the end of a help text: these exit codes and those of every command."""
    lines = [f"  {code:>3}  {EXIT_CODES[code]}" for code in sorted({*_ALWAYS, *codes})]
    # Click keeps the line breaks of a paragraph that begins so.
    return "\n".join(["\b", "Exit codes:", *lines])


class LazyGroup(TyperGroup):
    """Lists commands by their summaries, and imports one once it is called or completed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands = {name: TyperCommand(name, help=entry.summary) for name, entry in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the command itself in the place of its summary, then go on as Click does."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """Return the Click command of a name."""
    entry = COMMANDS[name]
    module, _, attribute = entry.target.partition(":")
    found = getattr(importlib.import_module(f"streamguard.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        found = single
    command = get_command(found)
    command.name = name
    for each in _below(command):
        each.epilog = exit_codes(*entry.codes)
        # Rich takes longer to import than all the rest of a help.
        each.rich_markup_mode = None
    return command


def _below(command: Any) -> Iterator[Any]:
    """Yield the command and all below it."""
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from _below(each)
