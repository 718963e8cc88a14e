"""Prometheus metrics of the load: what is asked for, what is judged, what it costs, who was refused."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.server.buckets import cumulated
from streamguard.server.hub import Hub


def load_metrics(hub: Hub) -> Iterator[Metric]:
    """How loaded the machine is.

    Args:
        hub: has the streams, and measures.
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
    """What the engines were given, by detector.

    Args:
        hub: knows what judges.
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
