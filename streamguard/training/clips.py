"""The labelled clips of an evaluation: what lies in the folders, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import DataError
from streamguard.training.split import VIDEOS, person_of
from streamguard.types import Picture

ALIKE = 0.85
"""Correlation below which two halves show different pictures: of 24 recordings and their swaps none lies below 0.99, of
the halves of 16 single faces none above 0.66."""
_THUMBNAIL = (24, 24)


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled clip to judge.

    Attributes:
        path: the file.
        label: True when fake.
        group: what figures are broken down by.
        half: 0 or 1 for the left (real) or right (fake) half of a side-by-side pair; None for the whole picture.
    """

    path: Path
    label: bool
    group: str
    half: int | None = None

    @property
    def name(self) -> str:
        """Unique name: the file, with its half or its side (a real and a fake folder often hold the same names)."""
        side = "fake" if self.label else "real"
        return f"{side}/{self.path.name}" if self.half is None else f"{self.path.name}:{side}"


def pair_clips(folder: Path, persons: Sequence[str] = ()) -> list[Clip]:
    """Both halves of every side-by-side clip of `folder` (of these persons only, if any are named).

    Raises:
        DataError: no such folder, no clip in it, or a person without one.
    """
    paths = _videos(folder)
    if missing := set(persons) - {person_of(path) for path in paths}:
        raise DataError(str(folder), f"no clip of {', '.join(sorted(missing))}", "check the names")
    chosen = [path for path in paths if not persons or person_of(path) in persons]
    return [Clip(path, bool(half), person_of(path), half) for path in chosen for half in (0, 1)]


def labelled_clips(real: Path, fake: Path, names: Sequence[str] = ()) -> list[Clip]:
    """Every video of two folders; groups are the part of the name before the first `_` or digit.

    Args:
        real, fake: folders.
        names: keep only the real clips of these stems, if any are named.

    Raises:
        DataError: a folder is missing or empty, or a name without a clip.
    """
    paths = _videos(real)
    if missing := set(names) - {path.stem for path in paths}:
        raise DataError(str(real), f"no clip named {', '.join(sorted(missing))}", "check the names")
    reals = [path for path in paths if not names or path.stem in names]
    both = [(path, False) for path in reals] + [(path, True) for path in _videos(fake)]
    return [Clip(path, label, f"{'fake' if label else 'real'} {_family(path)}") for path, label in both]


def passed_over(folder: Path) -> list[str]:
    """Names in the folder that are no videos and so take no part, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() not in VIDEOS)


def alike(left: Picture, right: Picture) -> bool:
    """Whether two pictures show nearly the same: the halves of a pair that is side by side indeed do."""
    small = [np.asarray(cv2.resize(each.y, _THUMBNAIL, interpolation=cv2.INTER_AREA)).ravel() for each in (left, right)]
    first, second = (each.astype(np.float64) - each.mean() for each in small)
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return size == 0 or float((first * second).sum()) / size >= ALIKE


def _family(path: Path) -> str:
    head = path.stem.split("_")[0]
    return head.rstrip("0123456789") or head


def _videos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(str(folder), "no such folder", "give the folder of the clips")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEOS)
    if not paths:
        raise DataError(str(folder), "no video in it", "give the folder of the clips")
    return paths
