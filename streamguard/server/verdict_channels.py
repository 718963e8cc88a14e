"""The WebRTC data channels on which a stream's verdicts are told."""

from __future__ import annotations

from typing import Protocol

_MOST_BUFFERED = 64 * 1024


class VerdictChannel(Protocol):
    """Where verdict messages go: a WebRTC data channel."""

    @property
    def readyState(self) -> str:  # noqa: N802 - as WebRTC names it
        """`connecting`, `open`, `closing` or `closed`."""
        ...

    @property
    def bufferedAmount(self) -> int:  # noqa: N802 - as WebRTC names it
        """Bytes not sent yet."""
        ...

    def send(self, data: str) -> None:
        """Queue a message."""
        ...


class VerdictChannels:
    """Sends each message to every channel that is open; one that is backed up loses its own only."""

    def __init__(self) -> None:
        self._channels: set[VerdictChannel] = set()
        self.dropped = 0
        """Messages not sent because a channel was backed up."""

    def __len__(self) -> int:
        return len(self._channels)

    def add(self, channel: VerdictChannel) -> None:
        """Send to it, as long as it is open."""
        self._channels.add(channel)

    def drop(self, channel: VerdictChannel) -> None:
        """Send to it no more. A no-op when it is not known."""
        self._channels.discard(channel)

    def clear(self) -> None:
        """Send to nobody any more."""
        self._channels.clear()

    def send(self, message: str) -> None:
        """Send a message; never waits."""
        for channel in tuple(self._channels):
            if channel.readyState == "closed":
                self._channels.discard(channel)
            elif channel.readyState == "open":
                if channel.bufferedAmount > _MOST_BUFFERED:
                    self.dropped += 1
                else:
                    channel.send(message)
