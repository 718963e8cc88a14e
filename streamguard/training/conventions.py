"""Collections of pictures and clips that follow a convention, listed as rows of a manifest."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamguard.errors import ConfigError, DataError, MediaError, SourceError
from streamguard.media import open_source
from streamguard.training.manifest import LABELS, PICTURES, SPLITS, VIDEOS, Label, ManifestRow, Split

REGISTERED = 4.0
"""Mean difference in grey levels, over the outer eighth of two crops, up to which they show the same frame."""
Skipped = Callable[[str], None]


class CollectionTable(BaseModel):
    """One folder, and how it is to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["side_by_side", "folder", "paired_crops", "placed_crops", "listed_clips"]
    """`side_by_side`: clips, left half real and right half the registered fake. `folder`: pictures or clips of one
    label. `paired_crops`: crops with a `pairs.tsv`. `placed_crops`: crops named POSITION__METHOD__NAME below
    SPLIT/LABEL. `listed_clips`: clips and panels with `clips.tsv` and `tiles.tsv`."""
    folder: str
    """Below the data root."""
    label: Literal["real", "fake"] = "real"
    """Of a `folder`."""
    program: str = ""
    """Of a `folder`: what made them; empty: told by the names."""
    held: tuple[str, ...] = ()
    """Groups kept for validation; `*` keeps all."""
    held_every: int = Field(default=0, ge=0)
    """Of a `folder`, every n-th file is kept for validation as well; of `listed_clips` every n-th group of real clips;
    0: none."""


class _Collections(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    collections: tuple[CollectionTable, ...] = Field(min_length=1)


def read_collections(path: Path) -> tuple[CollectionTable, ...]:
    """The collections that a TOML names.

    Raises:
        ConfigError: the file is missing, no TOML, or holds an unknown, missing or wrong key.
    """
    try:
        return _Collections.model_validate(tomllib.loads(path.read_text())).collections
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})", "give the path of a TOML") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"not valid TOML ({error})", "correct the file") from error
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(str(path), f"`{key}`: {problem['msg']}", "correct or remove the key") from error


def collect(collections: Sequence[CollectionTable], root: Path, skipped: Skipped) -> list[ManifestRow]:
    """The rows of all collections, in their order.

    Args:
        collections: which folders.
        root: the data root.
        skipped: called with a sentence for each file that cannot be opened.

    Raises:
        DataError: a folder or table is missing, empty or wrong, or what is to be held for validation is not there.
    """
    rows: list[ManifestRow] = []
    for table in collections:
        if table.kind == "side_by_side":
            rows += side_by_side(root, table.folder, table.held, skipped)
        elif table.kind == "folder":
            rows += folder_of(root, table)
        elif table.kind == "paired_crops":
            rows += paired_crops(root, table.folder)
        elif table.kind == "placed_crops":
            rows += placed_crops(root, table.folder)
        else:
            rows += listed_clips(root, table.folder, table.held_every)
    return rows


def person_of(path: Path) -> str:
    """Name of the person that a file shows, by the file's name.

    `First_Last_2.mp4` is a clip of First_Last; `set_012_s.jpg` and `set_012_n.jpg` are two expressions of set_012's
    person; other pictures show a person each.
    """
    stem = re.sub(r"(?<=_\d{3})_[a-z]$", "", path.stem)
    if path.suffix.lower() in PICTURES:
        return stem
    head, _, tail = stem.rpartition("_")
    return head if tail.isdigit() and "_" in head else stem


