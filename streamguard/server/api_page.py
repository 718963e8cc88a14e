"""The OpenAPI document as a page to read: made here, without scripts, so that it works without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streamguard.report import render_page

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_GROUPS = (
    ("Streams", r"/api/v1/(streams|engines|ice-servers|access)"),
    ("What happened", r"/api/v1/(events|incidents|evidence|audit)|/evidence/"),
    ("WebRTC", r"/wh[ie]p/"),
    ("Webhooks", r"/api/v1/webhooks"),
)
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True, slots=True)
class ApiField:
    """A line of a table: a parameter, or a part of a document.

    Attributes:
        name: of the field.
        kind: its type in words.
        refs: documents that the type names.
        needed: whether it must be there.
        about: what it means.
    """

    name: str
    kind: str
    refs: list[str]
    needed: bool
    about: str


def api_page(document: dict[str, Any]) -> str:
    """The page.

    Args:
        document: OpenAPI 3.1, as made by `openapi`.
    """
    operations = [
        _operation(path, method, each) for path, item in document["paths"].items() for method, each in item.items()
    ]
    groups: dict[str, list[dict[str, Any]]] = {title: [] for title in (*dict(_GROUPS), "Server")}
    for operation in operations:
        title = next((title for title, paths in _GROUPS if re.match(paths, operation["path"])), "Server")
        groups[title].append(operation)
    schemas = {
        name: {"about": _plain(schema.get("description", "")), "fields": list(_fields(schema)), "kind": _kind(schema)}
        for name, schema in sorted(document["components"]["schemas"].items())
    }
    groups = {title: group for title, group in groups.items() if group}
    return render_page("api.html", title="API of streamguard", info=document["info"], groups=groups, schemas=schemas)


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {})
    kind, content = next(iter(body.items()), ("", {}))
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "open": operation.get("security") == [],
        "parameters": [
            ApiField(
                f"{each['name']} ({each['in']})",
                _kind(each["schema"]),
                _refs(each["schema"]),
                each["required"],
                _plain(each.get("description") or each["schema"].get("description", "")),
            )
            for each in operation["parameters"]
        ],
        "body": kind,
        "body_refs": _refs(content),
        "answers": [
            {
                "status": status,
                "about": answer["description"],
                "kinds": list(answer.get("content", {})),
                "refs": _refs(answer.get("content", {})),
                "headers": list(answer.get("headers", {})),
            }
            for status, answer in operation["responses"].items()
            if int(status) < 400
        ],
        "failures": [
            f"{status} {answer['description']}"
            for status, answer in operation["responses"].items()
            if int(status) >= 400
        ],
        "curl": _curl(path, method.upper(), kind, needs_token=operation.get("security") not in (None, [])),
    }


def _curl(path: str, method: str, kind: str, *, needs_token: bool) -> str:
    parts = ["curl"] if method == "GET" else [f"curl -X {method}"]
    if needs_token:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if kind:
        parts.append(f"-H 'Content-Type: {kind}' --data @body")
    # Braces are left to curl's own globbing otherwise.
    return " ".join([*parts, f'"$URL{re.sub(r"{(.*?)}", lambda part: part[1].upper(), path)}"'])


def _fields(schema: dict[str, Any]) -> Iterator[ApiField]:
    needed = set(schema.get("required", ()))
    for name, each in schema.get("properties", {}).items():
        about = _plain(each.get("description", ""))
        if each.get("deprecated"):
            about = f"Deprecated. {about}"
        yield ApiField(name, _kind(each), _refs(each), name in needed, about)


def _kind(schema: dict[str, Any]) -> str:
    """A type in words."""
    if "$ref" in schema:
        return _name(schema["$ref"])
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if choices:
        return " | ".join(map(json.dumps, choices))
    if joined := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " | ".join(dict.fromkeys(map(_kind, joined)))
    if "prefixItems" in schema:
        return f"[{', '.join(map(_kind, schema['prefixItems']))}]"
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    limits = [f"{sign} {schema[key]:g}" for key, sign in _LIMITS.items() if key in schema]
    default = [f"default {json.dumps(schema['default'])}"] if schema.get("default") is not None else []
    return ", ".join([str(schema.get("format") or schema.get("type", "any")), *limits, *default])


def _refs(part: Any) -> list[str]:
    """The documents that are named anywhere in a part, each once."""
    if isinstance(part, dict):
        own = [_name(part["$ref"])] if isinstance(part.get("$ref"), str) else []
        return list(dict.fromkeys([*own, *(name for value in part.values() for name in _refs(value))]))
    if isinstance(part, list):
        return list(dict.fromkeys(name for value in part for name in _refs(value)))
    return []


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]


def _plain(text: str) -> str:
    return " ".join(text.split())
