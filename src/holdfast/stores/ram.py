"""A store in dictionaries: nothing durable, everything readable. The plain reference for stores."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from copy import copy

from holdfast.errors import BudgetError, ClosedError, StorageFullError
from holdfast.stores.base import AUDIT, BlockInfo, Shelf, StoreUsage

_OVERHEAD = 32  # bytes charged for a row beside its data
_SMALLEST = 64 * 1024
_LARGEST_EVENT = 16 * 1024 * 1024


class RamStore:
    """A `Store` that forgets everything when it is closed.

    Bytes are charged as data plus a fixed overhead per row, so a budget works as it does on disk.
    A transaction works on copies and swaps them in at its end.
    """

    name = "ram"
    capabilities: frozenset[str] = frozenset()
    durability = "off"

    def __init__(self, budget: int) -> None:
        _check(budget)
        self.budget = budget
        self._lock = threading.RLock()
        self._closed = False
        self._meta: dict[str, str] = {"budget": str(budget)}
        self._tail: dict[int, bytes] = {}
        self._blocks: dict[int, tuple[int, bytes]] = {}
        self._keys: dict[bytes, tuple[int, bytes, bytes]] = {}
        self._segments: dict[int, bytes] = {}
        self._vectors: dict[int, bytes] = {}
        self._dictionaries: list[bytes] = []
        self._cells: dict[tuple[Shelf, int], bytes] = {}

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ClosedError("the store was closed")
            yield

    @contextlib.contextmanager
    def transaction(self, need: int = 0) -> Iterator[RamStore]:
        with self.exclusive():
            before = {name: copy(value) for name, value in vars(self).items() if name in _TABLES}
            try:
                yield self
                if self._used() > self.budget:
                    raise StorageFullError(
                        f"{self._used()} bytes are over the budget of {self.budget}; "
                        "nothing was written"
                    )
            except BaseException:
                vars(self).update(before)
                raise

    # ---- the budget ------------------------------------------------------------------------

    def _used(self) -> int:
        usage = self.usage()
        return usage.disk

    def capacity(self) -> int:
        return self.budget

    def batch_bytes(self) -> int:
        return max(16 * 1024, self.budget // 128)

    def largest_event(self) -> int:
        return min(_LARGEST_EVENT, self.budget // 4)

    def room_for(self, need: int) -> int:
        return self.budget - self._used() - need

    def excess(self, budget: int) -> int:
        return self._used() - budget

    def fits(self, need: int) -> bool:
        return self.room_for(need) >= 0

    def slack(self) -> int:
        return 1 << 40

    def check_budget(self, budget: int) -> None:
        _check(budget)

    def resize(self, budget: int) -> None:
        _check(budget)
        if self.excess(budget) > 0:
            raise BudgetError(f"{self._used()} bytes are kept; a budget of {budget} is too small")
        self.budget = budget

    # ---- writes ----------------------------------------------------------------------------

    def put_tail(self, seq: int, data: bytes) -> None:
        self._tail[seq] = data

    def clear_tail(self, upto: int) -> None:
        self._tail = {seq: data for seq, data in self._tail.items() if seq > upto}

    def put_block(self, first: int, last: int, data: bytes) -> None:
        self._blocks[first] = (last, data)

    def delete_block(self, first: int) -> None:
        self._blocks.pop(first, None)

    def key(self, key: bytes) -> tuple[bytes, bytes] | None:
        found = self._keys.get(key)
        return found[1:] if found else None

    def put_key(self, key: bytes, seq: int, body: bytes, receipt: bytes) -> None:
        self._keys[key] = (seq, body, receipt)

    def prune_keys(self, before: int, most: int) -> None:
        old = [key for key, value in self._keys.items() if value[0] < before]
        for key in sorted(old, key=lambda key: self._keys[key][0])[:most]:
            del self._keys[key]

    def put_segment(self, id: int, data: bytes) -> None:
        self._segments[id] = data

    def delete_segment(self, id: int) -> None:
        self._segments.pop(id, None)

    def put_vectors(self, codes: Iterable[tuple[int, bytes]]) -> None:
        self._vectors.update(codes)

    def delete_vectors(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            self._vectors.pop(seq, None)

    def put_dictionary(self, data: bytes) -> None:
        self._dictionaries.append(data)

    def delete_dictionaries(self) -> None:
        self._dictionaries = []

    def delete_keys(self, seqs: Iterable[int]) -> None:
        gone = set(seqs)
        self._keys = {key: value for key, value in self._keys.items() if value[0] not in gone}

    def put_cell(self, shelf: Shelf, id: int, data: bytes) -> None:
        self._cells[shelf, id] = data

    def delete_cells(self, shelf: Shelf, ids: Iterable[int]) -> None:
        for id in ids:
            self._cells.pop((shelf, id), None)

    def set_meta(self, key: str, value: str) -> None:
        self._meta[key] = value

    def delete_meta(self, key: str) -> None:
        self._meta.pop(key, None)

    # ---- reads -----------------------------------------------------------------------------

    def changed(self) -> bool:
        return False

    def stale(self) -> bool:
        if self._closed:
            raise ClosedError("the store was closed")
        return False

    def idempotency_keys(self) -> Iterator[tuple[bytes, int, bytes, bytes]]:
        for key, (seq, body, receipt) in list(self._keys.items()):
            yield key, seq, body, receipt

    def meta(self, key: str) -> str | None:
        return self._meta.get(key)

    def tail(self, after: int = 0) -> list[tuple[int, bytes]]:
        return sorted((seq, data) for seq, data in self._tail.items() if seq > after)

    def blocks(self) -> list[BlockInfo]:
        return [BlockInfo(f, b[0]) for f, b in sorted(self._blocks.items())]

    def block(self, first: int) -> bytes | None:
        found = self._blocks.get(first)
        return found[1] if found else None

    def segments(self) -> Iterator[tuple[int, bytes]]:
        yield from sorted(self._segments.items())

    def vectors(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        yield from sorted((seq, code) for seq, code in self._vectors.items() if seq > after)

    def dictionaries(self) -> list[bytes]:
        return list(self._dictionaries)

    def cells(self, shelf: Shelf, after: int = -1) -> Iterator[tuple[int, bytes]]:
        rows = [(id, data) for (where, id), data in self._cells.items() if where == shelf]
        yield from sorted(row for row in rows if row[0] > after)

    def usage(self) -> StoreUsage:
        log = _weigh(self._tail.values()) + _weigh(b[1] for b in self._blocks.values())
        log += _weigh(self._dictionaries)
        index, vectors = _weigh(self._segments.values()), _weigh(self._vectors.values())
        ledger = _weigh(value.encode() for value in self._meta.values())
        ledger += _weigh(key + value[1] + value[2] for key, value in self._keys.items())
        state = _weigh(data for (shelf, _), data in self._cells.items() if shelf == "state")
        audit = _weigh(data for (shelf, _), data in self._cells.items() if shelf in AUDIT)
        books = {"state", *AUDIT}
        ledger += _weigh(data for (shelf, _), data in self._cells.items() if shelf not in books)
        disk = log + index + vectors + ledger + state + audit
        return StoreUsage(
            disk=disk, database=disk, wal=0, shm=0, free=max(0, self.budget - disk),
            log=log, index=index, vectors=vectors, ledger=ledger, state=state, audit=audit,
        )  # fmt: skip

    def check(self) -> list[str]:
        return []

    def close(self) -> None:
        self._closed = True


_TABLES = ("_meta", "_tail", "_blocks", "_keys", "_segments", "_vectors", "_dictionaries", "_cells")


def _weigh(rows: Iterable[bytes]) -> int:
    return sum(len(data) + _OVERHEAD for data in rows)


def _check(budget: int) -> None:
    if budget < _SMALLEST:
        raise BudgetError(f"a budget of {budget} bytes is too small; the smallest is {_SMALLEST}")
