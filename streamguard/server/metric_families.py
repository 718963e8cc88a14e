"""Prometheus metrics of engines, load, streams, outputs, alerts and checked files.

No webhook's id or address is a label, and no file's name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.alerts import Alerts, AttemptOutcome, History, Status
from streamguard.alerts.tally import BUCKETS
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.restream import Restream
from streamguard.server.checks import Checks
from streamguard.streams.hub import Hub
from streamguard.streams.live_stream import LiveStream

_ENGINE_STATES = ("ok", "recovering", "failed")
_FAILED = (AttemptOutcome.RETRY, AttemptOutcome.DEAD, AttemptOutcome.GONE)
_CHECK_STATES = ("uploading", "waiting", "running", "done", "failed")


def load_metrics(hub: Hub) -> Iterator[Metric]:
    """Load of the machine.

    Args:
        hub: its streams are measured.
    """
    state, turns = hub.load.state(), hub.guard.turns
    yield _gauge("overloaded", "1 while streams are judged less often than asked for.", float(state.overloaded))
    yield _gauge("analysis_frames", "Frames that are being analysed.", turns.busy)
    yield _gauge("analysis_limit_frames", "Frames that are analysed at a time at the most.", turns.limit)
    yield CounterMetricFamily("streamguard_frames_analysed", "Frames of live streams analysed.", turns.done)
    yield CounterMetricFamily("streamguard_contended_seconds", "Time in which a stream waited.", turns.contended)
    refused = CounterMetricFamily("streamguard_streams_refused", "Streams refused, by reason.", labels=["reason"])
    for reason, count in sorted(hub.refused.items()):
        refused.add_metric([reason], count)
    yield refused
    asked = _gauge("asked_frames_per_second", "Frames that there are to judge.", labels=["stream"])
    judged = _gauge("judged_frames_per_second", "Frames that are judged.", labels=["stream"])
    reduced = _gauge("sampling_reduced", "1 while a stream is judged less often than asked for.", labels=["stream"])
    for stream in hub.streams():
        sampling = stream.sampling()
        asked.add_metric([stream.name], sampling.asked)
        judged.add_metric([stream.name], sampling.judged)
        reduced.add_metric([stream.name], float(sampling.reduced))
    yield from (asked, judged, reduced)
    if state.usage is None or state.load is None or state.room is None:
        return
    cost = state.usage.cost
    yield _gauge("load_ratio", "Share in use of processors or engine, whichever is scarcer.", state.load)
    yield _gauge("room_streams", "Streams like these that could be judged once a second beside them.", state.room)
    yield _gauge("processors", "Processors that are to be had for judging.", state.usage.means.processors)
    yield _gauge("stream_cpu_ratio", "Processors that one stream takes by being decoded.", cost.stream)
    yield _gauge("judged_frame_cpu_seconds", "CPU time per judged frame, without finding faces.", cost.frame)
    yield _gauge("detection_cpu_seconds", "CPU time per run of the face detector.", cost.detection)
    yield _gauge("judged_frame_engine_seconds", "Time of the engine per judged frame.", cost.engine)


def batcher_metrics(hub: Hub) -> Iterator[Metric]:
    """Work of the engines, by detector.

    Args:
        hub: its guards are measured.
    """
    labels = ["model"]
    batches = CounterMetricFamily("streamguard_batches", "Batches given to the engine.", labels=labels)
    failed = CounterMetricFamily("streamguard_batches_failed", "Batches that failed.", labels=labels)
    crops = CounterMetricFamily("streamguard_crops", "Crops in those batches.", labels=labels)
    sizes = HistogramMetricFamily("streamguard_batch_size", "Crops per batch.", labels=labels)
    busy = CounterMetricFamily("streamguard_engine_busy_seconds", "Time the engine was judging.", labels=labels)
    for guard in hub.guards():
        stats, model = guard.batcher.stats(), [guard.spec.name]
        batches.add_metric(model, stats.batches)
        failed.add_metric(model, stats.failed)
        crops.add_metric(model, stats.crops)
        sizes.add_metric(model, cumulated(range(1, len(stats.sizes) + 1), (*stats.sizes, 0)), stats.crops)
        busy.add_metric(model, stats.busy_seconds)
    yield from (batches, failed, crops, sizes, busy)
    depth = GaugeMetricFamily("streamguard_queue_depth", "Crops waiting or being judged.", labels=["stream"])
    for stream in hub.streams():
        depth.add_metric([stream.name], stream.guard.batcher.in_flight(stream.name))
    yield depth


def _gauge(name: str, text: str, value: float | None = None, labels: list[str] | None = None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"streamguard_{name}", text, value=value, labels=labels)


def engine_metrics(guards: Iterable[Guard]) -> Iterator[Metric]:
    """State of the engines, by detector.

    Args:
        guards: all in use.
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
        for each in _ENGINE_STATES:
            state.add_metric([model, health.engine, each], float(health.state == each))
        for engine, count in sorted(health.failures.items()):
            failures.add_metric([model, engine], count)
        for (engine, loaded), count in sorted(health.loads.items()):
            loads.add_metric([model, engine, "loaded" if loaded else "failed"], count)
    yield from (state, failures, loads)


