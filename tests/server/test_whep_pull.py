"""Streams pulled by WHEP: from a server of our own, from GStreamer, and from endpoints that misbehave."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from streamguard.errors import (
    NoVideo,
    SourceEnded,
    SourceNotFound,
    SourceRefused,
    SourceTimeout,
    SourceUnauthorized,
    SourceUntrusted,
    StreamguardError,
    UnsupportedMedia,
)
from streamguard.media import Backoff, Down, Retry, SourceItem, SourceOptions, SourceSupervisor, Taps, Up, open_source
from streamguard.media.packet_ring import PacketKeeper
from streamguard.server.app import Server
from streamguard.types import EventKind, Frame
from tests.server.conftest import ServeWith
from tests.server.peers import published, until
from tests.server.test_auth import ADMIN, TOKENS, VIEW
from tests.support.hosts import refused_port, silent_host
from tests.support.portraits import RATE

LIMIT = 60.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SERVER = Path(__file__).parents[1] / "support" / "gst_whep_server.py"
MISSING = 77


def pull_url(server: Server, stream: str = "clip", overlay: str = "none") -> str:
    return f"whep+{server.url}/whep/{stream}?overlay={overlay}"


async def items_until(source: SourceSupervisor, enough: Callable[[list[SourceItem]], bool]) -> list[SourceItem]:
    """Its items, until enough."""
    found: list[SourceItem] = []
    async with asyncio.timeout(LIMIT):
        async for item in source:
            found.append(item)
            if enough(found):
                break
    return found


def frames(items: list[SourceItem]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


async def failure(url: str, **options: object) -> StreamguardError:
    """Why a stream cannot be pulled at first."""
    settings = SourceOptions(**{"open_timeout": 5.0, **options})  # type: ignore[arg-type]  # names of fields
    async with SourceSupervisor("s", url, settings) as source, asyncio.timeout(LIMIT):
        try:
            await anext(source)
        except StreamguardError as error:
            return error
    raise AssertionError("it could be pulled")


async def test_our_own_server_is_pulled_from_and_told_of_the_end(serve_with: ServeWith, half_fake: Path) -> None:
    streams = [{"name": "clip", "source": str(half_fake)}]
    async with serve_with(tokens=TOKENS, streams=streams) as (server, http):
        keeper = PacketKeeper(10.0, 1024**2)
        options = SourceOptions(token=VIEW)
        async with SourceSupervisor("s", pull_url(server), options, taps=Taps(keeper=keeper)) as source:
            items = await items_until(source, lambda found: len(frames(found)) >= 40)
            assert server.book.count("whep") == 1
        up, seen = items[0], frames(items)
        assert isinstance(up, Up)
        assert (up.width, up.height, up.live, up.codec) == (320, 240, True, "webrtc")
        assert [frame.epoch for frame in seen] == [0] * len(seen)
        times = [frame.time for frame in seen]
        assert times == sorted(set(times))
        # Frames that were left out are the gaps in the numbering; the clock begins with the first, read or not.
        assert seen[-1].index + 1 - len(seen) <= source.dropped
        assert times[-1] == pytest.approx(seen[-1].index / RATE, abs=0.5)
        assert keeper.copy() is not None
        await until(lambda: server.book.count() == 0)
        told = await (await http.get("/metrics", headers={"Authorization": f"Bearer {VIEW}"})).text()
        assert 'streamguard_http_requests_total{method="DELETE",status="200"} 1.0' in told


async def test_a_fake_is_found_in_a_stream_of_another_server(serve_with: ServeWith) -> None:
    bearer = {"Authorization": f"Bearer {ADMIN}"}
    async with (
        serve_with(tokens=TOKENS) as (origin, _),
        aiohttp.ClientSession(origin.url, headers=bearer) as admin,
        published(admin, "cam"),
    ):
        entry = {"name": "pulled", "source": pull_url(origin, "cam"), "token": VIEW}
        async with serve_with(streams=[entry]) as (guard, http):
            await until(lambda: guard.events.counts[EventKind.FAKE_OPENED] == 1)
            document = await (await http.get("/api/v1/streams/pulled")).json()
            assert (document["state"], document["width"]) == ("up", 320)
            assert VIEW not in str(document)
        await until(lambda: origin.book.count("whep") == 0)


async def test_it_is_found_again_when_its_server_comes_back(serve_with: ServeWith, real: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as asked:
        port = asked.getsockname()[1]
    streams = [{"name": "clip", "source": str(real)}]
    options = SourceOptions(open_timeout=5, read_timeout=3)
    url = f"whep+http://127.0.0.1:{port}/whep/clip"
    async with SourceSupervisor("s", url, options, retry=Retry("retryable", backoff=Backoff(0.1, cap=0.5))) as source:
        first = await items_until(source, lambda found: len(found) >= 2)
        assert all(isinstance(item, Down) and isinstance(item.error, SourceRefused) for item in first)
        async with serve_with(listen=f"127.0.0.1:{port}", streams=streams):
            await items_until(source, lambda found: len(frames(found)) >= 5)
        gone = await items_until(source, lambda found: isinstance(found[-1], Down))
        assert isinstance(gone[-1].error, SourceEnded | SourceTimeout)  # type: ignore[union-attr]  # a Down
        async with serve_with(listen=f"127.0.0.1:{port}", streams=streams):
            back = await items_until(source, lambda found: len(frames(found)) >= 5)
            assert {frame.epoch for frame in frames(back)} == {1}


async def test_tokens_are_asked_for_and_never_told(
    serve_with: ServeWith, real: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serve_with(tokens=TOKENS, streams=[{"name": "clip", "source": str(real)}]) as (server, _):
        for token in (None, "a-token-that-nobody-knows-0123"):
            error = await failure(pull_url(server), token=token)
            assert isinstance(error, SourceUnauthorized)
            assert "nobody-knows" not in str(error)
        options = SourceOptions(token=VIEW)
        assert VIEW not in repr(options)
        async with SourceSupervisor("s", pull_url(server), options) as source:
            await items_until(source, lambda found: len(frames(found)) >= 3)
        assert isinstance(await failure(pull_url(server, "nobody"), token=VIEW), SourceNotFound)
    assert VIEW not in caplog.text


@asynccontextmanager
async def endpoint(handler: Handler, *, tls: trustme.CA | None = None) -> AsyncIterator[TestServer]:
    """A web server that answers every request so."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    server = TestServer(app)
    context = None
    if tls is not None:
        import ssl

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.issue_cert("127.0.0.1").configure_cert(context)
    await server.start_server(ssl=context)
    try:
        yield server
    finally:
        await server.close()


