"""Registry and selection of engines: probed best first, each refusal with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache as remember

from streamguard.errors import EngineError, EngineUnavailable, UnknownEngine
from streamguard.inference.cache import EngineCache, Manifest, read_manifest
from streamguard.inference.compilation import Prepared, prepare
from streamguard.inference.engine import Engine, EngineFactory, EngineOptions
from streamguard.inference.parity import ParityBar
from streamguard.inference.recovery import Candidate
from streamguard.models import LoadedModel
from streamguard.plugins import collect
from streamguard.types import UInt8Array

GROUP = "streamguard.engines"
_HERE = "streamguard.inference"
BUILT_IN = {
    "tensorrt": f"{_HERE}.tensorrt_engine:TensorRtFactory",
    "inductor": f"{_HERE}.inductor_engine:InductorFactory",
    "openvino": f"{_HERE}.openvino_engine:OpenVinoFactory",
    "torch": f"{_HERE}.torch_engine:TorchFactory",
}
_NEEDED = ("name", "rank", "compiled", "probe", "traits", "compile", "load")


class TrialOutcome(StrEnum):
    """Outcome of trying an engine in a selection."""

    CHOSEN = "chosen"
    UNAVAILABLE = "unavailable"
    FAILED = "failed or refused"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Trial:
    """One engine's part in a selection: its name, what became of it, and why."""

    name: str
    outcome: TrialOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class Selected:
    """The engine taken.

    Attributes:
        engine: verified and ready; the caller closes it.
        manifest: what it is made of; its `label` names it in events.
        report: every engine, best first.
    """

    engine: Engine
    manifest: Manifest
    report: tuple[Trial, ...]


@remember
def factories() -> Mapping[str, EngineFactory]:
    """All engines by name, best first: the built-in ones and those of installed packages.

    Raises:
        ConfigError: a plugin cannot be loaded, or takes a name that is taken.
    """
    return ranked(collect(GROUP, BUILT_IN, make_factory))


def ranked(found: Mapping[str, EngineFactory]) -> dict[str, EngineFactory]:
    """The factories, highest rank first."""
    return dict(sorted(found.items(), key=lambda item: -item[1].rank))


def make_factory(loaded: object) -> EngineFactory:
    """The factory that an entry point names by its class.

    Raises:
        TypeError: it is no class without arguments, or lacks a part of `EngineFactory`.
    """
    if not callable(loaded):
        raise TypeError("it is not a class")
    factory: EngineFactory = loaded()
    missing = [part for part in _NEEDED if not hasattr(factory, part)]
    if missing:
        raise TypeError(f"an engine factory needs {', '.join(missing)}")
    return factory


def find_factory(name: str, among: Mapping[str, EngineFactory] | None = None) -> EngineFactory:
    """The factory of that name.

    Raises:
        UnknownEngine: there is none.
    """
    known = factories() if among is None else among
    if name not in known:
        raise UnknownEngine(name, "no engine of that name", f"choose one of {', '.join(known)}")
    return known[name]


def select(
    model: LoadedModel,
    engine: str | None = None,
    *,
    options: EngineOptions | None = None,
    cache: EngineCache | None = None,
    bar: ParityBar | None = None,
    crops: UInt8Array | None = None,
    among: Mapping[str, EngineFactory] | None = None,
) -> Selected:
    """Take the named engine, or the best one that works here and agrees with the reference.

    Args:
        model: which detector.
        engine: an engine's name; None takes the best.
        options: batch, threads, precision; without a precision int8 is taken where it was compiled and verified.
        cache: where compiled engines are kept; by default beside the weights or in the user's cache folder.
        bar: how far an engine may be from the float32 reference.
        crops: uint8 [N, size, size, 3] RGB to verify on; by default `parity_crops`.
        among: the engines to choose from; by default all that are registered.

    Raises:
        UnknownEngine: no engine has that name.
        EngineUnavailable: the named engine cannot be used here, or none can.
        EngineFailed: the named engine cannot be compiled, loaded or run.
        ParityError: the named engine disagrees with the reference.
        OutputError: the cache cannot be written.
    """
    known = factories() if among is None else among
    if engine is not None:
        factory = find_factory(engine, known)
        probe = factory.probe()
        if not probe.available:
            raise EngineUnavailable(engine, probe.reason, "see `streamguard doctor` for the engines that work here")
        prepared = _kept_in_int8(factory, model, options, cache, bar)
        prepared = prepared or prepare(factory, model, options, cache=cache, bar=bar, crops=crops)
        return Selected(prepared.engine, prepared.manifest, (Trial(engine, TrialOutcome.CHOSEN, "asked for by name"),))
    trials: list[Trial] = []
    chosen = None
    for name, factory in known.items():
        probe = factory.probe()
        if chosen is not None or (probe.available and not probe.automatic):
            trials.append(Trial(name, TrialOutcome.NOT_TRIED, probe.reason))
        elif not probe.available:
            trials.append(Trial(name, TrialOutcome.UNAVAILABLE, probe.reason))
        else:
            try:
                chosen = _kept_in_int8(factory, model, options, cache, bar)
                reason = f"{probe.reason}; compiled in int8 and verified" if chosen is not None else probe.reason
                chosen = chosen or prepare(factory, model, options, cache=cache, bar=bar, crops=crops)
                trials.append(Trial(name, TrialOutcome.CHOSEN, reason))
            except EngineError as error:
                trials.append(Trial(name, TrialOutcome.FAILED, f"{error.thing}: {error.cause}"))
    if chosen is None:
        causes = "; ".join(f"{trial.name}: {trial.reason}" for trial in trials)
        raise EngineUnavailable(model.spec.name, f"no engine works here ({causes})", "see `streamguard doctor`")
    return Selected(chosen.engine, chosen.manifest, tuple(trials))


def candidates(
    model: LoadedModel,
    first: str,
    *,
    options: EngineOptions | None = None,
    cache: EngineCache | None = None,
    among: Mapping[str, EngineFactory] | None = None,
) -> list[Candidate]:
    """The engines that may judge in turn: `first`, those of lower rank, and as a last resort those of higher rank.

    Args:
        model, options, cache, among: as for `select`, which each of them is loaded by.
        first: the engine that judges at the beginning.
    """
    known = factories() if among is None else among
    ranking = list(known)
    begin = ranking.index(first) + 1
    probes = {name: known[name].probe() for name in ranking}
    others = [name for name in ranking[begin:] + ranking[: begin - 1] if probes[name].available]

    def loading(name: str) -> Candidate:
        def load() -> tuple[Engine, str]:
            selected = select(model, name, options=options, cache=cache, among=known)
            return selected.engine, selected.manifest.label

        return Candidate(name, load)

    return [loading(name) for name in (first, *others) if name == first or probes[name].automatic]


def _kept_in_int8(
    factory: EngineFactory,
    model: LoadedModel,
    options: EngineOptions | None,
    cache: EngineCache | None,
    bar: ParityBar | None,
) -> Prepared | None:
    """The engine in int8, where a person has compiled it, it met its bar, and no precision was asked for."""
    options = options or EngineOptions()
    store = cache or (EngineCache.default(model.spec) if factory.compiled else None)
    # A bar that was given is meant for floats.
    if options.precision is not None or store is None or bar is not None:
        return None
    if read_manifest(store.folder(model.spec.name, factory.name, "int8")) is None:
        return None
    try:
        # Without calibration crops what no longer fits cannot be compiled again: the floats are taken then.
        return prepare(factory, model, replace(options, precision="int8"), cache=store)
    except EngineError:
        return None
