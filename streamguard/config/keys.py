"""The tree of keys that the models make: what may stand where in the file."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamguard.config.whole import Config

Path = tuple[str | int, ...]
"""Keys, and places in lists."""


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The part that a field holds, whether alone, in a list, or perhaps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {list, tuple, Union, types.UnionType}:
        return next((found for each in get_args(annotation) if (found := model_in(each))), None)
    return None


def is_list(annotation: Any) -> bool:
    """Return whether the field holds several."""
    return get_origin(annotation) in {list, tuple}


def fields(model: type[BaseModel] = Config, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """All keys in the order of the models, parts before what is in them; lists of parts have no places."""
    for name, field in model.model_fields.items():
        yield (*above, name), field
        if inner := model_in(field.annotation):
            yield from fields(inner, (*above, name))


def model_at(path: Path) -> type[BaseModel] | None:
    """The part at a path; None where there is none."""
    model: type[BaseModel] | None = Config
    for key in path:
        if isinstance(key, int):
            continue
        field = model.model_fields.get(key) if model else None
        model = model_in(field.annotation) if field else None
    return model


def field_at(path: Path) -> FieldInfo | None:
    """The field whose value, or an entry of it, lies at a path; None where there is none."""
    keys = [key for key in path if not isinstance(key, int)]
    model = model_at(tuple(keys[:-1])) if keys else None
    return model.model_fields.get(keys[-1]) if model else None


def nearest(path: Path) -> str:
    """Return what an unknown key may have meant: a clause that names a known one, or those there are."""
    model, wrong = model_at(path[:-1]), str(path[-1]).lower()
    known = list(model.model_fields) if model else []
    if close := get_close_matches(wrong, known, 1):
        return f"perhaps `{close[0]}` is meant"
    # A key may stand in the wrong part.
    everywhere = {keys[-1]: ".".join(keys) for keys, _ in fields() if len(keys) > 1}
    if close := get_close_matches(wrong, everywhere, 1, 0.8):
        return f"perhaps `{everywhere[close[0]]}` is meant"
    return f"known are {', '.join(known)}"


def example(path: Path) -> Any:
    """A value that would do at a path; None where the models give none."""
    model = model_at(path[:-1])
    field = model.model_fields.get(str(path[-1])) if model else None
    return field.examples[0] if field and field.examples else None


def shown(path: Sequence[str | int], values: Any) -> str:
    """A path as it is told: entries of lists by their name where they have one of their own, else by their place.

    >>> shown(("streams", 1, "source"), {"streams": [{"name": "a"}, {"name": "door"}]})
    'streams.door.source'
    """
    told: list[str] = []
    for key in path:
        name: Any = key
        if isinstance(key, int):
            entry = values[key] if isinstance(values, list) and key < len(values) else None
            name = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or sum(isinstance(e, dict) and e.get("name") == name for e in values) > 1:
                told[-1] += f"[{key}]"
                name = None
            values = entry
        else:
            values = values.get(key) if isinstance(values, dict) else None
        if name is not None:
            told.append(str(name))
    return ".".join(told)
