"""Selection: best first, each refusal with its reason; plugins come through the same door, loudly."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from streamguard import plugins
from streamguard.errors import ConfigError, EngineUnavailable, ParityError, UnknownEngine
from streamguard.inference import EngineCache, Probe, TrialOutcome, factories, find_factory, select
from streamguard.inference.registry import BUILT_IN, GROUP, make_factory, ranked
from streamguard.models import LoadedModel
from tests.inference.conftest import small_model
from tests.inference.test_cache import Factory, Inverted


class Absent(Factory):
    def probe(self) -> Probe:
        return Probe(self.name, False, "no such device")


class Shy(Factory):
    def probe(self) -> Probe:
        return Probe(self.name, True, "slow here", automatic=False)


class Refused(Factory):
    def __init__(self) -> None:
        super().__init__(name="refused", rank=60, kind=Inverted)


def crew() -> dict[str, Factory]:
    parts = [
        Absent(name="absent", rank=90),
        Shy(name="shy", rank=80),
        Refused(),
        Factory(name="good", rank=50),
        Factory(name="spare", rank=1),
    ]
    return {part.name: part for part in parts}


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path)


def test_built_in_engines_in_order() -> None:
    assert list(factories()) == ["tensorrt", "inductor", "openvino", "torch"]
    probes = [factory.probe() for factory in factories().values()]
    assert [probe.name for probe in probes] == list(factories())
    assert all(probe.reason for probe in probes)


def test_the_best_one_that_agrees_is_taken(model: LoadedModel, cache: EngineCache) -> None:
    selected = select(model, cache=cache, among=crew())
    assert selected.manifest.engine == "good"
    assert [(trial.name, trial.outcome) for trial in selected.report] == [
        ("absent", TrialOutcome.UNAVAILABLE),
        ("shy", TrialOutcome.NOT_TRIED),
        ("refused", TrialOutcome.FAILED),
        ("good", TrialOutcome.CHOSEN),
        ("spare", TrialOutcome.NOT_TRIED),
    ]
    assert "disagrees with the float32 reference" in selected.report[2].reason


def test_a_named_engine_is_taken_or_says_why_not(model: LoadedModel, cache: EngineCache) -> None:
    assert select(model, "shy", cache=cache, among=crew()).manifest.engine == "shy"
    with pytest.raises(EngineUnavailable, match="no such device"):
        select(model, "absent", cache=cache, among=crew())
    with pytest.raises(ParityError):
        select(model, "refused", cache=cache, among=crew())
    with pytest.raises(UnknownEngine, match="absent, shy, refused, good, spare"):
        select(model, "nothing", cache=cache, among=crew())
    with pytest.raises(UnknownEngine, match="openvino"):
        find_factory("nothing")


def test_where_none_works_all_reasons_are_told(model: LoadedModel, cache: EngineCache) -> None:
    few = {name: part for name, part in crew().items() if name in {"absent", "refused"}}
    with pytest.raises(EngineUnavailable, match=r"absent: no such device; refused: .*disagrees"):
        select(model, cache=cache, among=few)


def test_the_default_here_is_verified(model: LoadedModel, cache: EngineCache) -> None:
    selected = select(model, cache=cache)
    assert selected.report[-1].name == "torch"
    assert selected.manifest.parity.mask_iou >= 0.98
    selected.engine.close()


def test_a_plugin_ranks_among_the_built_in_ones() -> None:
    point = EntryPoint("refused", "tests.inference.test_registry:Refused", GROUP)
    found = ranked(plugins.collect(GROUP, BUILT_IN, make_factory, [point]))
    assert list(found) == ["refused", "tensorrt", "inductor", "openvino", "torch"]


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        ("torch", "tests.inference.test_registry:Refused", "has that name already"),
        ("new", "no.such.module:Thing", "ModuleNotFoundError"),
        ("new", "tests.inference.test_registry:missing", "AttributeError"),
        ("new", "tests.inference.test_registry:__name__", "not a class"),
        ("new", "builtins:dict", "needs name, rank"),
    ],
)
def test_bad_plugins_are_loud(name: str, value: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause) as caught:
        plugins.collect(GROUP, BUILT_IN, make_factory, [EntryPoint(name, value, GROUP)])
    assert name in caught.value.thing


def test_installed_plugins_are_looked_up() -> None:
    assert plugins.collect("streamguard.nothing", {}, lambda loaded: loaded) == {}


def test_a_flat_model_is_refused_rather_than_believed(cache: EngineCache) -> None:
    with pytest.raises(ParityError, match="nothing can be verified"):
        select(small_model(gain=0.0), "good", cache=cache, among=crew())
