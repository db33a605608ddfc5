"""How much was ever observed, by stretches of the stream: exact, in a few kilobytes."""

from __future__ import annotations

import struct
import zlib
from typing import Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

STRETCHES = 128
"""Stretches that are told apart at the most."""
_HEAD = struct.Struct("<qB")


class Tally:
    """Events and their worth by stretches of equal length, from the event `since` on.

    Stretches double in length whenever there are too many, so there are always at least half of
    `STRETCHES` once there were that many.

    Examples
    --------
    >>> tally = Tally(since=1)
    >>> for seq in range(1, 1001):
    ...     tally.add(seq, 3)
    >>> tally.length, tally.events().sum(), tally.worth().sum()
    (8, np.int64(1000), np.int64(3000))
    """

    def __init__(self, since: int) -> None:
        self.since = since
        # Bits of a stretch's length, events and worth of each: one value, so that whoever copies
        # them while another thread counts has what belongs together.
        self._table: tuple[int, list[int], list[int]] = (0, [], [])

    @property
    def length(self) -> int:
        """Sequence numbers that a stretch spans."""
        return 1 << self._table[0]

    def events(self) -> Ints:
        """(stretches,) events in each."""
        return np.array(self._table[1], np.int64)

    def worth(self) -> Ints:
        """(stretches,) their worth."""
        return np.array(self._table[2], np.int64)

    def places(self, seqs: Ints) -> Ints:
        """The stretch of each event."""
        return (seqs - self.since) >> self._table[0]

    def add(self, seq: int, worth: int, events: int = 1) -> None:
        """Count an event; with both negative, count it no more."""
        shift, counts, worths = self._table
        place = (seq - self.since) >> shift
        if place >= len(counts):
            self._reach(seq)
            shift, counts, worths = self._table
            place = (seq - self.since) >> shift
        counts[place] += events
        worths[place] += worth

    def _reach(self, seq: int) -> None:
        """Make room for an event beyond the last stretch."""
        shift, counts, worths = self._table
        while (place := (seq - self.since) >> shift) >= STRETCHES:
            shift, counts, worths = shift + 1, _paired(counts), _paired(worths)
        more = [0] * (place + 1 - len(counts))
        self._table = shift, counts + more, worths + more

    def copy(self) -> Self:
        """Another one that is as this one is now."""
        twin = type(self)(self.since)
        shift, counts, worths = self._table
        twin._table = shift, counts[:], worths[:]
        return twin

    def to_bytes(self) -> bytes:
        shift, *both = self._table
        planes = (
            np.array(both, "<i8").reshape(-1, 1).view(np.uint8).T
        )  # high bytes, alike, together
        return _HEAD.pack(self.since, shift) + zlib.compress(planes.tobytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`."""
        since, shift = _HEAD.unpack_from(data)
        planes = np.frombuffer(zlib.decompress(data[_HEAD.size :]), np.uint8).reshape(8, -1)
        counts, worths = planes.T.copy().view("<i8").reshape(2, -1).tolist()
        tally = cls(since)
        tally._table = shift, counts, worths
        return tally


def _paired(values: list[int]) -> list[int]:
    """Sums of two neighbours each."""
    even = values + [0] * (len(values) % 2)
    return [a + b for a, b in zip(even[::2], even[1::2], strict=True)]
