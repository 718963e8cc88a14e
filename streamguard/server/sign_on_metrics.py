"""Prometheus metrics of who is let in; no user's name as a label."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.server.auth import Tokens


def sign_on_metrics(tokens: Tokens) -> Iterator[Metric]:
    """The present values."""
    asked = CounterMetricFamily(
        "streamguard_sign_ons",
        "Requests by how they are signed on (token, openid, proxy), and by result (admitted, refused, unavailable).",
        labels=["by", "result"],
    )
    for (by, result), count in sorted(tokens.counts.items()):
        asked.add_metric([by, result], count)
    yield asked
    if tokens.openid is not None:
        keys = tokens.openid.keys
        yield CounterMetricFamily(
            "streamguard_openid_key_failures", "Failed fetches of the OpenID provider's keys.", keys.failures
        )
        if (age := keys.age) is not None:
            yield GaugeMetricFamily(
                "streamguard_openid_keys_age_seconds", "How long ago the OpenID provider's keys were fetched.", age
            )
