"""The deliverer hears that it is to end, whatever it is doing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.alerts.tools import House


async def test_the_end_is_heard_at_every_moment(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    deliverer = home.deliverer
    monkeypatch.setattr(deliverer, "_limits", replace(deliverer._limits, poll=0.0))

    async def forever() -> None:
        while True:
            await deliverer._idle()

    for turns in range(20):
        task = asyncio.create_task(forever())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        heard = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert heard, turns
