"""How likely an event is to be what a later question is about, from what the log keeps of it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from holdfast.codec import Row, Who
from holdfast.recall.columns import ASSISTANTS, Columns

HEAVIEST = 64
"""The largest worth there is."""
_ENOUGH = 256  # bytes from which on length tells nothing more
_SLOPE = 0.7  # the power of length below that
_ANSWERS = 0.1  # what an assistant says, against what is said to it
_BITS = 33  # of the sizes there can be, and one


def _table(factor: float) -> tuple[int, ...]:
    """Worth by the bits of an event's size in bytes."""
    sizes = [2.0 ** (bits - 0.5) for bits in range(_BITS)]
    found = [HEAVIEST * factor * min(1.0, size / _ENOUGH) ** _SLOPE for size in sizes]
    return tuple(max(1, round(one)) for one in found)


_SAID, _ANSWERED = _table(1.0), _table(_ANSWERS)


@lru_cache(maxsize=4096)
def table_of(who: Who) -> tuple[int, ...]:
    """The worth of what somebody says, by the bits of its size."""
    return _ANSWERED if (who.role or who.speaker or "").lower() in ASSISTANTS else _SAID


def worth_of(row: Row) -> int:
    """The worth of one event, 1 to `HEAVIEST`.

    Notes
    -----
    A whole number, and a function of what never changes and is kept at every tier: so sums of it
    over all events are exact, whenever they are taken.

    It is what the evidence of later questions has in common in public sets of questions about
    chats: it is mostly said by people, and seldom in a few words.
    """
    return table_of(row.who)[row.size.bit_length()]


def worths(columns: Columns, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The worth of kept events, (rows,)."""
    tables = np.array([table_of(who) for who in columns.whos], np.int64).reshape(-1, _BITS)
    _, bits = np.frexp(columns.size[rows].astype(np.float64))
    found: npt.NDArray[np.int64] = tables[columns.who[rows], bits]
    return found
