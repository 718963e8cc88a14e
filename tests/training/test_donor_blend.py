"""Another person's face on a real one."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.training.donor_blend import donor_blend, similarities, similarity
from streamguard.training.selfblend import face_outline
from streamguard.types import FloatArray, UInt8Array
from tests.support.training_data import triple

points = st.lists(
    st.tuples(st.floats(0, 300, width=32), st.floats(0, 300, width=32)), min_size=5, max_size=5, unique=True
).map(lambda rows: np.array(rows, dtype=np.float32))


def person(number: int) -> tuple[UInt8Array, FloatArray]:
    each = triple(number, "ann")
    return each.real, each.landmarks


def other() -> tuple[UInt8Array, FloatArray]:
    """The same face mirrored, tinted and tilted: for these rules as good as another person."""
    rgb, marks = person(2)
    tinted = np.clip(rgb[:, ::-1].astype(int) + np.array([30, -10, -25]), 0, 255).astype(np.uint8)
    mirrored = marks[[1, 0, 2, 4, 3]] * (-1, 1) + np.array([rgb.shape[1] - 1, 0])
    matrix = cv2.getRotationMatrix2D((160, 160), 12, 0.8)
    turned = cv2.warpAffine(tinted, matrix, (320, 320), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8), (mirrored @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


@given(points, st.floats(-3, 3), st.floats(0.2, 5), st.floats(-100, 100), st.floats(-100, 100))
def test_a_similarity_is_found_again(source: FloatArray, angle: float, zoom: float, x: float, y: float) -> None:
    if np.abs(source - source.mean(axis=0)).max() < 1:
        return
    cos, sin = math.cos(angle) * zoom, math.sin(angle) * zoom
    truth = np.array([[cos, -sin, x], [sin, cos, y]])
    found, left = similarity(source, (source @ truth[:, :2].T + truth[:, 2]).astype(np.float32))
    assert np.allclose(found[:, :2], truth[:, :2], atol=1e-2 * zoom)
    assert left < 1e-2


@given(st.lists(points, min_size=1, max_size=4), points)
def test_many_similarities_are_those_of_each(sources: list[FloatArray], target: FloatArray) -> None:
    if min(np.abs(source - source.mean(axis=0)).max() for source in sources) < 1:
        return
    matrices, left = similarities(np.stack(sources), target)
    for source, matrix, distance in zip(sources, matrices, left, strict=True):
        alone, remains = similarity(source, target)
        assert np.allclose(matrix, alone, rtol=1e-9, atol=1e-9)
        assert distance == pytest.approx(remains, abs=1e-9)


@given(points, points, st.integers(0, 999))
def test_no_other_similarity_is_nearer(source: FloatArray, target: FloatArray, seed: int) -> None:
    if np.abs(source - source.mean(axis=0)).max() < 1:
        return
    found, _ = similarity(source, target)

    def distance(matrix: np.ndarray) -> float:
        return float(np.square(source @ matrix[:, :2].T + matrix[:, 2] - target).sum())

    random = np.random.default_rng(seed)
    a, b, x, y = random.normal(0, 0.05, size=4)
    nearby = found + np.array([[a, -b, 20 * x], [b, a, 20 * y]])
    assert distance(found) <= distance(nearby) * (1 + 1e-6) + 1e-3


@pytest.mark.parametrize("seed", range(12))
def test_only_the_inner_face_changes(seed: int) -> None:
    (real, marks), (donor, donor_marks) = person(0), other()
    fake = donor_blend(real, marks, donor, donor_marks, np.random.default_rng(seed))
    assert fake.pixels.shape == real.shape
    assert fake.pixels.dtype == fake.mask.dtype == np.uint8
    near = np.zeros(real.shape[:2], np.uint8)
    cv2.fillPoly(near, [np.round(face_outline(marks)).astype(np.int32)], 1)
    near = cv2.dilate(near, np.ones((121, 121), np.uint8))
    assert (fake.pixels[near == 0] == real[near == 0]).all()
    moved = np.abs(fake.pixels.astype(int) - real).sum(axis=2)
    assert moved[fake.mask == 1].mean() > 4 * moved[fake.mask == 0].mean()
    assert fake.mask.any()


def test_the_colour_follows_the_face_it_is_put_on() -> None:
    (real, marks), (donor, donor_marks) = person(0), other()
    before, after = [], []
    for seed in range(8):
        fake = donor_blend(real, marks, donor, donor_marks, np.random.default_rng(seed))
        inside = fake.mask == 1
        after.append(np.abs(fake.pixels[inside].mean(axis=0) - real[inside].mean(axis=0)).mean())
        before.append(np.abs(donor[inside].mean(axis=0) - real[inside].mean(axis=0)).mean())
    assert np.mean(after) < 0.6 * np.mean(before)


def test_equal_seeds_give_equal_fakes() -> None:
    (real, marks), (donor, donor_marks) = person(0), other()
    first, again = (donor_blend(real, marks, donor, donor_marks, np.random.default_rng(4)) for _ in range(2))
    assert (first.pixels == again.pixels).all()
    assert (first.mask == again.mask).all()


def test_nothing_is_blended_from_beyond_the_donors_picture() -> None:
    """A donor that ends at the nose: the rest of the face stays."""
    real, marks = person(0)
    donor = np.zeros_like(real)
    cut = marks + np.array([160 - marks[2, 0], 0])
    half = donor[:, :160]
    fake = donor_blend(real, marks, half, cut.astype(np.float32), np.random.default_rng(1))
    right = np.s_[:, int(marks[2, 0]) + 12 :]
    assert not fake.mask[right].any()
    assert np.abs(fake.pixels[right].astype(int) - real[right]).mean() < 0.5
