"""Pictures that stand still: by their bytes, upright, and no larger than may be."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamguard.errors import CorruptMedia, UnsupportedMedia
from streamguard.media import rgb_of
from streamguard.media.still import is_still, read_still
from tests.support.media_files import make_video, picture, truncate

LIMIT = 7680 * 4320


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    ("orientation", "degrees", "mirrored"), [(1, 0, False), (3, 180, False), (6, 90, False), (2, 0, True)]
)
def test_it_is_upright(tmp_path: Path, suffix: str, orientation: int, degrees: int, mirrored: bool) -> None:
    upright = picture(3, 64, 48)
    image = Image.fromarray(upright[:, ::-1] if mirrored else upright).rotate(degrees, expand=True)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    assert is_still(tmp_path / f"a.{suffix}")
    shown = rgb_of(read_still(tmp_path / f"a.{suffix}", LIMIT)).astype(int)
    assert shown.shape == upright.shape
    assert np.abs(shown - upright).mean() < 6


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_any_kind_of_pixel(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (32, 24)) if mode == "I;16" else Image.fromarray(picture(0, 32, 24)).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    assert (read_still(path, LIMIT).width, read_still(path, LIMIT).height) == (32, 24)


def bomb(path: Path) -> Path:
    """A few hundred bytes that claim 2.5 gigapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMedia, match=r"too large \(50000x50000\)"):
        read_still(bomb(tmp_path / "bomb.png"), LIMIT)
    Image.new("RGB", (200, 100)).save(tmp_path / "b.jpg")
    with pytest.raises(UnsupportedMedia, match=r"too large \(200x100\)"):
        read_still(tmp_path / "b.jpg", 10_000)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_half_a_picture_is_none(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"a.{suffix}")
    for share in (0.6, 0.02):
        with pytest.raises(CorruptMedia, match="damaged, or breaks off"):
            read_still(truncate(tmp_path / f"a.{suffix}", share), LIMIT)


def test_what_else_is_no_picture(tmp_path: Path) -> None:
    for path in (make_video(tmp_path / "a.mp4", frames=2), tmp_path / "none.jpg", tmp_path):
        assert not is_still(path)
    moving = make_video(tmp_path / "a.mjpeg", frames=2, codec="mjpeg", pix_fmt="yuvj420p")
    assert moving.read_bytes().startswith(b"\xff\xd8\xff")
    assert not is_still(moving)
    assert not is_still("rtsp://camera/live")
    assert not is_still("a\0b")
