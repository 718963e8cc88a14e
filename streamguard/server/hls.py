"""The HLS outputs of streams, served from the folders they are written to."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from streamguard.errors import CorruptMedia
from streamguard.media.output import Target
from streamguard.media.output.segment import BrowserSegment, browser_segment
from streamguard.server.auth import forbidden
from streamguard.server.operations import Call, Operation, Success
from streamguard.server.problems import Problem, not_found
from streamguard.streams.hub import Hub

_PLAYLIST, _SEGMENT, _MP4 = "application/vnd.apple.mpegurl", "video/mp2t", "video/mp4"
_KEPT = 24
"""Segments in a browser's form that are kept, of all streams together: everybody plays the newest ones."""
_MOST_BYTES = 64 * 1024 * 1024
START = "Media-Start"
"""Header field: seconds on the stream's clock at which a segment begins."""


class HlsFiles:
    """The handler.

    Args:
        hub: the streams; they know their outputs.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._kept: dict[tuple[Path, int], BrowserSegment] = {}
        self._turn = asyncio.Lock()

    def operations(self) -> list[Operation]:
        """One operation for playlists and segments."""
        return [
            Operation(
                "GET",
                "/hls/{stream}/{output}/{segment}",
                "hls",
                "Playlist or segment of an HLS output; a segment's name with `.mp4` has it as fragmented MP4.",
                "own",
                self.file,
                (Success(200, "The file.", _PLAYLIST, {START: "Of fragmented MP4: seconds on the stream's clock."}),),
                (404, 422),
                token_in_query=True,
            )
        ]

    async def file(self, call: Call[None, None]) -> web.StreamResponse:
        """GET /hls/{stream}/{output}/{segment}."""
        target, name = self._target(call), call.part("segment")
        assert target.playlist is not None
        folder = target.playlist.parent
        if name == target.playlist.name:
            return await self._playlist(call, target.playlist)
        found = re.fullmatch(rf"({re.escape(target.segments)}\d{{1,12}})\.(ts|mp4)", name)
        if found is None:
            raise _missing(name)
        path = folder / f"{found[1]}.ts"
        if found[2] == "mp4":
            return await self._browser_segment(path, name)
        if not await asyncio.to_thread(path.is_file):
            raise _missing(name)
        return web.FileResponse(path, headers={"Content-Type": _SEGMENT, "Cache-Control": "no-store"})

    def _target(self, call: Call[None, None]) -> Target:
        if not (call.caller.may_somewhere("view") or call.caller.may_somewhere("publish")):
            raise forbidden("view")
        stream = self._hub.find(call.part("stream"))
        if not call.caller.may_view(stream.name, stream.owner):
            raise forbidden("view")
        number = call.part("output")
        targets = stream.restream.targets if stream.restream is not None else ()
        if not number.isdecimal() or len(number) > 4 or int(number) >= len(targets):
            raise not_found("output", number, "The stream's document names its outputs.")
        target = targets[int(number)]
        if target.playlist is None:
            raise not_found("playlist of output", number, "It is no HLS output.")
        return target

    async def _playlist(self, call: Call[None, None], path: Path) -> web.Response:
        text = await asyncio.to_thread(_text, path)
        if text is None:
            detail = "Nothing of this stream has been written yet."
            raise Problem(404, "not-found", detail, "Ask again in a moment.", {"Retry-After": "2"})
        token = call.request.query.get("access_token")
        if token is not None:
            # Players that are given a token in the address know no other way to show it for the segments.
            text = re.sub(r"^([^#\s].*)$", rf"\1?access_token={quote(token, safe='')}", text, flags=re.MULTILINE)
        return web.Response(body=text.encode(), headers={"Content-Type": _PLAYLIST, "Cache-Control": "no-store"})

    async def _browser_segment(self, path: Path, name: str) -> web.Response:
        # One at a time: many viewers ask for the same segment at the same moment.
        async with self._turn:
            try:
                made = await self._made(path)
            except (FileNotFoundError, CorruptMedia):
                raise _missing(name) from None
        headers = {"Content-Type": made.type, "Cache-Control": "no-store", START: f"{made.start:.6f}"}
        return web.Response(body=made.data, headers=headers)

    async def _made(self, path: Path) -> BrowserSegment:
        stat = await asyncio.to_thread(path.stat)
        key = (path, stat.st_mtime_ns)
        if key not in self._kept:
            if stat.st_size > _MOST_BYTES:
                raise Problem(422, "too-large", "The segment is too large.", "Lower the bit rate.")
            self._kept[key] = await asyncio.to_thread(_read, path)
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return self._kept[key]


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _read(path: Path) -> BrowserSegment:
    return browser_segment(path.read_bytes())


def _missing(name: str) -> Problem:
    return not_found("file", name, "It was never written, or is no longer kept: read the playlist again.")
