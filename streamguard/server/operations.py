"""An operation of the HTTP API: one description from which both the route and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from streamguard.config import Scope
from streamguard.server.auth import Tokens, forbidden
from streamguard.server.caller import Caller
from streamguard.server.documents import dump
from streamguard.server.problems import Problem

MOST_JSON = 64 * 1024
Need: TypeAlias = Scope | Literal["own", "nothing"]
"""The scope an operation needs. `own`: it decides itself, by the stream's owner. `nothing`: no token at all."""
_SHOWS_EVIDENCE = {
    "evidence",
    "eventSnapshot",
    "judgeClip",
    "reportIncident",
    "checkReport",
    "exportIncidentsCsv",
    "exportIncidentsJson",
}
B = TypeVar("B", bound=BaseModel | None)
Q = TypeVar("Q", bound=BaseModel | None)


@dataclass(frozen=True, slots=True)
class Call(Generic[B, Q]):
    """Accepted request, with its parsed parts."""

    request: web.Request
    caller: Caller
    body: B
    query: Q

    def part(self, name: str) -> str:
        """A variable part of the path."""
        return self.request.match_info[name]


@dataclass(frozen=True, slots=True)
class Success:
    """One success answer: its status, what it is for, its content.

    Attributes:
        content: a document's class, a media type, or None for an empty body.
        headers: name -> what it says.
    """

    status: int
    description: str
    content: type[BaseModel] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        method, path: aiohttp's form of the path.
        name: the operation's id, camelCase.
        summary: one line.
        need: what the caller must have.
        handler: answers a `Call`.
        answers: successes.
        problems: status codes of failures, beside those every operation has.
        body: the document of a JSON body; or media types that the handler reads itself.
        query: the document of the query.
        headers: request header fields the handler looks at: name -> what it says.
        token_in_query: a browser loads it without header fields.
        by_stream: it looks itself at which streams the caller may see; otherwise, where its path names no stream, the
            caller needs the scope over all.
    """

    method: str
    path: str
    name: str
    summary: str
    need: Need
    handler: Callable[[Call[Any, Any]], Awaitable[web.StreamResponse]]
    answers: tuple[Success, ...]
    problems: tuple[int, ...] = ()
    body: type[BaseModel] | str | tuple[str, ...] | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    token_in_query: bool = False
    by_stream: bool = False

    @property
    def audited(self) -> bool:
        """Return whether it is kept who did it: whatever changes something beside sessions; and what shows evidence."""
        changes = self.method not in {"GET", "OPTIONS"} and not self.path.startswith(("/whep/", "/whip/sessions/"))
        return changes or self.name in _SHOWS_EVIDENCE


def bind(
    operation: Operation,
    tokens: Tokens,
    note: Callable[[Operation, web.Request, Caller, web.StreamResponse], None],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of an operation: lets in, reads, answers, and has it noted for the audit log."""

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = tokens.stranger(request)
        if operation.need != "nothing":
            caller = await tokens.caller(request, in_query=operation.token_in_query)
            if operation.need != "own" and not _opens(operation, operation.need, caller, request):
                raise forbidden(operation.need)
        query = _query(request, operation.query) if operation.query else None
        body = await _body(request, operation.body) if isinstance(operation.body, type) else None
        answer = await operation.handler(Call(request, caller, body, query))
        note(operation, request, caller, answer)
        return answer

    return handle


def _opens(operation: Operation, need: Scope, caller: Caller, request: web.Request) -> bool:
    stream = request.match_info.get("stream")
    if stream is not None:
        return caller.may_on(need, stream)
    return caller.may_somewhere(need) if operation.by_stream else caller.may(need)


def json_answer(document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """The document as a JSON answer; never kept by a cache."""
    return web.json_response(dump(document), status=status, headers={"Cache-Control": "no-store", **(headers or {})})


async def read_body(request: web.Request, content_type: str, limit: int) -> bytes:
    """The request's body.

    Raises:
        Problem: 415 it is of another type; 413 it is longer than `limit` bytes.
    """
    if request.content_type != content_type or "Content-Type" not in request.headers:
        remedy = f"Send `Content-Type: {content_type}`."
        accept = "Accept-Patch" if request.method == "PATCH" else "Accept-Post"
        raise Problem(415, "wrong-type", f"The body must be {content_type}.", remedy, {accept: content_type})
    too_large = Problem(413, "too-large", f"The body is longer than {limit} bytes.", "Send less.")
    if (request.content_length or 0) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


async def _body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    raw = await read_body(request, "application/json", MOST_JSON)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid("body", error) from None


def _query(request: web.Request, model: type[BaseModel]) -> BaseModel:
    given = {key: value for key, value in request.query.items() if key != "access_token"}
    if any(len(request.query.getall(key)) > 1 for key in given):
        raise Problem(422, "invalid", "query: a parameter is given twice.", "Give each once.")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid("query", error) from None


def _invalid(where: str, error: ValidationError) -> Problem:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in (where, *first["loc"]))
    return Problem(422, "invalid", f"{place}: {first['msg']}.", "Correct it; the form is in /api/v1/openapi.json.")
