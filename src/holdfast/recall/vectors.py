"""Exact nearest neighbours over int8 vectors held in RAM: a bounded memory needs no ANN index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdfast.recall.codes import Codes, Engine, Floats, decode, dots_by, encode

Rows = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_DENSE = 0.25  # above this share of wanted rows, scoring all of them beats gathering the wanted
_FIRST_CAPACITY = 256
_NO_SLOT = -1


class Vectors:
    """Unit vectors by row, searched by scanning their int8 codes.

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
    A row is the caller's number for an entry, small and dense: memory is d + 12 bytes per vector
    and 4 bytes per row up to the largest. Adding and removing cost O(d) per row whatever the size.
    A search reads every code once: 0.3 ms per 10,000 vectors of 384 with simsimd, about 1 ms with
    NumPy. Not safe for concurrent use: one writer excludes readers.

    There is no one-bit prefilter: at these sizes it saves little time and loses neighbours.

    Examples
    --------
    >>> index = Vectors(2)
    >>> index.add([7, 9], [[1.0, 0.0], [0.6, 0.8]])
    >>> rows, cosines = index.search(np.array([0.0, 1.0]), limit=1)
    >>> rows.tolist(), round(float(cosines[0]), 2)
    ([9], 0.8)
    """

    def __init__(self, dimensions: int, engine: Engine = "auto") -> None:
        if dimensions < 1:
            raise ValueError(f"vectors have at least 1 dimension, found {dimensions}")
        self.dimensions = dimensions
        self._dots = dots_by(engine)
        self._count = 0
        self._codes: Codes = np.empty((0, dimensions), dtype=np.int8)  # (capacity, d)
        self._scales: Floats = np.empty(0, dtype=np.float32)  # (capacity,)
        self._rows: Rows = np.empty(0, dtype=np.int64)  # (capacity,) row held by each slot
        self._slots = np.empty(0, dtype=np.int32)  # (largest row + 1,) slot of each row

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> Rows:
        """The rows that have a vector, ascending."""
        return np.sort(self._rows[: self._count])

    @property
    def nbytes(self) -> int:
        """Bytes of RAM held, spare capacity included."""
        parts = (self._codes, self._scales, self._rows, self._slots)
        return sum(part.nbytes for part in parts)

    def holds(self, rows: npt.ArrayLike) -> BoolArray:
        """Which of these rows have a vector."""
        found: BoolArray = self._slots_of(rows) != _NO_SLOT
        return found

    def add(self, rows: npt.ArrayLike, vectors: npt.ArrayLike) -> None:
        """Set the vectors, (k, d), of these rows; a row that has one gets the new one."""
        if len(_as_rows(rows)):
            self.add_codes(rows, *encode(vectors))

    def add_codes(self, rows: npt.ArrayLike, codes: Codes, scales: npt.ArrayLike) -> None:
        """As `add`, for vectors already encoded: codes, (k, d), and scales, (k,)."""
        wanted = _as_rows(rows)
        if codes.shape != (len(wanted), self.dimensions):
            raise ValueError(
                f"{len(wanted)} rows were given codes of shape {codes.shape}; "
                f"they need {(len(wanted), self.dimensions)}"
            )
        if not len(wanted):
            return
        if wanted.min() < 0 or len(np.unique(wanted)) != len(wanted):
            raise ValueError("rows to add must be different from each other and not negative")
        self._reach(int(wanted.max()))
        slots = self._slots[wanted]
        fresh = slots == _NO_SLOT
        end = self._count + int(fresh.sum())
        slots[fresh] = np.arange(self._count, end)
        self._resize(end)
        self._slots[wanted] = slots
        self._codes[slots], self._scales[slots], self._rows[slots] = codes, scales, wanted
        self._count = end

    def remove(self, rows: npt.ArrayLike) -> None:
        """Forget the vectors of these rows; rows without one are ignored."""
        slots = np.unique(self._slots_of(rows))
        holes = slots[slots != _NO_SLOT]
        self._slots[self._rows[holes]] = _NO_SLOT
        end = self._count - len(holes)
        # The last slots fill the holes, so that codes stay one dense run.
        tail = np.setdiff1d(np.arange(end, self._count), holes, assume_unique=True)
        holes = holes[holes < end]
        self._codes[holes], self._scales[holes] = self._codes[tail], self._scales[tail]
        self._rows[holes] = self._rows[tail]
        self._slots[self._rows[holes]] = holes
        self._count = end
        if end < len(self._rows) // 4:
            self._move(max(_FIRST_CAPACITY, end * 3 // 2))

    def rekey(self, new_row: npt.ArrayLike) -> None:
        """Renumber: row r becomes ``new_row[r]``, or is forgotten where that is negative."""
        mapping = _as_rows(new_row)
        held = self._rows[: self._count]
        if len(held) and held.max() >= len(mapping):
            raise ValueError(
                f"row {held.max()} is held but only {len(mapping)} rows are renumbered"
            )
        self.remove(held[mapping[held] < 0])
        moved = mapping[self._rows[: self._count]]
        if len(np.unique(moved)) != len(moved):
            raise ValueError("two rows were renumbered to the same row")
        self._rows[: self._count] = moved
        self._slots = np.full(int(moved.max(initial=-1)) + 1, _NO_SLOT, dtype=np.int32)
        self._slots[moved] = np.arange(self._count)

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
        if 0 < limit < len(cosines):
            place = len(cosines) - limit
            worst = np.partition(cosines, place)[place]
            near = np.flatnonzero(cosines >= worst)  # all that tie for the last place, too
            rows, cosines = rows[near], cosines[near]
        order = np.lexsort((-rows, -cosines))[: max(0, limit)]
        return rows[order], cosines[order]

    def cosine_of(self, query: npt.ArrayLike, rows: npt.ArrayLike) -> Floats:
        """The cosine of the query with each of these rows; NaN where a row has no vector."""
        slots = self._slots_of(rows)
        held = slots != _NO_SLOT
        cosines = np.full(len(slots), np.nan, dtype=np.float32)
        cosines[held] = self._cosines(query, slots[held])
        return cosines

    def vectors_of(self, rows: npt.ArrayLike) -> Floats:
        """The decoded vectors of these rows, (k, d); NaN where a row has none."""
        slots = self._slots_of(rows)
        held = slots != _NO_SLOT
        vectors = np.full((len(slots), self.dimensions), np.nan, dtype=np.float32)
        vectors[held] = decode(self._codes[slots[held]], self._scales[slots[held]])
        return vectors

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
        if allowed is not None:
            inside[inside] = allowed[rows[inside]]
        return None if inside.all() else np.flatnonzero(inside)

    def _slots_of(self, rows: npt.ArrayLike) -> npt.NDArray[np.int32]:
        wanted = _as_rows(rows)
        known = (wanted >= 0) & (wanted < len(self._slots))
        slots = np.full(len(wanted), _NO_SLOT, dtype=np.int32)
        slots[known] = self._slots[wanted[known]]
        return slots

    def _reach(self, row: int) -> None:
        """Make room for this row in the row-to-slot table."""
        if row >= len(self._slots):
            grown = np.full(max(row + 1, len(self._slots) * 3 // 2), _NO_SLOT, dtype=np.int32)
            grown[: len(self._slots)] = self._slots
            self._slots = grown

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
