"""Two `streamguard serve` processes on one PostgreSQL: each event is delivered once, by one of the two."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamguard.alerts import Database, Deliveries, DeliveryStatus, Outbox
from streamguard.clock import wall_clock
from tests.alerts.tools import event
from tests.server.page.serving import served
from tests.server.test_webhooks_api import LOOPBACK, subscribed
from tests.support.receiver import Receiver, receiver

pytestmark = pytest.mark.slow
LEAST = 300
BATCH = 20


async def delivered(http: aiohttp.ClientSession) -> int:
    """How many messages this server has sent."""
    text = await (await http.get("/metrics")).text()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "streamguard_webhook_tries_total" and sample.labels["result"] == "delivered":
                return int(sample.value)
    raise AssertionError("no such metric")


def judged(hears: Receiver) -> list[list[str]]:
    """What was told of each face that the servers judged themselves."""
    return [kinds for face, kinds in hears.faces().items() if face[0] in {"one", "two"}]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_two_processes_deliver_each_event_once(
    database_url: str, tmp_path: Path, detector: Path, half_fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as hears:
        hears.ca.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        alerts = {
            **{"database": database_url, "folder": str(tmp_path / "shared")},
            **{"allow_networks": LOOPBACK, "ca_file": str(tmp_path / "authority.pem")},
        }
        monkeypatch.setenv("STREAMGUARD_ALERTS", json.dumps(alerts))
        with ExitStack() as stack:
            urls = []
            for name in ("one", "two"):
                (tmp_path / name).mkdir()
                urls.append(stack.enter_context(served(tmp_path / name, detector)).url)
            async with (
                aiohttp.ClientSession(urls[0]) as first,
                aiohttp.ClientSession(urls[1]) as second,
                await Database.open(database_url) as database,
            ):
                await subscribed(first, hears)
                # Each judges a stream of its own, and so makes events of its own.
                for http, name in ((first, "one"), (second, "two")):
                    body = {"source": str(half_fake), "name": name}
                    assert (await http.post("/api/v1/streams", json=body)).status == 201
                outbox, recorded, shares = Outbox(database), 0, [0, 0]
                while recorded < LEAST or min(shares) == 0:
                    made = [event("fake.opened", wall_clock(), track=recorded + n) for n in range(BATCH)]
                    await outbox.record(made)
                    recorded += BATCH
                    await hears.until(lambda least=recorded: len(hears.ids()) >= least)  # type: ignore[misc]
                    shares = [await delivered(first), await delivered(second)]
                await hears.until(lambda: {"one", "two"} <= {face[0] for face in hears.faces()}, 240.0)
                for http, name in ((first, "one"), (second, "two")):
                    assert (await http.delete(f"/api/v1/streams/{name}")).status == 204
                log = Deliveries(database)
                # The fake that a removed stream had open is closed; then nothing is left to be sent.
                await hears.until(lambda: all(kinds[-1] == "fake.closed" for kinds in judged(hears)))
                while await log.list(status=DeliveryStatus.PENDING, limit=1):  # noqa: ASYNC110 - only the log knows
                    await asyncio.sleep(0.05)
        assert set(hears.ids().values()) == {1}
        assert len(hears.requests) == len(hears.ids()) > recorded
        assert all(kinds[0] == "fake.opened" for kinds in judged(hears))
    print(f"\n{len(hears.ids())} messages, each once; of the first {recorded} the two sent {shares[0]} and {shares[1]}")
