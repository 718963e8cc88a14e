"""The worst errors as pictures: what a person has to see before they believe, or mend, a detector."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import OutputError
from streamguard.files import write_bytes
from streamguard.media import picture_from_rgb, rgb_of
from streamguard.overlay import OverlayItem, paint
from streamguard.training.evaluation.records import FrameRecord
from streamguard.types import FaceVerdict, Float64Array, Mask, UInt8Array

MOST = 24
"""Pictures of each kind of error."""
PER_CLIP = 3
"""Of one clip, so that a single bad one does not fill the gallery."""
APART = 0.5
"""Seconds between two pictures of one clip: neighbours look alike."""
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class _Error:
    clip: str
    time: float
    score: float
    badness: float
    face: FaceVerdict


class Gallery:
    """Keeps the worst false positives and misses while clips are judged, and writes them at the end.

    A picture shows the crop as the model saw it, beside the same with the mask painted. Memory is bounded by
    `MOST + 1` crops of each kind and `PER_CLIP + 1` of the present clip.

    Args:
        folder: where the pictures go; see `check_gallery`.
        threshold: the model's pixel threshold, for the contour, 0..1.
    """

    def __init__(self, folder: Path, threshold: float) -> None:
        self._folder, self._threshold = folder, threshold
        self._kept: dict[bool, list[_Error]] = {False: [], True: []}

    def add(self, clip: str, label: bool, frame: FrameRecord, face: FaceVerdict) -> None:
        """Look at a judged frame; it is kept if it is wrong, and wronger than others.

        Args:
            clip: the clip's name.
            label: the truth, True for fake.
            frame: what was said of it.
            face: the face it was judged by, with its mask.
        """
        if frame.score is None or frame.fake is label or face.mask is None:
            return
        badness = 1 - frame.score if label else frame.score
        kept = self._kept[label]
        near = [each for each in kept if each.clip == clip]
        rivals = [each for each in near if abs(each.time - frame.time) < APART]
        if not rivals and len(near) >= PER_CLIP:
            rivals = [min(near, key=lambda each: each.badness)]
        if any(each.badness >= badness for each in rivals):
            return
        for each in rivals:
            kept.remove(each)
        kept.append(_Error(clip, frame.time, frame.score, badness, face))
        if len(kept) > MOST:
            kept.remove(min(kept, key=lambda each: each.badness))

    def write(self) -> list[Path]:
        """Write the pictures, worst first: `false-positive-01_<clip>_<time>s_<score>.png`, `miss-01_...`.

        Raises:
            OutputError: a picture cannot be written.
        """
        written = []
        for kind, errors in (("false-positive", self._kept[False]), ("miss", self._kept[True])):
            for rank, each in enumerate(sorted(errors, key=lambda error: -error.badness), 1):
                clip = _ODD.sub("-", each.clip)
                path = self._folder / f"{kind}-{rank:02d}_{clip}_{each.time:.2f}s_{each.score:.2f}.png"
                write_bytes(path, _png(_shown(each.face, self._threshold)))
                written.append(path)
        return written


def check_gallery(folder: Path, data: Sequence[Path]) -> None:
    """Make the folder, and fail before hours of work rather than after.

    Args:
        folder: new or empty.
        data: the folders of the clips that are judged.

    Raises:
        OutputError: it lies inside a data folder or a git repository, is no folder, is not empty, or cannot be made or
            written.
    """
    place = folder.resolve()
    for each in data:
        if place.is_relative_to(each.resolve()):
            remedy = "choose one that no evaluation or training reads"
            raise OutputError(str(folder), f"lies inside the data folder {each}", remedy)
    for parent in (place, *place.parents):
        if (parent / ".git").exists():
            cause = f"lies inside the git repository {parent}, where faces are soon committed and published"
            raise OutputError(str(folder), cause, "choose a folder outside it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        filled = any(folder.iterdir())
    except OSError as error:
        cause = f"cannot be used as a folder ({error.strerror})"
        raise OutputError(str(folder), cause, "choose another one") from error
    if filled:
        raise OutputError(str(folder), "is not empty", "choose a new or an empty folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(str(folder), "is not writable", "choose another one")


def _shown(face: FaceVerdict, threshold: float) -> UInt8Array:
    """The crop, and the crop with its mask and verdict: uint8 [S, 2 S, 3] RGB."""
    assert face.mask is not None
    crop = face.mask.crop
    corners = np.asarray(face.face.box, dtype=np.float64).reshape(2, 2)
    scale, offset = crop.affine[0, 0], crop.affine[:, 2]
    x0, y0, x1, y1 = ((corners - offset) / scale).ravel().tolist()
    inside = replace(face.face, box=(x0, y0, x1, y1))
    still: Float64Array = np.eye(2, 3)
    mask = Mask(replace(crop, face=inside, affine=still), face.mask.probability)
    item = OverlayItem(inside, face.state, score=face.score, mask=mask, threshold=threshold)
    painted = rgb_of(paint(picture_from_rgb(crop.pixels), [item]))
    return np.concatenate([crop.pixels, painted], axis=1)


def _png(rgb: UInt8Array) -> bytes:
    _, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return data.tobytes()
