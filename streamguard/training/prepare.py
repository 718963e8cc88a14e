"""From clips and portraits to a pack of (real, fake, mask) triples."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import CorruptMedia, DataError, MediaError, SourceError, UnsupportedMedia
from streamguard.faces.crop import CropSquare, crop_square
from streamguard.faces.detector import CenterFaceDetector, Detections, FaceDetector
from streamguard.faces.region import square
from streamguard.files import write_text
from streamguard.media import Codec, VideoSource, open_source, picture_from_rgb, recode, rgb_of
from streamguard.training.augment import jpeg
from streamguard.training.config import TrainConfig
from streamguard.training.pack import PACK_MARGIN, PACK_SIZE, Triple, write_pack
from streamguard.training.selfblend import self_blend
from streamguard.training.split import PICTURES, person_of, split
from streamguard.training.truth import pair_truth
from streamguard.types import FloatArray, Picture, UInt8Array

MOST_PER_FILE = 400
"""Triples taken of one clip, so that a long one does not drown the others."""
CHUNK = 60
"""Frames recoded at a time: bounds memory on long clips."""

Skipped = Callable[[str], None]


def prepare(
    root: Path, config: TrainConfig, out: Path, advance: Callable[[str, int, int], None], skipped: Skipped
) -> dict[str, int]:
    """Write the packs `pairs`, `selfblend`, `validation` and `calibration` below `out`; complete ones are kept.

    `made_from.json` beside them holds the settings they were made from.

    Args:
        root: the data root that the configuration's folders are relative to.
        config: what to take and how.
        out: where the packs go (a few gigabytes).
        advance: called with pack name, files done, files in all.
        skipped: called with a sentence for each file that could not be used.

    Returns the number of triples of each pack that was made now.

    Raises:
        DataError: nothing usable, `out` cannot be written, or its packs were made from other settings.
    """
    training, held = split(root, config)
    pairs = root / config.data.pairs if config.data.pairs else None
    told: set[str] = set()

    def skip(sentence: str) -> None:
        # A file is tried once for each of its variants.
        if sentence not in told:
            told.add(sentence)
            skipped(sentence)

    maker = TripleMaker(config, skip, pairs=pairs)
    _check_origin(out, config)
    seed = config.prepare.seed
    jobs: dict[str, tuple[list[tuple[Path, int]], Callable[[Path, int], Iterator[Triple]]]] = {}
    if training.pairs:
        jobs["pairs"] = (
            [(path, v) for path in training.pairs for v in range(config.prepare.pair_variants)],
            maker.pairs,
        )
    if held.pairs:
        jobs["validation"] = ([(path, 0) for path in held.pairs], maker.pairs)
    portraits = [(path, v) for path in training.portraits for v in range(config.prepare.blends_per_face)]
    # The real halves of the pairs blend, too: the same cameras and faces, told apart by nothing but the blend.
    clips = [(path, variant) for path in training.pairs for variant in range(config.prepare.blends_per_half)]
    videos = [(path, variant) for path in training.videos for variant in range(config.prepare.blends_per_face)]
    if portraits or videos or clips:
        jobs["selfblend"] = ([*clips, *videos, *portraits], maker.self_blends)
    # What thresholds are tuned on must not be what they are reported on.
    reported = {person_of(path) for path in held.pairs}
    tuned = [path for path in held.videos if person_of(path) not in reported]
    if tuned or held.portraits:
        jobs["calibration"] = ([(path, 0) for path in (*tuned, *held.portraits)], maker.self_blends)
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
                    skip(str(error))
            advance(name, len(files), len(files))

        counts[name] = write_pack(out / name, triples(), capacity=_capacity(files))
    return counts


class TripleMaker:
    """Makes triples of single files; deterministic by the configuration's seed and the file's name.

    Args:
        config: strides, variants and seed.
        skipped: called with a sentence for each file that holds nothing usable.
        detector: finds the faces.
        pairs: the folder of side-by-side clips; only the real half of such a clip is self-blended.
    """

    def __init__(
        self,
        config: TrainConfig,
        skipped: Skipped,
        detector: FaceDetector | None = None,
        pairs: Path | None = None,
    ) -> None:
        self._config, self._skipped, self._pairs = config, skipped, pairs
        self._detector = detector or CenterFaceDetector(threads=1)

    def pairs(self, path: Path, variant: int) -> Iterator[Triple]:
        """Triples of a side-by-side clip; variant 0 is the recording itself, others are rescaled and re-encoded."""
        random = self._random(path, variant)
        stride, person = self._config.prepare.pair_stride, person_of(path)
        found = 0
        with open_source(str(path)) as source:
            for chunk in _chunks(source):
                sent = chunk if variant == 0 else _resend(chunk, source.average_rate or 30.0, random)
                for index in range(variant % stride, len(chunk), stride):
                    real, fake = halves(chunk[index])
                    detections = self._detector.detect(real)
                    area = _pack_square(detections)
                    if area is None:
                        continue
                    found += 1
                    truth = pair_truth(_cut(real, area), _cut(fake, area)).filled.astype(np.uint8)
                    real, fake = halves(sent[index])
                    yield Triple(
                        _cut(real, area), _cut(fake, area), truth, person, path.name, "pair", _marks(detections, area)
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
            points = _marks(detections, area)
            fake = self_blend(real, points, random)
            sent_real, sent_fake = send_together(real, fake.pixels, random)
            yield Triple(sent_real, sent_fake, fake.mask, person_of(path), path.name, "selfblend", points)
        if not found:
            self._skipped(f"{path}: no face found")

    def _pictures(self, path: Path, variant: int) -> Iterator[Picture]:
        if path.suffix.lower() in PICTURES:
            pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            if pixels is None:
                raise CorruptMedia(str(path), "not a readable picture")
            yield picture_from_rgb(np.asarray(pixels, dtype=np.uint8))
        else:
            stride, paired = self._config.prepare.video_stride, path.parent == self._pairs
            with open_source(str(path)) as source:
                for decoded in source:
                    if decoded.index % stride == (variant * 5) % stride:
                        yield halves(decoded.picture)[0] if paired else decoded.picture

    def _random(self, path: Path, variant: int) -> np.random.Generator:
        return np.random.default_rng([self._config.prepare.seed, variant, *path.name.encode()])


def halves(picture: Picture) -> tuple[Picture, Picture]:
    """Left and right half of a side-by-side picture, as views of one size, registered to the luma pixel.

    Of an odd width the middle column belongs to neither. Where the right half begins on an odd column its chroma is
    half a sample off; its luma never is.

    Raises:
        UnsupportedMedia: the picture is one column wide.
    """
    width = picture.width // 2
    if not width:
        raise UnsupportedMedia("pair", "a picture one column wide has no halves", "give side-by-side clips")

    def part(start: int) -> Picture:
        luma, chroma = slice(start, start + width), slice(start // 2, start // 2 + (width + 1) // 2)
        planes = picture.y[:, luma], picture.u[:, chroma], picture.v[:, chroma]
        return Picture(*planes, picture.matrix, picture.full_range)

    return part(0), part(picture.width - width)


def _chunks(source: VideoSource) -> Iterator[list[Picture]]:
    """The source's pictures, `CHUNK` at a time; those before damage come before its error."""
    chunk: list[Picture] = []
    try:
        for decoded in source:
            chunk.append(decoded.picture)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
    except (MediaError, SourceError):
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _pack_square(found: Detections) -> CropSquare | None:
    if not len(found):
        return None
    x0, y0, x1, y1 = (float(value) for value in found.boxes[0])
    return crop_square((x0, y0, x1, y1), PACK_MARGIN) if min(x1 - x0, y1 - y0) >= 32 else None


