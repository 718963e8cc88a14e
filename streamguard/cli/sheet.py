"""The demo's contact sheet: annotated frames above the verdict's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from streamguard.files import write_bytes
from streamguard.types import UInt8Array, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
FAKE, UNSURE, REAL, UNKNOWN = "#D55E00", "#F0E442", "#0072B2", "#999999"


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of the timeline."""

    time: float
    state: Verdict
    share: float | None
    fake: bool | None
    """The frame's own verdict; None when no face was judged."""


def contact_sheet(
    path: Path, frames: Sequence[tuple[float, UInt8Array]], moments: Sequence[Moment], fake_from: float | None
) -> None:
    """Write the PNG.

    Args:
        path: the file.
        frames: (media seconds, uint8 [H, W, 3] RGB) annotated frames.
        moments: the timeline.
        fake_from: media seconds from which the truth is fake; None when it is not known.

    Raises:
        OutputError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = max(1, -(-len(frames) // COLUMNS))
    figure = Figure(figsize=(13, 2.55 * rows + 2.4), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows + 1, COLUMNS, height_ratios=[*([2.5] * rows), 2.2])
    for number, (time, rgb) in enumerate(frames):
        axes = figure.add_subplot(grid[number // COLUMNS, number % COLUMNS])
        axes.imshow(rgb)
        axes.set_axis_off()
        fake = fake_from is not None and time >= fake_from
        truth = "" if fake_from is None else ("   truth: fake" if fake else "   truth: real")
        axes.set_title(f"{time:.1f} s{truth}", fontsize=10, loc="left", pad=3, color=FAKE if fake else "black")
    _timeline(figure.add_subplot(grid[rows, :]), moments, fake_from)
    picture = BytesIO()
    # The titles of the first row stand above the layout.
    figure.savefig(picture, format="png", bbox_inches="tight")
    write_bytes(path, picture.getvalue())


def _timeline(axes: Axes, moments: Sequence[Moment], fake_from: float | None) -> None:
    """The share of fake frames over time, above a band of the stream's verdict."""
    times = [moment.time for moment in moments]
    end = max(times, default=1.0)
    if fake_from is not None:
        axes.axvspan(fake_from, max(end, fake_from), color=FAKE, alpha=0.12, linewidth=0, label="truth: fake")
    shares = [float("nan") if moment.share is None else moment.share for moment in moments]
    axes.plot(times, shares, color="black", linewidth=1.5, label="share of fake frames in the window")
    colours = {Verdict.FAKE: FAKE, Verdict.UNSURE: UNSURE, Verdict.REAL: REAL, Verdict.UNKNOWN: UNKNOWN}
    for state, colour in colours.items():
        # A verdict holds until the next frame is judged.
        spans = [
            (moment.time, until - moment.time)
            for moment, until in zip(moments, [*times[1:], end], strict=True)
            if moment.state is state
        ]
        axes.broken_barh(spans, (-0.16, 0.1), color=colour, linewidth=0, label=f"verdict: {state.label}")
    axes.set_xlim(0, max(end, 0.1))
    axes.set_ylim(-0.18, 1.05)
    axes.set_yticks([0, 0.5, 1], ["0", "half", "all"])
    axes.set_xlabel("seconds")
    axes.set_ylabel("fake frames")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, fontsize=9, frameon=False)
