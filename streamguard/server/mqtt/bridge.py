"""Keeps a broker up to date: states and pictures retained, events as they come, `offline` by last will."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NoReturn

from streamguard import __version__
from streamguard.alerts.formats import render_payload
from streamguard.channel import cancel_and_wait
from streamguard.config.mqtt import MqttSettings
from streamguard.errors import BrokerClash, BrokerError, BrokerRefused, BrokerUnreachable, ConfigError, redact
from streamguard.logs import get_logger
from streamguard.server.listening import trusting
from streamguard.server.mqtt.commands import StreamCommands, written
from streamguard.server.mqtt.stream_state import HomeState
from streamguard.server.mqtt.topics import OFFLINE, ONLINE, Topics, server_documents, stream_documents
from streamguard.streams.hub import Hub
from streamguard.streams.live_events import LiveEvents
from streamguard.types import Event

log = get_logger("streamguard.mqtt")

MOST_EVENTS = 1000
"""Events kept for a broker that is away; the oldest goes first, counted."""
KEEP_ALIVE = 20
"""Seconds; a broker takes a client for dead after half as much again, and publishes its last will."""
EVERY = 1.0
"""Seconds between two looks for what has changed."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
TIMEOUT = 10.0
LEFT = 2.0
"""Seconds that the farewell may take."""
_BAD_CREDENTIALS = frozenset({4, 5, 134, 135, 140})
"""CONNACK codes of MQTT 3.1.1 (3.2.2.3) and 5.0 (3.2.2.2) for a name, password or right that will not do."""


