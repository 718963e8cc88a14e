"""A live HLS playlist as a packager keeps it: the newest segments only, a discontinuity where the encoder changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from streamguard.files import write_text
from tests.support.hosts import web_server

WINDOW = 3
NAME = "live.m3u8"


@contextmanager
def live_playlist(folder: Path, segments: Sequence[tuple[bytes, float, bool]]) -> Iterator[str]:
    """The playlist's URL; segments appear at their own rate, and the oldest disappear from the disk.

    Args:
        folder: an empty one.
        segments: bytes, seconds, and whether the encoder began anew with it.
    """
    stop = threading.Event()

    def show(newest: int) -> None:
        first = max(0, newest - WINDOW + 1)
        (folder / f"{newest}.ts").write_bytes(segments[newest][0])
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{round(max(s for _, s, _ in segments) + 0.5)}"]
        lines += [
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{sum(new for _, _, new in segments[:first])}",
        ]
        for number in range(first, newest + 1):
            _, seconds, new = segments[number]
            lines += ["#EXT-X-DISCONTINUITY"] * new + [f"#EXTINF:{seconds},", f"{number}.ts"]
        write_text(folder / NAME, "\n".join([*lines, ""]))
        # One more than the window: who has the playlist may still ask for it.
        (folder / f"{first - 2}.ts").unlink(missing_ok=True)

    def work() -> None:
        for newest in range(WINDOW, len(segments)):
            if stop.wait(segments[newest - 1][1]):
                return
            show(newest)

    for newest in range(WINDOW):
        show(newest)
    with web_server(folder) as base:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield f"{base}/{NAME}"
        finally:
            stop.set()
            thread.join()
