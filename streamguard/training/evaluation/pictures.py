"""The report's pictures: PNG bytes, drawn on matplotlib's Agg canvas without its global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from streamguard.training.evaluation.errors_by import ErrorBin
from streamguard.training.evaluation.metrics import reliability
from streamguard.training.evaluation.records import ClipRecord
from streamguard.training.evaluation.robustness import Condition
from streamguard.training.evaluation.summary import ALL, frame_scores, parts_of

Place: TypeAlias = Literal["lower right", "upper center", "upper left", "upper right", "best"]

Axis: TypeAlias = Literal["bit_rate", "height", "quality"]

AXES: Mapping[Axis, str] = {
    "bit_rate": "H.264 bit rate, bit/s",
    "height": "lines (shorter side)",
    "quality": "JPEG quality",
}


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one appearance of the page."""

    ink: str
    faint: str
    first: str
    second: str
    third: str


# Blue, orange and purple stay apart for colour-blind readers (Okabe & Ito 2008), lightened for the dark page.
LIGHT = Theme(ink="#1c1f24", faint="#c4c9d1", first="#0072b2", second="#d55e00", third="#8a4f7d")
DARK = Theme(ink="#e6e8eb", faint="#4a505a", first="#56b4e9", second="#f0a24a", third="#d9a3cb")


def roc_picture(clips: Sequence[ClipRecord], theme: Theme) -> bytes | None:
    """ROC of the frames and pictures of each set, and of all; None when none is defined."""
    canvas, axes = new_canvas(theme)
    parts = [(part, *frame_scores([*part.fakes, *part.reals])) for part in parts_of(clips, programs=False)]
    known = [
        (part.name, scores[labels], scores[~labels]) for part, scores, labels in parts if 0 < labels.sum() < labels.size
    ]
    if not known:
        return None
    for name, fake, real in known:
        levels = np.unique(np.concatenate([fake, real, [np.inf]]))
        alarms, hits = (1 - np.searchsorted(np.sort(each), levels) / each.size for each in (real, fake))
        axes.plot(alarms, hits, linewidth=2.5 if name == ALL else 1.5, label=name)
    axes.plot([0, 1], [0, 1], color=theme.faint, linestyle="--", linewidth=1)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set(xlabel="false alarms (share of real)", ylabel="hits (share of fake)")
    legend(axes, theme, "lower right")
    return png(canvas)


def histogram_picture(clips: Sequence[ClipRecord], theme: Theme) -> bytes | None:
    """Scores of real and of fake frames, each as shares of its class; None when nothing was judged."""
    scores, labels = frame_scores(clips)
    if not scores.size:
        return None
    canvas, axes = new_canvas(theme)
    bins = np.linspace(0.0, 1.0, 26)
    for name, colour, values in (("real", theme.first, scores[~labels]), ("fake", theme.second, scores[labels])):
        if values.size:
            share = np.full(values.size, 1 / values.size)
            style: dict[str, Any] = {"bins": bins, "weights": share, "color": colour}
            axes.hist(values, histtype="stepfilled", alpha=0.3, **style)
            axes.hist(values, histtype="step", linewidth=2, label=f"{name} ({values.size} frames)", **style)
    axes.set(xlim=(0, 1), xlabel="calibrated score", ylabel="share of the class's frames")
    legend(axes, theme, "upper center")
    return png(canvas)


