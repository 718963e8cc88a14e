"""Eight bits: compiled from calibration crops, held to a bar of their own, preferred where they met it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamguard.errors import EngineUnavailable, ParityError
from streamguard.inference import (
    INT8_BAR,
    CalibrationSet,
    EngineCache,
    EngineOptions,
    ParityBar,
    Prepared,
    compare,
    find_factory,
    parity_crops,
    prepare,
    select,
)
from streamguard.inference.cache import read_manifest
from streamguard.inference.openvino_engine import choose_precision
from streamguard.models import LoadedModel
from streamguard.types import UInt8Array
from tests.inference.conftest import small_model

pytest.importorskip("nncf")


def calibration(fake: bool = False) -> CalibrationSet:
    """Crops of the parity set, mirrored to hold back others."""
    crops = np.asarray(parity_crops())
    labels = np.arange(12) >= 5 if fake else None
    return CalibrationSet(crops, np.ascontiguousarray(crops[:, :, ::-1]), labels, "faces")


def eight_bits(model: LoadedModel, cache: EngineCache, **more: object) -> Prepared:
    options = EngineOptions(max_batch=4, threads=1, precision="int8", calibration=calibration(fake=True))
    return prepare(find_factory("openvino"), model, options, cache=cache, **more)  # type: ignore[arg-type]  # passed on


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    """A cache that holds the small model in int8."""
    cache = EngineCache(tmp_path_factory.mktemp("cache"))
    eight_bits(small_model(gain=8.0), cache).engine.close()
    return cache


def test_it_is_quantised_verified_and_says_on_what(cache: EngineCache) -> None:
    folder = cache.folder("small", "openvino", "int8")
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.traits["precision"] == "int8"
    assert manifest.calibrated.startswith("faces: 12 crops, ")
    assert manifest.label.startswith("openvino-int8-")
    assert manifest.parity.crops == 24
    assert manifest.parity.auc_drop is not None
    assert not manifest.parity.shortfalls(INT8_BAR)
    assert "FakeQuantize" in (folder / "model.xml").read_text()
    assert manifest.parity.max_error > 0


def test_without_a_word_it_is_preferred_where_it_is_there(cache: EngineCache, tmp_path: Path) -> None:
    model, options = small_model(gain=8.0), EngineOptions(max_batch=4, threads=1)
    chosen = select(model, options=options, cache=cache)
    assert chosen.engine.precision == "int8"
    assert any("int8" in trial.reason for trial in chosen.report)
    assert chosen.engine.infer(parity_crops()[:3]).shape == (3, 256, 256)
    chosen.engine.close()
    named = select(model, "openvino", options=options, cache=cache)
    assert named.engine.precision == "int8"
    named.engine.close()
    asked = select(model, options=replace(options, precision="float32"), cache=cache)
    assert asked.engine.precision == "float32"
    asked.engine.close()
    elsewhere = select(model, options=options, cache=EngineCache(tmp_path))
    assert elsewhere.engine.precision != "int8"
    elsewhere.engine.close()


def test_what_no_longer_fits_is_passed_over(cache: EngineCache) -> None:
    """Other weights of the same name: nothing to calibrate with, so the floats are taken."""
    other = small_model(1)
    chosen = select(other, options=EngineOptions(max_batch=4, threads=1), cache=cache)
    assert chosen.engine.precision != "int8"
    chosen.engine.close()


def test_without_crops_it_is_not_compiled(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="calibration crops"):
        prepare(find_factory("openvino"), model, EngineOptions(precision="int8"), cache=EngineCache(tmp_path))


def test_below_its_bar_it_is_refused_and_not_kept(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    with pytest.raises(ParityError, match="int8 on"):
        eight_bits(small_model(gain=8.0), cache, bar=ParityBar(iou=1.1))
    assert read_manifest(cache.folder("small", "openvino", "int8")) is None


def test_a_processor_without_int8_says_so() -> None:
    assert choose_precision(EngineOptions(precision="int8"), ("FP32", "INT8")) == "int8"
    with pytest.raises(EngineUnavailable, match="int8"):
        choose_precision(EngineOptions(precision="int8"), ("FP32",))
    # Nobody gets eight bits without a compilation that was asked for.
    assert choose_precision(EngineOptions(), ("FP32", "INT8")) == "float32"


def masks(centre: int, fakes: int) -> UInt8Array:
    """Ten maps, the first `fakes` of them with a marked square."""
    made = np.full((10, 64, 64), 20, np.uint8)
    made[:fakes, 20:44, 20:44] = centre
    return made


def test_a_lower_auc_misses_the_bar() -> None:
    parity = compare(masks(200, 5), masks(200, 5), 0.5, 100)
    assert parity.auc_drop is None
    assert not parity.shortfalls(INT8_BAR)
    assert not replace(parity, auc_drop=0.005).shortfalls(INT8_BAR)
    (missed,) = replace(parity, auc_drop=0.006).shortfalls(INT8_BAR)
    assert "AUC" in missed


def test_at_a_threshold_near_the_end_masks_are_still_compared() -> None:
    """Above 0.98 no pixel would lie outside the undecided band: the middle of the range is taken instead."""
    parity = compare(masks(255, 2), masks(255, 4), 0.99, 100)
    assert parity.threshold < 0.9
    assert parity.mask_iou == pytest.approx(0.5)
    assert parity.verdict_agreement == pytest.approx(0.8)


SILENT = """
import socket, sys

def refuse(*_, **__):
    raise AssertionError("somebody wants to use the network")

socket.getaddrinfo = socket.socket.connect = refuse
from streamguard.openvino_runtime import nncf
nncf()
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
from nncf.telemetry.wrapper import telemetry
assert type(telemetry).__name__ == "MagicMock", telemetry
"""


def test_its_library_reports_to_nobody(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SILENT],
        env={"HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert not list(tmp_path.iterdir())
