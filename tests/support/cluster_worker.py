"""A worker of a cluster as a process, without Ray: made to be killed, paused and ended.

Run as a module with one JSON argument: config (TOML file), node, domain; version, where it is to be another one.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from streamguard.cluster import worker
from streamguard.cluster.leases import WorkerPlace
from streamguard.config import read_config
from streamguard.logs import set_up_logs


async def main(settings: dict[str, str]) -> None:
    """Work until SIGTERM."""
    worker.__version__ = settings.get("version", worker.__version__)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = read_config(Path(settings["config"]))
    set_up_logs(config.server.log_level, config.server.log_format)
    await worker.work(config, WorkerPlace(settings["node"], "127.0.0.1", settings["domain"]), stop)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
