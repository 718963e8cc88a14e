"""What a soak found: one document, and whether it is good enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from pydantic import BaseModel, ConfigDict

from tests.soak.ledger import FaultRecord, StreamRecord
from tests.soak.measure import Held

BACK_WITHIN = 15.0
MOST_GROWTH = 0.05
_MEGABYTE = 1024.0**2


class Document(BaseModel):
    """Base of the parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultDocument(Document):
    """One fault: seconds after the start, how long it lasted, and until each stream was judged again.

    Streams in `cut_short` were not yet back when the run was ended, and not yet late.
    """

    name: str
    at: float
    lasted: float
    back: dict[str, float | None]
    cut_short: list[str] = []


class FramesDocument(Document):
    """What became of the pictures; `on_air` is None for streams of others."""

    on_air: int | None
    received: int
    judged: int
    dropped: int


class VerdictsDocument(Document):
    """What became of the verdicts.

    Attributes:
        judged: frames with a face that was judged.
        unknown: frames whose faces were not, as the engine had failed.
        stale: judged frames that were too old; `oldest` is the greatest age in seconds, None where it is not known.
        unreadable: judged frames, of generated streams, whose age could not be told.
        silent: share of the time in which a stream had had no verdict for more than a second.
    """

    judged: int
    unknown: int
    stale: int
    unreadable: int
    oldest: float | None
    silent: float


class AlertsDocument(Document):
    """What became of the alerts.

    Attributes:
        events: alerts that had to be sent.
        sent: messages in the outbox.
        received: of those, came to the receiver.
        repeated: came more than once, under the same id.
        lost: events without a message, and messages that did not come.
        waiting: events whose messages were still to be sent when the run was cut short; neither lost nor received.
        without_evidence: opened alerts that went out without.
    """

    events: int
    sent: int
    received: int
    repeated: int
    lost: int
    waiting: int = 0
    without_evidence: int


class ProcessDocument(Document):
    """What the process held after the warm-up and at the end; None where no calm moment came."""

    memory_megabytes: tuple[float, float] | None
    memory_growth: float | None
    descriptors: tuple[int, int] | None
    threads: tuple[int, int] | None
    series: list[tuple[float, float, int, int]] = []
    """Now and then, calm or not: seconds, megabytes, descriptors, threads."""


class EngineDocument(Document):
    """How often engines failed and were loaded again, by name."""

    judging: str
    failures: dict[str, int]
    loads: dict[str, int]


class BarDocument(Document):
    """Something that must hold."""

    what: str
    value: str
    met: bool


class SoakReport(Document):
    """All of it; `interrupted` before its time."""

    seconds: float
    streams: int
    model: str
    interrupted: bool
    frames: FramesDocument
    verdicts: VerdictsDocument
    alerts: AlertsDocument
    process: ProcessDocument
    engine: EngineDocument
    faults: list[FaultDocument]
    bars: list[BarDocument]

    @property
    def good(self) -> bool:
        """Whether every bar is met."""
        return all(bar.met for bar in self.bars)


def fault_documents(faults: Iterable[FaultRecord], ended: float) -> list[FaultDocument]:
    """The faults that were mended by `ended` (monotonic seconds); times rounded."""
    return [
        FaultDocument(
            name=fault.name,
            at=round(fault.at, 2),
            lasted=round(fault.lasted or 0.0, 2),
            back={name: None if back is None else round(back, 2) for name, back in fault.back.items()},
            cut_short=[
                name for name, back in fault.back.items() if back is None and ended - fault.mended <= BACK_WITHIN
            ],
        )
        for fault in faults
        if fault.mended is not None
    ]


def verdict_document(records: Sequence[StreamRecord], seconds: float, *, numbered: bool) -> VerdictsDocument:
    """The verdicts of all streams together.

    Args:
        records: one per stream.
        seconds: that were watched.
        numbered: the pictures bear numbers.
    """
    ages = [record.oldest for record in records if record.oldest is not None]
    return VerdictsDocument(
        judged=sum(record.judged for record in records),
        unknown=sum(record.unknown for record in records),
        stale=sum(record.stale for record in records),
        unreadable=sum(record.unreadable for record in records) if numbered else 0,
        oldest=round(max(ages), 2) if ages else None,
        silent=round(sum(record.silent for record in records) / max(seconds * len(records), 1e-9), 4),
    )


def process_document(figures: tuple[Held, Held] | None, series: Iterable[tuple[float, Held]] = ()) -> ProcessDocument:
    """Two moments side by side, and what lay between: seconds, and what was held then."""
    told = [(round(at, 1), round(each.memory / _MEGABYTE, 1), each.descriptors, each.threads) for at, each in series]
    if figures is None:
        return ProcessDocument(memory_megabytes=None, memory_growth=None, descriptors=None, threads=None, series=told)
    first, last = figures
    return ProcessDocument(
        series=told,
        memory_megabytes=(round(first.memory / _MEGABYTE, 1), round(last.memory / _MEGABYTE, 1)),
        memory_growth=round(last.memory / first.memory - 1, 4),
        descriptors=(first.descriptors, last.descriptors),
        threads=(first.threads, last.threads),
    )


def bars(
    faults: Sequence[FaultDocument], verdicts: VerdictsDocument, alerts: AlertsDocument, process: ProcessDocument
) -> list[BarDocument]:
    """What must hold, and whether it does."""
    backs = [back for fault in faults for name, back in fault.back.items() if name not in fault.cut_short]
    known = [back for back in backs if back is not None]
    missed = sum(1 for back in backs if back is None or back > BACK_WITHIN)
    cut = sum(len(fault.cut_short) for fault in faults)
    worst = f"worst {max(known):.1f} s, median {median(known):.1f} s" if known else "none back" if backs else "no fault"
    cut_short = f"; {cut} cut short by the end" if cut else ""
    waiting = f"; {alerts.waiting} still to be sent at the end" if alerts.waiting else ""
    found = [
        BarDocument(
            what=f"every stream is back within {BACK_WITHIN:g} s of its source",
            value=f"{worst}, {missed} of {len(backs)} not{cut_short}",
            met=missed == 0,
        ),
        BarDocument(what="no verdict from stale frames", value=str(verdicts.stale), met=verdicts.stale == 0),
        BarDocument(
            what="all alerts delivered",
            value=f"{alerts.lost} of {alerts.events} lost{waiting}",
            met=alerts.lost == 0,
        ),
    ]
    if process.memory_growth is not None and process.descriptors is not None:
        first, last = process.descriptors
        found += [
            BarDocument(
                what=f"memory grows by less than {MOST_GROWTH:.0%} after the warm-up",
                value=f"{process.memory_growth:+.1%}",
                met=process.memory_growth < MOST_GROWTH,
            ),
            BarDocument(what="no more descriptors than before", value=f"{last - first:+d}", met=last <= first),
        ]
    return found