class MqttBridge:
    """Owns the connection, from `start` to `aclose`. A broker that is away slows down nothing, and loses no state.

    Args:
        settings: which broker, and what is published.
        hub: has the streams.
        events: all events, and the newest pictures.
        commands: does what is asked over the broker.
        site: URL of the server's page, for links; empty for none.

    Raises:
        ConfigError: aiomqtt is not installed, or the file of certificates cannot be used.
    """

    def __init__(
        self, settings: MqttSettings, hub: Hub, events: LiveEvents, commands: StreamCommands, site: str = ""
    ) -> None:
        self._settings, self._hub, self._live, self._commands, self._site = settings, hub, events, commands, site
        self._library = _library()
        self._tls = trusting(settings.ca_file) if settings.tls else None
        self._topics = Topics.of(settings)
        self._instance = secrets.token_hex(8)
        self._states: dict[str, HomeState] = {}
        self._pictures: dict[str, bytes] = {}
        self._waiting: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._detail = ""
        self.connected = False
        self.published = 0
        """Messages since the start."""
        self.dropped = 0
        """Events given up since the start."""
        self.failures: Counter[str] = Counter(unreachable=0, refused=0, clash=0)
        """Connections that failed or broke off, since the start."""
        self._forget: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to publish."""
        self._forget = self._live.added.listen(self._put)
        self._task = asyncio.create_task(self._run(), name="mqtt bridge")

    async def aclose(self) -> None:
        """Say farewell, and end."""
        self._forget()
        await cancel_and_wait(self._task)

    def _put(self, event: Event) -> None:
        """Add an event; never waits."""
        self._states.setdefault(event.stream, HomeState()).take(event)
        if len(self._waiting) >= MOST_EVENTS:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(event)
        self._changed.set()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._connection()
            except BrokerError as error:
                if self.connected:
                    pause = FIRST_PAUSE
                self.connected = False
                kind = {BrokerClash: "clash", BrokerRefused: "refused"}.get(type(error), "unreachable")
                self.failures[kind] += 1
                # Once for each cause: a broker may be away for hours.
                if str(error) != self._detail:
                    log.warning("broker is not told", detail=str(error), seconds=pause)
                self._detail = str(error)
                await asyncio.sleep(pause if error.retryable else LONGEST_PAUSE)
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                self.connected = False
                log.exception("broker is not told")
                await asyncio.sleep(LONGEST_PAUSE)

    async def _connection(self) -> NoReturn:
        """Connect, and keep the broker up to date until it breaks off."""
        settings, (host, port) = self._settings, self._settings.where
        library = self._library
        client = library.Client(
            host,
            port,
            identifier=f"{self._topics.node[:40]}-{self._instance}",
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password else None,
            will=library.Will(self._topics.availability, OFFLINE, qos=1, retain=True),
            keepalive=KEEP_ALIVE,
            timeout=TIMEOUT,
            tls_context=self._tls,
            max_queued_incoming_messages=MOST_EVENTS,
            max_queued_outgoing_messages=MOST_EVENTS,
        )
        try:
            if self._tls is not None:
                # The library leaves the socket of a handshake that fails open, and does not tell why it failed.
                async with asyncio.timeout(TIMEOUT):
                    _, writer = await asyncio.open_connection(host, port, ssl=self._tls)
                writer.transport.abort()
            async with client:
                await self._serve(client)
        except library.MqttError as error:
            raise self._told(error) from None
        except (OSError, TimeoutError) as error:
            cause = f"the broker cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})"
            raise BrokerUnreachable(f"{host}:{port}", cause, "see whether it runs, and who may connect") from None
        raise BrokerUnreachable(f"{host}:{port}", "the connection ended", "it is made anew")

    async def _serve(self, client: Any) -> None:
        messages = client.messages
        left = await self._take_name(client, messages)
        if self._detail:
            log.info("broker is told again", host=self._settings.host)
        self._detail, self.connected = "", True
        for topic in (self._topics.home, *self._asked()):
            await client.subscribe(topic, qos=1)
        known: dict[str, str | bytes] = dict.fromkeys(left, " ")
        listening = asyncio.create_task(self._listen(client, messages, known), name="mqtt listener")
        telling = asyncio.create_task(self._tell(client, known), name="mqtt teller")
        try:
            done, _ = await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except asyncio.CancelledError:
            # First: the listener would take the farewell for the last will of a connection that broke off.
            await _ended(listening, telling)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(LEFT):
                    await client.publish(self._topics.availability, OFFLINE, qos=1, retain=True)
            raise
        finally:
            await _ended(listening, telling)

    async def _take_name(self, client: Any, messages: Any) -> set[str]:
        """Look who has the name, and take it; the topics of documents that an earlier run left.

        Raises:
            BrokerClash: another server has it, and is there.
        """
        topics = self._topics
        probe = f"{topics.base}/probe/{self._instance}"
        for topic in (topics.availability, topics.owner, topics.config("+", "+"), probe):
            await client.subscribe(topic, qos=1)
        await client.publish(probe, "?", qos=1)
        kept: dict[str, bytes] = {}
        # What is retained comes before what is published after it was asked for.
        async with asyncio.timeout(TIMEOUT):
            async for message in messages:
                if message.topic.value == probe:
                    break
                kept[message.topic.value] = bytes(message.payload or b"")
        owner = kept.pop(topics.owner, b"")
        if kept.pop(topics.availability, b"") == ONLINE.encode() and owner not in {b"", self._instance.encode()}:
            raise self._clash()
        await self._claim(client)
        return {topic for topic, payload in kept.items() if payload}

    async def _claim(self, client: Any) -> None:
        await client.publish(self._topics.owner, self._instance, qos=1, retain=True)
        await client.publish(self._topics.availability, ONLINE, qos=1, retain=True)

    def _clash(self) -> BrokerClash:
        name = self._settings.name
        cause = f"another server publishes as `{name}`"
        return BrokerClash(self._topics.base, cause, "give each its own server.mqtt.name")

    def _asked(self) -> list[str]:
        asked = []
        if self._commands.allowed & {"add", "remove"}:
            asked.append(self._topics.command)
        if "pause" in self._commands.allowed:
            asked.append(self._topics.of_stream("+", "judged/set"))
        return asked

    async def _listen(self, client: Any, messages: Any, known: dict[str, str | bytes]) -> None:
        topics, streams = self._topics, f"{self._topics.base}/streams/"
        async for message in messages:
            topic, payload = message.topic.value, bytes(message.payload or b"")
            if topic == topics.owner and payload not in {b"", self._instance.encode()}:
                # Two that started at the same moment: one of them gives way.
                if payload.decode("utf-8", "replace") < self._instance:
                    raise self._clash()
                await self._claim(client)
            elif topic == topics.availability and payload == OFFLINE.encode():
                # The last will of a connection of ours that broke off, or of one that gave way.
                await client.publish(topics.availability, ONLINE, qos=1, retain=True)
            elif topic == topics.home and payload == b"online":
                known.clear()
                self._changed.set()
            elif message.retain:
                # A command that was left lying was meant for another time.
                continue
            elif topic == topics.command:
                await client.publish(topics.answer, written(await self._commands.take(payload)), qos=1)
                self._changed.set()
            elif topic.endswith("/judged/set") and topic.startswith(streams):
                stream = topic.removeprefix(streams).removesuffix("/judged/set")
                await client.publish(topics.answer, written(await self._commands.judge(stream, payload)), qos=1)
                self._changed.set()

    async def _tell(self, client: Any, known: dict[str, str | bytes]) -> None:
        """Publish what is different, and events; for as long as the connection lasts."""
        while True:
            self._changed.clear()
            wanted = self._retained()
            for topic in [topic for topic in known if topic not in wanted]:
                # An empty message takes back what is retained.
                await self._publish(client, topic, "", retain=True)
                known.pop(topic, None)
            for topic, payload in wanted.items():
                if known.get(topic) != payload:
                    await self._publish(client, topic, payload, retain=True)
                    known[topic] = payload
            while self._waiting:
                event = self._waiting[0]
                if (message := render_payload("streamguard", event)) is not None:
                    await self._publish(client, self._topics.of_stream(event.stream, "event"), message.body)
                if self._waiting and self._waiting[0] is event:
                    self._waiting.popleft()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._changed.wait()

    def _retained(self) -> dict[str, str | bytes]:
        """Topic -> what lies there now: documents, states, pictures."""
        topics, settings = self._topics, self._settings
        documents = server_documents(topics, __version__, self._site)
        found: dict[str, str | bytes] = {}
        streams = self._hub.streams()
        for stream in streams:
            switch = "pause" in self._commands.allowed and stream.kind == "pulled"
            documents |= stream_documents(
                topics, stream.name, __version__, self._site, pictures=settings.pictures, switch=switch
            )
        # Documents first: who learns of an entity then learns of its state.
        found |= {topic: json.dumps(document) for topic, document in documents.items()}
        names = {stream.name for stream in streams}
        for name in [name for name in self._states if name not in names]:
            del self._states[name]
        for stream in streams:
            state = self._states.setdefault(stream.name, HomeState())
            up = ONLINE if stream.state == "up" else OFFLINE
            found[topics.of_stream(stream.name, "availability")] = up
            found[topics.of_stream(stream.name, "state")] = state.document(stream)
            # Pictures that were erased, or are kept no more, are taken back.
            if settings.pictures and (jpeg := self._live.picture(state.opened)) is not None:
                found[topics.of_stream(stream.name, "image")] = jpeg
        return found

    async def _publish(self, client: Any, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        await client.publish(topic, payload, qos=1, retain=retain)
        self.published += 1

    def _told(self, error: Exception) -> BrokerError:
        host, port = self._settings.where
        code = getattr(error, "rc", None)
        number = getattr(code, "value", code)
        if number in _BAD_CREDENTIALS:
            cause = "the broker refuses this server's name, password or rights"
            return BrokerRefused(f"{host}:{port}", cause, "correct server.mqtt.username and password")
        cause = f"the broker cannot be reached, or broke off ({redact(str(error))[:200] or type(error).__name__})"
        return BrokerUnreachable(f"{host}:{port}", cause, "see whether it runs, and who may connect")


def check_broker(settings: MqttSettings) -> None:
    """Refuse what the bridge could never begin with. Nothing is opened but the file of certificates.

    Raises:
        ConfigError: as `MqttBridge`.
    """
    _library()
    trusting(settings.ca_file)


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _library() -> Any:
    try:
        import aiomqtt
    except ModuleNotFoundError:
        raise ConfigError("server.mqtt", "aiomqtt is not installed", 'pip install "streamguard[mqtt]"') from None
    return aiomqtt
