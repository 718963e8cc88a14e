"""Incidents over HTTP: searched, looked at, marked, reported and exported."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

from aiohttp import web

from streamguard.alerts import History, Incident
from streamguard.alerts.formats import NOTICE
from streamguard.config import Scope
from streamguard.server import incident_documents as docs
from streamguard.server.alert_problems import as_problems
from streamguard.server.api import V1
from streamguard.server.auth import forbidden
from streamguard.server.caller import Caller
from streamguard.server.documents import dump
from streamguard.server.incident_report import explanation, incident_report
from streamguard.server.memory import Memory
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.types import Event, EventKind

_CSV, _HTML = "text/csv", "text/html"
# A report brings its own style and pictures, and nothing else.
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_CHUNK = 100
MOST_PICTURED = 3
"""Openings whose pictures a report shows."""


class IncidentApi:
    """The handlers.

    Args:
        memory: what happened.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def operations(self) -> list[Operation]:
        """The operations."""
        one = f"{V1}/incidents/{{incident}}"
        return [
            Operation(
                "GET",
                f"{V1}/incidents",
                "listIncidents",
                "People called fake, the newest first.",
                "view",
                self.list_incidents,
                (Success(200, "A page of incidents.", docs.IncidentsDocument),),
                (422, 503),
                query=docs.IncidentQuery,
                by_stream=True,
            ),
            Operation(
                "GET",
                f"{V1}/incidents.json",
                "exportIncidentsJson",
                "All incidents that fit, as one document.",
                "view",
                self.export_json,
                (Success(200, "The incidents.", docs.IncidentExportDocument),),
                (422, 503),
                query=docs.IncidentFilter,
                token_in_query=True,
                by_stream=True,
            ),
            Operation(
                "GET",
                f"{V1}/incidents.csv",
                "exportIncidentsCsv",
                "All incidents that fit, as a table.",
                "view",
                self.export_csv,
                (Success(200, "The incidents, a line each.", _CSV),),
                (422, 503),
                query=docs.IncidentFilter,
                token_in_query=True,
                by_stream=True,
            ),
            Operation(
                "GET",
                one,
                "getIncident",
                "An incident with its events, evidence and scores.",
                "view",
                self.get,
                (Success(200, "The incident.", docs.IncidentDetailDocument),),
                (404, 503),
                by_stream=True,
            ),
            Operation(
                "PATCH",
                one,
                "markIncident",
                "Say whether it was one, and why.",
                "review",
                self.mark,
                (Success(200, "The incident.", docs.IncidentDocument),),
                (404, 413, 415, 422, 503),
                body=docs.IncidentChange,
                by_stream=True,
            ),
            Operation(
                "GET",
                f"{one}/report",
                "reportIncident",
                "An incident as a page that needs nothing else.",
                "view",
                self.report,
                (Success(200, "The report.", _HTML),),
                (404, 503),
                token_in_query=True,
                by_stream=True,
            ),
        ]

    async def list_incidents(self, call: Call[None, docs.IncidentQuery]) -> web.Response:
        """GET /incidents."""
        history = await self._memory.history()
        async with as_problems():
            found, following = await _seen(history, call.query, call.caller)
        snapshots = await self._memory.snapshots(found)
        documents = [docs.incident_document(each, snapshots.get(each.id)) for each in found]
        return json_answer(docs.IncidentsDocument(incidents=documents, next=following))

    async def get(self, call: Call[None, None]) -> web.Response:
        """GET /incidents/{incident}."""
        history, id = await self._memory.history(), call.part("incident")
        async with as_problems():
            incident = may_see(await history.incident(id), call.caller)
            events, samples = await history.events_of(id), await history.samples(id)
        documents = await self._memory.documents(events)
        snapshot = next((each.snapshot for each in reversed(documents) if each.snapshot), None)
        return json_answer(
            docs.IncidentDetailDocument(
                **docs.incident_document(incident, snapshot).model_dump(),
                explanation=explanation(incident, self._memory.guard(incident.model)),
                events=documents,
                evidence=await self._memory.evidence(events),
                samples=docs.sample_documents(samples),
                notice=NOTICE,
            )
        )

    async def mark(self, call: Call[docs.IncidentChange, None]) -> web.Response:
        """PATCH /incidents/{incident}."""
        history, id = await self._memory.history(), call.part("incident")
        changes = call.body.model_dump(exclude_unset=True)
        async with as_problems():
            incident = may_see(await history.incident(id), call.caller, "review")
            if changes:
                incident = await history.mark(id, changes, call.caller.name)
        snapshots = await self._memory.snapshots([incident])
        return json_answer(docs.incident_document(incident, snapshots.get(id)))

    async def report(self, call: Call[None, None]) -> web.Response:
        """GET /incidents/{incident}/report."""
        history, id = await self._memory.history(), call.part("incident")
        async with as_problems():
            incident = may_see(await history.incident(id), call.caller)
            events, samples = await history.events_of(id), await history.samples(id)
        pictures = await incident_pictures(self._memory, events)
        guard = self._memory.guard(incident.model)
        credentials = await self._memory.credentials(incident)
        page = await asyncio.to_thread(incident_report, incident, events, samples, pictures, guard, credentials)
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": _REPORT_POLICY,
            "Content-Disposition": f'inline; filename="incident-{incident.id}.html"',
        }
        return web.Response(text=page, content_type=_HTML, charset="utf-8", headers=headers)

    async def export_json(self, call: Call[None, docs.IncidentFilter]) -> web.StreamResponse:
        """GET /incidents.json."""

        async def written() -> AsyncIterator[str]:
            mark = '{"incidents": ['
            async for each in self._documents(call.query, call.caller):
                yield mark + json.dumps(dump(each))
                mark = ",\n"
            yield (mark if mark != ",\n" else "") + "]}\n"

        return await _sent(call.request, written(), "application/json", "incidents.json")

    async def export_csv(self, call: Call[None, docs.IncidentFilter]) -> web.StreamResponse:
        """GET /incidents.csv."""
        columns = list(docs.IncidentDocument.model_fields)

        async def written() -> AsyncIterator[str]:
            yield _line(columns)
            async for each in self._documents(call.query, call.caller):
                values = dump(each)
                yield _line([_cell(values[name]) for name in columns])

        return await _sent(call.request, written(), _CSV, "incidents.csv")

    async def _documents(self, wanted: docs.IncidentFilter, caller: Caller) -> AsyncIterator[docs.IncidentDocument]:
        history, batch = await self._memory.history(), list[Incident]()
        async with as_problems(), aclosing(history.every(wanted.search())) as found:
            async for each in found:
                if caller.may_on("view", each.stream):
                    batch.append(each)
                if len(batch) == _CHUNK:
                    for document in await self._batch(batch):
                        yield document
                    batch.clear()
        for document in await self._batch(batch):
            yield document

    async def _batch(self, incidents: list[Incident]) -> list[docs.IncidentDocument]:
        snapshots = await self._memory.snapshots(incidents)
        return [docs.incident_document(each, snapshots.get(each.id)) for each in incidents]