def reliability_picture(clips: Sequence[ClipRecord], theme: Theme) -> bytes | None:
    """Plot how often a score came true; None when nothing was judged."""
    scores, labels = frame_scores(clips)
    curve = reliability(scores, labels)
    if curve is None:
        return None
    canvas, axes = new_canvas(theme)
    axes.plot([0, 1], [0, 1], color=theme.faint, linestyle="--", linewidth=1, label="perfectly calibrated")
    axes.plot(curve.score, curve.share, color=theme.first, linewidth=1.5, label=f"error {curve.error:.3f}")
    size = 20 + 180 * curve.count / curve.count.max()
    axes.scatter(curve.score, curve.share, s=size, color=theme.first, alpha=0.6, linewidths=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set(xlabel="mean score of the bin", ylabel="share that is fake")
    legend(axes, theme, "upper left")
    return png(canvas)


def on_axis(conditions: Sequence[Condition], axis: Axis) -> list[Condition]:
    """The conditions that vary this alone, rising, without those that no clip was large enough for."""
    others = set(AXES) - {axis}
    chosen = [
        each
        for each in conditions
        if each.rows
        and getattr(each.sending, axis) is not None
        and all(getattr(each.sending, other) is None for other in others)
    ]
    return sorted(chosen, key=lambda each: getattr(each.sending, axis))


def robustness_picture(conditions: Sequence[Condition], axis: Axis, theme: Theme) -> bytes | None:
    """Frame AUC, recall and false alarms of all sets along one axis; at its right end the clips as they are.

    A star marks a condition that some clips were too small for: its other clips are not those beside it. None when no
    condition varies this axis alone.
    """
    rows = on_axis(conditions, axis)
    if not rows:
        return None
    canvas, axes = new_canvas(theme)
    places = list(range(len(rows) + 1))
    figures = [each.rows[-1].by_frame for each in (*rows, conditions[0])]
    # Apart by a hair, so that three intervals at one place can be told apart.
    for name, colour, style, key, shift in (
        ("frame AUC", theme.first, "o-", "auc", -0.06),
        ("recall", theme.second, "s--", "recall", 0.0),
        ("real called fake", theme.third, "^:", "false_alarms", 0.06),
    ):
        known = [
            (place, each)
            for place, row in zip(places, figures, strict=True)
            if (each := getattr(row, key)).value is not None
        ]
        values = [figure.value for _, figure in known]
        axes.plot([place for place, _ in known], values, style, color=colour, linewidth=1.8, markersize=5, label=name)
        for place, figure in known:
            if figure.low is not None:
                axes.plot([place + shift] * 2, [figure.low, figure.high], color=colour, linewidth=1, alpha=0.9)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(
        FixedFormatter([*(row.sending.name + "*" * bool(row.too_small) for row in rows), "as is"])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=AXES[axis], ylim=(-0.03, 1.03), xlim=(-0.3, len(rows) + 0.3))
    _legend_above(axes, theme)
    return png(canvas)


def errors_picture(bins: Sequence[ErrorBin], theme: Theme) -> bytes | None:
    """False alarms and misses over the bins, rising; None when there is none."""
    if not bins:
        return None
    canvas, axes = new_canvas(theme)
    for name, colour, shift, values in (
        ("real called fake", theme.first, -0.2, [each.false_alarms for each in bins]),
        ("fakes missed", theme.second, 0.2, [each.misses for each in bins]),
    ):
        places = [place + shift for place in range(len(bins))]
        axes.bar(places, [each or 0.0 for each in values], width=0.36, color=colour, alpha=0.6, label=name)
    axes.xaxis.set_major_locator(FixedLocator(range(len(bins))))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{each.low:g}+" for each in bins]))
    axes.tick_params(axis="x", labelrotation=45)
    axes.set(ylabel="share of the class's frames", ylim=(0, 1.03))
    _legend_above(axes, theme)
    return png(canvas)


def new_canvas(theme: Theme) -> tuple[Canvas, Axes]:
    """An empty picture in the theme's colours, of the size that the report's pictures have."""
    with mpl.rc_context({"font.size": 11.0, "axes.spines.top": False, "axes.spines.right": False}):
        canvas = Canvas(figsize=(4.3, 3.7), layout="constrained")
        FigureCanvasAgg(canvas)
        axes = canvas.add_subplot()
    axes.set_facecolor("none")
    axes.tick_params(colors=theme.ink)
    axes.grid(color=theme.faint, linewidth=0.5, alpha=0.6)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)
    return canvas, axes


def legend(axes: Axes, theme: Theme, place: Place) -> None:
    """The legend, without a frame."""
    axes.legend(loc=place, labelcolor=theme.ink, facecolor="none", edgecolor="none", framealpha=0.0)


def png(canvas: Canvas) -> bytes:
    """The picture as PNG bytes."""
    buffer = io.BytesIO()
    # Without the metadata the same figures give the same bytes.
    canvas.savefig(buffer, format="png", dpi=150, transparent=True, metadata={"Software": None})
    return buffer.getvalue()


def _legend_above(axes: Axes, theme: Theme) -> None:
    """Off the curves: they cross the whole picture."""
    small = {"fontsize": 9, "columnspacing": 1.0, "handlelength": 1.6}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, labelcolor=theme.ink, frameon=False, **small)
