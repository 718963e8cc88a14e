"""Failed requests as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from streamguard.errors import NameInUse, NotPulled, Overloaded, StreamsError, UnknownStream

PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):
    """Ends a request with an error answer.

    Args:
        status: HTTP status code, 400 to 599.
        kind: a short name, kebab-case; the document's `type` ends with it.
        detail: what is wrong, one sentence.
        remedy: what the caller can do, one sentence.
        headers: further header fields.
    """

    def __init__(
        self, status: int, kind: str, detail: str, remedy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.remedy = status, kind, detail, remedy
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        """The answer to send."""
        document = {
            "type": f"urn:streamguard:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "remedy": self.remedy,
        }
        return web.Response(
            status=self.status, text=json.dumps(document), content_type=PROBLEM_TYPE, headers=self.headers
        )


_STREAMS: tuple[tuple[type[StreamsError], int, str], ...] = (
    (UnknownStream, 404, "not-found"),
    (NameInUse, 409, "name-in-use"),
    (NotPulled, 409, "not-pulled"),
    (Overloaded, 503, "overloaded"),
)


def problem_of(error: StreamsError) -> Problem:
    """Return the problem document."""
    status, kind = next((status, name) for kind, status, name in _STREAMS if isinstance(error, kind))
    headers = {"Retry-After": str(error.wait)} if isinstance(error, Overloaded) else None
    return Problem(status, kind, sentence(error.cause), sentence(error.remedy), headers)


def sentence(text: str) -> str:
    """A clause as a sentence."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def not_found(what: str, name: str, remedy: str = "") -> Problem:
    """There is no such thing."""
    return Problem(404, "not-found", f"There is no {what} `{name}`.", remedy)


def overloaded(
    detail: str, retry_after: int = 5, remedy: str = "Try again later, or raise the limit in the settings."
) -> Problem:
    """Refusal for now; the caller may come back (RFC 9110, 10.2.3)."""
    return Problem(503, "overloaded", detail, remedy, {"Retry-After": str(retry_after)})
