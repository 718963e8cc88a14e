"""Tokens, scopes, hosts, origins, header fields, TLS; and that no secret is told."""

from __future__ import annotations

import io
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from streamguard.config import read_config
from streamguard.errors import ConfigError, OutputError
from streamguard.pipeline.guard import Guard
from streamguard.server.app import serving
from tests.server.conftest import ServeWith
from tests.server.peers import SDP, Peer, PortraitTrack, until
from tests.server.test_protocol import problem
from tests.support.settings import config_of

ADMIN, VIEW, SEND, SEND2 = "admin-0123456789", "view--0123456789", "send--0123456789", "send2-0123456789"
TOKENS = [
    {"token": ADMIN, "scopes": ["admin"]},
    {"token": VIEW, "scopes": ["view"]},
    {"token": SEND, "scopes": ["publish"]},
    {"token": SEND2, "scopes": ["publish"]},
]


def bearer(token: str) -> dict[str, str]:
    """The header field."""
    return {"Authorization": f"Bearer {token}"}


async def test_who_may_do_what(serve_with: ServeWith) -> None:
    async with serve_with(tokens=TOKENS) as (server, http), Peer(http) as peer, Peer(http) as viewer:
        sdp = await peer.offer(send=PortraitTrack())
        refused = await peer.post("/whip/cam", sdp)
        await problem(refused, 401)
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        await problem(await peer.post("/whip/cam", sdp, **bearer("wrong-0123456789")), 401)
        await problem(await peer.post("/whip/cam", sdp, Authorization=f"Basic {SEND}"), 401)
        refused = await peer.post("/whip/cam", sdp, **bearer(VIEW))
        await problem(refused, 403)
        assert 'scope="publish"' in refused.headers["WWW-Authenticate"]
        made = await peer.post("/whip/cam", sdp, **bearer(SEND))
        assert made.status == 201

        # A publisher sees its own stream, nobody else's.
        offer = await viewer.offer()
        await problem(await viewer.post("/whep/cam", offer, **bearer(SEND2)), 403)
        await problem(await viewer.post("/whep/cam", offer), 401)
        for token, status in ((ADMIN, 200), (VIEW, 200), (SEND, 200), (SEND2, 403)):
            assert (await http.get("/api/v1/streams/cam", headers=bearer(token))).status == status
        for token, count in ((ADMIN, 1), (VIEW, 1), (SEND, 1), (SEND2, 0)):
            streams = await (await http.get("/api/v1/streams", headers=bearer(token))).json()
            assert len(streams["streams"]) == count
        assert (await viewer.post("/whep/cam", offer, **bearer(SEND))).status == 201

        # A session belongs to whoever made it.
        where = made.headers["Location"]
        await problem(await http.delete(where), 401)
        await problem(await http.delete(where, headers=bearer(SEND2)), 403)
        for path in ("/api/v1/events", "/api/v1/engines", "/metrics"):
            await problem(await http.get(path), 401)
            await problem(await http.get(path, headers=bearer(SEND)), 403)
            assert (await http.get(path, headers=bearer(VIEW))).status == 200
        await problem(await http.post("/api/v1/streams", json={"source": "x"}, headers=bearer(VIEW)), 403)
        await problem(await http.delete("/api/v1/streams/cam", headers=bearer(SEND)), 403)
        for path in ("/health/live", "/health/ready", "/", "/api/v1/openapi.json"):
            assert (await http.get(path)).status == 200
        assert (await http.options("/whip/cam")).status == 204
        assert (await http.delete(where, headers=bearer(ADMIN))).status == 200
        await until(lambda: server.book.count() == 0)


@pytest.mark.parametrize(
    ("token", "scopes"), [(ADMIN, ["admin", "publish", "review", "view"]), (VIEW, ["view"]), (SEND, ["publish"])]
)
async def test_a_token_is_told_what_it_opens(serve_with: ServeWith, token: str, scopes: list[str]) -> None:
    async with serve_with(tokens=TOKENS) as (_, http):
        await problem(await http.get("/api/v1/access"), 401)
        assert await (await http.get("/api/v1/access", headers=bearer(token))).json() == {"scopes": scopes}


async def test_without_tokens_everything_is_open(http: aiohttp.ClientSession) -> None:
    assert (await (await http.get("/api/v1/access")).json())["scopes"] == ["admin", "publish", "review", "view"]


async def test_a_token_in_the_query_opens_only_what_has_no_header(serve_with: ServeWith, half_fake: Path) -> None:
    async with serve_with(tokens=TOKENS, allow_local_sources=True) as (server, http):
        made = await http.post(
            "/api/v1/streams", json={"source": str(half_fake), "name": "clip"}, headers=bearer(ADMIN)
        )
        assert made.status == 201
        await until(lambda: server.hub.find("clip").newest)
        assert (await http.get(f"/api/v1/streams/clip/snapshot?access_token={VIEW}")).status == 200
        events = await http.get(f"/api/v1/streams/clip/events?access_token={VIEW}")
        assert events.status == 200
        events.close()
        await problem(await http.get("/api/v1/streams/clip/events"), 401)
        await problem(await http.get(f"/api/v1/streams?access_token={ADMIN}"), 401)
        await problem(await http.post(f"/api/v1/streams?access_token={ADMIN}", json={"source": "x"}), 401)


