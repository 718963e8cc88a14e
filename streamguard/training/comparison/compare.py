"""The whole comparison: each network learns from each choice of sets for the same time; all are tested on all sets."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from streamguard.errors import ConfigError, DataError, UnknownModel
from streamguard.models import LoadedModel, load
from streamguard.models.comparison import CLASSIFIER, NETWORKS, fresh_classifier
from streamguard.models.engine_graph import EngineGraph
from streamguard.models.networks import SHAPES
from streamguard.models.store import CROP_MARGIN
from streamguard.training.comparison.figures import (
    BASELINES,
    GRID,
    best_threshold,
    cross_figures,
    mask_levels,
    pair_dices,
    score_levels,
)
from streamguard.training.comparison.rows import (
    ALL,
    AS_SHIPPED,
    KNOWS_NOTHING,
    ComparisonRow,
    check_alike,
    digest,
    read_rows,
    write_row,
)
from streamguard.training.drawing import PairDrawer
from streamguard.training.evaluation.metrics import Floats
from streamguard.training.held_out import BATCH, HeldOutCrops
from streamguard.training.pack import CropPack, open_packs
from streamguard.training.recipe import IMAGENET, Recipe, StageTable
from streamguard.training.trainer import Trainer
from streamguard.verdict import raw_score

STEPS = 1_000_000
"""Of the recipe that is learned by: more than fit into any time."""
WARMUP = 0.03
"""Share of the time in which the learning rate rises."""
Advance = Callable[[str, float, str], None]
"""Takes a row's name, the share of its time that is over, 0..1, and a remark."""


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """Plan of a comparison.

    Attributes:
        recipe: sources, views, rates and batch size; its network alone may start from ImageNet.
        packs: folder of the packs.
        networks: segmentation networks and classifiers.
        trained_on: `all`, or sets of the recipe; a row for each network and choice.
        references: finished detectors (names, folders) and baselines.
        seconds: that each network learns.
        workers: threads that learn, of a CPU.
        device: `cpu` or `cuda`.
        most: examples judged of each set and program.
    """

    recipe: Recipe
    packs: Path
    networks: tuple[str, ...]
    trained_on: tuple[str, ...]
    references: tuple[str, ...]
    seconds: float
    workers: int = 1
    device: str = "cpu"
    most: int = 120


def compare(plan: ComparisonPlan, out: Path, advance: Advance = lambda name, share, note: None) -> list[ComparisonRow]:
    """Train and judge what is not yet finished in `out/rows`.

    A row's file is there from its begin, so that a second call knows what its checkpoint was made with.

    Returns all finished rows of `out`, those of earlier calls among them.

    Raises:
        UnknownModel: a network or a reference is not known.
        ConfigError: no source of the recipe has a set, or a reference cannot be read.
        DataError: packs are missing, nothing is to be compared, or a row was made with other settings.
        OutputError: `out` cannot be written.
    """
    comparison = _Comparison(plan, out, advance)
    wanted = comparison.wanted()
    for row in wanted:
        comparison.finish(row)
    return sorted((row for row in comparison.rows.values() if row.cells), key=lambda row: row.place)


def only(recipe: Recipe, name: str) -> Recipe:
    """The recipe with the sources that have the set, and nothing but that set of theirs; `all`: as it is.

    Reals from elsewhere stay: a set of fakes alone would teach nothing.

    Raises:
        ConfigError: no source has it.
    """
    if name == ALL:
        return recipe
    sources = []
    for source in recipe.sources:
        if name in (source.reals if source.blends else source.fakes):
            fakes = () if source.blends else (name,)
            reals = (name,) if name in source.reals else source.reals
            sources.append(source.model_copy(update={"fakes": fakes, "reals": reals}))
    if not sources:
        raise ConfigError(
            f"trained on {name}",
            "no source of the recipe learns from that set",
            f"choose all, {', '.join(recipe.sets)}",
        )
    return recipe.model_copy(update={"sources": tuple(sources)})


