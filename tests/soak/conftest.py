"""Clips for the feeder, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamguard.media import picture_from_rgb
from tests.soak.material import write_clip
from tests.support.portraits import portrait_pictures

RATE, PICTURES = 20.0, 80
SIZES = ((320, 240), (240, 180))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four seconds of a portrait in two sizes, its face green from the second on, over and over for twelve seconds."""
    folder, made = tmp_path_factory.mktemp("soak"), []
    for width, height in SIZES:
        path = folder / f"{width}.ts"
        left = (320 - width) // 2
        pictures = (
            picture_from_rgb(rgb[:height, left : left + width].copy())
            for rgb in portrait_pictures(PICTURES / RATE, (1.0, 4.0))
        )
        write_clip(path, pictures, RATE, 12.0)
        made.append(path)
    return made
