"""Files that must not be taken, or cannot be judged: each ends in a clear problem, and leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from streamguard.server import check_upload
from streamguard.server.app import Server
from tests.media.test_still import bomb
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.server.test_checks import CHECKS, RAW, ended, left, read, sent
from tests.support.media_files import make_video

MEGABYTE = 1024 * 1024


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str]:
    """Its status and kind."""
    told = await response.json()
    assert response.content_type == "application/problem+json"
    assert told["detail"].endswith(".")
    assert told["remedy"].endswith(".")
    return response.status, told["type"].removeprefix("urn:streamguard:problem:")


async def raw(server: Server, head: str, body: bytes, *, end: bool) -> bytes:
    """What the server answers to a request as it is on the wire; the sender leaves off, and stays or goes."""
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"POST {CHECKS} HTTP/1.1\r\nHost: {parts.netloc}\r\n{head}\r\n\r\n".encode() + body)
    await writer.drain()
    try:
        return b"" if end else await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_too_large(serve_with: ServeWith) -> None:
    async with serve_with(checks={"max_megabytes": 1}) as (server, http):
        # Told before any of it is there.
        answer = await raw(server, f"Content-Type: {RAW['Content-Type']}\r\nContent-Length: 999999999", b"", end=False)
        assert answer.startswith(b"HTTP/1.1 413 ")

        taken = 0

        async def endless() -> Any:
            nonlocal taken
            for _ in range(40):
                taken += MEGABYTE
                yield bytes(MEGABYTE)

        # It may be cut off while it goes on sending.
        with contextlib.suppress(aiohttp.ClientConnectionError):
            assert await problem(await http.post(CHECKS, data=endless(), headers=RAW)) == (413, "too-large")
        assert taken < 30 * MEGABYTE
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(bytes(MEGABYTE + 10)), filename="a.mp4")
        assert await problem(await http.post(CHECKS, data=form)) == (413, "too-large")
        assert server.checks.refused["size"] == 3
        assert left(server) == ["owner"]
        assert server.checks.counts()["uploading"] == 0


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b.mp4", "C:\\clip.mp4", "a\nb.mp4", "x" * 300])
async def test_a_name_that_is_a_path(server: Server, http: aiohttp.ClientSession, name: str) -> None:
    response = await http.post(CHECKS, data=b"x", headers=RAW, params={"name": name})
    assert (await problem(response))[0] == 422
    if "\n" in name:
        return
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", b"x", filename=name)
    status, kind = await problem(await http.post(CHECKS, data=form))
    assert (status, kind) == (422, "invalid-name")
    assert left(server) == ["owner"]


async def test_what_is_no_file(server: Server, http: aiohttp.ClientSession) -> None:
    assert await problem(await http.post(CHECKS, json={"file": 1})) == (415, "wrong-type")
    assert await problem(await http.post(CHECKS, data=b"", headers=RAW)) == (422, "empty")
    form = aiohttp.FormData()
    form.add_field("other", b"x", filename="a.mp4")
    assert await problem(await http.post(CHECKS, data=form)) == (422, "no-file")
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    half = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nhalf of it'
    for body in (half, b"nonsense", b""):
        status, kind = await problem(await http.post(CHECKS, data=body, headers=boundary))
        assert (status, kind) in {(400, "cut-off"), (422, "no-file")}
    assert await problem(await http.post(CHECKS, data=b"x", headers={"Content-Type": "multipart/form-data"})) == (
        400,
        "cut-off",
    )
    assert left(server) == ["owner"]
    assert server.checks.counts().total() == 0


async def test_broken_off_at_half(server: Server, half_fake: Path) -> None:
    data = read(half_fake)
    head = f"Content-Type: {RAW['Content-Type']}\r\nContent-Length: {len(data)}"
    await raw(server, head, data[: len(data) // 2], end=True)
    await until(lambda: server.checks.counts()["uploading"] == 0 and left(server) == ["owner"])
    assert server.checks.counts().total() == 0


async def test_standing_still(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_upload, "_STALLED", 0.2)
    head = f"Content-Type: {RAW['Content-Type']}\r\nContent-Length: 1000"
    assert (await raw(server, head, b"a little", end=False)).startswith(b"HTTP/1.1 408 ")
    assert left(server) == ["owner"]


async def test_a_full_disk(server: Server, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(check_upload, "_write_all", full)
        assert await problem(await http.post(CHECKS, data=b"x", headers=RAW)) == (507, "no-space")
    monkeypatch.setattr(check_upload, "_SPARE", 2**60)
    assert await problem(await http.post(CHECKS, data=b"x", headers=RAW)) == (507, "no-space")
    assert server.checks.refused["disk"] == 2
    assert left(server) == ["owner"]


async def test_another_page_sends_a_form(server: Server, http: aiohttp.ClientSession) -> None:
    form = aiohttp.FormData()
    form.add_field("file", b"x", filename="a.mp4")
    foreign = await http.post(CHECKS, data=form, headers={"Origin": "https://elsewhere.example"})
    assert await problem(foreign) == (403, "foreign-page")


async def test_files_that_cannot_be_judged(serve_with: ServeWith, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "secret.mp4", frames=10)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{clip}\n#EXT-X-ENDLIST\n".encode()
    concat = f"ffconcat version 1.0\nfile '{clip}'\n".encode()
    long = make_video(tmp_path / "long.mp4", pts=[0, 25 * 600], size=(64, 48))
    many = make_video(tmp_path / "many.mp4", frames=400, rate=1000, size=(16, 16))
    files = {
        "text.mp4": (b"No video at all. " * 100, "no media file"),
        "sound.mp4": (read(make_video(tmp_path / "sound.mp4", audio_only=True)), "no video track"),
        # They name files of the server.
        "list.m3u8": (playlist, "no media file"),
        "list.ffconcat": (concat, "no media file"),
        "bomb.png": (read(bomb(tmp_path / "bomb.png")), "too large"),
        "huge.mkv": (
            read(make_video(tmp_path / "h.mkv", frames=2, size=(400, 300))),
            "too large",
        ),
        "long.mp4": (read(long), "longer than"),
    }
    # So little that 400 of the smallest pictures are too many: 0.02 minutes of Full HD.
    async with serve_with(checks={"max_minutes": 0.02, "max_megapixels": 0.1}) as (server, http):
        for name, (data, cause) in files.items():
            told = await ended(http, f"{CHECKS}/{(await sent(http, data, name))['id']}")
            assert told["state"] == "failed", name
            assert cause in told["problem"]["detail"], told["problem"]
            assert told["problem"]["remedy"]
            assert str(tmp_path) not in str(told)
            assert (told["result"], told["report"]) == (None, None)
        told = await ended(http, f"{CHECKS}/{(await sent(http, read(many), 'many.mp4'))['id']}")
        # What was judged until then is told, and why no more was.
        (file,) = told["result"]["files"]
        assert "more pictures" in file["fault"]["message"]
        assert file["fault"]["message"].startswith("many.mp4: ")
        assert 0 < file["frames"] < 400
        assert left(server).count("upload") == 0
        assert server.checks.ended["failed"] == len(files)
