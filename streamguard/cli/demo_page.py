"""The demo's end: the page with the demo's stream playing."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

from streamguard.cli.runner import console, notes, stop_asked

if TYPE_CHECKING:
    from streamguard.pipeline.guard import Guard

STREAM = "demo"


def somebody_looks() -> bool:
    """Return whether there is a desktop with a person before it: a terminal and a display, and no automated run."""
    if os.environ.get("CI") or not sys.stdout.isatty():
        return False
    return _display()


async def show_page(guard: Guard, source: str) -> None:
    """Serve the page on a free port of loopback, the source playing over and over, until Ctrl-C or SIGTERM.

    The browser is opened where there is a display; the address is printed anyway.

    Args:
        guard: judges; stays open.
        source: a file, `camera:0` or a URL.
    """
    from streamguard.config import Config
    from streamguard.logs import set_up_logs
    from streamguard.server.app import serving

    set_up_logs("warning", "text")
    stop = stop_asked()
    # What the environment sets is meant for a real server; nobody's webhooks hear of a demo.
    config = Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0"},
            "alerts": {"enabled": False},
            "streams": [{"name": STREAM, "source": source}],
        }
    )
    async with serving(config, guard) as server:
        url = f"{server.url}/#/stream/{STREAM}"
        console.print(f"open {url}", highlight=False, soft_wrap=True)
        notes.print("It plays until Ctrl-C.")
        if _display():
            # Some browsers come back only when they are closed.
            threading.Thread(target=webbrowser.open, args=(url,), name="browser", daemon=True).start()
        await stop.wait()


def _display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
