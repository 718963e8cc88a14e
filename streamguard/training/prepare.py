"""From clips and portraits to a pack of (real, fake, mask) triples."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import DataError, MediaError, SourceError
from streamguard.faces.crop import CropSquare, crop_square
from streamguard.faces.detector import CenterFaceDetector, Detections, FaceDetector
from streamguard.faces.region import square
from streamguard.media import Codec, open_source, picture_from_rgb, recode, rgb_of
from streamguard.models import CROP_MARGIN
from streamguard.training.augment import jpeg
from streamguard.training.config import TrainConfig
from streamguard.training.pack import PACK_SIZE, Triple, write_pack
from streamguard.training.selfblend import self_blend
from streamguard.training.truth import pair_truth
from streamguard.types import Picture, UInt8Array

PACK_MARGIN = CROP_MARGIN * PACK_SIZE / 256
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
MOST_PER_FILE = 400
"""Triples taken of one clip, so that a long one does not drown the others."""
CHUNK = 60
"""Frames recoded at a time: bounds memory on long clips."""

Skipped = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Split:
    """File lists of one side of the person split."""

    pairs: tuple[Path, ...]
    videos: tuple[Path, ...]
    portraits: tuple[Path, ...]


def person_of(path: Path) -> str:
    """Who a file shows, by its name.

    `First_Last_2` is a clip of First_Last; `set_012_s` and `set_012_n` are two expressions of set_012's person.
    """
    stem = re.sub(r"(?<=_\d{3})_[a-z]$", "", path.stem)
    head, _, tail = stem.rpartition("_")
    return head if tail.isdigit() and "_" in head else stem


def split(root: Path, config: TrainConfig) -> tuple[Split, Split]:
    """Training and validation files. Nobody is on both sides.

    Raises:
        DataError: a folder is missing or a validation person does not occur.
    """
    data = config.data
    clips = _files(root / data.pairs, ("mp4", "mkv", "webm", "mov")) if data.pairs else []
    videos = [path for folder in data.real_videos for path in _files(root / folder, ("mp4", "mkv", "webm", "mov"))]
    kept = set(data.validation_persons)
    if missing := kept - {person_of(path) for path in [*clips, *videos]}:
        raise DataError(
            str(root), f"validation persons without a clip: {', '.join(sorted(missing))}", "correct the names"
        )
    train_faces: list[Path] = []
    held_faces: list[Path] = []
    for folder in data.faces:
        paths = _files(root / folder, ("jpg", "jpeg", "png", "webp"))
        held_faces += paths[:: data.validation_every]
        held = {person_of(path) for path in paths[:: data.validation_every]}
        training = [path for path in paths if person_of(path) not in held]
        step = max(1, len(training) // data.faces_per_folder)
        train_faces += training[::step][: data.faces_per_folder]

    def side(held: bool, faces: list[Path]) -> Split:
        return Split(
            tuple(path for path in clips if (person_of(path) in kept) == held),
            tuple(path for path in videos if (person_of(path) in kept) == held),
            tuple(faces),
        )

    return side(False, train_faces), side(True, held_faces)


def prepare(
    root: Path, config: TrainConfig, out: Path, advance: Callable[[str, int, int], None], skipped: Skipped
) -> dict[str, int]:
    """Write the packs `pairs`, `selfblend`, `validation` and `calibration` below `out`; complete ones are kept.

    Args:
        root: the data root that the configuration's folders are relative to.
        config: what to take and how.
        out: where the packs go (a few gigabytes).
        advance: called with pack name, files done, files in all.
        skipped: called with a sentence for each file that could not be used.

    Returns the number of triples of each pack.

    Raises:
        DataError: nothing usable, or `out` cannot be written.
    """
    training, held = split(root, config)
    maker = TripleMaker(config, skipped)
    seed = config.prepare.seed
    jobs: dict[str, tuple[list[tuple[Path, int]], Callable[[Path, int], Iterator[Triple]]]] = {}
    if training.pairs:
        jobs["pairs"] = (
            [(path, v) for path in training.pairs for v in range(config.prepare.pair_variants)],
            maker.pairs,
        )
        jobs["validation"] = ([(path, 0) for path in held.pairs], maker.pairs)
    portraits = [(path, v) for path in training.portraits for v in range(config.prepare.blends_per_face)]
    # The real halves of the pairs blend, too: the same cameras and faces, with nothing but the blend to tell them apart.
    clips = [(path, variant) for path in training.pairs for variant in range(config.prepare.blends_per_half)]
    videos = [(path, variant) for path in training.videos for variant in range(config.prepare.blends_per_face)]
    if portraits or videos or clips:
        jobs["selfblend"] = ([*clips, *videos, *portraits], maker.self_blends)
    if held.portraits or held.videos:
        calibration = [(path, 0) for path in (*held.videos, *held.portraits)]
        jobs["calibration"] = (calibration, maker.self_blends)
    counts = {}
    for name, (files, make) in jobs.items():
        if (out / name / "index.json").is_file():
            continue
        order = np.random.default_rng(seed).permutation(len(files))

        def triples(
            name: str = name,
            files: list[tuple[Path, int]] = files,
            order: np.ndarray = order,
            make: Callable[[Path, int], Iterator[Triple]] = make,
        ) -> Iterator[Triple]:
            for done, index in enumerate(order):
                advance(name, done, len(files))
                try:
                    yield from islice(make(*files[index]), MOST_PER_FILE)
                except (MediaError, SourceError) as error:
                    skipped(str(error))
            advance(name, len(files), len(files))

        counts[name] = write_pack(out / name, triples(), capacity=_capacity(files))
    return counts


class TripleMaker:
    """Makes triples of single files; deterministic by the configuration's seed and the file's name."""

    def __init__(self, config: TrainConfig, skipped: Skipped, detector: FaceDetector | None = None) -> None:
        self._config, self._skipped = config, skipped
        self._detector = detector or CenterFaceDetector(threads=1)

    def pairs(self, path: Path, variant: int) -> Iterator[Triple]:
        """Triples of a side-by-side clip; variant 0 is the recording itself, others are rescaled and re-encoded."""
        random = self._random(path, variant)
        stride, person = self._config.prepare.pair_stride, person_of(path)
        with open_source(str(path)) as source:
            pictures = [decoded.picture for decoded in source]
        found = 0
        for start in range(0, len(pictures), CHUNK):
            chunk = pictures[start : start + CHUNK]
            sent = chunk if variant == 0 else _resend(chunk, source.average_rate or 30.0, random)
            for index in range(variant % stride, len(chunk), stride):
                real, fake = halves(chunk[index])
                area = _pack_square(self._detector.detect(real))
                if area is None:
                    continue
                found += 1
                truth = pair_truth(_cut(real, area), _cut(fake, area))
                real, fake = halves(sent[index])
                yield Triple(
                    _cut(real, area),
                    _cut(fake, area),
                    truth.filled.astype(np.uint8),
                    person,
                    path.name,
                    "pair",
                )
        if not found:
            self._skipped(f"{path}: no face found")

    def self_blends(self, path: Path, variant: int) -> Iterator[Triple]:
        """Triples of a real clip or the real half of a pair (every n-th frame), or a portrait, self-blended."""
        random = self._random(path, variant)
        found = 0
        for picture in self._pictures(path, variant):
            detections = self._detector.detect(picture)
            area = _pack_square(detections)
            if area is None:
                continue
            found += 1
            real = _cut(picture, area)
            points = (detections.landmarks[0] - (area.x, area.y)) * (PACK_SIZE / area.side)
            fake = self_blend(real, points.astype(np.float32), random)
            sent_real, sent_fake = _send_together(real, fake.pixels, random)
            yield Triple(sent_real, sent_fake, fake.mask, person_of(path), path.name, "selfblend")
        if not found:
            self._skipped(f"{path}: no face found")

    def _pictures(self, path: Path, variant: int) -> Iterator[Picture]:
        if path.suffix.lower() in PICTURES:
            pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            if pixels is None:
                self._skipped(f"{path}: not a readable picture")
                return
            yield picture_from_rgb(np.asarray(pixels, dtype=np.uint8))
        else:
            stride, pairs = self._config.prepare.video_stride, self._config.data.pairs
            paired = bool(pairs) and path.parent.name == Path(pairs).name
            with open_source(str(path)) as source:
                for decoded in source:
                    if decoded.index % stride == (variant * 5) % stride:
                        yield halves(decoded.picture)[0] if paired else decoded.picture

    def _random(self, path: Path, variant: int) -> np.random.Generator:
        return np.random.default_rng([self._config.prepare.seed, variant, *path.name.encode()])


def halves(picture: Picture) -> tuple[Picture, Picture]:
    """Left and right half of a side-by-side picture, as views."""
    middle = picture.width // 4 * 2

    def part(start: int, stop: int) -> Picture:
        chroma = slice(start // 2, (stop + 1) // 2)
        return Picture(
            picture.y[:, start:stop],
            picture.u[:, chroma],
            picture.v[:, chroma],
            picture.matrix,
            picture.full_range,
        )

    return part(0, middle), part(picture.width - middle, picture.width)


def _pack_square(found: Detections) -> CropSquare | None:
    if not len(found):
        return None
    x0, y0, x1, y1 = (float(value) for value in found.boxes[0])
    return crop_square((x0, y0, x1, y1), PACK_MARGIN) if min(x1 - x0, y1 - y0) >= 32 else None


def _cut(picture: Picture, area: CropSquare) -> UInt8Array:
    return square(picture, area.x, area.y, area.side, PACK_SIZE)


def _resend(pictures: list[Picture], rate: float, random: np.random.Generator) -> list[Picture]:
    """Whole frames as a call would send them: rescaled, encoded, decoded, and scaled back to keep registration."""
    factor = float(random.uniform(0.55, 1.0))
    width, height = (max(64, round(side * factor / 2) * 2) for side in (pictures[0].width, pictures[0].height))
    small = [_resized(picture, width, height) for picture in pictures]
    # About 250 kbit/s to 2 Mbit/s at 640x360.
    bits = float(np.exp(random.uniform(np.log(0.04), np.log(0.3)))) * width * height * rate
    sent = recode(small, codec=_codec(random), rate=rate, bit_rate=round(bits))
    return [_resized(picture, pictures[0].width, pictures[0].height) for picture in sent]


def _codec(random: np.random.Generator) -> Codec:
    choices: tuple[Codec, ...] = ("h264", "h264", "vp8", "mpeg4")
    return choices[int(random.integers(len(choices)))]


def _resized(picture: Picture, width: int, height: int) -> Picture:
    how = cv2.INTER_AREA if width < picture.width else cv2.INTER_CUBIC
    half = ((width + 1) // 2, (height + 1) // 2)
    planes = ((picture.y, (width, height)), (picture.u, half), (picture.v, half))
    y, u, v = (np.asarray(cv2.resize(p, size, interpolation=how), dtype=np.uint8) for p, size in planes)
    return Picture(y, u, v, picture.matrix, picture.full_range)


def _send_together(real: UInt8Array, fake: UInt8Array, random: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """Both crops side by side through one resolution and one encoder, so that only the manipulation differs."""
    size = max(96, round(PACK_SIZE * random.uniform(0.5, 1.0) / 2) * 2)
    both = [
        np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8) for rgb in (real, fake)
    ]
    tile = np.concatenate(both, axis=1)
    chain = random.random()
    if chain < 0.55:
        codec = _codec(random)
        bits = float(np.exp(random.uniform(np.log(0.06), np.log(0.5)))) * size * size * 2 * 30
        picture = picture_from_rgb(tile)
        tile = rgb_of(recode([picture] * 3, codec=codec, rate=30.0, bit_rate=round(bits))[-1])
    elif chain < 0.85:
        tile = jpeg(tile, int(random.integers(50, 96)))
    large = cv2.resize(tile, (2 * PACK_SIZE, PACK_SIZE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[:, :PACK_SIZE], dtype=np.uint8), np.asarray(large[:, PACK_SIZE:], dtype=np.uint8)


def _capacity(files: list[tuple[Path, int]]) -> int:
    """A bound: memory-mapped files are sparse, unused rows take no space."""
    return sum(1 if path.suffix.lower() in PICTURES else MOST_PER_FILE for path, _ in files)


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        raise DataError(str(folder), "no such folder", "give the data root with `--data`")
    return sorted(path for path in folder.iterdir() if path.suffix.lower().lstrip(".") in suffixes)
