"""End of a training run: choose thresholds and calibration on held-out faces, write the detector's folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamguard.errors import DataError
from streamguard.faces import sharpness
from streamguard.files import write_bytes, write_text
from streamguard.inference import EngineOptions
from streamguard.inference.parity import record_answers
from streamguard.inference.torch_engine import TorchEngine
from streamguard.models import LoadedModel, ModelSpec, load
from streamguard.models.networks import save
from streamguard.training.evaluation.metrics import Platt, auc, fit_platt, largest_components
from streamguard.training.held_out import HeldOutCrops
from streamguard.training.pack import CropPack
from streamguard.training.recipe import Recipe
from streamguard.training.trainer import Reached, Trainer
from streamguard.types import FloatArray, UInt8Array
from streamguard.verdict import raw_score

FALSE_FRAMES = 0.05
"""Share of the real crops that may be called fake, sets counted alike: a guard that cries wolf is switched off. (By the
worst set alone one recording decides, and next to nothing is found.)"""
UNSURE_FRAMES = 0.07
"""Share of them that may be marked at all, `unsure` among them."""
THRESHOLDS = (
    *np.linspace(0.3, 0.8, 11).round(2).tolist(),
    *np.linspace(0.81, 0.99, 19).round(2).tolist(),
    0.995,
)
SMALLEST_SLOPE = 1e-3
FEWEST_REALS = 30
"""Real crops that a set needs to be counted by itself."""


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """The frame rule at one pixel threshold.

    Attributes:
        threshold: 0..1.
        recall: share of the fake crops that are called fake, mean over sets.
        false_frames: share of the real crops that are, by set.
    """

    threshold: float
    recall: float
    false_frames: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean of the sets' shares."""
        return float(np.mean(list(self.false_frames.values()))) if self.false_frames else 0.0

    @property
    def worst(self) -> float:
        """Share of the set in which most real crops are called fake."""
        return max(self.false_frames.values(), default=0.0)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Result of a finished run.

    Attributes:
        spec: as written.
        held_out_auc: frame AUC over all held-out crops, 0..1.
        thresholds: the frame rule at each pixel threshold.
    """

    spec: ModelSpec
    held_out_auc: float
    thresholds: tuple[ThresholdRow, ...]


def finish(recipe: Recipe, toml: bytes, trainer: Trainer, held: Sequence[CropPack], out: Path) -> TrainingResult:
    """Calibrate the averaged weights on held-out faces and write the detector's folder.

    Each file is written whole or not at all, `spec.toml` last of what a detector needs.

    Args:
        recipe: the run's recipe; `toml` is the text it was read from, kept beside the weights.
        trainer: at the end of its run, or where it was stopped.
        held: packs of the validation side.
        out: the detector's folder.

    Raises:
        DataError: the packs hold no real or no fake face, or the network answers the same everywhere.
        OutputError: `out` cannot be written.
    """
    description = f"{recipe.network}: fake pixels of a face"
    outcome = ship(trainer.averaged(), recipe.name, description, held, out)
    write_bytes(out / "train.toml", toml)
    facts = {
        "steps": trainer.reached.step,
        "patches": trainer.reached.patches,
        "seconds": round(trainer.reached.seconds),
        "curve": trainer.reached.curve,
        **threshold_facts(outcome),
        "torch": torch.__version__,
    }
    write_text(out / "training.json", json.dumps(facts, indent=1) + "\n")
    write_bytes(out / "training_curve.png", draw_curve(trainer.reached))
    return outcome


def ship(model: LoadedModel, name: str, description: str, held: Sequence[CropPack], out: Path) -> TrainingResult:
    """Choose thresholds, calibration and blur limit on held-out crops; write weights and spec.

    Args:
        model: as trained.
        name, description: for the spec.
        held: packs of the validation side.
        out: the detector's folder.

    Raises:
        DataError: the packs hold no real or no fake face, or the network answers the same everywhere.
        OutputError: `out` cannot be written.
    """
    crops = HeldOutCrops(held, model.spec.margin, most=100)
    check_both(crops)
    labels = np.array([crop.fake for crop in crops.crops])
    maps = crops.maps(model)
    raw = np.array([raw_score(each) for each in maps])
    sets = np.array([crop.set for crop in crops.crops])
    platt = _rising(fit_platt(raw, labels))
    rows = threshold_rows(maps, labels, sets, model.spec.smallest_component)
    spec = replace(
        model.spec,
        name=name,
        description=description,
        threshold=lowest(rows, FALSE_FRAMES),
        unsure_threshold=lowest(rows, UNSURE_FRAMES),
        calibration_slope=round(platt.slope, 4),
        calibration_offset=round(platt.offset, 4),
        least_sharpness=round(_least_sharpness([c.pixels for c in crops.crops if not c.fake]), 4),
    )
    written = save(LoadedModel(spec, model.network), out)
    record_answers(written, TorchEngine(load(str(out)), EngineOptions(max_batch=4)))
    return TrainingResult(written, auc(raw, labels) or 0.0, tuple(rows))


def check_both(crops: HeldOutCrops) -> None:
    """Refuse held-out crops by which no threshold can be chosen.

    Raises:
        DataError: they hold no real or no fake face.
    """
    if {crop.fake for crop in crops.crops} != {False, True}:
        raise DataError("held-out packs", "they hold no real or no fake face", "give packs with both")


def threshold_rows(
    maps: Sequence[UInt8Array], labels: np.ndarray, sets: np.ndarray, smallest: int
) -> list[ThresholdRow]:
    """The frame rule at each of `THRESHOLDS`, from low to high.

    Args:
        maps: uint8 [H, W] each.
        labels: bool, True when fake; sets: str, the set of each.
        smallest: components up to so many pixels are ignored.
    """
    called = np.array([[size > smallest for size in largest_components(each, THRESHOLDS)] for each in maps])
    kinds = sorted(set(sets.tolist()))
    counted = [kind for kind in kinds if ((sets == kind) & ~labels).sum() >= FEWEST_REALS]
    rows = []
    for column, threshold in enumerate(THRESHOLDS):
        fake = [called[(sets == kind) & labels, column].mean() for kind in kinds if ((sets == kind) & labels).any()]
        real = {kind: float(called[(sets == kind) & ~labels, column].mean()) for kind in counted}
        real = real or {"all": float(called[~labels, column].mean())}
        rows.append(ThresholdRow(threshold, float(np.mean(fake)), real))
    return rows


def lowest(rows: Sequence[ThresholdRow], limit: float) -> float:
    """The lowest threshold at which at most `limit` of the real crops is called fake, sets counted alike; else the
    highest."""
    return next((row.threshold for row in rows if row.mean <= limit), rows[-1].threshold)


def threshold_facts(outcome: TrainingResult) -> dict[str, Any]:
    """Measurements on the held-out faces, as plain values for JSON."""
    return {
        "held_out_auc": round(outcome.held_out_auc, 4),
        "thresholds": [
            {
                "threshold": row.threshold,
                "recall": round(row.recall, 4),
                "false_frames": {name: round(value, 4) for name, value in row.false_frames.items()},
            }
            for row in outcome.thresholds
        ],
    }


def draw_curve(reached: Reached) -> bytes:
    """Frame AUC by set over the patches learned from, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = sorted({name for point in reached.curve for name in point["sets"]}, key=lambda name: ("/" in name, name))
    for name in names:
        found = [(point["patches"], point["sets"].get(name, {}).get("auc")) for point in reached.curve]
        points = [each for each in found if each[1] is not None]
        if points:
            part = "/" in name
            width, style = (0.8, "--") if part else (2.0, "-")
            axes.plot(*zip(*points, strict=True), label=name, linewidth=width, linestyle=style)
    axes.axhline(0.5, color="#999999", linewidth=0.8)
    axes.set_xlabel("patches learned from")
    axes.set_ylabel("frame AUC on held-out people")
    axes.set_ylim(0.3, 1)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _rising(platt: Platt) -> Platt:
    """The calibration of a detector that knows nothing is 0.5 everywhere, not one that turns its scores round."""
    return platt if platt.slope >= SMALLEST_SLOPE else Platt(SMALLEST_SLOPE, 0.0)


def _least_sharpness(crops: Sequence[UInt8Array]) -> float:
    """Half of what all but one in a hundred held-out real faces have: more blurred than what was learned from."""
    values: FloatArray = np.array([sharpness(crop) for crop in crops], dtype=np.float32)
    return float(np.quantile(values, 0.01)) / 2
