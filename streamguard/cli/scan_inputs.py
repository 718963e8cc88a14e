"""The files that `streamguard scan` is given: by name, or all that lie in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamguard.errors import EmptyMedia, SourceUnauthorized, StreamguardError

VIDEOS = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg"),
        *(".mpg", ".mts", ".mxf", ".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
    )
)
PICTURES = frozenset({".jpeg", ".jpg", ".png", ".webp"})


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files to judge.

    Attributes:
        paths: files and URLs, in order.
        faults: what could not be looked into.
    """

    paths: tuple[str, ...]
    faults: tuple[StreamguardError, ...]


def inputs(named: Sequence[str], *, recursive: bool) -> Inputs:
    """The files themselves; of a folder, the videos and pictures in it and below it, by their suffixes.

    Args:
        named: files, URLs and folders.
        recursive: folders stand for what is in them. Links to folders are not followed, and hidden ones are left out.
    """
    paths: list[str] = []
    faults: list[StreamguardError] = []
    for name in named:
        if not (recursive and _is_folder(name)):
            paths.append(name)
            continue
        found = list(_below(name, faults))
        if not found:
            faults.append(EmptyMedia(name, "there is neither a video nor a picture in it", "Name another folder"))
        paths += found
    return Inputs(tuple(dict.fromkeys(paths)), tuple(faults))


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _below(folder: str, faults: list[StreamguardError]) -> Iterator[str]:
    def refused(error: OSError) -> None:
        remedy = "Give the user that runs streamguard the right to read it"
        faults.append(SourceUnauthorized(str(error.filename), "the folder cannot be read", remedy))

    for place, folders, files in os.walk(folder, onerror=refused):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(files):
            if not file.startswith(".") and Path(file).suffix.lower() in VIDEOS | PICTURES:
                yield os.path.join(place, file)
