"""The page's files over HTTP, and what the page draws by."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from streamguard.server.site import PAGE
from streamguard.verdict import VoteSettings
from tests.server.conftest import ServeWith


async def test_files_are_revalidated_each_time(http: aiohttp.ClientSession) -> None:
    for path, file in (("/", "index.html"), ("/static/app.js", "app.js"), ("/static/css/base.css", "css/base.css")):
        first = await http.get(path)
        assert await first.read() == (PAGE / file).read_bytes()
        assert first.headers["Cache-Control"] == "no-cache"
        again = await http.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"
    missing = await http.get("/static/none.js")
    assert missing.status == 404


async def test_a_stream_tells_how_its_votes_count(serve_with: ServeWith, real: Path) -> None:
    async with serve_with(streams=[{"name": "a", "source": str(real)}]) as (_, http):
        vote, used = (await (await http.get("/api/v1/streams/a")).json())["vote"], VoteSettings()
        assert vote == {"window": used.window, "open_share": used.open_share, "close_share": used.close_share}
