"""Values as JSON can hold them, and times as people write them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from holdfast.state.records import Belief, Trust

HEX = frozenset({"digest", "root", "leaf", "leaves", "path"})
"""Fields of records that are hashes: hexadecimal, where other bytes are in base 64."""


def plain(value: object) -> Any:
    """Return `value` as JSON can hold it.

    Records are objects, enums go by their names, hashes are hexadecimal and content that is bytes
    is in base 64.

    >>> from holdfast.records import Omission, Tier
    >>> plain([Omission(3, 0.5, "duplicate"), Tier.GIST, b"raw"])
    [{'seq': 3, 'score': 0.5, 'reason': 'duplicate'}, 'gist', {'base64': 'cmF3'}]
    """
    if isinstance(value, Enum):
        return value.name.lower()
    if is_dataclass(value) and not isinstance(value, type):
        result = {f.name: _field(f.name, getattr(value, f.name)) for f in fields(value)}
        if citation := getattr(value, "citation", None):
            result["citation"] = citation
        if isinstance(value, Belief):
            result |= {"trust": Trust(value.trust).name.lower(), "text": value.text}
        return result
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    return str(value) if isinstance(value, Path) else value


def _hexes(values: Iterable[bytes]) -> list[str]:
    """Return hashes as hexadecimal text."""
    return [value.hex() for value in values]


def _field(name: str, value: object) -> Any:
    """Return a field of a record as JSON can hold it."""
    if name in HEX and isinstance(value, bytes):
        return value.hex()
    if name in HEX and isinstance(value, tuple):
        return _hexes(value)
    return plain(value)


def parse_time(value: object) -> float:
    """Return POSIX seconds from a number or an ISO 8601 text (UTC unless it says otherwise).

    >>> parse_time("2026-03-01T12:00"), parse_time("1772366400.5")
    (1772366400.0, 1772366400.5)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    raise ValueError(f"{value!r} is neither POSIX seconds nor an ISO 8601 time")
