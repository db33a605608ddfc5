"""Erasing and going back, cut short anywhere: afterwards it is finished, or had not begun."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from forensics import traces

from holdfast import Event, Memory
from holdfast.errors import HoldfastError
from holdfast.stores.sqlite import SqliteStore

CANARY = "Qyxwerfadol"
SMALLEST = 640 * 1024


class CutError(Exception):
    """The power is gone."""


def opened(path: Path, budget: int | None = None) -> Memory:
    return Memory.open(path, budget, extractor=None, durability="off", retention="oldest")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a closed memory that is full, its snapshots, and a canary in all of them."""
    folder = tmp_path_factory.mktemp("home")
    path = folder / "m.holdfast"
    rng = random.Random(1)
    with opened(path, SMALLEST) as memory:
        for part in range(3):
            for i in range(12):
                memory.observe(
                    Event(
                        f"{CANARY} {part}.{i} {rng.randbytes(150).hex()}", speaker=CANARY,
                        key=f"{part}{i}",
                    )
                )  # fmt: skip
            memory.believe("Ana", "lives_in", f"{CANARY} {part}", by=CANARY)
            memory.believe("Ana", "likes", f"tea {part}", by="Ana")
            memory.put_document("d", {"part": part}, by="Ana")
            memory.observe_many(Event(rng.randbytes(3000), speaker="Ana") for _ in range(40))
            if part < 2:
                memory.snapshot(f"s{part}")
        memory.checkpoint()
    return folder


@contextlib.contextmanager
def cut_at(n: int) -> Iterator[list[int]]:
    """Fail for good at the `n`-th transaction: before its commit; 0: count them."""
    whole = SqliteStore.transaction
    count = [0]

    @contextlib.contextmanager
    def transaction(self: SqliteStore, need: int = 0) -> Iterator[SqliteStore]:
        with whole(self, need) as tx:
            yield tx
            count[0] += 1
            if n and count[0] >= n:
                raise CutError

    SqliteStore.transaction = transaction  # type: ignore[method-assign]
    try:
        yield count
    finally:
        SqliteStore.transaction = whole  # type: ignore[method-assign]


def held(memory: Memory) -> tuple[object, ...]:
    """What a memory says of itself, but for the records of what was done to it."""
    events = [(r.seq, r.event, int(r.tier)) for r in memory.log() if r.event.kind != "state"]
    return events, memory.state_hash(), [one.name for one in memory.snapshots()]


Work = Callable[[Memory], object]
WORK: dict[str, Work] = {
    "erase": lambda memory: memory.erase(source=CANARY),
    "rollback": lambda memory: memory.rollback("s0"),
    "snapshot": lambda memory: memory.snapshot("s9"),
    "delete_snapshot": lambda memory: memory.delete_snapshot("s0"),
    "fork": lambda memory: memory.fork(memory._store.path.with_name("fork.holdfast")).close(),
}


def survive(home: Path, folder: Path, name: str, n: int, again: bool) -> None:
    """Cut at the `n`-th transaction; open anew, or go on in the same process; look."""
    shutil.copytree(home, folder)
    path = folder / "m.holdfast"
    memory = opened(path)
    before = held(memory)
    with cut_at(n), pytest.raises(CutError):
        WORK[name](memory)
    if not again:
        with contextlib.suppress(HoldfastError):
            memory._store.close()
        memory = opened(path)
    after_seq = memory.observe("And on it goes.").seq
    assert memory.get(after_seq).text == "And on it goes."
    problems = memory.verify().problems
    assert problems == (), (name, n, problems)
    now = held(memory)
    (signed,) = memory.checkpoints()[-1:]
    memory.prove_extends(signed)
    begun = now[0][:-1] != before[0] or now[1:] != before[1:]  # type: ignore[index]
    if name == "erase" and begun:
        assert CANARY not in repr(now[0])
        left = traces(path, [CANARY])
        assert left == [], (n, left)
    if name == "rollback" and begun:
        assert memory.beliefs(subject="Ana", predicate="likes")[-1].value == "tea 0"
    if name in ("snapshot", "delete_snapshot", "fork"):
        assert now[:1] == (before[0] + now[0][-1:],)  # type: ignore[operator,index]
        assert now[1] == before[1]
    for one in memory.snapshots():
        assert memory.rollback(one.name) >= 0
        assert memory.verify().problems == ()
    memory.close()
    twin = folder / "fork.holdfast"
    if twin.exists():
        with opened(twin) as fork:
            assert fork.verify().ok
            assert fork.audit_origin != memory.audit_origin


def points(home: Path, folder: Path, name: str) -> int:
    """How many transactions it takes."""
    shutil.copytree(home, folder)
    with opened(folder / "m.holdfast") as memory, cut_at(0) as count:
        WORK[name](memory)
    return count[0]


def every(home: Path, tmp_path: Path, name: str, stride: int) -> int:
    total = points(home, tmp_path / "count", name)
    tried = 0
    for n in range(1, total + 1, max(1, min(stride, total // 4))):
        survive(home, tmp_path / f"{name}{n}", name, n, again=n % 2 == 0)
        shutil.rmtree(tmp_path / f"{name}{n}")
        tried += 1
    return tried


@pytest.mark.parametrize("name", WORK)
def test_a_cut_leaves_it_finished_or_not_begun(home: Path, tmp_path: Path, name: str) -> None:
    assert every(home, tmp_path, name, stride=23) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_every_cut_leaves_it_finished_or_not_begun(home: Path, tmp_path: Path, name: str) -> None:
    assert every(home, tmp_path, name, stride=1) >= 1
