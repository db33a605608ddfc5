"""A memory as lines of JSON and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import IO, Any

from holdfast.errors import InvalidEventError
from holdfast.records import Event, Record
from holdfast.stores.space import LARGEST_EVENT
from holdfast.write import admit

_FIELDS = frozenset(field.name for field in fields(Event))
_RECORD_ONLY = frozenset(
    ("seq", "tier", "recorded_at", "size", "digest", "quotes", "terms", "episode")
)


def export(records: Iterable[Record], out: IO[str]) -> int:
    """One JSON object a line; bytes as base64. Returns the number of lines."""
    n = 0
    for record in records:
        out.write(json.dumps(to_json(record), ensure_ascii=True) + "\n")
        n += 1
    return n


def to_json(record: Record) -> dict[str, Any]:
    """A record as plain JSON; fields at their defaults are left out."""
    event = record.event
    line: dict[str, Any] = {"seq": record.seq, "tier": record.tier.name.lower()}
    if isinstance(event.content, bytes):
        line["content_base64"] = base64.b64encode(event.content).decode()
    else:
        line["content"] = event.content
    for name in ("speaker", "role", "channel", "scope", "key"):
        if value := getattr(event, name):
            line[name] = value
    if event.kind != "message":
        line["kind"] = event.kind
    line["at"] = event.at
    line["recorded_at"] = record.recorded_at
    if event.metadata:
        line["metadata"] = dict(event.metadata)
    if event.parents:
        line["parents"] = list(event.parents)
    if event.pinned:
        line["pinned"] = True
    line["episode"], line["size"], line["digest"] = record.episode, record.size, record.digest.hex()
    if record.quotes:
        line["quotes"] = [[quote.start, quote.end, quote.text] for quote in record.quotes]
    if record.terms:
        line["terms"] = list(record.terms)
    return line


def parse(lines: Iterable[str], largest: int = LARGEST_EVENT) -> Iterator[Event]:
    """Events from lines of JSON, each fit to be stored. Unknown fields go to the metadata.

    What was exported below the verbatim tier comes back as a text that quotes what is left, and
    what says how state was changed as a note: it does not change it again. No content may be over
    `largest` bytes.

    Raises
    ------
    InvalidEventError
        Naming the line, if one is not an event.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                event = from_json(json.loads(line))
                admit(event, largest)
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                raise InvalidEventError(f"line {number} is not an event: {error}") from None
            yield event


def from_json(line: dict[str, Any]) -> Event:
    """One event from its JSON form, by the names of `Event`'s fields."""
    if not isinstance(line, dict):
        raise ValueError(f"expected an object, found {type(line).__name__}")
    given = dict(line)
    if "content_base64" in given:
        given["content"] = base64.b64decode(given.pop("content_base64"), validate=True)
    if not given.get("content") and "text" in given:
        given["content"] = given.pop("text")
    below = given.get("tier", "verbatim") != "verbatim"
    if below and not given.get("content") and (kept := _left_of(given)):
        given["content"] = kept
        given["metadata"] = {**given.get("metadata", {}), "tier": given["tier"]}
    metadata = dict(given.get("metadata") or {})
    for name in given.keys() - _FIELDS - _RECORD_ONLY:
        metadata[name] = given[name]
    event = {name: given[name] for name in given.keys() & _FIELDS - {"metadata", "parents"}}
    if "content" not in event:
        raise ValueError("it has no 'content' (nor 'text')")
    if event.get("kind") == "state":
        event |= {
            "kind": "note",
            "channel": "import",
        }  # nobody's own words: nothing is read from it
    return Event(**event, metadata=metadata, parents=tuple(given.get("parents", ())))


def _left_of(line: dict[str, Any]) -> str:
    if quotes := line.get("quotes"):
        return " … ".join(text for _, _, text in quotes)
    if terms := line.get("terms"):
        return " ".join(terms)
    if "digest" not in line:
        return ""
    return f"({line.get('size')} bytes, of which only the digest {line['digest']} is left)"
