"""Pictures of robustness, and of errors by what the quality gate looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.errors_by import ErrorBin
from streamguard.training.evaluation.pictures import Theme, new_canvas, png
from streamguard.training.evaluation.robustness import Condition, SentFigures

Axis: TypeAlias = Literal["bit_rate", "height", "quality"]

_GREY_ALPHA = 0.9


def on_axis(conditions: Sequence[Condition], axis: Axis) -> list[Condition]:
    """The conditions that vary this alone, rising, without those that no clip was large enough for."""
    others = {"bit_rate", "height", "quality"} - {axis}
    chosen = [
        each
        for each in conditions
        if getattr(each, axis) is not None and all(getattr(each, other) is None for other in others)
    ]
    return sorted((each for each in chosen if each.sent.clips), key=lambda each: getattr(each, axis))


def robustness_picture(conditions: Sequence[Condition], base: SentFigures, axis: Axis, theme: Theme) -> bytes | None:
    """Frame AUC, recall and false-positive rate along one axis; at its right end the clips as they are.

    A star marks a condition that some clips were too small for: its other clips are not those beside it.

    None when no condition varies this axis alone.
    """
    rows = on_axis(conditions, axis)
    if not rows:
        return None
    canvas, axes = new_canvas(theme)
    places = list(range(len(rows) + 1))
    figures = [*(row.sent for row in rows), base]
    for name, colour, style, key in (
        ("frame AUC", theme.first, "o-", "auc"),
        ("recall", theme.second, "s--", "recall"),
        ("false positives", theme.third, "^:", "false_positives"),
    ):
        known = [
            (place, figure)
            for place, each in zip(places, figures, strict=True)
            if (figure := getattr(each, key)).value is not None
        ]
        if not known:
            continue
        values = [figure.value for _, figure in known]
        axes.plot([place for place, _ in known], values, style, color=colour, linewidth=1.8, markersize=5, label=name)
        # Apart by a hair, so that three intervals at one place can be told apart.
        shift = {"auc": -0.06, "recall": 0.0, "false_positives": 0.06}[key]
        for place, figure in known:
            if figure.low is not None and figure.high is not None:
                axes.plot([place + shift] * 2, [figure.low, figure.high], color=colour, linewidth=1, alpha=_GREY_ALPHA)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([*(row.name + "*" * bool(row.too_small) for row in rows), "as is"]))
    axes.xaxis.set_minor_locator(NullLocator())
    words = {"bit_rate": "H.264 bit rate, bit/s", "height": "lines (shorter side)", "quality": "JPEG quality"}
    axes.set(xlabel=words[axis], ylim=(-0.03, 1.03), xlim=(-0.3, len(rows) + 0.3))
    _legend_above(axes, theme)
    return png(canvas)


def errors_picture(bins: Sequence[ErrorBin], unit: str, theme: Theme) -> bytes | None:
    """False positives and misses over the bins; None when there is none.

    Args:
        bins: rising.
        unit: what the axis shows.
        theme: the page's colours.
    """
    if not bins:
        return None
    canvas, axes = new_canvas(theme)
    rows: tuple[tuple[str, str, float, list[Figure]], ...] = (
        ("false positives (real)", theme.first, -0.2, [each.false_positives for each in bins]),
        ("misses (fake)", theme.second, 0.2, [each.misses for each in bins]),
    )
    for name, colour, shift, figures in rows:
        known = [(place + shift, each) for place, each in enumerate(figures) if each.value is not None]
        if not known:
            continue
        heights = [each.value or 0.0 for _, each in known]
        axes.bar([place for place, _ in known], heights, width=0.36, color=colour, alpha=0.6, label=name)
        for place, each in known:
            if each.low is not None and each.high is not None:
                axes.plot([place] * 2, [each.low, each.high], color=theme.ink, linewidth=1)
    axes.xaxis.set_major_locator(FixedLocator(range(len(bins))))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{each.low:g}+" for each in bins]))
    axes.tick_params(axis="x", labelrotation=45)
    axes.set(xlabel=unit, ylabel="share of the class's frames", ylim=(0, 1.03))
    _legend_above(axes, theme)
    return png(canvas)


def _legend_above(axes: Axes, theme: Theme) -> None:
    """Off the curves: they cross the whole picture."""
    small = {"fontsize": 9, "columnspacing": 1.0, "handlelength": 1.6}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, labelcolor=theme.ink, frameon=False, **small)
