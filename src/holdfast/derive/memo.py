"""A bounded memo: what was worked out for a short piece of text, until there are too many."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Memo(dict[str, T]):
    """A dictionary that computes its missing values and never holds more than `entries`.

    Parameters
    ----------
    make
        A pure function of the key.
    entries
        The number of values kept; one more, and all are dropped.
    longest
        Keys of more characters than this are computed anew each time, so that memory is bounded.

    Notes
    -----
    Natural text repeats its words, so nearly every look-up is one dictionary access. Forgetting
    everything at once costs less, per look-up, than keeping an order of use.
    """

    __slots__ = ("_entries", "_longest", "_make")

    def __init__(self, make: Callable[[str], T], entries: int = 24_576, longest: int = 48) -> None:
        super().__init__()
        self._make = make
        self._entries = entries
        self._longest = longest

    def __missing__(self, key: str) -> T:
        value = self._make(key)
        if len(key) <= self._longest:
            if len(self) >= self._entries:
                self.clear()
            self[key] = value
        return value
