"""The manifest: a table of what every picture and clip is, read by training, evaluation, comparison and search.

A tab-separated file with a header. Columns:

| column | meaning |
|---|---|
| `file` | picture or clip, relative to the data root |
| `rectangle` | `x,y,width,height` in pixels of the part that is meant; empty: all of it |
| `label` | `real` or `fake` |
| `partner` | of a fake: the real recording it was made from, registered pixel by pixel; empty: none is known |
| `partner_rectangle` | the part of `partner` that is meant |
| `group` | person, or whatever else must stay on one side of the split |
| `set` | the collection it belongs to |
| `program` | what made a fake; of a real one the kind of recording |
| `split` | `train` or `validation` |
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias

from streamguard.errors import DataError
from streamguard.files import write_text

Rectangle: TypeAlias = tuple[int, int, int, int]
"""x, y, width and height in pixels."""
Label: TypeAlias = Literal["real", "fake"]
Split: TypeAlias = Literal["train", "validation"]

VIDEOS = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".m4v"})
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
LABELS: tuple[Label, ...] = ("real", "fake")
SPLITS: tuple[Split, ...] = ("train", "validation")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One picture or clip, or a rectangle of it. Fields as the columns of the manifest.

    Attributes:
        file, partner: relative to the data root; `partner` is empty where there is none.
        rectangle, partner_rectangle: None for the whole picture.
        group: never on both sides of the split.
    """

    file: str
    rectangle: Rectangle | None
    label: Label
    partner: str
    partner_rectangle: Rectangle | None
    group: str
    set: str
    program: str
    split: Split

    @property
    def is_clip(self) -> bool:
        """Return whether the file is a video."""
        return Path(self.file).suffix.lower() in VIDEOS


_SURPLUS = ""
_UNWRITABLE = re.compile("[\t\r\n\ud800-\udfff]")
COLUMNS = tuple(field.name for field in fields(ManifestRow))


def read_manifest(path: Path) -> tuple[ManifestRow, ...]:
    """All rows of a manifest, checked.

    Raises:
        DataError: the file cannot be read, a column is missing, a value is none of those allowed, or the rows
            contradict one another; line, file or group is named.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, delimiter="\t", restkey=_SURPLUS, restval="", quoting=csv.QUOTE_NONE)
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise DataError(
                    str(path), f"columns are missing: {', '.join(sorted(missing))}", "make it by `streamguard manifest`"
                )
            rows = tuple(_parsed(f"{path}, line {reader.line_num}", row) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(str(path), f"no readable manifest ({error})", "give a tab-separated manifest") from error
    check_manifest(str(path), rows)
    return rows


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Write a manifest that `read_manifest` reads back.

    Raises:
        DataError: the rows contradict one another, or a value holds what a table cannot.
        OutputError: the file cannot be written.
    """
    check_manifest(str(path), rows)
    lines = ["\t".join(COLUMNS)]
    for row in rows:
        values = asdict(row)
        for column in ("rectangle", "partner_rectangle"):
            values[column] = ",".join(map(str, values[column])) if values[column] else ""
        texts = [str(values[column]) for column in COLUMNS]
        if any(_UNWRITABLE.search(text) for text in texts):
            raise DataError(str(path), f"`{row.file}` holds a tab, a line end or no text", "rename the file")
        lines.append("\t".join(texts))
    write_text(path, "\n".join(lines) + "\n")


def check_manifest(name: str, rows: Iterable[ManifestRow]) -> None:
    """Refuse rows that stand twice, and groups or pairs on both sides.

    Raises:
        DataError: names the first few of them; or there is no row at all.
    """
    rows = tuple(rows)
    if not rows:
        raise DataError(name, "the manifest has no row", "give data that holds pictures or clips")
    counts = Counter((row.file, row.rectangle) for row in rows)
    if twice := [file for (file, _), count in counts.items() if count > 1]:
        raise DataError(name, f"listed twice: {_few(twice)}", "keep one row for each file and rectangle")
    sides: defaultdict[str, set[str]] = defaultdict(set)
    of_file: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        sides[row.group].add(row.split)
        of_file[row.file].add(row.split)
        if row.partner:
            of_file[row.partner].add(row.split)
    for found, kept in ((sides, "group"), (of_file, "file, and what was made from it,")):
        if both := sorted(each for each, splits in found.items() if len(splits) > 1):
            raise DataError(
                name, f"in training and in validation: {_few(both)}", f"keep every {kept} on one side of the split"
            )


def _few(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _parsed(where: str, row: dict[str, str]) -> ManifestRow:
    if _SURPLUS in row:
        raise DataError(where, "more values than columns", "write one value for each column, tabs between them")
    label, split = row["label"], row["split"]
    if label not in LABELS:
        raise DataError(where, f"the label `{label}` is unknown", "write `real` or `fake`")
    if split not in SPLITS:
        raise DataError(where, f"the split `{split}` is unknown", "write `train` or `validation`")
    if Path(row["file"]).suffix.lower() not in VIDEOS | PICTURES:
        raise DataError(where, f"`{row['file']}` is neither a picture nor a clip", "give files that can be decoded")
    for column in ("group", "set", "program"):
        if not row[column]:
            raise DataError(where, f"the column `{column}` is empty", "fill it in")
    if row["partner"] and label == "real":
        raise DataError(where, "a real recording has a partner", "name partners of fakes only")
    return ManifestRow(
        file=row["file"],
        rectangle=_rectangle(where, row["rectangle"]),
        label=label,
        partner=row["partner"],
        partner_rectangle=_rectangle(where, row["partner_rectangle"]),
        group=row["group"],
        set=row["set"],
        program=row["program"],
        split=split,
    )


def _rectangle(where: str, text: str) -> Rectangle | None:
    if not text:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        raise DataError(where, f"`{text}` is no rectangle", "write x,y,width,height in pixels") from error
    if min(x, y) < 0 or min(width, height) < 2:
        raise DataError(where, f"the rectangle `{text}` is empty or outside", "write x,y,width,height in pixels")
    return x, y, width, height
