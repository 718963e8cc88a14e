"""The frame rule against a flood fill, and the raw score against a sort."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streamguard.errors import ConfigError
from streamguard.types import Mask, Reason, UInt8Array, Verdict
from streamguard.verdict import FrameRule, ScoreCalibration, level_above, raw_score, unjudged

MakeMask = Callable[[UInt8Array], Mask]

IDENTITY = ScoreCalibration(slope=1.0, offset=0.0)
MAPS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14),
    elements=st.sampled_from([0, 1, 100, 127, 128, 200, 254, 255]),
)
THRESHOLDS = st.one_of(st.floats(0, 1), st.integers(0, 255).map(lambda value: value / 255))


def flood_area(probability: UInt8Array, threshold: float, smallest: int) -> int:
    height, width = probability.shape
    left = {(y, x) for y in range(height) for x in range(width) if int(probability[y, x]) / 255 > threshold}
    total = 0
    while left:
        todo = [left.pop()]
        size = 0
        while todo:
            y, x = todo.pop()
            size += 1
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            todo.extend(near)
        if size > smallest:
            total += size
    return total


@given(MAPS, THRESHOLDS, st.integers(0, 12))
def test_area_is_the_flood_fills(probability: UInt8Array, threshold: float, smallest: int) -> None:
    rule = FrameRule(threshold, smallest, IDENTITY)
    assert rule.fake_area(probability) == flood_area(probability, threshold, smallest)


@given(MAPS, THRESHOLDS, THRESHOLDS, st.integers(0, 12))
def test_a_face_is_fake_else_unsure_by_the_flood_fill(
    make_mask: MakeMask, probability: UInt8Array, one: float, other: float, smallest: int
) -> None:
    low, high = sorted((one, other))
    area = flood_area(probability, high, smallest)
    unsure = low < high and flood_area(probability, low, smallest) > 0
    got = FrameRule(high, smallest, IDENTITY, low).judge(make_mask(probability))
    assert got.state is (Verdict.FAKE if area else Verdict.UNSURE if unsure else Verdict.REAL)
    assert got.area == area
    without = FrameRule(high, smallest, IDENTITY).judge(make_mask(probability))
    assert (without.area, without.score) == (got.area, got.score)
    assert without.state is (Verdict.FAKE if area else Verdict.REAL)
    assert FrameRule(high, smallest, IDENTITY, high).judge(make_mask(probability)).state is without.state


def test_an_unsure_face_has_no_fake_area(make_mask: MakeMask) -> None:
    probability = np.zeros((256, 256), np.uint8)
    probability[:11, :11] = 200
    # Alone too small for either threshold.
    probability[100:110, 100:110] = 255
    verdict = FrameRule(0.9, 100, IDENTITY, 0.5).judge(make_mask(probability))
    assert (verdict.state, verdict.area) == (Verdict.UNSURE, 0)
    probability[:11, :10] = 0
    assert FrameRule(0.9, 100, IDENTITY, 0.5).judge(make_mask(probability)).state is Verdict.REAL


@given(THRESHOLDS)
def test_level_is_the_first_value_above(threshold: float) -> None:
    assert level_above(threshold) == next((v for v in range(256) if v / 255 > threshold), 256)


def test_a_pixel_exactly_at_the_threshold_does_not_count() -> None:
    for value in range(256):
        assert level_above(value / 255) == value + 1
    assert level_above(0.2) == 52
    assert level_above(0.95) == 243
    assert level_above(1.0) == 256
    assert FrameRule(0.2, 0, IDENTITY).fake_area(np.full((20, 20), 51, np.uint8)) == 0
    assert FrameRule(0.2, 0, IDENTITY).fake_area(np.full((20, 20), 52, np.uint8)) == 400


@pytest.mark.parametrize(("size", "state", "area"), [(100, Verdict.REAL, 0), (101, Verdict.FAKE, 101)])
def test_a_component_must_be_larger_than_the_smallest(
    make_mask: MakeMask, size: int, state: Verdict, area: int
) -> None:
    probability = np.zeros((256, 256), np.uint8)
    probability[10:20, 10:20] = 255
    probability[20, 20 : 20 + size - 100] = 255
    verdict = FrameRule(0.5, 100, IDENTITY).judge(make_mask(probability))
    assert (verdict.state, verdict.area) == (state, area)


def test_many_small_components_are_real_and_only_large_ones_make_the_area(make_mask: MakeMask) -> None:
    probability = np.zeros((256, 256), np.uint8)
    for y in range(0, 256, 12):
        for x in range(0, 256, 12):
            probability[y : y + 10, x : x + 10] = 255
    rule = FrameRule(0.5, 100, IDENTITY)
    assert rule.judge(make_mask(probability)).state is Verdict.REAL
    probability[0:10, 0:22] = 255
    assert rule.judge(make_mask(probability)).area == 220


def test_components_join_over_corners() -> None:
    probability = np.zeros((64, 64), np.uint8)
    probability[0:10, 0:10] = 255
    probability[10:12, 10:12] = 255
    assert FrameRule(0.5, 100, IDENTITY).fake_area(probability) == 104


def test_a_map_need_not_be_contiguous() -> None:
    probability = np.zeros((64, 64), np.uint8)
    probability[5:30, 5:30] = 255
    assert FrameRule(0.5, 10, IDENTITY).fake_area(probability[::2, ::2]) == 12 * 12
    assert raw_score(probability[::2, ::2]) == raw_score(probability[::2, ::2].copy())


@given(MAPS)
def test_raw_score_is_the_logit_of_the_top_sixteenth(probability: UInt8Array) -> None:
    top = sorted(map(int, probability.ravel()), reverse=True)[: max(1, probability.size // 16)]
    mean = float(Fraction(sum(top), 255 * len(top)))
    clipped = min(max(mean, 0.5 / 255), 1 - 0.5 / 255)
    assert raw_score(probability) == pytest.approx(math.log(clipped / (1 - clipped)), abs=1e-12)


def test_raw_score_takes_4096_pixels_of_a_mask_and_stays_finite() -> None:
    probability = np.zeros((256, 256), np.uint8)
    assert raw_score(probability) == pytest.approx(-6.2324, abs=1e-4)
    probability[:16] = 255
    assert raw_score(probability) == pytest.approx(6.2324, abs=1e-4)
    probability[:8] = 0
    assert raw_score(probability) == pytest.approx(0.0)


def test_a_large_map_is_counted_exactly() -> None:
    probability = np.zeros((4096, 4097), np.uint8)
    probability[: 4096 // 32] = 255
    wanted = probability.size // 16
    assert raw_score(probability) == pytest.approx(math.log((128 * 4097) / (wanted - 128 * 4097)), abs=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((0, 4), np.uint8), np.zeros(16, np.uint8), np.zeros((4, 4), np.float32)],
    ids=["empty", "flat", "float"],
)
def test_what_is_no_map_is_refused(wrong: UInt8Array) -> None:
    with pytest.raises(ValueError, match="probability map"):
        raw_score(wrong)
    with pytest.raises(ValueError, match="probability map"):
        FrameRule(0.5, 100, IDENTITY).fake_area(wrong)


@given(st.floats(-1e300, 1e300), st.floats(0.01, 50), st.floats(-50, 50))
def test_calibration_gives_a_probability_and_never_overflows(raw: float, slope: float, offset: float) -> None:
    assert 0.0 <= ScoreCalibration(slope, offset).apply(raw) <= 1.0


def test_calibration_is_platts_sigmoid_and_rises() -> None:
    calibration = ScoreCalibration(1.5, -0.5)
    for raw in (-6.0, -1.0, 0.0, 0.3, 6.0):
        assert calibration.apply(raw) == pytest.approx(1 / (1 + math.exp(-(1.5 * raw - 0.5))))
    scores = [calibration.apply(raw) for raw in np.linspace(-6.24, 6.24, 101)]
    assert scores == sorted(scores)
    assert IDENTITY.apply(math.log(0.7 / 0.3)) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("slope", "offset"), [(0, 0), (-1, 0), (math.nan, 0), (math.inf, 0), (1, math.nan), (1, math.inf)]
)
def test_a_calibration_that_does_not_rise_is_refused(slope: float, offset: float) -> None:
    with pytest.raises(ConfigError, match="calibration"):
        ScoreCalibration(slope, offset)


@pytest.mark.parametrize(("threshold", "smallest"), [(-0.1, 100), (1.1, 100), (math.nan, 100), (0.5, -1)])
def test_a_rule_out_of_range_is_refused(threshold: float, smallest: int) -> None:
    with pytest.raises(ConfigError, match="frame rule"):
        FrameRule(threshold, smallest, IDENTITY)


@pytest.mark.parametrize("unsure", [-0.1, 0.51, math.nan])
def test_a_band_above_the_threshold_is_refused(unsure: float) -> None:
    with pytest.raises(ConfigError, match="unsure threshold"):
        FrameRule(0.5, 100, IDENTITY, unsure)


def test_the_verdict_carries_its_mask_and_calibrated_score(make_mask: MakeMask) -> None:
    mask = make_mask(np.full((256, 256), 204, np.uint8))
    verdict = FrameRule(0.95, 100, ScoreCalibration(1.0, 1.0)).judge(mask)
    assert verdict.state is Verdict.REAL
    assert verdict.mask is mask
    assert verdict.face is mask.crop.face
    assert verdict.reason is None
    assert verdict.score == pytest.approx(1 / (1 + math.exp(-(math.log(4) + 1))))


def test_an_unjudged_face_is_unknown_with_its_reason(make_mask: MakeMask) -> None:
    face = make_mask(np.zeros((256, 256), np.uint8)).crop.face
    verdict = unjudged(face, Reason.TOO_BLURRED)
    assert (verdict.state, verdict.reason) == (Verdict.UNKNOWN, Reason.TOO_BLURRED)
    assert (verdict.score, verdict.area, verdict.mask) == (None, 0, None)
