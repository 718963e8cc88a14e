"""Brings streams, rules and tokens of the configuration into the running server, and changes to them."""

from __future__ import annotations

from streamguard.config import Changes, Config, StreamSettings
from streamguard.errors import ConfigError
from streamguard.media import SourceOptions
from streamguard.pipeline.guard import WatchOptions
from streamguard.pipeline.restream import Restream
from streamguard.server.auth import Tokens
from streamguard.server.configured_rules import check_rules, settle_rules
from streamguard.server.guards import Guards
from streamguard.server.hub import Hub
from streamguard.server.live_stream import LiveStream
from streamguard.server.outputs import Outputs
from streamguard.server.problems import Problem
from streamguard.server.pulled import Pulled


class Configured:
    """What comes of the configuration while the server runs.

    Args:
        hub: gets the streams, and knows the alerts.
        tokens: get changed.
        guards: judge; closed with this.
    """

    def __init__(self, hub: Hub, tokens: Tokens, guards: Guards) -> None:
        self._hub, self._tokens, self._guards = hub, tokens, guards
        self._outputs = Outputs()
        self._live: dict[str, LiveStream] = {}

    async def start(self, config: Config) -> None:
        """Settle the rules and fetch the streams.

        Raises:
            ConfigError, OutboxError: a rule cannot be kept.
            ModelError, EngineError: a stream's detector cannot be opened.
        """
        await self._guards.prepare(stream.model for stream in config.streams)
        if self._hub.desk is not None:
            await check_rules(self._hub.desk.alerts.subscriptions, config)
            await settle_rules(self._hub.desk.alerts.subscriptions, config)
        for stream in config.streams:
            await self._pull(stream)

    async def aclose(self) -> None:
        """End outputs and guards; the streams must have been closed before."""
        await self._outputs.aclose()
        await self._guards.aclose()

    async def change(self, changes: Changes, before: Config, after: Config) -> list[str]:
        """Make the changes; a stream whose entry is the same is not touched, nor one whose rules alone changed.

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
        """Those whose entry is the same, and who play no more."""
        new = {stream.name for stream in (*changes.streams.added, *changes.streams.changed)}
        there = {stream.name: stream for stream in self._hub.streams()}
        lost = []
        for stream in after.streams:
            present = there.get(stream.name)
            if stream.name in new or (present is not None and not present.over):
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
        same = old.model_copy(update={"rules": new.rules}) == new
        if same and self._ours(new.name) and not self._hub.find(new.name).over:
            return
        if not self._ours(new.name) or old.model != new.model:
            await self._pull(new)
            return
        restream = await self._outputs.settle(new, self._guards.find(new.model).spec.threshold)
        self._hub.find(new.name).restream = restream
        await self._hub.swap(new.name, _pulled(new, restream))

    def _ours(self, name: str) -> bool:
        """Whether the stream of that name is the configuration's: somebody may have removed it and taken the name."""
        return any(stream is self._live.get(name) for stream in self._hub.streams())

    async def _close(self, name: str) -> None:
        if self._ours(name):
            await self._hub.close(name)
        self._live.pop(name, None)
        await self._outputs.close(name)

    async def _pull(self, stream: StreamSettings) -> None:
        await self._close(stream.name)
        guard = self._guards.find(stream.model)
        restream = await self._outputs.settle(stream, guard.spec.threshold)
        try:
            live = self._hub.pull(stream.name, _pulled(stream, restream), guard, settled=True)
            live.restream = restream
            self._live[stream.name] = live
        except Problem as problem:
            await self._outputs.close(stream.name)
            # Between the check and this somebody took the name, or the server is ending.
            raise ConfigError(f"streams.{stream.name}", problem.detail, problem.remedy) from None


def _pulled(stream: StreamSettings, restream: Restream | None) -> Pulled:
    sampling = stream.sampling
    return Pulled(
        stream.source.get_secret_value(),
        SourceOptions(
            transport=stream.transport,
            hwaccel=stream.hwaccel,
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
