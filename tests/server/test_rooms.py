"""Conference rooms of a real Janus: who is in them is judged, and told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest

from streamguard.server import rooms
from streamguard.server.app import Server
from streamguard.streams.conference import ConferenceOptions, RoomStatus
from streamguard.types import EventKind
from tests.server.conftest import ServeWith
from tests.server.peers import PortraitTrack, face_colour, told, until
from tests.support.janus import Janus
from tests.support.janus_guest import Guest, silent_sound

RATE = 5.0
LIMIT = 120.0


@pytest.fixture
def janus() -> Iterator[Janus]:
    with Janus() as running:
        yield running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every ten seconds is looked at twice a second."""
    monkeypatch.setattr(rooms, "ConferenceOptions", partial(ConferenceOptions, pause=0.5))


def room_of(janus: Janus, room: int | str = 1234, **settings: Any) -> dict[str, Any]:
    sampling = {"judged_per_second": RATE, "detect_every": 2}
    return {"name": "meeting", "source": f"{janus.url}/{room}", "room": settings, "sampling": sampling}


def camera(fake_from: float | None = None, seconds: float = 4.0, rate: float = RATE) -> PortraitTrack:
    """Few pictures: many such cameras run in one test."""
    return PortraitTrack(seconds=seconds, fake_from=fake_from, rate=rate)


def names(server: Server) -> set[str]:
    return {stream.name for stream in server.hub.streams() if stream.state == "up"}


def status(server: Server) -> RoomStatus:
    (one,) = server.rooms.statuses()
    return one