def home_of(recipe: Recipe) -> tuple[str, ...]:
    """The sets whose fakes are learned from, or whose real faces are blended to fakes; sorted."""
    names = {name for source in recipe.sources for name in (source.reals if source.blends else source.fakes)}
    return tuple(sorted(names))


def timed(recipe: Recipe, network: str) -> Recipe:
    """The recipe for another network and for a given time: one stage of the last one's patches.

    Its start is kept only if it is ImageNet and the network the recipe's: another detector has seen other sets.
    """
    last = recipe.stages[-1]
    rate = max(stage.rate[0] for stage in recipe.stages), last.rate[1]
    stage = StageTable(steps=STEPS, patch=last.patch, pairs=last.pairs, rate=rate)
    start = IMAGENET if (network, recipe.start_from) == (recipe.network, IMAGENET) else ""
    changes = {"network": network, "start_from": start, "stages": (stage,), "warmup_steps": round(WARMUP * STEPS)}
    return recipe.model_copy(update=changes)


class _Comparison:
    def __init__(self, plan: ComparisonPlan, out: Path, advance: Advance) -> None:
        self._plan, self._out, self._advance = plan, out, advance
        self._validation = open_packs(plan.packs / "validation")
        self._held: dict[float, HeldOutCrops] = {}
        self.rows = read_rows(out / "rows")

    def wanted(self) -> list[ComparisonRow]:
        """The plan's rows, unfinished, after all that can be known to be wrong was looked for."""
        for label in ("fake", "real"):
            if not any((getattr(pack, label) >= 0).any() for pack in self._validation):
                raise DataError(str(self._plan.packs / "validation"), f"no {label} face to test on", "pack more sets")
        plan, judged = self._plan, {"most": self._plan.most, "validation packs": digest(self._validation)}
        text = plan.recipe.model_dump_json(exclude={"name"})
        learned = {
            "recipe": hashlib.sha256(text.encode()).hexdigest()[:12],
            **{key: getattr(plan, key) for key in ("seconds", "workers", "device")},
        }
        wanted = [self._reference(name, judged) for name in plan.references]
        for choice in plan.trained_on if plan.networks else ():
            recipe = only(plan.recipe, choice)
            packs = self._training(recipe)
            settings = {**judged, **learned, "training packs": digest(packs)}
            PairDrawer(recipe, packs, recipe.stages[-1].patch, CROP_MARGIN)
            for network in plan.networks:
                if network not in SHAPES and network not in NETWORKS:
                    names = ", ".join((*SHAPES, *NETWORKS))
                    raise UnknownModel(network, "no network of that name", f"choose one of {names}")
                start = timed(recipe, network).start_from
                wanted.append(ComparisonRow(network, choice, settings, home=home_of(recipe), start=start))
        asked = [row.name for row in wanted]
        if len(set(asked)) < max(1, len(asked)):
            twice = ", ".join(sorted({name for name in asked if asked.count(name) > 1}))
            cause = f"asked for twice: {twice}" if twice else "nothing to compare"
            raise DataError("compare", cause, "name networks or references, each once")
        for row in self.rows.values():
            check_alike(row, self._out / "rows", {**judged, **learned} if row.home else judged)
        for row in wanted:
            if row.name in self.rows:
                check_alike(self.rows[row.name], self._out / "rows", row.settings)
        return wanted

    def finish(self, row: ComparisonRow) -> None:
        """Train it if it is to be, judge it, and keep it; nothing if it is there."""
        if row.name in self.rows and self.rows[row.name].cells:
            return
        write_row(row, self._out / "rows")
        if row.trained_on == KNOWS_NOTHING:
            held = self._crops(CROP_MARGIN)
            scores = np.array([BASELINES[row.network](crop.pixels) for crop in held.crops])
            row = replace(row, cells=cross_figures(held.crops, scores, np.full(len(scores), np.nan)))
        elif row.trained_on == AS_SHIPPED:
            model = load(row.settings["place"])
            row = self._judged(replace(row, weights=_weights(model.network)), model)
        else:
            row = self._judged(*self._trained(row))
        self.rows[row.name] = row
        write_row(row, self._out / "rows")
        shutil.rmtree(self._checkpoint(row).parent, ignore_errors=True)
        self._advance(row.name, 1.0, "")

    def _reference(self, name: str, judged: dict[str, Any]) -> ComparisonRow:
        if name in BASELINES:
            return ComparisonRow(name, KNOWS_NOTHING, judged)
        settings = {**judged, "place": name, "weights": load(name).spec.digest}
        return ComparisonRow(Path(name).resolve().name, AS_SHIPPED, settings)

    def _trained(self, row: ComparisonRow) -> tuple[ComparisonRow, LoadedModel]:
        plan, recipe = self._plan, timed(only(self._plan.recipe, row.trained_on), row.network)
        side = recipe.stages[-1].patch
        model = fresh_classifier(row.network, side, recipe.seed) if row.network in NETWORKS else None
        packs = self._training(recipe)
        trainer = Trainer(recipe, packs, None, self._checkpoint(row), plan.device, plan.workers, model)
        left = plan.seconds - trainer.reached.seconds
        if left > 0:
            trainer.run(
                lambda reached: self._advance(row.name, reached.seconds / plan.seconds, f"loss {reached.loss:.3f}"),
                left,
                paced=True,
            )
        reached = trainer.reached
        row = replace(row, steps=reached.step, patches=reached.patches, seconds=round(reached.seconds, 1))
        return replace(row, weights=_weights(trainer.model.network)), trainer.averaged()

    def _judged(self, row: ComparisonRow, model: LoadedModel) -> ComparisonRow:
        """The row with its threshold, chosen on the sets that it learned from, or its own, and with its figures."""
        self._advance(row.name, 1.0, "judging")
        held, spec = self._crops(model.spec.margin), model.spec
        grid = (spec.threshold,) if row.trained_on == AS_SHIPPED else GRID
        if spec.architecture == CLASSIFIER:
            scores, dices = _answers(model, held), np.full(len(held.crops), np.nan)
            levels = score_levels(scores, grid)
        else:
            maps = held.maps(model)
            scores, dices = np.array([raw_score(each) for each in maps]), pair_dices(held.crops, maps)
            levels = mask_levels(maps, spec.smallest_component, grid)
        place: int | None = 0
        if row.trained_on != AS_SHIPPED:
            place = best_threshold(held.crops, levels, row.home, only(self._plan.recipe, row.trained_on).sets)
        if place is None:
            return replace(row, cells=cross_figures(held.crops, scores, dices))
        return replace(row, threshold=grid[place], cells=cross_figures(held.crops, scores, dices, levels > place))

    def _crops(self, margin: float) -> HeldOutCrops:
        if margin not in self._held:
            self._held[margin] = HeldOutCrops(self._validation, margin, self._plan.most)
        return self._held[margin]

    def _training(self, recipe: Recipe) -> list[CropPack]:
        return open_packs(self._plan.packs / "train", recipe.sets)

    def _checkpoint(self, row: ComparisonRow) -> Path:
        return self._out / "checkpoints" / row.stem / "checkpoint.pt"


def _answers(model: LoadedModel, held: HeldOutCrops) -> Floats:
    """float64 [N]: a classifier's probability of each crop, unrounded: many are near 0 or 1."""
    graph, answers = EngineGraph(model.spec, model.network).eval(), []
    with torch.inference_mode():
        for start in range(0, len(held.crops), BATCH):
            pixels = np.stack([crop.pixels for crop in held.crops[start : start + BATCH]])
            answers.append(graph(torch.from_numpy(pixels)).double().numpy())
    return np.concatenate(answers)


def _weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
