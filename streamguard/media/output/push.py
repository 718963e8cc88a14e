"""One output kept going: a bounded queue, a process that writes, and another one when that fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamguard.channel import cancel_and_wait
from streamguard.errors import OutputError
from streamguard.logs import get_logger
from streamguard.media.backoff import Backoff
from streamguard.media.failures import push_failure
from streamguard.media.output.mixer import Heads, OutPacket
from streamguard.media.output.pusher import MESSAGE, PACKET
from streamguard.media.output.target import WINDOW, Target

log = get_logger(__name__)

_MOST_BYTES, _MOST_SECONDS = 16 * 1024 * 1024, 10.0
_PIPE_BYTES = 256 * 1024
_PROGRAM = Path(__file__).with_name("pusher.py")
_ENDING = 3.0
"""Seconds in which what was begun may be finished."""


@dataclass(frozen=True, slots=True)
class PushStatus:
    """State of an output.

    Attributes:
        target: where it goes, without secrets.
        up: whether packets flow.
        sent: pictures handed to it.
        packets: packets of picture and sound handed to it.
        dropped: pictures it lost, being slow or not there.
        failures: times it broke or could not be opened.
        reconnects: times it came up again after it had broken.
        lag: seconds of the stream that wait to be written, 0 to 10 and a little.
        detail: what is amiss, for people; empty where nothing is.
    """

    target: str
    up: bool = False
    sent: int = 0
    packets: int = 0
    dropped: int = 0
    failures: int = 0
    reconnects: int = 0
    lag: float = 0.0
    detail: str = ""


class Push:
    """Sends packets to one target for ever, whatever becomes of it: `async with Push(target) as push`.

    `offer` never waits. What a slow or dead target cannot take is dropped, from keyframe to keyframe, and counted; a
    target that breaks is opened again with back-off. Belongs to one event loop.

    Args:
        target: where to.
        backoff: how long to wait between attempts.
        patience: seconds until it must be open, and until it must have taken what it was given.
        ask_keyframe: called when a server is ready for the next keyframe. What was encoded meanwhile it does not get:
            by a burst, receivers would misjudge the sender's clock.
        on_change: called with the status when the output comes up or breaks, in place of a line in the log; must be
            quick.
    """

    def __init__(
        self,
        target: Target,
        *,
        backoff: Backoff | None = None,
        patience: float = 10.0,
        ask_keyframe: Callable[[], None] | None = None,
        on_change: Callable[[PushStatus], None] | None = None,
    ) -> None:
        self._ask_keyframe = ask_keyframe
        self._target, self._backoff, self._patience = target, backoff or Backoff(), patience
        self._on_change = on_change
        self._status = PushStatus(target.shown)
        self._queue: deque[OutPacket] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._wants_keyframe = True
        self._connected = self._working = self._ending = self._begun = False
        self._muted = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def status(self) -> PushStatus:
        """State of the output now."""
        return replace(self._status, lag=self._span())

    async def __aenter__(self) -> Push:
        self._task = asyncio.create_task(self._run(), name=f"push to {self._target.shown}")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send what waits, end the output in good order where it is up, and stop."""
        self._ending = True
        self._arrived.set()
        if self._task is not None:
            if self._working:
                await asyncio.wait({self._task}, timeout=_ENDING)
            await cancel_and_wait(self._task)

    def offer(self, packets: Sequence[OutPacket]) -> None:
        """Take packets, in order."""
        for one in packets:
            first = one.kind == "video" and one.packet.keyframe
            if first and (not self._connected or self._full()):
                self._forget()
                self._wants_keyframe = False
            elif self._full():
                self._forget()
                self._wants_keyframe = True
            if first:
                self._wants_keyframe = False
            if self._wants_keyframe:
                self._lost(one)
                continue
            self._queue.append(one)
            self._bytes += len(one.packet.data)
        self._arrived.set()

    def _full(self) -> bool:
        return self._bytes > _MOST_BYTES or self._span() > _MOST_SECONDS

    def _span(self) -> float:
        return max(0.0, self._queue[-1].packet.time - self._queue[0].packet.time) if self._queue else 0.0

    def _forget(self) -> None:
        for one in self._queue:
            self._lost(one)
        self._queue.clear()
        self._bytes = 0

    def _lost(self, one: OutPacket) -> None:
        if one.kind == "video":
            self._status = replace(self._status, dropped=self._status.dropped + 1)

    async def _run(self) -> None:
        while not (self._ending and not self._queue):
            await self._until_packets()
            if not self._queue:
                continue
            began = time.monotonic()
            self._working = True
            try:
                await self._connection(self._queue[0].heads)
                continue
            except OutputError as error:
                failure = error
            except Exception as error:
                log.exception("output failed")
                failure = OutputError(self._target.shown, f"an error of our own ({type(error).__name__})", "report it")
            finally:
                up, self._connected, self._working = self._status.up, False, False
            self._wants_keyframe = True
            self._forget()
            if self._ending:
                return
            delay = self._backoff.delay(time.monotonic() - began if up else 0.0)
            failures = self._status.failures + 1
            self._change(replace(self._status, up=False, failures=failures, detail=str(failure)), delay)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._until_ending()

    async def _connection(self, heads: Heads) -> None:
        """Write packets of one kind until others follow, or the end. Raises OutputError where the output breaks."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_PROGRAM),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.transport.set_write_buffer_limits(high=_PIPE_BYTES)
        said: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        listening = asyncio.create_task(self._listen(process.stdout, said))
        feeding = asyncio.create_task(self._feed(process.stdin, heads, said))
        try:
            await asyncio.wait({listening, feeding}, return_when=asyncio.FIRST_COMPLETED)
            fault = feeding.exception() if feeding.done() else None
            if feeding.done() and (fault is None or isinstance(fault, ConnectionError)):
                process.stdin.close()
                # The last packets and the trailer may take a while; a target that hangs does not get it.
                await asyncio.wait({listening}, timeout=self._patience)
            trouble = listening.result() if listening.done() else {}
            if fault is not None and not isinstance(fault, ConnectionError):
                raise fault
            if trouble or fault is not None or not feeding.done():
                raise push_failure(self._target.shown, trouble.get("error", ""), trouble.get("errno"))
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    if not listening.done():
                        process.kill()
            for task in (feeding, listening):
                task.cancel()
            await asyncio.gather(feeding, listening, return_exceptions=True)
            with contextlib.suppress(OSError):
                process.stdin.close()
            await asyncio.shield(process.wait())

    async def _listen(self, lines: asyncio.StreamReader, said: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
        """Return the fault that the process names at its end; nothing where all went well."""
        trouble: dict[str, Any] = {}
        async for line in lines:
            message = json.loads(line)
            if "error" in message:
                trouble = message
            elif not said.done():
                said.set_result(message)
                again = self._begun and not self._status.up
                self._begun = True
                reconnects = self._status.reconnects + again
                self._change(replace(self._status, up=True, reconnects=reconnects, detail=self._silence()))
        return trouble

    async def _feed(self, out: asyncio.StreamWriter, heads: Heads, said: asyncio.Future[dict[str, Any]]) -> None:
        target, sound = self._target, heads.sound
        self._muted = sound.codec if sound is not None and not target.takes(sound.codec) else ""
        job = {
            "name": target.name,
            "format": target.format,
            "options": target.options,
            "file": str(target.file) if target.file is not None else None,
            "segments": target.segments,
            "kept": WINDOW,
            "sound": sound is not None and not self._muted,
        }
        _message(out, b"j", json.dumps(job).encode())
        _message(out, b"V", heads.video)
        if job["sound"] and sound is not None:
            _message(out, b"S", sound.file)
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.shield(said)
        except TimeoutError:
            raise push_failure(target.shown, "TimeoutError", None) from None
        self._connected = True
        if target.file is None and self._ask_keyframe is not None:
            self._forget()
            self._wants_keyframe = True
            self._ask_keyframe()
        while True:
            await self._until_packets()
            if not self._queue or self._queue[0].heads is not heads:
                return
            one = self._queue.popleft()
            self._bytes -= len(one.packet.data)
            if one.kind == "sound" and not job["sound"]:
                continue
            packet = one.packet
            numbers = packet.pts, packet.dts, packet.duration, packet.base.numerator, packet.base.denominator
            _message(out, one.kind[:1].encode(), PACKET.pack(*numbers, packet.keyframe) + packet.data)
            now = self._status
            self._status = replace(now, packets=now.packets + 1, sent=now.sent + (one.kind == "video"))
            try:
                async with asyncio.timeout(self._patience):
                    await out.drain()
            except TimeoutError:
                raise OutputError(target.shown, "it takes nothing any more", "check the server") from None

    def _silence(self) -> str:
        return f"without sound: {self._target.format} has no place for {self._muted}" if self._muted else ""

    async def _until_packets(self) -> None:
        while not self._queue and not self._ending:
            self._arrived.clear()
            await self._arrived.wait()

    async def _until_ending(self) -> None:
        while not self._ending:
            self._arrived.clear()
            await self._arrived.wait()

    def _change(self, status: PushStatus, retry_in: float | None = None) -> None:
        self._status = status
        if self._on_change is not None:
            self._on_change(status)
            return
        told = {"output": status.target, "detail": status.detail}
        if retry_in is not None:
            log.warning("output down", **told, retry=round(retry_in, 3))
        else:
            log.info("output up", **told)


def _message(out: asyncio.StreamWriter, kind: bytes, data: bytes) -> None:
    out.write(MESSAGE.pack(kind, len(data)) + data)
