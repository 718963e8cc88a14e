"""Packing of a manifest: find the face of every picture, cut it out, take the mask truth of registered pairs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import DataError, MediaError, SourceError
from streamguard.faces.crop import crop_square
from streamguard.faces.detector import CenterFaceDetector, FaceDetector
from streamguard.faces.region import square
from streamguard.media import open_source, picture_from_rgb
from streamguard.media.source import DecodedFrame
from streamguard.training.manifest import ManifestRow, Rectangle
from streamguard.training.pack import Example, write_crop_pack
from streamguard.training.parts import coded, coded_mask, mask_square, moved, read_part, resend, tile, within
from streamguard.training.truth import pair_truth
from streamguard.types import FloatArray, Picture, UInt8Array

CONTEXT = 1.9
"""Side of what is kept as a multiple of the face box's longer side."""
LARGEST_FACE = 240
"""Pixels of the longer side of a face box; larger faces are brought down to that."""
SMALLEST_FACE = 32
KEPT_WHOLE = 400
"""Pictures of up to so many pixels a side are kept as they are, byte for byte."""
TRUTH_FACE = 183
"""Longer side of the face box at which the mask truth is taken: that of a face in the crop of 256 that the rule of the
articles was written for."""
TRUTH_SIDE = round(TRUTH_FACE * CONTEXT)
LEAST_CHANGED = 0.015
"""Share of the face box that a fake must have changed for its mask to be believed."""
CHUNK = 60
DETECTION_PIXELS = 160 * 160
"""Of the detector's input: what is packed shows a large face."""


@dataclass(frozen=True, slots=True)
class PackSettings:
    """Settings for taking clips apart.

    Attributes:
        stride: of clips without partner every n-th frame is taken, of registered ones every n-th of `pair_stride`.
        most: faces of one clip and rectangle at the most.
        sent: further passes over registered clips, rescaled and re-encoded at call bit rates.
        quality: of JPEG, of what is cut out.
        seed: of the bit rates.
    """

    stride: int = 6
    pair_stride: int = 3
    most: int = 150
    sent: int = 1
    quality: int = 97
    seed: int = 1


@dataclass(slots=True)
class Skips:
    """Pictures that could not be used: counted by reason, the first of each named."""

    tell: Callable[[str], None]
    counts: Counter[str]

    def add(self, thing: str, reason: str) -> None:
        """Count it; tell the first three of each reason."""
        self.counts[reason] += 1
        if self.counts[reason] <= 3:
            self.tell(f"{thing}: {reason}")


@dataclass(frozen=True, slots=True)
class _Found:
    box: tuple[float, float, float, float]
    landmarks: FloatArray


def make_packs(
    rows: Sequence[ManifestRow],
    root: Path,
    out: Path,
    skips: Skips,
    advance: Callable[[str, int, int], None],
    settings: PackSettings | None = None,
) -> Iterator[tuple[str, int | None]]:
    """Make a pack of each set below `out`; yields its name and how many faces it holds, None where it was there.

    Of a set in which no face can be used no pack is made: 0.

    Args:
        rows: of one side of the split.
        root: the data root.
        out: a folder for each set is made here.
        skips: told of what cannot be used.
        advance: called with set, files done and files in all.
        settings: strides and quality.

    Raises:
        DataError: `out` cannot be written.
    """
    for name in sorted({row.set for row in rows}):
        if (out / name / "index.npz").is_file():
            yield name, None
            continue
        chosen = [row for row in rows if row.set == name]

        def told(done: int, total: int, name: str = name) -> None:
            advance(name, done, total)

        examples = pack_examples(chosen, root, settings or PackSettings(), skips, told)
        if (first := next(examples, None)) is None:
            skips.add(name, "a set without one usable face")
            yield name, 0
        else:
            yield name, write_crop_pack(out / name, chain([first], examples))


def pack_examples(
    rows: Sequence[ManifestRow],
    root: Path,
    settings: PackSettings,
    skips: Skips,
    advance: Callable[[int, int], None],
    detector: FaceDetector | None = None,
) -> Iterator[Example]:
    """The examples of a manifest's rows; what cannot be used is told to `skips` and passed over.

    Args:
        rows: of one split.
        root: the data root.
        settings: strides and quality.
        skips: told of missing files, clips that break, pictures without a face, partners of another size.
        advance: called with files done and files in all.
        detector: finds the faces; default CenterFace on one thread.
    """
    finder = detector or CenterFaceDetector(pixel_budget=DETECTION_PIXELS)
    by_file: defaultdict[tuple[str, Rectangle | None], list[ManifestRow]] = defaultdict(list)
    for row in rows:
        if row.is_clip:
            by_file[row.file, None].append(row)
        elif row.partner:
            by_file[row.partner, row.partner_rectangle].append(row)
        else:
            by_file[row.file, row.rectangle].append(row)
    for done, ((name, place), group) in enumerate(by_file.items()):
        advance(done, len(by_file))
        try:
            if group[0].is_clip:
                yield from _of_clip(root, name, group, settings, skips, finder)
            else:
                yield from _of_pictures(root, name, place, group, settings, skips, finder)
        except (MediaError, SourceError, DataError) as error:
            skips.add(name, error.cause)
    advance(len(by_file), len(by_file))


