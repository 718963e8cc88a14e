"""Marks alone: laid over the picture, they give what is painted on it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from streamguard.media import picture_from_rgb, rgb_of
from streamguard.overlay import paint
from streamguard.pipeline.annotate import overlay_items
from streamguard.pipeline.marks import marks_png
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Crop, Face, FaceVerdict, Frame, Mask, UInt8Array, Verdict
from streamguard.verdict import StreamState, TrackState


def report(width: int, height: int) -> FrameReport:
    """A fake face in the middle of a picture of many colours."""
    rows, columns = np.mgrid[0:height, 0:width]
    rgb = np.dstack((rows % 256, columns % 256, (rows + columns) % 256)).astype(np.uint8)
    picture = picture_from_rgb(cv2.GaussianBlur(rgb, (0, 0), 9), full_range=True)
    box = (0.4 * width, 0.3 * height, 0.6 * width, 0.7 * height)
    face = Face(1, box, 0.9, np.zeros((5, 2), np.float32))
    affine = np.array([[0.2 * width / 256, 0.0, box[0]], [0.0, 0.4 * height / 256, box[1]]])
    probability = np.zeros((256, 256), np.uint8)
    cv2.circle(probability, (128, 128), 90, 230, -1)
    mask = Mask(Crop(face, affine, np.zeros((256, 256, 3), np.uint8)), probability)
    verdict = FaceVerdict(face, Verdict.FAKE, None, 0.9, mask=mask)
    tracks = {1: TrackState(Verdict.FAKE, 0.9, 0.9, 9, None, 0.0, None)}
    return FrameReport(Frame("x", 0, 0, 0.0, 0.0, picture), (verdict,), StreamState(0.0, Verdict.FAKE, tracks, ()))


def decoded(png: bytes) -> UInt8Array:
    """uint8 [height, width, 4] RGBA."""
    return np.asarray(cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), -1), cv2.COLOR_BGRA2RGBA))


def test_marks_over_the_picture_are_the_painted_picture() -> None:
    one = report(640, 360)
    marks = decoded(marks_png(one, 0.5)).astype(np.float32)
    alpha = marks[..., 3:] / 255
    laid = rgb_of(one.frame.image) * (1 - alpha) + marks[..., :3] * alpha
    painted = rgb_of(paint(one.frame.image, overlay_items(one, 0.5))).astype(np.float32)
    difference = np.abs(laid - painted)
    # Chroma is shared by four pixels: lines of one pixel differ at their edges.
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99) < 40
    # Beside the face nothing is touched.
    assert not marks[:, :120].any()
    assert not marks[300:].any()
    assert 0.3 < alpha[180, 320] < 0.9


@pytest.mark.parametrize(("size", "shown"), [((1920, 1080), (1280, 720)), ((333, 201), (333, 201))])
def test_marks_have_the_pictures_form(size: tuple[int, int], shown: tuple[int, int]) -> None:
    marks = decoded(marks_png(report(*size), 0.5))
    assert marks.shape == (shown[1], shown[0], 4)
    assert marks[..., 3].any()


def test_where_no_face_is_there_are_no_marks() -> None:
    assert not decoded(marks_png(replace(report(320, 240), faces=()), 0.5)).any()
