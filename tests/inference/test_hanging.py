"""An engine that does not answer is given up and replaced; what it says later is nobody's, and nobody waits for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import Batcher, Candidate, Engine, FailoverEngine, Recovery, batcher, failover
from streamguard.inference.engine_thread import EngineThread
from streamguard.types import UInt8Array
from tests.inference.conftest import crop, number_of
from tests.support.training_data import ROOT, environment

LIMIT = 30.0
QUICK = Recovery(pause=0.001, stable=1000.0, rest=1000.0, retry_best=1000.0, answer=0.05)
PATIENT = Recovery(answer=1000.0)
CROPS = np.zeros((1, 256, 256, 3), np.uint8)


def until(met: Callable[[], object]) -> None:
    """Wait for another thread."""
    limit, pause = time.monotonic() + LIMIT, threading.Event()
    while not met():
        assert time.monotonic() < limit
        pause.wait(0.002)


class Held:
    """Answers each crop with its number; does not return while its maker's gate is shut."""

    precision, device, max_batch = "float32", "none", 4

    def __init__(self, maker: Maker) -> None:
        self.name, self._maker = maker.name, maker
        self.gate, self.inside = maker.gate, 0
        self.closed = self.closed_under_call = False

    def describe(self) -> str:
        return self.name

    def infer(self, crops: UInt8Array) -> UInt8Array:
        self.inside += 1
        self._maker.entered.release()
        assert self.gate.wait(LIMIT)
        self.inside -= 1
        if self._maker.raising is not None:
            raise self._maker.raising
        answer = np.zeros(crops.shape[:3], np.uint8)
        answer[:, 0, :3] = crops[:, 0, 0]
        return answer

    def close(self) -> None:
        self.closed = True
        self.closed_under_call |= self.inside > 0


def gate(*, is_open: bool) -> threading.Event:
    made = threading.Event()
    if is_open:
        made.set()
    return made


@dataclass
class Maker:
    """Makes engines of one name; those made from now on get its present gate."""

    name: str
    gate: threading.Event = field(default_factory=lambda: gate(is_open=True))
    loads: threading.Event = field(default_factory=lambda: gate(is_open=True))
    raising: Exception | None = None
    made: list[Held] = field(default_factory=list)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    asked: int = 0

    def shut(self) -> threading.Event:
        """Engines made from now on do not return; the gate that lets them."""
        self.gate = gate(is_open=False)
        return self.gate

    def load(self) -> tuple[Engine, str]:
        self.asked += 1
        assert self.loads.wait(LIMIT)
        self.made.append(Held(self))
        return self.made[-1], f"{self.name}-{len(self.made)}"

    def let_go(self) -> None:
        self.loads.set()
        self.gate.set()
        for engine in self.made:
            engine.gate.set()


@contextmanager
def made(*makers: Maker, recovery: Recovery = QUICK, patience: float = 0.0) -> Iterator[FailoverEngine]:
    """The first maker's engine, and all of them to fall back on; at the end everything returns."""
    first, label = makers[0].load()
    ladder = [Candidate(each.name, each.load) for each in makers]
    engine = FailoverEngine(first, label, ladder, recovery=recovery, patience=patience)
    try:
        yield engine
    finally:
        for maker in makers:
            maker.let_go()
        engine.close()
        every = [each for maker in makers for each in maker.made]
        until(lambda: all(each.closed for each in every))
        assert not any(each.closed_under_call for each in every)


def called(engine: FailoverEngine, maker: Maker) -> Future[UInt8Array]:
    """A call that is under way, in a thread that ends with it."""
    thread = EngineThread()
    answer = thread.call(lambda: engine.infer(CROPS))
    thread.leave()
    assert maker.entered.acquire(timeout=LIMIT)
    return answer


def given_up(engine: FailoverEngine, maker: Maker) -> Future[UInt8Array]:
    """A call that has hung for too long."""
    answer = called(engine, maker)
    until(lambda: isinstance(engine.overdue(), EngineFailed))
    return answer


def judging(engine: FailoverEngine, label: str) -> bool:
    return engine.health().state == "ok" and engine.label == label


