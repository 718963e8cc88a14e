"""From a configuration to a detector's folder: prepare, train, calibrate, write down."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from streamguard.errors import DataError
from streamguard.faces import sharpness
from streamguard.files import write_bytes, write_text
from streamguard.models import Guard as GuardGraph
from streamguard.models import LoadedModel, ModelSpec, save
from streamguard.training.config import TrainConfig
from streamguard.training.evaluation.calibrate import Platt, fit_platt
from streamguard.training.evaluation.grid import Grid, GridRow, MaskSample, threshold_grid
from streamguard.training.evaluation.metrics import auc
from streamguard.training.loop import Progress, Trainer, patches_seen
from streamguard.training.pack import Pack
from streamguard.types import FloatArray, UInt8Array
from streamguard.verdict import raw_score

FALSE_POSITIVE_LIMIT = 0.1
"""Share of held-out real crops that may be called fake: a guard that cries wolf is switched off."""
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.97, 0.98, 0.99, 0.995)
SMALLEST_SLOPE = 1e-3


class HeldOut(StrEnum):
    """Whose fakes choose a detector's threshold and calibration, beside the held-out real faces."""

    SELFBLENDS = "selfblends"
    """Self-blends of held-out faces."""
    SWAPS = "swaps"
    """The validation persons' face swaps, beside whom their real halves count as well."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run says of itself.

    Attributes:
        spec: as written.
        calibration_auc: frame AUC on the crops that chose threshold and calibration, 0..1.
        thresholds: the frame rule at each pixel threshold, on the same crops.
    """

    spec: ModelSpec
    calibration_auc: float
    thresholds: tuple[GridRow, ...]


def finish(config: TrainConfig, toml: bytes, trainer: Trainer, packs: Path, out: Path) -> Outcome:
    """Calibrate the averaged weights on held-out self-blends and write the detector's folder.

    Each file is written whole or not at all, `spec.toml` last of what a detector needs.

    Threshold and calibration come from faces that were neither trained on nor belong to the validation pairs: what
    is reported on those stays untouched by tuning.

    Args:
        config: the run's configuration; `toml` is the text it was read from, kept beside the weights.
        trainer: at the end of its run.
        packs: the folder that holds the pack `calibration`.
        out: the detector's folder.

    Raises:
        DataError: there is no calibration pack, or the network answers the same everywhere.
        OutputError: `out` cannot be written.
    """
    description = f"{config.network}: fake pixels of a face, trained on face-swap pairs and self-blended faces"
    outcome = ship(trainer.averaged(), config.name, description, packs, out)
    write_bytes(out / "train.toml", toml)
    write_text(out / "training.json", json.dumps(_facts(config, trainer.progress, packs, outcome), indent=2) + "\n")
    write_bytes(out / "training_curve.png", draw_curve(trainer.progress))
    return outcome


def ship(
    model: LoadedModel, name: str, description: str, packs: Path, out: Path, tuned_on: HeldOut = HeldOut.SELFBLENDS
) -> Outcome:
    """Choose threshold, calibration and blur limit on held-out crops; write weights and spec.

    Args:
        model: as trained.
        name, description: for the spec.
        packs: the folder that holds the pack `calibration`, for swaps `validation` as well.
        out: the detector's folder.
        tuned_on: whose fakes. A network taught swaps alone knows nothing of self-blends; what is reported on the
            validation persons is then no longer untouched by tuning.

    Raises:
        DataError: a pack is missing, or the network answers the same everywhere.
        OutputError: `out` cannot be written.
    """
    held = Pack(packs / "calibration")
    samples = _judge(model, held)
    if tuned_on is HeldOut.SWAPS:
        samples = [sample for sample in samples if not sample.label] + _judge(model, Pack(packs / "validation"))
    raw = np.array([raw_score(sample.probability) for sample in samples])
    labels = np.array([sample.label for sample in samples])
    platt = _rising(fit_platt(raw, labels))
    grid = threshold_grid(samples, thresholds=THRESHOLDS, smallest=(model.spec.smallest_component,))
    spec = replace(
        model.spec,
        name=name,
        description=description,
        threshold=_operating_point(grid).threshold,
        calibration_slope=round(platt.slope, 4),
        calibration_offset=round(platt.offset, 4),
        least_sharpness=round(_least_sharpness(held), 4),
    )
    written = save(LoadedModel(spec, model.network), out)
    return Outcome(written, auc(raw, labels) or 0.0, tuple(grid.rows))