def answering(status: int, text: str = "", **headers: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, text=text, headers=headers)

    return handle


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (401, SourceUnauthorized, False),
        (403, SourceUnauthorized, False),
        (404, SourceNotFound, False),
        (405, SourceNotFound, False),
        (406, UnsupportedMedia, False),
        (409, SourceRefused, True),
        (503, SourceRefused, True),
        (200, SourceRefused, True),
    ],
)
async def test_refusals(status: int, kind: type[StreamguardError], retryable: bool) -> None:
    async with endpoint(answering(status)) as server:
        error = await failure(f"whep+{server.make_url('/whep')}")
    assert (type(error), error.retryable) == (kind, retryable)


@pytest.mark.parametrize("text", ["v=0\r\n", "hello", "x" * 70_000])
async def test_an_answer_that_is_none_ends_the_session(text: str) -> None:
    ended: list[tuple[str, str | None]] = []

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        if request.method == "DELETE":
            ended.append((request.path, request.headers.get("Authorization")))
            return web.Response()
        headers = {"Location": "sessions/1", "Content-Type": "application/sdp"}
        return web.Response(status=201, text=text, headers=headers)

    async with endpoint(handle) as server:
        error = await failure(f"whep+{server.make_url('/whep/x')}", token="t0ken-of-the-test")
    assert isinstance(error, UnsupportedMedia | NoVideo)
    assert ended == [("/whep/sessions/1", "Bearer t0ken-of-the-test")]


async def test_a_token_is_shown_to_nobody_else() -> None:
    seen: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=404)

    async with (
        endpoint(elsewhere) as other,
        endpoint(answering(307, Location=str(other.make_url("/whep")))) as server,
    ):
        url = f"whep+{server.make_url('/whep')}"
        assert isinstance(await failure(url, token="t0ken-of-the-test"), SourceNotFound)
        error = await failure(url, token="t0ken-of-the-test", redirects=False)
        assert isinstance(error, SourceRefused)
        assert "307" in str(error)
    assert seen == [None]


