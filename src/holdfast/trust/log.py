"""The audit log of a memory: a Merkle tree with a leaf for every event it ever stored.

A leaf commits to an event with a salt. While the event is kept whole its leaf is worked out from
it; when it is lowered, evicted or erased, its leaf is kept instead, and runs of such leaves
collapse. So the tree costs nothing until something is lost, and little then.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from zlib import crc32

from holdfast.codec import BYTES, PINNED, Row
from holdfast.errors import AuditError
from holdfast.records import Tier
from holdfast.stores.base import Store, Transaction
from holdfast.trust.lost import LostLeaves, leaf_hash
from holdfast.trust.note import Checkpoint
from holdfast.trust.salts import KEY_BYTES, Salts
from holdfast.trust.tree import Tree

MOST_CHECKPOINTS = 64
"""Checkpoints that stay provable beside those of snapshots; older ones thin out."""
_EVENT = struct.Struct("<qqqQBBII")


@dataclass(frozen=True, slots=True)
class Proof:
    """That an event is in the log: its leaf, and the hashes from there to the root of `size`."""

    seq: int
    index: int
    size: int
    leaf: bytes
    path: tuple[bytes, ...]
    root: bytes


class AuditLog:
    """The tree, the salts and the checkpoints of one memory.

    Not safe for threads: its owner holds the writer's lock.

    References
    ----------
    RFC 9162, Certificate Transparency 2.0: the tree and its proofs. Differs: leaves commit to
    salted hashes, so that erasing an event keeps every proof valid and tells nothing; lost leaves
    collapse into the roots of subtrees.
    """

    def __init__(self, origin: str, first: int, lost: LostLeaves, salts: Salts) -> None:
        self.origin = origin
        self.first = first  # the event of leaf 0: older files began without a log
        self.lost = lost
        self.salts = salts
        self.saved = True

    @classmethod
    def load(cls, store: Store, next_seq: int) -> Self:
        """What a store holds; a new one, not saved yet, if it holds none."""
        origin = store.meta("origin")
        if origin is None:
            fresh = cls(
                new_origin(), next_seq, LostLeaves(),
                Salts(secrets.token_bytes(KEY_BYTES)),
            )  # fmt: skip
            fresh.saved = False
            return fresh
        kept = [size for size, _ in store.cells("checkpoint")]
        lost = LostLeaves.load((row for _, row in store.cells("tree")), kept)
        first = int(store.meta("audit_from") or 1)
        return cls(origin, first, lost, Salts.load(store.cells("salt")))

    def save(self, tx: Transaction) -> None:
        """Write what identifies a new log."""
        tx.set_meta("origin", self.origin)
        tx.set_meta("audit_from", str(self.first))
        for id in self.salts.rows():
            tx.put_cell("salt", id, self.salts.row(id) or b"")

    def erased(self, seq: int) -> bool:
        """Whether an event was erased."""
        return self.salts.salt(seq) is None

    # ---- leaves ----------------------------------------------------------------------------

    def commitment(self, row: Row) -> bytes:
        """The salted hash of everything about an event that never changes.

        Raises `AuditError` if its salt was destroyed.
        """
        salt = self.salts.salt(row.seq)
        if salt is None:
            raise AuditError(f"event {row.seq} was erased; its commitment cannot be made again")
        who = json.dumps(row.who, separators=(",", ":")).encode()
        head = _EVENT.pack(
            row.seq, row.at, row.recorded, row.size, row.kind, row.flags & (BYTES | PINNED),
            row.extra, len(who),
        )  # fmt: skip
        return hashlib.sha256(b"".join((salt, head, who, row.body))).digest()

    def leaf(self, row: Row) -> bytes:
        """The leaf of an event that is kept whole."""
        return leaf_hash(self.commitment(row))

    def lose(self, tx: Transaction, rows: Iterable[Row]) -> None:
        """Keep the leaves of events that are about to be lowered, evicted or erased."""
        pairs = [(row.seq - self.first, self.leaf(row)) for row in rows if row.seq >= self.first]
        if pairs:
            self._write(tx, self.lost.lose(pairs))

    def destroy_salts(self, tx: Transaction, seqs: Iterable[int]) -> None:
        """Make sure that nobody can tell what the leaves of erased events were."""
        for id in self.salts.destroy(seqs):
            row = self.salts.row(id)
            if row is None:
                tx.delete_cells("salt", [id])
            else:
                tx.put_cell("salt", id, row)

    def _write(self, tx: Transaction, chapters: Iterable[int]) -> None:
        for id in sorted(chapters):
            data = self.lost.chapter(id)
            if data is None:
                tx.delete_cells("tree", [id])
            else:
                tx.put_cell("tree", id, data)

    # ---- the tree --------------------------------------------------------------------------

    def tree(self, rows: Iterable[Row], next_seq: int) -> Tree:
        """The tree over all events so far; `rows` are those kept, in order."""
        whole = [row for row in rows if row.tier == Tier.VERBATIM and row.seq >= self.first]
        held = [(row.seq - self.first, self.leaf(row)) for row in whole]

        def leaves(start: int, stop: int) -> Iterator[tuple[int, bytes]]:
            yield from (pair for pair in held if start <= pair[0] < stop)

        return Tree(next_seq - self.first, self.lost, leaves)

    def keep(self, tx: Transaction, store: Store, checkpoint: Checkpoint, note: str) -> None:
        """Store a checkpoint, so that the tree of its size stays provable."""
        self._note(tx, store, checkpoint.size, {"t": checkpoint.text(), "n": note})

    def keep_snapshot(self, tx: Transaction, store: Store, size: int, name: str) -> None:
        """Keep the tree of a snapshot's size provable as long as the snapshot is there."""
        self._note(tx, store, size, {"s": name})

    def forget_snapshot(self, tx: Transaction, store: Store, name: str) -> None:
        """Its size need not stay provable any more, unless there is a checkpoint of it."""
        for size, data in list(store.cells("checkpoint")):
            line = json.loads(data)
            if line["s"] == name and line["t"]:
                self._note(tx, store, size, {"s": ""})
            elif line["s"] == name:
                self.forget(tx, size)

    def _note(self, tx: Transaction, store: Store, size: int, more: dict[str, str]) -> None:
        """Keep a size provable; say why beside what is said of it already."""
        known = next((data for at, data in store.cells("checkpoint", size - 1) if at == size), None)
        line = {"t": "", "n": "", "s": ""} | ({} if known is None else _read(size, known)) | more
        self.lost.keep_boundary(size)
        line["c"] = _line_sum(size, line)
        tx.put_cell("checkpoint", size, json.dumps(line).encode())

    def thin(self, tx: Transaction, store: Store) -> None:
        """Let go of old checkpoints, every other one, where there are too many."""
        plain = [
            size for size, data in store.cells("checkpoint") if not json.loads(data)["s"]
        ]  # fmt: skip
        if len(plain) <= MOST_CHECKPOINTS:
            return
        for size in plain[: MOST_CHECKPOINTS // 2 : 2]:
            self.forget(tx, size)

    def forget(self, tx: Transaction, size: int) -> None:
        """Let go of one checkpoint: its size need not stay provable."""
        tx.delete_cells("checkpoint", [size])
        self._write(tx, self.lost.forget_boundary(size))


def new_origin() -> str:
    """A name that no other log has."""
    return f"holdfast/{secrets.token_hex(8)}"


def checkpoints(store: Store) -> list[tuple[Checkpoint, dict[str, Any]]]:
    """Every stored checkpoint, oldest first, with its signed note and the snapshot it is of."""
    found = []
    for size, data in store.cells("checkpoint"):
        line = _read(size, data)
        if line["t"]:  # else it is the boundary of a snapshot
            found.append((Checkpoint.parse(line["t"]), line))
    return found


def _read(size: int, data: bytes) -> dict[str, Any]:
    """A stored checkpoint; raises `AuditError` if it was changed."""
    try:
        line: dict[str, Any] = json.loads(data)
        if line["c"] != _line_sum(size, line):
            raise AuditError(f"the checkpoint of size {size} fails its CRC-32")
    except (ValueError, LookupError, TypeError) as error:
        raise AuditError(f"the checkpoint of size {size} cannot be read: {error}") from None
    return line


def _line_sum(size: int, line: Mapping[str, Any]) -> str:
    return f"{crc32(repr([size, line['t'], line['n'], line['s']]).encode()):08x}"
