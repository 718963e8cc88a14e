"""The report's pictures: PNG bytes, drawn on matplotlib's Agg canvas without its global state."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from streamguard.training.evaluation.bootstrap import draw
from streamguard.training.evaluation.calibrate import reliability
from streamguard.training.evaluation.metrics import Bools, Floats, roc
from streamguard.training.evaluation.records import ClipRecord
from streamguard.training.evaluation.summary import frame_scores, pooled, video_scores

Place: TypeAlias = Literal["lower right", "upper center", "upper left", "upper right", "best"]

BAND_RESAMPLES = 300
GRID = np.linspace(0.0, 1.0, 201)


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


def roc_picture(clips: Sequence[ClipRecord], theme: Theme, *, seed: int = 0) -> bytes | None:
    """ROC of frames and of videos with the bootstrap band of each; None when neither is defined."""
    canvas, axes = new_canvas(theme)
    drawn = 0
    for name, colour, parts in (
        ("frames", theme.first, [frame_scores(clip) for clip in clips]),
        ("videos", theme.second, video_scores(clips)),
    ):
        scores, labels = pooled(parts)
        curve = roc(scores, labels)
        if curve is None:
            continue
        drawn += 1
        band = roc_band(parts, [clip.label for clip in clips], seed=seed)
        if band is not None:
            axes.fill_between(GRID, band[0], band[1], color=colour, alpha=0.2, linewidth=0)
        axes.plot(curve.false_alarms, curve.hits, color=colour, linewidth=2, label=name)
    if not drawn:
        return None
    axes.plot([0, 1], [0, 1], color=theme.faint, linestyle="--", linewidth=1, label="chance")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set(xlabel="false alarms (share of real)", ylabel="hits (share of fake)")
    legend(axes, theme, "lower right")
    return png(canvas)


def roc_band(
    parts: Sequence[tuple[Floats, Bools]], labels: Sequence[bool], *, seed: int = 0, n_boot: int = BAND_RESAMPLES
) -> tuple[Floats, Floats] | None:
    """Pointwise 95 % band of the hits at the false-alarm shares of `GRID`, float64 [201] each.

    None where a class holds fewer than two clips with a score, as for the intervals.

    Args:
        parts: per clip its scores and labels.
        labels: per clip its own label.
        seed, n_boot: of the resampling of clips.
    """
    present = [index for index, (scores, _) in enumerate(parts) if scores.size]
    held = [labels[index] for index in present]
    if min(held.count(True), held.count(False)) < 2:
        return None
    scores, truth = pooled(parts)
    owner = np.repeat(np.arange(len(parts)), [part[0].size for part in parts])
    curves = []
    for weights in draw(labels, n_boot=n_boot, seed=seed).weights:
        curve = roc(scores, truth, weights[owner])
        if curve is not None:
            curves.append(np.interp(GRID, curve.false_alarms, curve.hits))
    if not curves:
        return None
    low, high = np.percentile(curves, (2.5, 97.5), axis=0)
    return low, high


def histogram_picture(clips: Sequence[ClipRecord], theme: Theme) -> bytes | None:
    """Scores of real and of fake frames, each as shares of its class; None when nothing was judged."""
    scores, labels = pooled([frame_scores(clip) for clip in clips])
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
    """How often a score came true; None when nothing was judged."""
    scores, labels = pooled([frame_scores(clip) for clip in clips])
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