async def test_a_batch_without_an_answer_fails_and_the_next_one_is_judged() -> None:
    one = Maker("one")
    opened = one.shut()
    with made(one, recovery=replace(QUICK, answer=0.5)) as engine:
        one.gate = gate(is_open=True)
        async with Batcher(engine, overdue=engine.overdue) as judge:
            with pytest.raises(EngineFailed, match=r"has not answered for 0\.5 s") as caught:
                await judge.submit("a", [crop(1)])
            assert caught.value.retryable
            assert caught.value.remedy
            await asyncio.to_thread(until, lambda: judging(engine, "one-2"))
            # The stuck call is neither counted nor waited for, and its engine not closed under it.
            stats = judge.stats()
            assert (stats.batches, stats.failed, stats.busy_seconds) == (1, 1, 0.0)
            assert one.made[0].inside == 1
            assert not one.made[0].closed
            assert [number_of(mask.probability) for mask in await judge.submit("a", [crop(2)])] == [2]
            waiting = asyncio.gather(*(judge.submit("a", [crop(number)]) for number in (3, 4)))
            opened.set()
            await asyncio.to_thread(until, lambda: one.made[0].closed)
            # The answer that came too late is nobody's, and no failure either.
            assert [number_of(mask.probability) for (mask,) in await waiting] == [3, 4]
            assert [number_of(mask.probability) for mask in await judge.submit("a", [crop(5)])] == [5]
            assert judge.stats().failed == 1
        health = engine.health()
        assert (health.failures, health.loads) == ({"one": 1}, {("one", True): 1})
        assert (health.state, health.detail, health.stuck) == ("ok", "", False)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("streamguard")])


def test_a_call_in_time_is_let_be() -> None:
    one = Maker("one")
    opened = one.shut()
    with made(one, recovery=PATIENT) as engine:
        assert engine.overdue() is None
        answer = called(engine, one)
        assert engine.overdue() is None
        opened.set()
        assert answer.result(LIMIT).shape == (1, 256, 256)
        assert engine.overdue() is None
        assert engine.health().failures == {}


@pytest.mark.parametrize("raising", [None, RuntimeError("the device is gone")])
def test_whatever_comes_late_changes_nothing(raising: Exception | None) -> None:
    one = Maker("one")
    opened = one.shut()
    with made(one) as engine:
        one.gate = gate(is_open=True)
        late = given_up(engine, one)
        assert engine.overdue() is None
        until(lambda: judging(engine, "one-2"))
        one.raising = raising
        opened.set()
        late.exception(LIMIT)
        until(lambda: one.made[0].closed)
        one.raising = None
        assert engine.health().failures == {"one": 1}
        assert engine.infer(CROPS).shape == (1, 256, 256)
        assert judging(engine, "one-2")


def test_what_hangs_again_is_replaced_by_the_next() -> None:
    one, two = Maker("one"), Maker("two")
    one.shut()
    with made(one, two) as engine:
        given_up(engine, one)
        until(lambda: judging(engine, "one-2"))
        given_up(engine, one)
        until(lambda: judging(engine, "two-1"))
        assert engine.infer(CROPS).shape == (1, 256, 256)
        assert "has not answered" in engine.health().detail
        assert engine.health().failures == {"one": 2}


def test_after_a_few_calls_that_hang_no_engine_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    one, two = Maker("one"), Maker("two")
    one.shut()
    two.shut()
    with made(one, two, patience=1000.0) as engine:
        for maker, label in ((one, "one-2"), (one, "two-1"), (two, "")):
            given_up(engine, maker)
            if label:
                until(lambda label=label: judging(engine, label))  # type: ignore[misc]
        until(lambda: "calls=3" in caplog.text)
        health = engine.health()
        assert (health.state, health.stuck) == ("failed", True)
        assert "only a restart of the process helps" in health.detail
        loads = one.asked + two.asked
        # Nobody waits for what does not come.
        thread = EngineThread()
        refused = thread.call(lambda: engine.infer(CROPS)).exception(LIMIT)
        thread.close()
        assert isinstance(refused, EngineFailed)
        assert "do not return" in refused.cause
        # One that returns after all makes room for another try.
        one.gate = two.gate = gate(is_open=True)
        assert one.asked + two.asked == loads
        one.made[0].gate.set()
        until(lambda: one.made[0].closed)
        until(lambda: engine.health().state == "ok")
        assert engine.infer(CROPS).shape == (1, 256, 256)
        assert not engine.health().stuck


