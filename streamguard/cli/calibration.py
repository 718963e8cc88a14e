"""Crops that an engine in eight bits is calibrated on: from packs, face crops, pictures or videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamguard.errors import DataError, MediaError, SourceError

if TYPE_CHECKING:
    from streamguard.faces import FaceDetector
    from streamguard.inference import CalibrationSet
    from streamguard.models import ModelSpec
    from streamguard.training.pack import CropPack
    from streamguard.types import Picture, UInt8Array

CALIBRATED = 128
"""Crops that are calibrated on; more change little."""
HELD = 240
"""Other crops, at most, that the engine is verified on."""
FEWEST = 24
PER_FILE = 24
"""Crops of one video: neighbouring frames say the same."""
EVERY = 0.5
"""Seconds between the frames of a video that are looked at."""
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
VIDEOS = frozenset({".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts", ".m4v"})


def read_calibration(folder: Path, spec: ModelSpec) -> CalibrationSet:
    """The crops in `folder`: a pack or several (labelled), or pictures and videos below it (not labelled).

    A picture of just the model's size is taken for a face crop; faces in others are found and cut as live.
    What is calibrated on and what is held back to verify come from different groups of a pack, and from different files
    where there are several.

    Raises:
        DataError: no such folder, or too few faces in it.
    """
    from streamguard.inference import CalibrationSet
    from streamguard.inference.quantise import version

    if not folder.is_dir():
        raise DataError(str(folder), "no such folder", "give a folder of faces, pictures, videos, or packs")
    made_with = f"{folder.name}, nncf {version()}"
    if packs := sorted(path.parent for path in folder.rglob("index.npz")):
        return _of_packs(folder, packs, spec, made_with)
    crops: list[UInt8Array] = []
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURES | VIDEOS]
    # Spread over the folder, whatever its order: the first files may all be of one person.
    for path in np.random.default_rng(0).permutation(np.array(files, dtype=object)):
        if len(crops) >= CALIBRATED + HELD:
            break
        crops += _faces(path, spec)
    if len(crops) < FEWEST:
        raise DataError(str(folder), f"{len(crops)} faces found in {len(files)} files", f"give at least {FEWEST}")
    share = min(CALIBRATED, len(crops) // 2)
    stacked = np.stack(crops)
    return CalibrationSet(stacked[:share], stacked[share : share + HELD], None, made_with)


def _of_packs(folder: Path, packs: Sequence[Path], spec: ModelSpec, source: str) -> CalibrationSet:
    from streamguard.inference import CalibrationSet
    from streamguard.training.drawing import live_crop
    from streamguard.training.pack import CropPack

    opened, random = [CropPack(path) for path in packs], np.random.default_rng(0)
    groups = random.permutation(np.unique(np.concatenate([pack.group for pack in opened])))
    calibrating = set(groups[::2].tolist())
    taken: list[UInt8Array] = []
    held: list[UInt8Array] = []
    labels: list[bool] = []
    for fake, column in enumerate(("real", "fake")):
        shares: tuple[list[UInt8Array], list[UInt8Array]] = ([], [])
        for place, number, picture in random.permutation(_pictures(opened, column)):
            pack = opened[place]
            verifies = str(pack.group[number]) not in calibrating
            if len(shares[verifies]) < (HELD if verifies else CALIBRATED) // 2:
                shares[verifies].append(live_crop(pack.picture(picture), pack.box[number], spec.margin, spec.size))
        taken += shares[0]
        held += shares[1]
        labels += [bool(fake)] * len(shares[1])
    if min(len(taken), len(held)) < FEWEST or len(set(labels)) < 2:
        remedy = f"give {FEWEST} crops, real and fake, of people for each use"
        raise DataError(str(folder), "the packs hold too few people", remedy)
    return CalibrationSet(np.stack(taken), np.stack(held), np.array(labels), source)


def _pictures(packs: Sequence[CropPack], column: str) -> list[tuple[int, int, int]]:
    """Each picture of a label once: number of its pack, of the first example that shows it, and its own."""
    found = []
    for place, pack in enumerate(packs):
        pictures, first = np.unique(getattr(pack, column), return_index=True)
        found += [(place, int(n), int(picture)) for picture, n in zip(pictures, first, strict=True) if picture >= 0]
    return found


def _faces(path: Path, spec: ModelSpec) -> Iterator[UInt8Array]:
    """The faces of a file; none where it cannot be read."""
    from streamguard.faces import CenterFaceDetector
    from streamguard.media import picture_from_rgb

    if path.suffix.lower() in VIDEOS:
        yield from _video(path, spec)
        return
    import cv2

    read = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if read is None:
        return
    rgb = np.ascontiguousarray(read[..., ::-1], dtype=np.uint8)
    if rgb.shape[:2] == (spec.size, spec.size):
        yield rgb
    else:
        # 4:2:0 pictures have even sides.
        even = np.ascontiguousarray(rgb[: len(rgb) // 2 * 2, : rgb.shape[1] // 2 * 2])
        yield from _cuts(picture_from_rgb(even), CenterFaceDetector(), spec)


def _video(path: Path, spec: ModelSpec) -> Iterator[UInt8Array]:
    from streamguard.faces import CenterFaceDetector
    from streamguard.media import open_source

    detector, found, following = CenterFaceDetector(), 0, 0.0
    try:
        with open_source(str(path)) as source:
            for item in source:
                if item.time < following:
                    continue
                following = item.time + EVERY
                for crop in _cuts(item.picture, detector, spec):
                    yield crop
                    found += 1
                if found >= PER_FILE:
                    return
    except (MediaError, SourceError):
        return


def _cuts(picture: Picture, detector: FaceDetector, spec: ModelSpec) -> Iterator[UInt8Array]:
    from streamguard.faces import cut
    from streamguard.pipeline.guard import gate
    from streamguard.types import Face

    found, limits = detector.detect(picture), gate(spec)
    for box, score, landmarks in zip(found.boxes, found.scores, found.landmarks, strict=True):
        x0, y0, x1, y1 = (float(value) for value in box)
        if min(x1 - x0, y1 - y0) < limits.smallest_face:
            continue
        crop = cut(picture, Face(0, (x0, y0, x1, y1), float(score), landmarks), spec.margin, spec.size)
        if limits.after_crop(crop.pixels) is None:
            yield crop.pixels
