"""Subscriptions of webhooks: created, listed, changed, paused, rotated and deleted."""

from __future__ import annotations

import asyncio
import secrets as random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamguard.alerts.database import Database
from streamguard.alerts.formats import FORMATS, PEOPLE, text
from streamguard.alerts.keys import Sealer, Secret, check_secret, new_secret
from streamguard.alerts.notices import check_notice, shown_notice
from streamguard.alerts.rules import FACE_KINDS, Rule
from streamguard.alerts.tables import deliveries, subscriptions
from streamguard.alerts.targets import TargetPolicy
from streamguard.clock import Clock, wall_clock
from streamguard.errors import SubscriptionError, UnknownSubscription

MOST_SUBSCRIPTIONS = 1000
MOST_NAME = 256
OVERLAP = 24 * 3600.0
MOST_OVERLAP = 30 * 24 * 3600.0
MOST_KEPT_SECRETS = 4


class Status(StrEnum):
    """State of a subscription."""

    ACTIVE = "active"
    PAUSED = "paused"
    """Alerts are kept, and sent once it is resumed."""
    DISABLED = "disabled"
    """Nothing is kept for it: the endpoint answered 410, or the operator switched it off."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription, without its secret.

    Attributes:
        id: `sub_` and random letters.
        name: for people.
        url: where it is sent; may hold a token, so `redact` it before showing it elsewhere. Of a notice, its scheme.
        format: `streamguard`, `cloudevents`, `ms-graph`; `notice` for people.
        rule: what is told, and when.
        status, reason: whether it is sent to, and why not.
        created, changed: UTC epoch seconds.
        wait_until: nothing is sent before (UTC epoch seconds), because the endpoint asked for it; 0 for at once.
    """

    id: str
    name: str
    url: str
    format: str
    rule: Rule
    status: Status
    reason: str
    created: float
    changed: float
    wait_until: float


@dataclass(frozen=True, slots=True, repr=False)
class Created:
    """A new or rotated subscription and its secret, which is never shown again."""

    subscription: Subscription
    secret: str


