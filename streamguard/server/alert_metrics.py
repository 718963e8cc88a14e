"""Prometheus metrics of alerts and their deliveries; no webhook's id or address as a label."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.alerts import Alerts, Outcome, Status
from streamguard.alerts.tally import BUCKETS
from streamguard.server.buckets import cumulated

_FAILED = (Outcome.RETRY, Outcome.DEAD, Outcome.GONE)


def alert_metrics(alerts: Alerts, clock: Callable[[], float] = time.time) -> Iterator[Metric]:
    """The present values: tries of this server since its start; what waits in the whole database.

    Args:
        alerts: what is told of.
        clock: UTC epoch seconds.
    """
    counts, latencies = alerts.deliverer.counts, alerts.deliverer.latencies
    tries = CounterMetricFamily("streamguard_webhook_tries", "Messages sent, by result.", labels=["result"])
    tries.add_metric(["delivered"], counts[Outcome.DELIVERED])
    tries.add_metric(["failed"], sum(counts[each] for each in _FAILED))
    yield tries
    yield CounterMetricFamily("streamguard_webhook_retries", "Failed tries that are made again.", counts[Outcome.RETRY])
    dead = counts[Outcome.DEAD] + counts[Outcome.GONE]
    yield CounterMetricFamily("streamguard_webhook_dead", "Messages given up: the last try failed, or 410.", dead)
    took = HistogramMetricFamily(
        "streamguard_webhook_delivery_seconds", "From an alert's commit, or its replay, until the receiver had it."
    )
    took.add_metric([], cumulated(BUCKETS, latencies.buckets), latencies.seconds)
    yield took
    subscriptions = GaugeMetricFamily(
        "streamguard_webhook_subscriptions", "Subscriptions; disabled: the endpoint answered 410.", labels=["status"]
    )
    pending = GaugeMetricFamily("streamguard_webhook_pending", "Messages that wait.", labels=["status"])
    age = GaugeMetricFamily(
        "streamguard_webhook_oldest_pending_age_seconds", "How long the oldest of them waits.", labels=["status"]
    )
    for each in alerts.deliverer.backlog:
        subscriptions.add_metric([each.status.value], each.subscriptions)
        # Nothing waits for a disabled one.
        if each.status is not Status.DISABLED:
            pending.add_metric([each.status.value], each.pending)
            waits = max(0.0, clock() - each.oldest) if each.oldest is not None else 0.0
            age.add_metric([each.status.value], waits)
    yield from (subscriptions, pending, age)
    yield CounterMetricFamily(
        "streamguard_alert_events_dropped", "Events given up: the database could not be written.", alerts.dropped
    )
