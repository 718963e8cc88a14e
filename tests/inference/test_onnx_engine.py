"""Somebody else's network in an engine's place: any layout gives the same answers, and what does not fit is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from streamguard.errors import ConfigError, CorruptWeights, EngineFailed, ModelError, UnknownModel
from streamguard.inference.onnx_engine import OnnxEngine, onnx_model
from streamguard.inference.onnx_layout import Layout, Meaning, maps_of, parse_layout, parse_meaning, pixel_threshold
from streamguard.models import networks
from streamguard.pipeline.guard import frame_rule
from streamguard.types import UInt8Array
from streamguard.verdict import raw_score
from tests.support.onnx_files import Kind, green_network
from tests.support.portraits import painted_green, portrait

RGB = parse_layout("nchw-rgb-01")
LIKE = networks.fresh("unet_v1").spec


@pytest.fixture(scope="module")
def crops() -> UInt8Array:
    """A real face, and the same in green: uint8 [2, 256, 256, 3]."""
    cuts = [
        np.asarray(cv2.resize(each[35:205, 140:310], (256, 256))) for each in (portrait(), painted_green(portrait()))
    ]
    return np.stack(cuts).astype(np.uint8)


@contextmanager
def opened(path: Path, layout: Layout = RGB, meaning: Meaning = "logit", **options: Any) -> Iterator[OnnxEngine]:
    engine = OnnxEngine(path, layout, meaning, threads=1, **options)
    try:
        yield engine
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ("nchw-rgb-01", {}),
        ("nhwc-rgb-01", {"channels_first": False}),
        ("nhwc-rgb-255", {"channels_first": False, "top": 255.0}),
        ("NCHW-RGB-255", {"top": 255.0}),
        ("nchw-bgr-01", {}),
        ("nchw-rgb-01", {"batch": 1}),
        ("nchw-rgb-01", {"size": None}),
        ("nchw-rgb-01", {"size": 299}),
    ],
)
def test_every_layout_sees_the_same(tmp_path: Path, crops: UInt8Array, layout: str, options: dict[str, Any]) -> None:
    path = green_network(tmp_path / "n.onnx", **options)
    with opened(path, parse_layout(layout)) as engine:
        answer = engine.infer(crops)
        assert answer.shape == (2, 256, 256)
        assert answer.dtype == np.uint8
        rule = frame_rule(onnx_model(path, "logit", LIKE).spec)
        assert [rule.fake_area(each) > 0 for each in answer] == [False, True]
        assert "openvino" in engine.describe()


@pytest.mark.parametrize(("kind", "meaning"), [("logit", "logit"), ("logits", "logit"), ("probability", "probability")])
def test_scores_are_the_networks_own(tmp_path: Path, crops: UInt8Array, kind: Kind, meaning: Meaning) -> None:
    path = green_network(tmp_path / "n.onnx", kind, size=256)
    spec = onnx_model(path, meaning, LIKE).spec
    with opened(path, meaning=meaning) as engine:
        scores = [frame_rule(spec).calibration.apply(raw_score(each)) for each in engine.infer(crops)]
    means = (crops / 255 @ np.array([-0.5, 1.0, -0.5])).mean(axis=(1, 2))
    logits = 400 * (means - 0.015) * (2 if kind == "logits" else 1)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=0.02)


@pytest.mark.parametrize(("kind", "meaning"), [("mask", "mask"), ("mask-logit", "mask-logit")])
def test_a_segmenter_keeps_its_map(tmp_path: Path, crops: UInt8Array, kind: Kind, meaning: Meaning) -> None:
    path = green_network(tmp_path / "n.onnx", kind)
    spec = onnx_model(path, meaning, LIKE, threshold=0.5).spec
    assert (spec.threshold, spec.smallest_component, spec.calibration_slope) == (0.5, 100, 1.0)
    with opened(path, meaning=meaning) as engine:
        real, fake = engine.infer(crops)
    rule = frame_rule(spec)
    assert rule.fake_area(real) == 0
    assert 4_000 < rule.fake_area(fake) < 40_000
    assert fake[128, 128] > 200
    assert fake[5, 5] < 60


def test_the_first_class_may_be_the_fake_one(tmp_path: Path, crops: UInt8Array) -> None:
    path = green_network(tmp_path / "n.onnx", "logits")
    with opened(path) as usual, opened(path, fake=0) as turned:
        np.testing.assert_allclose(usual.infer(crops).astype(int) + turned.infer(crops), 255, atol=1)


def test_confident_scores_keep_their_order() -> None:
    logits = np.linspace(-20, 20, 41, dtype=np.float32)
    levels = np.rint(maps_of("n", logits, "logit", 1, 4)[:, 0, 0] * 255)
    assert len(set(levels.tolist())) > 30
    assert (np.diff(levels) >= 0).all()
    np.testing.assert_allclose(
        maps_of("n", 1 / (1 + np.exp(-logits)), "probability", 1, 4)[:, 0, 0] * 255, levels, atol=8
    )


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_the_threshold_is_the_networks_own(threshold: float) -> None:
    pixel = pixel_threshold("probability", threshold)
    probabilities = np.float32([0.005, 0.05, 0.2, 0.45, 0.55, 0.8, 0.95, 0.995])
    maps = maps_of("n", probabilities, "probability", 1, 2)[:, 0, 0]
    np.testing.assert_array_equal(maps > pixel, probabilities > threshold)
    assert pixel_threshold("mask", threshold) == threshold


@pytest.mark.parametrize("text", ["", "nchw", "nchw-rgb", "chw-rgb-01", "nchw-gbr-01", "nchw-rgb-1", "nchw-rgb-01-x"])
def test_a_wrong_layout_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="nchw-rgb-01"):
        parse_layout(text)


def test_wrong_numbers_and_meanings_are_said() -> None:
    for wrong in ("1,2", "a,b,c", "1,2,inf"):
        with pytest.raises(ConfigError, match="mean"):
            parse_layout("nchw-rgb-01", wrong)
    with pytest.raises(ConfigError, match="above 0"):
        parse_layout("nchw-rgb-01", "", "1,0,1")
    with pytest.raises(ConfigError, match="probability"):
        parse_meaning("score")
    assert parse_layout("nhwc-bgr-255", "1,2,3", "4,5,6") == Layout(False, True, 255.0, (1, 2, 3), (4, 5, 6))


def test_mean_and_std_are_taken_in_the_networks_order() -> None:
    crop = np.full((1, 2, 2, 3), (255, 0, 51), np.uint8)
    arranged = parse_layout("nchw-bgr-01", "0.2,0,0.5", "1,1,0.5").arranged(crop, (2, 2))
    np.testing.assert_allclose(arranged[0, :, 0, 0], [0.0, 0.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no network\n" * 50, b"\x08\x09garbage"])
def test_a_file_that_is_no_onnx_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(content)
    with pytest.raises(CorruptWeights, match="no ONNX file"):
        OnnxEngine(path, RGB, "logit")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    for use in (lambda path: OnnxEngine(path, RGB, "logit"), lambda path: onnx_model(path, "logit", LIKE)):
        with pytest.raises(UnknownModel, match="No such file"):
            use(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("kind", "meaning", "options", "words"),
    [
        ("logit", "logit", {"channels_first": False}, "begins with nhwc"),
        ("logit", "logit", {"channels": 4}, "of three colours"),
        ("logit", "logit", {"batch": 3}, "3 pictures at a time"),
        ("logit", "probability", {}, "outside 0..1. Try --output logit"),
        ("mask-logit", "mask", {}, "Try --output mask-logit"),
        ("mask", "probability", {}, r"shape \[2, 1, 64, 64\]"),
        ("probability", "mask", {}, r"shape \[2, 1\]"),
    ],
)
def test_what_does_not_fit_is_known_at_once(
    tmp_path: Path, kind: Kind, meaning: Meaning, options: dict[str, Any], words: str
) -> None:
    path = green_network(tmp_path / "n.onnx", kind, **options)
    with pytest.raises(ModelError, match=words):
        OnnxEngine(path, RGB, meaning)


def test_a_closed_engine_and_wrong_crops_fail(tmp_path: Path, crops: UInt8Array) -> None:
    with opened(green_network(tmp_path / "n.onnx")) as engine, pytest.raises(EngineFailed, match="uint8"):
        engine.infer(crops[:, :100])
    with pytest.raises(EngineFailed, match="closed"):
        engine.infer(crops)