def may_see(incident: Incident, caller: Caller, need: Scope = "view") -> Incident:
    """The incident, where the caller has the scope over its stream.

    Raises:
        Problem: 403.
    """
    if not caller.may_on(need, incident.stream):
        raise forbidden(need)
    return incident


async def _seen(history: History, query: docs.IncidentQuery, caller: Caller) -> tuple[list[Incident], str | None]:
    """A page of those that the caller may see; it may be short, and is empty only where there are no more."""
    cursor = query.cursor
    while True:
        found, cursor = await history.incidents(query.search(), limit=query.limit, cursor=cursor)
        seen = [each for each in found if caller.may_on("view", each.stream)]
        if seen or cursor is None:
            return seen, cursor


async def incident_pictures(memory: Memory, events: list[Event]) -> list[tuple[Event, dict[str, bytes]]]:
    """The pictures of an incident's newest openings, oldest first."""
    opened = [event for event in events if event.kind is EventKind.FAKE_OPENED][-MOST_PICTURED:]
    return [(event, found) for event in opened if (found := await memory.pictures(event))]


async def _sent(request: web.Request, parts: AsyncIterator[str], content_type: str, name: str) -> web.StreamResponse:
    """The parts as they come; what fails before the first is a problem."""
    response = web.StreamResponse(
        headers={"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    )
    response.content_type, response.charset = content_type, "utf-8"
    async for part in parts:
        if not response.prepared:
            await response.prepare(request)
        await response.write(part.encode())
    await response.write_eof()
    return response


def _line(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    # A spreadsheet must not take a text for a formula.
    return f"'{text}" if isinstance(value, str) and text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
