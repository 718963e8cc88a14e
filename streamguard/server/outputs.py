"""Outputs of configured streams: one restream per stream that has outputs."""

from __future__ import annotations

from collections.abc import Iterable

from streamguard.config import StreamSettings
from streamguard.logs import log_fields
from streamguard.pipeline.restream import Restream


class Outputs:
    """Opens, keeps and closes the restreams, by the stream's name."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[list[str], Restream]] = {}

    def find(self, stream: str) -> Restream | None:
        """The stream's restream; None where it has no outputs."""
        found = self._open.get(stream)
        return found[1] if found else None

    async def settle(self, stream: StreamSettings, threshold: float) -> Restream | None:
        """The restream to the stream's outputs: the one there is if it leads there, else another one.

        Args:
            stream: names the outputs.
            threshold: the model's pixel threshold, 0..1.

        Raises:
            OutputError: an output is none.
        """
        targets = _targets(stream)
        before = self._open.get(stream.name)
        if before is not None and before[0] == targets:
            return before[1]
        await self.close(stream.name)
        if not targets:
            return None
        # What its tasks log is known to be of this stream.
        with log_fields(stream=stream.name):
            made = await Restream(targets, threshold).__aenter__()
        self._open[stream.name] = targets, made
        return made

    async def release(self, streams: Iterable[StreamSettings]) -> None:
        """End the outputs of those streams that lead elsewhere from now on: another stream may be given their place."""
        for stream in streams:
            before = self._open.get(stream.name)
            if before is not None and before[0] != _targets(stream):
                await self.close(stream.name)

    async def close(self, stream: str) -> None:
        """End a stream's outputs in good order. A no-op when there are none."""
        found = self._open.pop(stream, None)
        if found is not None:
            await found[1].__aexit__(None, None, None)

    async def aclose(self) -> None:
        """End all of them."""
        for stream in tuple(self._open):
            await self.close(stream)


def _targets(stream: StreamSettings) -> list[str]:
    return [output.get_secret_value() for output in stream.outputs]
