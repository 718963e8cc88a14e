"""The hand-over from a thread to asyncio loses, doubles and reorders nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.channel import Bounded, ChannelClosed, Fanout, Latest, cancel_and_wait


def produce(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 300), capacity=st.integers(1, 8), pause_every=st.integers(1, 50))
def test_bounded_delivers_every_value_once_and_in_order(count: int, capacity: int, pause_every: int) -> None:
    channel = Bounded[int](capacity)

    def work() -> None:
        for value in range(count):
            channel.put(value)
        channel.close()

    async def consume() -> list[int]:
        received = []
        async for value in channel:
            received.append(value)
            if value % pause_every == 0:
                await asyncio.sleep(0)
        return received

    thread = produce(work)
    received = asyncio.run(consume())
    thread.join()
    assert received == list(range(count))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 300), pause_every=st.integers(1, 50))
def test_latest_counts_exactly_what_it_drops_and_always_delivers_the_last(count: int, pause_every: int) -> None:
    channel = Latest[int]()

    def work() -> None:
        for value in range(count):
            channel.put(value)
        channel.close()

    async def consume() -> list[int]:
        received = []
        async for value in channel:
            received.append(value)
            if value % pause_every == 0:
                await asyncio.sleep(0)
        return received

    thread = produce(work)
    received = asyncio.run(consume())
    thread.join()
    assert received == sorted(set(received))
    assert received[-1] == count - 1
    assert len(received) + channel.dropped == count


async def test_latest_keeps_the_newest_value_only() -> None:
    channel = Latest[str]()
    for value in "abc":
        channel.put(value)
    assert await channel.get() == "c"
    assert channel.dropped == 2


async def test_a_full_bounded_channel_holds_its_producer_until_a_value_is_read() -> None:
    channel = Bounded[int](2)
    third = threading.Event()

    def work() -> None:
        channel.put(0)
        channel.put(1)
        third.set()
        channel.put(2)
        channel.close()

    thread = produce(work)
    await asyncio.to_thread(third.wait)
    assert thread.is_alive()
    assert [value async for value in channel] == [0, 1, 2]
    thread.join()


async def test_closing_by_the_consumer_wakes_a_blocked_producer() -> None:
    channel = Bounded[int](1)
    outcome: list[str] = []

    def work() -> None:
        channel.put(0)
        try:
            channel.put(1)
        except ChannelClosed:
            outcome.append("told")

    thread = produce(work)
    channel.close(discard=True)
    await asyncio.to_thread(thread.join)
    assert outcome in (["told"], [])
    with pytest.raises(ChannelClosed):
        channel.put(2)


@pytest.mark.parametrize("make", [Latest[int], lambda: Bounded[int](3)])
async def test_the_error_comes_after_the_values_put_before_it(make: Callable[[], Latest[int]]) -> None:
    channel = make()
    channel.put(7)
    channel.close(ValueError("broken"))
    assert await channel.get() == 7
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await channel.get()


async def test_closing_wakes_a_waiting_consumer() -> None:
    channel = Latest[int]()
    waiting = asyncio.ensure_future(channel.get())
    await asyncio.sleep(0)
    await asyncio.to_thread(channel.close)
    with pytest.raises(ChannelClosed):
        await waiting


async def test_the_first_close_decides_and_discarding_drops_what_waits() -> None:
    channel = Bounded[int](3)
    channel.put(1)
    channel.close()
    channel.close(ValueError("too late"), discard=True)
    assert channel.closed
    assert [value async for value in channel] == []


async def test_cancelling_a_read_loses_nothing() -> None:
    channel = Bounded[int](3)
    waiting = asyncio.ensure_future(channel.get())
    await asyncio.sleep(0)
    channel.put(5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await channel.get() == 5


async def test_a_second_consumer_is_refused() -> None:
    channel = Latest[int]()
    waiting = asyncio.ensure_future(channel.get())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one consumer"):
        await channel.get()
    channel.put(1)
    assert await waiting == 1


def test_a_producer_outliving_its_consumers_loop_is_not_disturbed() -> None:
    channel = Latest[int]()

    async def start_to_read() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.get(), 0)

    asyncio.run(start_to_read())
    channel.put(1)
    channel.put(2)
    assert channel.dropped == 1


def test_a_channel_needs_room_for_one_value() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Bounded[int](0)


async def test_a_slow_subscriber_loses_its_own_values_only() -> None:
    fanout: Fanout[int] = Fanout()
    heard: list[int] = []
    forget = fanout.listen(heard.append)
    fanout.listen(lambda number: number % 10 != 0)
    with fanout.subscribe("all", 100) as every, fanout.subscribe() as newest:
        for number in range(120):
            fanout.publish(number)
        assert (every.dropped, newest.dropped, fanout.refused) == (20, 119, 12)
        assert (await every.get(), await newest.get()) == (20, 119)
        forget()
        fanout.close()
        # It is over for those who have subscribed until now.
        fanout.publish(120)
        assert [number async for number in every] == list(range(21, 120))
        assert [number async for number in newest] == []
    assert heard == list(range(120))
    with fanout.subscribe() as again:
        fanout.publish(7)
        assert await again.get() == 7
    assert len(fanout) == 1


async def test_cancelled_tasks_are_waited_for_and_their_errors_told() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def fail() -> None:
        raise ZeroDivisionError

    tasks = [asyncio.create_task(work(name)) for name in "ab"]
    await asyncio.sleep(0)
    await cancel_and_wait(*tasks, None)
    assert ended == ["a", "b"]
    failed = asyncio.create_task(fail())
    await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        await cancel_and_wait(failed)
