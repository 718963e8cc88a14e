"""HLS outputs served by the server: playlists, segments, and nothing else of their folder."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import av

from streamguard.server.app import Server
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.server.test_auth import SEND, TOKENS, VIEW, bearer
from tests.server.test_protocol import problem
from tests.support.portraits import portrait_clip
from tests.support.sounding import with_tone

LIST = "application/vnd.apple.mpegurl"


@asynccontextmanager
async def writing(
    serve_with: ServeWith, folder: Path, **settings: Any
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """A server whose stream `studio` has been written to a folder for some segments; output 0 is a file."""
    clip = with_tone(portrait_clip(folder / "silent.mp4", 4.0), folder / "in.mp4")
    (folder / "hls").mkdir()
    (folder / "hls" / "secret.ts").write_text("secret")
    (folder / "secret-000001.ts").write_text("secret")
    targets = [str(folder / "out.ts"), str(folder / "hls" / "cam 1.m3u8")]
    async with serve_with(
        streams=[{"name": "studio", "source": f"loop:{clip}", "outputs": targets}], **settings
    ) as both:
        await until((folder / "hls" / "cam 1-000001.ts").exists)
        yield both


async def test_playlist_and_segments(serve_with: ServeWith, tmp_path: Path) -> None:
    async with writing(serve_with, tmp_path) as (_, http):
        outputs = (await (await http.get("/api/v1/streams/studio")).json())["outputs"]
        assert [output["hls"] for output in outputs] == [None, "/hls/studio/1/cam%201.m3u8"]
        listed = await http.get("/hls/studio/1/cam%201.m3u8")
        assert (listed.status, listed.content_type, listed.headers["Cache-Control"]) == (200, LIST, "no-store")
        names = re.findall(r"^[^#].*", await listed.text(), flags=re.MULTILINE)
        assert names[0] == "cam 1-000000.ts"
        segment = await http.get("/hls/studio/1/cam%201-000000.ts")
        assert (segment.status, segment.content_type) == (200, "video/mp2t")
        assert await segment.read() == (tmp_path / "hls" / names[0]).read_bytes()
        boxed = await http.get("/hls/studio/1/cam%201-000000.mp4")
        assert re.fullmatch(r'video/mp4; codecs="avc1\.[0-9a-f]{6},mp4a\.40\.2"', boxed.headers["Content-Type"])
        assert float(boxed.headers["Media-Start"]) >= 0
        with av.open(io.BytesIO(await boxed.read())) as file:
            assert [stream.type for stream in file.streams] == ["video", "audio"]
            assert sum(1 for _ in file.decode(video=0)) > 10
        # Asked for by many at once it is made once, and the same for all.
        many = await asyncio.gather(*(http.get("/hls/studio/1/cam%201-000001.mp4") for _ in range(8)))
        assert len({await each.read() for each in many}) == 1


async def test_nothing_else_is_served(serve_with: ServeWith, tmp_path: Path) -> None:
    async with writing(serve_with, tmp_path) as (_, http):
        for path in (
            "/hls/studio/1/secret.ts",
            "/hls/studio/1/..%2Fsecret-000001.ts",
            "/hls/studio/1/%2E%2E%2Fin.mp4",
            "/hls/studio/1/cam%201-000000.ts%00",
            "/hls/studio/1/cam%201-999999.ts",
            "/hls/studio/1/cam%201-999999.mp4",
            "/hls/studio/1/other.m3u8",
            "/hls/studio/0/out.ts",
            "/hls/studio/2/cam%201.m3u8",
            "/hls/studio/-1/cam%201.m3u8",
            "/hls/studio/one/cam%201.m3u8",
            "/hls/nobody/1/cam%201.m3u8",
        ):
            await problem(await http.get(path), 404)
        (tmp_path / "hls" / "cam 1-000777.ts").write_text("damaged")
        await problem(await http.get("/hls/studio/1/cam%201-000777.mp4"), 404)


async def test_a_token_is_needed_and_may_stand_in_the_address(serve_with: ServeWith, tmp_path: Path) -> None:
    async with writing(serve_with, tmp_path, tokens=TOKENS) as (server, http):
        path = "/hls/studio/1/cam%201.m3u8"
        await problem(await http.get(path), 401)
        await problem(await http.get(path, headers=bearer(SEND)), 403)
        plain = await (await http.get(path, headers=bearer(VIEW))).text()
        assert "access_token" not in plain
        told = await http.get(path, params={"access_token": VIEW})
        lines = [line for line in (await told.text()).splitlines() if not line.startswith("#")]
        assert lines
        assert all(line.endswith(f".ts?access_token={VIEW}") for line in lines)

        def play() -> int:
            with av.open(f"{server.url}{path}?access_token={VIEW}") as source:
                frames = source.decode(source.streams.video[0])
                return sum(1 for _, _ in zip(range(30), frames, strict=False))

        assert await asyncio.to_thread(play) == 30


async def test_a_playlist_that_is_not_written_yet(serve_with: ServeWith, tmp_path: Path) -> None:
    (tmp_path / "hls").mkdir()
    stream = {"name": "studio", "source": str(tmp_path / "nothing.mp4"), "outputs": [str(tmp_path / "hls")]}
    async with serve_with(streams=[stream]) as (_, http):
        refused = await http.get("/hls/studio/0/live.m3u8")
        await problem(refused, 404)
        assert refused.headers["Retry-After"] == "2"
