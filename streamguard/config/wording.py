"""Pydantic's complaints about wrong values, in the words of the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import ErrorDetails

from streamguard.config.keys import Path, field_at, model_in
from streamguard.config.section import STREAM_NAME

_NAME = "a name has letters, digits, `.`, `-` and `_`, begins with a letter or digit, and is at most 64 long"
_PATTERNS = {STREAM_NAME: _NAME}
_LIST = 'it must be a list, such as ["a", "b"]'
_TEXT = "it must be text in quotes"
_TRUTH = "it must be true or false"
_NUMBER = "it must be a number"
_WHOLE = "it must be a whole number"
_SAID: dict[str, Callable[[dict[str, Any]], str]] = {
    **dict.fromkeys(("list_type", "tuple_type", "frozen_set_type"), lambda _: _LIST),
    **dict.fromkeys(("string_type", "path_type"), lambda _: _TEXT),
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _: _TRUTH),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: _NUMBER),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), lambda _: _WHOLE),
    **dict.fromkeys(("literal_error", "enum"), lambda known: f"choose from {known['expected']}"),
    "model_type": lambda _: "it must be a table of keys",
    "finite_number": lambda _: "it must be a finite number",
    "greater_than": lambda bound: f"it must be more than {bound['gt']}",
    "greater_than_equal": lambda bound: f"it must be at least {bound['ge']}",
    "less_than": lambda bound: f"it must be less than {bound['lt']}",
    "less_than_equal": lambda bound: f"it must be at most {bound['le']}",
    "too_short": lambda bound: f"it must hold at least {bound['min_length']}",
    "too_long": lambda bound: f"it must hold at most {bound['max_length']}",
    "string_too_short": lambda bound: f"it must have at least {bound['min_length']} character(s)",
    "string_too_long": lambda bound: f"it must have at most {bound['max_length']} character(s)",
    "string_pattern_mismatch": lambda known: _PATTERNS.get(known["pattern"], "it must be http(s)://host[:port][/path]"),
    "ip_any_network": lambda _: "it is no network such as 10.0.0.0/8",
}


def cause(error: ErrorDetails) -> str:
    """Return what is wrong with a value, as a clause."""
    path: Path = error["loc"]
    field = field_at(path)
    if error["type"] in {"list_type", "tuple_type"} and field is not None and model_in(field.annotation):
        name = ".".join(str(key) for key in path if not isinstance(key, int))
        return f"it must be a list of tables: each begins with `[[{name}]]`"
    if error["type"] == "model_type" and not any(isinstance(key, int) for key in path):
        return f"it must be a table: it begins with `[{'.'.join(map(str, path))}]`"
    if said := _SAID.get(error["type"]):
        return said(error.get("ctx", {}))
    told = error["msg"].removeprefix("Value error, ")
    return f"{told[0].lower()}{told[1:]}"
