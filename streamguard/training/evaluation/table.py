"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from streamguard.training.evaluation.alerts import Alerts
from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.records import Evaluation
from streamguard.training.evaluation.robustness import Condition, SentFigures
from streamguard.training.evaluation.summary import Decisions, Summary
from streamguard.training.evaluation.wording import (
    DISCLAIMER,
    NONE,
    interval,
    number,
    per_hour,
    per_hour_interval,
    seconds,
)


def headline_table(evaluation: Evaluation, summary: Summary) -> Table:
    """The main figures with 95 % intervals, and what know-nothing baselines reach on the same data."""
    counts = summary.counts
    caption = (
        f"{counts.clips} clips ({counts.fake_clips} fake), {counts.frames} frames, {counts.judged} judged. "
        f"Intervals: 95 %, clips resampled. {DISCLAIMER}"
    )
    title = Text(f"{evaluation.model} on {evaluation.engine}")
    table = Table(title=title, caption=Text(caption), title_justify="left", caption_justify="left")
    table.add_column("figure")
    table.add_column("frames", justify="right")
    table.add_column("videos", justify="right")
    frames, videos = summary.frames, summary.videos
    for name in ("auc", "accuracy", "precision", "recall", "f1"):
        label = "AUC" if name == "auc" else "F1" if name == "f1" else name
        table.add_row(label, _cell(getattr(frames, name)), _cell(getattr(videos, name)))
    naive = (number(each.naive_accuracy) for each in (frames, videos))
    table.add_row("accuracy, always the majority", *naive)
    for name, baseline in summary.baselines.items():
        table.add_row(Text(f"AUC of {name} alone"), _cell(baseline.frame_auc), _cell(baseline.video_auc))
    table.add_section()
    for label, field in (("fake frames", "fake"), ("fake and real", "both")):
        for measure in ("dice", "iou"):
            figures = (getattr(masks, f"{measure}_{field}") for masks in (summary.masks, summary.ellipse))
            ours, ellipse = figures
            word = "Dice" if measure == "dice" else "IoU"
            table.add_row(f"{word}, {label}", _cell(ours), "")
            table.add_row(Text(f"{word}, {label}, fixed ellipse", style="dim"), _cell(ellipse), "")
    return table


def group_table(summary: Summary) -> Table:
    """One row for each group; a figure in brackets ranks the group's fakes against all real clips."""
    table = Table(
        title="By group",
        caption="(AUC): the group has no real clips; its fakes are ranked against all real ones.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("group")
    for column in ("clips", "judged", "frame AUC", "video AUC", "accuracy", "recall", "Dice, fake"):
        table.add_column(column, justify="right")
    for name, group in summary.groups.items():
        borrowed = group.against != "own"
        table.add_row(
            Text(name),
            str(group.counts.clips),
            f"{group.counts.judged}/{group.counts.frames}",
            _auc(group.frames, borrowed=borrowed),
            _auc(group.videos, borrowed=borrowed),
            number(group.frames.accuracy.value),
            number(group.frames.recall.value),
            number(group.dice_fake.value),
        )
    return table


def alerts_table(summary: Summary) -> Table:
    """Alerts of the live vote: all clips, then one row for each group."""
    table = Table(
        title="Alerts, as a live stream has them",
        caption="False alarms per hour with the exact 95 % Poisson interval; seconds over the alerted clips alone.",
        title_justify="left",
        caption_justify="left",
    )
    _alert_columns(table, "clips")
    table.add_row("all", *_alert_cells(summary.alerts))
    for name, group in summary.groups.items():
        table.add_row(Text(name), *_alert_cells(group.alerts))
    return table


def robustness_tables(conditions: Sequence[Condition], base: SentFigures) -> tuple[Table, Table]:
    """Frames, and alerts, of the clips as they are and as they were sent."""
    frames = Table(
        title="Compressed or made smaller",
        caption="(AUC): of the same clips unsent, where some were too small to be sent so.",
        title_justify="left",
        caption_justify="left",
    )
    frames.add_column("sent as")
    for column in ("clips", "judged", "frame AUC", "recall", "false positives"):
        frames.add_column(column, justify="right")
    alerts = Table()
    _alert_columns(alerts, "sent as")
    for name, sent, unsent in [("as they are", base, None), *((c.name, c.sent, c.as_they_are) for c in conditions)]:
        auc, recall, alarms = (
            _cell(each) if sent.clips else Text(NONE) for each in (sent.auc, sent.recall, sent.false_positives)
        )
        if unsent is not None and unsent.clips < base.clips and unsent.auc.value is not None:
            auc = auc.append(f"  ({number(unsent.auc.value)})", style="not bold dim")
        judged = f"{sent.judged}/{sent.frames}"
        frames.add_row(Text(name), str(sent.clips), judged, auc, recall, alarms)
        alerts.add_row(Text(name), *_alert_cells(sent.alerts))
    return frames, alerts


def _alert_columns(table: Table, first: str) -> None:
    table.add_column(first)
    for column in ("real, judged", "false alarms", "per hour", "fakes alerted", "median", "90 %"):
        table.add_column(column, justify="right")


def _alert_cells(alerts: Alerts) -> list[str]:
    spread = per_hour_interval(alerts)
    return [
        f"{alerts.real_hours:.3f} h",
        str(alerts.false_alarms),
        f"{per_hour(alerts)}  {spread}" if spread else NONE,
        f"{alerts.fake_clips - alerts.never}/{alerts.fake_clips}",
        seconds(alerts.delay_median),
        seconds(alerts.delay_p90),
    ]


def unjudged_table(summary: Summary) -> Table:
    """How many frames were not judged, and why."""
    table = Table(title="Not judged", title_justify="left")
    table.add_column("reason")
    table.add_column("frames", justify="right")
    for reason, frames in sorted(summary.counts.unjudged.items(), key=lambda item: -item[1]):
        table.add_row(Text(reason), str(frames))
    if not summary.counts.unjudged:
        table.add_row(NONE, "0")
    return table


def _cell(figure: Figure) -> Text:
    if figure.value is None:
        return Text(f"{NONE} ({figure.reason})", style="dim")
    text = Text(number(figure.value), style="bold")
    spread = interval(figure)
    return text.append(f"  {spread}", style="not bold dim") if spread else text


def _auc(decisions: Decisions, *, borrowed: bool) -> str:
    text = number(decisions.auc.value)
    return f"({text})" if borrowed and decisions.auc.value is not None else text
