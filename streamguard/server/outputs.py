"""Where configured streams are sent on to: one restream per stream that has outputs."""

from __future__ import annotations

from streamguard.config import StreamSettings
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
        targets = [output.get_secret_value() for output in stream.outputs]
        before = self._open.get(stream.name)
        if before is not None and before[0] == targets:
            return before[1]
        await self.close(stream.name)
        if not targets:
            return None
        made = await Restream(targets, threshold).__aenter__()
        self._open[stream.name] = targets, made
        return made

    async def close(self, stream: str) -> None:
        """End a stream's outputs in good order. A no-op when there are none."""
        found = self._open.pop(stream, None)
        if found is not None:
            await found[1].__aexit__(None, None, None)

    async def aclose(self) -> None:
        """End all of them."""
        for stream in tuple(self._open):
            await self.close(stream)
