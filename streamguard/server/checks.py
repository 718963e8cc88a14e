"""Files that were uploaded to be judged: a few at a time, behind the live streams, and kept for a while."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import shutil
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

from streamguard.alerts.owner import is_gone, this_owner
from streamguard.channel import cancel_and_wait
from streamguard.config import CheckSettings
from streamguard.errors import Overloaded, StreamguardError
from streamguard.files import write_text
from streamguard.logs import get_logger
from streamguard.media import SourceOptions
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.highlights import Highlights
from streamguard.pipeline.scan import FileScan, ScanLimits
from streamguard.pipeline.scan_documents import ScanDocument, file_document, scan_document
from streamguard.pipeline.scan_page import scan_page
from streamguard.provenance import load_anchors, read_credentials

log = get_logger("streamguard.checks")
CheckState: TypeAlias = Literal["waiting", "running", "done", "failed"]
UPLOAD, PAGE = "upload", "report.html"
_OWNER = "owner"
_SWEEP = 60.0
"""Seconds between two looks for results that are too old."""
_MOST_KEPT = 500
"""Results kept at the most; the oldest go first."""
_WAIT = 30
"""Seconds after which a refused client may come back (`Retry-After`)."""
_FULL_HD_AT_60 = 1920 * 1080 * 60


@dataclass(slots=True, eq=False)
class Check:
    """One file on its way.

    Attributes:
        id: cannot be guessed.
        key: opens the page of the result, without a token.
        owner: stands for the token it was sent with.
        name: what the sender calls it; never used as a path.
        folder: where it lies.
        bytes: of the file.
        made: when it was taken, UTC.
        expires: when it will be removed, UTC; None before it has ended.
        scan: while it is judged.
        report: what became of it.
        problem: why there is no report.
    """

    id: str
    key: str
    owner: str | None
    name: str
    folder: Path
    bytes: int = 0
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    expires: datetime | None = None
    state: CheckState = "waiting"
    scan: FileScan | None = None
    report: ScanDocument | None = None
    problem: StreamguardError | None = None
    task: asyncio.Task[None] | None = None

    @property
    def progress(self) -> float:
        """Share that is judged, 0..1."""
        if self.state in {"done", "failed"}:
            return 1.0
        return self.scan.progress if self.scan is not None else 0.0


class Checks:
    """Takes files and judges them: `await start()`, later `await aclose()`. Belongs to one event loop.

    Args:
        guard: judges, as it does the live streams.
        settings: how many, how large, how long.
        clock: UTC now.

    Attributes:
        ended: checks by what became of them: `done`, `failed`, `removed` before their end, `expired` after it.
        refused: files that were not taken, by reason.
        received: bytes of all uploads.
        seconds: spent judging.
    """

    def __init__(
        self, guard: Guard, settings: CheckSettings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._guard, self.settings, self._clock = guard, settings, clock
        self._checks: dict[str, Check] = {}
        self._turns = asyncio.Semaphore(settings.at_once)
        self._uploading = 0
        self._closed = False
        self._sweeper: asyncio.Task[None] | None = None
        self._folder: Path | None = None
        self._anchors = ""
        self.ended: Counter[str] = Counter(done=0, failed=0, removed=0, expired=0)
        self.refused: Counter[str] = Counter(full=0, size=0, name=0, broken=0, disk=0)
        self.received = 0
        self.seconds = 0.0

    async def start(self) -> None:
        """Remove what earlier processes left, and begin to look after results.

        Raises:
            ConfigError: `trust_file` cannot be used.
        """
        self._anchors = await asyncio.to_thread(load_anchors, self.settings.trust_file)
        try:
            self._folder = await asyncio.to_thread(_prepare, self.settings.place)
        except (OSError, StreamguardError) as error:
            # A server whose streams run must not fail for this; whoever sends a file is told.
            log.warning("files cannot be checked", error=str(error))
        self._sweeper = asyncio.create_task(self._look_after(), name="checks")

    async def aclose(self) -> None:
        """Give up what is under way and remove everything."""
        self._closed = True
        await cancel_and_wait(self._sweeper)
        for check in tuple(self._checks.values()):
            await self.remove(check.id)
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def counts(self) -> Counter[str]:
        """Checks there are, by state, and uploads under way."""
        counts = Counter[str](uploading=self._uploading)
        counts.update(check.state for check in self._checks.values())
        return counts

    @contextlib.asynccontextmanager
    async def place(self, name: str, owner: str | None) -> AsyncGenerator[Check, None]:
        """Room for one more file while it is uploaded: a `Check` whose folder is there, to be given to `begin`.

        Raises:
            Overloaded: there is no room.
            OSError: its folder cannot be made.
        """
        counts = self.counts()
        pending = counts["uploading"] + counts["waiting"] + counts["running"]
        if self._closed or pending >= self.settings.at_once + self.settings.waiting:
            cause = "the server is shutting down" if self._closed else f"{pending} files are being checked already"
            raise self._refusal(name, cause)
        if self._folder is None:
            raise OSError(f"there is no folder {self.settings.place}")
        id = secrets.token_urlsafe(16)
        check = Check(id, secrets.token_urlsafe(16), owner, name, self._folder / id)
        self._uploading += 1
        try:
            await asyncio.to_thread(check.folder.mkdir, mode=0o700)
            yield check
        finally:
            self._uploading -= 1
            if check.task is None:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, check.folder, ignore_errors=True))

    def begin(self, check: Check) -> None:
        """Judge a file that is there, when its turn comes.

        Raises:
            Overloaded: the server is ending.
        """
        if self._closed:
            raise self._refusal(check.name, "the server is shutting down")
        self.received += check.bytes
        self._checks[check.id] = check
        check.task = asyncio.create_task(self._run(check), name=f"check {check.id}")

    def find(self, id: str) -> Check | None:
        """The check of that id."""
        return self._checks.get(id)

    def ahead(self, check: Check) -> int:
        """Files whose turn comes before a waiting one's."""
        if check.state != "waiting":
            return 0
        others = [each for each in self._checks.values() if each.state in {"waiting", "running"}]
        return others.index(check)

    async def remove(self, id: str) -> None:
        """End a check, and forget it with all that is kept. A no-op when there is none."""
        check = self._checks.pop(id, None)
        if check is None:
            return
        if check.state in {"waiting", "running"}:
            self.ended["removed"] += 1
        await cancel_and_wait(check.task)
        await asyncio.to_thread(shutil.rmtree, check.folder, ignore_errors=True)

    async def sweep(self) -> None:
        """Remove what is too old, or too many."""
        now = self._clock()
        ended = sorted((each for each in self._checks.values() if each.expires), key=lambda each: each.made)
        surplus = max(0, len(ended) - _MOST_KEPT)
        for number, check in enumerate(ended):
            if number < surplus or (check.expires is not None and check.expires <= now):
                self.ended["expired"] += 1
                await self.remove(check.id)

    def _refusal(self, name: str, cause: str) -> Overloaded:
        self.refused["full"] += 1
        refusal = Overloaded(name, cause, "try again later")
        refusal.wait = _WAIT
        return refusal

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            try:
                await self.sweep()
            except Exception:
                log.exception("old results could not be removed")

    async def _run(self, check: Check) -> None:
        async with self._turns:
            check.state, began = "running", time.monotonic()
            try:
                await self._judge(check)
            except Exception:
                log.exception("a check failed", check=check.id)
                check.problem = StreamguardError(check.name, "an error inside the server", "look at the server's log")
            finally:
                self.seconds += time.monotonic() - began
                # It holds faces, and has served its purpose.
                await asyncio.shield(asyncio.to_thread(_unlink, check.folder / UPLOAD))
        check.scan = None
        check.expires = self._clock() + timedelta(hours=self.settings.keep_hours)
        check.state = "failed" if check.problem is not None else "done"
        self.ended[check.state] += 1

    async def _judge(self, check: Check) -> None:
        settings, guard = self.settings, self._guard
        seconds = settings.max_minutes * 60
        source = SourceOptions(contained=True, max_pixels=round(settings.max_megapixels * 1e6))
        scan = FileScan(
            guard,
            str(check.folder / UPLOAD),
            WatchOptions(source=source, spare=True),
            limits=ScanLimits(seconds, seconds * _FULL_HD_AT_60),
        )
        check.scan, highlights = scan, Highlights(guard.spec.threshold)
        await scan.run(highlights.take)
        if scan.fault is not None and not scan.verdict.frames:
            check.problem = scan.fault
            return
        credentials = await asyncio.to_thread(read_credentials, check.folder / UPLOAD, self._anchors)
        report = scan_document(guard, [file_document(check.name, scan, credentials)], complete=True)
        pictures = highlights.pictures()
        page = await asyncio.to_thread(scan_page, report, check.name, pictures)
        await asyncio.to_thread(write_text, check.folder / PAGE, page)
        check.report = report


def _prepare(root: Path) -> Path:
    """A folder for this process alone, after removing those of processes that are gone."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in root.iterdir():
        try:
            owner = (folder / _OWNER).read_text()
        except OSError:
            continue
        if is_gone(owner):
            shutil.rmtree(folder, ignore_errors=True)
    owner = this_owner()
    mine = root / hashlib.sha256(owner.encode()).hexdigest()[:16]
    mine.mkdir(mode=0o700)
    (mine / _OWNER).write_text(owner)
    return mine


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
