"""The whole comparison: train each network on each material, test all on all sets; finished rows are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic import TypeAdapter, ValidationError

from streamguard.errors import DataError, OutputError
from streamguard.files import write_bytes
from streamguard.models import load
from streamguard.training.comparison.crosssets import CrossSet, cross_sets
from streamguard.training.comparison.figures import Judge, SetFigures, judge_set, set_figures
from streamguard.training.comparison.learner import Learner, learner, must_be_known
from streamguard.training.comparison.material import Material, TrainedOn, training_config, training_packs
from streamguard.training.comparison.references import blur_judge, shipped_judge
from streamguard.training.comparison.trainer import Budget, ComparisonTrainer, Reached
from streamguard.training.config import TrainConfig
from streamguard.training.sampler import Packs, open_packs

BLUR = "blur"
"""The reference that knows nothing: blurred means fake."""
AS_SHIPPED = "as shipped"
KNOWS_NOTHING = "nothing"
ORDER = (*get_args(TrainedOn), AS_SHIPPED, KNOWS_NOTHING)
"""How rows are sorted."""
PACKS = ("pairs", "selfblend", "validation", "calibration")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and how.

    Attributes:
        detectors: names of what is trained (see `learner.names`).
        trained_on: on which material; one row for each detector and material.
        references: detectors judged as they are: names or folders of finished ones, or `blur`.
        budget: for each row.
        side: of the crops in pixels, a multiple of 32 from 64 to 256.
        pairs: (real, fake) pairs a step; a track counts as many as it has frames.
        most: triples judged of each set, evenly spread; 0: all.
        device: `cpu` or `cuda`.
    """

    detectors: tuple[str, ...]
    trained_on: tuple[TrainedOn, ...]
    references: tuple[str, ...]
    budget: Budget
    side: int = 256
    pairs: int = 8
    most: int = 300
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Row:
    """One detector's figures.

    Attributes:
        detector, trained_on: which, and on what: `pairs`, `selfblends`, `both`, `as shipped` or `nothing`.
        parameters: weights that are trained.
        sets: its figures by set.
        settings: all that decided them.
        crops, seconds: what its training spent; 0 for references.
        losses: (crops seen, loss).
    """

    detector: str
    trained_on: str
    parameters: int
    sets: dict[str, SetFigures]
    settings: dict[str, Any]
    crops: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.detector}, {self.trained_on}"


_ROW = TypeAdapter(Row)


