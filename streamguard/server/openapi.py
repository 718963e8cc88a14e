"""The OpenAPI 3.1 document, made of the operations that also make the routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from streamguard.config import LIVE_NAME
from streamguard.server.documents import ProblemDocument, VerdictMessage
from streamguard.server.operations import Operation, Success
from streamguard.server.problems import PROBLEM_TYPE

_REF = "#/components/schemas/{model}"
_PARTS: dict[str, dict[str, Any]] = {
    "stream": {"type": "string", "pattern": LIVE_NAME},
    "check": {"type": "string", "minLength": 1, "maxLength": 64},
    "id": {"type": "string", "minLength": 1, "maxLength": 64},
    "event": {"type": "string", "minLength": 1, "maxLength": 64},
    "incident": {"type": "string", "minLength": 1, "maxLength": 64},
    "webhook": {"type": "string", "minLength": 1, "maxLength": 64},
    "delivery": {"type": "string", "minLength": 1, "maxLength": 160},
    "folder": {"type": "string", "minLength": 1, "maxLength": 64},
    "file": {"type": "string", "minLength": 1, "maxLength": 73},
    "output": {"type": "string", "pattern": "^[0-9]{1,4}$"},
    "segment": {"type": "string", "minLength": 1, "maxLength": 255},
}

_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_FILE_FORM: dict[str, Any] = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}


def openapi(operations: Sequence[Operation], version: str, *, tokens: bool) -> dict[str, Any]:
    """The document.

    Args:
        operations: what the API can do.
        version: of the program.
        tokens: whether bearer tokens are needed here.
    """
    schemas = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, tokens=tokens)
    components: dict[str, Any] = {"schemas": schemas}
    if tokens:
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "streamguard",
            "version": version,
            "description": "Real-time deepfake detection of live video. An automated estimate that may be wrong.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": components,
    }


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    models: dict[type[BaseModel], None] = {ProblemDocument: None, VerdictMessage: None}
    asked: dict[type[BaseModel], None] = {}
    for operation in operations:
        models.update({answer.content: None for answer in operation.answers if isinstance(answer.content, type)})
        if isinstance(operation.body, type):
            asked[operation.body] = None
    pairs: list[Any] = [(model, "serialization") for model in models]
    pairs += [(model, "validation") for model in asked]
    return _definitions(tuple(pairs))


@cache
def _definitions(pairs: tuple[Any, ...]) -> dict[str, Any]:
    _, definitions = models_json_schema(pairs, ref_template=_REF)
    return dict(definitions.get("$defs", {}))


def _operation(operation: Operation, *, tokens: bool) -> dict[str, Any]:
    answers = {str(answer.status): _answer(answer) for answer in operation.answers}
    failures = [*operation.problems, 405, 421]
    if operation.need != "nothing" and tokens:
        failures += [401, 403, 429]
    for status in sorted(set(failures)):
        answers[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": _ref(ProblemDocument)}},
        }
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": answers,
    }
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": _content(operation.body)}
    if tokens:
        made["security"] = [] if operation.need == "nothing" else [{"bearer": []}]
    return made


def _content(body: type[BaseModel] | str | tuple[str, ...]) -> dict[str, Any]:
    """Return the schema of a request's body."""
    if isinstance(body, type):
        return {"application/json": {"schema": _ref(body)}}
    if isinstance(body, str):
        return {body: {"schema": {"type": "string"}}}
    return {kind: {"schema": _FILE_FORM if kind == "multipart/form-data" else _FILE} for kind in body}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in _PARTS.items()
        if f"{{{name}}}" in operation.path
    ]
    parameters += [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in operation.headers.items()
    ]
    if operation.query is not None:
        for name, schema in operation.query.model_json_schema(ref_template=_REF)["properties"].items():
            parameters.append({"name": name, "in": "query", "required": False, "schema": _parameter_schema(schema)})
    return parameters


def _parameter_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what may be left out is just not there."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default", "title"}}
    default = {"default": schema["default"]} if schema.get("default") is not None else {}
    return {**(kinds[0] if kinds else {}), **rest, **default}


def _answer(answer: Success) -> dict[str, Any]:
    made: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        made["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    if isinstance(answer.content, type):
        made["content"] = {"application/json": {"schema": _ref(answer.content)}}
    elif answer.content is not None:
        made["content"] = {answer.content: {"schema": {"type": "string"}}}
    return made


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
