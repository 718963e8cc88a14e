"""What goes wrong between the guard and a real Janus is told as what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from streamguard.errors import (
    SourceEnded,
    SourceError,
    SourceNotFound,
    SourceRefused,
    SourceUnauthorized,
    UnsupportedMedia,
)
from streamguard.media import SourceOptions
from streamguard.media.sfu.janus_room import JanusRoom
from streamguard.media.sfu.room import RoomCamera, RoomOptions
from tests.support.hosts import refused_port
from tests.support.janus import Janus
from tests.support.janus_guest import Guest


@pytest.fixture(scope="module")
def janus() -> Iterator[Janus]:
    with Janus({1234: {}, 77: {"pin": "s3cret-pin"}, 9: {"videocodec": "vp9"}}) as running:
        yield running


async def joined(url: str, **options: Any) -> None:
    async with JanusRoom(url, RoomOptions(**options)):
        pass


@pytest.mark.parametrize(
    ("room", "options", "kind", "words"),
    [
        ("4321", {}, SourceNotFound, "Janus has no such room"),
        ("lobby", {}, SourceRefused, "the VideoRoom refuses"),
        ("77", {}, SourceUnauthorized, "the room asks for a PIN or a token"),
        ("77", {"pin": "wrong"}, SourceUnauthorized, "the room asks for a PIN or a token"),
        ("", {}, SourceNotFound, "the URL names no room"),
    ],
)
async def test_a_room_that_cannot_be_joined(
    janus: Janus, room: str, options: dict[str, Any], kind: type[SourceError], words: str
) -> None:
    with pytest.raises(kind, match=words) as raised:
        await joined(f"{janus.url}/{room}", **options)
    assert "wrong" not in str(raised.value)


async def test_a_pin_opens_and_is_not_shown(janus: Janus) -> None:
    options = RoomOptions(pin="s3cret-pin", api_secret="hidden", source=SourceOptions(token="t0ken"))
    async with JanusRoom(f"{janus.url}/77", options) as room:
        assert await anext(room.cameras()) == ()
    assert not {word for word in ("s3cret-pin", "hidden", "t0ken") if word in repr(options)}


async def test_a_token_opens_a_room_that_asks_for_one(janus: Janus) -> None:
    async with Guest(janus, "Ann") as ann:
        await ann.ask({"request": "create", "room": 55, "allowed": ["invited"]})
        with pytest.raises(SourceUnauthorized, match="the room asks for a PIN or a token"):
            await joined(f"{janus.url}/55")
        await joined(f"{janus.url}/55", source=SourceOptions(token="invited"))


async def test_servers_that_are_not_what_they_should_be(janus: Janus) -> None:
    with pytest.raises(SourceRefused, match="connection refused"):
        await joined(f"janus+ws://127.0.0.1:{refused_port()}/1234")
    with Janus(plugins=("echotest",)) as other, pytest.raises(SourceNotFound, match="no VideoRoom plugin"):
        await joined(f"{other.url}/1234")
    with Janus(api_secret="open-sesame") as locked:
        with pytest.raises(SourceUnauthorized, match="an API secret"):
            await joined(f"{locked.url}/1234", api_secret="wrong")
        await joined(f"{locked.url}/1234", api_secret="open-sesame")

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SourceRefused, match="this is no WebSocket of Janus"):
            await joined(f"janus+ws://127.0.0.1:{port}/1234")


async def test_rooms_with_texts_for_ids() -> None:
    with Janus({"lobby": {}, "12": {}}, string_ids=True) as janus:
        await joined(f"{janus.url}/lobby")
        await joined(f"{janus.url}/12")


async def test_a_guard_that_is_sent_away(janus: Janus) -> None:
    async with Guest(janus, "Ann") as ann, JanusRoom(f"{janus.url}/1234", RoomOptions()) as room:
        cameras = room.cameras()
        await anext(cameras)
        listed = await ann.ask({"request": "listparticipants", "room": 1234})
        (guard,) = [each["id"] for each in listed["participants"] if each["display"] == "streamguard"]
        await ann.ask({"request": "kick", "room": 1234, "id": guard})
        with pytest.raises(SourceUnauthorized, match="the guard was sent away"):
            await anext(cameras)


async def test_a_camera_that_cannot_be_received(janus: Janus) -> None:
    async with JanusRoom(f"{janus.url}/9", RoomOptions()) as room:
        with pytest.raises(UnsupportedMedia, match="its video is vp9"):
            async with room.receive(RoomCamera("1:0", 1, "Ann", "vp9"), None):
                pass
        with pytest.raises(SourceEnded, match="the participant has left"):
            async with room.receive(RoomCamera("1:0", 1, "Ann", "vp8"), None):
                pass
