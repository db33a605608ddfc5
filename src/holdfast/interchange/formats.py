"""The formats there are, and which of them a file is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from holdfast.errors import InvalidEventError, UnknownNameError
from holdfast.exchange import events
from holdfast.interchange.base import Item
from holdfast.interchange.source import ARCHIVE, Source, parsed

FORMATS: dict[str, str] = {
    "chatgpt": "holdfast.interchange.chatgpt:read",
    "claude": "holdfast.interchange.claude:read",
    "jsonl": "holdfast.interchange.jsonl:read",
    "langgraph": "holdfast.interchange.langgraph:read",
    "letta": "holdfast.interchange.letta:read",
    "markdown": "holdfast.interchange.markdown:read",
    "mem0": "holdfast.interchange.mem0:read",
    "zep": "holdfast.interchange.zep:read",
}
"""Name -> the function that reads it; it is loaded when it is first used."""

LOSSLESS = "lossless"
"""What `detect` says of an export that `holdfast.exchange.restore` reads."""

Reader = Callable[[Source], Iterator[Item]]

_ENDINGS = {".md": "markdown", ".markdown": "markdown", ".af": "letta"}

# A record with all of some fields is of that format; the first that fits.
_MARKS: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (form, frozenset(fields.split()))
    for form, fields in (
        (LOSSLESS, f"{events.LOSSLESS} schema"),
        ("chatgpt", "mapping"),
        ("claude", "chat_messages"),
        ("letta", "agents blocks"),
        ("letta", "core_memory messages"),
        ("zep", "source_node_uuid"),
        ("zep", "edges"),
        ("zep", "episodes"),
        ("zep", "group_id source_description"),
        ("langgraph", "namespace key value"),
        ("langgraph", "prefix key value"),
        ("mem0", "memory id"),
        ("jsonl", "content"),
        ("jsonl", "content_base64"),
        ("jsonl", "text"),
    )
)
_LISTS = ("results", "conversations", "items")  # fields that hold the records themselves
_LOOKED_AT = 20  # records


def reader(form: str) -> Reader:
    """The function that reads a format; raises `UnknownNameError` if there is none.

    Examples
    --------
    >>> reader("chatgtp")
    Traceback (most recent call last):
    ...
    holdfast.errors.UnknownNameError: no format 'chatgtp'; did you mean 'chatgpt'? Known: \
chatgpt, claude, jsonl, langgraph, letta, markdown, mem0, zep.
    """
    if form not in FORMATS:
        close = get_close_matches(form, FORMATS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise UnknownNameError(f"no format {form!r}{hint} Known: {', '.join(FORMATS)}.")
    module, _, name = FORMATS[form].partition(":")
    found: Reader = getattr(import_module(module), name)
    return found


def detect(source: Source) -> str:
    """The format of a source, by its name and by the fields of its first records.

    `LOSSLESS` is not among `FORMATS`. Anything else in lines of JSON is "jsonl".

    Raises
    ------
    InvalidEventError
        If nothing is recognised.

    Examples
    --------
    >>> import io
    >>> detect(Source(io.BytesIO(b'{"results": [{"id": "1", "memory": "Likes tea"}]}')))
    'mem0'
    """
    for ending, named in _ENDINGS.items():
        if source.name.lower().endswith(ending):
            return named
    first, alone = source.first_line()
    if not alone and (value := _value(first)) is not None:  # one record to a line
        return _marked([value]) or "jsonl"
    if first.startswith(("{", "[", ARCHIVE)):
        if form := _marked(_records(source.document)):
            return form
    elif source.name.lower().endswith((".jsonl", ".ndjson")):
        return "jsonl"  # its reader says what is wrong
    raise InvalidEventError(
        f"the file is in no format that is known by its looks; say which: {', '.join(FORMATS)}"
    )


def _value(line: str) -> dict[str, Any] | None:
    """The object that a line is, if it is one."""
    try:
        found = parsed(line, "")
    except InvalidEventError:
        return None
    return found if isinstance(found, dict) else None


def _records(document: Any) -> list[dict[str, Any]]:
    """A document itself and the first records in it."""
    found = [document, *(document if isinstance(document, list) else [])]
    if isinstance(document, dict):
        for name in _LISTS:
            inside = document.get(name)
            found += inside if isinstance(inside, list) else []
    return [one for one in found[:_LOOKED_AT] if isinstance(one, dict)]


def _marked(records: list[dict[str, Any]]) -> str | None:
    for form, fields in _MARKS:
        if any(fields <= record.keys() for record in records):
            return form
    return None
