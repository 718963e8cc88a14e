"""A face rendered again: nothing but its texture is another one's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from streamguard.training.portrait_renderer import (
    SIGMAS,
    FaceAutoencoder,
    aligned,
    levelled,
    portrait_renderer,
    rendered_again,
    similarity,
    template,
)
from streamguard.types import FloatArray, UInt8Array
from tests.support.portraits import portrait
from tests.support.training_data import LANDMARKS


@pytest.fixture(scope="module")
def network() -> FaceAutoencoder:
    return portrait_renderer()


def test_the_shipped_weights_render_a_picture_like_the_one_given(network: FaceAutoencoder) -> None:
    face, _ = aligned(portrait(), LANDMARKS, 128)
    pixels = (torch.from_numpy(face)[None].permute(0, 3, 1, 2).float() - 128) / 128
    with torch.inference_mode():
        made, wide = network(pixels), network(torch.zeros(2, 3, 64, 96))
    assert made.shape == pixels.shape
    assert wide.shape == (2, 3, 64, 96)
    assert 0.005 < float((made - pixels).abs().mean()) < 0.15


def test_a_similarity_is_found_again() -> None:
    turn = np.array([[0.8, -0.3, 5.0], [0.3, 0.8, -7.0]])
    moved = (LANDMARKS @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    assert similarity(LANDMARKS, moved) == pytest.approx(turn, abs=1e-3)


@pytest.mark.parametrize("side", [64, 128])
def test_an_upright_face_has_its_landmarks_in_their_places(side: int) -> None:
    face, matrix = aligned(portrait(), LANDMARKS, side)
    assert face.shape == (side, side, 3)
    moved = LANDMARKS @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(moved - template(side)).mean() < 0.05 * side


@pytest.mark.parametrize("sigma", [1.5, 2.0])
def test_a_soft_face_becomes_as_sharp_as_the_real_one(sigma: float) -> None:
    real = portrait()
    inside = np.zeros(real.shape[:2], dtype=np.bool_)
    inside[70:170, 180:270] = True
    soft = np.asarray(cv2.GaussianBlur(real, (0, 0), sigma), dtype=np.uint8)

    def strength(picture: UInt8Array) -> float:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        band: FloatArray = cv2.GaussianBlur(grey, (0, 0), SIGMAS[1]) - cv2.GaussianBlur(grey, (0, 0), SIGMAS[2])
        return float(np.sqrt((band[inside] ** 2).mean()))

    made = [strength(levelled(real, soft, inside, np.random.default_rng(seed))) for seed in range(12)]
    assert strength(soft) < 0.8 * strength(real)
    assert float(np.exp(np.mean(np.log(made)))) == pytest.approx(strength(real), rel=0.15)


@pytest.mark.parametrize("side", [96, 256])
def test_only_the_inner_face_is_another(network: FaceAutoencoder, side: int) -> None:
    real = portrait()
    fake, again = (rendered_again(network, real, LANDMARKS, side, np.random.default_rng(7)) for _ in range(2))
    assert (fake == again).all()
    changed = np.abs(fake.astype(int) - real).max(axis=2) > 0
    y, x = np.indices(changed.shape)
    far = np.hypot((x - 225) / 80, (y - 125) / 100)
    assert changed[far < 0.4].mean() > 0.8
    assert not changed[far > 1].any()