def as_document(row: Row) -> dict[str, Any]:
    """Plain values for JSON."""
    document: dict[str, Any] = _ROW.dump_python(row, mode="json")
    return document


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told how it goes.

    Attributes:
        training: called with the row, the share of its budget, what was reached, and the step's loss.
        judging: called with the row and the share of its crops.
    """

    training: Callable[[str, float, Reached, float], None] = lambda row, share, reached, loss: None
    judging: Callable[[str, float], None] = lambda row, share: None


def check(plan: Plan) -> None:
    """Fail before hours of work rather than after.

    Raises:
        UnknownModel: a detector or reference is not known.
        ConfigError, CorruptWeights: a reference cannot be read.
        DataError: nothing is to be compared, or two references share a name.
    """
    if not plan.detectors and not plan.references:
        raise DataError("compare", "nothing to compare", "name detectors or references")
    for name in plan.detectors:
        must_be_known(name)
    for name in plan.references:
        if name != BLUR:
            load(name)
    labels = [_label(name) for name in plan.references]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise DataError("compare", f"two references are called {', '.join(sorted(twice))}", "rename a folder")


def compare(config: TrainConfig, packs: Path, plan: Plan, out: Path, watcher: Watcher = Watcher()) -> list[Row]:
    """Train and judge what is not yet finished in `out`.

    Each row has a folder there: `checkpoint.pt` while and after it is trained, `row.json` once it is judged. A row
    that was judged on another number of crops is judged again, not trained again.

    Args:
        config: seed, and the shares of what is drawn of the packs.
        packs: the folder of the packs `pairs`, `selfblend`, `validation` and `calibration`.
        plan: what to compare.
        out: where rows go.
        watcher: is told how it goes.

    Returns all finished rows of `out`, those of earlier calls among them.

    Raises:
        DataError: a pack is missing, or `out` holds rows that were made with other settings.
        UnknownModel, ConfigError, CorruptWeights: see `check`.
        OutputError: `out` cannot be written.
    """
    check(plan)
    trained = open_packs(packs)
    common = _common(config, packs, plan)
    finished = _finished(out, common)
    run = _Run(config, trained, packs, plan, out, watcher, common)
    run.look()
    for name in plan.references:
        row = run.reference(name, finished)
        finished[row.name] = row
    for material in plan.trained_on:
        for name in plan.detectors:
            row = run.trained(name, material, finished)
            finished[row.name] = row
    return sorted(finished.values(), key=lambda row: (ORDER.index(row.trained_on), row.detector))


class _Run:
    def __init__(
        self,
        config: TrainConfig,
        trained: Packs,
        folder: Path,
        plan: Plan,
        out: Path,
        watcher: Watcher,
        common: dict[str, Any],
    ) -> None:
        self._config, self._packs, self._folder, self._plan = config, trained, folder, plan
        self._out, self._watcher, self._common = out, watcher, common
        self._sets: dict[int, list[CrossSet]] = {}

    def look(self) -> None:
        """Open everything that will be needed, so that what is missing is told before hours of work."""
        self._cross_sets(self._plan.side)
        for material in self._plan.trained_on if self._plan.detectors else ():
            training_packs(self._packs, material)

    def reference(self, name: str, finished: dict[str, Row]) -> Row:
        """A row that nothing is trained for."""
        if name == BLUR:
            row = Row(BLUR, KNOWS_NOTHING, 0, {}, self._settings(BLUR, KNOWS_NOTHING))
            return _same(finished, row) or self._judged(row, blur_judge, self._plan.side, probability=False)
        model = load(name)
        label = _label(name)
        settings = {**self._settings(label, AS_SHIPPED), "weights": model.spec.digest}
        row = Row(label, AS_SHIPPED, _parameters(model.network), {}, settings)
        return _same(finished, row) or self._judged(row, shipped_judge(model), model.spec.size)

    def trained(self, name: str, material: TrainedOn, finished: dict[str, Row]) -> Row:
        """A row trained within the budget."""
        plan = self._plan
        new = learner(name, self._config, plan.side)
        row = Row(name, material, _parameters(new.network), {}, self._settings(name, material))
        if same := _same(finished, row):
            return same
        trainer = self._trainer(new, row, material)
        trainer.run(lambda reached, loss: self._watcher.training(row.name, reached.share(plan.budget), reached, loss))
        reached = trainer.reached
        row = replace(row, crops=reached.crops, seconds=reached.seconds, losses=reached.losses)
        return self._judged(row, trainer.probabilities, plan.side, frames=new.frames)

    def _trainer(self, new: Learner, row: Row, material: TrainedOn) -> ComparisonTrainer:
        plan = self._plan
        config = training_config(self._config, material, plan.side, max(1, plan.pairs // new.frames))
        # How many crops are judged has no part in the weights.
        identity = {key: value for key, value in row.settings.items() if key != "most"}
        return ComparisonTrainer(
            new,
            Material(config, training_packs(self._packs, material), new.frames),
            plan.budget,
            identity,
            self._place(row) / "checkpoint.pt",
            plan.device,
            self._config.train.seed,
        )

    def _judged(self, row: Row, judge: Judge, side: int, *, frames: int = 1, probability: bool = True) -> Row:
        sets = self._cross_sets(side)
        total, figures = sum(len(tested.chosen) for tested in sets), {}
        before = 0
        for tested in sets:
            started = before

            def advance(done: int, started: int = started) -> None:
                self._watcher.judging(row.name, (started + done) / total)

            judged = judge_set(judge, tested, frames, advance)
            figures[tested.name] = set_figures(judged, probability=probability)
            before += len(tested.chosen)
        row = replace(row, sets=figures)
        try:
            self._place(row).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(str(self._out), f"cannot be written ({error.strerror})", "choose another") from error
        write_bytes(self._place(row) / "row.json", _ROW.dump_json(row, indent=1))
        return row

    def _cross_sets(self, side: int) -> list[CrossSet]:
        if side not in self._sets:
            seed = self._config.train.seed
            self._sets[side] = cross_sets(self._folder, self._packs, side=side, most=self._plan.most, seed=seed)
        return self._sets[side]

    def _settings(self, detector: str, trained_on: str) -> dict[str, Any]:
        return {**self._common, "detector": detector, "trained_on": trained_on, "most": self._plan.most}

    def _place(self, row: Row) -> Path:
        return self._out / f"{row.detector}-{row.trained_on.replace(' ', '_')}"


def _label(reference: str) -> str:
    """What a reference is called in tables: its name, or its folder's."""
    return Path(reference).resolve().name


def _same(finished: dict[str, Row], row: Row) -> Row | None:
    found = finished.get(row.name)
    return found if found is not None and found.settings == row.settings else None


def _common(config: TrainConfig, packs: Path, plan: Plan) -> dict[str, Any]:
    """What must be alike in all rows, or they could not be compared; as JSON would give it back."""
    settings = {
        "budget": asdict(plan.budget),
        "side": plan.side,
        "pairs": plan.pairs,
        "train": config.train.model_dump(mode="json"),
        "packs": {name: _digest(packs / name / "index.json") for name in PACKS},
    }
    read: dict[str, Any] = json.loads(json.dumps(settings))
    return read


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""


def _finished(out: Path, common: dict[str, Any]) -> dict[str, Row]:
    rows = {}
    for path in sorted(out.glob("*/row.json")):
        try:
            row = _ROW.validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise DataError(str(path), "damaged or of another version", "remove it to judge that row again") from error
        if other := [key for key, value in common.items() if row.settings.get(key) != value]:
            raise DataError(
                str(path), f"made with other settings ({', '.join(other)})", "give another `--out`, or those settings"
            )
        rows[row.name] = row
    return rows


def _parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
