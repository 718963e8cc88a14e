"""Streams added over the API: kept in the database, and fetched again after a restart."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Coroutine
from dataclasses import replace
from typing import Any

from streamguard.alerts import KeptStream
from streamguard.channel import cancel_and_wait
from streamguard.config import Config
from streamguard.errors import StreamguardError
from streamguard.logs import get_logger
from streamguard.media import SourceOptions
from streamguard.pipeline.guard import WatchOptions
from streamguard.server.alert_problems import as_problems, memory_of
from streamguard.server.problems import Problem
from streamguard.server.source_policy import SourcePolicy
from streamguard.streams.hub import Hub
from streamguard.streams.live_stream import LiveStream
from streamguard.streams.request import StreamRequest

log = get_logger("streamguard.hub")
_AGAIN = 30.0
"""Seconds after which a host whose name was not known is looked up again."""


class AddedStreams:
    """Store of streams added by the API, sealed; a stream that is removed, or whose source has ended, is dropped.

    Args:
        hub: the streams.
        policy: which sources may be fetched; asked again at each start.
        config: tells this server apart from others that share its database.
    """

    def __init__(self, hub: Hub, policy: SourcePolicy, config: Config) -> None:
        self._hub, self._policy = hub, policy
        database = config.alerts.database
        shared = database is not None and not database.get_secret_value().startswith("sqlite")
        self._server = f"{socket.gethostname()} {config.server.listen}" if shared else config.server.listen
        self._sources: dict[str, str] = {}
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, taken: Collection[str]) -> None:
        """Fetch what was kept.

        Args:
            taken: names of the configuration's streams, which come first.
        """
        try:
            kept = await memory_of(self._hub).alerts.streams.list(self._server)
        except StreamguardError as error:
            log.error("streams added over the API are not fetched again", detail=str(error))
            return
        for each in kept:
            if each.name in taken:
                log.warning("a stream of the configuration has the name of one that was added", stream=each.name)
            else:
                self._spawn(self._restore(each), f"return of {each.name}")

    async def add(self, name: str, source: str, request: StreamRequest) -> LiveStream:
        """Keep a stream, and fetch it.

        Args:
            name: unique on this server.
            source: as it was given, before names were looked up.
            request: how it is fetched.

        Raises:
            Problem: 503, the database cannot be written; it is not fetched then.
            StreamsError: as `Hub.pull`; it is not kept then.
        """
        # Two that want the same name take turns: the one refused must not touch what is kept of the other.
        async with self._turn:
            self._hub.check_room(name)
            await self._put(name, source, request)
            try:
                # Last, so that who asked for it can follow it from its first moment.
                stream = self._hub.pull(name, request)
            except BaseException:
                await self.forget(name)
                raise
        self._follow(stream)
        return stream

    async def keep(self, stream: LiveStream, source: str | None) -> None:
        """Keep what a stream was changed to; a no-op for those of the configuration.

        Args:
            stream: which.
            source: as it was given; None where it is the same as before.

        Raises:
            Problem: 503, the database cannot be written.
        """
        if stream.origin == "api":
            await self._put(stream.name, source or self._sources.get(stream.name, ""), stream.request)
            self._follow(stream)

    async def forget(self, name: str) -> None:
        """Drop the kept stream.

        Raises:
            Problem: 503, the database cannot be written.
        """
        self._sources.pop(name, None)
        async with as_problems():
            await memory_of(self._hub).alerts.streams.remove(self._server, name)

    async def aclose(self) -> None:
        """End what is under way."""
        await cancel_and_wait(*self._tasks)

    async def _put(self, name: str, source: str, request: StreamRequest) -> None:
        self._sources[name] = source
        document = {
            "source": source,
            "transport": request.options.transport,
            "loop": request.loop,
            "judged_per_second": request.watch.judged_per_second,
            "detect_every": request.watch.detect_every,
            "priority": request.watch.priority,
        }
        async with as_problems():
            await memory_of(self._hub).alerts.streams.put(self._server, KeptStream(name, document))

    async def _restore(self, kept: KeptStream) -> None:
        document = kept.document
        watch = WatchOptions(
            detect_every=document["detect_every"],
            judged_per_second=document["judged_per_second"],
            priority=document["priority"],
        )
        while True:
            try:
                source = await self._policy.checked(document["source"])
                break
            except Problem as problem:
                log.warning("a stream that was added is not fetched", stream=kept.name, detail=problem.detail)
                if problem.status == 403:
                    return
                await asyncio.sleep(_AGAIN)
        options = SourceOptions(transport=document["transport"], redirects=self._policy.redirects)
        request = StreamRequest(source, options, document["loop"], watch)
        try:
            stream = self._hub.pull(kept.name, replace(request, lasting=True), settled=True)
        except StreamguardError as error:
            log.warning("a stream that was added is not fetched", stream=kept.name, detail=str(error))
            return
        self._sources[kept.name] = document["source"]
        self._follow(stream)

    def _follow(self, stream: LiveStream) -> None:
        def over() -> None:
            if stream.state == "ended" and not stream.closed:
                self._spawn(self._forget_ended(stream.name), f"end of {stream.name}")

        stream.when_over(over)

    async def _forget_ended(self, name: str) -> None:
        try:
            await self.forget(name)
        except Problem as problem:
            log.warning("a stream that ended is still kept", stream=name, detail=problem.detail)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
