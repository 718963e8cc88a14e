"""Webhooks of the REST API: subscriptions, deliveries, and sending again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from aiohttp import web

from streamguard.alerts import Created, Delivery, DeliveryStatus, Subscription
from streamguard.alerts.finishing import finished
from streamguard.clock import utc
from streamguard.server import webhook_documents as docs
from streamguard.server.alert_problems import as_problems, desk_of
from streamguard.server.api import V1
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.server.problems import not_found
from streamguard.streams.hub import Hub

WEBHOOKS = f"{V1}/webhooks"
Handler: TypeAlias = Callable[[Call[Any, Any]], Awaitable[web.StreamResponse]]


class WebhookApi:
    """The handlers.

    Args:
        hub: knows the alerts.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def operations(self) -> list[Operation]:
        """The operations; all need the scope admin."""
        one = f"{WEBHOOKS}/{{webhook}}"
        subscription = (Success(200, "The subscription.", docs.WebhookDocument),)
        made = (Success(201, "It was made; its secret.", docs.WebhookSecretDocument, {"Location": "Its URL."}),)
        secret = (Success(200, "The new secret.", docs.WebhookSecretDocument),)
        delivery = (Success(202, "It is sent.", docs.DeliveryDocument),)
        page = (Success(200, "A page of the log.", docs.DeliveriesDocument),)
        refused = (403, 413, 415, 422, 503)
        operations = [
            Operation(
                "GET",
                WEBHOOKS,
                "listWebhooks",
                "All subscriptions.",
                "admin",
                self.list,
                (Success(200, "The subscriptions.", docs.WebhooksDocument),),
                (503,),
            ),
            Operation(
                "POST",
                WEBHOOKS,
                "addWebhook",
                "Subscribe a URL to alerts.",
                "admin",
                self.add,
                made,
                refused,
                body=docs.NewWebhook,
            ),
            Operation("GET", one, "getWebhook", "One subscription.", "admin", self.get, subscription, (404, 503)),
            Operation(
                "PATCH",
                one,
                "changeWebhook",
                "Change a subscription.",
                "admin",
                self.change,
                subscription,
                (404, *refused),
                body=docs.WebhookChange,
            ),
            Operation(
                "DELETE",
                one,
                "removeWebhook",
                "Forget a subscription and its deliveries.",
                "admin",
                self.remove,
                (Success(204, "It is forgotten."),),
                (404, 503),
            ),
            Operation(
                "POST",
                f"{one}/pause",
                "pauseWebhook",
                "Send nothing; alerts are kept.",
                "admin",
                self.pause,
                subscription,
                (404, 503),
            ),
            Operation(
                "POST",
                f"{one}/resume",
                "resumeWebhook",
                "Send again, what was kept first.",
                "admin",
                self.resume,
                subscription,
                (404, 503),
            ),
            Operation(
                "POST",
                f"{one}/rotate",
                "rotateWebhook",
                "Make a new secret.",
                "admin",
                self.rotate,
                secret,
                (404, *refused),
                body=docs.WebhookRotation,
            ),
            Operation(
                "POST",
                f"{one}/test",
                "testWebhook",
                "Send a message of the type `webhook.test`.",
                "admin",
                self.test,
                delivery,
                (404, 422, 503),
            ),
            Operation(
                "GET",
                f"{one}/deliveries",
                "listDeliveries",
                "What was sent, and what came back.",
                "admin",
                self.deliveries,
                page,
                (404, 422, 503),
                query=docs.DeliveryQuery,
            ),
            Operation(
                "POST",
                f"{one}/deliveries/{{delivery}}/replay",
                "replayDelivery",
                "Send one message again.",
                "admin",
                self.replay,
                delivery,
                (404, 503),
            ),
            Operation(
                "POST",
                f"{one}/replay",
                "replayRange",
                "Send again what happened in a time range.",
                "admin",
                self.replay_range,
                (Success(202, "They are sent.", docs.ReplayedDocument),),
                (404, *refused),
                body=docs.ReplayRange,
            ),
        ]
        # A client that leaves must not break a transaction off.
        return [replace(each, handler=_to_its_end(each.handler)) for each in operations]

    async def list(self, call: Call[None, None]) -> web.Response:
        """GET /webhooks."""
        async with as_problems():
            found = await desk_of(self._hub).alerts.subscriptions.list()
        return json_answer(docs.WebhooksDocument(webhooks=[_subscription(each) for each in found]))

    async def add(self, call: Call[docs.NewWebhook, None]) -> web.Response:
        """POST /webhooks."""
        new = call.body
        async with as_problems():
            created = await desk_of(self._hub).alerts.subscriptions.create(
                new.url,
                rule=new.rule,
                format=new.format,
                name=new.name,
                secret=new.secret.get_secret_value() if new.secret else "",
            )
        return json_answer(_created(created), 201, {"Location": f"{WEBHOOKS}/{created.subscription.id}"})

    async def get(self, call: Call[None, None]) -> web.Response:
        """GET /webhooks/{webhook}."""
        async with as_problems():
            return _told(await desk_of(self._hub).alerts.subscriptions.get(call.part("webhook")))

    async def change(self, call: Call[docs.WebhookChange, None]) -> web.Response:
        """PATCH /webhooks/{webhook}."""
        new = call.body
        async with as_problems():
            changed = await desk_of(self._hub).alerts.subscriptions.change(
                call.part("webhook"), url=new.url, rule=new.rule, format=new.format, name=new.name
            )
        return _told(changed)

    async def remove(self, call: Call[None, None]) -> web.Response:
        """DELETE /webhooks/{webhook}."""
        async with as_problems():
            await desk_of(self._hub).alerts.subscriptions.delete(call.part("webhook"))
        return web.Response(status=204)

    async def pause(self, call: Call[None, None]) -> web.Response:
        """POST /webhooks/{webhook}/pause."""
        async with as_problems():
            return _told(await desk_of(self._hub).alerts.subscriptions.pause(call.part("webhook")))

    async def resume(self, call: Call[None, None]) -> web.Response:
        """POST /webhooks/{webhook}/resume."""
        async with as_problems():
            return _told(await desk_of(self._hub).alerts.subscriptions.resume(call.part("webhook")))

    async def rotate(self, call: Call[docs.WebhookRotation, None]) -> web.Response:
        """POST /webhooks/{webhook}/rotate."""
        secret = call.body.secret.get_secret_value() if call.body.secret else ""
        async with as_problems():
            rotated = await desk_of(self._hub).alerts.subscriptions.rotate(
                call.part("webhook"), secret=secret, overlap=call.body.overlap_seconds
            )
        return json_answer(_created(rotated))

    async def test(self, call: Call[None, None]) -> web.Response:
        """POST /webhooks/{webhook}/test."""
        async with as_problems():
            sent = await desk_of(self._hub).alerts.deliveries.test(call.part("webhook"))
        return json_answer(_delivery(sent), 202)

    async def deliveries(self, call: Call[None, docs.DeliveryQuery]) -> web.Response:
        """GET /webhooks/{webhook}/deliveries."""
        query, id = call.query, call.part("webhook")
        async with as_problems():
            alerts = desk_of(self._hub).alerts
            await alerts.subscriptions.get(id)
            found = await alerts.deliveries.list(
                id, status=query.status, before=query.cursor, newest=True, limit=query.limit
            )
        following = found[-1].seq if len(found) == query.limit else None
        return json_answer(docs.DeliveriesDocument(deliveries=[_delivery(each) for each in found], next=following))

    async def replay(self, call: Call[None, None]) -> web.Response:
        """POST /webhooks/{webhook}/deliveries/{delivery}/replay."""
        async with as_problems():
            deliveries = desk_of(self._hub).alerts.deliveries
            known = await deliveries.get(call.part("delivery"))
            if known.subscription != call.part("webhook"):
                raise not_found("delivery", call.part("delivery"), "Look into the log of that webhook.")
            again = await deliveries.replay(known.webhook_id)
        return json_answer(_delivery(again), 202)

    async def replay_range(self, call: Call[docs.ReplayRange, None]) -> web.Response:
        """POST /webhooks/{webhook}/replay."""
        since, until = call.body.since.timestamp(), call.body.until.timestamp()
        async with as_problems():
            count = await desk_of(self._hub).alerts.deliveries.replay_range(call.part("webhook"), since, until)
        return json_answer(docs.ReplayedDocument(deliveries=count), 202)


