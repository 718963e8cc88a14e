"""Brings streams, rules and tokens of the configuration into the running server, and changes to them."""

from __future__ import annotations

from streamguard.config import Changes, Config, StreamSettings
from streamguard.errors import ConfigError, StreamsError
from streamguard.media import SourceOptions
from streamguard.media.sfu.room import is_room
from streamguard.pipeline.guard import WatchOptions
from streamguard.pipeline.restream import Restream
from streamguard.server.auth import Tokens
from streamguard.server.configured_rules import check_rules, settle_rules
from streamguard.server.guards import Guards
from streamguard.server.outputs import Outputs
from streamguard.server.rooms import Rooms
from streamguard.streams.hub import Hub
from streamguard.streams.live_stream import LiveStream
from streamguard.streams.request import StreamRequest


class Configured:
    """Streams, tokens and detectors of the configuration while the server runs.

    Args:
        hub: gets the streams, and knows the alerts.
        tokens: get changed.
        guards: judge; closed with this.
        rooms: get those whose source is a conference room; closed by their owner.
    """

    def __init__(self, hub: Hub, tokens: Tokens, guards: Guards, rooms: Rooms) -> None:
        self._hub, self._tokens, self._guards, self._rooms = hub, tokens, guards, rooms
        self._outputs = Outputs()
        self._live: dict[str, LiveStream] = {}
        self._alone: dict[str, StreamSettings] = {}
        self._unredirected: set[str] = set()

    async def open_one(self, stream: StreamSettings, *, origin: str, redirects: bool = True) -> None:
        """Fetch one stream that was not asked for by the configuration's file, or change it to this.

        Args:
            stream: how it is fetched and judged.
            origin: `file` or `api`, as is told of it.
            redirects: its http(s) source may redirect.

        Raises:
            ConfigError: there is no room, or a stream of that name was opened in another way.
            ModelError, EngineError: its detector cannot be opened.
        """
        await self._guards.prepare([stream.model])
        (self._unredirected.discard if redirects else self._unredirected.add)(stream.name)
        before = self._alone.get(stream.name)
        if before is not None:
            await self._start_over(before, stream)
        else:
            await self._pull(stream)
        self._live[stream.name].configured = origin == "file"
        self._alone[stream.name] = stream

    async def close_one(self, name: str, *, moved: bool) -> None:
        """End a stream that `open_one` opened, and its outputs; a no-op where there is none."""
        self._alone.pop(name, None)
        await self._close(name, moved=moved)

    async def start(self, config: Config) -> None:
        """Settle the rules and fetch the streams.

        Raises:
            ConfigError, OutboxError: a rule cannot be kept.
            ModelError, EngineError: a stream's detector cannot be opened.
        """
        await self._guards.prepare(stream.model for stream in config.streams)
        if self._hub.desk is not None and self._hub.desk.lasting:
            await check_rules(self._hub.desk.alerts.subscriptions, config)
            await settle_rules(self._hub.desk.alerts.subscriptions, config)
        for stream in config.streams:
            await self._pull(stream)

    async def aclose(self) -> None:
        """End outputs and guards; the streams must have been closed before."""
        await self._outputs.aclose()
        await self._guards.aclose()

    async def change(self, changes: Changes, before: Config, after: Config) -> list[str]:
        """Make the changes; a stream whose entry is the same is not touched, nor one whose rules alone changed;
        where `sampling` or `priority` alone did, it is judged so from then on and nothing of it begins anew.

        What was lost comes back: rules that were deleted, and streams that were removed over the API, failed or ended.

        Args:
            changes: from `before` to `after`, of nothing but what can be changed.
            before, after: the configurations.

        Returns:
            The streams that came back, by name.

        Raises:
            ConfigError, ModelError, EngineError: it cannot be; nothing was changed.
            OutboxError: the database failed; rules may have been changed, and nothing else.
        """
        lost = self._lost(changes, after)
        self._check_room(changes, lost, after)
        await self._guards.prepare(stream.model for stream in after.streams)
        desk = self._hub.desk
        if desk is not None and (before.rules or after.rules):
            await check_rules(desk.alerts.subscriptions, after)
            await settle_rules(desk.alerts.subscriptions, after, before)
        self._tokens.replace(after.server.tokens)
        self._hub.allow(after.server.max_streams, measured=after.server.admission == "measured")
        for name in changes.streams.removed:
            await self._close(name)
        await self._outputs.release(changes.streams.changed)
        old = {stream.name: stream for stream in before.streams}
        for stream in changes.streams.changed:
            await self._start_over(old[stream.name], stream)
        for stream in (*changes.streams.added, *lost):
            await self._pull(stream)
        await self._guards.keep(stream.model for stream in after.streams)
        return [stream.name for stream in lost]

    def _lost(self, changes: Changes, after: Config) -> list[StreamSettings]:
        """Return the streams whose entry is unchanged and that have ended."""
        new = {stream.name for stream in (*changes.streams.added, *changes.streams.changed)}
        there = {stream.name: stream for stream in self._hub.streams()}
        lost = []
        for stream in after.streams:
            present = there.get(stream.name)
            # A room is joined again by itself.
            if stream.name in new or _is_room(stream) or (present is not None and not present.over):
                continue
            if present is None or self._ours(stream.name):
                lost.append(stream)
        return lost

    def _check_room(self, changes: Changes, lost: list[StreamSettings], after: Config) -> None:
        names = {stream.name for stream in self._hub.streams()}
        for stream in (*changes.streams.added, *changes.streams.changed):
            if stream.name in names and not self._ours(stream.name):
                cause = "there is a stream of that name already, published or added over the API"
                raise ConfigError(f"streams.{stream.name}", cause, "choose another name, or remove that stream")
        names -= {name for name in changes.streams.removed if self._ours(name)}
        count = len(names | {stream.name for stream in (*changes.streams.added, *changes.streams.changed, *lost)})
        if count > after.server.max_streams:
            cause = f"there would be {count} streams with those of the API, more than {after.server.max_streams}"
            raise ConfigError("server.max_streams", cause, "raise it, or remove streams")

    async def _start_over(self, old: StreamSettings, new: StreamSettings) -> None:
        if _is_room(old) or _is_room(new):
            if old.model_copy(update={"rules": new.rules}) != new:
                await self._pull(new)
            return
        light = {"rules": new.rules, "sampling": new.sampling, "priority": new.priority}
        if old.model_copy(update=light) == new and self._ours(new.name) and not self._hub.find(new.name).over:
            if (old.sampling, old.priority) != (new.sampling, new.priority):
                sampling = new.sampling
                await self._hub.find(new.name).retune(sampling.judged_per_second, new.priority, sampling.detect_every)
            return
        if not self._ours(new.name) or old.model != new.model:
            await self._pull(new)
            return
        restream = await self._outputs.settle(new, self._guards.find(new.model).spec.threshold)
        self._hub.find(new.name).restream = restream
        await self._hub.swap(new.name, self._request(new, restream))

    def _ours(self, name: str) -> bool:
        """Return whether that stream is the configuration's: it may have been removed and its name reused."""
        return any(stream is self._live.get(name) for stream in self._hub.streams())

    async def _close(self, name: str, *, moved: bool = False) -> None:
        await self._rooms.close(name)
        if self._ours(name):
            await self._hub.close(name, moved=moved)
        self._live.pop(name, None)
        await self._outputs.close(name)

    async def _pull(self, stream: StreamSettings) -> None:
        await self._close(stream.name)
        guard = self._guards.find(stream.model)
        if _is_room(stream):
            self._rooms.open(stream, guard)
            return
        restream = await self._outputs.settle(stream, guard.spec.threshold)
        try:
            live = self._hub.pull(stream.name, self._request(stream, restream), guard, settled=True)
            live.restream, live.configured = restream, True
            self._live[stream.name] = live
        except StreamsError as error:
            await self._outputs.close(stream.name)
            # Between the check and this the name was taken, or the server is ending.
            raise ConfigError(f"streams.{stream.name}", error.cause, error.remedy) from None

    def _request(self, stream: StreamSettings, restream: Restream | None) -> StreamRequest:
        return _request(stream, restream, redirects=stream.name not in self._unredirected)


def _is_room(stream: StreamSettings) -> bool:
    return is_room(stream.source.get_secret_value())


def _request(stream: StreamSettings, restream: Restream | None, *, redirects: bool) -> StreamRequest:
    sampling = stream.sampling
    return StreamRequest(
        stream.source.get_secret_value(),
        SourceOptions(
            transport=stream.transport,
            hwaccel=stream.hwaccel,
            redirects=redirects,
            verify_tls=stream.verify_tls,
            read_timeout=stream.stall_seconds,
            token=stream.token.get_secret_value() if stream.token else None,
        ),
        stream.loop,
        WatchOptions(
            detect_every=sampling.detect_every,
            judged_per_second=sampling.judged_per_second,
            priority=stream.priority,
        ),
        restream.sound if restream else None,
        lasting=True,
    )
