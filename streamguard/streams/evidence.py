"""Evidence of a running server: made off the loop, handed out by signed links, removed in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from streamguard.alerts.evidence import EvidenceStore, Swept, picture_files
from streamguard.errors import MediaError
from streamguard.logs import get_logger
from streamguard.media.clip import clip_bytes, clip_container
from streamguard.media.packet_ring import CompressedPacket
from streamguard.pipeline.annotate import annotated
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Event

T = TypeVar("T")
log = get_logger("streamguard.evidence")


@dataclass(frozen=True, slots=True)
class Material:
    """Source material of an alert's evidence.

    Attributes:
        report: the frame at which it opened.
        packets: the seconds before, as `PacketKeeper.copy` gives them; None where there are none.
    """

    report: FrameReport
    packets: tuple[bytes, Sequence[CompressedPacket]] | None


class EvidenceKeeper:
    """Makes, finds and removes evidence, on a thread of its own: a slow disk holds up nothing else.

    Args:
        store: keeps it.
        public_key: 32 bytes, verifies the manifests.
        config: hash of the configuration in force.
        threshold: the model's pixel threshold, for the mask's contour, 0..1.
    """

    def __init__(self, store: EvidenceStore, public_key: bytes, config: str, threshold: float) -> None:
        self.public_key = public_key
        self.store, self._config, self._threshold = store, config, threshold
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="evidence")

    async def save(self, event: Event, material: Material) -> tuple[str, ...]:
        """Keep pictures and clip of an event; their links, the manifest's first.

        Raises:
            OutputError: the disk is full or not writable.
            EvidenceError: a picture cannot be encoded.
        """
        return await self._off_loop(lambda: self.store.save(event, self._files(event, material), self._config))

    async def find(self, path: str, query: Mapping[str, str]) -> Path:
        """The file a signed link leads to; raises as `EvidenceStore.open`."""
        return await asyncio.to_thread(self.store.open, path, query)

    async def erase(self, stream: str) -> int:
        """Remove a stream's evidence, also what is being made; how many events had some.

        Raises:
            OutputError: something could not be removed.
        """
        return await self._off_loop(lambda: self.store.erase(stream))

    async def sweep(self) -> Swept:
        """Remove what is too old or too much."""
        return await self._off_loop(self.store.sweep)

    async def aclose(self) -> None:
        """Finish what was begun."""
        await asyncio.to_thread(self._executor.shutdown)

    def _files(self, event: Event, material: Material) -> dict[str, bytes]:
        report = material.report
        masks = [verdict.mask for verdict in report.faces if verdict.face.track == event.track]
        crop = masks[0].crop if masks and masks[0] is not None else None
        files = picture_files(report.frame.image, annotated(report, self._threshold), crop)
        if material.packets is not None:
            try:
                head, packets = material.packets
                files[f"clip.{clip_container(head)}"] = clip_bytes(head, packets)
            except MediaError as error:
                log.warning("evidence without a clip", stream=event.stream, id=event.id, detail=str(error))
        return files

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
