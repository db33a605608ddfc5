"""The one place that turns what people write into bytes."""

from __future__ import annotations

import re

from holdfast.errors import BudgetError

_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_bytes(size: int | str) -> int:
    """Bytes from a number or a text with a unit.

    Raises
    ------
    BudgetError
        If the text is not a size, or not a positive one.

    Examples
    --------
    >>> parse_bytes("64 MiB"), parse_bytes("1.5 kB"), parse_bytes(4096)
    (67108864, 1500, 4096)
    """
    if isinstance(size, int):
        nbytes = size
    else:
        match = _SIZE.fullmatch(size)
        unit = match and _UNITS.get(match[2].lower())
        if not match or not unit:
            raise BudgetError(f"{size!r} is not a size; write it like '64 MiB' or 67108864")
        nbytes = int(min(float(match[1]) * unit, 2.0**62))  # an absurd one stays a number
    if nbytes <= 0:
        raise BudgetError(f"a budget of {size!r} is not positive; write it like '64 MiB'")
    return nbytes


def format_bytes(nbytes: float) -> str:
    """A size in binary units, for people.

    Examples
    --------
    >>> format_bytes(67108864), format_bytes(1536), format_bytes(12)
    ('64.0 MiB', '1.5 KiB', '12 B')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(nbytes) < 1024 or unit == "GiB":
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    raise AssertionError("unreachable")
