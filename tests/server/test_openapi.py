"""The OpenAPI document, held against the running server by schemathesis."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from streamguard.pipeline.guard import Guard
from streamguard.server.app import serving
from tests.server.peers import published, until
from tests.support.settings import config_of

EXAMPLES = 12


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def _as_it_is(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")


ENDLESS = "/api/v1/streams/{stream}/events"


class ServerThread:
    """A server on an event loop and thread of its own, as schemathesis calls it in blocking ways."""

    def __init__(self, detector: Path) -> None:
        self._detector, self.url = detector, ""
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        streams = [{"name": "clip", "source": "/none.mp4"}]
        settings = config_of(port=0, streams=streams, max_streams=500, admission="off", checks={"waiting": 1000})
        async with Guard.open(str(self._detector), "torch") as guard, serving(settings, guard) as server:
            self.url = server.url
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> str:
        self._thread.start()
        assert self._ready.wait(60)
        return self.url

    def __exit__(self, *error: object) -> None:
        assert self._stop is not None
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture
def url(detector: Path) -> Iterator[str]:
    """Where a server listens."""
    with ServerThread(detector) as address:
        yield address


def test_the_server_keeps_to_its_document(url: str) -> None:
    document = requests.get(f"{url}/api/v1/openapi.json", timeout=30).json()
    assert document["openapi"].startswith("3.1")
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    tested = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == ENDLESS:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def holds(case: Any) -> None:
            # An answer of every kind, and nothing but what is documented.
            # That an SDP, a webhook's URL, a file or a time range must be a good one is more than a schema can say.
            beyond = ("/whip", "/whep", "/api/v1/webhooks", "/api/v1/checks")
            excluded = [positive_data_acceptance] if case.operation.path.startswith(beyond) else []
            case.call_and_validate(base_url=url, timeout=30, excluded_checks=excluded)

        given(case=operation.as_strategy())(holds)()
        tested += 1
    assert tested >= 18


async def test_every_answer_of_a_living_stream_fits_its_schema(http: aiohttp.ClientSession) -> None:
    document = await (await http.get("/api/v1/openapi.json")).json()

    def check(name: str, value: Any) -> None:
        Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]}).validate(
            value
        )

    async with published(http) as peer:
        await until(lambda: any(message["state"] == "FAKE" for message in peer.messages))
        for message in peer.messages:
            check("VerdictMessage", message)
        check("StreamsDocument", await (await http.get("/api/v1/streams")).json())
        check("EventsDocument", await (await http.get("/api/v1/events")).json())


def test_operations_have_names_of_their_own(url: str) -> None:
    document = requests.get(f"{url}/api/v1/openapi.json", timeout=30).json()
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
