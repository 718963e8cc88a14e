"""Every status code and header field of WHIP (RFC 9725) and WHEP, with what misbehaves on purpose."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from streamguard.server.app import Server
from tests.server.conftest import ServeWith
from tests.server.peers import FRAGMENT, SDP, Peer, PortraitTrack, published, until

TYPE = {"Content-Type": SDP}
ICE = [
    {"urls": ["stun:stun.example.net"]},
    {"urls": ["turn:turn.example.net?transport=udp"], "username": 'us"er', "credential": "pass"},
]


async def problem(response: aiohttp.ClientResponse, status: int) -> dict[str, str]:
    """The problem document of an answer with that status."""
    text = await response.text()
    assert response.status == status, text
    assert response.content_type == "application/problem+json"
    document = await response.json(content_type=None)
    assert set(document) == {"type", "title", "status", "detail", "remedy"}
    assert document["status"] == status
    return document


async def offer_to_send(http: aiohttp.ClientSession) -> tuple[Peer, str]:
    """A peer and its offer to publish."""
    peer = Peer(http)
    return peer, await peer.offer(send=PortraitTrack())


async def test_created(serve_with: ServeWith) -> None:
    # The servers do not exist; gathering must not depend on them for long.
    async with serve_with(ice_servers=ICE[1:]) as (server, http), published(http) as peer:
        response = peer.response
        assert response is not None
        assert response.status == 201
        assert response.content_type == SDP
        assert re.fullmatch(r'"[0-9a-f]{16}"', response.headers["ETag"])
        assert re.fullmatch(r"/whip/sessions/[\w-]{32}", response.headers["Location"])
        assert response.headers["Accept-Patch"] == FRAGMENT
        assert response.headers.getall("Link") == [
            '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="us\\"er"; credential="pass"; '
            'credential-type="password"'
        ]
        answer = peer.pc.remoteDescription.sdp
        assert "a=candidate" in answer
        assert "a=end-of-candidates" in answer
        assert "a=recvonly" in answer
        ended = await http.delete(response.headers["Location"])
        assert ended.status == 200
        await problem(await http.delete(response.headers["Location"]), 404)
        await until(lambda: server.book.count() == 0)


async def test_a_viewer_gets_a_sendonly_answer_and_can_end_its_session(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async with published(http), Peer(http) as viewer:
        await viewer.play("cam")
        assert viewer.response is not None
        assert "a=sendonly" in viewer.pc.remoteDescription.sdp
        assert (await http.delete(viewer.response.headers["Location"])).status == 200
        await until(lambda: server.book.count("whep") == 0)
        assert server.book.count("whip") == 1
        await until(lambda: server.hub.find("cam").status().viewers == 0)


@pytest.mark.parametrize("endpoint", ["/whip/cam", "/whep/cam"])
async def test_options(http: aiohttp.ClientSession, endpoint: str) -> None:
    response = await http.options(endpoint)
    assert response.status == 204
    assert response.headers["Accept-Post"] == SDP


@pytest.mark.parametrize("kind", ["whip", "whep"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
async def test_methods_that_are_not_there(http: aiohttp.ClientSession, kind: str, method: str) -> None:
    response = await http.request(method, f"/{kind}/cam")
    assert response.status == 405
    assert "POST" in response.headers["Allow"]
    assert (await http.request(method, f"/{kind}/sessions/x")).status in {404, 405, 415}
    assert (await http.get(f"/{kind}/sessions/x")).status == 405


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_wrong_type_and_too_large(http: aiohttp.ClientSession, kind: str) -> None:
    async with published(http):
        name = "cam" if kind == "whep" else "other"
        wrong = await http.post(f"/{kind}/{name}", data=b"v=0\r\n", headers={"Content-Type": "text/plain"})
        await problem(wrong, 415)
        assert wrong.headers["Accept-Post"] == SDP
        await problem(await http.post(f"/{kind}/{name}", data=b"v=0\r\n" * 100_000, headers=TYPE), 413)

        async def endless() -> object:
            for _ in range(100):
                yield b"a" * 4096

        await problem(await http.post(f"/{kind}/{name}", data=endless(), headers=TYPE), 413)


BROKEN = {
    "empty": lambda sdp: "",
    "no sdp": lambda sdp: "hello",
    "not utf-8": lambda sdp: "v=0\r\n\udcff",
    "no media": lambda sdp: sdp.split("m=")[0],
    "cut within a line": lambda sdp: sdp[: sdp.index("a=fingerprint") + 14],
    "no ice credentials": lambda sdp: re.sub(r"a=ice-(ufrag|pwd):.*\r\n", "", sdp),
    "no fingerprint": lambda sdp: re.sub(r"a=fingerprint:.*\r\n", "", sdp),
    "a bad payload type": lambda sdp: re.sub(r"(m=video \d+ \S+) [\d ]+", r"\1 x y", sdp),
    "a bad port": lambda sdp: re.sub(r"m=video \d+", "m=video many", sdp),
    "a bad candidate": lambda sdp: sdp.replace("m=application", "a=candidate:1 1\r\nm=application"),
}


@pytest.mark.parametrize("damage", BROKEN)
async def test_malformed_offers(server: Server, http: aiohttp.ClientSession, damage: str) -> None:
    peer, sdp = await offer_to_send(http)
    async with peer:
        body = BROKEN[damage](sdp).encode(errors="surrogateescape")
        document = await problem(await http.post("/whip/cam", data=body, headers=TYPE), 400)
        assert document["type"].endswith("malformed-sdp")
    assert not server.hub.streams()
    assert server.book.count() == 0


UNUSABLE = {
    "receives only": lambda sdp: sdp.replace("a=sendonly", "a=recvonly"),
    "no codec of ours": lambda sdp: sdp.replace("VP8/", "AV1/").replace("H264/", "H265/"),
    "an h.264 profile nobody has": lambda sdp: (
        sdp.replace("VP8/", "AV1/").replace("42001f", "640c1f").replace("42e01f", "640c1f")
    ),
    "two videos": lambda sdp: (
        sdp + sdp[sdp.index("m=video") : sdp.index("m=application")].replace("a=mid:0", "a=mid:7")
    ),
    "no video": lambda sdp: sdp[: sdp.index("m=video")] + sdp[sdp.index("m=application") :],
}


@pytest.mark.parametrize("how", UNUSABLE)
async def test_offers_that_cannot_be_answered(server: Server, http: aiohttp.ClientSession, how: str) -> None:
    peer, sdp = await offer_to_send(http)
    async with peer:
        await problem(await http.post("/whip/cam", data=UNUSABLE[how](sdp).encode(), headers=TYPE), 422)
    assert not server.hub.streams()
    assert server.book.count() == 0


async def test_a_name_in_use_a_bad_name_and_an_unknown_stream(http: aiohttp.ClientSession) -> None:
    peer, sdp = await offer_to_send(http)
    async with published(http), peer, Peer(http) as viewer:
        await problem(await peer.post("/whip/cam", sdp), 409)
        await problem(await peer.post("/whip/-cam", sdp), 400)
        await problem(await peer.post("/whip/" + "x" * 65, sdp), 400)
        await problem(await viewer.post("/whep/none", await viewer.offer()), 404)


async def test_a_viewer_that_sends_only(http: aiohttp.ClientSession) -> None:
    peer, sdp = await offer_to_send(http)
    async with published(http), peer:
        await problem(await peer.post("/whep/cam", sdp), 422)
        await problem(await peer.post("/whep/cam?overlay=pink", sdp), 422)


async def test_a_stream_that_is_over_cannot_be_played(
    server: Server, http: aiohttp.ClientSession, tmp_path: object
) -> None:
    await http.post("/api/v1/streams", json={"source": f"{tmp_path}/none.mp4", "name": "gone"})
    await until(lambda: server.hub.find("gone").over)
    async with Peer(http) as viewer:
        response = await viewer.post("/whep/gone", await viewer.offer())
        document = await problem(response, 409)
        assert response.headers["Retry-After"]
        assert "no such file" in document["detail"]


async def test_too_many_sessions(serve_with: ServeWith) -> None:
    async with serve_with(max_sessions=1) as (_, http), published(http), Peer(http) as viewer:
        response = await viewer.post("/whep/cam", await viewer.offer())
        await problem(response, 503)
        assert int(response.headers["Retry-After"]) > 0


async def test_too_many_streams(serve_with: ServeWith) -> None:
    async with serve_with(max_streams=1) as (_, http), published(http):
        peer, sdp = await offer_to_send(http)
        async with peer:
            await problem(await peer.post("/whip/two", sdp), 503)
        await problem(await http.post("/api/v1/streams", json={"source": "x.mp4"}), 503)


async def test_trickle(http: aiohttp.ClientSession) -> None:
    peer, sdp = await offer_to_send(http)
    candidates = re.findall(r"a=(candidate:.*)\r\n", sdp)
    ufrag = re.search(r"a=ice-ufrag:(\S+)", sdp)
    assert ufrag is not None
    assert candidates
    bare = re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", sdp)
    async with peer:
        response = await peer.post("/whip/cam", bare)
        assert response.status == 201
        where, etag = response.headers["Location"], response.headers["ETag"]
        fragment = f"a=ice-ufrag:{ufrag[1]}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na={candidates[0]}\r\n"
        right = {"Content-Type": FRAGMENT, "If-Match": etag}

        async def patch(body: str, headers: dict[str, str]) -> aiohttp.ClientResponse:
            return await http.patch(where, data=body.encode(), headers=headers)

        await problem(await patch(fragment, {"Content-Type": FRAGMENT}), 428)
        await problem(await patch(fragment, {"Content-Type": FRAGMENT, "If-Match": '"stale"'}), 412)
        wrong = await patch(fragment, {"Content-Type": SDP, "If-Match": etag})
        await problem(wrong, 415)
        assert wrong.headers["Accept-Patch"] == FRAGMENT
        await problem(await patch(fragment, {"Content-Type": FRAGMENT, "If-Match": "*"}), 422)
        await problem(await patch(fragment.replace(ufrag[1], "new1"), right), 422)
        await problem(await patch("", right), 400)
        await problem(await patch("nonsense", right), 400)
        await problem(await patch("a=candidate:1 1 udp", right), 400)
        await problem(await patch("a=x\r\n" * 20_000, right), 413)
        assert (await patch(fragment, right)).status == 204
        # A name of the local network that nobody resolves is passed over.
        local = "a=candidate:2 1 udp 2 9c4e2b1a.local 5000 typ host\r\na=end-of-candidates\r\n"
        assert (await patch(fragment + local, right)).status == 204
        await until(lambda: peer.messages)
        await problem(await http.patch("/whip/sessions/x", data=b"", headers=right), 404)
        await problem(await http.patch(where.replace("whip", "whep"), data=b"", headers=right), 404)


async def test_a_browsers_local_names_do_not_hold_up_the_answer(http: aiohttp.ClientSession) -> None:
    peer, sdp = await offer_to_send(http)
    hidden = re.sub(r"(a=candidate:\S+ \d \S+ \d+) \S+ ", r"\1 6f1a7c0e-1d52-4b3c.local ", sdp)
    assert ".local" in hidden
    async with peer:
        assert (await peer.post("/whip/cam", hidden)).status == 201
        await until(lambda: peer.messages)


async def test_a_session_that_never_connects_is_closed(serve_with: ServeWith) -> None:
    async with serve_with(connect_timeout=0.3) as (server, http):
        peer, sdp = await offer_to_send(http)
        async with peer:
            # The answer is thrown away.
            response = await http.post("/whip/cam", data=sdp.encode(), headers=TYPE)
            assert response.status == 201
            await until(lambda: server.book.count() == 0 and not server.hub.streams())
            await problem(await http.delete(response.headers["Location"]), 404)


async def test_many_offers_of_one_name_at_once(server: Server, http: aiohttp.ClientSession) -> None:
    peers = [await offer_to_send(http) for _ in range(4)]
    answers = await asyncio.gather(*(peer.post("/whip/cam", sdp) for peer, sdp in peers))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    await until(lambda: server.book.count() == 1)
    for peer, _ in peers:
        await peer.close()
