"""An open container's packets one after the other, past damage, until the end or a request to stop."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, cast

import av
import av.container
import av.error

from streamguard.errors import StreamguardError
from streamguard.media.address import Address
from streamguard.media.failures import read_failure
from streamguard.media.interrupt import Interrupt

_BAD_READS = 100
"""Unreadable stretches in a row after which a source is given up."""


class PacketReader:
    """Reads all tracks' packets. Its calls belong to one thread.

    Args:
        container: the open source.
        address: what it is, for errors.
        interrupt: breaks a read off.
        patience: seconds within which a packet of a known track must come.
        live: whether it runs in real time.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        address: Address,
        interrupt: Interrupt,
        patience: float,
        *,
        live: bool,
    ) -> None:
        self._container, self._address, self._interrupt = container, address, interrupt
        self._patience, self._live = patience, live
        self._packets = self._demux()
        self._bad = 0
        self.errors = 0
        """Unreadable stretches that were skipped."""
        self.broken: StreamguardError | None = None
        """Why reading failed for good."""

    def close(self) -> None:
        """End reading; the container stays open."""
        # Ends PyAV's time-out, which would otherwise be judged by a clock that leapt.
        self._packets.close()

    def next(self) -> Any:
        """The next packet; None at the end, at a stop, and where `broken` says why."""
        began = time.monotonic()
        while self.broken is None and not self._interrupt.is_set:
            try:
                with self._interrupt.within(self._patience):
                    packet = next(self._packets, None)
                self._bad = 0
                return packet
            except (av.FFmpegError, OSError) as error:
                # Its traceback holds this frame, and through it the decoder: no name of ours may hold it in turn.
                foreign = error.with_traceback(None)
            self._failed(foreign, timed_out=time.monotonic() - began >= 0.95 * self._patience)
        return None

    def _failed(self, foreign: Exception, *, timed_out: bool) -> None:
        if self._interrupt.is_set:
            return
        damaged = isinstance(foreign, (av.error.InvalidDataError, BlockingIOError)) and not timed_out
        if not damaged or self._bad >= _BAD_READS:
            self.broken = read_failure(self._address, foreign, live=self._live, timed_out=timed_out)
            return
        self._bad += 1
        self.errors += isinstance(foreign, av.error.InvalidDataError)
        # An error ends PyAV's generator, not the container.
        self._packets = self._demux()

    def _demux(self) -> Generator[Any, None, None]:
        # PyAV calls it an iterator, but it is a generator, and has to be closed like one.
        return cast("Generator[Any, None, None]", self._container.demux())
