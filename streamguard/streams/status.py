"""Status of a stream, for the API, the page and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from streamguard.media.output import PushStatus, Target
from streamguard.pipeline.guard import WatchOptions
from streamguard.pipeline.stream import Counts, FrameReport
from streamguard.streams.meter import Rates, Sampling
from streamguard.types import Verdict

State: TypeAlias = Literal["starting", "up", "down", "ended", "failed"]
"""`ended` and `failed` are final, until the source is changed."""


Origin: TypeAlias = Literal["file", "api", "published"]
"""`file`: of the configuration; `api`: added over the API, and kept over a restart; `published`: sent to us."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Quality of a publisher's connection, if any: bits per second / 1000, and the share of packets lost."""

    bitrate_kbps: float | None = None
    packet_loss: float | None = None


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """Status of a stream.

    Attributes:
        name: unique on this server.
        kind: sent to us, or fetched by us.
        origin: who asked for it.
        source: where it is fetched from, without secrets; None where it is sent to us.
        state, detail: whether pictures come, and why not.
        verdict: what is said of the stream.
        last_verdict: what was said of the newest judged frame, also where no pictures come any more; None before the
            first.
        size: width and height of the pictures; 0 before the first.
        viewers: tracks that are being fed.
        rates: frames per second, over the last seconds.
        totals: frames since the source was begun.
        latency: the median and the 95th percentile in seconds; None when nothing was judged lately.
        transport: the publisher's connection.
        sampling: how much of it is judged.
        watch: how it is judged.
        outputs: where it is sent on to.
        interruptions: times the source was lost.
        restarts: times that judging crashed, and was begun anew.
        newest: the newest judged frame while pictures come.
        since: when the stream came into being, UTC.
    """

    name: str
    kind: Literal["published", "pulled"]
    origin: Origin
    source: str | None
    state: State
    detail: str
    verdict: Verdict
    last_verdict: Verdict | None
    size: tuple[int, int]
    viewers: int
    rates: Rates
    totals: Counts
    latency: tuple[float, float] | None
    transport: Transport
    sampling: Sampling
    watch: WatchOptions
    outputs: tuple[tuple[PushStatus, Target], ...]
    interruptions: int
    restarts: int
    newest: FrameReport | None
    since: datetime
