"""Items of a LangGraph store: a namespace, a key, a JSON value and two times each.

There is no format of a dump that everybody uses. What is read are lists, or lines, of what
``Item.dict()`` gives, and rows of the SQL stores, whose ``prefix`` is a namespace with dots.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.errors import InvalidEventError
from holdfast.interchange.base import Found, Part, compact, event, in_words, scope_of
from holdfast.interchange.source import Source, parsed

_TEXTS = ("content", "text", "memory", "data")


def read(source: Source) -> Iterator[Found]:
    """Every item, in order of when it was made."""
    found = source.document
    if isinstance(found, dict) and isinstance(found.get("items"), list):
        found = found["items"]
    items = found if isinstance(found, list) else [found]
    for n, value in enumerate(items, 1):
        yield from _item(Part.of(value, f"item {n}"))


def _item(item: Part) -> Iterator[Found]:
    names = _namespace(item)
    value, key = item.value.get("value"), item.text("key")
    if isinstance(value, str) and "prefix" in item.value:  # a column of JSON
        value = parsed(value, f"{item.place}, value")
    if value is None or value in ({}, [], ""):
        return
    text, rest = _words(value)
    metadata = {"key": key, **item.rest("namespace", "prefix", "key", "value", "created_at")}
    yield Found(item.place, compact([names, key]), event(
        text, speaker="langgraph", kind="note", at=item.time("created_at", "updated_at"),
        scope=scope_of(*names), metadata={**metadata, **({"value": rest} if rest else {})},
    ))  # fmt: skip


def _namespace(item: Part) -> list[str]:
    if "namespace" not in item.value and "prefix" in item.value:
        return item.text("prefix").split(".")
    if isinstance(item.value.get("namespace"), str):
        return item.text("namespace").split(".")
    names = item.list("namespace")
    if not all(isinstance(name, str) for name in names):
        wrong = next(name for name in names if not isinstance(name, str))
        raise InvalidEventError(f"{item.place}: 'namespace' holds {in_words(wrong)}, not texts")
    return names


def _words(value: Any) -> tuple[str, Any]:
    """The text of a value and what else it holds; without a text, all of it as JSON."""
    return _text(value) or (compact(value), None)


def _text(value: Any) -> tuple[str, Any] | None:
    """The text of a value, in it or in the object that a field of that name holds."""
    if isinstance(value, str) and value:
        return value, None
    for name in _TEXTS if isinstance(value, dict) else ():
        if found := _text(value.get(name)):
            text, inner = found
            others = {key: one for key, one in value.items() if key != name}
            return text, others | ({name: inner} if inner else {})
    return None
