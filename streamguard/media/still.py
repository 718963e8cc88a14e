"""Pictures that stand still: JPEG, PNG and WebP files, upright, and refused by their size before they are decoded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import ImageFile, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from streamguard.errors import CorruptMedia, SourceUnauthorized
from streamguard.media.address import SourceOptions
from streamguard.media.items import SourceItem, Up
from streamguard.media.picture import picture_from_rgb
from streamguard.media.probe import check_size
from streamguard.types import Frame, Picture

Kind: TypeAlias = type[ImageFile.ImageFile]
_MOVING = frozenset({".mjpeg", ".mjpg"})
"""They begin like a JPEG file, and many more follow in them."""


def is_still(path: str | Path) -> bool:
    """Return whether this is the path of a JPEG, PNG or WebP file, by its first bytes. Blocks."""
    return _kind(Path(path)) is not None


def read_still(path: str | Path, max_pixels: int) -> Picture:
    """The upright picture of a file; its first one, where it moves. Blocks.

    Args:
        path: of a file that `is_still`.
        max_pixels: a larger one is refused by what its header says.

    Raises:
        UnsupportedMedia: it is too large.
        CorruptMedia: it is damaged, or breaks off.
        SourceUnauthorized: it may not be read.
    """
    shown = str(path)
    try:
        kind = _kind(Path(path))
        if kind is None:
            raise ValueError
        # By its own class: what opens any kind of picture decodes some of them to look at them.
        with kind(path) as image:
            check_size(shown, image.width, image.height, max_pixels)
            upright = ImageOps.exif_transpose(image)
            rgb = np.asarray(upright.convert("RGB"), dtype=np.uint8)
    except PermissionError:
        remedy = "Give the user that runs streamguard the right to read it"
        raise SourceUnauthorized(shown, "the file may not be read", remedy) from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, ZeroDivisionError):
        # Pillow lets through whatever its parsers stumble over.
        remedy = "Check or copy it again"
        raise CorruptMedia(shown, "the picture is damaged, or breaks off", remedy) from None
    return picture_from_rgb(rgb)


async def still_items(stream: str, path: str, options: SourceOptions) -> AsyncGenerator[SourceItem, None]:
    """The picture as a source of one frame.

    Raises:
        SourceError, MediaError: as `read_still`.
    """
    picture = await asyncio.to_thread(read_still, path, options.max_pixels)
    yield Up(0, picture.width, picture.height, None, "still", live=False, duration=None, frame_count=1)
    yield Frame(stream, 0, 0, 0.0, time.monotonic(), picture)


def _kind(path: Path) -> Kind | None:
    try:
        if path.suffix.lower() in _MOVING or not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError):
        return None
    if head.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    return WebPImageFile if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None