def _of_pictures(
    root: Path,
    name: str,
    place: Rectangle | None,
    rows: list[ManifestRow],
    settings: PackSettings,
    skips: Skips,
    finder: FaceDetector,
) -> Iterator[Example]:
    """A real picture, or a part of it, and the fakes registered with it; or a picture by itself."""
    data, picture = read_part(root / name, place, settings.quality)
    found = _largest(finder, picture_from_rgb(picture))
    if found is None:
        if not any(row.partner for row in rows):
            skips.add(name, "no face found")
            return
        # A crop of a face in which none is found (dark, turned away) still is one: as tight as its like.
        height, width = picture.shape[:2]
        found = _Found((width * 0.1, height * 0.1, width * 0.9, height * 0.9), np.full((5, 2), np.nan, np.float32))
    for row in rows:
        other: tuple[bytes, UInt8Array] | None = None
        if row.partner:
            try:
                other = read_part(root / row.file, row.rectangle, settings.quality)
            except (MediaError, DataError) as error:
                skips.add(row.file, error.cause)
                continue
            if other[1].shape != picture.shape:
                skips.add(row.file, "of another size than its partner")
                continue
        yield from _example(row, (data, picture), other, found, settings, skips)


def _example(
    row: ManifestRow,
    first: tuple[bytes, UInt8Array],
    fake: tuple[bytes, UInt8Array] | None,
    found: _Found,
    settings: PackSettings,
    skips: Skips,
) -> Iterator[Example]:
    """`first` is the real picture of a pair, or the picture itself."""
    mask = None
    if fake is not None:
        marked = _truth(first[1], fake[1], found)
        if marked is None:
            skips.add(row.file, "hardly changed from its partner: no mask is taken")
            return
        mask = marked
    pictures = [first[1]] if fake is None else [first[1], fake[1]]
    codes = [first[0]] if fake is None else [first[0], fake[0]]
    height, width = first[1].shape[:2]
    inside = (0.0, 0.0, float(width), float(height))
    box, marks = found.box, found.landmarks
    if max(height, width) > KEPT_WHOLE:
        area = crop_square(box, CONTEXT)
        size = min(area.side, round(LARGEST_FACE * CONTEXT))
        scale = size / area.side
        squares = [square(picture_from_rgb(each), area.x, area.y, area.side, size) for each in pictures]
        codes = [coded(each, settings.quality) for each in squares]
        inside = moved((0.0, 0.0, float(width), float(height)), area.x, area.y, scale, size)
        x0, y0, x1, y1 = box
        box = (x0 - area.x) * scale, (y0 - area.y) * scale, (x1 - area.x) * scale, (y1 - area.y) * scale
        if mask is not None:
            mask = mask_square(mask, area.x, area.y, area.side, size)
        marks = ((marks - (area.x, area.y)) * scale).astype(np.float32)
    lone = fake is None
    yield Example(
        real=codes[0] if not lone or row.label == "real" else None,
        fake=codes[-1] if not lone or row.label == "fake" else None,
        mask=None if mask is None else coded_mask(mask),
        box=box,
        landmarks=marks,
        inside=inside,
        group=row.group,
        set=row.set,
        program=row.program,
        file=row.file,
    )


def _of_clip(
    root: Path, name: str, rows: list[ManifestRow], settings: PackSettings, skips: Skips, finder: FaceDetector
) -> Iterator[Example]:
    path = root / name
    if not path.is_file():
        skips.add(name, "no such file")
        return
    registered = any(row.partner for row in rows)
    stride = settings.pair_stride if registered else settings.stride
    random = np.random.default_rng([settings.seed, *path.name.encode()])
    taken: Counter[int] = Counter()
    faces = 0
    with open_source(str(path)) as source:
        rate = source.average_rate or 25.0
        for start, chunk in _chunks(iter(source)):
            if start == 0:
                rows = _fitting(rows, chunk[0], skips)
                if not rows:
                    return
            passes = [chunk]
            if registered:
                passes += [resend(chunk, rate, random) for _ in range(settings.sent)]
            for index in range(-start % stride, len(chunk), stride):
                seen: dict[Rectangle | None, _Found | None] = {}
                for number, row in enumerate(rows):
                    if taken[number] >= settings.most or (row.label == "real" and _serves(row, rows)):
                        continue
                    place = row.partner_rectangle if row.partner else row.rectangle
                    if place not in seen:
                        seen[place] = _largest(finder, tile(chunk[index], place))
                    found = seen[place]
                    if found is None:
                        continue
                    faces += 1
                    taken[number] += 1
                    # In turn as it came and as it was sent on.
                    sent = passes[taken[number] % len(passes)][index]
                    yield from _cut(row, chunk[index], sent, found, settings, skips)
    if not faces:
        skips.add(name, "no face found")