def threshold_facts(outcome: Outcome) -> dict[str, object]:
    """What was measured on the held-out faces, as plain values for JSON."""
    return {
        "calibration_auc": round(outcome.calibration_auc, 4),
        "thresholds": [
            {
                "threshold": row.threshold,
                "recall": round(row.recall, 4),
                "false_positives": round(_false_positives(row), 4),
            }
            for row in outcome.thresholds
        ],
    }


def draw_curve(progress: Progress) -> bytes:
    """Loss and validation over the steps, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=100, layout="constrained")
    left = figure.subplots()
    steps = np.array([step for step, _ in progress.losses])
    losses = np.array([loss for _, loss in progress.losses])
    window = max(1, min(25, len(losses) // 4))
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    left.plot(steps, losses, color="#bbbbbb", linewidth=0.6)
    left.plot(steps[window - 1 :], smooth, color="#0072B2", label="training loss")
    left.set_xlabel("step")
    left.set_ylabel("loss: BCE - ln(DICE) + picture loss")
    right = left.twinx()
    if progress.validations:
        at, aucs, dices = zip(*progress.validations, strict=True)
        right.plot(at, aucs, color="#D55E00", marker="o", markersize=3, label="validation frame AUC")
        right.plot(at, dices, color="#009E73", marker="s", markersize=3, label="validation Dice, both halves")
    right.set_ylim(0, 1)
    right.set_ylabel("validation persons")
    lines = [*left.get_lines()[1:], *right.get_lines()]
    left.legend(lines, [str(line.get_label()) for line in lines], loc="lower left", frameon=False)
    left.spines["top"].set_visible(False)
    right.spines["top"].set_visible(False)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _rising(platt: Platt) -> Platt:
    """The calibration of a detector that knows nothing is 0.5 everywhere, not one that turns its scores round."""
    return platt if platt.slope >= SMALLEST_SLOPE else Platt(SMALLEST_SLOPE, 0.0)


def _judge(model: LoadedModel, pack: Pack) -> list[MaskSample]:
    graph = GuardGraph(model.spec, model.network).eval()
    inner = _middle(pack, model.spec.size)
    samples = []
    with torch.inference_mode():
        for index, entry in enumerate(pack.entries):
            both = np.stack([pack.real[index][inner, inner], pack.fake[index][inner, inner]])
            maps: FloatArray = graph(torch.from_numpy(both)).numpy()
            for label, probability in zip((False, True), maps, strict=True):
                samples.append(MaskSample(_quantised(probability), label, entry.clip))
    if not samples:
        raise DataError("calibration", "the pack is empty", "prepare the packs again")
    return samples


def _operating_point(grid: Grid) -> GridRow:
    """The setting of best balanced accuracy among those that call few real faces fake; else the strictest."""
    quiet = [row for row in grid.rows if _false_positives(row) <= FALSE_POSITIVE_LIMIT]
    return max(quiet, key=lambda row: row.balanced_accuracy) if quiet else grid.rows[-1]


def _false_positives(row: GridRow) -> float:
    """Share of the real crops that the setting calls fake."""
    return 1 - (2 * row.balanced_accuracy - row.recall)


def _least_sharpness(pack: Pack) -> float:
    """Half of what all but one in a hundred held-out real faces have: more blurred than what was learned from."""
    inner = _middle(pack)
    values = [sharpness(np.array(pack.real[index][inner, inner])) for index in range(len(pack))]
    return float(np.quantile(values, 0.01)) / 2


def _middle(pack: Pack, size: int = 256) -> slice:
    offset = (pack.real.shape[1] - size) // 2
    return slice(offset, offset + size)


def _quantised(probability: FloatArray) -> UInt8Array:
    return np.round(probability * 255).astype(np.uint8)


def _facts(config: TrainConfig, progress: Progress, packs: Path, outcome: Outcome) -> dict[str, object]:
    return {
        "steps": progress.step,
        "patches": [{"size": size, "seen": seen} for size, seen in patches_seen(config)],
        "packs": {
            name: _pack_facts(Pack(packs / name))
            for name in ("pairs", "selfblend", "rerendered", "validation", "calibration")
            if (packs / name / "index.json").is_file()
        },
        "validations": [
            {"step": step, "frame_auc": round(value, 4), "dice_both_halves": round(dice, 4)}
            for step, value, dice in progress.validations
        ],
        **threshold_facts(outcome),
        "torch": torch.__version__,
    }


def _pack_facts(pack: Pack) -> dict[str, int]:
    return {"triples": len(pack), "persons": len(pack.persons()), "files": len({entry.clip for entry in pack.entries})}
