"""Conference rooms of the configuration, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

from aiohttp import web
from aiortc import RTCIceServer
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from pydantic import Field

from streamguard.config import StreamSettings
from streamguard.media import SourceOptions
from streamguard.media.sfu.room import RoomOptions, room_adapters
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.server.documents import Document
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.streams.conference import Conference, ConferenceOptions, RoomStatus
from streamguard.streams.hub import Hub


class RefusedDocument(Document):
    """Participants who were not judged when they came, by reason."""

    participants: int = Field(description="There were `room.most_participants` already.")
    server: int = Field(description="The server had no place for one more stream.")


class RoomDocument(Document):
    """One conference room and how it does."""

    name: str
    state: Literal["starting", "up", "down"] = Field(description="up: the guard is in the room.")
    detail: str = Field(description="Why it is not.")
    cameras: int = Field(description="Videos that are sent in the room now.")
    streams: int = Field(description="Of those, the ones that are judged.")
    refused: RefusedDocument
    messages: int = Field(description="Told in the room.")
    messages_lost: int = Field(description="That could not be told.")
    reconnects: int = Field(description="Times that the room was lost.")


class RoomsDocument(Document):
    """All conference rooms, by name."""

    rooms: list[RoomDocument]


class Rooms:
    """Opens and closes the rooms, by name.

    Args:
        hub: gets the participants' streams.
        ice_servers: STUN and TURN servers.
    """

    def __init__(self, hub: Hub, ice_servers: Sequence[RTCIceServer]) -> None:
        self._hub, self._ice = hub, tuple(ice_servers)
        self._open: dict[str, Conference] = {}

    def open(self, stream: StreamSettings, guard: Guard) -> None:
        """Join the room that is the stream's source, and stay in it.

        Args:
            stream: as configured.
            guard: judges who is in it.
        """
        room = stream.room
        source = SourceOptions(
            verify_tls=stream.verify_tls,
            read_timeout=stream.stall_seconds,
            token=stream.token.get_secret_value() if stream.token else None,
        )
        options = RoomOptions(
            display=room.display,
            pin=room.pin.get_secret_value() if room.pin else None,
            api_secret=room.api_secret.get_secret_value() if room.api_secret else None,
            substream=room.substream,
            ice_servers=self._ice,
            source=source,
        )
        watch = WatchOptions(
            detect_every=stream.sampling.detect_every,
            judged_per_second=stream.sampling.judged_per_second,
            priority=stream.priority,
        )
        url = stream.source.get_secret_value()
        adapter = room_adapters()[url.partition("://")[0].lower()]
        how = ConferenceOptions(room.most_participants, room.messages, room.view, watch, source)
        conference = Conference(stream.name, partial(adapter, url, options), self._hub, guard, how)
        self._open[stream.name] = conference
        conference.start()

    async def close(self, name: str) -> None:
        """Leave a room. A no-op where it was not joined."""
        found = self._open.pop(name, None)
        if found is not None:
            await found.aclose()

    async def aclose(self) -> None:
        """Leave all of them."""
        for name in tuple(self._open):
            await self.close(name)

    def statuses(self) -> list[RoomStatus]:
        """How they do, by name."""
        return [self._open[name].status() for name in sorted(self._open)]

    def operations(self) -> list[Operation]:
        """The operations of the API."""
        listed = Success(200, "The rooms.", RoomsDocument)
        return [
            Operation(
                "GET", "/api/v1/rooms", "listRooms", "All conference rooms.", "view", self._list, answers=(listed,)
            )
        ]

    async def _list(self, call: Call[None, None]) -> web.Response:
        return json_answer(RoomsDocument(rooms=[_document(status) for status in self.statuses()]))

    def metrics(self) -> Iterator[Metric]:
        """The families `streamguard_conference_*`."""
        up = GaugeMetricFamily("streamguard_conference_up", "1 while the guard is in the room.", labels=["room"])
        cameras = GaugeMetricFamily("streamguard_conference_cameras", "Videos sent in the room.", labels=["room"])
        streams = GaugeMetricFamily("streamguard_conference_streams", "Of those, the ones judged.", labels=["room"])
        refused = CounterMetricFamily(
            "streamguard_conference_refused", "Videos not judged when they came.", labels=["room", "reason"]
        )
        told = CounterMetricFamily("streamguard_conference_messages", "Messages told in the room.", labels=["room"])
        lost = CounterMetricFamily(
            "streamguard_conference_messages_lost", "Messages that could not be told.", labels=["room"]
        )
        reconnects = CounterMetricFamily(
            "streamguard_conference_reconnects", "Times that the room was lost.", labels=["room"]
        )
        for status in self.statuses():
            up.add_metric([status.name], float(status.state == "up"))
            cameras.add_metric([status.name], status.cameras)
            streams.add_metric([status.name], status.streams)
            for reason, count in status.refused.items():
                refused.add_metric([status.name, reason], count)
            told.add_metric([status.name], status.told)
            lost.add_metric([status.name], status.lost)
            reconnects.add_metric([status.name], status.reconnects)
        yield from (up, cameras, streams, refused, told, lost, reconnects)


def _document(status: RoomStatus) -> RoomDocument:
    return RoomDocument(
        name=status.name,
        state=status.state,
        detail=status.detail,
        cameras=status.cameras,
        streams=status.streams,
        refused=RefusedDocument(participants=status.refused["participants"], server=status.refused["server"]),
        messages=status.told,
        messages_lost=status.lost,
        reconnects=status.reconnects,
    )
