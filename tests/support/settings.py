"""Configurations for tests, from the names of their keys alone."""

from __future__ import annotations

import json
from typing import Any

from streamguard.config import Config

_PARTS = {"alerts", "evidence", "checks", "streams", "rules"}
_ENGINE = {"model", "engine", "threads", "cache"}


def sections(**settings: Any) -> dict[str, Any]:
    """Settings as the tables of the file: what is of no other part is the server's.

    >>> sections(port=0, model="unet_v1", streams=[])
    {'server': {'listen': '127.0.0.1:0'}, 'engine': {'model': 'unet_v1'}, 'streams': []}
    """
    made: dict[str, Any] = {"server": {}}
    host, port = settings.pop("host", "127.0.0.1"), settings.pop("port", None)
    if port is not None or host != "127.0.0.1":
        made["server"]["listen"] = f"{f'[{host}]' if ':' in host else host}:{8080 if port is None else port}"
    for name, value in settings.items():
        if name in _PARTS:
            made[name] = value
        elif name in _ENGINE:
            made.setdefault("engine", {})[name] = value
        elif name.startswith("tls_"):
            made["server"].setdefault("tls", {})[name.removeprefix("tls_")] = value
        else:
            made["server"][name] = value
    return made


def config_of(**settings: Any) -> Config:
    """The configuration of these settings, without file and environment."""
    return Config.model_validate(sections(**settings))


def toml(values: dict[str, Any], above: str = "") -> str:
    """Nested tables as TOML."""
    lines, tables = [], []
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, dict):
            tables.append(f"\n[{name}]\n{toml(value, f'{name}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [f"\n[[{name}]]\n{toml(item, f'{name}.')}" for item in value]
        elif value is not None:
            # Texts, numbers, truth values and lists of them are written as in JSON.
            lines.append(f"{key} = {json.dumps(value, default=str)}")
    return "\n".join([*lines, *tables]) + "\n"
