"""The bar lets healthy engines pass and stops sick ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard import models
from streamguard.errors import ParityError
from streamguard.inference import (
    EngineCache,
    EngineOptions,
    ParityBar,
    check_parity,
    compare,
    find_factory,
    parity_crops,
    prepare,
)
from streamguard.inference.parity import REFERENCE, answers, record_answers, recorded_answers
from streamguard.inference.torch_engine import TorchEngine
from streamguard.models import LoadedModel, networks
from streamguard.types import UInt8Array


def truth() -> UInt8Array:
    """Two pictures: a fake square of 20 pixels a side on one, nothing on the other."""
    probability = np.full((2, 64, 64), 10, np.uint8)
    probability[0, 20:40, 20:40] = 240
    return probability


def test_equal_answers_are_perfect() -> None:
    parity = compare(truth(), truth(), 0.5, 100)
    assert (parity.max_error, parity.p999_error, parity.mask_iou, parity.verdict_agreement) == (0, 0, 1, 1)
    assert parity.crops == 2
    assert not parity.shortfalls(ParityBar())


def test_one_wild_pixel_is_reported_and_forgiven() -> None:
    answer = truth()
    answer[1, 0, 0] = 255
    parity = compare(answer, truth(), 0.5, 100)
    assert parity.max_error > 0.9
    assert not parity.shortfalls(ParityBar())


@pytest.mark.parametrize("sick", [0, 10, 255])
def test_a_constant_engine_is_refused(sick: int) -> None:
    parity = compare(np.full_like(truth(), sick), truth(), 0.5, 100)
    assert len(parity.shortfalls(ParityBar())) == 3
    assert parity.mask_iou < 0.1


def test_crops_in_the_wrong_order_are_refused() -> None:
    assert compare(truth()[::-1], truth(), 0.5, 100).shortfalls(ParityBar())


def test_a_shifted_mask_is_refused() -> None:
    parity = compare(np.roll(truth(), 1, axis=2), truth(), 0.5, 100)
    assert parity.verdict_agreement == 1
    assert parity.mask_iou < 0.98
    assert parity.shortfalls(ParityBar())


def test_undecided_pixels_and_crops_are_held_against_nobody() -> None:
    reference, answer = truth(), truth()
    reference[1, 20:40, 20:40], answer[1, 20:40, 20:40] = 130, 125
    parity = compare(answer, reference, 0.5, 100)
    assert parity.mask_iou == parity.verdict_agreement == 1


def test_a_decided_crop_with_another_verdict_is_held_against_it() -> None:
    reference, answer = truth(), truth()
    reference[1, 20:40, 20:40], answer[1, 20:40, 20:40] = 140, 110
    assert compare(answer, reference, 0.5, 100).verdict_agreement == 0.5


def test_where_the_model_marks_nothing_the_middle_is_the_threshold() -> None:
    quiet = (truth() // 3).astype(np.uint8)
    parity = compare(quiet, quiet, 0.9, 100)
    assert parity.threshold == pytest.approx((240 // 3 + 10 // 3) / 2 / 255)
    assert compare(np.zeros_like(quiet), quiet, 0.9, 100).shortfalls(ParityBar())


def test_a_flat_reference_verifies_nothing() -> None:
    flat = np.full((1, 8, 8), 3, np.uint8)
    with pytest.raises(ParityError, match="nothing can be verified"):
        compare(flat, flat, 0.5, 100)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), noise=st.integers(0, 4), threshold=st.floats(0.1, 0.9))
def test_small_noise_passes_at_any_threshold(seed: int, noise: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    reference = np.kron(random.integers(0, 256, (3, 8, 8)), np.ones((1, 8, 8))).astype(np.uint8)
    shaken = reference.astype(int) + random.integers(-noise, noise + 1, reference.shape)
    assert not compare(shaken.clip(0, 255).astype(np.uint8), reference, threshold, 20).shortfalls(ParityBar())


def test_crops_are_real_different_and_the_same_each_time() -> None:
    crops = parity_crops()
    assert crops.shape == (12, 256, 256, 3)
    assert not crops.flags.writeable
    assert parity_crops.__wrapped__().tobytes() == crops.tobytes()
    flat = crops.reshape(12, -1).astype(int)
    assert min(np.abs(a - b).mean() for i, a in enumerate(flat) for b in flat[:i]) > 1
    assert parity_crops(64).shape == (12, 64, 64, 3)


class Broken(TorchEngine):
    def infer(self, crops: UInt8Array) -> UInt8Array:
        return 255 - super().infer(crops)


def test_check_runs_single_and_full_batches_and_refuses(model: LoadedModel) -> None:
    reference = TorchEngine(model, EngineOptions(max_batch=4))
    rule = {"threshold": model.spec.threshold, "smallest_component": model.spec.smallest_component}
    truth = answers(reference, parity_crops())
    assert check_parity(reference, truth, parity_crops(), **rule).mask_iou == 1
    with pytest.raises(ParityError, match="mask IoU 0") as caught:
        check_parity(Broken(model, EngineOptions()), truth, parity_crops(), **rule)
    assert not caught.value.retryable


def test_recorded_answers_are_those_of_the_weights_and_crops_alone(model: LoadedModel, tmp_path: Path) -> None:
    spec = networks.save(model, tmp_path / "small")
    reference, crops = TorchEngine(model, EngineOptions(max_batch=4)), parity_crops()
    assert recorded_answers(spec, crops) is None
    record_answers(spec, reference)
    found = recorded_answers(spec, crops)
    assert found is not None
    assert (found == answers(reference, crops)).all()
    assert recorded_answers(spec, crops[:, ::-1]) is None
    assert recorded_answers(replace(spec, weights_sha256="00"), crops) is None
    assert recorded_answers(replace(spec, folder=None), crops) is None
    path = tmp_path / "small" / REFERENCE
    path.write_bytes(path.read_bytes()[:-50])
    assert recorded_answers(spec, crops) is None


@pytest.mark.parametrize("name", models.available())
def test_shipped_detectors_answer_as_was_recorded(name: str) -> None:
    shipped = models.load(name)
    recorded = recorded_answers(shipped.spec, parity_crops())
    assert recorded is not None
    now = answers(TorchEngine(shipped, EngineOptions(max_batch=4)), parity_crops()[:2])
    assert np.abs(now.astype(int) - recorded[:2]).max() <= 1


def test_a_start_by_recorded_answers_is_checked_in_full_when_asked(model: LoadedModel, tmp_path: Path) -> None:
    networks.save(model, tmp_path / "small")
    loaded = models.load(str(tmp_path / "small"))
    record_answers(loaded.spec, TorchEngine(loaded, EngineOptions(max_batch=4)))
    factory, cache = find_factory("openvino"), EngineCache(tmp_path / "cache")

    def parity(crops: UInt8Array | None = None) -> tuple[bool, bool]:
        prepared = prepare(factory, loaded, cache=cache, crops=crops)
        prepared.engine.close()
        return prepared.manifest.parity.recorded, prepared.compiled_now

    assert parity() == (True, True)
    assert parity() == (True, False)
    assert parity(parity_crops()) == (False, True)
    assert parity() == (False, False)
