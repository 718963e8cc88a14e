"""Incidents over HTTP: searched, looked at, marked, reported, exported; and what is refused."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from streamguard.alerts import Alerts, Sample
from streamguard.server.app import Server
from streamguard.types import Closing, Event, EventKind
from tests.server.conftest import ServeWith
from tests.server.test_api import answer
from tests.server.test_protocol import problem

START = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=300)
"""Neither old enough to be removed, nor to be taken for left open."""
V1 = "/api/v1"
TOKENS = [{"token": f"{scope}-0123456789abcdef", "scopes": [scope]} for scope in ("view", "review", "admin")]


def face(number: int, kind: str, incident: str, second: float, **more: Any) -> Event:
    """An event of a face at so many seconds after the start."""
    at = START + timedelta(seconds=second)
    figures = {"score": 0.8, "share": 0.9, "time": second, "track": 1, **more}
    stream = figures.pop("stream", "door")
    return Event(
        f"e{number}",
        EventKind(f"fake.{kind}"),
        stream,
        0,
        at,
        model="m@1",
        engine="torch",
        incident=incident,
        **figures,
    )


def alerts_of(server: Server) -> Alerts:
    """The server's alerts."""
    assert server.hub.desk is not None
    return server.hub.desk.alerts


async def three(server: Server) -> Alerts:
    """Three incidents: one cleared, one lost in another stream, one open."""
    alerts = alerts_of(server)
    for event in (
        face(1, "opened", "i1", 0, score=0.7),
        face(2, "updated", "i1", 60, score=0.95),
        face(3, "closed", "i1", 90, score=0.1, cause=Closing.CLEARED),
        face(4, "opened", "i2", 100, stream="=hall", score=0.6),
        face(5, "closed", "i2", 120, stream="=hall", score=0.6, cause=Closing.LOST),
        face(6, "opened", "i3", 200, score=0.9),
    ):
        alerts.submit(event)
    alerts.submit_samples("i1", tuple(Sample(START.timestamp() + n, 0, float(n), n / 100, 5, 4) for n in range(90)))
    return alerts


def between(since: float, until: float) -> str:
    """The query for so many seconds after the start."""
    moments = [(START + timedelta(seconds=second)).isoformat().replace("+", "%2B") for second in (since, until)]
    return "since={}&until={}".format(*moments)


async def test_search(server: Server, http: aiohttp.ClientSession) -> None:
    await three(server)

    async def ids(query: str) -> list[str]:
        return [each["id"] for each in (await answer(await http.get(f"{V1}/incidents?{query}")))["incidents"]]

    assert await ids("") == ["i3", "i2", "i1"]
    assert await ids("stream=door") == ["i3", "i1"]
    assert await ids("state=open") == ["i3"]
    assert await ids("state=closed&least_score=0.9") == ["i1"]
    assert await ids(between(105, 110)) == ["i2"]
    assert await ids(between(60, 70)) == ["i1"]
    assert await ids("mark=none") == ["i3", "i2", "i1"]
    assert await ids("mark=confirmed") == []
    seen, cursor = [], ""
    for _ in range(3):
        page = await answer(await http.get(f"{V1}/incidents?limit=1{cursor}"))
        seen += [each["id"] for each in page["incidents"]]
        cursor = f"&cursor={page['next']}"
    assert (seen, page["next"]) == (["i3", "i2", "i1"], None)
    assert await ids("cursor=nonsense") == []
    for query in ("state=x", "least_score=2", "mark=x", "limit=0", "since=yesterday", "more=1"):
        await problem(await http.get(f"{V1}/incidents?{query}"), 422)


async def test_one_of_them(server: Server, http: aiohttp.ClientSession) -> None:
    alerts = await three(server)
    await alerts.settle()
    await alerts.history.save_samples({incident: samples for incident, (samples, _) in alerts._samples.items()})
    one = await answer(await http.get(f"{V1}/incidents/i1"))
    assert (one["state"], one["cause"], one["openings"], one["stream"]) == ("closed", "cleared", 1, "door")
    assert (one["score"], one["share"], one["opened_time"], one["time"]) == (0.95, 0.9, 0.0, 90.0)
    assert (one["judged"], one["fake"]) == (450, 360)
    assert [event["kind"] for event in one["events"]] == ["fake.opened", "fake.updated", "fake.closed"]
    assert {event["incident"] for event in one["events"]} == {"i1"}
    assert [(each["time"], each["score"]) for each in one["samples"]][:3] == [(0.0, 0.0), (1.0, 0.01), (2.0, 0.02)]
    assert one["explanation"][-1].startswith("It was cleared")
    assert (one["evidence"], one["snapshot"], one["mark"]) == ([], None, None)
    await problem(await http.get(f"{V1}/incidents/none"), 404)


