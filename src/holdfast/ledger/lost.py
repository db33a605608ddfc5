"""Which words were lost: those of events that were lowered, in a filter of bounded size."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from holdfast.codec import Row
from holdfast.errors import CorruptStoreError
from holdfast.ledger.cuckoo import SLOTS, TAGS, Bools, CuckooFilter, Keys
from holdfast.ledger.kept import KeptWords
from holdfast.ledger.words import words_of
from holdfast.lower import text_of
from holdfast.paged import Paged, room
from holdfast.records import KINDS, Tier
from holdfast.stores.base import Store, Transaction

_SHARE = 256  # of a budget, one part in so many is for the filter
_SMALLEST = 4096
_CHANGES_SHARE = 1 / 4  # of that, for what is not in its pages yet
_BUCKETS = 328  # of a shard
_FULL = 0.94  # share of a shard's slots
_MOST_BYTES = 8192  # of one change
_MOST_WORDS = 32_768  # that are known to be in other events
_CHANGE = struct.Struct("<IIQB")  # shards, shards that are kept, newest event, eras
_ERA = struct.Struct("<BddII")  # era, its first and last time, events, words
_HEAD = struct.Struct("<IIQ")  # before the first page: shards, shards that are kept, newest event
_SPAN = struct.Struct("<ddI")  # and for each era: its first and last time, events
_HEAD_BYTES = _HEAD.size + TAGS * _SPAN.size
_PAGE_BYTES = 2 * SLOTS * _BUCKETS + 3
_LARGEST_PAGE = _PAGE_BYTES + _HEAD_BYTES
_STATE = KINDS.index("state")


@dataclass(slots=True)
class _Era:
    """What was lowered of one stretch of the stream."""

    start: float = np.inf
    end: float = -np.inf
    events: int = 0
    words: set[int] = field(default_factory=set)

    def add(self, other: _Era) -> None:
        self.start, self.end = min(self.start, other.start), max(self.end, other.end)
        self.events += other.events
        self.words |= other.words


class LostWords:
    """The words of all events that were ever lowered and are in nothing kept, as a cuckoo filter.

    The stream is cut into at most 16 stretches of equal length, the eras, which double when it has
    grown too long; with each word the filter keeps an era that it was lost from.

    Notes
    -----
    At most one part in 256 of the budget, at least 4 KiB; two bytes a word. When a shard of the
    filter is full, it goes on with three quarters of its words, and knows that it does not know of
    the others. So what it says of a word is as true of the distant past as of yesterday. It keeps
    the size it was made with while the budget grows, and gives shards up when the budget shrinks.

    A word that was lost is never said to be one that never came up; one that never came up is said
    to be lost in one case of 500 or fewer while a shard has all of its words, and a third more
    often each time it goes on with fewer. Words of events that are erased are taken out, and with
    those that were lowered their whole era, since nobody knows any more which words were theirs.
    """

    def __init__(self, store: Store, paged: Paged, kept: KeptWords) -> None:
        self._store, self._paged, self._words = store, paged, kept
        self._kept = self._allowed()  # shards that are answered for
        self._filter = CuckooFilter(self._kept, _BUCKETS)
        self._top = 0  # the newest event that was lowered
        self._eras = [_Era() for _ in range(TAGS)]  # without their words
        self._noted: dict[int, _Era] = {}  # in this transaction
        self._seqs: list[int] = []  # of the events that are lowered in it
        self._owed: dict[int, _Era] = {}  # what is not stored yet
        self._n = 0  # events lowered so far
        self._until: dict[int, int] = {}  # by word: how many may be lowered before it can be lost

    @classmethod
    def load(cls, store: Store, kept: KeptWords) -> LostWords:
        """What a store holds. Raises `CorruptStoreError` if it is damaged."""
        lost = cls(store, Paged.read(store, "filter"), kept)
        try:
            lost._restore()
        except (ValueError, LookupError, struct.error) as error:
            raise CorruptStoreError(f"the lost words cannot be read: {error}; run verify") from None
        return lost

    # ---- what was lost ---------------------------------------------------------------------

    @property
    def events(self) -> int:
        """Lowered events whose words it knows."""
        return sum(era.events for era in self._eras)

    def look(self, words: Sequence[int]) -> list[int | None]:
        """What is known of each word: the era it was lost from, -1 if never lost; None: unknown."""
        keys = np.array(words, np.uint32)
        known = self._answers(keys)
        tags = self._filter.find(keys)
        return [tag if ok else None for tag, ok in zip(tags.tolist(), known.tolist(), strict=True)]

    def span(self, era: int) -> tuple[float, float]:
        """Between which times the events lie that were lowered of an era."""
        return self._eras[era].start, self._eras[era].end

    # ---- changes ---------------------------------------------------------------------------

    def note(self, rows: Sequence[Row]) -> None:
        """Some events are about to be lowered; rows as they still are."""
        self._advance(max(row.seq for row in rows))
        self._seqs += [row.seq for row in rows]
        shift = _shift(self._top)
        for first, last in _runs([row.seq >> shift for row in rows]):
            some = rows[first:last]
            times = [row.at / 1e6 for row in some]
            whole = sum(row.tier == Tier.VERBATIM for row in some)
            said = [_said(row) for row in some if row.kind != _STATE]
            speakers = {row.who.speaker or "" for row in some if row.kind != _STATE}
            era = _Era(min(times), max(times), whole, words_of((*said, *speakers)))
            self._noted.setdefault(some[0].seq >> shift, _Era()).add(era)

    def write(self, tx: Transaction) -> None:
        """Take in what was noted and store it, as the transaction has room.

        What there is no room for goes with the next one.
        """
        self._kept = min(self._kept, self._allowed())
        self._n += len(self._seqs)
        lost = self._lost(set().union(*(era.words for era in self._noted.values())))
        for tag, era in self._noted.items():
            era.words &= lost
            self._take(tag, era)
            self._owed.setdefault(tag, _Era()).add(era)
        self._noted, self._seqs = {}, []
        most = int(_CHANGES_SHARE * self._bytes())
        self._paged.fold(
            tx, self._folded, pages=self._filter.shards, size=_LARGEST_PAGE, most=most,
            batch=self._store.batch_bytes(),
        )  # fmt: skip
        change = self._change(min(room(tx), _MOST_BYTES, most - self._paged.nbytes))
        if change:
            self._paged.append(tx, change, self._filter.shards, most)
        while self._owed and room(tx) > _LARGEST_PAGE:  # a page takes all of its words at once
            self._fold_fullest(tx)

    def without(
        self, seqs: Iterable[int] | None, words: Iterable[int]
    ) -> Iterator[tuple[int, bytes | None]]:
        """Forget some words, and all words of the eras of some events; None: of all.

        The rows to write; see `Paged.anew`. The owner loads everything anew afterwards.
        """
        shift = _shift(self._top)
        gone = set(range(TAGS)) if seqs is None else {s >> shift for s in seqs if s <= self._top}
        self._filter.drop(gone)
        self._eras = [_Era() if tag in gone else era for tag, era in enumerate(self._eras)]
        keys = np.array(sorted(set(words)), np.uint32)
        for word in keys[self._filter.find(keys) >= 0].tolist():
            self._filter.delete(word)
        pages = range(self._filter.shards) if self._top else ()
        return self._paged.anew({page: self._page(page) for page in pages})

    # ---- inside ----------------------------------------------------------------------------

    def _bytes(self) -> int:
        return max(_SMALLEST, self._store.budget // _SHARE)

    def _allowed(self) -> int:
        """Shards that there may be."""
        pages = int((1 - _CHANGES_SHARE) * self._bytes()) - _HEAD_BYTES
        return max(1, pages // (_PAGE_BYTES + 16))

    def _answers(self, keys: Keys) -> Bools:
        known: Bools = self._filter.answers(keys) & (self._filter.shard_of(keys) < self._kept)
        return known

    def _advance(self, newest: int) -> None:
        """The stream has grown: eras may double."""
        times = _shift(max(newest, self._top)) - _shift(self._top)
        self._top = max(newest, self._top)
        if times:
            self._filter.halve_tags(times)
            self._eras = _coarser(dict(enumerate(self._eras)), times)
            self._noted, self._owed = (
                {tag: era for tag, era in enumerate(_coarser(book, times)) if era.end >= era.start}
                for book in (self._noted, self._owed)
            )

    def _lost(self, words: set[int]) -> set[int]:
        """Those that the filter answers for and does not have, and that no other event holds.

        A word that is in so many other events cannot be lost before as many of them are lowered:
        until then, nobody looks again. What will be left of those at hand is not looked at: a word
        that only this will hold is taken for lost, too.
        """
        until, n = self._until, self._n
        some = [word for word in words if until.get(word, -1) < n]
        keys = np.array(some, np.uint32)
        keys = keys[self._answers(keys)]
        keys = keys[self._filter.find(keys) < 0]
        counts = self._words.counts(keys, self._seqs)
        if len(until) > _MOST_WORDS:
            until.clear()
        until.update(zip(keys.tolist(), (n - 1 + counts).tolist(), strict=True))
        return set(keys[counts == 0].tolist())

    def _change(self, most: int) -> bytes:
        """What is owed, in so many bytes at the most; what is left stays owed."""
        left = most - _CHANGE.size - 16
        owed, self._owed = self._owed, {}
        parts: list[bytes] = []
        for tag, era in sorted(owed.items()):
            fits = (left - _ERA.size) // 4
            if fits <= 0:
                self._owed[tag] = era
                continue
            words = sorted(era.words)
            if words[fits:]:
                self._owed[tag] = _Era(era.start, era.end, 0, set(words[fits:]))
            some = np.array(words[:fits], "<u4")
            parts.append(_ERA.pack(tag, era.start, era.end, era.events, len(some)) + some.tobytes())
            left -= len(parts[-1])
        head = _CHANGE.pack(self._filter.shards, self._kept, self._top, len(parts))
        return head + b"".join(parts) if parts else b""

    def _take(self, tag: int, era: _Era) -> None:
        self._eras[tag].add(_Era(era.start, era.end, era.events))
        for word in sorted(era.words):
            shard = self._shard(word)
            if self._filter.load_of(shard) > _FULL:
                self._filter.thin(shard)
            self._filter.insert(word, tag)  # not if it is one that is not answered for any more

    def _fold_fullest(self, tx: Transaction) -> None:
        """Write the page that most of what is owed belongs to."""
        shards = Counter(self._shard(word) for era in self._owed.values() for word in era.words)
        page = shards.most_common(1)[0][0] if shards else 0
        self._paged.put(tx, page, self._folded(page))

    def _folded(self, page: int) -> bytes:
        """A page that is about to be stored: nothing that it holds is owed any more."""
        for era in self._owed.values():
            era.words = {word for word in era.words if self._shard(word) != page}
        if page == 0:  # it holds the times and counts of all eras, too
            self._owed = {
                tag: replace(era, events=0) for tag, era in self._owed.items() if era.words
            }
        return self._page(page)

    def _shard(self, word: int) -> int:
        return word * self._filter.shards >> 32

    # ---- as bytes --------------------------------------------------------------------------

    def _page(self, page: int) -> bytes:
        data = bytes([_shift(self._top)]) + self._filter.page(page)
        if page:
            return data
        spans = [_SPAN.pack(era.start, era.end, era.events) for era in self._eras]
        head = _HEAD.pack(self._filter.shards, self._kept, self._top)
        return b"".join((head, *spans, data))

    def _restore(self) -> None:
        pages, changes = self._paged.pages, self._paged.changes
        if 0 in pages:
            shards, kept, self._top = _HEAD.unpack_from(pages[0])
            spans = _SPAN.iter_unpack(pages[0][_HEAD.size : _HEAD_BYTES])
            self._eras = [_Era(*span) for span in spans]
        elif changes:
            shards, kept, _, _ = _CHANGE.unpack_from(changes[0][1])
        else:
            return
        self._filter, self._kept = CuckooFilter(shards, _BUCKETS), min(kept, self._kept)
        newest = max([self._top, *(_CHANGE.unpack_from(data)[2] for _, data in changes)])
        shift = _shift(newest)
        self._eras = _coarser(dict(enumerate(self._eras)), shift - _shift(self._top))
        self._top = newest
        for page, data in pages.items():
            body = data[_HEAD_BYTES:] if page == 0 else data
            self._filter.restore(page, body[1:], halved=shift - body[0])
        for id, data in changes:
            self._replay(id, data)

    def _replay(self, id: int, data: bytes) -> None:
        """Take a change in where it is not folded yet."""
        _, kept, top, n = _CHANGE.unpack_from(data)
        self._kept = min(self._kept, kept)
        halved = _shift(self._top) - _shift(top)
        at = _CHANGE.size
        for _ in range(n):
            tag, start, end, events, count = _ERA.unpack_from(data, at)
            at += _ERA.size
            words = np.frombuffer(data, "<u4", count, at).tolist()
            at += 4 * count
            late = {word for word in words if not self._paged.holds(self._shard(word), id)}
            counted = 0 if self._paged.holds(0, id) else events
            self._take(tag >> halved, _Era(start, end, counted, late))


def _said(row: Row) -> str:
    """What can still be read of a row."""
    if row.tier == Tier.TRACE:
        return row.body[8:].decode("utf-8", "surrogatepass")
    return text_of(row)


def _shift(newest: int) -> int:
    """How many events an era has, as a power of two, so that there are 16 at the most."""
    return max(0, newest.bit_length() - TAGS.bit_length() + 1)


def _coarser(eras: Mapping[int, _Era], times: int) -> list[_Era]:
    """Some eras by tag as all there are, after they doubled so often."""
    found = [_Era() for _ in range(TAGS)]
    for tag, era in eras.items():
        found[tag >> times].add(era)
    return found


def _runs(values: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where each run of equal values begins and ends."""
    edges = [0, *(i for i in range(1, len(values)) if values[i] != values[i - 1]), len(values)]
    return pairwise(edges)
