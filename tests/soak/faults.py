"""The faults: how each is brought about, and mended."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from streamguard.errors import ConfigError
from streamguard.streams.evidence import EvidenceKeeper
from tests.soak.breaker import Breaker
from tests.soak.receiver import Receiver
from tests.soak.sources import GeneratedSource, Source

Action: TypeAlias = Callable[["Scene", Source, float], Awaitable[None]]


@dataclass(slots=True)
class Scene:
    """What faults are done to.

    Attributes:
        breaker: of the engines.
        best: the name of the engine that judged first.
        receiver: of the webhooks.
        evidence: of the server.
    """

    breaker: Breaker
    best: str
    receiver: Receiver
    evidence: EvidenceKeeper


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: as given on the command line.
        what: one clause for people.
        begin, end: bring it about, and mend it; of the stream that is hit, and for how many seconds.
        possible: for which streams.
        hits: `stream` the one that is hit; `all`; or `none`, whose verdicts go on as ever.
        share: of the time between two faults, for how long it lasts; smallest and largest.
    """

    name: str
    what: str
    begin: Action
    end: Action
    possible: Callable[[Source], bool] = lambda source: True
    hits: str = "stream"
    share: tuple[float, float] = (0.15, 0.3)


async def _nothing(scene: Scene, source: Source, seconds: float) -> None:
    """It mends itself."""


def _generated(source: Source) -> bool:
    return isinstance(source, GeneratedSource)


def _proxied(source: Source) -> bool:
    return source.proxy is not None


async def _kill(scene: Scene, source: Source, seconds: float) -> None:
    assert isinstance(source, GeneratedSource)
    await source.kill()


async def _start(scene: Scene, source: Source, seconds: float) -> None:
    assert isinstance(source, GeneratedSource)
    await source.start()


async def _cut(scene: Scene, source: Source, seconds: float) -> None:
    assert source.proxy is not None
    source.proxy.cut()


async def _reset(scene: Scene, source: Source, seconds: float) -> None:
    assert source.proxy is not None
    source.proxy.reset()


async def _heal(scene: Scene, source: Source, seconds: float) -> None:
    assert source.proxy is not None
    source.proxy.heal()


async def _halve(scene: Scene, source: Source, seconds: float) -> None:
    assert isinstance(source, GeneratedSource)
    source.halve(seconds)


async def _resize(scene: Scene, source: Source, seconds: float) -> None:
    assert isinstance(source, GeneratedSource)
    source.resize()


async def _break_engine(scene: Scene, source: Source, seconds: float) -> None:
    scene.breaker.break_present()


async def _kill_engine(scene: Scene, source: Source, seconds: float) -> None:
    scene.breaker.kill(scene.best)


async def _revive_engine(scene: Scene, source: Source, seconds: float) -> None:
    scene.breaker.revive()


async def _hang_engine(scene: Scene, source: Source, seconds: float) -> None:
    scene.breaker.hang_present()


async def _release_engine(scene: Scene, source: Source, seconds: float) -> None:
    scene.breaker.release()


async def _fill_disk(scene: Scene, source: Source, seconds: float) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    scene.evidence.store.write = full


async def _empty_disk(scene: Scene, source: Source, seconds: float) -> None:
    from streamguard.alerts.evidence.store import write_durably

    scene.evidence.store.write = write_durably


async def _die(scene: Scene, source: Source, seconds: float) -> None:
    scene.receiver.die()


async def _live(scene: Scene, source: Source, seconds: float) -> None:
    scene.receiver.live()


FAULTS = (
    Fault("server-killed", "the source's server is killed, and begun anew", _kill, _start, _generated),
    Fault("network-cut", "nothing gets through, and nobody is told", _cut, _heal, _proxied, share=(0.2, 0.6)),
    Fault("connection-reset", "connections break, and new ones are refused", _reset, _heal, _proxied),
    Fault("half-frames", "the second half of each coded picture is missing", _halve, _nothing, _generated),
    Fault("resolution-change", "pictures get another size", _resize, _nothing, _generated, share=(0.0, 0.0)),
    Fault(
        "engine-raises", "the engine raises until it is loaded again", _break_engine, _nothing, hits="all", share=(0, 0)
    ),
    Fault("engine-dead", "the engine raises however often it is loaded", _kill_engine, _revive_engine, hits="all"),
    # Longer than an engine has to answer: by then it has been given up.
    Fault("engine-hang", "the engine does not answer", _hang_engine, _release_engine, hits="all", share=(0.6, 0.9)),
    Fault("disk-full", "no evidence can be written", _fill_disk, _empty_disk, hits="none"),
    Fault("webhook-dead", "the webhook breaks off every connection", _die, _live, hits="none", share=(0.1, 0.2)),
)
NAMES = tuple(fault.name for fault in FAULTS)


def chosen(names: Sequence[str]) -> list[Fault]:
    """The faults of these names; all of them where none is named.

    Raises:
        ConfigError: there is none of a name.
    """
    known = {fault.name: fault for fault in FAULTS}
    if unknown := sorted(set(names) - set(known)):
        raise ConfigError(", ".join(unknown), "no fault of that name", f"choose from {', '.join(NAMES)}")
    return [known[name] for name in dict.fromkeys(names)] or list(FAULTS)