def _fitting(rows: list[ManifestRow], picture: Picture, skips: Skips) -> list[ManifestRow]:
    """The rows that can be taken from a clip of such pictures."""
    kept = []
    for row in rows:
        try:
            for place in (row.rectangle, row.partner_rectangle):
                tile(picture, place)
        except DataError as error:
            skips.add(row.file, error.cause)
            continue
        if row.partner not in ("", row.file):
            skips.add(row.file, "registered with another clip: put both side by side in one")
            continue
        kept.append(row)
    return kept


def _serves(row: ManifestRow, rows: Sequence[ManifestRow]) -> bool:
    """Return whether a real tile comes along with the fakes registered with it anyway."""
    return any(other.partner_rectangle == row.rectangle and other.partner == row.file for other in rows)


def _cut(
    row: ManifestRow, clean: Picture, sent: Picture, found: _Found, settings: PackSettings, skips: Skips
) -> Iterator[Example]:
    area = crop_square(found.box, CONTEXT)
    size = min(area.side, round(LARGEST_FACE * CONTEXT))
    scale = size / area.side

    def cut(picture: Picture, place: Rectangle | None, to: int) -> UInt8Array:
        return square(tile(picture, place), area.x, area.y, area.side, to)

    part = tile(clean, row.rectangle)
    inside = moved((0.0, 0.0, float(part.width), float(part.height)), area.x, area.y, scale, size)
    mask = None
    if row.partner:
        truth = pair_truth(*(cut(clean, place, TRUTH_SIDE) for place in (row.partner_rectangle, row.rectangle)))
        marked = within(truth.filled.astype(np.uint8), inside, TRUTH_SIDE / size)
        if marked.mean() * CONTEXT**2 < LEAST_CHANGED:
            skips.add(row.file, "hardly changed from its partner: no mask is taken")
            return
        mask = np.asarray(cv2.resize(marked, (size, size), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    own = coded(cut(sent, row.rectangle, size), settings.quality)
    partner = coded(cut(sent, row.partner_rectangle, size), settings.quality) if row.partner else None
    x0, y0, x1, y1 = ((value - (area.x, area.y)[k % 2]) * scale for k, value in enumerate(found.box))
    yield Example(
        real=own if row.label == "real" else partner,
        fake=own if row.label == "fake" else None,
        mask=None if mask is None else coded_mask(mask),
        box=(x0, y0, x1, y1),
        landmarks=((found.landmarks - (area.x, area.y)) * scale).astype(np.float32),
        inside=inside,
        group=row.group,
        set=row.set,
        program=row.program,
        file=row.file,
    )


def _truth(real: UInt8Array, fake: UInt8Array, found: _Found) -> UInt8Array | None:
    """uint8 [H, W] of the pair, 1 where fake; None where hardly anything was changed."""
    height, width = real.shape[:2]
    x0, y0, x1, y1 = found.box
    scale = TRUTH_FACE / max(x1 - x0, y1 - y0)
    size = max(16, round(width * scale)), max(16, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = [np.asarray(cv2.resize(each, size, interpolation=how)) for each in (real, fake)]
    marked = pair_truth(*scaled).filled.astype(np.uint8)
    if marked.sum() < LEAST_CHANGED * TRUTH_FACE**2:
        return None
    return np.asarray(cv2.resize(marked, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _largest(finder: FaceDetector, picture: Picture) -> _Found | None:
    found = finder.detect(picture)
    if not len(found):
        return None
    x0, y0, x1, y1 = (float(value) for value in found.boxes[0])
    return _Found((x0, y0, x1, y1), found.landmarks[0]) if min(x1 - x0, y1 - y0) >= SMALLEST_FACE else None


def _chunks(frames: Iterator[DecodedFrame]) -> Iterator[tuple[int, list[Picture]]]:
    """(number of the first, pictures), `CHUNK` at a time; those before damage come before its error."""
    chunk: list[Picture] = []
    start = 0
    try:
        for frame in frames:
            chunk.append(frame.picture)
            if len(chunk) == CHUNK:
                yield start, chunk
                start, chunk = start + CHUNK, []
    except (MediaError, SourceError):
        if chunk:
            yield start, chunk
        raise
    if chunk:
        yield start, chunk
