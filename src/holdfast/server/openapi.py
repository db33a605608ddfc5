"""The description of the API, made from the operations: OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_type_hints

from holdfast import __version__
from holdfast.operations import Operation
from holdfast.server.bodies import NDJSON
from holdfast.server.routes import STREAMED
from holdfast.service.call import offered
from holdfast.service.root import NAME
from holdfast.wire.arguments import model_of
from holdfast.wire.schema import schema_of

_REF = "#/components/schemas/"
_PLACES = {"in": "path", "required": True}
_TAGS = {
    "read": "What is held",
    "write": "Adding to it",
    "govern": "Deciding over the whole of it",
}
_WORDS = {
    400: "The request is not HTTP as it should be.",
    401: "No credential, or none that holds.",
    403: "The caller may not do this.",
    404: "There is no such thing, or none that the caller may see.",
    405: "This path takes another method.",
    409: "Something else is there than was expected.",
    413: "The body, a line or an event is too large.",
    415: "The body is not JSON.",
    422: "The arguments cannot be taken.",
    429: "Too much is waiting; the header Retry-After says when to try again.",
    501: "An optional package is not installed on the server.",
    503: "The store is busy, or the server is stopping.",
    507: "The disk is full.",
}
_FAILURES = {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _WORDS}


@cache
def describe() -> dict[str, Any]:
    """The whole document."""
    schemas: dict[str, Any] = {"Problem": _problem()}
    paths: dict[str, Any] = {
        "/v1/memories": {"get": _names()},
        "/v1/memories/{memory}": {"parameters": [_memory()], "put": _make()},
    }
    for operation in offered():
        paths[f"/v1/memories/{{memory}}/{operation.name}"] = {
            "parameters": [_memory()],
            **_methods(operation, schemas),
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": __version__,
            "description": "Bounded, streaming, faithful memory for agents.",
        },
        "paths": paths,
        "tags": [{"name": name} for name in _TAGS.values()],
        "components": {
            "schemas": schemas,
            "responses": _problems(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _methods(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    if operation.name in STREAMED:
        return _streamed(operation, schemas)
    body = model_of(operation).model_json_schema(ref_template=_REF + "{model}")
    schemas |= body.pop("$defs", {})
    result = schema_of(get_type_hints(operation.function)["return"], schemas, _REF)
    told = _told(operation, {"application/json": {"schema": result}})
    name = body["title"]
    schemas[name] = body
    example = {"example": dict(operation.example)} if _is_json(operation.example) else {}
    content = {"application/json": {"schema": {"$ref": _REF + name}, **example}}
    required = bool(body.get("required"))
    methods = {"post": {**told, "requestBody": {"content": content, "required": required}}}
    if operation.effect == "read":
        asked = {**told, "operationId": f"get_{operation.name}", "parameters": _query(body)}
        methods["get"] = asked
    return methods


def _streamed(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any]
    lines: dict[str, Any] = {NDJSON[0]: {"schema": {"type": "string"}}}
    if operation.name == "watch":
        events = {"text/event-stream": {"schema": {"type": "string"}}}
        told = _told(operation, events)
        body = model_of(operation).model_json_schema(ref_template=_REF + "{model}")
        return {"get": {**told, "parameters": _query(body)}}
    if operation.name == "export":
        return {"get": _told(operation, lines)}
    if operation.name == "import":
        result = {
            "type": "object",
            "properties": {"events": {"type": "integer"}},
            "required": ["events"],
        }
        content = lines
    else:
        result = schema_of(get_type_hints(operation.function)["return"], schemas, _REF)
        content = {**lines, "application/json": {"schema": {"type": "array", "items": {}}}}
    told = _told(operation, {"application/json": {"schema": result}})
    return {"post": {**told, "requestBody": {"content": content, "required": True}}}


def _told(operation: Operation, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _description(operation),
        "tags": [_TAGS[operation.effect]],
        "responses": {"200": {"description": "Done.", "content": content}, **_FAILURES},
    }


def _description(operation: Operation) -> str:
    """The first paragraph of what the method says of itself."""
    return " ".join((operation.function.__doc__ or "").strip().split("\n\n")[0].split())


def _query(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The arguments of an operation as parameters of a query."""
    required = body.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _scalar(schema)}
        for name, schema in body["properties"].items()
    ]


def _scalar(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without null, which a query cannot say."""
    kept = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    found: dict[str, Any] = {k: v for k, v in schema.items() if k not in ("anyOf", "default")}
    if len(kept) == 1:
        found.update(kept[0])
        return found
    if kept:
        found["anyOf"] = kept
    return found


def _memory() -> dict[str, Any]:
    pattern = f"^{NAME.pattern}$"
    return {"name": "memory", **_PLACES, "schema": {"type": "string", "pattern": pattern}}


def _names() -> dict[str, Any]:
    names = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"memories": names}, "required": ["memories"]}
    done = {"description": "Done.", "content": {"application/json": {"schema": schema}}}
    return {
        "operationId": "memories",
        "summary": "Name the memories that the caller may use",
        "tags": [_TAGS["read"]],
        "responses": {"200": done, **_FAILURES},
    }


def _make() -> dict[str, Any]:
    budget = {"type": ["integer", "string"], "description": "Bytes on disk, or '64 MiB'"}
    schema = {
        "type": "object",
        "properties": {"budget": budget},
        "required": ["budget"],
        "additionalProperties": False,
    }
    body = {"content": {"application/json": {"schema": schema}}, "required": True}
    made = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "budget": budget},
        "required": ["name", "budget"],
    }
    done = {"description": "Done.", "content": {"application/json": {"schema": made}}}
    return {
        "operationId": "make",
        "summary": "Make a memory, or give the one there is another budget",
        "tags": [_TAGS["govern"]],
        "requestBody": body,
        "responses": {"200": done, "201": done, **_FAILURES},
    }


def _problems() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": _REF + "Problem"}}}
    return {
        f"Problem{status}": {"description": words, "content": content}
        for status, words in _WORDS.items()
    }


def _problem() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "What went wrong: RFC 9457.",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
        "required": ["type", "title", "status", "detail"],
    }


def _is_json(example: Mapping[str, Any]) -> bool:
    return bool(example) and not any(
        str(value).startswith("Automaton(") for value in example.values()
    )
