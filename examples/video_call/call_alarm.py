"""Listen to one stream of a streamguard server, and say when a fake face comes and goes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """Server-sent events: id, name, data."""
    fields: dict[str, str] = {}
    async for raw in answer.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields.get("id", ""), fields["event"], json.loads(fields["data"])
            fields = {}


def told(name: str, data: dict[str, Any]) -> None:
    """Print what matters to somebody in a call."""
    if name == "alert" and data["kind"] == "fake.opened":
        print(f"\a{data['at']}  FAKE: face {data['track']}, {data['share']:.0%} of the last frames", flush=True)
    elif name == "alert" and data["kind"] == "fake.closed":
        print(f"{data['at']}  face {data['track']} is no longer called fake", flush=True)
    elif name == "state" and data["state"] in {"ended", "failed"}:
        print(f"the call has ended: {data['detail']}", flush=True)


async def listen(server: str, stream: str, token: str | None) -> None:
    """Runs until the stream ends; a broken connection is made again, and no alert is missed."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    last = ""
    # No limit on the whole answer: it has no end.
    forever = aiohttp.ClientTimeout(total=None, sock_read=30)
    async with aiohttp.ClientSession(server, headers=headers, timeout=forever) as http:
        while True:
            again = {"Last-Event-ID": last} if last else {}
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"/api/v1/streams/{stream}/events", headers=again) as answer:
                    if answer.status == 404:
                        print(f"waiting for {stream}", flush=True)
                    answer.raise_for_status()
                    async for key, name, data in events(answer):
                        last = key or last
                        told(name, data)
                        if name == "state" and data["state"] in {"ended", "failed"}:
                            return
            await asyncio.sleep(1)


def main() -> int:
    """Ctrl-C ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="http://127.0.0.1:8080")
    parser.add_argument("stream", help="the stream's name, as the page shows it")
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(listen(args.server, args.stream, os.environ.get("STREAMGUARD_TOKEN")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
