"""A conference room as streams: one per video in it, named `room/participant`, for as long as it is there."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

from streamguard.channel import cancel_and_wait
from streamguard.errors import SourceEnded, SourceRefused, SourceTimeout, StreamguardError, StreamsError
from streamguard.logs import get_logger
from streamguard.media import Backoff, SourceItem, SourceOptions
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.published import published_frames
from streamguard.media.sfu.room import RoomCamera, SfuRoom
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.streams.hub import Hub
from streamguard.streams.live_stream import LiveStream
from streamguard.streams.request import StreamRequest
from streamguard.streams.room_view import RoomView
from streamguard.types import Closing, Event, EventKind

log = get_logger("streamguard.room")
_LONGEST = 48
_RARELY = 60.0
_SILENCE = 5.0
RoomState: TypeAlias = Literal["starting", "up", "down"]


@dataclass(frozen=True, slots=True)
class ConferenceOptions:
    """How a room is watched.

    Attributes:
        most: videos judged at a time; those that came first.
        messages: verdicts are told in the room.
        view: the room is shown the guard's own picture.
        watch, source: how each video is judged, and received.
        pause: seconds between two looks at what has changed slowly: names, refusals, open incidents.
    """

    most: int = 12
    messages: bool = True
    view: bool = False
    watch: WatchOptions = WatchOptions()
    source: SourceOptions = SourceOptions()
    pause: float = 10.0


@dataclass(frozen=True, slots=True)
class RoomStatus:
    """How a room does.

    Attributes:
        name: of the room on this server.
        state, detail: whether the guard is in the room, and why not.
        cameras: videos in the room now.
        streams: of those, the ones that are judged.
        refused: videos that were not judged when they came, by reason: `participants` (more than are to be) and
            `server` (it has no place).
        told, lost: messages sent into the room; and those that nobody could be sent.
        reconnects: times that the guard was in the room, and lost it.
    """

    name: str
    state: RoomState
    detail: str
    cameras: int
    streams: int
    refused: Counter[str]
    told: int
    lost: int
    reconnects: int


@dataclass(slots=True)
class _JudgedCamera:
    camera: RoomCamera
    stream: LiveStream
    forget: Callable[[], None]
    opened: Event | None = None


class Conference:
    """Keeps the guard in a room: joins again for ever, whatever went wrong.

    A participant who changes his name is judged on under the new one once he has kept it for `pause` seconds: nobody
    escapes by changing it all the time. Who is refused is named in the log and in the room, and looked at again when
    there is a place.

    Args:
        name: of the room on this server; before the names of its streams.
        join: makes an adapter for one connection.
        hub: gets the streams.
        guard: judges them; None for the hub's own.
        options: how.
        backoff: how long to wait for what passes by itself.
    """

    def __init__(
        self,
        name: str,
        join: Callable[[], SfuRoom],
        hub: Hub,
        guard: Guard | None = None,
        options: ConferenceOptions | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name, self._join, self._hub, self._guard = name, join, hub, guard
        self._options = options or ConferenceOptions()
        self._soon, self._rarely = backoff or Backoff(cap=5.0), Backoff(cap=_RARELY)
        self._state: RoomState = "starting"
        self._detail = ""
        self._room: SfuRoom | None = None
        self._roster: tuple[RoomCamera, ...] = ()
        self._judged: dict[str, _JudgedCamera] = {}
        self._renamed: dict[str, tuple[str, float]] = {}
        self._turned_away: dict[str, str] = {}
        self._refused: Counter[str] = Counter(participants=0, server=0)
        self._told = self._lost = self._reconnects = 0
        self._task: asyncio.Task[None] | None = None

    def status(self) -> RoomStatus:
        """How the room does."""
        return RoomStatus(
            self.name,
            self._state,
            self._detail,
            len(self._roster),
            len(self._judged),
            self._refused,
            self._told,
            self._lost,
            self._reconnects,
        )

    def start(self) -> None:
        """Begin to join."""
        self._task = asyncio.create_task(self._run(), name=f"room {self.name}")

    async def aclose(self) -> None:
        """Leave the room, and end its streams. Safe to call twice."""
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            joined: float | None = None
            try:
                async with self._join() as room:
                    joined = clock()
                    self._rarely.reset()
                    await self._attend(room)
                failure: StreamguardError = SourceEnded(self.name, "the room ended", "It is joined again")
            except StreamguardError as error:
                failure = error
            except Exception as error:
                log.exception("room failed", room=self.name)
                cause = f"an error inside the server ({type(error).__name__})"
                failure = SourceEnded(self.name, cause, "See its log")
            finally:
                await self._leave()
            self._reconnects += joined is not None
            self._become("down", str(failure))
            lasted = 0.0 if joined is None else clock() - joined
            soon = failure.retryable or joined is not None
            await asyncio.sleep((self._soon if soon else self._rarely).delay(lasted))

    async def _attend(self, room: SfuRoom) -> None:
        """Follow who is there until the room is lost."""
        options = self._options
        view = RoomView(self.name, self._streams, self._hub.executor) if options.view else None
        mute = ""
        if options.messages or view is not None:
            try:
                await room.publish(view.join if view is not None else None)
            except SourceRefused as error:
                # Judging is worth more than telling.
                mute = str(error)
        self._room = room
        self._become("up", mute)
        cameras = room.cameras()
        following = asyncio.ensure_future(anext(cameras))
        showing = asyncio.create_task(view.run(), name=f"view of {self.name}") if view is not None else None
        try:
            while True:
                await asyncio.wait({following}, timeout=options.pause)
                if following.done():
                    try:
                        self._roster = following.result()
                    except StopAsyncIteration:
                        return
                    following = asyncio.ensure_future(anext(cameras))
                    await self._settle()
                else:
                    await self._settle()
                    self._remind()
        finally:
            await cancel_and_wait(showing)
            following.cancel()
            await asyncio.wait([following])
            await cameras.aclose()

    async def _leave(self) -> None:
        self._room = None
        self._roster = ()
        self._turned_away.clear()
        self._renamed.clear()
        await asyncio.gather(*(self._end(key) for key in tuple(self._judged)))

    async def _settle(self) -> None:
        """Bring the streams in line with who is there."""
        there = {camera.id: camera for camera in self._roster}
        gone = [key for key in self._judged if key not in there]
        gone += [key for key in self._judged if key in there and self._has_new_name(there[key])]
        await asyncio.gather(*(self._end(key) for key in gone))
        self._turned_away = {key: reason for key, reason in self._turned_away.items() if key in there}
        self._renamed = {key: change for key, change in self._renamed.items() if key in there}
        for camera in self._roster:
            if camera.id not in self._judged:
                self._begin(camera)

    def _has_new_name(self, camera: RoomCamera) -> bool:
        """Return whether he has kept another name than his stream's for long enough."""
        judged = self._judged[camera.id]
        if camera.name == judged.camera.name:
            self._renamed.pop(camera.id, None)
            return False
        now = asyncio.get_running_loop().time()
        name, since = self._renamed.get(camera.id, ("", now))
        if name != camera.name:
            # The time runs from the first of many changes: else nobody's new name would ever be taken.
            self._renamed[camera.id] = (camera.name, now if not name else since)
            return False
        return now - since >= self._options.pause

    def _begin(self, camera: RoomCamera) -> None:
        if len(self._judged) >= self._options.most:
            self._refuse(camera, "participants", f"{self._options.most} are judged already")
            return
        name = self._free_name(camera.name)
        keeper = self._hub.new_keeper()
        connect = partial(self._frames, camera, name, keeper)
        request = StreamRequest(connect, self._options.source, loop=False, watch=self._options.watch, lasting=True)
        try:
            stream = self._hub.pull(name, request, self._guard, keeper=keeper)
        except StreamsError as error:
            self._refuse(camera, "server", error.cause)
            return
        self._turned_away.pop(camera.id, None)
        judged = _JudgedCamera(camera, stream, lambda: None)
        judged.forget = stream.notices.listen(partial(self._noticed, judged))
        self._judged[camera.id] = judged
        log.info("participant judged", room=self.name, stream=name, participant=camera.participant)

    async def _end(self, key: str) -> None:
        judged = self._judged.pop(key)
        self._renamed.pop(key, None)
        if not judged.stream.closed:
            # Somebody may have removed it, and another stream may have its name.
            await self._hub.close(judged.stream.name)
        judged.forget()

    def _refuse(self, camera: RoomCamera, reason: str, cause: str) -> None:
        if self._turned_away.get(camera.id) == reason:
            return
        self._turned_away[camera.id] = reason
        self._refused[reason] += 1
        log.warning("participant not judged", room=self.name, participant=camera.participant, reason=cause)
        self._tell("unwatched", camera, f"{_shown(camera)} is not watched for manipulation: {cause}.", detail=cause)

    async def _frames(
        self, camera: RoomCamera, stream: str, keeper: PacketKeeper | None
    ) -> AsyncGenerator[SourceItem, None]:
        """One connection to a video."""
        room = self._room
        if room is None:
            raise SourceEnded(stream, "the room was left", "It is joined again")
        async with room.receive(camera, keeper) as track:
            limit, most = self._options.source.read_timeout, self._options.source.max_pixels
            async with aclosing(published_frames(track, stream, silence=_SILENCE, most_pixels=most)) as items:
                try:
                    async with asyncio.timeout(limit):
                        first = await anext(items, None)
                except TimeoutError:
                    # A new connection has the SFU ask for a key frame, too.
                    cause = f"no picture has come for {limit:g} s"
                    raise SourceTimeout(stream, cause, "The camera may be off; it is tried again") from None
                if first is not None:
                    yield first
                async for item in items:
                    yield item
        raise SourceEnded(stream, "its connection broke", "It is connected again")

    def _noticed(self, judged: _JudgedCamera, event: object) -> None:
        if not isinstance(event, Event) or event.kind not in {EventKind.FAKE_OPENED, EventKind.FAKE_CLOSED}:
            return
        opened = event.kind is EventKind.FAKE_OPENED
        judged.opened = event if opened else None
        self._tell_event(judged.camera, event)

    def _remind(self) -> None:
        """Tell those who joined since, too."""
        for judged in self._judged.values():
            if judged.opened is not None:
                self._tell_event(judged.camera, judged.opened)

    def _tell_event(self, camera: RoomCamera, event: Event) -> None:
        shown = _shown(camera)
        if event.kind is EventKind.FAKE_OPENED:
            text = f"The face of {shown} looks manipulated."
        elif event.cause is Closing.CLEARED:
            text = f"No sign of manipulation is found any more in the face of {shown}."
        else:
            text = f"The video of {shown} is judged no more; its face looked manipulated. This is not an all-clear."
        self._tell(
            event.kind.value,
            camera,
            f"{text} An automated estimate that may be wrong.",
            id=event.id,
            stream=event.stream,
            at=event.at.isoformat(),
            incident=event.incident,
            share=event.share,
            cause=event.cause.value if event.cause is not None else None,
        )

    def _tell(self, kind: str, camera: RoomCamera, text: str, **more: Any) -> None:
        if not self._options.messages or self._room is None:
            return
        about = {"type": f"streamguard.{kind}", "participant": camera.participant, "name": camera.name, "text": text}
        if self._room.tell(json.dumps({**about, **more}, ensure_ascii=False)):
            self._told += 1
        else:
            self._lost += 1

    def _streams(self) -> list[tuple[str, LiveStream]]:
        return [(_shown(judged.camera), judged.stream) for judged in self._judged.values()]

    def _free_name(self, shown: str) -> str:
        base = f"{self.name}/{participant_slug(shown)}"
        taken = {judged.stream.name for judged in self._judged.values()}
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        return name

    def _become(self, state: RoomState, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail = state, detail
            log.info("room state", room=self.name, state=state, detail=detail)


def participant_slug(shown: str) -> str:
    """The part of a stream's name that stands for a participant: letters and digits of any script.

    >>> participant_slug("Zoë  O'Neill (host)"), participant_slug("../..")
    ('Zoë-O-Neill-host', 'guest')
    """
    text = unicodedata.normalize("NFC", shown)
    parts = "".join(letter if letter.isalnum() or letter in "._" else " " for letter in text).split()
    return "-".join(parts)[:_LONGEST].strip("-._") or "guest"


def _shown(camera: RoomCamera) -> str:
    return camera.name or f"participant {camera.participant}"
