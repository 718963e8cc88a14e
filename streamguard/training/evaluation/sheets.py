"""Tables of an evaluation, which the terminal and the report show alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from streamguard.training.evaluation.alerts import Alarms, Delays, worst
from streamguard.training.evaluation.metrics import Figure
from streamguard.training.evaluation.records import Evaluation
from streamguard.training.evaluation.robustness import Condition
from streamguard.training.evaluation.summary import KNOWS_NOTHING, Decisions, Summary, SummaryRow
from streamguard.training.evaluation.wording import NONE, number, seconds

Cell: TypeAlias = str | tuple[str, str] | Figure
"""Plain text, plain text with small print under it, or a figure with its interval."""

_GATE = {
    "shorter_side": ("Shorter side of the face, pixels", "smallest_face"),
    "sharpness": ("Sharpness of the crop", "least_sharpness"),
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with its title and a remark on it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    remark: str = ""


def sheets(evaluation: Evaluation, summary: Summary, conditions: Sequence[Condition] = ()) -> list[Sheet]:
    """All tables that have a row.

    Args:
        evaluation, summary: what was measured.
        conditions: the figures of the clips as they were sent, those of the clips as they are first; if any.
    """
    rows = summary.rows
    every = [
        Sheet(
            "Frames and pictures",
            ("Set", "Fake, real", "Judged", *_DECISIONS, "Unsure"),
            tuple((_called(row), *_seen(row), *_decided(row.by_frame), row.unsure) for row in rows),
            "By the frame rule at the shipped thresholds. Intervals: 95 %, groups (people) resampled. Fakes of a "
            "program are told from all real ones of its set. * The set has no real ones: those of other sets.",
        ),
        Sheet(
            "Clips",
            ("Set", *_DECISIONS),
            tuple((_called(row), *_decided(row.by_clip)) for row in rows if row.by_clip.naive_accuracy is not None),
            "A clip is fake when more than half of its judged frames are; its score is their mean.",
        ),
        Sheet(
            "Fakes registered with a real recording",
            ("Set", "Above its own real one", "Dice, both halves", "Fixed ellipse"),
            tuple((row.name, row.above, row.dice, row.ellipse) for row in rows if row.above.value is not None),
            "Share of the frames whose score is above that of the same frame of the real one; mean of Dice on the fake "
            "half and on the real one, where only an empty mask is right. An ellipse in the face box knows nothing.",
        ),
        Sheet(
            "AUC of what knows nothing",
            ("Set", "This detector", *KNOWS_NOTHING),
            tuple(each for row in rows for each in _baselines(row)),
            "0.5 is chance. Far from 0.5 on either side, real and fake can be told apart without looking at a "
            "manipulation.",
        ),
        Sheet(
            "False alarms on real clips",
            ("Clips", "Minutes", "Clips, groups", "Alerts", "Per hour", "Clips that alert"),
            tuple(_alarm_cells(name, each) for name, each in _alarms(summary, conditions)),
            "From the live pipeline with the shipped vote, fed in media time. In small print exact upper 95 % bounds: "
            "Poisson's per hour, Clopper and Pearson's of the share of clips.",
        ),
        Sheet(
            "Time to alert on fake clips",
            ("Clips", "Number", "Alerted", "Median", "90 %"),
            tuple(_delay_cells(each.name, each) for each in summary.delays)
            + tuple(_delay_cells(f"{each.sending.name}: all sets", each.delays) for each in conditions[1:]),
            "Seconds from a clip's first judged frame to its first alert, over the clips that were alerted. What is "
            "not alerted by a clip's end might have been later.",
        ),
        Sheet(
            "When the clips are compressed or made smaller",
            ("Sent as", "Clips", "Frame AUC", "Unsent", "Recall", "Real called fake", "Unsure"),
            tuple(cells for each in conditions for cells in _sent_cells(each)),
            "Each clip goes through the same chain: scaled down, H.264 by x264 without look-ahead at a bit rate (or at "
            "constant quality where size alone is asked), or JPEG frame by frame. Clips that are not larger than asked "
            "are left out; unsent: of the same clips as they are.",
        ),
        Sheet(
            "Not judged, or judged otherwise",
            ("Reason", "Number"),
            (
                *((f"frames: {reason}", str(count)) for reason, count in sorted(summary.unjudged.items())),
                *((f"left out: {reason}", str(count)) for reason, count in sorted(evaluation.left_out.items())),
                ("pictures without a face found, judged by their whole square", str(evaluation.whole)),
            ),
        ),
    ]
    return [sheet for sheet in every if sheet.rows]


def detail_sheets(summary: Summary) -> list[Sheet]:
    """Tables that only the report shows: whether scores come true, and errors by what the quality gate looks at."""
    return [sheet for sheet in (_reliability_sheet(summary), *_error_sheets(summary)) if sheet.rows]


_DECISIONS = ("AUC", "Recall", "Precision", "F1", "Real called fake")


def _called(row: SummaryRow) -> str:
    return row.name + " *" * row.borrowed


def _seen(row: SummaryRow) -> tuple[Cell, ...]:
    return (f"{row.fakes}, {row.reals}", f"{row.groups} groups"), f"{row.judged}/{row.frames}"


def _decided(each: Decisions) -> tuple[Cell, ...]:
    return each.auc, each.recall, each.precision, each.f1, each.false_alarms


def _baselines(row: SummaryRow) -> list[tuple[Cell, ...]]:
    kinds = ((row.by_frame.auc, _called(row)), (row.by_clip.auc, f"{_called(row)}, clips"))
    return [
        (name, auc, *(pair[which] for pair in row.baselines.values()))
        for which, (auc, name) in enumerate(kinds)
        if auc.value is not None
    ]


def _alarms(summary: Summary, conditions: Sequence[Condition]) -> list[tuple[str, Alarms]]:
    rows = [(each.name, each) for each in summary.alarms]
    if (least := worst(summary.alarms)) is not None:
        rows.append((f"worst set: {least.name}", least))
    for each in conditions[1:]:
        rows += [(f"{each.sending.name}: {every.name}", every) for every in each.alarms[-1:]]
        if (least := worst(each.alarms)) is not None:
            rows.append((f"{each.sending.name}, worst set: {least.name}", least))
    return rows


def _alarm_cells(name: str, each: Alarms) -> tuple[Cell, ...]:
    high = NONE if each.share_high is None else f"share up to {each.share_high:.3f}"
    return (
        name,
        f"{each.minutes:.1f}",
        f"{each.clips}, {each.groups}",
        str(each.alerts),
        (number(each.per_hour, 1), f"up to {number(each.per_hour_high, 1)}"),
        (f"{each.alarmed} of {each.clips}", high),
    )


def _delay_cells(name: str, each: Delays) -> tuple[Cell, ...]:
    return name, str(each.clips), each.alerted, seconds(each.median), seconds(each.p90)


def _sent_cells(each: Condition) -> list[tuple[Cell, ...]]:
    unsent = {row.name: row for row in each.as_they_are}
    reached = f"{each.reached / 1000:.0f} kbit/s reached" if each.reached and each.sending.bit_rate else ""
    if not each.rows:
        return [(each.sending.name, f"{each.too_small} too small", *[NONE] * 5)]
    return [
        (
            (f"{each.sending.name}: {row.name}", reached),
            str(row.fakes + row.reals),
            row.by_frame.auc,
            number(unsent[row.name].by_frame.auc.value),
            row.by_frame.recall,
            row.by_frame.false_alarms,
            row.unsure,
        )
        for row in each.rows
    ]


def _reliability_sheet(summary: Summary) -> Sheet:
    curve = summary.reliability
    bins = () if curve is None else zip(curve.score, curve.share, curve.count, strict=True)
    return Sheet(
        "Do the scores come true?",
        ("Mean score of the bin", "Share that is fake", "Difference", "Frames"),
        tuple((f"{score:.3f}", f"{share:.3f}", f"{share - score:+.3f}", str(count)) for score, share, count in bins),
        f"Expected calibration error {number(curve.error if curve else None)}: the mean of the differences without "
        "their sign, weighted by frames. The share depends on how many are fake; a stream shows far fewer.",
    )


def _error_sheets(summary: Summary) -> list[Sheet]:
    return [
        Sheet(
            f"Errors by: {_GATE[key][0].lower()}",
            (_GATE[key][0], "Real called fake", "Fakes missed"),
            tuple(
                (
                    f"{each.low:g} " + ("and more" if each.high is None else f"to {each.high:g}"),
                    (number(each.false_alarms), f"of {each.reals}"),
                    (number(each.misses), f"of {each.fakes}"),
                )
                for each in bins
            ),
            f"By the very measure that the quality gate holds against {_GATE[key][1]}: a limit belongs where the "
            "errors rise. Below the present limit nothing is seen unless the gate was left open.",
        )
        for key, bins in summary.errors.items()
    ]
