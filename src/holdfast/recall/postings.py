"""The lexical index: exact BM25 over rows and term hashes, in memory, always up to date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from holdfast.recall.match import ABSENT, Match, Place, Rows, search
from holdfast.recall.parts import ALL, TAIL_DOCS, Part, Saturation, Tail, Terms, passing
from holdfast.recall.segments import MAX_DOCS, MAX_POSTINGS, Bools, Ints, Segment, merge

__all__ = ["Match", "Postings"]

_TAIL = 0  # handle of the tail; parts have higher ones
_FAN_IN = 4  # parts of about one size before some of them are merged
_DEAD_SHARE = 8  # a part is rebuilt once more than an eighth of it is dead


class Postings:
    """Which rows hold which terms, and how well each row answers a query.

    A row is a small integer >= 0 that the owner hands out; it holds at most one live document.
    Terms are uint32 hashes. Locking is the owner's business, for `match` too: it sorts what is new.

    Parameters
    ----------
    k1, b
        BM25's saturation and length normalisation.
    pivot
        The document length, in terms, that counts as average. It is fixed until `repivot`, so
        that a score depends on the live documents and the pivot alone, never on how they came.

    Notes
    -----
    New documents go to a tail of at most 1,024, which is then frozen into a part. Parts of about
    one size are merged four at a time, up to 65,536 documents or a million postings, so that no
    `add` takes long. A removed document's postings go when its part is next merged, or once an
    eighth of that part is dead.

    Persistence knows nothing of parts: `extract` the rows to be kept, give the segment to
    `segment_codec.encode_segment` with a key for each, and `load` what comes back.

    The score of a document is the sum over the query's terms that it holds of
    ``weight * idf * tf / (tf + k1 (1 - b + b length / pivot))``, where tf counts up to 255 and
    ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))``. The fraction is rounded to a 65,535th (and is at
    least one), each weight x idf to half a millionth of their sum.

    About 5 bytes a posting and 12 a row; a match borrows 8 a row. `add` is O(terms) amortised.

    Examples
    --------
    >>> index = Postings()
    >>> index.add(0, [7, 7, 9], 3)
    >>> index.add(1, [9], 1)
    >>> index.match([7, 9], limit=2).rows.tolist()
    [0, 1]

    References
    ----------
    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond,
    doi:10.1561/1500000019
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75, pivot: float = 24.0) -> None:
        self._saturation = _saturation(k1, b, pivot)
        self._tail = Tail()
        self._parts: dict[int, Part] = {}  # by handle
        self._places: Place = np.full(TAIL_DOCS, ABSENT, np.uint32)
        self._version = 0
        self._n_docs = 0
        self._total_length = 0

    # ---- what is held ----------------------------------------------------------------------

    def __len__(self) -> int:
        return self._n_docs

    @property
    def n_docs(self) -> int:
        """Live documents."""
        return self._n_docs

    @property
    def total_length(self) -> int:
        """Lengths of the live documents, added up."""
        return self._total_length

    @property
    def mean_length(self) -> float:
        """Average length of a live document; 0 if there is none."""
        return self._total_length / self._n_docs if self._n_docs else 0.0

    @property
    def pivot(self) -> float:
        """The length that counts as average."""
        return self._saturation.pivot

    @property
    def tail_size(self) -> int:
        """Documents that are in no part yet."""
        return len(self._tail)

    @property
    def nbytes(self) -> int:
        """Bytes held between queries, postings of dead documents included."""
        parts = sum(part.nbytes for part in self._parts.values())
        return parts + self._tail.nbytes + self._places.nbytes

    def df(self, terms: Sequence[int] | Ints) -> Ints:
        """How many live documents hold each term, (terms,) int64."""
        counts = np.zeros(len(terms), np.int64)
        query = np.asarray(terms, np.uint32)
        for _, part in self._all_parts():
            for run in part.runs(query, passing(part, None, None), self._saturation):
                counts[run.term] += run.n
        return counts

    def totals(self) -> Iterator[tuple[list[int], list[int]]]:
        """How many live documents hold each term, a part at a time: terms and counts."""
        for _, part in self._all_parts():
            segment, _rows = part.selected(part.rows >= 0)
            yield segment.terms.tolist(), np.diff(segment.offsets).tolist()

    def counts(self, terms: Terms, without: Rows, most: int = 64) -> Ints:
        """In how many live documents of other rows than some each term is, at least.

        Cheaper than `df` for many terms: in the tail one document of a term is enough, and in each
        part no more than `most` are looked at, dead ones included.
        """
        gone = np.zeros(len(self._places) + 1, np.bool_)  # the last one is for the dead
        gone[without[without < len(self._places)]] = True
        gone[-1] = True
        counts = self._tail.held(terms, gone).astype(np.int64)
        for part in self._parts.values():
            segment = part.segment
            if not len(segment.terms):
                continue  # all of its documents are bytes
            at = segment.terms.searchsorted(terms)
            here = (segment.terms.take(at, mode="clip") == terms).nonzero()[0]
            if not len(here):
                continue
            starts, ends = segment.offsets[at[here]], segment.offsets[at[here] + 1]
            looked = np.minimum(ends - starts, most)
            firsts = np.cumsum(looked) - looked
            which = np.repeat(starts - firsts, looked) + np.arange(int(looked.sum()))
            counts[here] += np.add.reduceat(~gone[part.rows[segment.docs[which]]], firsts)
        return counts

    def missing(self, row: int, terms: Sequence[int] | Ints) -> int:
        """How many of `terms` the row is not held under: all of them if it is not held."""
        place = int(self._places[row]) if 0 <= row < len(self._places) else ABSENT
        if place == ABSENT:
            return len(terms)
        part, doc = self._part(place >> 16), place & 0xFFFF
        runs = part.runs(np.asarray(terms, np.uint32), ALL, self._saturation)
        return len(terms) - sum(1 for run in runs if doc in run.docs)

    # ---- changes ---------------------------------------------------------------------------

    def add(self, row: int, terms: Sequence[int] | Ints, length: int) -> None:
        """Index a document, in place of the one that the row held, if any.

        Parameters
        ----------
        row
            Where the document is, >= 0.
        terms
            Its term hashes, each as often as it occurs.
        length
            Its length in terms.
        """
        if row >= len(self._places):
            self._reserve(row + 1)
        places = self._places
        if places[row] != ABSENT:
            self.remove((row,))
        self._version += 1
        places[row] = self._tail.add(row, terms, length)  # the tail's handle is 0
        self._n_docs += 1
        self._total_length += length
        if self._tail.full:
            self.seal()

    def remove(self, rows: Iterable[int]) -> None:
        """Forget the documents of some rows; rows that hold none are passed over."""
        self._version += 1
        touched = set()
        for row in rows:
            place = int(self._places[row]) if 0 <= row < len(self._places) else ABSENT
            if place == ABSENT:
                continue
            handle, doc = place >> 16, place & 0xFFFF
            part = self._part(handle)
            self._places[row] = ABSENT
            part.rows[doc] = -1
            part.dead += 1
            self._n_docs -= 1
            self._total_length -= int(part.lengths[doc])
            touched.add(handle)
        self._rebuild_sparse(touched)

    def rekey(self, new_row: Ints) -> None:
        """Rename every row: ``new_row[old]`` is its new number, or -1 if it is gone."""
        self._version += 1
        top = max((part.top for _, part in self._all_parts()), default=-1)
        if len(new_row) <= top:
            raise ValueError(
                f"{len(new_row)} new row numbers were given, but row {top} may be held; "
                "give one for every row"
            )
        moved = np.append(new_row, -1).astype(np.int32)  # the last one is for the dead
        self._places = np.full(max(TAIL_DOCS, int(moved.max()) + 1), ABSENT, np.uint32)
        self._n_docs = self._total_length = 0
        for handle, part in self._all_parts():
            part.rows[:] = moved[part.rows]
            alive = part.rows >= 0
            part.dead = len(part) - int(np.count_nonzero(alive))
            part.top = int(part.rows.max(initial=-1))
            self._n_docs += part.live
            self._total_length += int(part.lengths[alive].sum())
            self._place(handle, part)
        self._rebuild_sparse(list(self._parts))

    def repivot(self, pivot: float) -> None:
        """Let another length count as average; every impact is computed anew."""
        self._version += 1
        self._saturation = _saturation(self._saturation.k1, self._saturation.b, pivot)
        for part in self._parts.values():
            part.repivot(self._saturation)

    def seal(self) -> None:
        """Freeze the tail into a part. Happens by itself when the tail is full."""
        self._version += 1
        if self._tail.live:
            segment, rows = self._tail.selected(self._tail.rows >= 0)
            self._attach(segment, rows)
        self._tail.clear()
        self._tidy()

    # ---- persistence -----------------------------------------------------------------------

    def extract(self, rows: Ints) -> tuple[Segment, Rows]:
        """A segment of the live documents among `rows`, and the row of each, to be persisted.

        Raises
        ------
        ValueError
            If they are more than 65,536.
        """
        wanted = np.zeros(len(self._places) + 1, np.bool_)  # the last one is for the dead
        rows = np.asarray(rows, np.int64)
        wanted[rows[(rows >= 0) & (rows < len(self._places))]] = True
        taken = [
            part.selected(keep)
            for _, part in self._all_parts()
            if (keep := wanted[part.rows]).any()
        ]
        if not taken:
            return merge([]), np.zeros(0, np.int64)
        return merge([segment for segment, _ in taken]), np.concatenate(
            [rows for _, rows in taken]
        ).astype(np.int64)

    def load(self, segment: Segment, rows: Ints) -> None:
        """Add a segment's documents at distinct `rows`, in place of what these held; -1: dead."""
        rows = np.asarray(rows).astype(np.int32)
        if len(rows) != len(segment):
            raise ValueError(f"{len(rows)} rows were given for {len(segment)} documents")
        self._version += 1
        top = int(rows.max(initial=-1))
        if top >= len(self._places):
            self._reserve(top + 1)
        alive = rows >= 0
        held = rows[alive]
        self.remove(held[self._places[held] != ABSENT].tolist())
        if len(held) * _DEAD_SHARE < len(rows) * (_DEAD_SHARE - 1):
            segment, rows, alive = segment.select(alive), held, rows[alive] >= 0
        if len(held):
            self._attach(segment, rows)
            self._n_docs += len(held)
            self._total_length += int(segment.lengths[alive].sum())
        self._tidy()

    # ---- queries ---------------------------------------------------------------------------

    def match(
        self,
        terms: Sequence[int] | Ints,
        limit: int,
        allowed: Bools | None = None,
        upto: int | None = None,
        weights: Sequence[float] | None = None,
    ) -> Match:
        """The best rows for a query.

        Parameters
        ----------
        terms
            Term hashes; one that is given twice counts twice.
        limit
            Most rows to return; rows that hold no term of positive weight never are.
        allowed
            One flag per row. N, df and all scores are as if no other row were indexed.
        upto
            Likewise for rows below this one.
        weights
            One factor of at least 0 per term.
        """
        top = max((part.top for _, part in self._all_parts()), default=-1)
        if allowed is not None and len(allowed) <= top:
            raise ValueError(
                f"{len(allowed)} flags were given, but row {top} may be held; "
                "give one for every row"
            )
        version = self._version

        def places() -> Place:
            assert version == self._version, "the index has changed since this match"
            return self._places

        return search(
            list(self._all_parts()),
            np.asarray(terms, np.uint32),
            max(0, limit),
            self._saturation,
            allowed=allowed,
            upto=upto,
            weights=weights,
            places=places,
        )

    # ---- parts -----------------------------------------------------------------------------

    def _all_parts(self) -> Iterable[tuple[int, Part | Tail]]:
        yield from self._parts.items()
        if len(self._tail):
            yield _TAIL, self._tail

    def _part(self, handle: int) -> Part | Tail:
        return self._parts[handle] if handle else self._tail

    def _reserve(self, n_rows: int) -> None:
        grown = np.full(n_rows + max(TAIL_DOCS, n_rows // 8), ABSENT, np.uint32)
        grown[: len(self._places)] = self._places
        self._places = grown

    def _attach(self, segment: Segment, rows: Ints) -> None:
        """Make a part of a segment and point its rows at it."""
        part = Part(segment, rows.astype(np.int32, copy=False), self._saturation)
        handle = next(h for h in range(1, len(self._parts) + 2) if h not in self._parts)
        self._parts[handle] = part
        self._place(handle, part)

    def _place(self, handle: int, part: Part | Tail) -> None:
        alive = np.flatnonzero(part.rows >= 0)
        self._places[part.rows[alive]] = alive | handle << 16

    def _rebuild_sparse(self, handles: Iterable[int]) -> None:
        """Rebuild those of some parts that have become too dead; merge only once all are."""
        for handle in handles:
            part = self._part(handle)
            if part.dead * _DEAD_SHARE <= len(part):
                continue
            if isinstance(part, Part):
                self._merge([handle])
            elif not part.live:
                part.clear()
        self._tidy()

    def _tidy(self) -> None:
        """Merge parts of about one size while there are four of it and some fit together."""
        while batch := self._mergeable():
            self._merge(batch)

    def _mergeable(self) -> list[int]:
        levels: defaultdict[int, list[int]] = defaultdict(list)
        for handle, part in self._parts.items():
            levels[((len(part.impacts) >> 14).bit_length() + 1) // 2].append(handle)
        for _, handles in sorted(levels.items()):
            if len(handles) < _FAN_IN:
                continue
            handles.sort(key=lambda handle: len(self._parts[handle].impacts))
            docs = postings = 0
            batch = []
            for handle in handles:
                docs += self._parts[handle].live
                postings += len(self._parts[handle].impacts)
                if docs > MAX_DOCS or postings > MAX_POSTINGS:
                    break
                batch.append(handle)
            if len(batch) > 1:
                return batch
        return []

    def _merge(self, handles: Sequence[int]) -> None:
        """Replace some parts by one of their live documents."""
        parts = [self._parts.pop(handle) for handle in handles]
        taken = [part.selected(part.rows >= 0) for part in parts if part.live]
        if len(taken) == 1:
            self._attach(*taken[0])
        elif taken:
            self._attach(
                merge([segment for segment, _ in taken]),
                np.concatenate([rows for _, rows in taken]),
            )


def _saturation(k1: float, b: float, pivot: float) -> Saturation:
    if not (k1 > 0 and 0 <= b <= 1 and pivot > 0):
        raise ValueError(
            f"BM25 needs k1 > 0, 0 <= b <= 1 and pivot > 0, but got k1={k1}, b={b}, pivot={pivot}"
        )
    return Saturation(k1, b, pivot)
