"""An engine that fails is loaded again, then replaced; faces meanwhile are nobody's verdict."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import Batcher, Candidate, Engine, EngineOptions, FailoverEngine, Recovery, candidates
from streamguard.inference.registry import ranked
from streamguard.models import LoadedModel
from streamguard.types import UInt8Array
from tests.inference.conftest import crop

QUICK = Recovery(pause=0.001, stable=1000.0, rest=0.01, longest=0.02, retry_best=1000.0)
LIMIT = 20.0


class Named:
    """An engine that answers with zeros, or raises while its maker says so."""

    precision, device, max_batch = "float32", "none", 4

    def __init__(self, maker: Maker) -> None:
        self.name, self._maker = maker.name, maker
        self.closed = False

    def describe(self) -> str:
        return self.name

    def infer(self, crops: UInt8Array) -> UInt8Array:
        self._maker.calls += 1
        if self._maker.raising is not None:
            raise self._maker.raising
        return np.zeros(self._maker.shape or crops.shape[:3], np.uint8)

    def close(self) -> None:
        self.closed = True


@dataclass
class Maker:
    """Makes engines of one name."""

    name: str
    raising: BaseException | None = None
    refusing: EngineUnavailable | None = None
    shape: tuple[int, ...] | None = None
    calls: int = 0
    made: list[Named] = field(default_factory=list)
    loading: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event | None = None
    heal: Callable[[], None] = lambda: None

    def load(self) -> tuple[Engine, str]:
        self.loading.set()
        if self.gate is not None:
            assert self.gate.wait(LIMIT)
        if self.refusing is not None:
            raise self.refusing
        self.heal()
        self.made.append(Named(self))
        return self.made[-1], f"{self.name}-{len(self.made)}"


CROPS = np.zeros((2, 8, 8, 3), np.uint8)


@contextmanager
def lasting(*makers: Maker, recovery: Recovery = QUICK, patience: float = 0.0) -> Iterator[FailoverEngine]:
    """The first maker's engine, and all of them to fall back on."""
    first, label = makers[0].load()
    engine = FailoverEngine(
        first, label, [Candidate(maker.name, maker.load) for maker in makers], recovery=recovery, patience=patience
    )
    try:
        yield engine
    finally:
        engine.close()


def until(met: Callable[[], bool]) -> None:
    """Wait for the mending thread."""
    limit, pause = time.monotonic() + LIMIT, threading.Event()
    while not met():
        assert time.monotonic() < limit
        pause.wait(0.002)


def fail(engine: FailoverEngine) -> None:
    with pytest.raises(EngineFailed):
        engine.infer(CROPS)


def test_a_failure_is_told_and_the_engine_loaded_again() -> None:
    one = Maker("one")
    with lasting(one) as engine:
        one.raising = RuntimeError("the device is gone")
        one.heal = lambda: setattr(one, "raising", None)
        with pytest.raises(EngineFailed, match="the device is gone"):
            engine.infer(CROPS)
        until(lambda: engine.health().state == "ok")
        assert (engine.infer(CROPS) == 0).all()
        assert engine.label == "one-2"
        assert one.made[0].closed
        assert not one.made[1].closed
        health = engine.health()
        assert (health.failures, health.loads, health.detail) == ({"one": 1}, {("one", True): 1}, "")
    assert one.made[1].closed


def test_while_it_is_loaded_infer_fails_at_once() -> None:
    one = Maker("one")
    with lasting(one) as engine:
        one.gate, one.raising = threading.Event(), RuntimeError("x")
        one.loading.clear()
        fail(engine)
        assert one.loading.wait(LIMIT)
        calls = one.calls
        with pytest.raises(EngineFailed, match="loaded again"):
            engine.infer(CROPS)
        assert one.calls == calls
        assert engine.health().state == "recovering"
        one.raising = None
        one.gate.set()
        until(lambda: engine.health().state == "ok")
        engine.infer(CROPS)


def test_who_can_wait_gets_an_answer() -> None:
    one = Maker("one")
    with lasting(one, patience=LIMIT) as engine:
        one.raising, one.heal = RuntimeError("x"), lambda: setattr(one, "raising", None)
        fail(engine)
        assert (engine.infer(CROPS) == 0).all()


def test_what_goes_on_failing_is_replaced_after_its_reloads() -> None:
    one, two = Maker("one"), Maker("two")
    with lasting(one, two) as engine:
        one.raising = RuntimeError("x")
        failures = 0
        while engine.name == "one":
            until(lambda: engine.health().state == "ok")
            if engine.name == "one":
                fail(engine)
                failures += 1
        # The first engine and its two reloads.
        assert failures == 3
        engine.infer(CROPS)
        assert (engine.label, engine.health().state) == ("two-1", "ok")
        assert "x" in engine.health().detail
        assert engine.health().loads == {("one", True): 2, ("two", True): 1}