async def test_no_token_is_logged(serve_with: ServeWith, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with serve_with(tokens=TOKENS) as (_, http):
        await http.get("/metrics", headers=bearer(VIEW))
        await http.get(f"/api/v1/streams/none/snapshot?access_token={VIEW}")
        await http.get("/api/v1/engines", headers=bearer("wrong-0123456789"))
        told = await (await http.get("/metrics", headers=bearer(VIEW))).text()
    for token in (ADMIN, VIEW, SEND, "wrong-0123456789"):
        assert token not in caplog.text + told
    assert "snapshot" in caplog.text


async def test_host_names_of_others_are_not_answered(http: aiohttp.ClientSession) -> None:
    for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[2001:db8::1]"):
        await problem(await http.get("/api/v1/streams", headers={"Host": host}), 421)
    for host in ("localhost:1", "127.0.0.1", "[::1]:80", "guard.localhost"):
        assert (await http.get("/api/v1/streams", headers={"Host": host})).status == 200


async def test_header_fields_of_every_answer(http: aiohttp.ClientSession) -> None:
    for path in ("/", "/static/app.js", "/api/v1/streams", "/none", "/health/live"):
        headers = (await http.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers
        assert "Access-Control-Allow-Origin" not in headers
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/"):
        assert (await http.get(path)).status in {403, 404}


async def test_pages_of_other_origins(serve_with: ServeWith) -> None:
    ours, other = "https://ours.example", "https://other.example"
    async with serve_with(allowed_origins=[ours]) as (_, http):
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        allowed = await http.options("/whip/cam", headers={"Origin": ours, **asked})
        assert allowed.headers["Access-Control-Allow-Origin"] == ours
        assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
        answered = await http.get("/api/v1/streams/none", headers={"Origin": ours})
        assert answered.status == 404
        assert {"Location", "Link", "ETag", "Retry-After"} <= set(
            answered.headers["Access-Control-Expose-Headers"].split(", ")
        )
        assert "Access-Control-Allow-Credentials" not in answered.headers
        for headers in ({"Origin": other}, {"Origin": other, **asked}, {"Origin": "null", **asked}, {}):
            refused = await http.options("/whip/cam", headers=headers)
            assert "Access-Control-Allow-Origin" not in refused.headers
            # A cache must not hand this answer to the page that is allowed, nor the other way round.
            assert refused.headers["Vary"] == "Origin"
        # What a page of any origin may send unasked is refused by its type.
        plain = {"Origin": other, "Content-Type": "text/plain"}
        await problem(await http.post("/whip/cam", data=b"v=0", headers=plain), 415)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://News.Example", "https://news.example"),
        ("https://news.example:443/", "https://news.example"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ],
)
def test_origins_are_kept_as_browsers_send_them(written: str, sent: str) -> None:
    assert config_of(allowed_origins=[written]).server.allowed_origins == [sent]


@pytest.mark.parametrize(
    "written",
    ["*", "null", "", "news.example", "https://", "https://a.example/path", "https://u@a.example", "http://a:x"],
)
def test_what_is_no_origin_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        config_of(allowed_origins=[written])


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, made by openssl."""
    made, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=streamguard"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command.split(), *more], check=True, capture_output=True)
    return made, key


async def test_tls(serve_with: ServeWith, tmp_path: Path) -> None:
    made, key = certificate(tmp_path)
    async with serve_with(tls_certificate=made, tls_key=key) as (server, http):
        assert server.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(made))
        assert (await http.get("/health/live", ssl=trusting)).status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get("/health/live")


async def test_tls_files_that_do_not_fit(serve_with: ServeWith, tmp_path: Path) -> None:
    made, key = certificate(tmp_path)
    for pair in ((made, tmp_path / "none.pem"), (made, made)):
        with pytest.raises(ConfigError, match="certificate and key"):
            async with serve_with(tls_certificate=pair[0], tls_key=pair[1]):
                pass
    with pytest.raises(ConfigError, match=r"server\.tls\.certificate: it is missing"):
        read_config(None, {"server.tls.key": key})


async def test_an_address_that_is_taken(detector: Path, http: aiohttp.ClientSession) -> None:
    port = http._base_url.port  # type: ignore[union-attr]
    async with Guard.open(str(detector), "torch") as guard:
        with pytest.raises(OutputError, match="cannot listen"):
            async with serving(config_of(port=port), guard):
                pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org"])
def test_no_listening_elsewhere_without_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match="needs a token"):
        read_config(None, {"server.host": host})
    assert config_of(host=host, tokens=[{"token": ADMIN, "scopes": ["admin"]}]).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert read_config(None, {"server.host": host}).server.local_sources


async def test_giant_sdp_is_refused_before_it_is_read(http: aiohttp.ClientSession) -> None:
    await problem(await http.post("/whip/cam", data=io.BytesIO(b"x" * 10_000_000), headers={"Content-Type": SDP}), 413)
