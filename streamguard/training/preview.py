"""A contact sheet of what a training run learns from."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np

from streamguard.training.drawing import PairDrawer
from streamguard.training.recipe import Recipe
from streamguard.types import UInt8Array

COLUMNS = 10
ROWS = 3
CELL = 160
OUTLINE = (0, 230, 255)
UNTAUGHT = (90, 90, 90)


def preview_sheet(recipe: Recipe, drawer: PairDrawer) -> bytes:
    """Real above fake above the fake with its truth outlined and what is not taught in grey, by stage, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    stages = recipe.stages
    figure = Figure(figsize=(2 * COLUMNS, 2.15 * ROWS * len(stages)), dpi=80, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    start = 0
    for part, stage in zip(figure.subfigures(len(stages), 1, squeeze=False)[:, 0], stages, strict=True):
        part.suptitle(f"from step {start}: patches of {stage.patch} px", x=0.01, ha="left", fontsize=11)
        grid = part.subplots(ROWS, COLUMNS)
        random = np.random.default_rng([recipe.seed, start])
        for column in range(COLUMNS):
            drawn = drawer.pair(stage.patch, random)
            cells = (*drawn.pixels, _outlined(drawn.pixels[1], drawn.truth[1], drawn.taught[1]))
            for axes, picture in zip(grid[:, column], cells, strict=True):
                axes.imshow(cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA))
                axes.set_axis_off()
            grid[0, column].set_title(f"fake: {drawn.label[1]:.2f}", fontsize=9)
        start += stage.steps
    sheet = BytesIO()
    figure.savefig(sheet, format="png")
    return sheet.getvalue()


def _outlined(fake: UInt8Array, truth: np.ndarray, taught: np.ndarray) -> UInt8Array:
    size = fake.shape[1::-1]
    picture = fake.copy()
    picture[cv2.resize(taught, size, interpolation=cv2.INTER_NEAREST) == 0] = UNTAUGHT
    mask = (cv2.resize(truth, size) > 0).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, OUTLINE, 2)
    return picture