def test_an_engine_that_cannot_be_loaded_is_passed_over() -> None:
    one, two, three = Maker("one"), Maker("two", refusing=EngineUnavailable("two", "no device")), Maker("three")
    with lasting(one, two, three) as engine:
        one.raising = one.refusing = EngineUnavailable("one", "gone")
        fail(engine)
        until(lambda: engine.name == "three")
        engine.infer(CROPS)
        assert {name for (name, loaded) in engine.health().loads if not loaded} == {"one", "two"}


def test_where_none_works_all_are_tried_again_and_not_in_a_tight_loop() -> None:
    one = Maker("one")
    with lasting(one, recovery=Recovery(pause=0.001, rest=1000.0)) as engine:
        one.raising = one.refusing = EngineUnavailable("one", "gone")
        fail(engine)
        until(lambda: engine.health().state == "failed")
        tries = engine.health().loads[("one", False)]
        assert tries == 2
    assert engine.health().loads[("one", False)] == tries
    with lasting(Maker("x")) as engine:
        assert engine.health().state == "ok"
    one = Maker("one")
    with lasting(one) as engine:
        one.raising = one.refusing = EngineUnavailable("one", "gone")
        fail(engine)
        until(lambda: engine.health().loads.get(("one", False), 0) > 6)
        one.raising = one.refusing = None
        until(lambda: engine.health().state == "ok")
        engine.infer(CROPS)


def test_the_best_engine_gets_another_chance_while_the_lesser_judges() -> None:
    one, two = Maker("one"), Maker("two")
    with lasting(one, two, recovery=Recovery(pause=0.001, stable=1000.0, retry_best=0.02)) as engine:
        one.raising = one.refusing = EngineUnavailable("one", "gone")
        fail(engine)
        until(lambda: engine.name == "two")
        one.raising = one.refusing = None
        one.gate = threading.Event()
        one.loading.clear()
        assert one.loading.wait(LIMIT)
        engine.infer(CROPS)
        assert two.calls == 1
        one.gate.set()
        until(lambda: engine.name == "one")
        engine.infer(CROPS)
        assert two.made[0].closed
        assert engine.health().detail == ""


@pytest.mark.parametrize("fault", ["shape", "exit"])
def test_a_wrong_answer_and_an_exit_are_failures_too(fault: str) -> None:
    one, two = Maker("one"), Maker("two")
    with lasting(one, two) as engine:
        if fault == "shape":
            one.shape = (1, 2, 3)
        else:
            one.raising = SystemExit(3)
        fail(engine)
        assert engine.health().failures == {"one": 1}


async def test_the_batcher_outlives_an_engine_that_wants_to_leave() -> None:
    one = Maker("one")
    with lasting(one) as engine:
        async with Batcher(engine) as batcher:
            one.raising, one.heal = SystemExit(3), lambda: setattr(one, "raising", None)
            with pytest.raises(EngineFailed, match="SystemExit"):
                await batcher.submit("a", [crop(1)])
            until(lambda: engine.health().state == "ok")
            assert len(await batcher.submit("a", [crop(1)])) == 1


def test_an_engine_for_smaller_batches_is_not_taken() -> None:
    one, two = Maker("one"), Maker("two")
    with lasting(one, two) as engine:
        one.raising = one.refusing = EngineUnavailable("one", "gone")
        two.heal = lambda: None
        Named.max_batch, usual = 2, Named.max_batch
        try:
            fail(engine)
            until(lambda: ("two", False) in engine.health().loads)
        finally:
            Named.max_batch = usual


def test_closing_ends_the_mending() -> None:
    one = Maker("one")
    with lasting(one, recovery=Recovery(pause=1000.0, rest=1000.0)) as engine:
        one.raising = one.refusing = EngineUnavailable("one", "gone")
        fail(engine)
    with pytest.raises(EngineFailed, match="closed"):
        engine.infer(CROPS)


def test_the_candidates_follow_the_ranking(model: LoadedModel) -> None:
    from streamguard.inference import factories

    among = ranked({name: factory for name, factory in factories().items() if name in {"openvino", "torch"}})
    named = [each.name for each in candidates(model, "openvino", among=among)]
    assert named == ["openvino", "torch"]
    assert [each.name for each in candidates(model, "torch", among=among)] == ["torch", "openvino"]
    engine, label = candidates(model, "torch", options=EngineOptions(max_batch=2), among=among)[0].load()
    assert (engine.name, engine.max_batch, label.startswith("torch-float32-")) == ("torch", 2, True)
    engine.close()
