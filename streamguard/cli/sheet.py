"""The demo's contact sheet: annotated frames above the verdict's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from streamguard.files import write_bytes
from streamguard.types import UInt8Array, Verdict

if TYPE_CHECKING:
    from streamguard.cli.demo import Moment

COLUMNS = 4
FAKE, REAL, UNKNOWN = "#D55E00", "#0072B2", "#999999"


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
        truth = "" if fake_from is None else ("  truth: blended" if time >= fake_from else "  truth: real")
        axes.set_title(f"{time:.1f} s{truth}", fontsize=9, loc="left", pad=3)
    axes = figure.add_subplot(grid[rows, :])
    times = [moment.time for moment in moments]
    shares = [float("nan") if moment.share is None else moment.share for moment in moments]
    axes.plot(times, shares, color="black", linewidth=1.5, label="share of fake frames in the window")
    colours = {Verdict.FAKE: FAKE, Verdict.REAL: REAL, Verdict.UNKNOWN: UNKNOWN}
    for state, colour in colours.items():
        at = [moment.time for moment in moments if moment.state is state]
        axes.scatter(
            at, [-0.09] * len(at), color=colour, marker="s", s=14, linewidths=0, label=f"verdict {state.value}"
        )
    if fake_from is not None and times:
        axes.axvspan(fake_from, max(times), color=FAKE, alpha=0.12, linewidth=0, label="truth: blended")
    axes.set_xlim(0, max(times, default=1.0))
    axes.set_ylim(-0.16, 1.05)
    axes.set_xlabel("seconds")
    axes.set_ylabel("fake share")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", fontsize=8, frameon=False)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    write_bytes(path, picture.getvalue())
