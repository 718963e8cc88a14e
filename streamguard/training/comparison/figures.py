"""From scores to the figures of one set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamguard.training.comparison.crosssets import CrossSet
from streamguard.training.evaluation.bootstrap import Figure, auc_figure, draw, ratio_figure
from streamguard.training.evaluation.metrics import Bools, Floats, auc
from streamguard.types import UInt8Array

Judge = Callable[[UInt8Array], Sequence[float]]
"""From crops, uint8 [N, P, P, 3] or [N, frames, P, P, 3], to scores: higher is more fake, above 0.5 is fake."""
BATCH = 8
"""Triples judged at a time."""
N_BOOT = 2000
NAMED = 6
"""Persons up to which each one's AUC is told."""
ABOVE = 0.5


@dataclass(frozen=True, slots=True)
class Judged:
    """One crop, or track, with its score; `label` is true for fake."""

    person: str
    clip: str
    label: bool
    score: float


@dataclass(frozen=True, slots=True)
class SetFigures:
    """What a detector reaches on one set; intervals by bootstrap over clip halves, of `persons` over persons.

    Attributes:
        frames: AUC over all crops.
        videos: AUC over clip halves, each with its mean score.
        persons: mean over persons of the AUC among the person's own crops.
        accuracy: share of the crops that are on the right side of a score of 0.5; None where a score is no probability.
        by_person: each person's AUC, where there are few.
        crops: how many were judged.
    """

    frames: Figure
    videos: Figure
    persons: Figure
    accuracy: Figure
    by_person: dict[str, float] = field(default_factory=dict)
    crops: int = 0


def judge_set(
    judge: Judge, tested: CrossSet, frames: int = 1, advance: Callable[[int], None] = lambda done: None
) -> list[Judged]:
    """Every chosen triple's real and fake half, scored.

    Args:
        judge: scores.
        tested: the set.
        frames: 1 for a judge of crops, more for one of tracks.
        advance: called with the triples done so far.
    """
    judged = []
    for start in range(0, len(tested.chosen), BATCH):
        rows = tested.chosen[start : start + BATCH]
        crops = [view for row in rows for view in tested.views(row, frames)]
        scores = iter(judge(np.stack(crops)))
        for row in rows:
            entry = tested.entries[row]
            judged += [Judged(entry.person, entry.clip, label, next(scores)) for label in (False, True)]
        advance(start + len(rows))
    return judged


def set_figures(judged: Sequence[Judged], *, probability: bool = True, seed: int = 0) -> SetFigures:
    """The figures of one set.

    Args:
        judged: its scores.
        probability: whether 0.5 means anything to them.
        seed: of the resampling: equal seeds give equal intervals.
    """
    halves: dict[tuple[str, bool], list[float]] = defaultdict(list)
    persons: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        halves[each.clip, each.label].append(each.score)
        persons[each.person].append(each)
    labels = [label for _, label in halves]
    drawn = draw(labels, n_boot=N_BOOT, seed=seed)
    parts: list[tuple[Floats, Bools]] = [
        (np.array(scores), np.full(len(scores), label)) for (_, label), scores in halves.items()
    ]
    means: list[tuple[Floats, Bools]] = [(scores.mean(keepdims=True), truth[:1]) for scores, truth in parts]
    sizes = np.array([scores.size for scores, _ in parts], dtype=np.float64)
    right = np.array([((scores > ABOVE) == truth).sum() for scores, truth in parts], dtype=np.float64)
    own = {name: auc([e.score for e in each], [e.label for e in each]) for name, each in sorted(persons.items())}
    known = {name: value for name, value in own.items() if value is not None}
    values, ones = np.array(list(known.values())), np.ones(len(known))
    alike = draw([True] * len(known), n_boot=N_BOOT, seed=seed)
    return SetFigures(
        frames=auc_figure(parts, drawn),
        videos=auc_figure(means, drawn),
        persons=ratio_figure(values, ones, alike, ones > 0, "nobody was judged both real and fake"),
        accuracy=ratio_figure(right, sizes, drawn, sizes > 0, "nothing was judged")
        if probability
        else Figure(None, reason="its score is no probability"),
        by_person=known if len(known) <= NAMED else {},
        crops=len(judged),
    )
