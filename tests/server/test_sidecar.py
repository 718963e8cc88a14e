"""What an operator takes from the sidecar's folder holds: unit, container, rules and dashboard."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.conftest import ServeWith
from tests.server.test_alert_metrics import once
from tests.support.training_data import ROOT, environment
from tests.support.warm import warm_python

FOLDER = ROOT / "examples" / "broadcast_sidecar"
UNIT = FOLDER / "streamguard.service"
CONTAINER = FOLDER / "Containerfile"
RULES = FOLDER / "prometheus_rules.yml"
DASHBOARD = FOLDER / "grafana_dashboard.json"
RULE_TESTS = ROOT / "tests" / "examples" / "prometheus_rules_test.yml"
PROGRAM = "/opt/streamguard/bin/streamguard"
SERVED = {"instance", "job", "le"}
"""Labels that come from Prometheus, or stand for a histogram's bounds."""
_LIMIT = 60


def ran(*line: object, **more: Any) -> str:
    """What a program says; it has to end well."""
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=_LIMIT, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def promtool() -> str:
    """Prometheus' own judge of rules."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool: apt-get install --no-install-recommends prometheus")
    return found


@pytest.fixture
def analyze() -> str:
    """Systemd's own judge of units."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("no systemd-analyze: apt-get install systemd")
    return found