class Subscriptions:
    """The subscriptions in the database.

    Args:
        database: the outbox's.
        sealer: encrypts the secrets at rest.
        targets: where webhooks may go.
        clock: UTC epoch seconds.
        changed: called after each change, so that the deliverer looks again.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        targets: TargetPolicy,
        *,
        clock: Clock = wall_clock,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._database, self._sealer, self._targets = database, sealer, targets
        self._clock, self._changed = clock, changed

    async def create(
        self,
        url: str,
        *,
        rule: Rule | None = None,
        format: str = "streamguard",
        name: str = "",
        secret: str = "",
        id: str = "",
    ) -> Created:
        """Make a subscription. The secret is returned here and nowhere else.

        Args:
            url: https, or http where the operator allows it; no user name, password or fragment. For a notice, a URL
                of Apprise with one recipient; kept sealed. What an operator has written, never a stranger: where it
                leads is not looked at.
            rule: what is told; by default every fake of every stream.
            format: `streamguard`, `cloudevents`, `ms-graph` or `notice`.
            name: for people, up to 256 characters.
            secret: `whsec_` and base64 of 24 to 64 bytes; made when left out. A notice has none.
            id: one that is not in use; made when left out.

        Raises:
            ForbiddenTarget: the URL leads to a private, local or reserved address, or to this server.
            SubscriptionError: a wrong URL, format, name or secret, or too many subscriptions.
            OutboxError: the database cannot be written.
        """
        rule = rule or Rule()
        _check(name, format, rule)
        kept = secret = check_secret(secret) if secret else "" if format == PEOPLE else new_secret()
        await self.check_url(url, format)
        if format == PEOPLE:
            kept, url = url, shown_notice(url)
        now = self._clock()
        row = {
            "id": id or f"sub_{random.token_hex(10)}",
            "name": text(name),
            "url": url,
            "format": format,
            "rule": rule.model_dump_json(),
            "secrets": self._sealer.seal((Secret(kept),)),
            "status": Status.ACTIVE.value,
            "reason": "",
            "created": now,
            "changed": now,
            "wait_until": 0.0,
        }
        async with self._database.write() as connection:
            count = await connection.scalar(sa.select(sa.func.count()).select_from(subscriptions))
            if (count or 0) >= MOST_SUBSCRIPTIONS:
                cause = f"there are {MOST_SUBSCRIPTIONS} already"
                raise SubscriptionError("subscription", cause, "delete some that are not needed")
            await connection.execute(subscriptions.insert().values(**row))
        self._changed()
        return Created(await self.get(str(row["id"])), secret)

    async def check_url(self, url: str, format: str = "streamguard") -> None:
        """Check that `create` would take the URL.

        Raises:
            ForbiddenTarget, SubscriptionError: as `create`.
        """
        await (asyncio.to_thread(check_notice, url) if format == PEOPLE else self._targets.check(url))

    async def list(self) -> list[Subscription]:
        """Return all subscriptions, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(sa.select(subscriptions).order_by(subscriptions.c.created))
            return [subscription_of(row) for row in rows]

    async def get(self, id: str) -> Subscription:
        """One of them.

        Raises:
            UnknownSubscription: there is none of that id.
        """
        async with self._database.read() as connection:
            return subscription_of(await _row(connection, id))

    async def change(
        self,
        id: str,
        *,
        url: str | None = None,
        rule: Rule | None = None,
        format: str | None = None,
        name: str | None = None,
    ) -> Subscription:
        """Change what is given. Alerts already in the outbox keep their format and go to the new URL.

        Raises:
            UnknownSubscription, ForbiddenTarget, SubscriptionError, OutboxError: as `create`.
        """
        if url is not None:
            await self.check_url(url, format or "streamguard")
        async with self._database.write() as connection:
            before = subscription_of(await _row(connection, id, lock=True))
            if PEOPLE in {before.format, format}:
                _check_notice_change(before, url, format)
            wanted = (
                before.name if name is None else text(name),
                before.format if format is None else format,
                rule or before.rule,
            )
            _check(*wanted)
            values = {
                "name": wanted[0],
                "format": wanted[1],
                "rule": wanted[2].model_dump_json(),
                "url": before.url if url is None else url,
                "changed": self._clock(),
            }
            # A new address has asked for no wait.
            if url is not None:
                values["wait_until"] = 0.0
            if url is not None and wanted[1] == PEOPLE:
                values |= {"url": shown_notice(url), "secrets": self._sealer.seal((Secret(url),))}
            await connection.execute(subscriptions.update().where(subscriptions.c.id == id).values(**values))
        self._changed()
        return await self.get(id)

    async def pause(self, id: str, reason: str = "") -> Subscription:
        """Send nothing until `resume`; alerts are kept.

        Raises:
            UnknownSubscription, OutboxError: as `get` and `create`.
        """
        return await self._set(id, Status.PAUSED, reason)

    async def resume(self, id: str) -> Subscription:
        """Send again, what was kept first; also for a disabled subscription.

        Raises:
            UnknownSubscription, OutboxError: as `get` and `create`.
        """
        return await self._set(id, Status.ACTIVE, "")

    async def disable(self, id: str, reason: str = "") -> Subscription:
        """Keep and send nothing more; what waited is cancelled (and can be replayed).

        Raises:
            UnknownSubscription, OutboxError: as `get` and `create`.
        """
        return await self._set(id, Status.DISABLED, reason)

    async def rotate(self, id: str, *, secret: str = "", overlap: float = OVERLAP) -> Created:
        """A new secret; messages bear the old one's signature, too, for `overlap` seconds (0 to 30 days).

        Raises:
            SubscriptionError: a wrong secret or overlap.
            UnknownSubscription, OutboxError: as `get` and `create`.
        """
        if not 0.0 <= overlap <= MOST_OVERLAP:
            raise SubscriptionError("overlap", f"{overlap} s is not in 0 to 30 days", "correct it")
        secret = check_secret(secret) if secret else new_secret()
        async with self._database.write() as connection:
            row = await _row(connection, id, lock=True)
            if row.format == PEOPLE:
                raise SubscriptionError(f"subscription `{id}`", "a notice has no secret", "change its rule in the file")
            now = self._clock()
            old = (
                Secret(one.text, now + overlap if one.until is None else one.until)
                for one in self._sealer.unseal(row.secrets)
                if one.text != secret
            )
            kept = [one for one in old if one.until is not None and one.until > now][: MOST_KEPT_SECRETS - 1]
            values = {"secrets": self._sealer.seal((Secret(secret), *kept)), "changed": now}
            await connection.execute(subscriptions.update().where(subscriptions.c.id == id).values(**values))
        self._changed()
        return Created(await self.get(id), secret)

    async def delete(self, id: str) -> None:
        """Forget it, its deliveries and what waits to be sent.

        Raises:
            UnknownSubscription, OutboxError: as `get` and `create`.
        """
        async with self._database.write() as connection:
            await _row(connection, id, lock=True)
            await connection.execute(subscriptions.delete().where(subscriptions.c.id == id))
        self._changed()

    async def _set(self, id: str, status: Status, reason: str) -> Subscription:
        async with self._database.write() as connection:
            await _row(connection, id, lock=True)
            await set_status(connection, id, status, reason, self._clock())
        self._changed()
        return await self.get(id)


