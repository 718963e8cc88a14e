"""Figures with intervals from records: by set, by program, and of all sets at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamguard.training.evaluation.alerts import Alarms, Delays, alarms_by, delays_of
from streamguard.training.evaluation.errors_by import ErrorBin, errors_by
from streamguard.training.evaluation.metrics import (
    Bools,
    Figure,
    Floats,
    Reliability,
    auc_figure,
    draw,
    ratio_figure,
    reliability,
)
from streamguard.training.evaluation.records import ClipRecord, Evaluation, FrameRecord

Ints: TypeAlias = NDArray[np.int64]
Pair: TypeAlias = tuple[ClipRecord, FrameRecord, FrameRecord]
"""A registered fake clip, a frame of it, and the same frame of the real one."""
N_BOOT = 1000
ALL = "all sets"
KNOWS_NOTHING: Mapping[str, Callable[[ClipRecord, FrameRecord], float | None]] = {
    "blur": lambda clip, frame: frame.looks.get("blur"),
    "brightness": lambda clip, frame: frame.looks.get("brightness"),
    "picture size": lambda clip, frame: float(clip.width * clip.height),
    "bit rate": lambda clip, frame: clip.bit_rate,
}
"""Scores that know nothing of a manipulation: what a detector has to beat."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """Figures of yes-or-no decisions; "positive" means fake.

    Attributes:
        auc: of the calibrated scores (a clip's score is the mean over its judged frames).
        accuracy, precision, recall, f1: of the verdicts.
        false_alarms: share of the real ones that were called fake.
        naive_accuracy: accuracy 0..1 of always answering the more frequent class; None when nothing was judged.
    """

    auc: Figure
    accuracy: Figure
    precision: Figure
    recall: Figure
    f1: Figure
    false_alarms: Figure
    naive_accuracy: float | None


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """The figures of one set, of one program's fakes in it, or of all sets.

    Attributes:
        name: `set`, `set/program` or `ALL`.
        fakes, reals: clips and pictures, those without a judged frame included.
        borrowed: the real ones are those of other sets, as this one has none.
        groups: of all of them.
        frames, judged: of all of them.
        by_frame, by_clip: figures of frames, pictures among them, and of clips.
        unsure: share of the judged frames that are called unsure.
        above: share of the frames of registered fakes whose score is above that of the same frame of the real one.
        dice: mean over such frames of Dice on the fake one and on the real one, where only an empty mask is right.
        ellipse: the same of a fixed ellipse in the face box.
        baselines: AUC of what knows nothing, of frames and of clips.
    """

    name: str
    fakes: int
    reals: int
    borrowed: bool
    groups: int
    frames: int
    judged: int
    by_frame: Decisions
    by_clip: Decisions
    unsure: Figure
    above: Figure
    dice: Figure
    ellipse: Figure
    baselines: Mapping[str, tuple[Figure, Figure]]


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of one evaluation.

    Attributes:
        rows: each set, with its programs after it where it has several; all sets at the end.
        alarms: on real clips, by set and kind of recording; all at the end.
        delays: on fake clips, by set and program; all at the end.
        unjudged: frames that were not judged, by reason.
        reliability: how often the calibrated score came true; None when nothing was judged.
        errors: frame errors by what the quality gate looks at.
    """

    rows: tuple[SummaryRow, ...]
    alarms: tuple[Alarms, ...]
    delays: tuple[Delays, ...]
    unjudged: Mapping[str, int]
    # Arrays have no truth value to compare by; every other figure comes of the same scores.
    reliability: Reliability | None = field(compare=False)
    errors: Mapping[str, tuple[ErrorBin, ...]]
    n_boot: int = N_BOOT
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = asdict(self)
        if self.reliability is not None:
            plain["reliability"] = self.reliability.to_dict()
        return plain


def summarise(evaluation: Evaluation, *, n_boot: int = N_BOOT, seed: int = 0) -> Summary:
    """Every figure of the evaluation.

    Args:
        evaluation: the records.
        n_boot: resamples of the groups for each interval.
        seed: of the resampling: equal seeds give equal intervals.
    """
    clips = evaluation.clips
    fakes = [clip for clip in clips if clip.label and not clip.still]
    return Summary(
        rows=rows_of(clips, n_boot=n_boot, seed=seed),
        alarms=alarms_by(clips),
        delays=tuple(delays_of(part.name, part.fakes, n_boot=n_boot, seed=seed) for part in parts_of(fakes)),
        unjudged=dict(Counter(frame.reason or "" for clip in clips for frame in clip.frames if not frame.judged)),
        reliability=reliability(*frame_scores(clips)),
        errors=errors_by(clips),
        n_boot=n_boot,
        seed=seed,
    )


def rows_of(
    clips: Sequence[ClipRecord], *, programs: bool = True, n_boot: int = N_BOOT, seed: int = 0
) -> tuple[SummaryRow, ...]:
    """The figures of each set, and at the end of all sets.

    Args:
        clips: of any sets.
        programs: of each program's fakes as well, where a set holds those of several.
        n_boot, seed: as `summarise`.
    """
    named = {clip.name: clip for clip in clips}
    return tuple(_row(part, named, n_boot, seed) for part in parts_of(clips, programs=programs))


@dataclass(frozen=True, slots=True)
class Part:
    """The fakes of a set, or of one program in it, and the real ones they are told from; fields as of `SummaryRow`."""

    name: str
    fakes: Sequence[ClipRecord]
    reals: Sequence[ClipRecord]
    borrowed: bool = False


def parts_of(clips: Sequence[ClipRecord], *, programs: bool = True) -> list[Part]:
    """Parts that figures are given of: arguments and order as `rows_of`."""
    parts = []
    reals = [clip for clip in clips if not clip.label]
    for name in sorted({clip.set for clip in clips}):
        own = _called(clips, name)
        kinds = sorted({clip.program for clip in own if clip.label})
        # Clips are told from clips and pictures from pictures, where there are any.
        alike = [clip for clip in reals if clip.still in {each.still for each in own}]
        against = [clip for clip in own if not clip.label] or alike or reals
        borrowed = all(clip.label for clip in own)
        parts += [
            Part(each, [clip for clip in _called(own, each) if clip.label], against, borrowed)
            for each in (name, *(f"{name}/{kind}" for kind in kinds if programs and len(kinds) > 1))
        ]
    return [*parts, Part(ALL, [clip for clip in clips if clip.label], reals)] if parts else []


def clip_score(clip: ClipRecord) -> float | None:
    """Mean calibrated score 0..1 over the judged frames; None when there are none."""
    scores = [frame.score for frame in clip.frames if frame.score is not None]
    return float(np.mean(scores)) if scores else None


def clip_verdict(clip: ClipRecord) -> bool | None:
    """The video rule of Preste's articles: fake when more than half of the judged frames are; None without any."""
    judged = clip.judged
    return 2 * sum(bool(frame.fake) for frame in judged) > len(judged) if judged else None


def frame_scores(clips: Sequence[ClipRecord]) -> tuple[Floats, Bools]:
    """Scores, float64 [N], and labels, bool [N], of all judged frames."""
    rows = [(frame.score, clip.label) for clip in clips for frame in clip.judged]
    return np.array([row[0] for row in rows], dtype=np.float64), np.array([row[1] for row in rows], dtype=bool)


def _called(clips: Sequence[ClipRecord], name: str) -> list[ClipRecord]:
    return [clip for clip in clips if name in {clip.set, f"{clip.set}/{clip.program}", ALL}]


class _Groups:
    """The groups of some clips, drawn again and again; `units` are numbers of groups, int64 [N]."""

    def __init__(self, clips: Sequence[ClipRecord], n_boot: int, seed: int) -> None:
        held: dict[str, set[bool]] = {}
        for clip in clips:
            held.setdefault(clip.group, set()).add(clip.label)
        self.place = {group: number for number, group in enumerate(sorted(held))}
        kinds = [held[group].copy().pop() if len(held[group]) == 1 else None for group in self.place]
        self.drawn = draw(kinds, n_boot=n_boot, seed=seed)

    def units(self, clips: Iterable[ClipRecord]) -> Ints:
        return np.array([self.place[clip.group] for clip in clips], dtype=np.int64)

    def ratio(self, units: Ints, over: ArrayLike, under: ArrayLike, reason: str) -> Figure:
        """The sum of one over the sum of the other."""
        size = len(self.place)
        top, bottom = (
            np.bincount(units, np.asarray(each, dtype=np.float64), size).astype(np.float64) for each in (over, under)
        )
        return ratio_figure(top, bottom, self.drawn, np.bincount(units, minlength=size) > 0, reason)

    def auc(self, units: Ints, scores: Floats, label: Bools) -> Figure:
        """AUC of the scores that are numbers."""
        known = ~np.isnan(scores)
        order = np.argsort(units[known], kind="stable")
        ends = np.cumsum(np.bincount(units[known], minlength=len(self.place)))[:-1]
        parts = (np.split(values[known][order], ends) for values in (scores, label))
        return auc_figure(list(zip(*parts, strict=True)), self.drawn)

    def decisions(self, units: Ints, scores: Floats, label: Bools, fake: Bools) -> Decisions:
        nothing = "nothing was judged"
        hits, fakes = label & fake, int(label.sum())
        return Decisions(
            auc=self.auc(units, scores, label),
            accuracy=self.ratio(units, label == fake, np.ones(label.size), nothing),
            precision=self.ratio(units, hits, fake, "nothing was called fake" if label.size else nothing),
            recall=self.ratio(units, hits, label, "nothing fake was judged"),
            f1=self.ratio(units, 2.0 * hits, 1.0 * label + fake, "nothing fake was judged or called fake"),
            false_alarms=self.ratio(units, ~label & fake, ~label, "nothing real was judged"),
            naive_accuracy=max(fakes, label.size - fakes) / label.size if label.size else None,
        )


def _row(part: Part, named: Mapping[str, ClipRecord], n_boot: int, seed: int) -> SummaryRow:
    clips = [*part.fakes, *part.reals]
    groups = _Groups(clips, n_boot, seed)
    judged = [(clip, frame) for clip in clips for frame in clip.judged]
    units = groups.units(clip for clip, _ in judged)
    label = np.array([clip.label for clip, _ in judged], dtype=bool)
    table = _table([[frame.score, *_blind(clip, frame)] for clip, frame in judged])
    videos = [clip for clip in clips if clip.judged and not clip.still]
    video_units, video_label = groups.units(videos), np.array([clip.label for clip in videos], dtype=bool)
    video_table = _table([[clip_score(clip), *_mean_blind(clip)] for clip in videos])
    pairs = [
        (clip, frame, real)
        for clip in part.fakes
        if clip.partner in named
        for frame, real in _same_frames(clip, named[clip.partner])
    ]
    masked = [pair for pair in pairs if pair[1].dice is not None]

    def mean(of: Sequence[Pair], values: Sequence[float]) -> Figure:
        none = "no fake is registered with a real one"
        return groups.ratio(groups.units(clip for clip, _, _ in of), values, np.ones(len(of)), none)

    return SummaryRow(
        name=part.name,
        fakes=len(part.fakes),
        reals=len(part.reals),
        borrowed=part.borrowed,
        groups=len(groups.place),
        frames=sum(len(clip.frames) for clip in clips),
        judged=len(judged),
        by_frame=groups.decisions(
            units, table[:, 0], label, np.array([bool(frame.fake) for _, frame in judged], dtype=bool)
        ),
        by_clip=groups.decisions(
            video_units, video_table[:, 0], video_label, np.array([clip_verdict(clip) for clip in videos], dtype=bool)
        ),
        unsure=groups.ratio(units, [f.unsure for _, f in judged], np.ones(len(judged)), "nothing was judged"),
        above=mean(pairs, [(fake.score or 0.0) > (real.score or 0.0) for _, fake, real in pairs]),
        dice=mean(masked, [((fake.dice or 0.0) + (real.area == 0)) / 2 for _, fake, real in masked]),
        ellipse=mean(masked, [(fake.ellipse or 0.0) / 2 for _, fake, _ in masked]),
        baselines={
            name: (
                groups.auc(units, table[:, column], label),
                groups.auc(video_units, video_table[:, column], video_label),
            )
            for column, name in enumerate(KNOWS_NOTHING, start=1)
        },
    )


def _table(rows: Sequence[Sequence[float | None]]) -> Floats:
    """float64 [N, 1 + baselines], not a number where there is none."""
    return np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(KNOWS_NOTHING))


def _blind(clip: ClipRecord, frame: FrameRecord) -> list[float | None]:
    return [look(clip, frame) for look in KNOWS_NOTHING.values()]


def _mean_blind(clip: ClipRecord) -> list[float | None]:
    columns = zip(*(_blind(clip, frame) for frame in clip.judged), strict=True)
    return [float(np.mean(known)) if (known := [v for v in column if v is not None]) else None for column in columns]


def _same_frames(fake: ClipRecord, real: ClipRecord) -> list[tuple[FrameRecord, FrameRecord]]:
    at = {frame.index: frame for frame in real.judged}
    return [(frame, at[frame.index]) for frame in fake.judged if frame.index in at]
