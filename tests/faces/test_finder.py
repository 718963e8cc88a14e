"""Faces over time: detection, tracks, flow and the gate, on moving pictures of real faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from streamguard.faces import CenterFaceDetector, Detections, FaceFinder, Found, QualityGate, sharpness
from streamguard.faces.tracker import RECALLED
from streamguard.media import picture_from_rgb
from streamguard.types import Box, Crop, Face, Frame, Picture, Reason
from tests.faces.conftest import Find
from tests.support.portraits import FACE, portrait, portrait_pictures

Look = Callable[[Picture], tuple[Detections, float]]


def faces(found: Found) -> dict[int, Face]:
    """All faces of a frame by track, judged or not."""
    return {face.track: face for face in (*(crop.face for crop in found.crops), *found.unjudged)}


def centre(face: Face) -> tuple[float, float]:
    """Centre of the face's box."""
    return (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2


def shifted(offsets: list[int], size: tuple[int, int] = (320, 240)) -> Iterator[NDArray[np.uint8]]:
    """Windows into the portrait whose left edge is at each offset."""
    for offset in offsets:
        yield np.ascontiguousarray(portrait()[: size[1], offset : offset + size[0]])


def test_one_id_over_a_moving_clip(find: Find) -> None:
    found = find(portrait_pictures(3.0))
    assert [set(faces(one)) for one in found[1:]] == [{1}] * (len(found) - 1)
    assert faces(found[0]) == {}
    # A newcomer is confirmed on the next frame; after that every fifth frame is looked at.
    assert [index for index, one in enumerate(found) if one.detected][:4] == [0, 1, 6, 11]
    assert 0.15 < sum(one.detected for one in found) / len(found) < 0.4


def test_between_detections_the_flow_carries_the_face(find: Find) -> None:
    offsets = [60 + 2 * index for index in range(30)]
    found = find(shifted(offsets), every=10)
    assert [index for index, one in enumerate(found) if one.detected] == [0, 1, 11, 21]
    for offset, one in zip(offsets[1:], found[1:], strict=True):
        x, y = centre(faces(one)[1])
        assert abs(x - (FACE[0] - offset)) < 6
        assert abs(y - FACE[1]) < 8


def test_a_short_occlusion_keeps_the_id(find: Find) -> None:
    pictures = list(portrait_pictures(4.0))
    for picture in pictures[30:50]:
        picture[:, 80:260] = 100
    found = find(pictures)
    assert any(not faces(one) for one in found[36:50])
    assert set(faces(found[-1])) == {1}


def test_a_face_that_comes_back_is_known_again_within_ten_seconds(find: Find) -> None:
    for away, expected in ((4.0, 1), (RECALLED + 1.0, 2)):
        found = find(_gone(away))
        assert set(faces(found[9])) == {1}
        assert set(faces(found[-1])) == {expected}


def _gone(seconds: float) -> Iterator[NDArray[np.uint8]]:
    """The portrait for half a second, nobody for so long, and the portrait again."""
    seen = next(shifted([64]))
    empty = np.full_like(seen, 100)
    yield from [seen] * 10 + [empty] * round(20 * seconds) + [seen] * 10


def test_another_face_at_the_same_place_gets_an_id_of_its_own(find: Find) -> None:
    seen = next(shifted([64]))
    # Turned, the head has its light and its hair on the other side.
    other = np.ascontiguousarray(255 - seen[:, ::-1] // 2)
    assert find([other] * 3)[-1].crops
    found = find([seen] * 10 + [np.full_like(seen, 100)] * 10 + [other] * 10)
    assert [set(faces(found[at])) for at in (9, 19, 29)] == [{1}, set(), {2}]


@pytest.mark.parametrize("rate", [2.0, 5.0, 10.0])
def test_a_moving_face_keeps_its_id_where_few_frames_are_judged(face_detector: CenterFaceDetector, rate: float) -> None:
    finder = FaceFinder(face_detector, QualityGate(settle=0.0), 1.4)
    head = portrait()[20:200, 150:300]
    tracks, detections, last = set(), 0, 20.0
    for index in range(round(8 * rate)):
        time = index / rate
        # To and fro, up to its own width in half a second.
        x = round(20 + 200 * (1 - np.cos(1.5 * time)))
        canvas = np.full((240, 600, 3), 120, np.uint8)
        canvas[30:210, x : x + 150] = head
        found = finder.find(Frame("test", 0, index, time, 0.0, picture_from_rgb(canvas)), live=True)
        tracks |= set(faces(found))
        detections += found.detected
        for face in faces(found).values():
            assert abs(centre(face)[0] - (FACE[0] - 150 + x)) < 12, (index, x - last)
        last = x
    assert tracks == {1}
    assert detections >= min(3.0, 0.9 * rate) * 8


class Looks(CenterFaceDetector):
    """Counts how often the whole picture was looked at, and how often a part."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = self.parts = 0

    def detect(self, picture: Picture) -> Detections:
        self.whole += 1
        return super().detect(picture)

    def detect_within(self, picture: Picture, part: Box) -> Detections | None:
        self.parts += 1
        return super().detect_within(picture, part)


def test_a_live_picture_is_looked_at_around_the_known_face(face_detector: CenterFaceDetector) -> None:
    detector = Looks()
    finder = FaceFinder(detector, QualityGate(settle=0.0), 1.4)
    head, first = portrait()[20:200, 150:300], {}
    for index in range(100):
        canvas = np.full((720, 1280, 3), 120, np.uint8)
        canvas[300:480, 300 + 4 * index : 450 + 4 * index] = head
        if index >= 60:
            canvas[80:260, 1000:1150] = head[:, ::-1]
        found = finder.find(Frame("test", 0, index, index / 20, 0.0, picture_from_rgb(canvas)), live=True)
        for track in faces(found):
            first.setdefault(track, index)
        if index == 59:
            # Every quarter of a second while it moves; the whole every 1.5 s, and to confirm who is new.
            assert detector.parts >= 6
            assert detector.whole <= 4
    # The second one is found by a look at the whole, and tracked from the next frame on.
    assert set(first) == {1, 2}
    assert 60 < first[2] <= 60 + 1.5 * 20 + 2


def test_two_faces_that_cross_keep_their_ids(find: Find) -> None:
    head = portrait()[20:200, 150:300]
    mirrored = head[:, ::-1]

    def walk() -> Iterator[NDArray[np.uint8]]:
        for index in range(60):
            canvas = np.full((240, 720, 3), 120, np.uint8)
            canvas[50:230, 20 + 9 * index : 170 + 9 * index] = head
            canvas[10:190, 560 - 9 * index : 710 - 9 * index] = mirrored
            yield canvas

    found = find(walk())
    first, last = faces(found[1]), faces(found[-1])
    assert set(first) == set(last)
    assert len(first) == 2
    for track in first:
        assert (centre(first[track])[0] < 360) == (centre(last[track])[0] > 360)


def test_a_new_epoch_starts_over(face_detector: CenterFaceDetector) -> None:
    finder = FaceFinder(face_detector, QualityGate(settle=0.0), 1.4)
    picture = picture_from_rgb(next(shifted([64])))
    for epoch in (0, 1):
        found = [finder.find(Frame("test", epoch, index, index / 20, 0.0, picture)) for index in range(3)]
        assert [one.detected for one in found] == [True, True, False]
        assert set(faces(found[2])) == {1}


def test_the_same_clip_gives_the_same_faces(find: Find) -> None:
    one, two = (find(portrait_pictures(1.5)) for _ in range(2))
    assert [[crop.face.box for crop in found.crops] for found in one] == [
        [crop.face.box for crop in found.crops] for found in two
    ]
    assert all(
        np.array_equal(a.pixels, b.pixels)
        for found, again in zip(one, two, strict=True)
        for a, b in zip(found.crops, again.crops, strict=True)
    )


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_frames_found_together_are_found_as_one_by_one(
    find: Find, face_detector: CenterFaceDetector, threads: int
) -> None:
    """Whether another thread looks ahead, is late, or never comes to it."""
    pictures = list(portrait_pictures(3.0))
    for picture in pictures[21:33]:
        picture[:, 80:260] = 100
    alone, finder, looked = find(pictures), FaceFinder(face_detector, QualityGate(settle=0.0), 1.4, 256, 5), []
    frames = [Frame("test", 0, n, n / 20.0, 0.0, picture_from_rgb(rgb)) for n, rgb in enumerate(pictures)]
    together: list[Found] = []
    with ThreadPoolExecutor(max(1, threads)) as pool:

        def beside(look: Look, picture: Picture) -> Future[tuple[Detections, float]]:
            looked.append(picture)
            return pool.submit(look, picture) if threads else Future()

        while frames:
            some = len(together) % 8 + 1
            together += finder.find_all(frames[:some], beside=beside)
            del frames[:some]
    assert looked
    assert [one.detected for one in together] == [one.detected for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert [crop.face.box for crop in one.crops] == [crop.face.box for crop in other.crops]
        assert [crop.face.track for crop in one.crops] == [crop.face.track for crop in other.crops]
        assert [face.unjudged for face in one.unjudged] == [face.unjudged for face in other.unjudged]


@pytest.mark.parametrize(
    ("gate", "offset", "reason"),
    [
        (QualityGate(smallest_face=48, settle=0), 64, None),
        (QualityGate(smallest_face=150, settle=0), 64, Reason.TOO_SMALL),
        (QualityGate(settle=0, least_inside=0.75), 205, Reason.CUT_OFF),
        (QualityGate(settle=30), 64, Reason.JUST_APPEARED),
        (QualityGate(settle=0, least_sharpness=50), 64, Reason.TOO_BLURRED),
    ],
)
def test_why_a_face_is_not_judged(find: Find, gate: QualityGate, offset: int, reason: Reason | None) -> None:
    found = find(shifted([offset] * 4), gate=gate)[-1]
    assert len(faces(found)) == 1
    assert [face.unjudged for face in found.unjudged] == ([reason] if reason else [])
    assert [isinstance(crop, Crop) for crop in found.crops] == ([] if reason else [True])


def test_a_face_is_judged_once_it_has_settled(find: Find) -> None:
    found = find(shifted([64] * 8), gate=QualityGate(settle=0.2))
    # Its track begins with frame 1.
    assert [bool(one.crops) for one in found] == [False] * 5 + [True] * 3


def test_the_stages_are_timed(find: Find) -> None:
    for one in find(shifted([64] * 3)):
        assert set(one.seconds) == {"detect", "track", "crop"}
        assert all(seconds >= 0 for seconds in one.seconds.values())


def test_sharpness() -> None:
    import cv2

    face = np.ascontiguousarray(portrait()[30:222, 130:322])
    blurred = np.asarray(cv2.GaussianBlur(face, (0, 0), 4), np.uint8)
    assert sharpness(face) > 3 * sharpness(blurred)
    dim = (face // 3 + 20).astype(np.uint8)
    assert sharpness(dim) == pytest.approx(sharpness(face), rel=0.15)
    enlarged = np.asarray(cv2.resize(face, (512, 512), interpolation=cv2.INTER_CUBIC), np.uint8)
    assert sharpness(enlarged) == pytest.approx(sharpness(face), rel=0.25)
    assert sharpness(np.full((64, 64, 3), 77, np.uint8)) == 0.0
