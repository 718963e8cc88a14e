"""`streamguard join`."""

from __future__ import annotations

import json
from pathlib import Path

from streamguard.models import fresh, load, save
from tests.support.training_data import streamguard, write_packs


def test_two_detectors_become_one(tmp_path: Path) -> None:
    for seed in (1, 2):
        save(fresh("unet_lite0", seed), tmp_path / str(seed))
    packs, out = write_packs(tmp_path / "packs"), tmp_path / "both"
    done = streamguard("join", tmp_path / "1", tmp_path / "2", "--packs", packs, "--name", "both", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "both written to" in done.stdout
    spec = load(str(out)).spec
    facts = json.loads((out / "training.json").read_text())
    assert (spec.name, spec.members) == ("both", 2)
    assert spec.threshold in {row["threshold"] for row in facts["thresholds"]}
    assert len({member["weights_sha256"] for member in facts["members"]}) == 2


def test_the_threshold_may_come_from_the_validation_swaps(tmp_path: Path) -> None:
    packs, found = write_packs(tmp_path / "packs"), {}
    for name in ("1", "2"):
        save(fresh("unet_lite0", int(name)), tmp_path / name)
    for held in ("selfblends", "swaps", "swap"):
        out = tmp_path / held
        options = ("--packs", packs, "--name", "both", "--out", out, "--tuned-on", held)
        done = streamguard("join", tmp_path / "1", tmp_path / "2", *options)
        if held == "swap":
            assert done.returncode == 2
            assert "selfblends, swaps" in done.stderr
            break
        assert done.returncode == 0, done.stderr
        assert f"held-out {held}" in done.stdout
        found[held] = json.loads((out / "training.json").read_text())
    assert found["swaps"]["tuned_on"] == "swaps"
    assert found["swaps"]["calibration_auc"] != found["selfblends"]["calibration_auc"]


def test_different_networks_are_refused(tmp_path: Path) -> None:
    save(fresh("unet_lite0"), tmp_path / "1")
    save(fresh("unet_v1"), tmp_path / "2")
    packs, out = write_packs(tmp_path / "packs"), tmp_path / "both"
    done = streamguard("join", tmp_path / "1", tmp_path / "2", "--packs", packs, "--name", "both", "--out", out)
    assert done.returncode == 8
    assert "one shape" in done.stderr
    assert not out.exists()
