"""Fencing where several workers share a database: only a stream's owner writes of it, under the newest epoch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamguard.alerts.formats import text
from streamguard.alerts.tables import stream_leases


@dataclass(frozen=True, slots=True)
class Fence:
    """Epoch and owner of a stream: writes under it count only while that owner holds the stream in that epoch.

    Attributes:
        stream: its name.
        owner: id of the worker.
        epoch: of its lease.
    """

    stream: str
    owner: str
    epoch: int


NO_FENCES: Mapping[str, Fence] = MappingProxyType({})


async def fallen(connection: AsyncConnection, fences: Collection[Fence]) -> set[Fence]:
    """Those that hold no longer. The others hold until the transaction's end: a stream changes hands before or after.

    A lease that has run out, and that nobody has taken, still holds: there is no one whom it could harm.
    """
    if not fences:
        return set()
    of = stream_leases.c
    query = sa.select(of.stream, of.owner, of.epoch).where(of.stream.in_({text(each.stream) for each in fences}))
    rows = await connection.execute(query.order_by(of.stream).with_for_update(read=True))
    held = {(row.stream, row.owner, row.epoch) for row in rows}
    return {each for each in fences if (text(each.stream), each.owner, each.epoch) not in held}
