"""Prometheus metrics of a front door: the cluster as the database has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.cluster.atlas import Atlas, worker_state

_STATES = ("up", "draining", "stopping", "unable", "lost")


class DoorMetrics:
    """All metrics of one front door.

    Args:
        atlas: knows workers and leases.
        requests: HTTP requests by (method, status).
        version: of the program.
    """

    def __init__(self, atlas: Atlas, requests: Counter[tuple[str, int]], version: str) -> None:
        self._atlas, self._requests, self._version = atlas, requests, version
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing is collected when the registry is made."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        yield InfoMetricFamily("streamguard_build", "What runs.", {"version": self._version, "model": "", "engine": ""})
        yield GaugeMetricFamily(
            "streamguard_cluster_database_up",
            "Whether the database answered last.",
            float(self._atlas.reachable),
        )
        entries, leases = self._atlas.workers(), self._atlas.leases()
        workers = GaugeMetricFamily("streamguard_cluster_workers", "Workers, by state.", labels=["state"])
        states = Counter(map(worker_state, entries))
        for state in _STATES:
            workers.add_metric([state], states[state])
        yield workers
        streams = GaugeMetricFamily(
            "streamguard_cluster_stream_leases",
            "Streams; held: by a worker; waiting: for one; ending: being removed.",
            labels=["state"],
        )
        ending = sum(each.ending for each in leases)
        held = sum(each.owner is not None and not each.ending for each in leases)
        for state, count in (("held", held), ("waiting", len(leases) - held - ending), ("ending", ending)):
            streams.add_metric([state], count)
        yield streams
        room = GaugeMetricFamily("streamguard_cluster_room", "Streams that all workers together could still judge.")
        room.add_metric([], sum(each.card.room or 0 for each in entries if worker_state(each) == "up"))
        yield room
        versions = len({each.card.version for each in entries if not each.row.lost})
        yield GaugeMetricFamily("streamguard_cluster_versions", "Versions of the workers that live.", versions)
        requests = CounterMetricFamily("streamguard_http_requests", "Answered requests.", labels=["method", "status"])
        for (method, status), count in sorted(self._requests.items()):
            requests.add_metric([method, str(status)], count)
        yield requests
