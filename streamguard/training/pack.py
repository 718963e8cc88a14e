"""A pack: what training reads, faces as they were recorded, in two files.

`pictures.bin` holds coded pictures one behind the other, `index.npz` says which of them an example is made of. A
picture is kept at the size it was recorded in, so that a patch is resampled once, as it is live; the same real picture
serves all fakes made from it.
"""

from __future__ import annotations

import mmap
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import DataError
from streamguard.files import publish
from streamguard.types import FloatArray, UInt8Array

SCHEMA = "streamguard.pack/3"
NONE = -1
_NUMBERS = {"real": np.int64, "fake": np.int64, "mask": np.int64}
_NAMES = ("group", "set", "program", "file")


@dataclass(frozen=True, slots=True)
class Example:
    """One face to learn from, as coded pictures.

    Attributes:
        real: the real picture (JPEG, PNG or WebP), None for a fake without its original.
        fake: the fake one, registered with `real` where both are there; None for a real face.
        mask: PNG, above 0 where `fake` is fake; None where that is not known.
        box: x0, y0, x1, y1 of the face in pixels of the pictures.
        landmarks: float32 [5, 2] in pixels of the pictures: eyes, nose, mouth corners; not finite where not known.
        inside: x0, y0, x1, y1 of the part of the pictures that was recorded; beyond it the border is repeated.
        group, set, program, file: as in the manifest.
    """

    real: bytes | None
    fake: bytes | None
    mask: bytes | None
    box: tuple[float, float, float, float]
    landmarks: FloatArray
    inside: tuple[float, float, float, float]
    group: str
    set: str
    program: str
    file: str


def write_crop_pack(folder: Path, examples: Iterable[Example]) -> int:
    """Write all examples; the index comes last, so a folder with an index is complete. Returns how many.

    Whatever stops it before, a pack that was there stays as it was.

    Raises:
        DataError: there was not one, or the folder cannot be written.
    """
    partial = folder / "pictures.partial", folder / "index.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            count = _write_parts(*partial, examples)
            if not count:
                raise DataError(str(folder), "not one usable face was found", "check the manifest and its data root")
            # Between the two renamings there is no index: pictures never meet one that is not theirs.
            (folder / "index.npz").unlink(missing_ok=True)
            publish(partial[0], folder / "pictures.bin")
            publish(partial[1], folder / "index.npz")
        finally:
            for path in partial:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            str(folder), f"the pack cannot be written ({error.strerror})", "free space or choose another folder"
        ) from error
    return count


def _write_parts(pictures: Path, index: Path, examples: Iterable[Example]) -> int:
    columns: dict[str, list[object]] = {name: [] for name in (*_NUMBERS, "box", "landmarks", "inside", *_NAMES)}
    ends, known = [0], {}
    with pictures.open("wb") as file:

        def place(data: bytes | None) -> int:
            if data is None:
                return NONE
            key = hash(data), len(data)
            if key not in known:
                known[key] = len(ends) - 1
                ends.append(ends[-1] + file.write(data))
            return known[key]

        for example in examples:
            for name, values in columns.items():
                value = getattr(example, name)
                values.append(place(value) if name in _NUMBERS else value)
    arrays = {f"of_{name}": np.asarray(values, _NUMBERS.get(name)) for name, values in columns.items()}
    with index.open("wb") as file:
        np.savez(file, allow_pickle=False, schema=np.asarray(SCHEMA), ends=np.asarray(ends, np.int64), **arrays)
    return len(columns["real"])