def _marks(found: Detections, area: CropSquare) -> FloatArray:
    """float32 [5, 2]: the landmarks in pixels of the pack's crop."""
    return np.asarray((found.landmarks[0] - (area.x, area.y)) * (PACK_SIZE / area.side), dtype=np.float32)


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


def send_together(real: UInt8Array, fake: UInt8Array, random: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """Both crops side by side through one resolution and one encoder, so that only the manipulation differs."""
    size = max(96, round(PACK_SIZE * random.uniform(0.75, 1.0) / 2) * 2)
    both = [
        np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8) for rgb in (real, fake)
    ]
    tile = np.concatenate(both, axis=1)
    chain = random.random()
    if chain < 0.3:
        codec = _codec(random)
        bits = float(np.exp(random.uniform(np.log(0.15), np.log(0.8)))) * size * size * 2 * 30
        picture = picture_from_rgb(tile)
        tile = rgb_of(recode([picture] * 3, codec=codec, rate=30.0, bit_rate=round(bits))[-1])
    elif chain < 0.6:
        tile = jpeg(tile, int(random.integers(70, 98)))
    large = cv2.resize(tile, (2 * PACK_SIZE, PACK_SIZE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[:, :PACK_SIZE], dtype=np.uint8), np.asarray(large[:, PACK_SIZE:], dtype=np.uint8)


def _check_origin(out: Path, config: TrainConfig) -> None:
    """Packs of another split or chain must not be taken for those of this configuration."""
    path = out / "made_from.json"
    made_from = json.dumps(config.model_dump(mode="json", include={"data", "prepare"}), indent=1) + "\n"
    with contextlib.suppress(OSError):
        if path.read_text() == made_from:
            return
        raise DataError(
            str(out),
            "these packs were made from other data or with other settings",
            "remove that folder or give another `--work`",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(str(out), f"cannot be written ({error.strerror})", "choose another `--work`") from error
    write_text(path, made_from)


def _capacity(files: list[tuple[Path, int]]) -> int:
    """A bound: memory-mapped files are sparse, unused rows take no space."""
    return sum(1 if path.suffix.lower() in PICTURES else MOST_PER_FILE for path, _ in files)
