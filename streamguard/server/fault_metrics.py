"""Prometheus metrics of what broke and was mended: engines, sources, streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.pipeline.guard import Guard
from streamguard.server.live_stream import LiveStream

_STATES = ("ok", "recovering", "failed")


def engine_metrics(guards: Iterable[Guard]) -> Iterator[Metric]:
    """How the engines do, one detector's beside the other's.

    Args:
        guards: all that judge.
    """
    state = GaugeMetricFamily(
        "streamguard_engine_state", "1 for the present state of the engine.", labels=["model", "engine", "state"]
    )
    failures = CounterMetricFamily(
        "streamguard_engine_failures", "Batches in which an engine failed.", labels=["model", "engine"]
    )
    loads = CounterMetricFamily(
        "streamguard_engine_loads", "Engines loaded after a failure, by result.", labels=["model", "engine", "result"]
    )
    for guard in guards:
        health, model = guard.engine_health, guard.spec.name
        for each in _STATES:
            state.add_metric([model, health.engine, each], float(health.state == each))
        for engine, count in sorted(health.failures.items()):
            failures.add_metric([model, engine], count)
        for (engine, loaded), count in sorted(health.loads.items()):
            loads.add_metric([model, engine, "loaded" if loaded else "failed"], count)
    yield from (state, failures, loads)


def interruption_metrics(streams: Iterable[LiveStream]) -> Iterator[Metric]:
    """How often streams were lost.

    Args:
        streams: all there are.
    """
    lost = CounterMetricFamily(
        "streamguard_stream_interruptions", "Times a source was lost, or judging crashed.", labels=["stream"]
    )
    restarts = CounterMetricFamily(
        "streamguard_stream_restarts", "Times that judging crashed, and was begun anew.", labels=["stream"]
    )
    for stream in streams:
        lost.add_metric([stream.name], stream.interruptions)
        restarts.add_metric([stream.name], stream.restarts)
    yield from (lost, restarts)