class CropPack:
    """A pack opened for reading; safe to read from several threads.

    Attributes:
        real, fake, mask: int64 [N], numbers of pictures, -1 for none.
        box, inside: float32 [N, 4]; landmarks: float32 [N, 5, 2].
        group, set, program, file: str [N].

    Raises:
        DataError: the folder is no pack, an incomplete one, or one of another version.
    """

    def __init__(self, folder: Path) -> None:
        try:
            with (folder / "index.npz").open("rb") as file, np.load(file, allow_pickle=False) as index:
                arrays = dict(index)
            with (folder / "pictures.bin").open("rb") as file:
                self._pictures = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(str(folder), "no complete pack here", "make it by `streamguard pack`") from error
        try:
            if str(arrays["schema"]) != SCHEMA or arrays["ends"][-1] > len(self._pictures):
                raise LookupError("schema")
            self._ends, self._folder = arrays["ends"], folder
            self.real, self.fake, self.mask = (arrays[f"of_{name}"] for name in _NUMBERS)
            self.box, self.inside, self.landmarks = (
                arrays[f"of_{name}"].astype(np.float32) for name in ("box", "inside", "landmarks")
            )
            self.group, self.set, self.program, self.file = (arrays[f"of_{name}"] for name in _NAMES)
        except LookupError as error:
            self._pictures.close()
            raise DataError(
                str(folder), "the pack is cut off or of another version", "remove it and pack again"
            ) from error

    def __len__(self) -> int:
        return len(self.real)

    def picture(self, number: int) -> UInt8Array:
        """The picture of that number, uint8 [H, W, 3] RGB."""
        return self._decoded(number, cv2.IMREAD_COLOR_RGB)

    def mask_of(self, number: int) -> UInt8Array:
        """The mask of that number, uint8 [H, W], above 0 where fake."""
        return self._decoded(number, cv2.IMREAD_GRAYSCALE)

    def example(self, number: int) -> Example:
        """The example of that number, as it was written."""

        def coded(picture: int) -> bytes | None:
            return None if picture == NONE else self._pictures[self._ends[picture] : self._ends[picture + 1]]

        box, inside = ([float(value) for value in column[number]] for column in (self.box, self.inside))
        return Example(
            real=coded(int(self.real[number])),
            fake=coded(int(self.fake[number])),
            mask=coded(int(self.mask[number])),
            box=(box[0], box[1], box[2], box[3]),
            landmarks=self.landmarks[number],
            inside=(inside[0], inside[1], inside[2], inside[3]),
            group=str(self.group[number]),
            set=str(self.set[number]),
            program=str(self.program[number]),
            file=str(self.file[number]),
        )

    @property
    def size(self) -> int:
        """Bytes of its pictures."""
        return int(self._ends[-1])

    def _decoded(self, number: int, how: int) -> UInt8Array:
        data = np.frombuffer(self._pictures, np.uint8, self._ends[number + 1] - self._ends[number], self._ends[number])
        try:
            picture = cv2.imdecode(data, how)
        except cv2.error:
            picture = None
        if picture is None:
            raise DataError(
                f"{self._folder}, picture {number}", "cannot be decoded", "remove the pack and make it again"
            )
        return np.asarray(picture, dtype=np.uint8)

    def numbers(self, sets: Sequence[str]) -> np.ndarray:
        """int64: the examples of those sets, in order."""
        return np.flatnonzero(np.isin(self.set, list(sets)))


def open_packs(folder: Path, sets: Sequence[str] = ()) -> list[CropPack]:
    """The packs of a folder, one for each set, sorted by name; of those sets only, if any are named.

    Raises:
        DataError: there is none, one of those named is missing, or one cannot be read.
    """
    found = [path.parent for path in sorted(folder.glob("*/index.npz"))]
    if not found:
        raise DataError(str(folder), "no pack here", "make them by `streamguard pack`")
    if missing := sorted(set(sets) - {path.name for path in found}):
        raise DataError(str(folder), f"no pack of {', '.join(missing)}", "make it by `streamguard pack`")
    return [CropPack(path) for path in found if not sets or path.name in sets]


def check_apart(learned: Sequence[CropPack], held: Sequence[CropPack]) -> None:
    """Refuse packs made from different manifests, in which somebody is on both sides.

    Raises:
        DataError: names the first few groups.
    """
    groups = ({name for pack in packs for name in pack.group.tolist()} for packs in (learned, held))
    if both := sorted(set.intersection(*groups)):
        raise DataError(
            "packs", f"in training and in validation: {', '.join(both[:5])}", "remove them and pack one manifest"
        )


def thinned(pack: CropPack, share: float) -> list[Example]:
    """An even share of a pack's examples, of each program and of registered, fake and real ones alike.

    Args:
        pack: to take from.
        share: 0..1.
    """
    kinds = [
        (str(pack.program[number]), bool(pack.real[number] >= 0), bool(pack.fake[number] >= 0))
        for number in range(len(pack))
    ]
    chosen: list[int] = []
    for kind in sorted(set(kinds)):
        of_kind = [number for number, each in enumerate(kinds) if each == kind]
        count = max(1, round(len(of_kind) * share))
        chosen += [of_kind[int(place)] for place in np.unique(np.linspace(0, len(of_kind) - 1, count).astype(int))]
    return [pack.example(number) for number in sorted(chosen)]
