"""Prometheus metrics of the broker's connection."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.server.mqtt.bridge import MqttBridge


def mqtt_metrics(bridge: MqttBridge) -> Iterator[Metric]:
    """The present values."""
    yield GaugeMetricFamily("streamguard_mqtt_connected", "1 while the broker is told.", float(bridge.connected))
    yield CounterMetricFamily("streamguard_mqtt_published", "Messages published.", bridge.published)
    yield CounterMetricFamily("streamguard_mqtt_dropped", "Events given up: the broker was away.", bridge.dropped)
    failed = CounterMetricFamily(
        "streamguard_mqtt_failures",
        "Connections that failed, by reason: unreachable, refused (name or password), clash (of two servers).",
        labels=["reason"],
    )
    for reason, count in sorted(bridge.failures.items()):
        failed.add_metric([reason], count)
    yield failed
