"""A stream that the server fetches itself: a camera, a network stream, or a file played over and over."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from streamguard.media import Down, SoundListener, SourceItem, SourceOptions, SourceSupervisor
from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.extensions import source_plugin
from streamguard.pipeline.guard import WatchOptions
from streamguard.types import Frame

_PAUSE = 0.04


@dataclass(frozen=True, slots=True)
class Pulled:
    """Where a pulled stream comes from.

    Attributes:
        source: URL, path or camera, with its password.
        options: how it is opened.
        loop: a file starts over at its end; its media time runs on.
        watch: how it is judged.
        sound: gets its compressed sound; a plugin's source has none.
    """

    source: str
    options: SourceOptions = SourceOptions()
    loop: bool = True
    watch: WatchOptions = WatchOptions()
    sound: SoundListener | None = None


async def pulled_frames(
    name: str, pulled: Pulled, keeper: PacketKeeper | None = None
) -> AsyncGenerator[SourceItem, None]:
    """The items of the source; a live one is reconnected for ever, a file plays at its own pace.

    Args:
        name: of the stream.
        pulled: where it comes from.
        keeper: gets the compressed packets; a plugin's source has none.

    Raises:
        StreamguardError: it cannot be opened, for a reason that waiting does not mend.
    """
    if (plugin := source_plugin(pulled.source)) is not None:
        async with aclosing(plugin(name, pulled.source)) as made:
            async for item in made:
                yield item
        return
    began, rounds, first, index, shift, last = time.monotonic(), 0, 0, 0, 0.0, 0.0
    while True:
        frames = 0
        async with (
            SourceSupervisor(
                name,
                pulled.source,
                pulled.options,
                live=True,
                wait_for_source=True,
                keeper=keeper,
                sound=pulled.sound,
            ) as source,
            aclosing(_items(source)) as items,
        ):
            async for item in items:
                if isinstance(item, Frame):
                    frames += 1
                    last, index = shift + item.time, first + item.index
                    yield replace(item, time=last, index=index) if rounds else item
                elif rounds == 0 or isinstance(item, Down):
                    yield item
        if not pulled.loop or frames == 0:
            return
        # Rounds follow each other like one long file: no vote starts over, no event is made of it.
        rounds, first, shift = rounds + 1, index + 1, max(last + _PAUSE, time.monotonic() - began)


async def _items(source: SourceSupervisor) -> AsyncGenerator[SourceItem, None]:
    async for item in source:
        yield item
