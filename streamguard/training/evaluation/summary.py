"""From records to figures with intervals: frames, videos, masks, baselines and groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from streamguard.training.evaluation.alerts import Alerts, alerts_of
from streamguard.training.evaluation.bootstrap import Figure, Resamples, auc_figure, draw, ratio_figure
from streamguard.training.evaluation.calibrate import Reliability, reliability
from streamguard.training.evaluation.errors_by import ErrorBin, errors_by
from streamguard.training.evaluation.metrics import Bools, Floats, video_verdict
from streamguard.training.evaluation.records import ClipRecord, Evaluation, FrameRecord

N_BOOT = 2000


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was looked at.

    Attributes:
        clips, fake_clips: all clips, and the fake ones among them.
        clips_unjudged: clips without a single judged frame: they have no video verdict.
        frames, judged, unlabelled: all frames, those with a verdict, and judged ones without a known truth.
        unjudged: frames not judged, by reason.
    """

    clips: int
    fake_clips: int
    clips_unjudged: int
    frames: int
    judged: int
    unlabelled: int
    unjudged: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Figures of yes-or-no decisions; "positive" means fake.

    Attributes:
        auc: of the calibrated scores (a clip's score is the mean over its judged frames).
        accuracy, precision, recall, f1: of the verdicts.
        naive_accuracy: accuracy 0..1 of always answering the more frequent class; None when nothing was
            judged.
    """

    auc: Figure
    accuracy: Figure
    precision: Figure
    recall: Figure
    f1: Figure
    naive_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Masks:
    """Mean agreement of masks over frames: of the fake frames alone, and of fake and real frames together."""

    dice_fake: Figure
    dice_both: Figure
    iou_fake: Figure
    iou_both: Figure


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a know-nothing score reaches. Below 0.5 it separates as well, the other way round."""

    frame_auc: Figure
    video_auc: Figure


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """The figures of one group.

    Attributes:
        counts, frames, videos: of the group's own clips, except AUC as said by `against`.
        against: the real ones that the group's fakes are ranked against: "own", or "all real clips" where the
            group (a generator, say) has none of its own.
        dice_fake: mean Dice over the group's fake frames.
        alerts: of the live vote, over the group's own clips.
    """

    counts: Counts
    frames: Decisions
    videos: Decisions
    against: str
    dice_fake: Figure
    alerts: Alerts


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of one evaluation.

    Attributes:
        alerts: of the live vote.
        reliability: how often the calibrated score came true; None when nothing was judged.
        errors: frame errors by what the quality gate looks at.
    """

    counts: Counts
    frames: Decisions
    videos: Decisions
    masks: Masks
    ellipse: Masks
    baselines: Mapping[str, Baseline]
    alerts: Alerts
    # Arrays have no truth value to compare by; every other figure comes of the same scores.
    reliability: Reliability | None = field(compare=False)
    errors: Mapping[str, tuple[ErrorBin, ...]]
    groups: Mapping[str, GroupSummary] = field(default_factory=dict)
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
        n_boot: resamples of the clips for each interval.
        seed: of the resampling: equal seeds give equal intervals.
    """
    clips = evaluation.clips
    drawn = draw([clip.label for clip in clips], n_boot=n_boot, seed=seed)
    names = sorted({name for clip in clips for frame in clip.frames for name in frame.baselines})
    groups = {
        group: _group([clip for clip in clips if clip.group == group], clips, n_boot=n_boot, seed=seed)
        for group in sorted({clip.group for clip in clips})
    }
    return Summary(
        counts=count(clips),
        frames=_frame_decisions(clips, drawn),
        videos=_video_decisions(clips, drawn),
        masks=_masks(clips, drawn, "dice", "iou"),
        ellipse=_masks(clips, drawn, "ellipse_dice", "ellipse_iou"),
        baselines={name: _baseline(clips, drawn, name) for name in names},
        alerts=alerts_of(clips, n_boot=n_boot, seed=seed),
        reliability=reliability(*pooled([frame_scores(clip) for clip in clips])),
        errors=errors_by(clips, drawn),
        groups=groups,
        n_boot=n_boot,
        seed=seed,
    )


def count(clips: Sequence[ClipRecord]) -> Counts:
    """How much there is and how much of it was judged."""
    frames = [frame for clip in clips for frame in clip.frames]
    return Counts(
        clips=len(clips),
        fake_clips=sum(clip.label for clip in clips),
        clips_unjudged=sum(not any(frame.judged for frame in clip.frames) for clip in clips),
        frames=len(frames),
        judged=sum(frame.judged for frame in frames),
        unlabelled=sum(frame.judged and frame.label is None for frame in frames),
        unjudged=dict(Counter(frame.reason or "no reason given" for frame in frames if not frame.judged)),
    )


def clip_score(clip: ClipRecord) -> float | None:
    """Mean calibrated score 0..1 over the judged frames; None when there are none."""
    scores = [frame.score for frame in clip.frames if frame.score is not None]
    return float(np.mean(scores)) if scores else None


def clip_verdict(clip: ClipRecord) -> bool | None:
    """The video rule's verdict; None when no frame was judged."""
    return video_verdict([bool(frame.fake) for frame in clip.frames if frame.judged])


def frame_scores(clip: ClipRecord, baseline: str | None = None) -> tuple[Floats, Bools]:
    """Scores, float64 [N], and labels, bool [N], of the judged frames whose truth is known.

    Args:
        clip: the clip.
        baseline: name of the know-nothing score to take in place of the detector's; frames without it are
            left out.
    """
    rows = [
        (frame.score if baseline is None else frame.baselines[baseline], frame.label)
        for frame in _labelled(clip)
        if baseline is None or baseline in frame.baselines
    ]
    return np.array([row[0] for row in rows], dtype=np.float64), np.array([row[1] for row in rows], dtype=bool)


def video_scores(clips: Sequence[ClipRecord], baseline: str | None = None) -> list[tuple[Floats, Bools]]:
    """Per clip its one score and label, or none when nothing was judged; arguments as `frame_scores`."""
    rows = []
    for clip in clips:
        if baseline is None:
            score = clip_score(clip)
        else:
            values = [f.baselines[baseline] for f in clip.frames if f.judged and baseline in f.baselines]
            score = float(np.mean(values)) if values else None
        known = [] if score is None else [score]
        rows.append((np.array(known, dtype=np.float64), np.full(len(known), clip.label)))
    return rows


def pooled(parts: Sequence[tuple[Floats, Bools]]) -> tuple[Floats, Bools]:
    """All clips' scores, float64 [N], and labels, bool [N], one after another."""
    if not parts:
        return np.zeros(0), np.zeros(0, dtype=bool)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _labelled(clip: ClipRecord) -> list[FrameRecord]:
    return [frame for frame in clip.frames if frame.judged and frame.label is not None]


def _frame_decisions(clips: Sequence[ClipRecord], drawn: Resamples) -> Decisions:
    pairs = [[(bool(f.label), bool(f.fake)) for f in _labelled(clip)] for clip in clips]
    return _decisions(pairs, auc_figure([frame_scores(clip) for clip in clips], drawn), drawn)


def _video_decisions(clips: Sequence[ClipRecord], drawn: Resamples) -> Decisions:
    pairs = []
    for clip in clips:
        verdict = clip_verdict(clip)
        pairs.append([] if verdict is None else [(clip.label, verdict)])
    return _decisions(pairs, auc_figure(video_scores(clips), drawn), drawn)


def _decisions(pairs: Sequence[Sequence[tuple[bool, bool]]], auc: Figure, drawn: Resamples) -> Decisions:
    table = np.zeros((len(pairs), 2, 2))
    for row, decided in zip(table, pairs, strict=True):
        for label, verdict in decided:
            row[int(label), int(verdict)] += 1
    quiet, alarms, misses, hits = table[:, 0, 0], table[:, 0, 1], table[:, 1, 0], table[:, 1, 1]
    total = table.sum(axis=(1, 2))
    present: Bools = total > 0
    everything = float(total.sum())
    nothing = "nothing was judged"

    def ratio(over: Floats, under: Floats, reason: str) -> Figure:
        return ratio_figure(over, under, drawn, present, reason if everything else nothing)

    return Decisions(
        auc=auc,
        accuracy=ratio(hits + quiet, total, nothing),
        precision=ratio(hits, hits + alarms, "nothing was called fake"),
        recall=ratio(hits, hits + misses, "nothing fake was judged"),
        f1=ratio(2 * hits, 2 * hits + misses + alarms, "nothing fake was judged and nothing was called fake"),
        naive_accuracy=float(max((hits + misses).sum(), (quiet + alarms).sum()) / everything) if everything else None,
    )


def _masks(clips: Sequence[ClipRecord], drawn: Resamples, dice: str, iou: str) -> Masks:
    return Masks(
        dice_fake=_mean_agreement(clips, drawn, dice, fake_only=True),
        dice_both=_mean_agreement(clips, drawn, dice, fake_only=False),
        iou_fake=_mean_agreement(clips, drawn, iou, fake_only=True),
        iou_both=_mean_agreement(clips, drawn, iou, fake_only=False),
    )


def _mean_agreement(clips: Sequence[ClipRecord], drawn: Resamples, key: str, *, fake_only: bool) -> Figure:
    sums, sizes = np.zeros(len(clips)), np.zeros(len(clips))
    for index, clip in enumerate(clips):
        values = [getattr(f, key) for f in _labelled(clip) if f.label or not fake_only]
        known = [value for value in values if value is not None]
        sums[index], sizes[index] = sum(known), len(known)
    return ratio_figure(sums, sizes, drawn, sizes > 0, "no frame has a true mask")


def _baseline(clips: Sequence[ClipRecord], drawn: Resamples, name: str) -> Baseline:
    return Baseline(
        frame_auc=auc_figure([frame_scores(clip, name) for clip in clips], drawn),
        video_auc=auc_figure(video_scores(clips, name), drawn),
    )


def _group(own: Sequence[ClipRecord], clips: Sequence[ClipRecord], *, n_boot: int, seed: int) -> GroupSummary:
    drawn = draw([clip.label for clip in own], n_boot=n_boot, seed=seed)
    borrows = all(clip.label for clip in own) and not all(clip.label for clip in clips)
    ranked = [*own, *(clip for clip in clips if not clip.label)] if borrows else own
    drawn_ranked = draw([clip.label for clip in ranked], n_boot=n_boot, seed=seed) if borrows else drawn
    frame_auc = auc_figure([frame_scores(clip) for clip in ranked], drawn_ranked)
    video_auc = auc_figure(video_scores(ranked), drawn_ranked)
    return GroupSummary(
        counts=count(own),
        frames=_replace_auc(_frame_decisions(own, drawn), frame_auc),
        videos=_replace_auc(_video_decisions(own, drawn), video_auc),
        against="all real clips" if borrows else "own",
        dice_fake=_mean_agreement(own, drawn, "dice", fake_only=True),
        alerts=alerts_of(own, n_boot=n_boot, seed=seed),
    )


def _replace_auc(decisions: Decisions, auc: Figure) -> Decisions:
    return Decisions(
        auc, decisions.accuracy, decisions.precision, decisions.recall, decisions.f1, decisions.naive_accuracy
    )
