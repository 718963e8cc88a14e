"""Who is trained on and who is kept for validation: files are split by person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from streamguard.errors import DataError
from streamguard.training.config import TrainConfig

VIDEOS = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".m4v"})
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


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
        DataError: a folder is missing or empty, or a validation person does not occur.
    """
    data = config.data
    clips = _files(root / data.pairs, VIDEOS) if data.pairs else []
    videos = [path for folder in data.real_videos for path in _files(root / folder, VIDEOS)]
    kept = set(data.validation_persons)
    if missing := kept - {person_of(path) for path in [*clips, *videos]}:
        raise DataError(
            str(root), f"validation persons without a clip: {', '.join(sorted(missing))}", "correct the names"
        )
    train_faces: list[Path] = []
    held_faces: list[Path] = []
    for folder in data.faces:
        paths = _files(root / folder, PICTURES)
        every_nth = paths[:: data.validation_every]
        held_faces += [path for path in every_nth if person_of(path) not in kept]
        held = kept | {person_of(path) for path in every_nth}
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


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    if not folder.is_dir():
        raise DataError(str(folder), "no such folder", "give the data root with `--data`")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not paths:
        kinds = ", ".join(sorted(suffix[1:] for suffix in suffixes))
        raise DataError(str(folder), f"no file of the kinds {kinds} in it", "give the data root with `--data`")
    return paths
