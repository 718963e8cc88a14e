"""The finished rows of a comparison, one file each, and the refusal of those that were made in another way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streamguard.errors import DataError, OutputError
from streamguard.files import write_bytes
from streamguard.training.comparison.figures import Cell
from streamguard.training.pack import CropPack

ALL = "all"
AS_SHIPPED = "as shipped"
KNOWS_NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One detector's figures.

    Attributes:
        network, trained_on: which, and on what: `all`, a set, `as shipped` or `nothing`.
        settings: all that decided the figures.
        home: the sets whose fakes, or blends of whose real faces, it has learned from here.
        weights: how many numbers are learned.
        start: what it began with; empty: random weights.
        steps, patches, seconds: what its training spent.
        threshold: above which it calls a frame fake; None where it has none.
        cells: its figures by set and by `set/program`; none as long as it is not finished.
    """

    network: str
    trained_on: str
    settings: dict[str, Any]
    home: tuple[str, ...] = ()
    weights: int = 0
    start: str = ""
    steps: int = 0
    patches: int = 0
    seconds: float = 0.0
    threshold: float | None = None
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the row."""
        return f"{self.network}, {self.trained_on}"

    @property
    def stem(self) -> str:
        """The same as a file's name."""
        return f"{self.network}-{self.trained_on}".replace(" ", "_")

    @property
    def place(self) -> tuple[int, str, str]:
        """Place among other rows: by what it was trained on, what was not trained here last."""
        order = {ALL: 0, AS_SHIPPED: 2, KNOWS_NOTHING: 3}
        return order.get(self.trained_on, 1), self.trained_on, self.network


_ROW = TypeAdapter(ComparisonRow)


def as_document(row: ComparisonRow) -> dict[str, Any]:
    """Plain values for JSON."""
    document: dict[str, Any] = _ROW.dump_python(row, mode="json")
    return document


def write_row(row: ComparisonRow, folder: Path) -> None:
    """Keep it.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(folder), f"cannot be made ({error.strerror})", "choose another folder") from error
    write_bytes(folder / f"{row.stem}.json", _ROW.dump_json(row, indent=1))


def read_rows(folder: Path) -> dict[str, ComparisonRow]:
    """All rows kept in a folder, by name.

    Raises:
        DataError: some are damaged; all of them are named.
    """
    rows, broken = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            row = _ROW.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            broken.append(path)
        else:
            rows[row.name] = row
    if broken:
        remedy = "give another `--out`, or remove them to make those rows again"
        raise DataError(", ".join(map(str, broken)), "damaged or of another version", remedy)
    return rows


def check_alike(row: ComparisonRow, folder: Path, settings: dict[str, Any]) -> None:
    """Do nothing if the row was made with those settings.

    Raises:
        DataError: it was not; what differs is named.
    """
    if other := [key for key, value in settings.items() if row.settings.get(key, value) != value]:
        path = folder / f"{row.stem}.json"
        cause = f"the row `{row.name}` was made with other settings ({', '.join(other)})"
        raise DataError(str(path), cause, "remove it, give another `--out`, or those settings")


def digest(packs: Iterable[CropPack]) -> str:
    """12 hex digits that name what the packs hold."""
    held = hashlib.sha256()
    for pack in packs:
        for column in (pack.real, pack.fake, pack.mask, pack.box, pack.landmarks, pack.file, pack.group, pack.program):
            held.update(column.tobytes())
    return held.hexdigest()[:12]
