"""Clips that an evaluation judges: rows of a manifest, chosen evenly, each with the name that it is called by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamguard.errors import DataError
from streamguard.training.manifest import ManifestRow, Rectangle, Split


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled clip or picture to judge.

    Attributes:
        root: the data root.
        row: which file, which part of it, and what it is.
        registered: it is a fake made from a known real recording, or such a recording.
    """

    root: Path
    row: ManifestRow
    registered: bool = False

    @property
    def path(self) -> Path:
        """The file."""
        return self.root / self.row.file

    @property
    def label(self) -> bool:
        """True when fake."""
        return self.row.label == "fake"

    @property
    def name(self) -> str:
        """Unique name: the file, and the rectangle in it."""
        return _named(self.row.file, self.row.rectangle)

    @property
    def partner(self) -> str:
        """Name of the real one that it is registered with; empty where there is none."""
        return _named(self.row.partner, self.row.partner_rectangle) if self.row.partner else ""


def chosen_clips(
    rows: Sequence[ManifestRow], root: Path, *, split: Split, sets: Sequence[str] = (), most: int = 0
) -> list[Clip]:
    """The rows to judge, in their order.

    Args:
        rows: a manifest.
        root: its data root.
        split: which side of it.
        sets: those wanted; empty: all.
        most: rows of each set, program and label at the most, evenly taken; 0: all. The partners of the fakes that are
            taken come first among the real ones, however many.

    Raises:
        DataError: a set is not in the manifest, or nothing is left.
    """
    if unknown := set(sets) - {row.set for row in rows}:
        known = ", ".join(sorted({row.set for row in rows}))
        raise DataError(", ".join(sorted(unknown)), "no such set in the manifest", f"name some of {known}")
    kinds: defaultdict[tuple[str, str, str], list[Clip]] = defaultdict(list)
    partners = {_named(row.partner, row.partner_rectangle) for row in rows if row.partner}
    clips = [
        Clip(root, row, bool(row.partner) or _named(row.file, row.rectangle) in partners)
        for row in rows
        if row.split == split and (not sets or row.set in sets)
    ]
    if not clips:
        raise DataError("manifest", f"no row of the side `{split}` in these sets", "choose other sets or another side")
    for clip in clips:
        kinds[clip.row.set, clip.row.program, clip.row.label].append(clip)
    kept: set[str] = set()
    # Fakes before the real ones, of which their partners are taken first.
    for (_, _, label), own in sorted(kinds.items(), key=lambda item: item[0][2]):
        left = [clip for clip in own if label == "fake" or clip.name not in kept]
        wanted = max(0, most - (len(own) - len(left))) if most else len(left)
        for number in np.unique(np.linspace(0, len(left) - 1, min(wanted, len(left))).astype(int)):
            kept |= {left[number].name, left[number].partner}
    return [clip for clip in clips if clip.name in kept]


def _named(file: str, rectangle: Rectangle | None) -> str:
    return file if rectangle is None else f"{file}@{','.join(map(str, rectangle))}"
