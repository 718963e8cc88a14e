"""Face crops of a frame: detector, tracker, crop geometry, quality gate."""

from __future__ import annotations

from streamguard.faces.crop import CropSquare, crop_square, cut, share_inside
from streamguard.faces.detector import CenterFaceDetector, Detections, FaceDetector, RegionDetector
from streamguard.faces.finder import FaceFinder, Found
from streamguard.faces.gate import QualityGate, sharpness
from streamguard.faces.tracker import FaceTracker, Tracked

__all__ = [
    "CenterFaceDetector",
    "CropSquare",
    "Detections",
    "FaceDetector",
    "FaceFinder",
    "FaceTracker",
    "Found",
    "QualityGate",
    "RegionDetector",
    "Tracked",
    "crop_square",
    "cut",
    "share_inside",
    "sharpness",
]
