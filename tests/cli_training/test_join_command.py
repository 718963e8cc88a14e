"""`streamguard join`."""

from __future__ import annotations

import json
from pathlib import Path

from streamguard.models import load
from streamguard.models.networks import fresh, save
from tests.support.portraits import green_detector
from tests.support.training_data import streamguard, write_packs


def test_two_detectors_become_one(tmp_path: Path) -> None:
    for number in (1, 2):
        model = green_detector()
        model.network.state_dict()["head.bias"].add_(0.1 * number)
        save(model, tmp_path / str(number))
    packs, out = write_packs(tmp_path / "packs"), tmp_path / "both"
    done = streamguard("join", tmp_path / "1", tmp_path / "2", "--packs", packs, "--name", "both", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "both written to" in done.stdout
    spec = load(str(out)).spec
    facts = json.loads((out / "training.json").read_text())
    assert (spec.name, spec.members) == ("both", 2)
    assert {spec.threshold, spec.unsure_threshold} <= {row["threshold"] for row in facts["thresholds"]}
    assert facts["held_out_auc"] > 0.95
    assert facts["weights"] == [1.0, 1.0]
    assert len({member["weights_sha256"] for member in facts["members"]}) == 2


def test_packs_without_held_out_faces(tmp_path: Path) -> None:
    for seed in (1, 2):
        save(fresh("unet_lite0", seed), tmp_path / str(seed))
    out = tmp_path / "both"
    done = streamguard("join", tmp_path / "1", tmp_path / "2", "--packs", tmp_path, "--name", "both", "--out", out)
    assert done.returncode == 8
    assert "no pack here" in done.stderr.splitlines()[-1]
    assert not out.exists()


def test_different_networks_are_refused(tmp_path: Path) -> None:
    save(fresh("unet_lite0"), tmp_path / "1")
    save(fresh("unet_v1"), tmp_path / "2")
    packs, out = write_packs(tmp_path / "packs"), tmp_path / "both"
    done = streamguard("join", tmp_path / "1", tmp_path / "2", "--packs", packs, "--name", "both", "--out", out)
    assert done.returncode == 8
    assert "one shape" in done.stderr
    assert not out.exists()
