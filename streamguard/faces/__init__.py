"""From a frame to face crops: detector, tracker, crop geometry, quality gate."""

from __future__ import annotations

from streamguard.faces.crop import CropSquare, crop_square, cut, share_inside
from streamguard.faces.detector import CenterFaceDetector, Detections, FaceDetector
from streamguard.faces.finder import FaceFinder, Found
from streamguard.faces.gate import Gate, sharpness
from streamguard.faces.tracker import FaceTracker, Tracked

__all__ = [
    "CenterFaceDetector",
    "CropSquare",
    "Detections",
    "FaceDetector",
    "FaceFinder",
    "FaceTracker",
    "Found",
    "Gate",
    "Tracked",
    "crop_square",
    "cut",
    "share_inside",
    "sharpness",
]
