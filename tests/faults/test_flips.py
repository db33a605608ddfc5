"""Every byte of a small store, flipped: refused, reported, or of no meaning at all."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from holdfast import Event, Memory
from holdfast.errors import BudgetError, StoreError
from holdfast.stores.pages import slack

PAGE = 4096
PATTERNS = (0x01, 0x80, 0xFF)


def opened(path: Path, budget: int | None = None) -> Memory:
    return Memory.open(path, budget, durability="off", retention="oldest")


def all_of(memory: Memory) -> tuple[Any, ...]:
    """Everything that a memory says."""
    audit = memory._mirror.audit
    tree = audit.tree(memory._mirror.rows(), memory._mirror.next_seq)
    return (
        list(memory.log()), memory.beliefs(status="all"), memory.state_hash(), tree.root(),
        memory.changes(), memory.checkpoints(), memory.usage().budget, audit.origin, audit.first,
        memory._mirror.next_seq, list(memory._store.idempotency_keys()),
        list(memory._store.vectors()), memory._store.meta("embedder"),
        [audit.salts.salt(seq) for seq in range(memory._mirror.next_seq + 3)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, tuple[Any, ...], set[int]]:
    """A small closed store of everything, what it says, and its bytes that hold nothing."""
    path = tmp_path_factory.mktemp("store") / "a.holdfast"
    rng = random.Random(1)
    with opened(path, 640 * 1024) as memory:
        memory.observe_many(
            Event(f"I live in Town{i}. {rng.randbytes(40).hex()}", speaker=f"S{i % 3}", key=f"k{i}")
            for i in range(50)
        )
        memory.put_document("d", {"a": 1})
        memory.believe("Ana", "lives_in", "Porto")
        memory.observe_many(rng.randbytes(500) for _ in range(40))
        memory.erase(event=[3, 4, 5, 40])
        memory.checkpoint()
        with memory._store.transaction() as tx:
            tx.put_vectors([(7, bytes(20))])
        memory.observe("The end.", key="end")
    with opened(path) as memory:
        said = all_of(memory)
    data = path.read_bytes()
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    roots = [int(str(n)) for (n,) in db.execute("SELECT rootpage FROM sqlite_schema")]
    db.close()
    empty = {
        (number - 1) * PAGE + at
        for number, free in slack(
            lambda n: data[(n - 1) * PAGE : n * PAGE], [1, *roots], len(data) // PAGE, PAGE
        )
        for start, end in free
        for at in range(start, end)
    }
    return data, said, empty


def fate(path: Path, said: tuple[Any, ...]) -> str:
    """What becomes of a damaged store."""
    try:
        memory = opened(path)
    except (StoreError, BudgetError):
        return "refused"
    with contextlib.closing(memory):
        try:
            if not memory.verify().ok:
                return "reported"
            return "harmless" if all_of(memory) == said else "WRONG"
        except StoreError:
            return "refused"


def flip(
    path: Path, store: tuple[bytes, tuple[Any, ...], set[int]], places: list[int], patterns: Any
) -> tuple[Counter[str], list[int]]:
    data, said, empty = store
    fates: Counter[str] = Counter()
    missed = []
    for at in places:
        for pattern in patterns:
            damaged = bytearray(data)
            damaged[at] ^= pattern
            path.write_bytes(damaged)
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            found = fate(path, said)
            fates[f"{'empty' if at in empty else 'held'} {found}"] += 1
            if found == "WRONG":
                missed.append(at)
    return fates, missed


def test_flips_are_found_or_without_meaning(
    tmp_path: Path, store: tuple[bytes, tuple[Any, ...], set[int]]
) -> None:
    held = [at for at in range(len(store[0])) if at not in store[2]]
    places = random.Random(1).sample(held, 150) + sorted(store[2])[:: len(store[2]) // 20]
    fates, missed = flip(tmp_path / "b.holdfast", store, places, (0xFF,))
    assert missed == []
    assert fates["held refused"] + fates["held reported"] > 100


@pytest.mark.slow
def test_every_flip_is_found_or_without_meaning(
    tmp_path: Path, store: tuple[bytes, tuple[Any, ...], set[int]]
) -> None:
    fates, missed = flip(tmp_path / "b.holdfast", store, list(range(len(store[0]))), PATTERNS)
    print(fates)
    assert missed == []
