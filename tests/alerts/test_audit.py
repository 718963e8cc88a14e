"""The audit log in the database: entries found, paged, forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streamguard.alerts import AuditEntry, AuditLog, Database

BEGAN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def entries(count: int) -> list[AuditEntry]:
    """One each minute; every third by nobody in particular."""
    return [
        AuditEntry(
            BEGAN + timedelta(minutes=number),
            None if number % 3 == 0 else f"token{number % 3}",
            "2001:db8::1",
            "evidence" if number % 2 else "eraseEvidence",
            f"/api/v1/streams/\x00{number}/evidence",
            id=f"{number:026d}",
        )
        for number in range(count)
    ]


async def test_entries_are_found_and_paged(database: Database) -> None:
    log, made = AuditLog(database), entries(10)
    await log.save(made)
    # After a failure whose outcome nobody knows they are saved again.
    await log.save(made)
    found, cursor = await log.find(limit=6)
    assert [each.id for each in found] == [each.id for each in reversed(made)][:6]
    assert (found[0].at, found[0].who, found[0].action) == (made[9].at, None, "evidence")
    rest, end = await log.find(limit=6, cursor=cursor)
    assert ([each.id for each in rest], end) == ([each.id for each in reversed(made)][6:], None)
    assert [each.id for each in (await log.find(limit=9, who="token1"))[0]] == [made[n].id for n in (7, 4, 1)]
    only = await log.find(limit=9, action="evidence", since=made[2].at, until=made[7].at)
    assert [each.id for each in only[0]] == [made[n].id for n in (5, 3)]


async def test_old_ones_and_those_beyond_the_limit_are_forgotten(database: Database) -> None:
    log, made = AuditLog(database), entries(10)
    await log.save(made)
    await log.purge(made[2].at.timestamp())
    assert len((await log.find(limit=99))[0]) == 8
    await log.purge(0.0, most=3)
    assert [each.id for each in (await log.find(limit=99))[0]] == [made[n].id for n in (9, 8, 7)]
