"""A pack: prepared (real, fake, mask) triples on disk, memory-mapped so that training is never starved.

Layout of a pack folder: `real.npy` and `fake.npy` uint8 [N, S, S, 3] RGB, `mask.npy` uint8 [N, S, S] (1 = fake),
`landmarks.npy` float32 [N, 5, 2], `index.json` with one entry per triple. S is larger than the model's input: the extra
context is what random rotation, scale and shift draw from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from streamguard.errors import DataError
from streamguard.models import CROP_MARGIN
from streamguard.types import FloatArray, UInt8Array

PACK_SIZE = 320
PACK_MARGIN = CROP_MARGIN * PACK_SIZE / 256
"""Side of a pack's crop as a multiple of the face box's longer side; its middle 256 pixels are the live crop."""
SCHEMA = "streamguard.pack/2"


@dataclass(frozen=True, slots=True)
class Triple:
    """One training example before augmentation.

    Attributes:
        real, fake: uint8 [S, S, 3] RGB; both went through the identical codec chain.
        mask: uint8 [S, S], 1 where `fake` is fake.
        person: identity; a person is never on both sides of a split.
        clip: file the example comes from.
        kind: `pair` or `selfblend`.
        landmarks: float32 [5, 2] in pixels of `real`: eyes, nose, mouth corners.
    """

    real: UInt8Array
    fake: UInt8Array
    mask: UInt8Array
    person: str
    clip: str
    kind: str
    landmarks: FloatArray


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a triple comes from."""

    person: str
    clip: str
    kind: str


class Pack:
    """A pack opened for reading.

    Raises:
        DataError: the folder is no pack, or an incomplete one.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index = json.loads((folder / "index.json").read_text())
            self.real: UInt8Array = np.load(folder / "real.npy", mmap_mode="r")
            self.fake: UInt8Array = np.load(folder / "fake.npy", mmap_mode="r")
            self.mask: UInt8Array = np.load(folder / "mask.npy", mmap_mode="r")
            self.landmarks: FloatArray = np.load(folder / "landmarks.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataError(
                str(folder), "no complete pack here", "run `streamguard train` with `--data`, which makes one"
            ) from error
        if index.get("schema") != SCHEMA or len(index["entries"]) > len(self.real):
            raise DataError(str(folder), "the pack is of another version", "remove it and prepare again")
        self.entries = tuple(Entry(**entry) for entry in index["entries"])

    def __len__(self) -> int:
        return len(self.entries)

    def persons(self) -> frozenset[str]:
        """Everybody in the pack."""
        return frozenset(entry.person for entry in self.entries)


def write_pack(folder: Path, triples: Iterable[Triple], capacity: int) -> int:
    """Write up to `capacity` triples; the index comes last, so a folder with an index is complete.

    Returns how many were written.

    Raises:
        DataError: there was not one triple, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.json").unlink(missing_ok=True)
        shape = (capacity, PACK_SIZE, PACK_SIZE)
        files = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=full)
            for name, full in (("real", (*shape, 3)), ("fake", (*shape, 3)), ("mask", shape))
        }
        marks = np.lib.format.open_memmap(folder / "landmarks.npy", mode="w+", dtype=np.float32, shape=(capacity, 5, 2))
        entries = []
        for number, triple in zip(range(capacity), triples, strict=False):
            files["real"][number], files["fake"][number], files["mask"][number] = (
                triple.real,
                triple.fake,
                triple.mask,
            )
            marks[number] = triple.landmarks
            entries.append(asdict(Entry(triple.person, triple.clip, triple.kind)))
        for file in (*files.values(), marks):
            file.flush()
        if not entries:
            raise DataError(str(folder), "not one usable face was found", "check the data folders of the configuration")
        partial = folder / "index.json.partial"
        partial.write_text(json.dumps({"schema": SCHEMA, "entries": entries}))
        os.replace(partial, folder / "index.json")
    except OSError as error:
        raise DataError(
            str(folder), f"the pack cannot be written ({error.strerror})", "free space or choose another"
        ) from error
    return len(entries)