async def test_marks(server: Server, http: aiohttp.ClientSession) -> None:
    await three(server)
    url = f"{V1}/incidents/i1"
    marked = await answer(await http.patch(url, json={"mark": "false_alarm", "note": "a poster"}))
    assert (marked["mark"], marked["note"], marked["marked_by"]) == ("false_alarm", "a poster", None)
    assert marked["marked_at"] is not None
    assert (await answer(await http.patch(url, json={"mark": "confirmed"})))["note"] == "a poster"
    assert 'streamguard_incidents_marked{mark="confirmed"} 1.0' in await (await http.get("/metrics")).text()
    assert [i["id"] for i in (await answer(await http.get(f"{V1}/incidents?mark=confirmed")))["incidents"]] == ["i1"]
    assert (await answer(await http.patch(url, json={"mark": None})))["mark"] is None
    assert (await answer(await http.patch(url, json={})))["note"] == "a poster"
    for body in ({"mark": "x"}, {"note": "x" * 2001}, {"score": 1}):
        await problem(await http.patch(url, json=body), 422)
    await problem(await http.patch(f"{V1}/incidents/none", json={"mark": "confirmed"}), 404)


async def test_who_may_mark(serve_with: ServeWith) -> None:
    async with serve_with(tokens=TOKENS) as (server, http):
        await three(server)

        def bearer(scope: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {scope}-0123456789abcdef"}

        async def mark(scope: str) -> aiohttp.ClientResponse:
            return await http.patch(f"{V1}/incidents/i1", json={"mark": "confirmed"}, headers=bearer(scope))

        await problem(await mark("view"), 403)
        marked = await answer(await mark("review"))
        assert len(marked["marked_by"]) == 12
        assert (await answer(await mark("admin")))["marked_by"] != marked["marked_by"]
        await problem(await http.get(f"{V1}/incidents", headers=bearer("review")), 403)
        await problem(await http.get(f"{V1}/incidents/i1/report"), 401)
        page = await http.get(f"{V1}/incidents/i1/report", params={"access_token": "view-0123456789abcdef"})
        assert page.status == 200


async def test_exports(server: Server, http: aiohttp.ClientSession) -> None:
    alerts = await three(server)
    await alerts.settle()
    await alerts.history.mark("i2", {"mark": "confirmed", "note": '=HYPERLINK("x"),\n"y"'}, "me")
    got = await http.get(f"{V1}/incidents.csv?state=closed")
    assert (got.status, got.content_type) == (200, "text/csv")
    rows = list(csv.DictReader(io.StringIO(await got.text())))
    assert [row["id"] for row in rows] == ["i2", "i1"]
    assert (rows[0]["note"], rows[0]["stream"]) == ('\'=HYPERLINK("x"),\n"y"', "'=hall")
    assert (rows[1]["cause"], rows[1]["mark"]) == ("cleared", "")
    whole = json.loads(await (await http.get(f"{V1}/incidents.json")).text())
    listed = await answer(await http.get(f"{V1}/incidents"))
    assert whole["incidents"] == listed["incidents"]
    assert json.loads(await (await http.get(f"{V1}/incidents.json?stream=none")).text()) == {"incidents": []}
    await problem(await http.get(f"{V1}/incidents.csv?limit=1"), 422)


async def test_the_report(server: Server, http: aiohttp.ClientSession) -> None:
    alerts = await three(server)
    await alerts.settle()
    await alerts.history.save_samples({incident: samples for incident, (samples, _) in alerts._samples.items()})
    await alerts.history.mark("i1", {"mark": "confirmed", "note": "<script>x</script>"}, None)
    got = await http.get(f"{V1}/incidents/i1/report")
    text = await got.text()
    assert (got.status, got.content_type) == (200, "text/html")
    assert "style-src 'unsafe-inline'" in got.headers["Content-Security-Policy"]
    for part in (
        "confirmed as fake",
        "&lt;script&gt;",
        "An automated estimate",
        "<svg class=plot",
        "No picture is kept",
    ):
        assert part in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    await problem(await http.get(f"{V1}/incidents/none/report"), 404)


async def test_without_alerts_it_is_remembered_in_memory(serve_with: ServeWith) -> None:
    async with serve_with(alerts={"enabled": False}) as (server, http):
        await three(server)
        assert len((await answer(await http.get(f"{V1}/incidents")))["incidents"]) == 3
        assert len((await answer(await http.get(f"{V1}/events?stream=door")))["events"]) == 4
        await problem(await http.get(f"{V1}/webhooks"), 503)
