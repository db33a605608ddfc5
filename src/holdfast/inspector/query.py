"""The query string of a page: all of its state, read with checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.errors import ArgumentsError
from holdfast.wire.plain import parse_time

_LONGEST = 4096
_LONGEST_PATH = 2048


def local_path(text: str) -> str | None:
    """The address of a page of this server, as it came; None for that of any other place.

    Browsers take a backslash for a slash and pass over control characters, so neither may make
    ``//elsewhere`` of what looks like a path.

    >>> local_path("/m/ana/log?speaker=Ana")
    '/m/ana/log?speaker=Ana'
    >>> [local_path(one) for one in ("//evil.example", "/\\\\evil.example", "/\\t/evil", "log")]
    [None, None, None, None]
    """
    here = text.startswith("/") and text[1:2] not in ("/", "\\")
    return text if here and text.isprintable() and len(text) <= _LONGEST_PATH else None


class Query:
    """What a page was asked for.

    An empty value counts as one that is not given, since that is what an empty field of a form
    sends.

    Examples
    --------
    >>> query = Query({"scope": " team/ ", "count": "20", "since": "2026-03-01"})
    >>> query.text("scope"), query.number("count", 50, 1, 200), query.time("since")
    ('team/', 20, 1772323200.0)
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def raw(self, name: str) -> str:
        """The text as it came, white space and all."""
        found = self._given.get(name, "")
        if len(found) > _LONGEST:
            raise ArgumentsError(f"{name} has {len(found)} characters; {_LONGEST} are the most")
        return found

    def text(self, name: str) -> str | None:
        """A text without white space around it, None if there is none."""
        return self.raw(name).strip() or None

    def flag(self, name: str) -> bool:
        """Whether something is asked for."""
        return self.text(name) in ("1", "true", "on", "yes")

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds, `default` if there is none."""
        found = self.text(name)
        return default if found is None else self._whole(name, found, low, high)

    def optional(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds, None if there is none."""
        found = self.text(name)
        return None if found is None else self._whole(name, found, low, high)

    def share(self, name: str) -> float | None:
        """A number over 0 and at most 1."""
        found = self.text(name)
        try:
            value = None if found is None else float(found)
        except ValueError:
            value = -1.0
        if value is not None and not 0.0 < value <= 1.0:
            raise ArgumentsError(f"{name} must be over 0 and at most 1; write it like 0.95")
        return value

    def time(self, name: str) -> float | None:
        """POSIX seconds, from those or from an ISO 8601 text in UTC."""
        found = self.text(name)
        try:
            value = None if found is None else parse_time(found)
        except ValueError:
            value = float("nan")
        if value is not None and not abs(value) < 1e13:
            raise ArgumentsError(f"{name} is no time; write it like 2026-03-01T12:00")
        return value

    def one_of(self, name: str, known: Sequence[str], default: str = "") -> str:
        """One of some words."""
        found = self.text(name) or default
        if found and found not in known:
            raise ArgumentsError(f"{name} must be one of {', '.join(known)}")
        return found

    @staticmethod
    def _whole(name: str, found: str, low: int, high: int) -> int:
        try:
            value = int(found)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ArgumentsError(f"{name} must be a whole number from {low} to {high}")
        return value