@asynccontextmanager
async def attended(
    serve_with: ServeWith, janus: Janus, **settings: Any
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """A server that is in the room."""
    async with serve_with(streams=[room_of(janus, **settings)]) as (server, http):
        await until(lambda: status(server).state == "up")
        yield server, http


async def test_the_fake_one_of_three_opens_an_incident_which_the_room_hears_of_and_sees(
    janus: Janus, serve_with: ServeWith
) -> None:
    async with (
        attended(serve_with, janus, view=True) as (server, http),
        Guest(janus, "Ann") as ann,
        Guest(janus, "Bob") as bob,
        Guest(janus, "Cy") as cy,
    ):
        await ann.send(camera())
        await bob.send(camera(fake_from=6.0, seconds=120.0))
        await cy.send(camera())
        await until(lambda: names(server) == {"meeting/Ann", "meeting/Bob", "meeting/Cy"}, LIMIT)
        await until(lambda: ann.feeds)
        await ann.watch()
        await until(lambda: ann.heard("fake.opened"), LIMIT)
        first = ann.heard("fake.opened")[0]
        assert (first["participant"], first["name"], first["stream"]) == (bob.id, "Bob", "meeting/Bob")
        assert first["text"].startswith("The face of Bob looks manipulated.")
        opened = await told(server, kind=EventKind.FAKE_OPENED)
        assert {event.stream for event in opened} == {"meeting/Bob"}
        assert first["incident"] == opened[-1].incident
        # Who came later is told, too.
        await until(lambda: len(ann.heard("fake.opened")) > 1, LIMIT)
        # Tiles of three in two rows: Bob's face is where the second one is.
        place = {"faces": [{"box": (0.69, 0.13, 0.80, 0.34)}]}
        await until(lambda: ann.frames and ann.frames[-1].width == 1280, LIMIT)
        await until(lambda: _orange(face_colour(ann.frames[-1], place)), LIMIT)
        async with http.get("/api/v1/streams/meeting%2FBob") as answer:
            assert (await answer.json())["name"] == "meeting/Bob"
        async with http.get("/api/v1/rooms") as answer:
            (room,) = (await answer.json())["rooms"]
        assert (room["state"], room["cameras"], room["streams"]) == ("up", 3, 3)
        async with http.get("/metrics") as answer:
            metrics = await answer.text()
        assert 'streamguard_conference_streams{room="meeting"} 3.0' in metrics
        # He leaves: no all-clear.
        await bob.switch_off()
        await until(lambda: ann.heard("fake.closed"), LIMIT)
        assert "not an all-clear" in ann.heard("fake.closed")[0]["text"]


def _orange(colour: tuple[float, float, float]) -> bool:
    """Whether it is the overlay's; skin has more blue."""
    red, green, blue = colour
    return red > green and blue < 80


async def test_who_comes_and_goes_and_changes_his_name(janus: Janus, serve_with: ServeWith) -> None:
    async with attended(serve_with, janus) as (server, _), Guest(janus, "Zoë O'Neill") as zoe:
        async with Guest(janus, "Radio") as radio:
            await radio.send(silent_sound())
            await zoe.send(camera(), silent_sound())
            await until(lambda: names(server) == {"meeting/Zoë-O-Neill"}, LIMIT)
            # Another one of the same name.
            async with Guest(janus, "Zoë O'Neill") as twin:
                await twin.send(camera())
                await until(lambda: names(server) == {"meeting/Zoë-O-Neill", "meeting/Zoë-O-Neill-2"}, LIMIT)
            await until(lambda: len(server.hub.streams()) == 1, LIMIT)
            await zoe.rename("Зоя")
            await until(lambda: names(server) == {"meeting/Зоя"}, LIMIT)
            assert status(server).cameras == 1
        await zoe.switch_off()
        await until(lambda: not server.hub.streams(), LIMIT)
        await zoe.send(camera())
        await until(lambda: names(server) == {"meeting/Зоя"}, LIMIT)


async def test_janus_is_killed_and_comes_back(janus: Janus, serve_with: ServeWith) -> None:
    async with attended(serve_with, janus) as (server, _):
        async with Guest(janus, "Ann") as ann:
            await ann.send(camera())
            await until(lambda: names(server) == {"meeting/Ann"}, LIMIT)
            janus.kill()
            await until(lambda: status(server).state == "down", LIMIT)
            assert not server.hub.streams()
        janus.start()
        async with Guest(janus, "Ann") as ann, Guest(janus, "Bob") as bob:
            await ann.send(camera())
            await bob.send(camera())
            await until(lambda: names(server) == {"meeting/Ann", "meeting/Bob"}, LIMIT)
        assert (status(server).state, status(server).reconnects) == ("up", 1)


async def test_a_room_is_destroyed_and_made_again(janus: Janus, serve_with: ServeWith) -> None:
    async with attended(serve_with, janus) as (server, _), Guest(janus, "Ann") as ann:
        await ann.destroy_room()
        await until(lambda: "the room was destroyed" in status(server).detail)
        await until(lambda: "no such room" in status(server).detail, LIMIT)
        await ann.make_room()
        await until(lambda: status(server).state == "up", LIMIT)


@pytest.mark.slow
async def test_thirty_come_at_once(janus: Janus, serve_with: ServeWith) -> None:
    async with (
        attended(serve_with, janus, most_participants=2) as (server, _),
        Guest(janus, "Ear") as ear,
        AsyncExitStack() as stack,
    ):
        await until(lambda: ear.feeds)
        await ear.watch()
        guests = [await stack.enter_async_context(Guest(janus, f"G{number}")) for number in range(30)]
        await asyncio.gather(*(guest.send(camera(rate=0.5)) for guest in guests))
        await until(lambda: status(server).cameras == 30, LIMIT)
        await until(lambda: status(server).refused["participants"] == 28, LIMIT)
        await until(lambda: len({each["name"] for each in ear.heard("unwatched")}) == 28, LIMIT)
        assert "is not watched for manipulation: 2 are judged already" in ear.heard("unwatched")[0]["text"]
        assert len(server.hub.streams()) == 2
        # There is a place: somebody else gets it.
        (gone,) = [guest for guest in guests if f"meeting/{guest.name}" == server.hub.streams()[0].name]
        await gone.switch_off()
        await until(lambda: status(server).cameras == 29 and len(server.hub.streams()) == 2, LIMIT)
