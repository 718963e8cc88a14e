"""The configuration for people: all keys as a table, the values in force and where they come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from streamguard.config.keys import Path, fields, is_list, model_in, shown
from streamguard.config.reading import Loaded
from streamguard.config.whole import Config


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One value in force.

    Attributes:
        key: dotted; entries of lists by name or place.
        value: as JSON has it, secrets hidden.
        origin: `default`, a file's path, `environment NAME`, `command line`, or `file PATH` of a secret.
    """

    key: str
    value: Any
    origin: str


def rows(loaded: Loaded) -> list[SettingRow]:
    """Every value in force."""
    return list(_rows(loaded, loaded.config, ()))


def schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
        "title": "streamguard.toml",
        "description": "How `streamguard serve` runs.",
    }


def table() -> str:
    """All keys with their defaults and meanings, in Markdown."""
    lines = ["| key | default | |", "|---|---|---|"]
    for keys, field in fields():
        name = ".".join(keys)
        inner = model_in(field.annotation)
        if inner is None:
            lines.append(f"| `{name}` | {_default(field)} | {_cell(field.description or '')} |")
        else:
            text = field.description or " ".join((inner.__doc__ or "").split("\n\n")[0].split())
            name = f"[[{name}]]" if is_list(field.annotation) else f"[{name}]"
            absent = "none" if field.default is None or is_list(field.annotation) else ""
            lines.append(f"| **`{name}`** | {absent} | {_cell(text)} |")
    return "\n".join(lines) + "\n"


def _rows(loaded: Loaded, value: Any, path: Path) -> Iterator[SettingRow]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _rows(loaded, getattr(value, name), (*path, name))
    elif isinstance(value, list | tuple) and value and isinstance(value[0], BaseModel):
        for place, entry in enumerate(value):
            yield from _rows(loaded, entry, (*path, place))
    else:
        origin = loaded.layers.origin(path)
        listed = sorted(value) if isinstance(value, frozenset) else value
        yield SettingRow(shown(path, loaded.layers.values), to_jsonable_python(listed), origin)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = to_jsonable_python(field.get_default(call_default_factory=True, validated_data={}))
    return "none" if default in (None, [], {}) else f"`{json.dumps(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
