"""A file that comes in over HTTP: streamed to disk, bounded, and gone again where it breaks off."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from aiohttp import BodyPartReader, MultipartReader, web

from streamguard.server.checks import UPLOAD, Check, Checks
from streamguard.server.problems import Problem

RAW, FORM = "application/octet-stream", "multipart/form-data"
NAME = r"^[^/\\\x00-\x1f\x7f]{1,255}$"
UNNAMED = "upload"
_FIELD = "file"
_MEGABYTE = 1024 * 1024
_CHUNK = _MEGABYTE
_ENVELOPE = 64 * 1024
"""Bytes of a form beside its file."""
_SPARE = 64 * _MEGABYTE
"""Bytes that are left free on the disk."""
_STALLED = 30.0
"""Seconds without a byte after which an upload is given up."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Upload:
    """Takes the body of one request.

    Args:
        checks: where to.
        request: with a raw body, or a form whose field `file` holds the file.
    """

    def __init__(self, checks: Checks, request: web.Request) -> None:
        self._checks, self._request = checks, request
        self._limit = checks.settings.max_megabytes * _MEGABYTE
        self._form = request.content_type == FORM

    async def receive(self, name: str | None, owner: str | None) -> Check:
        """The check of the file, which waits for its turn.

        Args:
            name: what the sender calls it; the form's field may say so, too.
            owner: stands for the token.

        Raises:
            Problem: it is not taken.
            Overloaded: there is no room now.
        """
        self._refuse_early()
        try:
            async with self._checks.place(name or UNNAMED, owner) as check:
                await asyncio.to_thread(self._check_disk, check.folder)
                try:
                    check.bytes = await self._write(check, named=name is not None)
                except (Problem, OSError):
                    raise
                except (ValueError, EOFError, AssertionError):
                    # What the library's parser stumbles over.
                    raise self._broken() from None
                if not check.bytes:
                    raise Problem(422, "empty", "The file is empty.", "Choose another one, or record it again.")
                self._checks.begin(check)
                return check
        except OSError as error:
            # A broken connection is one, too; its answer reaches nobody.
            if isinstance(error, ConnectionError):
                self._checks.refused["broken"] += 1
                raise
            self._checks.refused["disk"] += 1
            raise _disk_problem(error) from None

    def _refuse_early(self) -> None:
        kind, length = self._request.content_type, self._request.content_length or 0
        if "Content-Type" not in self._request.headers or not (
            self._form or kind == RAW or kind.startswith(("video/", "image/"))
        ):
            remedy = f"Send it as {RAW}, or as {FORM} with the field `{_FIELD}`."
            raise Problem(415, "wrong-type", "The body is no file.", remedy, {"Accept-Post": f"{RAW}, {FORM}"})
        if length > self._limit + (_ENVELOPE if self._form else 0):
            raise self._too_large()

    def _check_disk(self, folder: Path) -> None:
        expected = self._request.content_length or 0
        if shutil.disk_usage(folder).free < expected + _SPARE:
            raise OSError(errno.ENOSPC, "too little is free")

    async def _write(self, check: Check, *, named: bool) -> int:
        file: BinaryIO = await asyncio.to_thread((check.folder / UPLOAD).open, "xb", 0)
        written, waiting = 0, bytearray()
        try:
            async for piece in self._pieces(check, named=named):
                written += len(piece)
                if written > self._limit:
                    raise self._too_large()
                waiting += piece
                if len(waiting) >= _CHUNK:
                    await asyncio.to_thread(_write_all, file, bytes(waiting))
                    waiting.clear()
            await asyncio.to_thread(_write_all, file, bytes(waiting))
        finally:
            await asyncio.shield(asyncio.to_thread(file.close))
        return written

    async def _pieces(self, check: Check, *, named: bool) -> AsyncIterator[bytes]:
        source = await self._file_of_form(check, named=named) if self._form else None
        while True:
            try:
                async with asyncio.timeout(_STALLED):
                    piece = await (source.read_chunk() if source else self._request.content.read(64 * 1024))
            except TimeoutError:
                self._checks.refused["broken"] += 1
                remedy = "Send it again, over a better connection."
                raise Problem(408, "too-slow", "The upload stood still for too long.", remedy) from None
            if not piece:
                break
            yield bytes(piece)
        if source is not None and not source.at_eof():
            raise self._broken()

    async def _file_of_form(self, check: Check, *, named: bool) -> BodyPartReader:
        form = await self._request.multipart()
        for _ in range(16):
            part = await form.next()
            if isinstance(part, BodyPartReader) and part.name == _FIELD:
                if part.filename and not named:
                    check.name = checked_name(part.filename, self._checks)
                return part
            if part is None or isinstance(part, MultipartReader):
                break
            await part.release()
        raise Problem(422, "no-file", "The form holds no file.", f"Put it into a field named `{_FIELD}`.")

    def _broken(self) -> Problem:
        self._checks.refused["broken"] += 1
        return Problem(400, "cut-off", "The upload broke off before its end.", "Send it again.")

    def _too_large(self) -> Problem:
        self._checks.refused["size"] += 1
        detail = f"The file is larger than {self._checks.settings.max_megabytes} MB."
        return Problem(413, "too-large", detail, "Cut it into shorter pieces, or compress it more.")


def checked_name(name: str, checks: Checks) -> str:
    """The name as it is.

    Raises:
        Problem: it is a path, or nothing that can be shown.
    """
    if any(each in "/\\" or not each.isprintable() for each in name) or not 0 < len(name) <= 255:
        checks.refused["name"] += 1
        detail = "The file's name is a path, too long, or holds characters that cannot be shown."
        raise Problem(422, "invalid-name", detail, "Give the name alone, without folders.")
    return name


def _write_all(file: BinaryIO, data: bytes) -> None:
    # Unbuffered: a full disk is met here, and a write may take less than it is given.
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _disk_problem(error: OSError) -> Problem:
    if error.errno in _NO_ROOM:
        return Problem(507, "no-space", "The server has no space left for the file.", "Send a smaller one, or later.")
    return Problem(507, "not-kept", "The server cannot keep the file.", "Look at the server's log and checks.folder.")
