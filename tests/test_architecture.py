"""The floors, the promises of import, and the shape of the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import streamguard
from streamguard.cli import app

PACKAGE = Path(streamguard.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "av", "aiohttp", "aiortc", "openvino", "cv2", "matplotlib", "skimage")
LONGEST = 400


def name_of(path: Path) -> str:
    """A module's path within the repository."""
    return str(path.relative_to(ROOT))


def in_a_process_of_its_own(code: str) -> str:
    """What the code prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("code", ["import streamguard", "import streamguard.cli", "import streamguard.errors"])
def test_imports_are_light(code: str) -> None:
    assert in_a_process_of_its_own(f"{code}; import sys; print(*sorted(set({HEAVY}) & set(sys.modules)))") == ""


def test_help_and_version_are_light() -> None:
    for option in ("--help", "--version"):
        code = (
            f"import sys; sys.argv[1:] = ['{option}']\n"
            "from streamguard.cli import main\n"
            "try: main()\n"
            f"except SystemExit: print('HEAVY', *sorted(set({HEAVY}) & set(sys.modules)))"
        )
        assert in_a_process_of_its_own(code).splitlines()[-1] == "HEAVY"


def test_the_lazy_names_resolve() -> None:
    for name in streamguard.__all__:
        assert getattr(streamguard, name) is not None
    with pytest.raises(AttributeError):
        _ = streamguard.nonsense


def test_the_floors() -> None:
    """The contracts of pyproject.toml, by import-linter."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_shape_of_a_module(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "no docstring"
    assert len(text.splitlines()) <= LONGEST, "too long: split it by meaning"
    for node in tree.body:
        public = isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[0] != "_"
        if public:
            assert ast.get_docstring(node), f"{node.name} has no docstring"
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" and path.parent != PACKAGE:
            names = ast.literal_eval(node.value)
            assert names == sorted(names, key=lambda name: (not name.isupper(), name)), "__all__ is not sorted"


def commands(above: Any, typed: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """What is typed for a command and all below it, groups too."""
    yield typed
    for word, command in getattr(above, "commands", {}).items():
        yield from commands(command, (*typed, word))


@pytest.mark.parametrize("command", [*commands(typer.main.get_command(app))], ids=" ".join)
def test_a_help_is_for_people(command: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, [*command, "--help"]).output
    assert "Usage:" in said
    assert not [word for word in ("Raises:", "Args:", "Returns:", "Attributes:", "Error:") if word in said], said


def test_every_command_has_a_help_line() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert (command.callback.__doc__ or "").strip(), command.name
