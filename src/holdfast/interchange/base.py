"""What every reader is made of: the records it finds, and objects that know where they stand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.errors import InvalidClaimError, InvalidEventError
from holdfast.records import Event, Kind
from holdfast.state.admit import admit
from holdfast.state.records import Claim
from holdfast.write import METADATA_BYTES

CHANNEL = "import"
"""The channel of every event that was read from another program's files: nobody's own words."""
WHOLE = "the file"
"""Where the outermost object of a source stands."""
_NAMED = 16  # fields left out that are named


@dataclass(frozen=True, slots=True)
class Found:
    """One event of a source: where it stands there, and what the source calls it."""

    place: str
    id: str
    event: Event


@dataclass(frozen=True, slots=True)
class Stated:
    """One statement of a source; `rests_on` is the id of the event that says so, "" for none."""

    place: str
    id: str
    claim: Claim
    at: float | None
    rests_on: str = ""


Item = Found | Stated


@dataclass(frozen=True, slots=True)
class Part:
    """A JSON object of a source, and where it stands there, for what is wrong with it.

    Examples
    --------
    >>> part = Part({"id": "m1", "created_at": "2025-03-05T09:00:00Z"}, "message 1")
    >>> part.text("id"), part.time("updated_at", "created_at")
    ('m1', 1741165200.0)
    """

    value: Mapping[str, Any]
    place: str

    @classmethod
    def of(cls, value: Any, place: str) -> Part:
        """Raises `InvalidEventError` unless the value is an object."""
        if not isinstance(value, dict):
            raise InvalidEventError(f"{place} is {in_words(value)}, not an object")
        return cls(value, place)

    def wrong(self, name: str, expected: str) -> InvalidEventError:
        return InvalidEventError(
            f"{self.place}: {name!r} is {in_words(self.value[name])}, not {expected}"
        )

    def text(self, *names: str) -> str:
        """The first of these fields that says something; numbers serve as names, too."""
        for name in names:
            found = self.value.get(name)
            if isinstance(found, int) and not isinstance(found, bool):
                return str(found)
            if found is not None and not isinstance(found, str):
                raise self.wrong(name, "a text")
            if found:
                return found
        return ""

    def time(self, *names: str) -> float | None:
        """The first of these fields that holds a time: POSIX seconds, or ISO 8601."""
        for name in names:
            found = self.value.get(name)
            if found is None or found == "":
                continue
            try:
                return _seconds(found)
            except (TypeError, ValueError, OverflowError):
                raise self.wrong(name, "POSIX seconds or an ISO 8601 time") from None
        return None

    def part(self, name: str) -> Part:
        """An object inside this one; an empty one if it is not there."""
        found = self.value.get(name)
        return Part.of({} if found is None else found, f"{self.place}, {name}")

    def list(self, name: str) -> list[Any]:
        """A list inside this object; empty if it is not there."""
        found = self.value.get(name)
        if found is not None and not isinstance(found, list):
            raise self.wrong(name, "a list")
        return found or []

    def parts(self, name: str, called: str) -> Iterator[Part]:
        """The objects of a list inside this one, each by its number from 1."""
        for n, value in enumerate(self.list(name), 1):
            yield Part.of(value, f"{self.place}, {called} {n}".removeprefix(f"{WHOLE}, "))

    def rest(self, *used: str) -> dict[str, Any]:
        """Every other field that says something, to be kept as metadata."""
        return {
            name: value
            for name, value in self.value.items()
            if name not in used and value is not None and value not in ("", [], {})
        }


def event(
    content: str,
    *,
    role: str = "",
    speaker: str = "",
    kind: Kind = "message",
    at: float | None = None,
    scope: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Event:
    """An imported event; whoever has no name speaks under its role."""
    return Event(
        content, speaker or role or None, role or None, CHANNEL, kind, at, scope,
        fitted(metadata or {}),
    )  # fmt: skip


def fitted(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metadata within the limit for one event: the largest fields go, and are named with sizes.

    Examples
    --------
    >>> fitted({"id": "a", "page": "x" * 70_000})
    {'id': 'a', 'left_out': {'page': 70002}}
    """
    sizes = {name: len(json.dumps(value)) for name, value in metadata.items()}
    room = METADATA_BYTES - 4096 - sum(len(json.dumps(name)) + 4 for name in metadata)
    if sum(sizes.values()) <= room:
        return metadata
    kept, gone = dict(metadata), {}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        gone[name] = sizes.pop(name)
        del kept[name]
        if sum(sizes.values()) <= room:
            break
    named = {name[:100]: size for name, size in list(gone.items())[:_NAMED]}
    return {**kept, "left_out": named}


def stands(claim: Claim) -> bool:
    """Whether a claim can be made: its names say something, and it held for some time."""
    try:
        admit(claim)
    except InvalidClaimError:
        return False
    return True


def segment(name: str) -> str:
    """A name as one segment of a scope; `urllib.parse.unquote` gives it back.

    Examples
    --------
    >>> segment("Porto/Lisbon 50%"), segment("日本")
    ('Porto%2FLisbon 50%25', '日本')
    """
    return "".join(
        f"%{ord(char):02X}" if char in "%/" or ord(char) < 32 or ord(char) == 127 else char
        for char in name
    )


def scope_of(*names: str) -> str:
    """A scope of some names; empty ones are left out."""
    return "/".join(segment(name) for name in names if name)


def compact(value: Any) -> str:
    """A JSON value as a short text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def in_words(value: Any) -> str:
    """What a JSON value is, in words."""
    return {
        dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null",
    }.get(type(value), "a number")  # fmt: skip


def _seconds(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, (int, float)):
        return float(value)
    when = datetime.fromisoformat(value)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
