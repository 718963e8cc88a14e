"""Labels and the banner: what they say, where they stand, and that they can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streamguard.overlay import OverlayItem, OverlayStyle, banner, banner_height, paint
from streamguard.overlay.colour import GREY, PLATE, VERMILLION, WHITE, YELLOW, Rgb, rgb_to_yuv
from streamguard.overlay.label import plate, plate_size, text_coverage
from streamguard.overlay.style import label_texts
from streamguard.types import Face, Picture, Reason, Verdict

MakePicture = Callable[..., Picture]
MakeFace = Callable[..., Face]
REAL, UNSURE, FAKE, UNKNOWN = Verdict.REAL, Verdict.UNSURE, Verdict.FAKE, Verdict.UNKNOWN


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("cap", [5, 9, 14, 30])
def test_text_stands_out_from_its_plate(matrix: Any, cap: int) -> None:
    patch = plate("#1 FAKE 0.93", FAKE, cap, VERMILLION, matrix=matrix, full_range=False)
    words = patch.y[:, patch.y.shape[0] :].astype(int)
    assert words.min() == rgb_to_yuv(PLATE, matrix, False)[0]
    assert words.max() - words.min() > 150
    assert (words > 128).mean() > 0.05
    ratio = [((part[0] / 255) ** 2.2 + 0.05) for part in (WHITE, PLATE)]
    assert ratio[0] / ratio[1] > 7
    assert (words[0] == words.min()).all()
    assert (words[:, -1] == words.min()).all()


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"state": FAKE, "score": 0.934}, "#3 FAKE 0.93"),
        ({"state": REAL, "score": 0.04}, "#3 no sign found"),
        ({"state": UNSURE, "score": 0.44}, "#3 unsure"),
        ({"state": FAKE}, "#3 FAKE"),
        ({"state": UNKNOWN, "reason": Reason.TOO_SMALL, "score": 0.5}, "#3 NOT JUDGED: too small"),
        ({"state": UNKNOWN}, "#3 NOT JUDGED"),
    ],
)
def test_labels_say(make_face: MakeFace, item: dict[str, Any], text: str) -> None:
    made = OverlayItem(make_face((0.0, 0.0, 9.0, 9.0), 3), **item)
    assert label_texts(made, OverlayStyle())[0] == text
    assert label_texts(made, OverlayStyle())[-1] == ""


@pytest.mark.parametrize(("state", "colour"), [(FAKE, VERMILLION), (UNSURE, YELLOW), (UNKNOWN, GREY)])
def test_a_sign_stands_out_from_its_tile(state: Verdict, colour: Rgb) -> None:
    patch = plate("", state, 14, colour, matrix="bt601", full_range=False)
    assert int(np.ptp(patch.y.astype(int))) > 80


def test_the_share_is_told_when_asked_for(make_face: MakeFace) -> None:
    item = OverlayItem(make_face((0.0, 0.0, 9.0, 9.0)), FAKE, None, 0.9, 0.825)
    assert label_texts(item, OverlayStyle(show_share=True))[0] == "#1 FAKE 0.90 (82% of frames)"


@pytest.mark.parametrize(
    "box",
    [(0, 0, 60, 60), (600, 0, 640, 40), (600, 320, 660, 380), (-30, 150, 20, 220), (0, 0, 640, 360), (5, -80, 90, 40)],
    ids=str,
)
def test_labels_stay_inside_and_below_the_banner(
    make_picture: MakePicture, make_face: MakeFace, box: tuple[float, ...]
) -> None:
    picture = make_picture(640, 360)
    style = OverlayStyle(keep_top=24)
    item = OverlayItem(make_face(tuple(map(float, box))), UNKNOWN, Reason.CUT_OFF)
    dark = paint(picture, [item], style).y == rgb_to_yuv(PLATE, "bt601", False)[0]
    width, height = plate_size("#1 NOT JUDGED: cut off", 9)
    assert not dark[:24].any()
    assert dark.sum() > (width - height) * height * 0.6


def test_labels_of_neighbours_do_not_cover_each_other(make_picture: MakePicture, make_face: MakeFace) -> None:
    picture = make_picture(640, 360)
    faces = [make_face((200.0 + 20 * n, 150.0, 280.0 + 20 * n, 240.0), n + 1) for n in range(3)]
    after = paint(picture, [OverlayItem(face, REAL) for face in faces])
    width, height = plate_size("#1 no sign found", 9)
    plates = after.y == rgb_to_yuv(PLATE, "bt601", False)[0]
    assert plates.sum() > 3 * (width - height) * height * 0.6


def test_the_banner_covers_its_rows_only(make_picture: MakePicture) -> None:
    picture = make_picture(640, 361, noise=True)
    after = banner(picture, "camera: FAKE", FAKE)
    rows = banner_height(picture)
    assert rows % 2 == 0
    for old, new, step in ((picture.y, after.y, 1), (picture.u, after.u, 2), (picture.v, after.v, 2)):
        touched = old != new
        assert not touched[rows // step :].any()
        assert touched[: rows // step].mean() > 0.9
    assert after.y[: rows - 4, 30:200].max() > 200
    assert after.y[rows - 1].tolist() == [rgb_to_yuv(VERMILLION, "bt601", False)[0]] * 640


def test_text_is_ascii_and_stands_in_the_middle() -> None:
    assert (text_coverage("\u00e9\t", 12) == text_coverage("??", 12)).all()
    ink = np.nonzero(text_coverage("H", 20))[0]
    assert abs(int(ink.min()) - 10) <= 2
    assert abs(int(ink.max()) - 29) <= 2