def side_by_side(root: Path, folder: str, held: Sequence[str], skipped: Skipped) -> Iterator[ManifestRow]:
    """Clips whose left half is real and whose right half is the registered fake, by person.

    Args:
        root: the data root.
        folder: below it.
        held: persons kept for validation.
        skipped: called with a sentence for a clip that cannot be opened.
    """
    paths = files(root / folder, VIDEOS)
    _check_held(root / folder, held, paths)
    for path in paths:
        try:
            with open_source(str(path)) as source:
                picture = next(iter(source)).picture
        except (MediaError, SourceError, StopIteration) as error:
            skipped(f"{path}: {error}")
            continue
        width, height = picture.width // 2, picture.height
        left, right = (0, 0, width, height), (picture.width - width, 0, width, height)
        name, person = str(path.relative_to(root)), person_of(path)
        split: Split = "validation" if person in held else "train"
        set_ = Path(folder).name
        yield ManifestRow(name, left, "real", "", None, person, set_, "recording", split)
        yield ManifestRow(name, right, "fake", name, left, person, set_, "DeepFaceLive", split)


def folder_of(root: Path, table: CollectionTable) -> Iterator[ManifestRow]:
    """Pictures or clips of one label, a person each by name; the set is the first part of the folder's path."""
    paths = files(root / table.folder, VIDEOS | PICTURES)
    _check_held(root / table.folder, table.held, paths)
    held = set(table.held)
    if table.held_every:
        held |= {person_of(path) for path in paths[:: table.held_every]}
    for path in paths:
        person = person_of(path)
        split: Split = "validation" if person in held or "*" in held else "train"
        told = re.split(r"[_\d]", path.stem)[0] if table.label == "fake" else Path(table.folder).name
        program = table.program or told or Path(table.folder).name
        name, set_ = str(path.relative_to(root)), table.folder.split("/")[0]
        yield ManifestRow(name, None, table.label, "", None, f"{table.folder}/{person}", set_, program, split)


def _check_held(folder: Path, held: Sequence[str], paths: Sequence[Path]) -> None:
    # A name that fits nobody would be learned from, and nothing would say so.
    if unknown := set(held) - {"*"} - {person_of(path) for path in paths}:
        raise DataError(
            str(folder), f"to be held, but not there: {', '.join(sorted(unknown))}", "name persons as the files do"
        )


def paired_crops(root: Path, folder: str) -> Iterator[ManifestRow]:
    """Crops listed by `pairs.tsv` (columns real, fake, group, split), each fake registered with its real one."""
    base = root / folder
    seen: set[str] = set()
    # Two parts of DFDC share people.
    shared = {"p22": "p22+p23", "p23": "p22+p23"}
    for row in _table(base / "pairs.tsv", ("real", "fake", "group", "split")):
        group = f"{folder}/{shared.get(row['group'], row['group'])}"
        split: Split = "validation" if row["split"] == "validation" else "train"
        set_ = Path(folder).name
        real, fake = f"{folder}/{row['real']}", f"{folder}/{row['fake']}"
        if real not in seen:
            seen.add(real)
            yield ManifestRow(real, None, "real", "", None, group, set_, "recording", split)
        yield ManifestRow(fake, None, "fake", real, None, group, set_, set_, split)


def placed_crops(root: Path, folder: str) -> Iterator[ManifestRow]:
    """Crops named POSITION__METHOD__NAME below SPLIT/LABEL; those near in position belong together.

    A fake that shows the very frame of the real crop of its position is registered with it.
    """
    base, set_ = root / folder, Path(folder).name
    for split in SPLITS:
        reals = {path.name.split("__")[0]: path for path in files(base / split / "real", PICTURES)}
        for label in LABELS:
            for path in files(base / split / label, PICTURES):
                position, method = _placed(path)
                real = reals.get(position)
                same = label == "fake" and real is not None and _same_frame(real, path)
                name, partner = str(path.relative_to(root)), str(real.relative_to(root)) if same and real else ""
                program, group = "recording" if label == "real" else method, f"{folder}/{int(position) // 10}"
                yield ManifestRow(name, None, label, partner, None, group, set_, program, split)


def _placed(path: Path) -> tuple[str, str]:
    position, *rest = path.name.split("__", 2)
    if len(rest) != 2 or not position.isdecimal():
        raise DataError(str(path), "not named POSITION__METHOD__NAME", "rename or remove it")
    return position, rest[0]


