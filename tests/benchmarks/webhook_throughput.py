"""How many signed deliveries a second reach a local TLS receiver: `python -m tests.benchmarks.webhook_throughput`.

Options: number of events (default 3000), `--dead` for a second endpoint that hangs all the while.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from streamguard.alerts import Alerts
from streamguard.clock import wall_clock
from tests.alerts.tools import LOOPBACK, event
from tests.support.receiver import hang, receiver


async def measure(events: int, dead: bool, folder: Path) -> None:
    """Record, deliver and verify so many events, and print the rates."""
    async with receiver() as receiving:
        url = f"sqlite:///{folder / 'alerts.db'}"
        async with Alerts.open(url, folder / "key", targets=LOOPBACK, tls=receiving.trust()) as alerts:
            for path in ("/alive", "/dead")[: 1 + dead]:
                receiving.secrets[path] = (await alerts.subscriptions.create(receiving.url(path))).secret
            receiving.behaviour["/dead"] = hang
            began, used = time.perf_counter(), time.process_time()
            for n in range(events):
                alerts.submit(event("fake.opened", wall_clock(), track=n))
                if n % 100 == 99:
                    await asyncio.sleep(0)
            await receiving.until(lambda: len(receiving.accepted("/alive")) >= events, 600.0)
            took, used = time.perf_counter() - began, time.process_time() - used
        again = sum(receiving.ids("/alive").values()) - events
        hung = sum(one.path == "/dead" for one in receiving.requests)
        print(f"{events} events recorded, signed, sent over TLS, verified by the receiver, settled: {took:.1f} s")
        print(f"{events / took:.0f} deliveries/s; {used / events * 1e3:.2f} ms of processor each, receiver included")
        print(f"{again} came twice; a hanging endpoint beside held {hung} requests")


if __name__ == "__main__":
    wanted = [int(one) for one in sys.argv[1:] if one.isdigit()]
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(wanted[0] if wanted else 3000, "--dead" in sys.argv, Path(name)))
