"""Prometheus metrics, read from what the server counts anyway. Names: docs of `Metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.server.metric_families import (
    alert_metrics,
    batcher_metrics,
    cumulated,
    engine_metrics,
    interruption_metrics,
    load_metrics,
    mark_metric,
    output_metrics,
)
from streamguard.server.sessions import SessionBook
from streamguard.streams.hub import Hub
from streamguard.streams.live_events import LiveEvents
from streamguard.streams.live_stream import LiveStream
from streamguard.streams.meter import BUCKETS
from streamguard.types import EventKind

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = ("starting", "up", "down", "ended", "failed")


class Metrics:
    """All metrics of one server, `streamguard_` first, base units, no face's number as a label; and the process's own.

    Args:
        hub, book, events: what is counted.
        requests: HTTP requests by (method, status).
        version: of the program.
    """

    def __init__(
        self, hub: Hub, book: SessionBook, events: LiveEvents, requests: Counter[tuple[str, int]], version: str
    ) -> None:
        self._hub, self._book, self._events = hub, book, events
        self._requests, self._version = requests, version
        self._more: list[Callable[[], Iterator[Metric]]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def add(self, more: Callable[[], Iterator[Metric]]) -> None:
        """Tell these, too."""
        self._more.append(more)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing is collected when the registry is made."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The present values."""
        guard = self._hub.guard
        yield InfoMetricFamily(
            "streamguard_build",
            "What runs.",
            {"version": self._version, "model": guard.model_label, "engine": guard.engine_label},
        )
        streams = self._hub.streams()
        yield from _frames(streams)
        yield _latency(streams)
        yield from _viewers(streams)
        yield from output_metrics((stream.name, stream.restream) for stream in streams)
        yield from _stages(streams)
        yield from batcher_metrics(self._hub)
        yield from load_metrics(self._hub)
        yield from engine_metrics(self._hub.guards())
        yield from interruption_metrics(streams)
        sessions = GaugeMetricFamily("streamguard_sessions", "WebRTC sessions open.", labels=["kind"])
        sessions.add_metric(["whip"], self._book.count("whip"))
        sessions.add_metric(["whep"], self._book.count("whep"))
        yield sessions
        yield CounterMetricFamily("streamguard_sessions_opened", "WebRTC sessions made.", self._book.opened)
        events = CounterMetricFamily("streamguard_events", "Events, by kind.", labels=["kind"])
        for kind in EventKind:
            events.add_metric([kind.value], self._events.counts[kind])
        yield events
        if self._hub.desk is not None:
            if self._hub.desk.lasting:
                yield from alert_metrics(self._hub.desk.alerts)
            yield mark_metric(self._hub.desk.alerts.history)
        requests = CounterMetricFamily("streamguard_http_requests", "Answered requests.", labels=["method", "status"])
        for (method, status), count in sorted(self._requests.items()):
            requests.add_metric([method, str(status)], count)
        yield requests
        for more in self._more:
            yield from more()


def _stages(streams: list[LiveStream]) -> Iterator[Metric]:
    spent = CounterMetricFamily("streamguard_stage_seconds", "CPU time by stage.", labels=["stream", "stage"])
    pace = GaugeMetricFamily(
        "streamguard_detector_interval_frames", "The face detector runs on every so many.", labels=["stream"]
    )
    for stream in streams:
        if stream.detect_every is not None:
            pace.add_metric([stream.name], stream.detect_every)
        for stage, seconds in sorted(stream.stage_seconds.items()):
            spent.add_metric([stream.name, stage], seconds)
    yield from (spent, pace)


def _frames(streams: list[LiveStream]) -> Iterator[Metric]:
    received = CounterMetricFamily("streamguard_frames_received", "Frames from the source.", labels=["stream"])
    judged = CounterMetricFamily("streamguard_frames_judged", "Frames with a verdict.", labels=["stream"])
    dropped = CounterMetricFamily("streamguard_frames_dropped", "Frames never judged.", labels=["stream"])
    state = GaugeMetricFamily("streamguard_stream_state", "1 for the present state.", labels=["stream", "state"])
    fake = GaugeMetricFamily("streamguard_stream_fake", "1 while a face is called fake.", labels=["stream"])
    bitrate = GaugeMetricFamily("streamguard_publisher_bits_per_second", "Received bits.", labels=["stream"])
    loss = GaugeMetricFamily("streamguard_publisher_packet_loss_ratio", "Share of packets lost.", labels=["stream"])
    for stream in streams:
        status = stream.status()
        received.add_metric([stream.name], status.totals.received)
        judged.add_metric([stream.name], status.totals.judged)
        dropped.add_metric([stream.name], status.totals.dropped)
        for each in _STATES:
            state.add_metric([stream.name, each], float(status.state == each))
        fake.add_metric([stream.name], float(status.verdict == "FAKE"))
        if status.transport.bitrate_kbps is not None:
            bitrate.add_metric([stream.name], status.transport.bitrate_kbps * 1000)
        if status.transport.packet_loss is not None:
            loss.add_metric([stream.name], status.transport.packet_loss)
    yield from (received, judged, dropped, state, fake, bitrate, loss)


def _latency(streams: list[LiveStream]) -> Metric:
    latency = HistogramMetricFamily(
        "streamguard_verdict_latency_seconds", "From a frame's arrival to its verdict.", labels=["stream"]
    )
    for stream in streams:
        latency.add_metric([stream.name], cumulated(BUCKETS, stream.meter.buckets), stream.meter.latency_sum)
    return latency


def _viewers(streams: list[LiveStream]) -> Iterator[Metric]:
    labels = ["stream", "overlay"]
    viewers = GaugeMetricFamily("streamguard_viewers", "Viewers.", labels=labels)
    pictures = CounterMetricFamily("streamguard_pictures_encoded", "Pictures encoded for viewers.", labels=labels)
    lost = CounterMetricFamily("streamguard_pictures_dropped", "Pictures not encoded in time.", labels=labels)
    slowed = CounterMetricFamily(
        "streamguard_encoder_slowed", "Bit rates lowered to what viewers can receive.", labels=labels
    )
    rate = GaugeMetricFamily(
        "streamguard_encoder_bits_per_second", "What an encoder aims at.", labels=[*labels, "codec"]
    )
    channel = CounterMetricFamily(
        "streamguard_verdicts_dropped", "Verdict messages that a slow data channel lost.", labels=["stream"]
    )
    for stream in streams:
        channel.add_metric([stream.name], stream.reports.refused)
        for mode, feed in stream.feeds.items():
            viewers.add_metric([stream.name, mode], feed.viewers)
            pictures.add_metric([stream.name, mode], feed.pictures)
            lost.add_metric([stream.name, mode], feed.dropped)
            slowed.add_metric([stream.name, mode], feed.slowed)
            for codec, fanout in feed.fanouts.items():
                rate.add_metric([stream.name, mode, codec], fanout.bitrate)
    yield from (viewers, pictures, lost, slowed, rate, channel)
