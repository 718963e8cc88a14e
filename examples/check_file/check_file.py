"""Send a file to a streamguard server, wait until it is judged, and print what is said of it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import aiohttp

ENDED = {"done", "failed"}


async def check(server: str, path: Path, page: Path | None) -> int:
    """The exit code: 0 no fake found, 10 a fake found, 1 not judged."""
    token = os.environ.get("STREAMGUARD_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(server, headers=headers) as http:
        with await asyncio.to_thread(path.open, "rb") as file:
            kind = {"Content-Type": "application/octet-stream"}
            async with http.post("/api/v1/checks", data=file, params={"name": path.name}, headers=kind) as taken:
                told = await taken.json()
                if taken.status != 201:
                    print(f"{path}: {told['detail']} {told['remedy']}", file=sys.stderr)
                    return 1
        url = taken.headers["Location"]
        while told["state"] not in ENDED:
            await asyncio.sleep(0.5)
            async with http.get(url) as answer:
                told = await answer.json()
        if told["state"] == "failed":
            print(f"{path}: {told['problem']['detail']} {told['problem']['remedy']}", file=sys.stderr)
            return 1
        if page is not None:
            async with http.get(told["report"]) as answer:
                await asyncio.to_thread(page.write_bytes, await answer.read())
        async with http.delete(url):
            pass
    file = told["result"]["files"][0]
    spans = ", ".join(f"{start:.1f}-{end:.1f} s" for start, end in file["fake_intervals"])
    share = f", {file['share']:.0%} of {file['judged']} judged frames fake" if file["judged"] else ""
    print(f"{path.name}: {file['finding']}{share}{f', called fake {spans}' if spans else ''}")
    return 10 if file["contains_fake"] or file["verdict"] == "FAKE" else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("file", type=Path)
    parser.add_argument("--page", type=Path, help="keep the report here")
    given = parser.parse_args()
    sys.exit(asyncio.run(check(given.server, given.file, given.page)))
