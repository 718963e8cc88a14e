"""A real Janus with its VideoRoom, on free ports, for as long as a test needs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon

_INSTALL = "apt-get install -y janus"
_PLUGINS = ("videoroom", "textroom", "echotest")


class Janus(Daemon):
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
        super().__init__()
        self._rooms = {1234: {}} if rooms is None else rooms
        self._plugins, self._secret, self._string_ids = set(plugins), api_secret, string_ids

    @property
    def url(self) -> str:
        """The server, without a room."""
        return f"janus+ws://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "janus.log").read_text(errors="replace")

    def command(self) -> list[str]:
        """The command line; see `Daemon`."""
        program = shutil.which("janus")
        if program is None:
            raise RuntimeError(f"there is no Janus: {_INSTALL}")
        self._configure()
        folder = self.folder
        return [program, "-F", str(folder), "-C", str(folder / "janus.jcfg"), "-L", str(folder / "janus.log"), "-N"]

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
        (self.folder / f"{name}.jcfg").write_text("\n".join(lines) + "\n")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"'
