"""The audit log of a memory: what was tampered with is found, given an earlier checkpoint."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast import Event, Memory
from holdfast.api.audit import check_proof
from holdfast.codec import Block, BlockCodec, Row
from holdfast.errors import AuditError
from holdfast.trust.log import MOST_CHECKPOINTS
from holdfast.trust.note import new_key

from worlds import ticking


def opened(path: Path, budget: str | None = None, **options: object) -> Memory:
    return Memory.open(
        path,
        budget,
        durability="off",
        clock=ticking(),
        extractor=None,
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "m.holdfast"
    rng = random.Random(1)
    with opened(path, "2 MiB") as memory:
        memory.observe_many(
            Event(f"Event {i}. {rng.randbytes(60).hex()}", speaker="Ana") for i in range(600)
        )
    return path


def edited(rows: list[Row]) -> list[Row]:
    body = rows[5].body.replace(b"Event", b"Tnevt")
    return [*rows[:5], rows[5]._replace(body=body), *rows[6:]]


def swapped(rows: list[Row]) -> list[Row]:
    a, b = rows[5], rows[6]
    return [*rows[:5], b._replace(seq=a.seq), a._replace(seq=b.seq), *rows[7:]]


TAMPERING: dict[str, Callable[[list[Row]], list[Row]]] = {
    "edit": edited,
    "drop": lambda rows: rows[:5] + rows[6:],
    "reorder": swapped,
    "move in time": lambda rows: [*rows[:5], rows[5]._replace(at=rows[5].at + 1), *rows[6:]],
    "relabel": lambda rows: [
        *rows[:5], rows[5]._replace(who=rows[5].who._replace(speaker="Bo")), *rows[6:]
    ],
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERING)
def test_a_block_written_anew_is_found(path: Path, how: str) -> None:
    with opened(path) as memory:
        earlier = memory.checkpoint()
        first = memory._mirror.firsts[1]
        block = memory._mirror.read_block(first)
        assert block is not None
        with memory._store.transaction(100_000) as tx:
            made = Block.of(TAMPERING[how](block.rows()))
            tx.put_block(made.first, made.last, BlockCodec().encode(made))
    with opened(path) as memory:
        with pytest.raises(AuditError):
            memory.prove_extends(earlier)
        assert not memory.verify().ok


def test_an_event_put_in_and_a_log_cut_short_are_found(path: Path) -> None:
    older = path.with_name("older")
    shutil.copy(path, older)
    with opened(path) as memory:
        memory.observe("One more.")
        earlier = memory.checkpoint()
    shutil.copy(older, path)
    with opened(path) as memory:
        with pytest.raises(AuditError, match="cut short"):
            memory.prove_extends(earlier)
        memory.observe("Another one in its place.")
        with pytest.raises(AuditError):
            memory.prove_extends(earlier)


def test_proofs_convince_others(path: Path) -> None:
    pymerkle = pytest.importorskip("pymerkle")
    with opened(path) as memory:
        earlier = memory.checkpoint().checkpoint
        memory.observe_many(f"More {i}." for i in range(37))
        audit = memory._mirror.audit
        tree = pymerkle.InmemoryTree(algorithm="sha256")
        for row in memory._mirror.rows():
            tree.append_entry(audit.commitment(row))
        memory.erase(event=[3, 4, 5, 333])
        memory.checkpoint()
        for seq in (1, 2, 300, 600, 620):
            proof = memory.prove(seq)
            check_proof(proof)
            with pytest.raises(AuditError):
                check_proof(proof, root=bytes(32))
            check_proof(memory.prove(min(seq, 600), size=earlier.size), root=earlier.root)
        assert memory.prove_extends(earlier)
        before = tree.get_size()
        ours = memory._mirror.audit.tree(memory._mirror.rows(), memory._mirror.next_seq)
        assert ours.root(before) == tree.get_root(before), "erasing left the root as it was"
        for seq in (1, 300, 637):
            theirs = tree.prove_inclusion(seq, before)
            leaf, root = tree.get_leaf(seq), tree.get_root(before)
            pymerkle.verify_inclusion(leaf, root, theirs)
            assert leaf == memory.prove(seq, size=before).leaf
            assert ours.inclusion(seq - 1, before) == theirs.path[1:] or theirs.path


def test_a_note_is_signed_and_checked(path: Path) -> None:
    pytest.importorskip("cryptography")
    private, public = new_key("log.example/ana")
    _, stranger = new_key("log.example/ana")
    with opened(path) as memory:
        note = memory.checkpoint(private).note
        memory.observe("And on.")
        assert memory.check_note(note, public)
        with pytest.raises(AuditError):
            memory.check_note(note, stranger)
        with pytest.raises(AuditError):
            memory.check_note(note.replace("time", "tine"), public)


def test_checkpoints_thin_out_and_the_oldest_ones_stay_provable(path: Path) -> None:
    with opened(path) as memory:
        memory.snapshot("s")
        for i in range(3 * MOST_CHECKPOINTS):
            memory.observe(f"Event {i}.")
            memory.checkpoint()
        kept = memory.checkpoints()
        assert len(kept) <= MOST_CHECKPOINTS
        memory.observe_many(random.Random(2).randbytes(9000) for _ in range(300))
        for one in kept:
            memory.prove_extends(one)
        assert memory.rollback("s") > 0
        assert memory.verify().problems == ()
        for one in kept:
            memory.prove_extends(one)


def test_proofs_stay_short_after_many_evictions(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast", "640 KiB", retention="oldest") as memory:
        first = memory.observe("The first.")
        earlier = memory.checkpoint()
        rng = random.Random(3)
        memory.observe_many(rng.randbytes(120) for _ in range(30_000))
        assert first.seq == 1
        assert len(memory.prove_extends(earlier)) <= 2 * 16
        newest = max(record.seq for record in memory.log())
        assert len(memory.prove(newest).path) <= 17
        assert memory.usage().audit < 20_000
        assert memory.verify().ok
