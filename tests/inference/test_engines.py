"""Each engine that this machine can run: shapes, agreement with the reference, failures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import (
    Engine,
    EngineCache,
    EngineOptions,
    Prepared,
    find_factory,
    parity_crops,
    prepare,
)
from streamguard.inference.engine import check_crops, foreign_errors, to_bytes
from streamguard.inference.inductor_engine import InductorFactory
from streamguard.inference.openvino_engine import capabilities, choose_precision
from streamguard.inference.tensorrt_engine import TensorRtFactory
from streamguard.inference.torch_engine import TorchEngine
from streamguard.models import LoadedModel
from streamguard.models.engine_graph import EngineGraph
from streamguard.types import UInt8Array
from tests.inference.conftest import small_model

OPTIONS = EngineOptions(max_batch=5, threads=1)


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engine(request: pytest.FixtureRequest, model: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    cache = EngineCache(tmp_path_factory.mktemp("cache"))
    return prepare(find_factory(request.param), model, OPTIONS, cache=cache).engine


def test_answers_are_the_graphs(engine: Engine, model: LoadedModel) -> None:
    crops = parity_crops()[:5]
    with torch.no_grad():
        truth = EngineGraph(model.spec, model.network)(torch.from_numpy(crops.copy())).numpy() * 255
    for count in (1, 2, 5):
        answer = engine.infer(crops[:count])
        assert answer.dtype == np.uint8
        assert answer.shape == (count, 256, 256)
        error = np.abs(answer - truth[:count])
        # The test network is steep on purpose: bfloat16 rounding shows at its edges.
        assert error.max() <= (20 if engine.precision == "bfloat16" else 0.51)
        assert error.mean() <= 2


def test_the_answer_belongs_to_the_caller(engine: Engine) -> None:
    crops = parity_crops()
    first = engine.infer(crops[:1])
    kept = first.copy()
    engine.infer(crops[6:7])
    assert np.array_equal(first, kept)
    first[:] = 0


def test_views_are_taken(engine: Engine) -> None:
    mirrored = parity_crops()[:2, :, ::-1]
    assert np.array_equal(engine.infer(mirrored), engine.infer(mirrored.copy()))


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((0, 256, 256, 3), np.uint8),
        np.zeros((6, 256, 256, 3), np.uint8),
        np.zeros((1, 128, 256, 3), np.uint8),
        np.zeros((256, 256, 3), np.uint8),
        np.zeros((1, 256, 256, 3), np.float32),
    ],
)
def test_wrong_crops_are_refused(engine: Engine, crops: UInt8Array) -> None:
    with pytest.raises(EngineFailed, match=r"crops|batch of"):
        engine.infer(crops)


def test_it_describes_itself(engine: Engine) -> None:
    assert engine.precision in engine.describe()
    assert engine.device in engine.describe()


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_closed_engines_fail(name: str, model: LoadedModel, tmp_path: Path) -> None:
    engine = prepare(find_factory(name), model, OPTIONS, cache=EngineCache(tmp_path)).engine
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.infer(parity_crops()[:1])


def test_the_reference_leaves_network_and_threads_alone() -> None:
    model = small_model(3)
    before, layout = torch.get_num_threads(), next(model.network.parameters()).stride()
    engine = TorchEngine(model, EngineOptions(threads=before + 1))
    engine.infer(parity_crops()[:1])
    assert torch.get_num_threads() == before
    assert next(model.network.parameters()).stride() == layout


def test_the_reference_is_float32_only(model: LoadedModel) -> None:
    with pytest.raises(EngineUnavailable, match="float32"):
        TorchEngine(model, EngineOptions(precision="float16"))


def test_damaged_weights_are_a_failure_and_no_verdict() -> None:
    model = small_model(4)
    with torch.no_grad():
        model.network.head.bias.fill_(float("nan"))
    with pytest.raises(EngineFailed, match="not finite"):
        TorchEngine(model, OPTIONS).infer(parity_crops()[:1])


def test_openvino_precision_follows_the_processor() -> None:
    assert choose_precision(EngineOptions(), ("FP32", "BF16")) == "bfloat16"
    assert choose_precision(EngineOptions(), ("FP32",)) == "float32"
    assert choose_precision(EngineOptions(precision="float32"), ("FP32", "BF16")) == "float32"
    for wanted, native in (("bfloat16", ("FP32",)), ("float16", ("FP32", "BF16"))):
        with pytest.raises(EngineUnavailable, match=wanted):
            choose_precision(EngineOptions(precision=wanted), native)  # type: ignore[arg-type]  # plain strings
    assert "FP32" in capabilities()


def test_openvino_float32_is_the_reference(model: LoadedModel, tmp_path: Path) -> None:
    options = EngineOptions(threads=1, precision="float32")
    parity = prepare(find_factory("openvino"), model, options, cache=EngineCache(tmp_path)).manifest.parity
    assert parity.max_error <= 1 / 255
    assert parity.mask_iou > 0.999


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.skipif(torch.cuda.is_available(), reason="the CPU way")
def test_inductor_on_a_cpu(tmp_path: Path) -> None:
    factory, cache = InductorFactory(), EngineCache(tmp_path)
    assert not factory.probe().automatic

    def ready() -> Prepared:
        return prepare(factory, small_model(), EngineOptions(max_batch=3), cache=cache)

    made = ready()
    assert made.manifest.parity.max_error <= 1 / 255
    made.engine.close()
    again = ready()
    assert not again.compiled_now
    assert again.engine.infer(parity_crops()[:3]).shape == (3, 256, 256)
    assert "float32" in again.engine.describe()


def test_inductor_in_another_precision_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match="bfloat16"):
        InductorFactory().traits(EngineOptions(precision="bfloat16"))


def test_inductor_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    probe = InductorFactory().probe()
    assert not probe.available
    assert "C++" in probe.reason


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_tensorrt_says_what_it_misses() -> None:
    probe = TensorRtFactory().probe()
    assert not probe.available
    assert "torch-tensorrt" in probe.reason or "CUDA" in probe.reason
    with pytest.raises(EngineUnavailable, match="float16"):
        TensorRtFactory().traits(EngineOptions(precision="float32"))


def test_rounding() -> None:
    probability = np.array([0, 0.4 / 255, 0.6 / 255, 0.5, 1], np.float32)
    assert to_bytes("x", probability).tolist() == [0, 0, 1, 128, 255]
    with pytest.raises(EngineFailed, match="not finite"):
        to_bytes("x", np.array([0, np.inf], np.float32))


def test_foreign_errors_become_ours() -> None:
    with pytest.raises(EngineFailed, match="failed while trying \\(ValueError: why\\)"), foreign_errors("x", "trying"):
        raise ValueError("why\nand much more")
    with pytest.raises(EngineFailed, match="KeyError"), foreign_errors("x", "trying"):
        raise KeyError
    with pytest.raises(EngineUnavailable), foreign_errors("x", "trying"):
        raise EngineUnavailable("x", "ours")


def test_options_out_of_range() -> None:
    for wrong in ({"max_batch": 0}, {"threads": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            EngineOptions(**wrong)


def test_good_crops_are_not_copied() -> None:
    crops = np.zeros((2, 8, 8, 3), np.uint8)
    assert check_crops("x", crops, 8, 4) is crops
