"""One machine by itself neither installs nor loads anything of a cluster."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import Any

import pytest

from streamguard.cluster.launch import Namesakes, connected, places, ray_module
from streamguard.cluster.leases import WorkerPlace
from streamguard.errors import ConfigError, RemoteError
from tests.support.hosts import refused_port
from tests.support.training_data import ROOT, environment

_BLOCKED = """
import sys
sys.modules["ray"] = None
"""


def test_ray_comes_with_its_extra_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not [each for each in project["dependencies"] if each.startswith(("ray", "asyncpg"))]
    assert [each for each in project["optional-dependencies"]["cluster"] if each.startswith("ray")]


@pytest.mark.parametrize(
    "line",
    [
        ["demo", "--help"],
        ["serve", "--help"],
        ["cluster", "up", "--help"],
    ],
)
def test_commands_work_where_it_is_not_installed(line: list[str]) -> None:
    code = f"{_BLOCKED}\nsys.argv[1:] = {line!r}\nfrom streamguard.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment(), timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_a_server_and_a_demo_load_nothing_of_it() -> None:
    code = (
        "import streamguard.server.app, streamguard.cli.demo, streamguard.cli.serve, sys\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'ray' or '.cluster' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment(), timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"streamguard\[cluster\]"):
        ray_module()


def test_a_ray_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(RemoteError, match="cannot be reached"), connected(f"127.0.0.1:{refused_port()}"):
        pass


def test_a_worker_a_node_or_a_gpu() -> None:
    nodes = [
        {
            "Alive": True,
            "NodeID": "a" * 12,
            "NodeName": "one",
            "NodeManagerAddress": "10.0.0.1",
            "Resources": {"CPU": 8.0, "GPU": 2.0},
            "Labels": {"ray.io/availability-zone": "east"},
        },
        # A head without processors, and a node that is gone.
        {"Alive": True, "NodeID": "b", "NodeName": "head", "NodeManagerAddress": "10.0.0.2", "Resources": {}},
        {"Alive": False, "NodeID": "c", "NodeName": "x", "NodeManagerAddress": "10.0.0.3", "Resources": {"CPU": 1.0}},
        {"Alive": True, "NodeID": "d", "NodeName": "", "NodeManagerAddress": "10.0.0.4", "Resources": {"CPU": 4.0}},
    ]
    assert list(places(nodes)) == [
        (WorkerPlace("one", "10.0.0.1", "east", 0), "a" * 12, 1.0, 4.0),
        (WorkerPlace("one", "10.0.0.1", "east", 1), "a" * 12, 1.0, 4.0),
        (WorkerPlace("10.0.0.4", "10.0.0.4", "10.0.0.4", 0), "d", 0.0, 4.0),
    ]


def test_a_node_that_comes_back_waits_for_the_end_of_its_earlier_life() -> None:
    now = 0.0
    namesakes = Namesakes(60.0, lambda: now)

    def node(id: str, name: str, *, alive: bool = True) -> dict[str, Any]:
        resources = {"CPU": 1.0}
        return {
            "NodeID": id,
            "NodeName": name,
            "Alive": alive,
            "NodeManagerAddress": "10.0.0.1",
            "Resources": resources,
        }

    def named(*nodes: dict[str, Any]) -> list[str]:
        return [place.node for place, *_ in places(namesakes.settled(list(nodes)))]

    first, other = node("a" * 16, "one"), node("b" * 16, "two")
    assert named(first, other) == ["one", "two"]
    now = 10.0
    again = node("c" * 16, "one")
    assert named(first, other, again) == ["two"]
    now = 30.0
    assert named({**first, "Alive": False}, other, again) == ["two", "one"]
    # Two that stay are two machines whom somebody gave one name.
    assert named(first, other, again) == ["two"]
    now = 90.0
    assert sorted(named(first, other, again)) == ["one-aaaaaaaa", "one-cccccccc", "two"]
