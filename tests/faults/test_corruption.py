"""Flipped bytes and cut files: reported, or harmless; never a wrong text, never a strange error."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from holdfast.errors import BudgetError, NotFoundError, StoreError
from holdfast.records import Event, Record

from lab import event, open_memory, text

Truth = dict[int, Record]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Truth]:
    """The bytes of a small closed store with sealed blocks and a tail, and what it holds."""
    path = tmp_path_factory.mktemp("store") / "a.holdfast"
    with open_memory(path) as memory:
        memory.observe_many(Event(text(i, 400), scope=f"s/{i % 3}", at=float(i)) for i in range(90))
        for i in range(90, 110):
            memory.observe(event(i))
        truth = {r.seq: r for r in memory.log()}
    return path.read_bytes(), truth


def fate(path: Path, truth: Truth) -> str:
    """What becomes of a damaged store: refused, reported, or nothing wrong with what it says."""
    try:
        memory = open_memory(path, budget=None)
    except (StoreError, BudgetError, NotFoundError):
        return "refused"
    try:
        with memory:
            verified = memory.verify().ok
            served = {}
            try:
                served = {r.seq: r for r in memory.log()}
                for item in memory.recall("number50 w1", tokens=10**6).items:
                    content = truth[item.seq].event.content
                    if isinstance(content, str):
                        quoted = content.encode()[item.span[0] : item.span[1]]
                        assert quoted == item.text.encode(), f"recalled e{item.seq} wrongly"
                memory.get(1)
            except StoreError:
                return "refused"
            for seq, record in served.items():
                assert record == truth.get(seq), (
                    f"event {seq} was served wrong (verified: {verified})"
                )
            if not verified:
                return "reported"
            assert served.keys() == truth.keys(), "events are missing and verify did not say so"
            return "harmless"
    except StoreError:
        return "refused"


def flipped(path: Path, data: bytes, truth: Truth, positions: range, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    fates: Counter[str] = Counter()
    for at in positions:
        damaged = bytearray(data)
        damaged[at] ^= rng.choice((0x01, 0x80, 0xFF))
        path.write_bytes(damaged)
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        try:
            fates[fate(path, truth)] += 1
        except Exception as problem:  # whatever escapes is what this looks for
            problem.add_note(f"byte {at}, seed {seed}")
            raise
    return fates


def test_flipped_bytes_are_found_or_harmless(tmp_path: Path, store: tuple[bytes, Truth]) -> None:
    data, truth = store
    fates = flipped(tmp_path / "b.holdfast", data, truth, range(0, len(data), 307), seed=1)
    assert fates["refused"] + fates["reported"] > fates.total() // 4


@pytest.mark.slow
def test_every_byte_flipped_is_found_or_harmless(
    tmp_path: Path, store: tuple[bytes, Truth]
) -> None:
    data, truth = store
    flipped(tmp_path / "b.holdfast", data, truth, range(0, len(data), 3), seed=2)


def test_a_truncated_file_is_found(tmp_path: Path, store: tuple[bytes, Truth]) -> None:
    data, truth = store
    path = tmp_path / "b.holdfast"
    for size in [*range(1, 200, 13), *range(200, len(data), len(data) // 90)]:
        path.write_bytes(data[:size])
        assert fate(path, truth) in ("refused", "reported"), size


def test_holes_are_found_or_harmless(tmp_path: Path, store: tuple[bytes, Truth]) -> None:
    data, truth = store
    path = tmp_path / "b.holdfast"
    for at in range(0, len(data), 4096):
        path.write_bytes(data[:at] + bytes(4096) + data[at + 4096 :])
        fate(path, truth)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.holdfast"
    for content in (b"hello", b"x" * 5000, b"SQLite format 3\0" + b"x" * 5000):
        path.write_bytes(content)
        with pytest.raises(StoreError):
            open_memory(path, budget=None)
