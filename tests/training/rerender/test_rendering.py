"""A face rendered again: nothing but its texture is another one's."""

from __future__ import annotations

from typing import get_args

import cv2
import numpy as np
import pytest
import torch

from streamguard.training.config import RendererTable, Upsampling
from streamguard.training.rerender.aligned import aligned, template
from streamguard.training.rerender.autoencoder import FaceAutoencoder
from streamguard.training.rerender.fake import Rerenderer, as_a_camera_gives_it
from streamguard.training.rerender.levelled import SIGMAS, levelled
from streamguard.training.rerender.teach import Teacher
from streamguard.types import FloatArray, UInt8Array
from tests.support.training_data import triple

SMALL = RendererTable(halvings=3, channels=2)


def face(random: np.random.Generator) -> tuple[UInt8Array, FloatArray]:
    each = triple(int(random.integers(4)), "ann")
    return each.real, each.landmarks


def other(real: UInt8Array, landmarks: FloatArray, random: np.random.Generator) -> tuple[UInt8Array, FloatArray]:
    return np.ascontiguousarray(255 - real), landmarks


@pytest.mark.parametrize("upsampling", get_args(Upsampling))
@pytest.mark.parametrize("halvings", [3, 4])
def test_every_build_gives_a_picture_of_the_same_size(upsampling: Upsampling, halvings: int) -> None:
    network = FaceAutoencoder(RendererTable(halvings=halvings, upsampling=upsampling, channels=5))
    codes = network.encode(torch.randn(2, 3, 64, 96) * 50)
    assert codes.shape == (2, 5, 64 >> halvings, 96 >> halvings)
    assert codes.abs().max() <= 3
    assert network.decode(codes).shape == (2, 3, 64, 96)


def test_an_upright_face_has_its_landmarks_in_their_places() -> None:
    real, landmarks = face(np.random.default_rng(0))
    _, matrix = aligned(real, landmarks, 128, 0.8)
    moved = landmarks @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(moved - template(128, 0.8)).mean() < 6


def test_a_course_brings_the_pictures_nearer() -> None:
    errors: list[float] = []
    Teacher(SMALL, 24, 1, face).run(lambda _, error: errors.append(error))
    assert len(errors) == 24
    assert np.mean(errors[-4:]) < 0.7 * np.mean(errors[:4])


@pytest.mark.parametrize("sigma", [1.5, 2.0])
def test_a_soft_face_becomes_as_sharp_as_the_real_one(sigma: float) -> None:
    real, _ = face(np.random.default_rng(0))
    inside = np.zeros(real.shape[:2], dtype=np.bool_)
    inside[100:220, 100:220] = True
    soft = np.asarray(cv2.GaussianBlur(real, (0, 0), sigma), dtype=np.uint8)

    def strength(picture: UInt8Array) -> float:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        band = cv2.GaussianBlur(grey, (0, 0), SIGMAS[1]) - cv2.GaussianBlur(grey, (0, 0), SIGMAS[2])
        return float(np.sqrt((band[inside] ** 2).mean()))

    made = [strength(levelled(real, soft, inside, np.random.default_rng(seed))) for seed in range(12)]
    assert strength(soft) < 0.8 * strength(real)
    assert float(np.exp(np.mean(np.log(made)))) == pytest.approx(strength(real), rel=0.15)


def test_equal_states_give_equal_pairs_and_only_the_masked_part_is_another() -> None:
    torch.manual_seed(0)
    maker = Rerenderer([FaceAutoencoder(SMALL), FaceAutoencoder(SMALL)], other, donor_share=0.5)
    rgb, landmarks = face(np.random.default_rng(3))
    for seed in range(6):
        made, again = (maker.pair(rgb, landmarks, np.random.default_rng(seed)) for _ in range(2))
        assert (made.fake == again.fake).all()
        assert (made.real == again.real).all()
        changed = np.abs(made.fake.astype(int) - made.real).max(axis=2) > 0
        inside = made.mask > 0
        assert 0.01 < inside.mean() < 0.5
        assert changed[inside].mean() > 0.8
        # The blend fades out around the mask; far from it nothing is touched.
        far = cv2.dilate(made.mask, np.ones((121, 121), np.uint8)) == 0
        assert far.any()
        assert not changed[far].any()


def test_another_persons_code_changes_the_face() -> None:
    torch.manual_seed(0)
    network = FaceAutoencoder(SMALL)
    rgb, landmarks = face(np.random.default_rng(3))
    own, mixed = (
        Rerenderer([network], other, donor_share=share).pair(rgb, landmarks, np.random.default_rng(5)).fake
        for share in (0.0, 1.0)
    )
    assert (own != mixed).any()


def test_a_camera_gives_fewer_true_pixels() -> None:
    rgb, _ = face(np.random.default_rng(1))
    fine = np.abs(np.diff(rgb.astype(int), axis=1)).mean()
    for seed in range(8):
        given, detail = as_a_camera_gives_it(rgb, np.random.default_rng(seed))
        assert given.shape == rgb.shape
        assert 0.3 <= detail <= 1
        assert np.abs(given.astype(int) - rgb).mean() < 12
    assert fine > 0
