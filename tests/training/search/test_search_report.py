"""What is told of a study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamguard.training.recipe import Recipe
from streamguard.training.search.report import facts, importances, page, ranked
from tests.training.search.studies import fast, plan_of


def test_the_report_names_everything(
    recipe: Recipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(recipe, packs, tmp_path / "out", trials=12)
    study = fast(plan, monkeypatch).study
    told = facts(study)
    assert json.loads(json.dumps(told)) == told
    assert told["schema"] == "streamguard.search/2"
    assert len(told["trials"]) == told["done"] == 12
    values = [trial["value"] for trial in told["trials"]]
    assert told["best"] == values.index(max(values)) == ranked(study)[0].number
    # The pretended objective follows the picture loss and nothing else.
    shares = importances(study)
    assert next(iter(shares)) == "picture_loss"
    assert shares["picture_loss"] > 0.7
    html = page(study)
    assert "parallel-coordinates" in html
    assert "parcoords" in html
    source = "how often source 2 is drawn (loose: loose)"
    for words in ("picture_loss", source, "Best trials", "What mattered", "frame AUC on held-out loose, real, swaps"):
        assert words in html
    assert "<script src" not in html


def test_a_report_of_too_little(recipe: Recipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = fast(plan_of(recipe, packs, tmp_path / "out", trials=1), monkeypatch).study
    assert importances(study) == {}
    assert "complete trials on" in page(study)
