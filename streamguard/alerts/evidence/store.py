"""Evidence on disk: kept for a while, within a size, and erased by stream."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from streamguard.alerts.evidence.links import LinkSigner
from streamguard.alerts.evidence.manifest import ManifestSigner
from streamguard.clock import Clock, wall_clock
from streamguard.errors import EvidenceError, EvidenceGone, OutputError
from streamguard.types import Event

DAY = 86_400.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(\.[a-z0-9]{1,8})?")
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Swept:
    """Result of a sweep: events' folders removed, and their bytes."""

    events: int = 0
    bytes: int = 0


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file, readable by its owner only, that outlives a power cut. Raises OSError."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


class EvidenceStore:
    """One folder per stream (by a hash of its name), in it one per event. Its methods block: keep them off the loop.

    Args:
        root: the folder of all evidence; made, readable by its owner only.
        signer: signs manifests.
        links: signs links.
        max_age: seconds that evidence is kept.
        max_bytes: what is kept in all; the oldest goes first.
        link_age: seconds that a link holds; no longer than the evidence.
        clock: UTC epoch seconds.

    Attributes:
        write: writes a new file that outlives a power cut; raises OSError.
    """

    def __init__(
        self,
        root: Path,
        signer: ManifestSigner,
        links: LinkSigner,
        *,
        max_age: float = 30 * DAY,
        max_bytes: int = 10 * 1024**3,
        link_age: float = 7 * DAY,
        clock: Clock = wall_clock,
    ) -> None:
        self._root, self._signer, self._links, self._clock = root, signer, links, clock
        self._max_age, self._max_bytes, self._link_age = max_age, max_bytes, min(link_age, max_age)
        self.write: Callable[[Path, bytes], None] = write_durably

    def save(self, event: Event, files: Mapping[str, bytes], config: str) -> tuple[str, ...]:
        """Keep an event's files with a signed manifest, all or none; their links, the manifest's first.

        Args:
            event: what they show.
            files: name -> bytes; names of letters, digits, `-`, `_` and one extension.
            config: hash of the configuration that was in force.

        Raises:
            EvidenceError: a name that is not allowed.
            OutputError: the disk is full or not writable; nothing is left behind.
        """
        for name in (event.id, *files):
            if not _NAME.fullmatch(name):
                raise EvidenceError(f"evidence `{name}`", "this name is not allowed", "use letters, digits, - and _")
        place = self._stream(event.stream) / event.id
        partial = place.with_name(f".{event.id}.{secrets.token_hex(4)}{_PARTIAL}")
        whole = {**self._signer.files(event, files, config), **files}
        try:
            partial.mkdir(mode=0o700, parents=True)
            for name, data in whole.items():
                self.write(partial / name, data)
            if place.exists():
                shutil.rmtree(place)
            partial.rename(place)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            cause = f"cannot be written ({error.strerror})"
            raise OutputError(str(place), cause, "choose a folder that is there and has room") from error
        until = self._clock() + self._link_age
        relative = place.relative_to(self._root).as_posix()
        return tuple(self._links.link(f"{relative}/{name}", until) for name in whole if name != "manifest.sig")

    def open(self, path: str, query: Mapping[str, str]) -> Path:
        """The file a signed link leads to.

        Args:
            path: the link's path after the base, percent-decoded.
            query: its query.

        Raises:
            EvidenceError: the link is wrong or expired.
            EvidenceGone: the file is kept no more.
        """
        self._links.check(path, query, self._clock())
        file = (self._root / path).resolve()
        if not file.is_relative_to(self._root.resolve()) or not file.is_file():
            cause = "it was erased, or its time is over"
            raise EvidenceGone("evidence", cause, "ask earlier readers of the link for a copy")
        return file

    def read_link(self, link: str) -> bytes | None:
        """Return the target of a link of this store; None where it is no longer kept, or is another's link."""
        parts = urlsplit(link)
        try:
            return self.open("/".join(parts.path.split("/")[-3:]), dict(parse_qsl(parts.query))).read_bytes()
        except (EvidenceError, OSError):
            return None

    def kept(self, event: Event) -> dict[str, str]:
        """Return the kept files of an event: file name -> signed link, relative to the base of all links."""
        if not _NAME.fullmatch(event.id):
            return {}
        place, until = self._stream(event.stream) / event.id, self._clock() + self._link_age
        relative = place.relative_to(self._root).as_posix()
        with contextlib.suppress(OSError):
            names = sorted(file.name for file in place.iterdir())
            return {name: self._links.relative(f"{relative}/{name}", until) for name in names}
        return {}

    def read(self, event: Event, name: str) -> bytes | None:
        """A file that is kept of an event; None where there is none."""
        if not (_NAME.fullmatch(event.id) and _NAME.fullmatch(name)):
            return None
        try:
            return (self._stream(event.stream) / event.id / name).read_bytes()
        except OSError:
            return None

    def sweep(self) -> Swept:
        """Remove what is too old, then the oldest until the rest fits; and what a kill left half written."""
        now = self._clock()
        kept, gone, gone_bytes = [], 0, 0
        for folder in self._root.glob("*/*"):
            # Another process may sweep at the same time.
            with contextlib.suppress(OSError):
                age = now - folder.stat().st_mtime
                size = sum(file.stat().st_size for file in folder.iterdir())
                if age > (DAY if folder.name.endswith(_PARTIAL) else self._max_age):
                    shutil.rmtree(folder)
                    gone, gone_bytes = gone + 1, gone_bytes + size
                else:
                    kept.append((-age, size, folder))
        total = sum(size for _, size, _ in kept)
        for _, size, folder in sorted(kept):
            if total <= self._max_bytes:
                break
            shutil.rmtree(folder, ignore_errors=True)
            total -= size
            gone, gone_bytes = gone + 1, gone_bytes + size
        for stream in self._root.glob("*"):
            with contextlib.suppress(OSError):
                stream.rmdir()
        return Swept(gone, gone_bytes)

    def erase(self, stream: str) -> int:
        """Remove all evidence of a stream; how many events had some.

        Raises:
            OutputError: something could not be removed.
        """
        folder = self._stream(stream)
        try:
            events = sum(1 for _ in folder.iterdir()) if folder.exists() else 0
            if events:
                shutil.rmtree(folder)
        except OSError as error:
            raise OutputError(str(folder), f"cannot be removed ({error.strerror})", "remove it by hand") from error
        return events

    def _stream(self, name: str) -> Path:
        """Name of a stream's folder, by hash: the name may hold any character, and stays off the disk."""
        return self._root / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
