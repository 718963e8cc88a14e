"""How a stream's outputs do, for the API and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from streamguard.pipeline.restream import Restream
from streamguard.server.documents import OutputDocument


def output_documents(stream: str, restream: Restream | None) -> list[OutputDocument]:
    """One document per output, in the order of the configuration; none without a restream."""
    if restream is None:
        return []
    return [
        OutputDocument(
            target=status.target,
            up=status.up,
            detail=status.detail,
            pictures=status.sent,
            packets=status.packets,
            dropped=status.dropped,
            failures=status.failures,
            reconnects=status.reconnects,
            lag_seconds=round(status.lag, 3),
            hls=None if target.playlist is None else f"/hls/{stream}/{number}/{quote(target.playlist.name)}",
        )
        for number, (status, target) in enumerate(zip(restream.outputs, restream.targets, strict=True))
    ]


def output_metrics(restreams: Iterable[tuple[str, Restream | None]]) -> Iterator[Metric]:
    """The families `streamguard_output_*` and `streamguard_restream_*`.

    Outputs of one stream may look alike once their secrets are hidden: `output` numbers them, from 0.

    Args:
        restreams: streams' names, and where they are sent on to.
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