def listed_clips(root: Path, folder: str, held_every: int) -> Iterator[ManifestRow]:
    """Clips listed by `clips.tsv`, panels among them cut into tiles by `tiles.tsv`.

    Args:
        root: the data root.
        folder: below it, with both tables.
        held_every: every n-th group of real clips, sorted, is kept for validation beside those that the table marks;
            0: none.
    """
    tiles: dict[str, list[dict[str, str]]] = {}
    for tile in _table(root / folder / "tiles.tsv", ("file", "program", "label", *"xywh")):
        tiles.setdefault(tile["file"], []).append(tile)
    clips = _table(root / folder / "clips.tsv", ("file", "label", "program", "person", "split"))
    reals = sorted({_group(row) for row in clips if row["label"] == "real"})
    held = set(reals[::held_every]) if held_every else set()
    for row in clips:
        name, group = f"{folder}/{row['file']}", _group(row)
        split: Split = "validation" if row["split"] == "validation" or group in held else "train"
        if row["label"] == "panel":
            yield from _panel(name, row, tiles.get(row["file"], []), split)
        elif row["label"] == "real":
            yield ManifestRow(name, None, "real", "", None, group, "clips_real", row["program"], split)
        else:
            yield ManifestRow(name, None, "fake", "", None, group, "clips_fake", row["program"], split)


def _group(row: dict[str, str]) -> str:
    return f"{row['program']}/{row['person']}" if row["label"] == "real" else row["person"]


def _panel(name: str, row: dict[str, str], tiles: Sequence[dict[str, str]], split: Split) -> Iterator[ManifestRow]:
    places = [(_pixels(tile, "x"), _pixels(tile, "y"), _pixels(tile, "w"), _pixels(tile, "h")) for tile in tiles]
    source = next((place for tile, place in zip(tiles, places, strict=True) if tile["program"] == "source"), None)
    set_ = "lips" if row["program"] == "Diff2Lip" else "panels"
    for tile, own in zip(tiles, places, strict=True):
        program = tile["program"]
        label: Label = "real" if tile["label"] == "real" else "fake"
        # The mouth alone is made anew: the rest of the picture is the source's.
        lips = program in ("Wav2Lip", "Diff2Lip") and source is not None
        partner, place = (name, source) if lips else ("", None)
        yield ManifestRow(name, own, label, partner, place, row["person"], set_, program, split)


def _pixels(tile: dict[str, str], column: str) -> int:
    if not tile[column].isdecimal():
        raise DataError(f"tile of {tile['file']}", f"`{tile[column]}` is no number of pixels", "correct tiles.tsv")
    return int(tile[column])


def files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """The folder's files of these kinds, sorted by name.

    Raises:
        DataError: there is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise DataError(str(folder), "no such folder", "give the data root that holds it")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not paths:
        kinds = ", ".join(sorted(suffix[1:] for suffix in suffixes))
        raise DataError(str(folder), f"no file of the kinds {kinds} in it", "give the data root that holds them")
    return paths


def _table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, delimiter="\t", restval="", quoting=csv.QUOTE_NONE)
            rows, given = list(reader), reader.fieldnames or ()
    except OSError as error:
        raise DataError(str(path), f"cannot be read ({error.strerror})", "give the folder that holds it") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(str(path), f"no readable table ({error})", "write it with tabs, in UTF-8") from error
    if missing := set(columns) - set(given):
        raise DataError(str(path), f"columns are missing: {', '.join(sorted(missing))}", "add them")
    return rows


def _same_frame(real: Path, fake: Path) -> bool:
    one, two = (cv2.imread(str(path), cv2.IMREAD_COLOR) for path in (real, fake))
    if one is None or two is None or one.shape != two.shape:
        return False
    height, width = one.shape[:2]
    ring = np.ones((height, width), dtype=bool)
    ring[height // 8 : -height // 8, width // 8 : -width // 8] = False
    difference = cv2.absdiff(cv2.blur(one, (3, 3)), cv2.blur(two, (3, 3)))
    return float(difference[ring].mean()) <= REGISTERED