def interruption_metrics(streams: Iterable[LiveStream]) -> Iterator[Metric]:
    """Number of times that streams were lost.

    Args:
        streams: all of the server.
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


def output_metrics(restreams: Iterable[tuple[str, Restream | None]]) -> Iterator[Metric]:
    """The families `streamguard_output_*` and `streamguard_restream_*`.

    Outputs of one stream may look alike once their secrets are hidden: `output` numbers them, from 0.

    Args:
        restreams: names of streams, and their outputs.
    """
    labels = ["stream", "output", "target"]
    up = GaugeMetricFamily("streamguard_output_up", "1 while packets flow to the output.", labels=labels)
    lag = GaugeMetricFamily(
        "streamguard_output_lag_seconds", "Seconds of the stream that wait to be written.", labels=labels
    )
    counters = {
        field: CounterMetricFamily(f"streamguard_output_{name}", text, labels=labels)
        for field, name, text in (
            ("sent", "pictures", "Pictures handed to the output."),
            ("packets", "packets", "Packets of picture and sound handed to the output."),
            ("dropped", "pictures_dropped", "Pictures that the output lost, being slow or not there."),
            ("failures", "failures", "Times the output broke or could not be opened."),
            ("reconnects", "reconnects", "Times the output came up again after it had broken."),
        )
    }
    late = CounterMetricFamily(
        "streamguard_restream_pictures_dropped", "Pictures not encoded in time.", labels=["stream"]
    )
    failed = CounterMetricFamily(
        "streamguard_restream_pictures_failed",
        "Pictures that could not be painted or encoded.",
        labels=["stream"],
    )
    for stream, restream in restreams:
        if restream is None:
            continue
        late.add_metric([stream], restream.dropped)
        failed.add_metric([stream], restream.failures)
        for number, status in enumerate(restream.outputs):
            values = [stream, str(number), status.target]
            up.add_metric(values, float(status.up))
            lag.add_metric(values, status.lag)
            for field, family in counters.items():
                family.add_metric(values, getattr(status, field))
    yield from (up, lag, *counters.values(), late, failed)


def alert_metrics(alerts: Alerts, clock: Callable[[], float] = time.time) -> Iterator[Metric]:
    """Metrics of alerts and deliveries: tries of this server since its start; what waits in the whole database.

    Args:
        alerts: the service to measure.
        clock: UTC epoch seconds.
    """
    counts, latencies = alerts.deliverer.counts, alerts.deliverer.latencies
    tries = CounterMetricFamily("streamguard_webhook_tries", "Messages sent, by result.", labels=["result"])
    tries.add_metric(["delivered"], counts[AttemptOutcome.DELIVERED])
    tries.add_metric(["failed"], sum(counts[each] for each in _FAILED))
    yield tries
    yield CounterMetricFamily(
        "streamguard_webhook_retries", "Failed tries that are made again.", counts[AttemptOutcome.RETRY]
    )
    dead = counts[AttemptOutcome.DEAD] + counts[AttemptOutcome.GONE]
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


def mark_metric(history: History) -> Metric:
    """Incidents of the whole database by what people said of them."""
    marks = GaugeMetricFamily("streamguard_incidents_marked", "Incidents that people marked, by mark.", labels=["mark"])
    for mark, count in history.marks.items():
        marks.add_metric([mark.value], count)
    return marks


def check_metrics(checks: Checks) -> Iterator[Metric]:
    """Metrics of files that are checked."""
    counts = checks.counts()
    present = GaugeMetricFamily("streamguard_checks", "Files sent to be checked, by state.", labels=["state"])
    for state in _CHECK_STATES:
        present.add_metric([state], counts[state])
    yield present
    ended = CounterMetricFamily("streamguard_checks_ended", "Files checked, by what became of them.", labels=["result"])
    for result, count in sorted(checks.ended.items()):
        ended.add_metric([result], count)
    yield ended
    refused = CounterMetricFamily("streamguard_checks_refused", "Files not taken, by reason.", labels=["reason"])
    for reason, count in sorted(checks.refused.items()):
        refused.add_metric([reason], count)
    yield refused
    yield CounterMetricFamily("streamguard_checks_received_bytes", "Bytes of files taken.", checks.received)
    yield CounterMetricFamily("streamguard_checks_judging_seconds", "Time spent judging files.", checks.seconds)


def cumulated(limits: Iterable[float], counts: Iterable[int]) -> list[tuple[str, float]]:
    """Return the buckets of a Prometheus histogram: each includes those below it; the last one has no limit.

    Args:
        limits: upper limits, rising.
        counts: number in each, and beyond the last limit: one more than the limits.
    """
    total, buckets = 0, []
    for limit, count in zip((*(f"{each:g}" for each in limits), "+Inf"), counts, strict=True):
        total += count
        buckets.append((limit, float(total)))
    return buckets
