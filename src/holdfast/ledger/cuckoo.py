"""A filter that takes keys in, finds them again and gives them up, two bytes to a key."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]

SLOTS = 4
"""Keys that a bucket holds."""
PRINTS = 4096
"""Fingerprints that there are, the one of an empty slot included."""
TAGS = 16
"""Tags that there are: what is kept with a key."""
_SHIFT = 12  # bits of a slot below its tag
_MIX, _MIX_MORE = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
_WORD = 0xFFFF_FFFF_FFFF_FFFF
_FARTHEST = 1024  # slots that are looked at for a way to an empty one


class _Places(NamedTuple):
    """Where some keys may lie: their shards, fingerprints and two buckets of these, (n,) each."""

    shard: npt.NDArray[np.int64]
    print: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]


class CuckooFilter:
    """Whether keys are in, each with a tag; one that is not may be taken for one that is.

    Keys are 32-bit hashes. Each has a fingerprint of 12 bits and two buckets of four slots, and
    lies in one of them. The filter is cut into shards by the keys' leading bits, each of which is
    full, stored and thinned by itself.

    Parameters
    ----------
    shards, buckets
        How many shards, and how many buckets in each.

    Notes
    -----
    A key that was inserted is found. Deleting one that was inserted removes it and nothing else;
    two keys of one fingerprint and bucket lie there twice. One that was not is found with a chance
    of at most ``8 / 4095`` for each key in eight slots that are all taken, in a shard that was
    never thinned. A shard takes keys until about 95 % of its slots are taken.

    `thin` makes a shard hold, and answer for, only those three quarters of its keys whose
    fingerprints are the lowest, and be wrong a third more often about these.

    `insert` is O(1) expected. Everything else is vectorised.

    Differs from the paper in what it runs on (a few shards on one core) and in the tags; from it
    are the two buckets and the search for the shortest way to an empty slot.

    Examples
    --------
    >>> filter = CuckooFilter(shards=1, buckets=8)
    >>> filter.insert(77, tag=3), filter.find(np.array([77, 78], np.uint32)).tolist()
    (True, [3, -1])
    >>> filter.delete(77), filter.find(np.array([77], np.uint32)).tolist()
    (True, [-1])

    References
    ----------
    Fan et al., Cuckoo Filter: Practically Better Than Bloom, doi:10.1145/2674005.2674994
    Cuckoo-GPU: Accelerating Cuckoo Filters on Modern GPUs, 2026
    """

    def __init__(self, shards: int, buckets: int) -> None:
        self.shards, self.buckets = shards, buckets
        self.limits = np.full(shards, PRINTS, np.int64)  # each answers for lower fingerprints
        self.held = np.zeros(shards, np.int64)  # slots of each that are taken
        self._slots = np.zeros((shards, buckets * SLOTS), np.uint16)
        self._spread = np.array([(p * _MIX >> 20) % buckets for p in range(PRINTS)], np.int64)

    # ---- whole filters ---------------------------------------------------------------------

    def shard_of(self, keys: Keys) -> npt.NDArray[np.int64]:
        """The shard of each key."""
        return (keys.astype(np.uint64) * np.uint64(self.shards) >> np.uint64(32)).astype(np.int64)

    def answers(self, keys: Keys) -> Bools:
        """Which keys are among those that their shard answers for, thinned as it is."""
        places = self._places(keys)
        return self._answers(places)

    def find(self, keys: Keys) -> npt.NDArray[np.int64]:
        """The tag of each key, -1 for one that is not in."""
        places = self._places(keys)
        both = np.stack([places.first, places.second], axis=1)
        both += places.shard[:, None] * self.buckets
        whole = self._slots.view(np.uint64).reshape(-1)  # a bucket at a time
        found = whole.take(both).view(np.uint16).reshape(len(keys), 2 * SLOTS)
        match = found & np.uint16(PRINTS - 1) == places.print[:, None]
        at = match.argmax(axis=1)
        tags = (found[np.arange(len(keys)), at] >> _SHIFT).astype(np.int64)
        return np.where(match.any(axis=1) & self._answers(places), tags, -1)

    def drop(self, tags: Iterable[int]) -> None:
        """Remove all keys that have some tags."""
        gone = np.isin(self._slots >> _SHIFT, list(tags))
        self._slots[gone] = 0
        self._recount()

    def halve_tags(self, times: int = 1) -> None:
        """Halve every tag: two that were neighbours become one."""
        self._slots = _halved(self._slots, times)

    # ---- one shard -------------------------------------------------------------------------

    def load_of(self, shard: int) -> float:
        """The share of a shard's slots that is taken."""
        return float(self.held[shard]) / (self.buckets * SLOTS)

    def thin(self, shard: int) -> None:
        """Let a shard hold and answer for only three quarters of the keys it did."""
        self.limits[shard] = self.limits[shard] * 3 // 4
        slots = self._slots[shard]
        slots[slots & np.uint16(PRINTS - 1) >= self.limits[shard]] = 0
        self._recount()

    def page(self, shard: int) -> bytes:
        """A shard as bytes."""
        slots: bytes = self._slots[shard].astype("<u2").tobytes()
        return int(self.limits[shard]).to_bytes(2, "little") + slots

    def restore(self, shard: int, page: bytes, halved: int = 0) -> None:
        """Make a shard what it was when `page` gave these bytes, its tags halved since so often.

        Raises ValueError if they are none.
        """
        limit, *slots = np.frombuffer(page, "<u2")
        if len(slots) != self.buckets * SLOTS or limit > PRINTS or halved < 0:
            raise ValueError(f"a shard of a filter has {len(page)} bytes")
        self.limits[shard], self._slots[shard] = limit, _halved(np.array(slots), halved)
        self._recount()

    # ---- one key ---------------------------------------------------------------------------

    def insert(self, key: int, tag: int = 0) -> bool:
        """Take a key in; False if its shard is too full, or does not answer for it."""
        shard, print_, first, second = self._place(key)
        if print_ >= self.limits[shard]:
            return False
        slots = self._slots[shard]
        way = self._way(slots, first, second)
        if way is None:
            return False
        for to, came_from in pairwise(way):
            slots[to] = slots[came_from]
        slots[way[-1]] = tag << _SHIFT | print_
        self.held[shard] += 1
        return True

    def delete(self, key: int) -> bool:
        """Take a key out; whether it was in. Only one that was inserted may be deleted."""
        shard, print_, first, second = self._place(key)
        slots = self._slots[shard]
        for bucket in (first, second):
            for at in range(bucket * SLOTS, bucket * SLOTS + SLOTS):
                if slots[at] & PRINTS - 1 == print_:
                    slots[at] = 0
                    self.held[shard] -= 1
                    return True
        return False

    # ---- inside ----------------------------------------------------------------------------

    def _way(self, slots: npt.NDArray[np.uint16], first: int, second: int) -> list[int] | None:
        """The shortest way from an empty slot back to one of two buckets: each moves to the former.

        Breadth first, so that as few keys as possible move.
        """
        for begin in (first * SLOTS, second * SLOTS):
            held = slots[begin : begin + SLOTS].tolist()
            if 0 in held:
                return [begin + held.index(0)]
        came_from: dict[int, int] = {}
        queue: deque[tuple[int, int]] = deque([(first, -1), (second, -1)])
        while queue and len(came_from) < _FARTHEST:
            bucket, before = queue.popleft()
            begin = bucket * SLOTS
            held = slots[begin : begin + SLOTS].tolist()
            if 0 in held:
                way, at = [begin + held.index(0)], before
                while at >= 0:
                    way.append(at)
                    at = came_from[at]
                return way
            for at, slot in enumerate(held, begin):
                if at not in came_from:
                    came_from[at] = before
                    queue.append((self._other(bucket, slot & PRINTS - 1), at))
        return None

    def _other(self, bucket: int, print_: int) -> int:
        """The other bucket of a fingerprint that may lie in this one."""
        return (int(self._spread[print_]) - bucket) % self.buckets

    def _place(self, key: int) -> tuple[int, int, int, int]:
        mixed = key * _MIX & _WORD
        mixed = (mixed ^ mixed >> 29) * _MIX_MORE & _WORD
        print_ = 1 + (mixed >> 16 & 0xFFFF) % (PRINTS - 1)
        first = (mixed >> 32) * self.buckets >> 32
        return key * self.shards >> 32, print_, first, self._other(first, print_)

    def _places(self, keys: Keys) -> _Places:
        """As `_place`, of many."""
        mixed = keys.astype(np.uint64) * np.uint64(_MIX)
        mixed = (mixed ^ mixed >> np.uint64(29)) * np.uint64(_MIX_MORE)
        prints = 1 + (mixed >> np.uint64(16) & np.uint64(0xFFFF)) % np.uint64(PRINTS - 1)
        first = (mixed >> np.uint64(32)) * np.uint64(self.buckets) >> np.uint64(32)
        second = (self._spread[prints] - first.astype(np.int64)) % self.buckets
        return _Places(self.shard_of(keys), prints.astype(np.int64), first.astype(np.int64), second)

    def _answers(self, places: _Places) -> Bools:
        return places.print < self.limits[places.shard]

    def _recount(self) -> None:
        self.held = np.count_nonzero(self._slots, axis=1)


def _halved(slots: npt.NDArray[np.uint16], times: int) -> npt.NDArray[np.uint16]:
    """Slots with their tags halved."""
    tags = slots >> _SHIFT >> min(times, 8) << _SHIFT
    return (slots & (PRINTS - 1) | tags).astype(np.uint16)