async def set_status(connection: AsyncConnection, id: str, status: Status, reason: str, now: float) -> None:
    """Change a subscription's status; disabling it cancels what waits."""
    values = {"status": status.value, "reason": text(reason), "changed": now, "wait_until": 0.0}
    await connection.execute(subscriptions.update().where(subscriptions.c.id == id).values(**values))
    if status is Status.DISABLED:
        waiting = (deliveries.c.subscription == id) & (deliveries.c.status == "pending")
        cancelled = {"status": "cancelled", "owner": "", "lease_until": 0.0, "touched": now, "done": now}
        await connection.execute(deliveries.update().where(waiting).values(**cancelled))


def subscription_of(row: sa.Row[tuple[object, ...]]) -> Subscription:
    """The subscription of a row of the table."""
    values = row._mapping
    return Subscription(
        id=values["id"],
        name=values["name"],
        url=values["url"],
        format=values["format"],
        rule=_rule(values["rule"]),
        status=Status(values["status"]),
        reason=values["reason"],
        created=values["created"],
        changed=values["changed"],
        wait_until=values["wait_until"],
    )


@lru_cache(maxsize=MOST_SUBSCRIPTIONS)
def _rule(document: str) -> Rule:
    return Rule.model_validate_json(document)


async def _row(connection: AsyncConnection, id: str, *, lock: bool = False) -> sa.Row[tuple[object, ...]]:
    query = sa.select(subscriptions).where(subscriptions.c.id == text(id))
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise UnknownSubscription(f"subscription `{id}`", "there is none of that id", "list the subscriptions")
    return row


def _check(name: str, format: str, rule: Rule) -> None:
    if len(name) > MOST_NAME:
        raise SubscriptionError("name", f"it has {len(name)} characters", f"use {MOST_NAME} at the most")
    if format not in FORMATS:
        raise SubscriptionError("format", f"`{format[:40]}` is none", f"choose from {', '.join(FORMATS)}")
    if format == "ms-graph" and (foreign := sorted(set(rule.kinds) - set(FACE_KINDS))):
        cause = f"ms-graph has no words for {', '.join(foreign)}"
        raise SubscriptionError("format", cause, "leave these kinds out, or choose another format")


def _check_notice_change(before: Subscription, url: str | None, format: str | None) -> None:
    """A webhook stays one, and a notice too; a new URL of a notice comes from the configuration, with its format."""
    if format not in {None, before.format} or (url is not None and format is None):
        cause = "a notice is neither moved nor made a webhook, nor the other way round"
        raise SubscriptionError(f"subscription `{before.id}`", cause, "change its rule in the configuration file")
