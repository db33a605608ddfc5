"""Exact nearest neighbours over int8 vectors held in RAM: a bounded memory needs no ANN index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdfast.recall.codes import Codes, Engine, Floats, dots_by, encode

Rows = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Slots = npt.NDArray[np.int32]

_DENSE = 0.25  # above this share of wanted slots, scoring all of them beats gathering the wanted
_FIRST_CAPACITY = 256
_NO_SLOT = -1


class Vectors:
    """Unit vectors by row, one or several each, searched by scanning their int8 codes.

    A row is as near to a query as the nearest of its vectors: an event is found by any one of its
    passages, where a single vector for all of a long text would be near nothing in particular.

    Parameters
    ----------
    dimensions
        Numbers per vector, d.
    engine
        What multiplies codes. ``"auto"``: simsimd if installed, else NumPy. Both add up the
        same integers exactly, so they give the same cosines to the last bit.

    Raises
    ------
    MissingExtraError
        If simsimd is asked for by name and absent.

    Notes
    -----
    A row is the caller's number for an entry, small and dense. Memory is d + 12 bytes per vector,
    and per row up to the largest 4 bytes for each vector that the row with the most of them has.
    Adding and removing cost O(d) per vector whatever the size.
    A search reads every code once: with simsimd it takes 1.4 to 2 times as long as summing those
    bytes does, with NumPy 4 to 5 times (0.25 and 0.6 ms for 10,000 vectors of 384). Not safe for
    concurrent use: one writer excludes readers.

    There is no one-bit prefilter: at these sizes it saves little time and loses neighbours.

    Examples
    --------
    >>> index = Vectors(2)
    >>> index.add([7, 9], [[1.0, 0.0], [0.0, -1.0], [0.6, 0.8]], counts=[1, 2])
    >>> rows, cosines = index.search(np.array([0.0, 1.0]), limit=1)
    >>> rows.tolist(), round(float(cosines[0]), 2)
    ([9], 0.8)
    """

    def __init__(self, dimensions: int, engine: Engine = "auto") -> None:
        if dimensions < 1:
            raise ValueError(f"vectors have at least 1 dimension, found {dimensions}")
        self.dimensions = dimensions
        self._dots = dots_by(engine)
        self._held = 0  # rows
        self._count = 0  # slots; each holds one vector, and together they are one dense run
        self._codes: Codes = np.empty((0, dimensions), dtype=np.int8)  # (capacity, d)
        self._scales: Floats = np.empty(0, dtype=np.float32)  # (capacity,)
        self._rows: Rows = np.empty(0, dtype=np.int64)  # (capacity,) row that each slot belongs to
        # (largest row + 1, most vectors of a row): the slots of each row, those there are first
        self._slots: Slots = np.empty((0, 1), dtype=np.int32)

    def __len__(self) -> int:
        """How many rows have vectors."""
        return self._held

    @property
    def rows(self) -> Rows:
        """The rows that have vectors, ascending."""
        return np.flatnonzero(self._slots[:, 0] != _NO_SLOT)

    @property
    def nbytes(self) -> int:
        """Bytes of RAM held, spare capacity included."""
        parts = (self._codes, self._scales, self._rows, self._slots)
        return sum(part.nbytes for part in parts)

    def holds(self, rows: npt.ArrayLike) -> BoolArray:
        """Which of these rows have vectors."""
        found: BoolArray = self._slots_of(rows)[:, 0] != _NO_SLOT
        return found

    def add(
        self, rows: npt.ArrayLike, vectors: npt.ArrayLike, counts: npt.ArrayLike | None = None
    ) -> None:
        """Set the vectors, (n, d), of these rows, which take ``counts`` of them each in turn.

        Without `counts`, one each. A row that has vectors gets the new ones instead.
        """
        if len(_as_rows(rows)):
            self.add_codes(rows, *encode(vectors), counts)

    def add_codes(
        self,
        rows: npt.ArrayLike,
        codes: Codes,
        scales: npt.ArrayLike,
        counts: npt.ArrayLike | None = None,
    ) -> None:
        """As `add`, for vectors already encoded: codes, (n, d), and scales, (n,)."""
        wanted = _as_rows(rows)
        each = np.ones(len(wanted), np.int64) if counts is None else _as_rows(counts)
        if len(each) != len(wanted) or (each < 1).any():
            raise ValueError(
                f"{len(wanted)} rows were given {len(each)} counts; each needs one, of at least 1"
            )
        total = int(each.sum())
        if codes.shape != (total, self.dimensions):
            raise ValueError(
                f"{len(wanted)} rows were given codes of shape {codes.shape}; "
                f"they need {(total, self.dimensions)}"
            )
        if not total:
            return
        if wanted.min() < 0 or len(np.unique(wanted)) != len(wanted):
            raise ValueError("rows to add must be different from each other and not negative")
        self.remove(wanted)
        self._reach(int(wanted.max()), int(each.max()))
        slots = np.arange(self._count, self._count + total)
        owners = np.repeat(wanted, each)
        places = np.arange(total) - np.repeat(np.cumsum(each) - each, each)
        self._resize(self._count + total)
        self._slots[owners, places] = slots
        self._codes[slots], self._scales[slots], self._rows[slots] = codes, scales, owners
        self._count += total
        self._held += len(wanted)

    def remove(self, rows: npt.ArrayLike) -> None:
        """Forget the vectors of these rows; rows without any are ignored."""
        gone = np.unique(_as_rows(rows))
        gone = gone[self.holds(gone)]
        slots = self._slots[gone]
        holes = np.sort(slots[slots != _NO_SLOT])
        self._slots[gone] = _NO_SLOT
        self._held -= len(gone)
        end = self._count - len(holes)
        # The last slots fill the holes, so that codes stay one dense run.
        tail = np.setdiff1d(np.arange(end, self._count), holes, assume_unique=True)
        holes = holes[holes < end]
        owners = self._rows[tail]
        places = (self._slots[owners] == tail[:, None]).argmax(axis=1)
        self._slots[owners, places] = holes
        self._codes[holes], self._scales[holes] = self._codes[tail], self._scales[tail]
        self._rows[holes] = owners
        self._count = end
        if end < len(self._rows) // 4:
            self._move(max(_FIRST_CAPACITY, end * 3 // 2))

    def rekey(self, new_row: npt.ArrayLike) -> None:
        """Renumber: row r becomes ``new_row[r]``, or is forgotten where that is negative."""
        mapping = _as_rows(new_row)
        held = self.rows
        if len(held) and held[-1] >= len(mapping):
            raise ValueError(f"row {held[-1]} is held but only {len(mapping)} rows are renumbered")
        kept = held[mapping[held] >= 0]
        moved = mapping[kept]
        if len(np.unique(moved)) != len(moved):
            raise ValueError("two rows were renumbered to the same row")
        self.remove(held[mapping[held] < 0])
        slots = self._slots[kept]
        self._rows[: self._count] = mapping[self._rows[: self._count]]
        self._slots = _no_slots(int(moved.max(initial=-1)) + 1, slots.shape[1])
        self._slots[moved] = slots

    def search(
        self,
        query: npt.ArrayLike,
        limit: int,
        allowed: BoolArray | None = None,
        upto: int | None = None,
    ) -> tuple[Rows, Floats]:
        """The nearest rows and their cosines, best first; equals go newest (largest row) first.

        Parameters
        ----------
        query
            A unit vector, (d,).
        limit
            How many rows at most.
        allowed
            By row: whether it may come back. Rows beyond its end may not.
        upto
            Only rows smaller than this.
        """
        slots = self._eligible(allowed, upto)
        cosines = self._cosines(query, slots)
        rows = self._rows[: self._count] if slots is None else self._rows[slots]
        enough = limit * self._slots.shape[1]  # slots among which there are `limit` rows for sure
        if 0 < enough < len(cosines):
            place = len(cosines) - enough
            worst = np.partition(cosines, place)[place]
            near = np.flatnonzero(cosines >= worst)  # all that tie for the last place, too
            rows, cosines = rows[near], cosines[near]
        order = np.lexsort((-rows, -cosines))
        best = np.sort(np.unique(rows[order], return_index=True)[1])  # where each row comes first
        order = order[best[: max(0, limit)]]
        return rows[order], cosines[order]

    def cosine_of(self, query: npt.ArrayLike, rows: npt.ArrayLike) -> Floats:
        """The cosine of the query with the nearest vector of each of these rows; NaN for none."""
        slots = self._slots_of(rows)
        held = slots != _NO_SLOT
        cosines = np.full(slots.shape, -np.inf, dtype=np.float32)
        cosines[held] = self._cosines(query, slots[held])
        return np.where(held[:, 0], cosines.max(axis=1), np.float32(np.nan))

    def _cosines(self, query: npt.ArrayLike, slots: npt.NDArray[np.integer] | None) -> Floats:
        """Cosines with the vectors in these slots, or in all."""
        given = np.asarray(query, dtype=np.float32)
        if given.shape != (self.dimensions,):
            raise ValueError(f"a query has shape {(self.dimensions,)}, found {given.shape}")
        codes, scales = self._codes[: self._count], self._scales[: self._count]
        if slots is not None and len(slots) <= _DENSE * self._count:
            codes, scales, slots = codes[slots], scales[slots], None
        query_codes, query_scale = encode(given)
        dots = self._dots(query_codes[0], codes)
        if slots is not None:
            dots, scales = dots[slots], scales[slots]
        return np.asarray(dots * query_scale[0] * scales, dtype=np.float32)

    def _eligible(self, allowed: BoolArray | None, upto: int | None) -> Rows | None:
        """The slots that a search may answer with; None for all."""
        if allowed is None and upto is None:
            return None
        rows = self._rows[: self._count]
        end = len(self._slots) if allowed is None else len(allowed)
        end = end if upto is None else min(end, upto)
        inside = rows < end
        if allowed is not None and len(allowed):
            inside &= allowed.take(rows, mode="clip")
        return None if inside.all() else np.flatnonzero(inside)

    def _slots_of(self, rows: npt.ArrayLike) -> Slots:
        """The slots of some rows, (k, most vectors of a row)."""
        wanted = _as_rows(rows)
        known = (wanted >= 0) & (wanted < len(self._slots))
        slots = _no_slots(len(wanted), self._slots.shape[1])
        slots[known] = self._slots[wanted[known]]
        return slots

    def _reach(self, row: int, most: int) -> None:
        """Make room for a row with so many vectors in the table of slots."""
        height, width = self._slots.shape
        if row >= height or most > width:
            grown = max(row + 1, height * 3 // 2) if row >= height else height
            slots = _no_slots(grown, max(most, width))
            slots[:height, :width] = self._slots
            self._slots = slots

    def _resize(self, count: int) -> None:
        if count > len(self._rows):
            self._move(max(_FIRST_CAPACITY, count, len(self._rows) * 3 // 2))

    def _move(self, capacity: int) -> None:
        """Copy everything held into arrays of this capacity."""
        held = slice(0, min(self._count, capacity))
        codes: Codes = np.empty((capacity, self.dimensions), dtype=np.int8)
        scales: Floats = np.empty(capacity, dtype=np.float32)
        rows: Rows = np.empty(capacity, dtype=np.int64)
        codes[held], scales[held], rows[held] = (
            self._codes[held],
            self._scales[held],
            self._rows[held],
        )
        self._codes, self._scales, self._rows = codes, scales, rows


def _as_rows(rows: npt.ArrayLike) -> Rows:
    return np.atleast_1d(np.asarray(rows, dtype=np.int64))


def _no_slots(height: int, width: int) -> Slots:
    return np.full((height, width), _NO_SLOT, dtype=np.int32)
