"""Preparation of an engine for use: take it from the cache, or compile, verify and keep it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamguard.errors import EngineFailed
from streamguard.inference.cache import EngineCache, Manifest, describe
from streamguard.inference.engine import Engine, EngineFactory, EngineOptions, foreign_errors
from streamguard.inference.parity import (
    INT8_BAR,
    Parity,
    ParityBar,
    answers,
    check_parity,
    parity_crops,
    recorded_answers,
)
from streamguard.inference.torch_engine import TorchEngine
from streamguard.logs import get_logger
from streamguard.models import LoadedModel
from streamguard.types import UInt8Array

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An engine that met the bar.

    Attributes:
        engine: ready to use.
        manifest: what it is made of and how it was verified.
        folder: where its files are kept; None when they are not.
        compiled_now: False when it came from the cache.
    """

    engine: Engine
    manifest: Manifest
    folder: Path | None
    compiled_now: bool


def prepare(
    factory: EngineFactory,
    model: LoadedModel,
    options: EngineOptions | None = None,
    *,
    cache: EngineCache | None = None,
    bar: ParityBar | None = None,
    crops: UInt8Array | None = None,
    force: bool = False,
) -> Prepared:
    """An engine of this factory for this model, verified against the float32 reference.

    What the cache holds for the same model, device and libraries is loaded without another verification, unless it
    was held to a lower bar. Anything else is compiled, verified and kept; it takes seconds (OpenVINO) to minutes.

    Args:
        factory: which engine.
        model: which detector.
        options: batch, threads, precision.
        cache: where compiled engines are kept; by default beside the weights or in the user's cache folder.
        bar: how far the engine may be from the reference.
        crops: uint8 [N, size, size, 3] RGB to verify on, judged by the reference here; by default `parity_crops`, with
            the reference's answers from beside the weights where they were recorded.
        force: compile even if the cache has it.

    Raises:
        EngineUnavailable: the options ask for what the engine does not do.
        EngineFailed: it cannot be compiled, loaded or run.
        ParityError: it disagrees with the reference.
        OutputError: the cache cannot be written.
    """
    options = options or EngineOptions()
    bar = bar or (INT8_BAR if options.precision == "int8" else ParityBar())
    spec, calibration = model.spec, options.calibration
    calibrated = ""
    if calibration is not None:
        calibrated = f"{calibration.source}: {len(calibration.crops)} crops, {calibration.digest()}"

    def verify(engine: Engine) -> Parity:
        # The reference cannot disagree with itself; running it twice would only delay the start.
        if isinstance(engine, TorchEngine):
            return Parity(0.0, 0.0, 0.0, 1.0, 1.0, crops=0, threshold=spec.threshold)
        compared = parity_crops(spec.size) if crops is None else crops
        if calibration is not None:
            compared = np.concatenate([compared, calibration.held])
        truth = recorded_answers(spec, compared) if crops is None else None
        recorded = truth is not None
        if truth is None:
            truth = answers(TorchEngine(model, EngineOptions(max_batch=4, threads=options.threads)), compared)
        parity = check_parity(
            engine,
            truth,
            compared,
            threshold=spec.threshold,
            smallest_component=spec.smallest_component,
            bar=bar,
            fake=None if calibration is None else calibration.fake,
        )
        return replace(parity, recorded=recorded)

    with foreign_errors(factory.name, "asking for its traits"):
        traits = factory.traits(options)
    store = cache or (EngineCache.default(spec) if factory.compiled else None)
    if store is None or not factory.compiled:
        with tempfile.TemporaryDirectory(prefix="streamguard-") as name:
            folder = Path(name)
            engine, parity = _compile(factory, model, options, folder, verify)
            made = describe(folder, spec, factory.name, traits, parity, calibrated)
            return Prepared(engine, made, None, compiled_now=True)
    kept = store.folder(spec.name, factory.name, traits.get("precision", "any"))
    with store.locked(kept):
        manifest = None if force else store.find(kept, spec, factory.name, traits)
        enough = manifest is not None and (crops is None or not manifest.parity.recorded)
        if manifest is not None and enough and not manifest.parity.shortfalls(bar):
            # Whole files may still not load, after a driver's update for example: they are made again.
            with contextlib.suppress(EngineFailed):
                return Prepared(_load(factory, model, options, kept), manifest, kept, compiled_now=False)
        log.info("compiling the detector for this machine, once; this takes seconds, or minutes on a GPU")
        with store.staging(kept) as staged:
            engine, parity = _compile(factory, model, options, staged, verify)
            try:
                manifest = describe(staged, spec, factory.name, traits, parity, calibrated)
                store.keep(staged, kept, manifest)
            except BaseException:
                engine.close()
                raise
    return Prepared(engine, manifest, kept, compiled_now=True)


def _load(factory: EngineFactory, model: LoadedModel, options: EngineOptions, folder: Path) -> Engine:
    with foreign_errors(factory.name, "loading"):
        return factory.load(model, options, folder)


def _compile(
    factory: EngineFactory,
    model: LoadedModel,
    options: EngineOptions,
    folder: Path,
    verify: Callable[[Engine], Parity],
) -> tuple[Engine, Parity]:
    with foreign_errors(factory.name, "compiling"):
        factory.compile(model, options, folder)
    engine = _load(factory, model, options, folder)
    try:
        return engine, verify(engine)
    except BaseException:
        engine.close()
        raise