def _to_its_end(handler: Handler) -> Handler:
    async def whole(call: Call[Any, Any]) -> web.StreamResponse:
        return await handler(call)

    async def handle(call: Call[Any, Any]) -> web.StreamResponse:
        return await finished(whole(call))

    return handle


def _told(subscription: Subscription) -> web.Response:
    return json_answer(_subscription(subscription))


def _subscription(one: Subscription) -> docs.WebhookDocument:
    return docs.WebhookDocument(
        id=one.id,
        name=one.name,
        url=one.url,
        format=one.format,  # type: ignore[arg-type]  # checked when it was made
        rule=one.rule,
        status=one.status,
        reason=one.reason,
        created=utc(one.created),
        changed=utc(one.changed),
        wait_until=_moment(one.wait_until or None),
    )


def _created(created: Created) -> docs.WebhookSecretDocument:
    return docs.WebhookSecretDocument(webhook=_subscription(created.subscription), secret=created.secret)


def _delivery(one: Delivery) -> docs.DeliveryDocument:
    pending = one.status is DeliveryStatus.PENDING
    return docs.DeliveryDocument(
        id=one.webhook_id,
        webhook=one.subscription,
        event=one.event,
        kind=one.kind,
        at=utc(one.at),
        status=one.status,
        attempts=one.attempts,
        next_try=_moment(one.next_try) if pending else None,
        code=one.code,
        answer=one.answer,
        created=utc(one.created),
        done=_moment(one.done),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)
