"""The batcher loses nothing, mixes nothing up, is fair, and outlives a failing engine."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import Batcher
from streamguard.types import Mask, UInt8Array
from tests.inference.conftest import FakeEngine, crop, number_of


def check(masks: list[Mask], numbers: list[int]) -> None:
    assert [number_of(mask.probability) for mask in masks] == numbers
    assert [int(mask.crop.pixels[0, 0, 0]) for mask in masks] == [number & 255 for number in numbers]


async def started(engine: FakeEngine) -> None:
    assert await asyncio.to_thread(engine.started.acquire, timeout=30)


async def queued(batcher: Batcher, stream: str, count: int) -> None:
    """Let tasks run until the stream has that many crops in flight."""
    for _ in range(1000):
        if batcher.in_flight(stream) == count:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{batcher.in_flight(stream)} in flight")


@settings(deadline=None, max_examples=40)
@given(
    frames=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6)), max_size=20),
    max_batch=st.integers(1, 5),
    limit=st.integers(1, 4),
    eager=st.booleans(),
)
def test_every_crop_gets_its_own_mask(frames: list[tuple[str, int]], max_batch: int, limit: int, eager: bool) -> None:
    async def run() -> None:
        engine = FakeEngine(max_batch)
        numbers = iter(range(1000))
        work = [(stream, [next(numbers) for _ in range(count)]) for stream, count in frames]
        async with Batcher(engine, per_stream_limit=limit, eager=eager, max_delay=0.001) as batcher:
            answers = await asyncio.gather(*(batcher.submit(s, [crop(n) for n in group]) for s, group in work))
            for masks, (_, group) in zip(answers, work, strict=True):
                check(masks, group)
            stats = batcher.stats()
            assert not batcher._streams
        judged = [number for batch in engine.batches for number in batch]
        assert sorted(judged) == sorted(number for _, group in work for number in group)
        assert all(1 <= len(batch) <= max_batch for batch in engine.batches)
        assert (stats.crops, stats.batches, stats.failed) == (len(judged), len(engine.batches), 0)
        assert stats.sizes == tuple(sum(len(b) == size for b in engine.batches) for size in range(1, max_batch + 1))
        assert batcher.waiting == 0
        assert len(engine.threads) <= 1

    asyncio.run(run())


async def test_a_busy_stream_does_not_starve_another() -> None:
    engine = FakeEngine(max_batch=4, held=True)
    async with Batcher(engine, per_stream_limit=64) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.submit("first", [crop(1)]))
        await started(engine)
        group.create_task(batcher.submit("busy", [crop(n) for n in range(100, 140)]))
        await queued(batcher, "busy", 40)
        for name, number in (("quiet", 2), ("shy", 3)):
            group.create_task(batcher.submit(name, [crop(number), crop(number + 10)]))
            await queued(batcher, name, 2)
        engine.release(100)
    assert engine.batches[1] == [100, 2, 3, 101]
    assert engine.batches[2] == [12, 13, 102, 103]


async def test_batches_fill_while_the_engine_is_busy() -> None:
    engine = FakeEngine(max_batch=4, held=True)
    async with Batcher(engine) as batcher, asyncio.TaskGroup() as group:
        group.create_task(batcher.submit("a", [crop(0)]))
        await started(engine)
        for number in range(1, 6):
            group.create_task(batcher.submit(str(number), [crop(number)]))
            await queued(batcher, str(number), 1)
            assert batcher.waiting == number
        engine.release(3)
    assert engine.batches == [[0], [1, 2, 3, 4], [5]]
    assert batcher.stats().sizes == (2, 0, 0, 1)


async def test_without_eagerness_a_batch_waits_until_it_is_full() -> None:
    engine = FakeEngine(max_batch=3)
    async with Batcher(engine, eager=False, max_delay=1000) as batcher, asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(batcher.submit(str(number), [crop(number)]))
            await queued(batcher, str(number), 1)
        assert not engine.batches
        group.create_task(batcher.submit("2", [crop(2)]))
    assert engine.batches == [[0, 1, 2]]


async def test_without_eagerness_a_batch_leaves_at_its_oldest_deadline() -> None:
    engine = FakeEngine(max_batch=3)
    async with Batcher(engine, eager=False, max_delay=0.005) as batcher:
        check(await batcher.submit("a", [crop(7)]), [7])


async def test_while_processors_are_busy_an_idle_engine_waits_for_a_few_crops() -> None:
    engine = FakeEngine(max_batch=8)
    async with Batcher(engine, max_delay=1000, busy=lambda: True) as batcher, asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(batcher.submit(str(number), [crop(number)]))
            await queued(batcher, str(number), 1)
        assert not engine.batches
        group.create_task(batcher.submit("3", [crop(3)]))
    assert engine.batches == [[0, 1, 2, 3]]
    async with Batcher(engine, max_delay=0.005, busy=lambda: True) as batcher:
        check(await batcher.submit("a", [crop(7)]), [7])


async def test_submit_waits_while_the_stream_has_its_limit_in_flight() -> None:
    engine = FakeEngine(max_batch=1, held=True)
    async with Batcher(engine, per_stream_limit=2) as batcher, asyncio.TaskGroup() as group:
        work = group.create_task(batcher.submit("a", [crop(n) for n in range(5)]))
        for number in range(5):
            await started(engine)
            assert batcher.in_flight("a") <= 2
            assert engine.batches[-1] == [number]
            engine.release()
    check(work.result(), list(range(5)))


async def test_a_failing_batch_fails_alone() -> None:
    engine = FakeEngine(max_batch=2, fail_on=frozenset({3}), held=True)
    async with Batcher(engine) as batcher:
        first = asyncio.create_task(batcher.submit("a", [crop(1)]))
        await started(engine)
        bad = asyncio.create_task(batcher.submit("b", [crop(3)]))
        unlucky = asyncio.create_task(batcher.submit("c", [crop(4)]))
        good = asyncio.create_task(batcher.submit("d", [crop(5)]))
        await queued(batcher, "d", 1)
        engine.release(10)
        check(await first, [1])
        for task in (bad, unlucky):
            with pytest.raises(EngineFailed, match="the device is gone") as caught:
                await task
            assert caught.value.retryable
        check(await good, [5])
        check(await batcher.submit("b", [crop(6)]), [6])
        assert batcher.stats().failed == 1


async def test_a_submit_over_several_batches_fails_once_and_leaves_nothing_behind() -> None:
    engine = FakeEngine(max_batch=1, fail_on=frozenset({0, 1}), held=True)
    async with Batcher(engine, per_stream_limit=4) as batcher:
        work = asyncio.create_task(batcher.submit("a", [crop(n) for n in range(4)]))
        await started(engine)
        engine.release()
        with pytest.raises(EngineFailed):
            await work
        engine.release(10)
        check(await batcher.submit("a", [crop(7)]), [7])
        assert batcher.in_flight("a") == 0


class WrongEngine(FakeEngine):
    def infer(self, crops: UInt8Array) -> UInt8Array:
        return super().infer(crops)[:, :1]


async def test_an_answer_of_the_wrong_shape_is_a_failure() -> None:
    async with Batcher(WrongEngine()) as batcher:
        with pytest.raises(EngineFailed, match=r"answered uint8 \[1, 1, 256\]"):
            await batcher.submit("a", [crop(1)])


async def test_cancelling_frees_the_slots() -> None:
    engine = FakeEngine(max_batch=1, held=True)
    async with Batcher(engine, per_stream_limit=3) as batcher:
        work = asyncio.create_task(batcher.submit("a", [crop(n) for n in range(6)]))
        await started(engine)
        assert batcher.in_flight("a") == 3
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert batcher.in_flight("a") == 1
        after = asyncio.create_task(batcher.submit("a", [crop(n) for n in (10, 11)]))
        await queued(batcher, "a", 3)
        engine.release(10)
        check(await after, [10, 11])
    assert engine.batches == [[0], [10], [11]]


async def test_a_submit_cancelled_while_it_waits_for_a_slot_takes_none() -> None:
    engine = FakeEngine(max_batch=1, held=True)
    async with Batcher(engine, per_stream_limit=1) as batcher:
        first = asyncio.create_task(batcher.submit("a", [crop(1)]))
        await started(engine)
        second = asyncio.create_task(batcher.submit("a", [crop(2)]))
        third = asyncio.create_task(batcher.submit("a", [crop(3)]))
        await asyncio.sleep(0)
        second.cancel()
        engine.release(10)
        check(await first, [1])
        check(await third, [3])
        with pytest.raises(asyncio.CancelledError):
            await second


async def test_closing_drains() -> None:
    engine = FakeEngine(max_batch=1, held=True)
    batcher = Batcher(engine, per_stream_limit=2)
    work = asyncio.create_task(batcher.submit("a", [crop(n) for n in range(4)]))
    await started(engine)
    closing = asyncio.create_task(batcher.aclose())
    await asyncio.sleep(0)
    with pytest.raises(EngineUnavailable, match="closed"):
        await batcher.submit("b", [crop(9)])
    engine.release(10)
    await closing
    check(await work, [0, 1, 2, 3])
    await batcher.aclose()


async def test_closing_without_draining_rejects_what_waits() -> None:
    engine = FakeEngine(max_batch=1, held=True)
    batcher = Batcher(engine, per_stream_limit=2)
    judged = asyncio.create_task(batcher.submit("a", [crop(1)]))
    await started(engine)
    waits = asyncio.create_task(batcher.submit("b", [crop(n) for n in range(5)]))
    await queued(batcher, "b", 2)
    closing = asyncio.create_task(batcher.aclose(drain=False))
    engine.release(10)
    await closing
    check(await judged, [1])
    with pytest.raises(EngineUnavailable, match="closed"):
        await waits
    assert engine.batches == [[1]]


async def test_an_unused_batcher_closes() -> None:
    await Batcher(FakeEngine()).aclose()


async def test_busy_and_cpu_seconds_are_counted() -> None:
    async with Batcher(FakeEngine()) as batcher:
        await batcher.submit("a", [crop(1)])
        stats = batcher.stats()
    assert stats.busy_seconds > 0
    assert stats.infer_cpu_seconds > 0


async def test_masks_do_not_share_memory_with_their_batch() -> None:
    async with Batcher(FakeEngine()) as batcher:
        first, second = await batcher.submit("a", [crop(1), crop(2)])
    assert first.probability.base is None
    assert not np.shares_memory(first.probability, second.probability)


@pytest.mark.parametrize("wrong", [{"max_batch": 5}, {"max_batch": 0}, {"per_stream_limit": 0}, {"max_delay": -1}])
def test_limits_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="max_batch"):
        Batcher(FakeEngine(4), **wrong)
