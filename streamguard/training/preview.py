"""A contact sheet of what a training run learns from."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np

from streamguard.training.feed import Samples
from streamguard.training.sampler import Sample
from streamguard.types import UInt8Array

COLUMNS = 6
ROWS = 3
CELL = 160
OUTLINE = (0, 230, 255)


def preview_sheet(sampler: Samples, starts: list[int]) -> bytes:
    """Real above fake above the fake with its truth outlined, by stage, as a PNG.

    Args:
        sampler: draws the samples.
        starts: the first step of each stage.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * COLUMNS, 2.15 * ROWS * len(starts)), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for part, start in zip(figure.subfigures(len(starts), 1, squeeze=False)[:, 0], starts, strict=True):
        stage = sampler.stage(start)
        part.suptitle(f"from step {start}: patches of {stage.patch} px", x=0.01, ha="left", fontsize=11)
        grid = part.subplots(ROWS, COLUMNS)
        for column, sample in enumerate(_first(sampler, start)):
            for axes, picture in zip(grid[:, column], _cells(sample), strict=True):
                axes.imshow(picture)
                axes.set_axis_off()
            grid[0, column].set_title(sample.kind, fontsize=9)
    sheet = BytesIO()
    figure.savefig(sheet, format="png")
    return sheet.getvalue()


def _first(sampler: Samples, start: int) -> list[Sample]:
    samples: list[Sample] = []
    step = start
    while len(samples) < COLUMNS:
        samples += sampler.samples(step)
        step += 1
    return samples[:COLUMNS]


def _cells(sample: Sample) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    real, fake, mask = (
        np.asarray(cv2.resize(part, (CELL, CELL), interpolation=how), dtype=np.uint8)
        for part, how in (
            (sample.patches.real, cv2.INTER_AREA),
            (sample.patches.fake, cv2.INTER_AREA),
            (sample.patches.mask, cv2.INTER_NEAREST),
        )
    )
    outlined = fake.copy()
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(outlined, contours, -1, OUTLINE, 2)
    return real, fake, outlined
