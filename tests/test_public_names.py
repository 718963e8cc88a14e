"""What `import streamguard` promises: names that resolve, their types, the version; and that a name means one thing."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from mypy import api

import streamguard
from tests.support.training_data import ROOT

TYPED = """
import streamguard
from streamguard import Event, FrameReport, Guard

async def main() -> None:
    async with Guard.open("unet_lite0") as guard:
        reveal_type(guard)
        async for item in guard.watch("a.mp4"):
            reveal_type(item)
            if isinstance(item, Event):
                reveal_type(item.share)
    reveal_type(FrameReport)
    reveal_type(streamguard.__version__)
"""
REVEALED = (
    "streamguard.pipeline.guard.Guard",
    "streamguard.pipeline.stream.FrameReport | streamguard.types.Event",
    "float | None",
    "def (",
    "str",
)


def test_the_names_resolve_and_are_listed() -> None:
    assert dir(streamguard) == streamguard.__all__
    for name in streamguard.__all__:
        assert getattr(streamguard, name) is not None
    with pytest.raises(AttributeError):
        _ = streamguard.nonsense


def test_a_type_checker_knows_them(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(TYPED)
    # The cache of `make lint` knows the package already.
    more = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"), "--no-pretty")
    said, trouble, code = api.run([*more, str(tmp_path / "use.py")])
    assert (trouble, code) == ("", 0), said
    notes = [line.partition('Revealed type is "')[2] for line in said.splitlines() if "Revealed type" in line]
    assert len(notes) == len(REVEALED)
    assert all(note.startswith(wanted) for note, wanted in zip(notes, REVEALED, strict=True)), notes


def test_the_version_is_that_of_the_package() -> None:
    assert streamguard.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_no_name_stands_for_two_things() -> None:
    trees = {path: ast.parse(path.read_text()) for path in (ROOT / "streamguard").rglob("*.py")}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    classes = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    # The package itself exports again what its parts do.
    parts = [path for path in trees if path.name == "__init__.py" and path.parent != ROOT / "streamguard"]
    exported: Counter[str] = Counter()
    for node in (node for path in parts for node in trees[path].body if isinstance(node, ast.Assign)):
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets):
            exported.update(set(ast.literal_eval(node.value)))
    assert classes["Guard"] == exported["StreamVote"] == 1
    assert {name for count in (classes, exported) for name, times in count.items() if times > 1} == set()
