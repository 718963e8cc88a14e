"""What became of the streams: verdicts, their age, and how soon they were back after each fault."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from streamguard.pipeline.stream import FrameReport
from streamguard.types import Verdict
from tests.soak.mark import number_of

OLD = 4.0
"""Seconds from which on a picture is stale: the two that may pile up, and a generous way through the machine."""

Age = Callable[[int | None, float], float | None]


@dataclass(slots=True)
class FaultRecord:
    """One fault.

    Attributes:
        name: of the fault.
        at: seconds after the start of the soak.
        streams: those it concerns; empty where none should notice.
        lasted: seconds until it was mended; None before.
        back: seconds from then until each stream was judged again; None before.
        wants_size: the stream is back only once pictures are of another width than this.
    """

    name: str
    at: float
    streams: tuple[str, ...]
    lasted: float | None = None
    back: dict[str, float | None] = field(default_factory=dict)
    wants_size: dict[str, int] = field(default_factory=dict)
    mended: float | None = None


@dataclass(slots=True)
class StreamRecord:
    """One stream.

    Attributes:
        judged, unknown: frames with a face that was judged; with faces none of which was, as the engine had failed.
        stale: judged frames that were too old.
        unreadable: judged frames whose number could not be read.
        oldest: the greatest age of a judged frame, in seconds; None where it is not known.
        silent: seconds without a judged frame, of all gaps longer than a second.
        width: of the newest picture.
    """

    judged: int = 0
    unknown: int = 0
    stale: int = 0
    unreadable: int = 0
    oldest: float | None = None
    silent: float = 0.0
    width: int = 0
    last: float | None = None


class Ledger:
    """Takes every report of every stream.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.streams: dict[str, StreamRecord] = {}
        self._awaited: dict[str, list[FaultRecord]] = {}

    def follow(self, name: str, age: Age) -> Callable[[FrameReport], None]:
        """What takes a stream's reports.

        Args:
            name: the stream's.
            age: of a picture by its number.
        """
        record = self.streams.setdefault(name, StreamRecord())

        def take(report: FrameReport) -> None:
            if any(face.state is not Verdict.UNKNOWN for face in report.faces):
                self._judged(name, record, report, age)
            elif any(face.reason == "engine failed" for face in report.faces):
                record.unknown += 1

        return take

    def mended(self, fault: FaultRecord) -> None:
        """From now on the fault's streams are expected back."""
        fault.mended = self._clock()
        fault.back = dict.fromkeys(fault.streams)
        for name in fault.streams:
            self._awaited.setdefault(name, []).append(fault)

    @property
    def awaited(self) -> bool:
        """Whether a stream is still expected back."""
        return any(self._awaited.values())

    def _judged(self, name: str, record: StreamRecord, report: FrameReport, age: Age) -> None:
        now, image = self._clock(), report.frame.image
        record.judged += 1
        record.width = image.width
        number = number_of(image.y)
        seconds = age(number, now)
        if seconds is not None:
            record.stale += seconds > OLD
            record.oldest = max(record.oldest or 0.0, seconds)
        elif number is None:
            record.unreadable += 1
        if record.last is not None and now - record.last > 1.0:
            record.silent += now - record.last
        record.last = now
        waiting = self._awaited.get(name)
        if waiting:
            self._awaited[name] = [fault for fault in waiting if not _is_back(fault, name, report, now)]


def _is_back(fault: FaultRecord, name: str, report: FrameReport, now: float) -> bool:
    assert fault.mended is not None
    if report.frame.arrived < fault.mended or report.frame.image.width == fault.wants_size.get(name):
        return False
    fault.back[name] = now - fault.mended
    return True
