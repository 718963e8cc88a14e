"""The report's sections on what a live guard is judged by: alerts, sending, calibration and the quality gate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

from streamguard.training.evaluation.alerts import Alerts
from streamguard.training.evaluation.curves import Axis, errors_picture, robustness_picture
from streamguard.training.evaluation.errors_by import ErrorBin
from streamguard.training.evaluation.markup import figure_cell, pictures, remark, section, table, two_lines
from streamguard.training.evaluation.robustness import Condition, SentFigures
from streamguard.training.evaluation.summary import Summary
from streamguard.training.evaluation.wording import NONE, number, per_hour, per_hour_interval, seconds

_AXES: tuple[tuple[str, Axis], ...] = (
    ("By H.264 bit rate", "bit_rate"),
    ("By size", "height"),
    ("By JPEG quality", "quality"),
)
_GATE = {
    "shorter_side": ("Shorter side of the face, pixels", "smallest_face"),
    "sharpness": ("Sharpness of the crop", "least_sharpness"),
}


def alerts_section(summary: Summary) -> str:
    """Time to alert and false alarms per hour, all together and by group."""
    rows = [_alert_row("<strong>all clips</strong>", summary.alerts)]
    if len(summary.groups) > 1:
        rows += [_alert_row(escape(name), group.alerts) for name, group in summary.groups.items()]
    body = table(("Clips", *_ALERT_HEADS), rows, wide=True) + remark(
        "From the live pipeline with the shipped vote, fed in media time. A false alarm is a fake opened on real "
        "footage; its rate has the exact 95 % Poisson interval. Seconds run from a fake clip's first judged frame to "
        "its first alert, over the clips that were alerted; those that never were stand beside. Short clips make the "
        "wait look short: what is not alerted by a clip's end might have been later."
    )
    return section("Alerts, as a live stream has them", body)


_ALERT_HEADS = ("Real, judged", "False alarms", "Per hour", "Fake clips alerted", "Seconds to alert", "Never alerted")


def _alert_row(name: str, alerts: Alerts) -> list[str]:
    return [
        name,
        two_lines(f"{alerts.real_hours:.3f} h", f"{alerts.real_clips} clips"),
        str(alerts.false_alarms) if alerts.real_clips else NONE,
        two_lines(per_hour(alerts), per_hour_interval(alerts)),
        figure_cell(alerts.alerted, terse=True) if alerts.fake_clips else NONE,
        two_lines(
            seconds(alerts.delay_median), f"90 %: {seconds(alerts.delay_p90)}" if alerts.delay_p90 is not None else ""
        ),
        f"{alerts.never} of {alerts.fake_clips}" if alerts.fake_clips else NONE,
    ]


def robustness_section(conditions: Sequence[Condition], base: SentFigures | None) -> str:
    """Curves and tables of what sending costs; empty when nothing was sent.

    Args:
        conditions: as they were asked for.
        base: the figures of all clips as they are.
    """
    if not conditions or base is None:
        return ""
    curves = pictures([(title, partial(robustness_picture, conditions, base, axis)) for title, axis in _AXES])
    heads = ("Sent as", "Clips", "Judged", "Frame AUC", "These clips unsent", "Recall", "False positives")
    rows = [["as they are", *_frames_row(base), NONE, *_rates(base)]]
    rows += [
        [
            two_lines(each.name, f"{each.reached / 1000:.0f} kbit/s reached" if each.reached else ""),
            *_frames_row(each.sent),
            figure_cell(each.as_they_are.auc, terse=True) if each.too_small and each.sent.clips else NONE,
            *_rates(each.sent),
        ]
        for each in conditions
    ]
    alert_rows = [_alert_row("as they are", base.alerts)]
    alert_rows += [_alert_row(escape(each.name), each.sent.alerts) for each in conditions]
    left_out = [f"{each.name}: {each.too_small}" for each in conditions if each.too_small]
    notes = (
        "Each clip, or half of a pair on its own, goes through the same chain: scaled down, H.264 by x264 without "
        "look-ahead at a bit rate (or at constant quality where size alone is asked), or JPEG frame by frame. Recall "
        "and false positives are those of the frame rule at the shipped thresholds."
    )
    if left_out:
        notes += (
            f" * Clips that were not larger than asked are left out ({', '.join(left_out)}): compare such a figure "
            "with that of these clips unsent."
        )
    frames = curves + table(heads, rows, wide=True) + remark(notes)
    return section("When the clips are compressed or made smaller", frames) + section(
        "Alerts when the clips are compressed or made smaller", table(("Sent as", *_ALERT_HEADS), alert_rows, wide=True)
    )


def _frames_row(sent: SentFigures) -> list[str]:
    return [str(sent.clips), f"{sent.judged}/{sent.frames}", figure_cell(sent.auc, terse=True)]


def _rates(sent: SentFigures) -> list[str]:
    return [figure_cell(sent.recall, terse=True), figure_cell(sent.false_positives, terse=True)]


def reliability_section(summary: Summary) -> str:
    """How often the calibrated score came true, bin by bin; empty when nothing was judged."""
    curve = summary.reliability
    if curve is None:
        return ""
    rows = [
        [f"{score:.3f}", f"{share:.3f}", f"{share - score:+.3f}", str(count)]
        for score, share, count in zip(curve.score, curve.share, curve.count, strict=True)
    ]
    body = table(("Mean score of the bin", "Share that is fake", "Difference", "Frames"), rows) + remark(
        f"Expected calibration error {number(curve.error)}: the mean of the differences without their sign, weighted "
        "by frames. The share depends on how many of the clips are fake; a stream shows far fewer."
    )
    return section("Do the scores come true?", body)


def errors_section(summary: Summary) -> str:
    """Frame errors by face size and by sharpness; empty when no frame says either."""
    if not summary.errors:
        return ""
    shown = pictures(
        [(_GATE[key][0], partial(errors_picture, bins, _GATE[key][0])) for key, bins in summary.errors.items()]
    )
    tables = "".join(f"<div>{_error_table(key, bins)}</div>" for key, bins in summary.errors.items())
    return section(
        "Errors by face size and sharpness",
        shown
        + f"<div class=columns>{tables}</div>"
        + remark(
            "Frames that the quality gate let through, by the very measures that it holds against smallest_face and "
            "least_sharpness: a limit belongs where the errors rise. Below the present limits nothing is seen unless "
            "the gate was left open."
        ),
    )


def _error_table(key: str, bins: Sequence[ErrorBin]) -> str:
    rows = []
    for each in bins:
        upto = f" to {each.high:g}" if each.high is not None else " and more"
        rows.append(
            [
                f"{each.low:g}{upto}",
                two_lines(number(each.false_positives.value), f"of {each.real_frames}"),
                two_lines(number(each.misses.value), f"of {each.fake_frames}"),
            ]
        )
    return table((f"{_GATE[key][0]} ({_GATE[key][1]})", "False positives", "Misses"), rows)
