"""Verify: silent about a sound memory, precise about a planted fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import apsw
import pytest

from holdfast import Memory
from holdfast.codec import Row
from holdfast.errors import CorruptStoreError
from holdfast.memory import Verification
from holdfast.mirror import Changes

from worlds import large_events, opened


@pytest.fixture
def memory() -> Iterator[Memory]:
    with opened("640 KiB") as memory:
        memory.observe_many(large_events(70, n_words=200))
        yield memory


def _problems(memory: Memory) -> str:
    found = memory.verify()
    assert found.ok == (not found.problems)
    return "; ".join(found.problems)


def test_a_sound_memory_has_no_problems(memory: Memory) -> None:
    found = memory.verify()
    assert found == Verification(True, (), len(memory), len(memory._mirror.firsts))
    assert found.blocks > 4
    assert found.events == len(list(memory.log()))


def test_a_posting_too_many_is_found(memory: Memory) -> None:
    mirror = memory._mirror
    row = mirror.row(next(memory.log()).seq)
    assert row is not None
    at = mirror.columns.find(row.seq)
    assert at is not None
    from holdfast.lower import row_terms

    mirror.postings.add(at, [*row_terms(row), 12345], row.length)
    assert _problems(memory) == f"event {row.seq} is not in the index under exactly its terms"


def test_a_posting_too_few_is_found(memory: Memory) -> None:
    seqs = [record.seq for record in memory.log() if record.text][:2]
    memory._mirror.postings.remove([memory._mirror.columns.find(seq) for seq in seqs])
    for seq in seqs:
        assert f"event {seq} is not in the index" in _problems(memory)


def test_many_problems_are_not_all_listed(memory: Memory) -> None:
    columns = memory._mirror.columns
    memory._mirror.postings.remove(range(columns.n))
    found = memory.verify()
    assert not found.ok
    assert 20 <= len(found.problems) <= 20 * (found.blocks + 1)


def test_an_event_missing_in_ram_is_found(memory: Memory) -> None:
    seq = [record.seq for record in memory.log()][3]
    memory._mirror.apply(Changes(evicted=[seq]))
    assert _problems(memory) == f"event {seq} is in the log but not in RAM"


def test_a_block_that_is_gone_is_found(memory: Memory) -> None:
    first = memory._mirror.firsts[1]
    with memory._store.transaction() as tx:
        tx.delete_block(first)
    assert f"event {first} is in RAM but not in the log" in _problems(memory)


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize("spoil", [_flip, lambda data: data[:-9], lambda data: b"", lambda d: b"x"])
def test_a_block_with_other_bytes_is_found(memory: Memory, spoil: Callable[[bytes], bytes]) -> None:
    first = memory._mirror.firsts[2]
    last = memory._mirror.blocks[first].last
    data = memory._store.block(first)
    assert data is not None
    with memory._store.transaction() as tx:
        tx.put_block(first, last, spoil(data))
    problems = _problems(memory)
    assert f"block {first}: " in problems
    assert f"event {first} is in RAM but not in the log" in problems


def test_a_block_with_a_wrong_end_is_found(memory: Memory) -> None:
    first = memory._mirror.firsts[2]
    data = memory._store.block(first)
    assert data is not None
    with memory._store.transaction() as tx:
        tx.put_block(first, memory._mirror.blocks[first].last + 1, data)
    assert f"block {first} says it ends at" in _problems(memory)


def test_blocks_that_overlap_are_found(memory: Memory) -> None:
    """Each is sound by itself, but what lies in both reaches is read from one only."""
    firsts = memory._mirror.firsts
    outer, inner = firsts[1], firsts[2]
    joined = memory._mirror.read_block(outer), memory._mirror.read_block(firsts[3])
    assert joined[0] is not None
    assert joined[1] is not None
    block = joined[0].join(joined[1])
    with memory._store.transaction() as tx:
        tx.put_block(outer, block.last, memory._mirror.codec.encode(block))
        tx.delete_block(firsts[3])
    assert f"block {inner} begins before the one before it ends" in _problems(memory)


def _planted(memory: Memory, change: Callable[[Row], Row], **event: object) -> str:
    """What verify says of a row that was changed where it lies, in the tail."""
    receipt = memory.observe("short", **event)  # type: ignore[arg-type]
    tail = memory._mirror.tail
    assert tail[-1].seq == receipt.seq
    tail[-1] = change(tail[-1])
    return _problems(memory)


def test_rows_that_do_not_decode_to_what_they_say_are_found(memory: Memory) -> None:
    assert "is not as long as it was" in _planted(memory, lambda row: row._replace(size=4))
    assert "cannot be read" in _planted(memory, lambda row: row._replace(kind=77))
    broken = _planted(
        memory, lambda row: row._replace(body=row.body[:-1] + b"?"), metadata={"a": 1}
    )
    assert "cannot be read" in broken


def test_a_quote_of_the_wrong_length_is_found(memory: Memory) -> None:
    from holdfast.codec import to_gist

    def cut(row: Row) -> Row:
        gist = to_gist(row, [(0, 5)], row.length, row.tokens)
        return gist._replace(body=gist.body[:-2])

    assert "has a quote of the wrong length" in _planted(memory, cut)


def test_a_gist_cut_short_is_a_problem_and_no_crash(memory: Memory) -> None:
    assert "cannot be read" in _planted(memory, lambda row: row._replace(tier=1, body=b"12345678"))


def test_damage_by_another_program_is_told(memory: Memory) -> None:
    """Foreign writes are noticed: the memory reads the log again, and says what it cannot read."""
    path = memory._store.path
    other = apsw.Connection(str(path))
    (table,) = other.execute(
        "select name from sqlite_master where type='table' and name like '%block%'"
    ).fetchone()
    other.execute(f"update {table} set data = zeroblob(40) where rowid in "
                  f"(select rowid from {table} limit 1)")  # fmt: skip
    other.close()
    with pytest.raises(CorruptStoreError):
        memory.verify()


def test_an_entry_of_the_journal_that_was_changed_is_found(memory: Memory) -> None:
    memory.believe("Ana", "lives_in", "Porto")
    (id, data), *_ = memory._store.cells("state")
    with memory._store.transaction() as tx:
        tx.put_cell("state", id, data[:-1] + bytes([data[-1] ^ 1]))
    (problem,) = memory.verify().problems
    assert "of the journal" in problem
