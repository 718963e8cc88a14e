"""What an operator takes from the cluster's folder holds: settings, image, manifests, rules and dashboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamguard.config import read_config
from tests.support.training_data import ROOT

FOLDER = ROOT / "examples" / "cluster"
SOURCES = list((ROOT / "streamguard" / "cluster").glob("*.py"))


def documents(name: str) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def exported() -> set[str]:
    """Names of the metrics that the code makes, counters with their ending."""
    text = "\n".join(path.read_text() for path in SOURCES)
    found = set()
    for kind, name in re.findall(r'(Counter|Gauge)MetricFamily\(\s*"(streamguard_\w+)"', text):
        found.add(f"{name}_total" if kind == "Counter" else name)
    return found


def test_the_settings_are_right(tmp_path: Path) -> None:
    text = (FOLDER / "streamguard.toml").read_text().replace("/etc/streamguard", str(tmp_path))
    (tmp_path / "admin.token").write_text("a" * 24)
    (tmp_path / "view.token").write_text("v" * 24)
    (tmp_path / "database.url").write_text("postgresql://streamguard:secret@database/streamguard")
    (tmp_path / "streamguard.toml").write_text(text)
    config = read_config(tmp_path / "streamguard.toml")
    assert [stream.name for stream in config.streams] == ["studio-a", "studio-b"]
    assert config.cluster.port == 8443


def test_every_file_is_told_of() -> None:
    text = (FOLDER / "README.md").read_text()
    for path in FOLDER.iterdir():
        assert path.name == "README.md" or f"]({path.name})" in text, path.name


def test_the_manifests_name_what_is_there() -> None:
    cluster, front, service, policy = documents("kuberay.yml")
    assert cluster["spec"]["authOptions"]["mode"] == "token"
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    # The head judges nothing, and opens no dashboard.
    assert groups[0]["rayStartParams"]["num-cpus"] == "0"
    assert groups[0]["rayStartParams"]["include-dashboard"] == "false"
    for pod in [*(group["template"]["spec"] for group in groups), front["spec"]["template"]["spec"]]:
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    assert service["spec"]["selector"] == front["spec"]["selector"]["matchLabels"]
    assert policy["spec"]["podSelector"]["matchLabels"] == {"ray.io/node-type": "head"}
    compose = documents("compose.yml")[0]
    assert set(compose["services"]) == {"database", "head", "node", "front"}
    assert compose["services"]["head"]["environment"]["RAY_AUTH_MODE"] == "token"
    # Nobody outside reaches Ray.
    assert [name for name, each in compose["services"].items() if "ports" in each] == ["front"]
    assert (FOLDER / compose["services"]["node"]["build"]["context"] / "pyproject.toml").exists()
    assert (ROOT / compose["services"]["node"]["build"]["dockerfile"]).exists()


def test_rules_and_dashboard_ask_for_what_is_there() -> None:
    rules = (FOLDER / "prometheus_rules.yml").read_text()
    dashboard = json.loads((FOLDER / "grafana_dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked = set(re.findall(r"\bstreamguard_\w+", " ".join([*re.findall(r"expr: (.*)", rules), *queries])))
    assert len(asked) > 8
    # The others are those of every server, and checked beside the sidecar's dashboard.
    assert not {name for name in asked if "_cluster_" in name} - exported()
    assert any(panel.get("repeat") == "worker" for panel in dashboard["panels"] if panel["type"] == "row")
    told = (FOLDER / "README.md").read_text()
    assert not {name for name in exported() if name.startswith("streamguard_cluster_") and f"`{name}`" not in told}


def test_prometheus_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: apt-get install --no-install-recommends prometheus")
    line = [promtool, "check", "rules", str(FOLDER / "prometheus_rules.yml")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
