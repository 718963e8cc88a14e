"""A FastAPI application that judges uploaded files, and tells what happens in a camera's picture."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

from streamguard import Event, FileScan, Guard, WatchOptions

MOST_BYTES = 200 * 1024**2
CAMERAS: dict[str, str] = json.loads(os.environ.get("CAMERAS", "{}"))
"""Names and URLs. Never open a URL that a visitor gives: it may lead into your own network."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One guard for the whole life of the application: it takes seconds to open, and judges all at the same time."""
    async with Guard.open(os.environ.get("MODEL", "unet_lite0")) as guard:
        app.state.guard = guard
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/judge")
async def judge(request: Request) -> dict[str, object]:
    """Judge the video in the request's body."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        with path.open("wb") as file:
            async for chunk in request.stream():
                if file.tell() + len(chunk) > MOST_BYTES:
                    raise HTTPException(413, "the file is too large")
                await asyncio.to_thread(file.write, chunk)
        scan = FileScan(app.state.guard, str(path))
        verdict = await scan.run()
    faces = [{"face": face.track, "finding": face.finding, "share": face.share} for face in verdict.tracks]
    # A damaged file is judged up to the damage.
    fault = scan.fault.cause if scan.fault is not None else None
    return {"finding": verdict.finding, "faces": faces, "fault": fault}


@app.get("/cameras/{name}/events")
async def events(name: str) -> StreamingResponse:
    """What happens in the camera's picture, as server-sent events, for as long as somebody listens."""
    if name not in CAMERAS:
        raise HTTPException(404, "no camera of that name")

    async def told() -> AsyncIterator[str]:
        options = WatchOptions(judged_per_second=5, wait_for_source=True)
        async for item in app.state.guard.watch(CAMERAS[name], name=name, options=options):
            if isinstance(item, Event):
                yield f"event: {item.kind.value}\ndata: {json.dumps({'face': item.track, 'share': item.share})}\n\n"

    return StreamingResponse(told(), media_type="text/event-stream")