def test_while_a_call_hangs_the_best_engine_gets_no_other_chance() -> None:
    one, two = Maker("one"), Maker("two")
    opened = one.shut()
    with made(one, two, recovery=Recovery(reloads=0, stable=1000.0, retry_best=0.0, answer=0.05)) as engine:
        given_up(engine, one)
        until(lambda: judging(engine, "two-1"))
        asked = one.asked
        assert engine.infer(CROPS).shape == (1, 256, 256)
        assert one.asked == asked
        one.gate = gate(is_open=True)
        opened.set()
        until(lambda: judging(engine, "one-2"))


def test_a_lesser_engine_that_hangs_while_the_best_is_taken_back() -> None:
    one, two = Maker("one"), Maker("two")
    two.shut()
    with made(one, two, recovery=Recovery(reloads=0, stable=1000.0, retry_best=0.0, answer=0.2)) as engine:
        one.raising = RuntimeError("x")
        one.loads.clear()
        with pytest.raises(EngineFailed):
            engine.infer(CROPS)
        assert one.entered.acquire(timeout=LIMIT)
        until(lambda: judging(engine, "two-1"))
        answer = called(engine, two)
        one.raising = None
        one.loads.set()
        until(lambda: judging(engine, "one-2"))
        assert not two.made[0].closed
        until(lambda: engine.overdue() is not None)
        # It was replaced already: the one that judges is well.
        assert judging(engine, "one-2")
        assert engine.infer(CROPS).shape == (1, 256, 256)
        two.gate.set()
        answer.result(LIMIT)
        until(lambda: two.made[0].closed)


def test_an_engine_that_is_never_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "_LEAVE", 0.05)
    one = Maker("one")
    with made(one, recovery=Recovery(load=0.05)) as engine:
        one.loads.clear()
        one.raising = EngineUnavailable("one", "gone")
        with pytest.raises(EngineFailed):
            engine.infer(CROPS)
        until(lambda: engine.health().stuck)
        assert engine.health().state == "failed"
        # Nobody waits for it at the end; what is loaded too late is closed at once.
        engine.close()
        assert one.made[0].closed
        assert len(one.made) == 1
        one.loads.set()
        until(lambda: len(one.made) == 2 and one.made[1].closed)


async def test_the_end_waits_for_no_call_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher, "_LEAVE", 0.05)
    one = Maker("one")
    opened = one.shut()
    with made(one, recovery=PATIENT) as engine:
        judge = Batcher(engine, overdue=engine.overdue)
        submitted = asyncio.create_task(judge.submit("a", [crop(1)]))
        assert await asyncio.to_thread(one.entered.acquire, timeout=LIMIT)
        submitted.cancel()
        async with asyncio.timeout(LIMIT):
            await judge.aclose()
            await asyncio.to_thread(engine.close)
        assert not one.made[0].closed
        opened.set()
        until(lambda: one.made[0].closed)


async def test_the_end_waits_for_a_slow_call_that_somebody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher, "_LEAVE", 0.0)
    one = Maker("one")
    opened = one.shut()
    with made(one, recovery=PATIENT) as engine:
        judge = Batcher(engine, overdue=engine.overdue)
        submitted = asyncio.create_task(judge.submit("a", [crop(7)]))
        assert await asyncio.to_thread(one.entered.acquire, timeout=LIMIT)
        asked = asyncio.Event()
        judge._overdue = asked.set
        closing = asyncio.create_task(judge.aclose())
        async with asyncio.timeout(LIMIT):
            await asked.wait()
        opened.set()
        assert [number_of(mask.probability) for mask in await submitted] == [7]
        await closing


PROGRAM = """
import asyncio, ctypes, sys
import numpy as np
from streamguard.inference import Batcher, FailoverEngine, Recovery
from tests.inference.conftest import FakeEngine, crop

class Stuck(FakeEngine):
    def infer(self, crops):
        ctypes.CDLL(None).pause()

async def main():
    engine = FailoverEngine(Stuck(), "stuck", (), recovery=Recovery(answer=0.1, rest=1000.0))
    async with Batcher(engine, overdue=engine.overdue) as batcher:
        try:
            await batcher.submit("a", [crop(1)])
        except Exception as error:
            print(error)
    await asyncio.to_thread(engine.close)

asyncio.run(main())
"""


def test_the_interpreter_ends_while_a_driver_hangs(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**environment(), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (
        0,
        "fake: has not answered for 0.1 s. Restart the process if that goes on.",
    ), done.stderr
