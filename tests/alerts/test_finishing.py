"""Who is cancelled in the middle of a transaction leaves neither a lock nor half of it."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from streamguard.alerts import Database
from streamguard.alerts.finishing import finished


async def test_a_transaction_is_finished_though_its_caller_is_cancelled(database: Database) -> None:
    begun, steps = asyncio.Event(), []

    async def work() -> None:
        async with database.write() as connection:
            begun.set()
            steps.append(await connection.scalar(sa.text("SELECT 1")))
        steps.append("committed")

    task = asyncio.create_task(finished(work()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == [1, "committed"]
    async with asyncio.timeout(5), database.write() as connection:
        assert await connection.scalar(sa.text("SELECT 2")) == 2


async def test_results_and_faults_come_through() -> None:
    async def fails() -> None:
        raise ValueError("no")

    assert await finished(asyncio.sleep(0, "yes")) == "yes"
    with pytest.raises(ValueError, match="no"):
        await finished(fails())
