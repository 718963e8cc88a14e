"""Pictures of robustness, and of errors by what the quality gate looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from streamguard.training.evaluation.errors_by import ErrorBin
from streamguard.training.evaluation.pictures import Theme, new_canvas, png
from streamguard.training.evaluation.robustness import Condition

Axis: TypeAlias = Literal["bit_rate", "height", "quality"]

AXES: Mapping[Axis, str] = {
    "bit_rate": "H.264 bit rate, bit/s",
    "height": "lines (shorter side)",
    "quality": "JPEG quality",
}
_GREY_ALPHA = 0.9


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
                axes.plot([place + shift] * 2, [figure.low, figure.high], color=colour, linewidth=1, alpha=_GREY_ALPHA)
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


def _legend_above(axes: Axes, theme: Theme) -> None:
    """Off the curves: they cross the whole picture."""
    small = {"fontsize": 9, "columnspacing": 1.0, "handlelength": 1.6}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, labelcolor=theme.ink, frameon=False, **small)
