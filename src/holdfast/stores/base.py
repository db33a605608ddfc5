"""What a store must do: keep opaque rows durably, transactionally and inside a byte budget.

A store knows nothing of text, tiers or ranking. It holds seven kinds of row; the engine
decides what is in them. Everything the engine writes goes through one `Store.transaction`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

Shelf = Literal["state", "tree", "salt", "checkpoint", "probe", "ledger", "filter", "use"]
"""What small rows are: the journal of state, hashes of lost events, keys of salts, checkpoints,
probes, what was let go of, the words of it, and what was of use."""
AUDIT: tuple[Shelf, ...] = ("tree", "salt", "checkpoint")
SHELVES: tuple[Shelf, ...] = ("state", *AUDIT, "probe", "ledger", "filter", "use")


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """A block of the log without its data: which events it spans."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """Bytes as the backend counts them. `disk` is everything on disk: what a budget bounds."""

    disk: int
    database: int
    wal: int
    shm: int
    free: int
    log: int
    index: int
    vectors: int
    ledger: int
    state: int
    audit: int


class Transaction(Protocol):
    """The write half of a store; valid inside `Store.transaction` only.

    Writes take effect together when the transaction ends, or not at all.
    """

    def put_tail(self, seq: int, data: bytes) -> None:
        """Append one row to the tail of the log."""

    def clear_tail(self, upto: int) -> None:
        """Drop tail rows with ``seq <= upto``; their events now live in a block."""

    def put_block(self, first: int, last: int, data: bytes) -> None:
        """Write a block, replacing the one that starts at the same event."""

    def delete_block(self, first: int) -> None: ...

    def key(self, key: bytes) -> tuple[bytes, bytes] | None:
        """The body digest and receipt kept under an idempotency key."""

    def put_key(self, key: bytes, seq: int, body: bytes, receipt: bytes) -> None: ...

    def prune_keys(self, before: int, most: int) -> None:
        """Forget up to `most` idempotency keys of events with ``seq < before``."""

    def put_segment(self, id: int, data: bytes) -> None:
        """Keep one sealed index segment."""

    def delete_segment(self, id: int) -> None: ...

    def put_vectors(self, codes: Iterable[tuple[int, bytes]]) -> None: ...

    def delete_vectors(self, seqs: Iterable[int]) -> None: ...

    def put_dictionary(self, data: bytes) -> None: ...

    def delete_dictionaries(self) -> None:
        """Drop every dictionary; no block may need one any more."""

    def delete_keys(self, seqs: Iterable[int]) -> None:
        """Forget the idempotency keys of some events."""

    def put_cell(self, shelf: Shelf, id: int, data: bytes) -> None:
        """Keep one small row, in place of the one with that number on its shelf."""

    def delete_cells(self, shelf: Shelf, ids: Iterable[int]) -> None: ...

    def set_meta(self, key: str, value: str) -> None: ...

    def delete_meta(self, key: str) -> None: ...

    def room_for(self, need: int) -> int:
        """Bytes left in the budget once `need` more are written; negative if they do not fit."""

    def fits(self, need: int) -> bool:
        """Whether `need` more bytes fit both the budget and what this transaction may dirty."""

    def slack(self) -> int:
        """Bytes this transaction may still dirty before it must end."""


class Store(Protocol):
    """A durable home for one memory."""

    name: str
    capabilities: frozenset[str]

    @property
    def budget(self) -> int:
        """Bytes everything on disk may take."""

    @property
    def durability(self) -> str:
        """What a commit survives: "full", "normal" or "off"."""

    def transaction(self, need: int = 0) -> AbstractContextManager[Transaction]:
        """One atomic, durable change, alone among all writers of all processes.

        `need` is an upper bound on the bytes of pages it will write; the store makes sure
        beforehand that its own journal can take them within the budget. Raises
        `StoreBusyError` if that cannot be had in bounded time, `StorageFullError` or
        `StoreError` if the disk refuses: then nothing has changed.
        """

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep the writers of all processes out, so that several reads see one state."""

    def changed(self) -> bool:
        """Whether another process had committed when the writer's lock was last taken; once."""

    def stale(self) -> bool:
        """Whether another process has committed since then. Needs no lock, but one caller only."""

    def excess(self, budget: int) -> int:
        """Bytes kept over what another budget would allow; negative if they would fit."""

    def meta(self, key: str) -> str | None: ...

    def tail(self, after: int = 0) -> list[tuple[int, bytes]]: ...

    def blocks(self) -> list[BlockInfo]: ...

    def block(self, first: int) -> bytes | None: ...

    def segments(self) -> Iterator[tuple[int, bytes]]: ...

    def vectors(self, after: int = 0) -> Iterator[tuple[int, bytes]]: ...

    def dictionaries(self) -> list[bytes]: ...

    def idempotency_keys(self) -> Iterator[tuple[bytes, int, bytes, bytes]]:
        """Every idempotency key, with its event, body digest and receipt."""

    def cells(self, shelf: Shelf, after: int = -1) -> Iterator[tuple[int, bytes]]:
        """The small rows of a shelf with a number over `after`, in order."""

    def capacity(self) -> int:
        """Bytes the log, index and vectors may take together within the budget."""

    def room_for(self, need: int) -> int:
        """As of `Transaction`, between transactions."""

    def batch_bytes(self) -> int:
        """Bytes of events that make a good single transaction."""

    def largest_event(self) -> int:
        """Bytes the largest single event may have within the budget."""

    def check_budget(self, budget: int) -> None:
        """Raise `BudgetError` if a budget is too small for any memory."""

    def resize(self, budget: int) -> None:
        """Adopt another budget; `BudgetError` if what is kept now does not fit it."""

    def usage(self) -> StoreUsage: ...

    def check(self) -> list[str]:
        """Problems in the backend's own structures; empty if there are none."""

    def close(self) -> None: ...
