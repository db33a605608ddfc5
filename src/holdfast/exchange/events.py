"""Events as lines of JSON and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import IO, Any, NoReturn

from holdfast.codec import digest
from holdfast.errors import InvalidEventError
from holdfast.records import Event, Record
from holdfast.stores.base import Store
from holdfast.stores.space import LARGEST_EVENT
from holdfast.write import admit
from holdfast.written import Append, body_digest

_FIELDS = frozenset(field.name for field in fields(Event))
_RECORD_ONLY = frozenset(
    ("seq", "tier", "recorded_at", "size", "digest", "quotes", "terms", "episode")
)


Progress = Callable[[int], None] | None
"""Is told how much is done."""
LOSSLESS = "holdfast"
"""The field of the first line of a lossless export that says it is one; see `exchange.whole`."""


def export(records: Iterable[Record], out: IO[str], progress: Progress = None) -> int:
    """One JSON object a line; bytes as base64. Returns the number of lines."""
    n = 0
    for n, record in enumerate(records, 1):
        out.write(json.dumps(to_json(record), ensure_ascii=True) + "\n")
        if progress is not None:
            progress(n)
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


def parse(
    lines: Iterable[str], largest: int = LARGEST_EVENT, keys: dict[bytes, bytes] | None = None
) -> Iterator[Event]:
    """Events from lines of JSON, each fit to be stored. Unknown fields go to the metadata.

    What was exported below the verbatim tier comes back as a text that quotes what is left, and
    what says how state was changed as a note: it does not change it again. No content may be over
    `largest` bytes, and no key among `keys` with another body; new ones are added to them.

    Raises
    ------
    InvalidEventError
        Naming the line, if one is not an event.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                event = from_json(json.loads(line, parse_constant=_refuse))
                content = admit(event, largest)
                if keys is not None:
                    refuse_conflict(keys, event, content)
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                raise InvalidEventError(f"line {number} is not an event: {error}") from None
            yield event


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not JSON")


def known_keys(store: Store) -> dict[bytes, bytes]:
    """Every idempotency key that a store knows, with the digest of its body."""
    return {key: body for key, _, body, _ in store.idempotency_keys()}


def refuse_conflict(keys: dict[bytes, bytes], event: Event, content: bytes) -> None:
    """Raise `InvalidEventError` if a key is known with another body; else it is known from now."""
    if event.key is None:
        return
    body = body_digest(Append(event, content, 0, event.at, (), 0, 0, 0))
    if keys.setdefault(digest(event.key.encode("utf-8", "surrogatepass")), body) != body:
        raise InvalidEventError(
            "its idempotency key was used before with another body; give it a new one, or send "
            "the same body"
        )


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
        if LOSSLESS in given:
            raise ValueError(
                "it begins a lossless export, which makes a memory of its own; import it into a "
                "file that is not there yet"
            )
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
