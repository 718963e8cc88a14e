"""Which engines there are, and which one is taken: probed best first, each refusal with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache as remember

from streamguard.errors import EngineError, EngineUnavailable, UnknownEngine
from streamguard.inference.cache import EngineCache, Manifest
from streamguard.inference.engine import Engine, EngineFactory, EngineOptions
from streamguard.inference.parity import ParityBar
from streamguard.inference.prepare import prepare
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


class Outcome(StrEnum):
    """What became of an engine in a selection."""

    CHOSEN = "chosen"
    UNAVAILABLE = "unavailable"
    FAILED = "failed or refused"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Trial:
    """One engine's part in a selection: its name, what became of it, and why."""

    name: str
    outcome: Outcome
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
        options: batch, threads, precision.
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
        prepared = prepare(factory, model, options, cache=cache, bar=bar, crops=crops)
        return Selected(prepared.engine, prepared.manifest, (Trial(engine, Outcome.CHOSEN, "asked for by name"),))
    trials: list[Trial] = []
    chosen = None
    for name, factory in known.items():
        probe = factory.probe()
        if chosen is not None or (probe.available and not probe.automatic):
            trials.append(Trial(name, Outcome.NOT_TRIED, probe.reason))
        elif not probe.available:
            trials.append(Trial(name, Outcome.UNAVAILABLE, probe.reason))
        else:
            try:
                chosen = prepare(factory, model, options, cache=cache, bar=bar, crops=crops)
                trials.append(Trial(name, Outcome.CHOSEN, probe.reason))
            except EngineError as error:
                trials.append(Trial(name, Outcome.FAILED, f"{error.thing}: {error.cause}"))
    if chosen is None:
        causes = "; ".join(f"{trial.name}: {trial.reason}" for trial in trials)
        raise EngineUnavailable(model.spec.name, f"no engine works here ({causes})", "see `streamguard doctor`")
    return Selected(chosen.engine, chosen.manifest, tuple(trials))
