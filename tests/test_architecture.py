"""The floors, the promises of import, and the shape of the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest
from typer.testing import CliRunner

import streamguard
from streamguard.cli import app
from streamguard.cli.lazy import COMMANDS, load

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
    # They must be there at once: not even what draws tables is loaded, nor numbers.
    heavy = (*HEAVY, "numpy", "rich.console", "streamguard.cli.scan", "streamguard.types")
    for option in ("--help", "-h", "--version"):
        code = (
            f"import sys; sys.argv[1:] = ['{option}']\n"
            "from streamguard.cli import main\n"
            "try: main()\n"
            f"except SystemExit: print('HEAVY', *sorted(set({heavy}) & set(sys.modules)))"
        )
        assert in_a_process_of_its_own(code).splitlines()[-1] == "HEAVY"


def test_the_floors() -> None:
    """The contracts of pyproject.toml, by import-linter."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_no_import_leads_in_a_circle() -> None:
    graph = grimp.build_graph("streamguard", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    # Raises a CycleError that names the modules.
    assert len([*TopologicalSorter(imports).static_order()]) == len(graph.modules)


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


@pytest.mark.parametrize(
    "command", [(), *(path for name in COMMANDS for path in commands(load(name), (name,)))], ids=" ".join
)
def test_a_help_is_for_people(command: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, [*command, "-h"]).output
    assert said == CliRunner().invoke(app, [*command, "--help"]).output
    assert "Usage:" in said
    assert "Exit codes:" in said
    assert not [word for word in ("Raises:", "Args:", "Returns:", "Attributes:", "Error:") if word in said], said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_line_that_fits(name: str) -> None:
    assert load(name).help
    said = CliRunner().invoke(app, ["--help"]).output
    assert re.search(rf"^  {name} +{re.escape(COMMANDS[name].summary)}$", said, re.MULTILINE)
