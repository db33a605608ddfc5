"""How values are put into words on pages; text from outside goes through `visible`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from holdfast.budget import format_bytes

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: object) -> str:
    """A text in which what cannot be seen, or turns the text around, shows as a mark.

    Control characters become their pictures, marks of direction and halves of characters their
    numbers; line feeds and tabs stay.

    >>> visible("a\\x00b\\u202ec")
    'a␀b⟨U+202E⟩c'
    """
    return _UNSEEN.sub(_mark, str(text))


def _mark(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def when(at: float | None) -> str:
    """A time as people read it, to the second, in UTC.

    >>> when(1772366405.5), when(1e15), when(None)
    ('2026-03-01 12:00:05', '1000000000000000 s', '–')
    """
    if at is None:
        return "–"
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return f"{at:.0f} s"


def iso(at: float | None) -> str:
    """A time as forms and machines read it, to the second; empty if there is none.

    >>> iso(1772366405.5)
    '2026-03-01T12:00:05'
    """
    found = when(at)
    return found.replace(" ", "T") if found[-2:].isdigit() else ""


def count(value: float) -> str:
    """A number with its thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{value:,.0f}"


def share(value: float | None) -> str:
    """A part of one, in percent.

    >>> share(0.4389), share(0.9996), share(1)
    ('43.9 %', '99.9 %', '100 %')
    """
    if value is None:
        return "–"
    if value in (0, 1):
        return f"{value * 100:.0f} %"
    return f"{min(99.9, max(0.1, value * 100)):.1f} %"


def span(seconds: float) -> str:
    """A time that something takes, as an estimate is told.

    >>> span(0.2), span(18.3), span(250)
    ('about a second', 'about 18 s', 'about 4 min')
    """
    if seconds < 1.5:
        return "about a second"
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


def nbytes(value: float) -> str:
    """A size in binary units."""
    return format_bytes(value)


def signed(value: float) -> str:
    """A part of a score.

    >>> signed(1.25), signed(-0.5)
    ('+1.25', '−0.50')
    """
    return f"{value:+.2f}".replace("-", "−")


def sentence(text: str) -> str:
    """What the engine says, as a sentence by itself.

    >>> sentence("event 5 was evicted")
    'Event 5 was evicted.'
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def pretty(value: Any) -> str:
    """JSON as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)
