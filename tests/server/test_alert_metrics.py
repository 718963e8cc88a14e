"""What Prometheus is told of deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from streamguard.alerts import Latencies
from streamguard.alerts.tally import BUCKETS
from tests.server.conftest import ServeWith
from tests.server.peers import LIMIT
from tests.server.test_webhooks_api import WEBHOOKS, alerting, subscribed
from tests.support.receiver import answering
from tests.support.training_data import ROOT

Values = dict[tuple[object, ...], float]
ACTIVE, PAUSED, DISABLED = (("status", status) for status in ("active", "paused", "disabled"))


async def measured(http: aiohttp.ClientSession) -> Values:
    """The metrics: (name, label...) -> value; each says what it is."""
    families = list(text_string_to_metric_families(await (await http.get("/metrics")).text()))
    assert all(family.documentation for family in families)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


async def once(http: aiohttp.ClientSession, met: Callable[[Values], bool]) -> Values:
    """The metrics, once they are so."""
    async with asyncio.timeout(LIMIT):
        while not met(values := await measured(http)):  # noqa: ASYNC110 - the metrics have no event
            await asyncio.sleep(0.1)
    return values


async def test_deliveries_are_counted(serve_with: ServeWith, tmp_path: Path) -> None:
    async with alerting(serve_with, tmp_path) as (_, http, hears):
        values = await measured(http)
        assert values["streamguard_webhook_tries_total", ("result", "delivered")] == 0
        assert values["streamguard_webhook_delivery_seconds_count",] == 0
        for path, status in (("/good", 200), ("/bad", 500), ("/gone", 410), ("/paused", 200)):
            hears.behaviour[path] = answering(status)
            one = f"{WEBHOOKS}/{(await subscribed(http, hears, path))['id']}"
            if path == "/paused":
                await http.post(f"{one}/pause")
            assert (await http.post(f"{one}/test")).status == 202
        values = await once(http, lambda now: now["streamguard_webhook_subscriptions", DISABLED] == 1)
        values = await once(http, lambda now: now["streamguard_webhook_retries_total",] == 1)
        assert values["streamguard_webhook_tries_total", ("result", "delivered")] == 1
        assert values["streamguard_webhook_tries_total", ("result", "failed")] == 2
        assert values["streamguard_webhook_dead_total",] == 1
        assert values["streamguard_webhook_subscriptions", ACTIVE] == 2
        assert values["streamguard_webhook_subscriptions", PAUSED] == 1
        assert values["streamguard_webhook_pending", PAUSED] == 1
        assert values["streamguard_webhook_oldest_pending_age_seconds", PAUSED] > 0
        assert ("streamguard_webhook_pending", DISABLED) not in values
        assert values["streamguard_webhook_delivery_seconds_count",] == 1
        assert values["streamguard_webhook_delivery_seconds_sum",] > 0
        assert values["streamguard_alert_events_dropped_total",] == 0
        hears.behaviour["/bad"] = answering(204)
        values = await once(http, lambda now: now["streamguard_webhook_tries_total", ("result", "delivered")] == 2)
        values = await once(http, lambda now: now["streamguard_webhook_pending", ACTIVE] == 0)
        assert values["streamguard_webhook_oldest_pending_age_seconds", ACTIVE] == 0
        # The one that failed was tried again five seconds later.
        assert values["streamguard_webhook_delivery_seconds_sum",] > 4
        labels = {str(label[0]) for _, *found in values for label in found if isinstance(label, tuple)}
        known = {"kind", "method", "status", "result", "le", "version", "model", "engine", "reason", "state", "mark"}
        assert labels <= known
        readme = (ROOT / "examples" / "webhook_subscriber" / "README.md").read_text()
        names = {str(name) for name, *_ in values if str(name).startswith(("streamguard_webhook", "streamguard_alert"))}
        assert all(name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") in readme for name in names)
        assert not any("sub_" in str(key) or "localhost" in str(key) for key in values)


def test_latencies_fall_into_their_buckets() -> None:
    latencies = Latencies()
    for seconds in (-3.0, 0.0, 0.05, 0.06, 1e9):
        latencies.add(seconds)
    assert (latencies.buckets[0], latencies.buckets[1], latencies.buckets[-1]) == (3, 1, 1)
    assert len(latencies.buckets) == len(BUCKETS) + 1
    assert latencies.seconds == 0.11 + 1e9


async def test_without_alerts_nothing_is_told_of_them(serve_with: ServeWith) -> None:
    async with serve_with(alerts={"enabled": False}) as (_, http):
        assert not [name for name, *_ in await measured(http) if "webhook" in str(name)]
