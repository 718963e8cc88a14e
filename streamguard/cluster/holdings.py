"""Holdings of one worker by the database's word: streams to open and to close. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streamguard.cluster.leases import LeaseTerms, StreamLease


@dataclass(frozen=True, slots=True)
class Steps:
    """Work to be done now: streams to close, then leases to open."""

    close: tuple[str, ...] = ()
    open: tuple[StreamLease, ...] = ()


class Holdings:
    """The worker's own view; its time is its own monotonic clock.

    Args:
        worker: its id.
        terms: how patient it is.
        now: seconds.

    Attributes:
        held: streams that are open -> the epoch in which each is held.
        given_up: streams that were closed -> the epoch; told to the database until it knows.
    """

    def __init__(self, worker: str, terms: LeaseTerms, now: float) -> None:
        self._worker, self._terms, self._heard = worker, terms, now
        self.held: dict[str, int] = {}
        self.given_up: dict[str, int] = {}
        self._closing: dict[str, int] = {}

    def learn(self, leases: Iterable[StreamLease], asked: float) -> Steps:
        """Take in the answer to a heartbeat.

        Args:
            leases: those that name the worker as owner or target.
            asked: when the heartbeat was sent.
        """
        self._heard = max(self._heard, asked)
        ours = {each.stream: each for each in leases if each.owner == self._worker}
        self.given_up = {
            stream: epoch for stream, epoch in self.given_up.items() if stream in ours and ours[stream].epoch == epoch
        }
        wanted = {name: each for name, each in ours.items() if each.target == self._worker and not each.ending}
        close = [name for name, epoch in self.held.items() if name not in wanted or wanted[name].epoch != epoch]
        self._begin_closing(close)
        busy = {*self.held, *self._closing, *self.given_up}
        fresh = tuple(each for name, each in wanted.items() if name not in busy)
        self.held.update({each.stream: each.epoch for each in fresh})
        return Steps(tuple(close), fresh)

    def take(self, lease: StreamLease) -> None:
        """Hold a stream that somebody sends us."""
        self.held[lease.stream] = lease.epoch

    def leave(self, stream: str) -> None:
        """Close a stream of our own accord."""
        self._begin_closing([stream] if stream in self.held else [])

    def closed(self, stream: str) -> None:
        """A stream that was to be closed is."""
        if stream in self._closing:
            self.given_up[stream] = self._closing.pop(stream)

    def look(self, now: float) -> Steps:
        """Return the work to be done where no answer comes: after so long alone, others surely judge what we hold."""
        if self.alone(now) <= self._terms.alone or not self.held:
            return Steps()
        left = tuple(self.held)
        self._begin_closing(left)
        return Steps(left)

    def alone(self, now: float) -> float:
        """Seconds since the database was last heard of."""
        return now - self._heard

    def _begin_closing(self, streams: Iterable[str]) -> None:
        for stream in streams:
            self._closing[stream] = self.held.pop(stream)