async def test_a_stream_that_gets_another_source_loses_its_token(serve_with: ServeWith) -> None:
    seen: list[str | None] = []

    async def recording(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=503)

    async with endpoint(recording) as server:
        url = f"whep+{server.make_url('/')}"
        async with serve_with(streams=[{"name": "s", "source": f"{url}a", "token": "t0ken-of-the-test"}]) as (_, http):
            await until(lambda: seen)
            assert (await http.patch("/api/v1/streams/s", json={"source": f"{url}b"})).status == 200
            told = len(seen)
            await until(lambda: len(seen) > told + 1)
    assert seen[0] == "Bearer t0ken-of-the-test"
    assert seen[-1] is None


async def test_hosts_that_are_not_there_or_silent() -> None:
    assert isinstance(await failure(f"whep+http://127.0.0.1:{refused_port()}/x"), SourceRefused)
    assert isinstance(await failure("whep+http://no-such-host.invalid/x"), SourceNotFound)
    assert isinstance(await failure("whep+http:///x"), SourceNotFound)
    with silent_host() as port:
        assert isinstance(await failure(f"whep+http://127.0.0.1:{port}/x", open_timeout=1.0), SourceTimeout)


async def test_an_answer_without_pictures_behind_it() -> None:
    """The endpoint agrees, and then nobody is there."""
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    from streamguard.media.aiortc_hooks import close_connection
    from tests.server.peers import PortraitTrack

    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    async def handle(request: web.Request) -> web.Response:
        if request.method == "DELETE":
            return web.Response()
        pc.addTrack(PortraitTrack(seconds=0.1))
        await pc.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        await close_connection(pc)
        headers = {"Location": "/1", "Content-Type": "application/sdp"}
        return web.Response(status=201, text=pc.localDescription.sdp, headers=headers)

    async with endpoint(handle) as server:
        error = await failure(f"whep+{server.make_url('/')}", open_timeout=2.0)
    assert isinstance(error, SourceTimeout | SourceEnded)


async def test_a_certificate_must_be_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with endpoint(answering(404), tls=authority) as server:
        url = f"whep+{server.make_url('/')}"
        error = await failure(url)
        assert isinstance(error, SourceUntrusted)
        assert "unable to get local issuer" in str(error)
        assert isinstance(await failure(url, ca_file=tmp_path / "ca.pem"), SourceNotFound)
        assert isinstance(await failure(url, verify_tls=False), SourceNotFound)


async def test_it_can_be_closed_while_it_is_being_opened() -> None:
    asked = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with endpoint(never) as server:
        source = SourceSupervisor("s", f"whep+{server.make_url('/')}", retry=Retry("retryable"))
        reading = asyncio.create_task(anext(source))
        await asked.wait()
        await source.aclose()
        with pytest.raises(StopAsyncIteration):
            await reading


def test_it_is_no_file() -> None:
    with pytest.raises(UnsupportedMedia, match="live"):
        open_source("whep+https://host/x")


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_gstreamer_is_pulled_from(codec: str) -> None:
    python = "/usr/bin/python3"
    if shutil.which(python) is None:
        pytest.skip(f"no {python} to run GStreamer with")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        python, str(SERVER), codec, "gst-token", stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT):
            word, _, said = (await process.stdout.readline()).decode().strip().partition(" ")
            if word == "MISSING":
                pytest.skip(f"GStreamer lacks {said}")
            options = SourceOptions(token="gst-token", open_timeout=20.0)
            url = f"whep+http://127.0.0.1:{said}/whep"
            async with SourceSupervisor("s", url, options) as source:
                items = await items_until(source, lambda found: len(frames(found)) >= 30)
            assert (frames(items)[-1].image.width, frames(items)[-1].image.height) == (320, 240)
            # A white ball moves before black: the pictures are what was sent.
            lumas = [frame.image.y for frame in frames(items)[5:]]
            assert all(int(luma.max()) > 200 and int(luma.min()) < 50 for luma in lumas)
            assert any((one != lumas[0]).any() for one in lumas[1:])
            assert [(await process.stdout.readline()).strip() for _ in range(2)] == [b"OPENED", b"DELETED"]
        assert isinstance(await failure(url, token="wrong"), SourceUnauthorized)
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # its pipe is read no more
