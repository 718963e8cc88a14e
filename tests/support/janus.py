"""A real Janus with its VideoRoom, on free ports, for as long as a test needs it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_INSTALL = "apt-get install -y janus"
_PATIENCE = 20.0
_PLUGINS = ("videoroom", "textroom", "echotest")


class Janus:
    """`with Janus() as janus:`; its WebSockets listen at `janus.url`. `kill` and `start` keep ports and rooms.

    Args:
        rooms: number -> its settings, as in `janus.plugin.videoroom.jcfg`.
        plugins: those that are loaded.
        api_secret: what every request has to show; None for none.
        string_ids: rooms and participants have texts for ids.
    """

    def __init__(
        self,
        rooms: Mapping[int | str, Mapping[str, Any]] | None = None,
        *,
        plugins: Iterable[str] = ("videoroom",),
        api_secret: str | None = None,
        string_ids: bool = False,
    ) -> None:
        self._rooms = {1234: {}} if rooms is None else rooms
        self._plugins, self._secret, self._string_ids = set(plugins), api_secret, string_ids
        with socket.create_server(("127.0.0.1", 0)) as asked:
            self.port = asked.getsockname()[1]
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server, without a room."""
        return f"janus+ws://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self._folder / "janus.log").read_text(errors="replace")

    def start(self) -> None:
        """Start the server and wait until it listens."""
        program = shutil.which("janus")
        if program is None:
            raise RuntimeError(f"there is no Janus: {_INSTALL}")
        self._configure()
        self._process = subprocess.Popen(
            [
                program,
                "-F",
                str(self._folder),
                "-C",
                str(self._folder / "janus.jcfg"),
                "-L",
                str(self._folder / "janus.log"),
                "-N",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > limit:
                    said = self.log
                    self.kill()
                    raise RuntimeError(f"Janus did not start: {said}") from None
                time.sleep(0.02)

    def kill(self) -> None:
        """End the server without a word to its clients. A no-op when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="janus-"))
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _configure(self) -> None:
        unused = [f"libjanus_{name}.so" for name in ("http", "pfunix", "mqtt", "nanomsg", "rabbitmq")]
        there = {path.name.split("_")[1].split(".")[0] for path in Path("/usr/lib").glob("*/janus/plugins/*.so")}
        left_out = [f"libjanus_{name}.so" for name in sorted(there - self._plugins)]
        general = {"debug_level": 4, "session_timeout": 60, "server_name": "test"}
        if self._secret is not None:
            general["api_secret"] = self._secret
        self._write(
            "janus",
            general=general,
            nat={"ice_lite": False, "ignore_mdns": True},
            media={"ipv6": False},
            plugins={"disable": ",".join(left_out)},
            transports={"disable": ",".join(unused)},
            events={"broadcast": False},
        )
        self._write(
            "janus.transport.websockets",
            general={"json": "compact", "ws": True, "ws_port": self.port, "ws_ip": "127.0.0.1", "wss": False},
        )
        rooms = {
            f"room-{number}": {"publishers": 6, "videocodec": "vp8", **room} for number, room in self._rooms.items()
        }
        self._write("janus.plugin.videoroom", general={"string_ids": self._string_ids}, **rooms)

    def _write(self, name: str, **sections: Mapping[str, Any]) -> None:
        lines = []
        for section, values in sections.items():
            lines.append(f"{section}: {{")
            lines += [f"  {key} = {_value(value)}" for key, value in values.items()]
            lines.append("}")
        (self._folder / f"{name}.jcfg").write_text("\n".join(lines) + "\n")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"'