def settings(text: str) -> dict[str, list[str]]:
    """A unit's keys with all their values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_systemd_takes_the_unit(tmp_path: Path, analyze: str) -> None:
    # It looks for the programs, too: the one that is installed here stands in.
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace(PROGRAM, str(Path(sys.executable).with_name("streamguard"))))
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(here)], capture_output=True, text=True, timeout=_LIMIT, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    # Exposure in tenths, 0 to 100.
    ran(analyze, "security", "--offline=true", "--no-pager", "--threshold=20", here)


def test_the_units_commands_are_right() -> None:
    keys = settings(UNIT.read_text())
    assert keys["Type"] == ["notify"]
    assert "HUP" in keys["ExecReload"][0]
    config = keys["ExecStartPre"][0].removeprefix("-").removeprefix(PROGRAM).replace("/etc/streamguard/", f"{FOLDER}/")
    ran(*warm_python(), "-m", "streamguard", *shlex.split(config), env=environment())
    serve = shlex.split(keys["ExecStart"][0])
    assert serve == [PROGRAM, "serve", "--config", "/etc/streamguard/streamguard.toml"]
    assert {"/var/lib", "/var/cache"} == set(re.findall(r"XDG_\w+=(\S+)", keys["Environment"][0]))
    # What would stop the engines is not there.
    assert not {"MemoryDenyWriteExecute", "ProcSubset"} & set(keys)


def instructions() -> list[tuple[str, str]]:
    """The container file's instructions, in order."""
    text = re.sub(r"^#.*\n", "", CONTAINER.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def test_the_container_file_names_what_is_there() -> None:
    found = instructions()
    kinds = {"FROM", "ARG", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT"}
    assert {kind for kind, _ in found} == kinds | {"CMD"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for kind, rest in found:
        if kind == "FROM":
            assert re.match(r"docker\.io/library/python:3\.11-slim-\w+", rest)
        if kind == "COPY" and not rest.startswith("--from"):
            assert all((ROOT / name).exists() for name in rest.split()[:-1]), rest
    pips = [rest for kind, rest in found if kind == "RUN" and "pip install" in rest]
    torch = next(each for each in project["dependencies"] if each.startswith("torch~"))
    assert f'"{torch}"' in pips[0]
    extras = re.findall(r"/src\[([\w,]+)\]", pips[1])[0].split(",")
    assert set(extras) <= set(project["optional-dependencies"])
    users = [rest for kind, rest in found if kind == "USER"]
    made = next(rest for kind, rest in found if kind == "RUN" and "useradd" in rest)
    assert users == [re.findall(r"--uid (\d+)", made)[0]]
    assert int(users[0]) > 0
    # What follows runs as that user.
    order = [kind for kind, _ in found]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert "RUN" not in order[order.index("USER") :]


async def test_the_containers_health_check_tells_the_truth(serve_with: ServeWith) -> None:
    check = next(rest for kind, rest in instructions() if kind == "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert "/health/live" in command[2]
    async with serve_with() as (server, _):
        code = command[2].replace("http://127.0.0.1:8080", server.url)
        assert await healthy(code)
    assert not await healthy(code)


async def healthy(code: str) -> bool:
    """What the check's code finds."""
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=quiet, stderr=quiet)
    return await process.wait() == 0


def test_the_rules_tell_what_they_should(promtool: str) -> None:
    ran(promtool, "check", "rules", RULES)
    ran(promtool, "test", "rules", RULE_TESTS)
    told = set(re.findall(r"alertname: (\w+)", RULE_TESTS.read_text()))
    assert told == set(re.findall(r"alert: (\w+)", RULES.read_text()))
    severities = set(re.findall(r"severity: (\w+)", RULES.read_text()))
    assert severities == {"critical", "warning", "info"}


def panels() -> list[dict[str, Any]]:
    """The dashboard's, rows among them."""
    return list(json.loads(DASHBOARD.read_text())["panels"])


def dashboard_queries() -> list[str]:
    """The dashboard's queries as Prometheus gets them, with everything chosen."""
    queries = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    return [re.sub(r"\$__rate_interval", "1m", re.sub(r"\$(instance|stream)\b", ".*", query)) for query in queries]


def test_the_dashboard_is_whole(tmp_path: Path, promtool: str) -> None:
    document = json.loads(DASHBOARD.read_text())
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    variables = {variable["name"] for variable in document["templating"]["list"]}
    assert variables == {"datasource", "instance", "stream"}
    for panel in found:
        place = panel["gridPos"]
        assert place["w"] > 0 < place["h"]
        assert place["x"] >= 0 <= place["y"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["datasource"]["uid"] == "${datasource}"
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    for one, two in itertools.combinations([panel["gridPos"] for panel in found], 2):
        beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"]
    # Prometheus reads each query, as the expression of a rule.
    rules = [{"record": f"q{index}", "expr": query} for index, query in enumerate(dashboard_queries())]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in ran(promtool, "check", "rules", path)


def rule_queries() -> list[str]:
    """The expressions of the rules."""
    found = re.findall(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)", RULES.read_text())
    assert len(found) == RULES.read_text().count("alert: ")
    return [block or line for block, line in found]


async def exported(http: aiohttp.ClientSession) -> dict[str, set[str]]:
    """Every sample's name that /metrics has or may have -> its labels, as far as they are known."""
    text = await (await http.get("/metrics")).text()
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE):
        for end in ("_bucket", "_count", "_sum") if kind == "histogram" else ("",):
            found[name + end] = set()
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, flags=re.MULTILINE):
        found[name] |= set(re.findall(r'(\w+)="', labels))
    return found


async def test_every_metric_that_is_asked_for_is_there(serve_with: ServeWith, real: Path, tmp_path: Path) -> None:
    stream = {"name": "door", "source": str(real), "outputs": [str(tmp_path / "out.ts")]}
    async with serve_with(streams=[stream]) as (_, http):
        # What is measured is told once there is something to measure.
        await once(http, lambda now: ("streamguard_load_ratio",) in now)
        known = await exported(http)
    document = json.loads(DASHBOARD.read_text())
    variables = [variable["query"]["query"] for variable in document["templating"]["list"][1:]]
    queries = [*rule_queries(), *dashboard_queries(), *variables]
    asked = set(re.findall(r"\b(?:streamguard|process)_\w+", " ".join(queries)))
    assert len(asked) > 25
    assert not asked - set(known)
    for name, selector in re.findall(r"\b((?:streamguard|process)_\w+)\{([^}]*)\}", " ".join(queries)):
        labels = set(re.findall(r"(\w+)\s*=", selector)) - SERVED
        # A metric that has not counted anything yet tells no labels.
        assert not known[name] or labels <= known[name], (name, labels - known[name])


def test_its_readme_names_every_file() -> None:
    text = (FOLDER / "README.md").read_text()
    for path in FOLDER.iterdir():
        assert path.name == "README.md" or f"]({path.name})" in text, path.name
