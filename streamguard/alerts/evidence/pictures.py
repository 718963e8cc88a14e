"""Snapshots of an alert as JPEG: the frame with and without the mask, and the face."""

from __future__ import annotations

import cv2

from streamguard.errors import EvidenceError
from streamguard.media import rgb_of
from streamguard.types import Crop, Picture, UInt8Array

QUALITY = 92


def picture_files(plain: Picture, painted: Picture | None = None, crop: Crop | None = None) -> dict[str, bytes]:
    """`snapshot.jpg`, `snapshot-mask.jpg` and `face.jpg`, as far as given. Takes milliseconds: keep it off the loop.

    Args:
        plain: the frame.
        painted: the same with the mask painted.
        crop: the face as the model saw it.

    Raises:
        EvidenceError: a picture cannot be encoded.
    """
    files = {"snapshot.jpg": _jpeg(rgb_of(plain))}
    if painted is not None:
        files["snapshot-mask.jpg"] = _jpeg(rgb_of(painted))
    if crop is not None:
        files["face.jpg"] = _jpeg(crop.pixels)
    return files


def _jpeg(rgb: UInt8Array) -> bytes:
    done, data = cv2.imencode(".jpg", rgb[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    if not done:
        raise EvidenceError("snapshot", "it cannot be encoded", "report this")
    return data.tobytes()
