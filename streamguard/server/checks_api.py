"""Files over HTTP: sent, judged, looked at, removed."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from streamguard.server.api import V1
from streamguard.server.check_documents import CheckDocument, CheckQuery, ReportQuery
from streamguard.server.check_upload import FORM, RAW, Upload, checked_name
from streamguard.server.checks import PAGE, Check, Checks
from streamguard.server.documents import ProblemDocument
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.server.problems import Problem, not_found, sentence

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; sandbox"
)


class ChecksApi:
    """The handlers.

    Sending a file needs `publish`: it is what a camera does, whose verdict one sees, too. A check is seen by who sent
    it, and by `admin`; not by `view`, as nobody sends a file to have it watched.

    Args:
        checks: takes the files.
        origins: web pages of other origins that may call.
    """

    def __init__(self, checks: Checks, origins: list[str]) -> None:
        self._checks, self._origins = checks, frozenset(origins)

    def operations(self) -> list[Operation]:
        """The operations."""
        one = f"{V1}/checks/{{check}}"
        return [
            Operation(
                "POST",
                f"{V1}/checks",
                "checkFile",
                "Have a video or picture judged; the body is the file, or a form with the field `file`.",
                "publish",
                self.send,
                (Success(201, "It was taken, and waits for its turn.", CheckDocument, {"Location": "Its URL."}),),
                (400, 403, 408, 413, 415, 422, 503, 507),
                body=(RAW, FORM),
                query=CheckQuery,
            ),
            Operation(
                "GET",
                one,
                "getCheck",
                "How a file's check goes, and its result.",
                "own",
                self.show,
                (Success(200, "The check.", CheckDocument),),
                (404,),
            ),
            Operation(
                "DELETE",
                one,
                "removeCheck",
                "End a check, and remove the file and its result.",
                "own",
                self.remove,
                (Success(204, "It is gone."),),
                (404,),
            ),
            Operation(
                "GET",
                f"{one}/report",
                "checkReport",
                "The result as a page by itself, by the link in the check.",
                "nothing",
                self.report,
                (Success(200, "The page.", "text/html"),),
                (404, 422),
                query=ReportQuery,
            ),
        ]

    async def send(self, call: Call[None, CheckQuery]) -> web.Response:
        """POST /checks."""
        request = call.request
        if not self._checks.settings.enabled:
            raise Problem(403, "switched-off", "This server checks no files.", "Set checks.enabled = true.")
        if call.caller.name is None and self._foreign(request):
            raise Problem(403, "foreign-page", "Another web page sent this.", "Add its origin to allowed_origins.")
        name = call.query.name
        if name is not None:
            checked_name(name, self._checks)
        check = await Upload(self._checks, request).receive(name, call.caller.name)
        location = f"{V1}/checks/{check.id}"
        return json_answer(self._document(check), 201, {"Location": location})

    async def show(self, call: Call[None, None]) -> web.Response:
        """GET /checks/{check}."""
        return json_answer(self._document(self._own(call)))

    async def remove(self, call: Call[None, None]) -> web.Response:
        """DELETE /checks/{check}."""
        await self._checks.remove(self._own(call).id)
        return web.Response(status=204)

    async def report(self, call: Call[None, ReportQuery]) -> web.StreamResponse:
        """GET /checks/{check}/report."""
        check = self._checks.find(call.part("check"))
        # The key is the permission: the link was passed on by the sender of the file.
        if (
            check is None
            or check.report is None
            or not hmac.compare_digest(check.key.encode(), call.query.key.encode())
        ):
            raise not_found("report", call.part("check"), "It is kept for a while only: check the file again.")
        headers = {
            "Cache-Control": "private, no-store",
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": _POLICY,
        }
        return web.FileResponse(check.folder / PAGE, headers=headers)

    def _own(self, call: Call[None, None]) -> Check:
        check, caller = self._checks.find(call.part("check")), call.caller
        mine = check is not None and caller.may("publish") and check.owner == caller.name
        if check is None or not (mine or caller.may("admin")):
            raise not_found("check", call.part("check"), "It is kept for a while only: check the file again.")
        return check

    def _foreign(self, request: web.Request) -> bool:
        """Return whether a page of another origin sends it: browsers send forms without asking first."""
        origin = request.headers.get("Origin")
        return origin is not None and origin not in self._origins and urlsplit(origin).netloc != request.host

    def _document(self, check: Check) -> CheckDocument:
        done = check.state == "done"
        return CheckDocument(
            id=check.id,
            name=check.name,
            bytes=check.bytes,
            made=check.made,
            state=check.state,
            ahead=self._checks.ahead(check),
            progress=round(check.progress, 4),
            expires=check.expires,
            result=check.report if done else None,
            report=f"{V1}/checks/{check.id}/report?key={check.key}" if done else None,
            problem=_problem(check) if check.problem is not None else None,
        )


def _problem(check: Check) -> ProblemDocument:
    assert check.problem is not None
    return ProblemDocument(
        type="urn:streamguard:problem:not-judged",
        title=HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
        status=422,
        detail=sentence(check.problem.cause),
        remedy=sentence(check.problem.remedy),
    )
