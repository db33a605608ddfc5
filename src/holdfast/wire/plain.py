"""Values as JSON can hold them, and times as people write them."""

from __future__ import annotations

import base64
import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from holdfast.state.records import Belief, Trust

HEX = frozenset({"digest", "root", "leaf", "leaves", "path"})
"""Fields of records that are hashes: hexadecimal, where other bytes are in base 64."""
_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})


def plain(value: object) -> Any:
    """Return `value` as JSON can hold it.

    Records are objects, enums go by their names, hashes are hexadecimal and content that is bytes
    is in base 64.

    >>> from holdfast.records import Omission, Tier
    >>> plain([Omission(3, 0.5, "duplicate"), Tier.GIST, b"raw"])
    [{'seq': 3, 'score': 0.5, 'reason': 'duplicate'}, 'gist', {'base64': 'cmF3'}]
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if isinstance(value, Enum):
        return value.name.lower()
    if is_dataclass(kind):
        result = {name: to(getattr(value, name)) for name, to in _fields(kind)}
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


def _hex(value: Any) -> Any:
    """A hash, or several, as hexadecimal text; what is none, as it is elsewhere."""
    if isinstance(value, bytes):
        return value.hex()
    return [one.hex() for one in value] if isinstance(value, tuple) else plain(value)


@cache
def _fields(kind: type[Any]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """The fields of a record, each with what makes its value plain."""
    return tuple((field.name, _hex if field.name in HEX else plain) for field in fields(kind))


def parse_time(value: object) -> float:
    """Return POSIX seconds from a number or an ISO 8601 text (UTC unless it says otherwise).

    >>> parse_time("2026-03-01T12:00"), parse_time("1772366400.5")
    (1772366400.0, 1772366400.5)
    """
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            if math.isfinite(found := float(value)):
                return found
    if isinstance(value, str):
        with contextlib.suppress(ValueError, OverflowError):
            when = datetime.fromisoformat(value)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    raise ValueError(f"{value!r} is neither POSIX seconds nor an ISO 8601 time")
