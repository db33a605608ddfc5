"""A destroyed salt is gone; every other stays what it was."""

from __future__ import annotations

from hashlib import blake2b, shake_256
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import AuditError
from holdfast.trust.lost import decode_chapter
from holdfast.trust.salts import MAX_EVENTS, Salts

MASTER = bytes(range(32))
SEQS = st.one_of(
    st.integers(0, 200), st.integers(0, 5000), st.integers(0, MAX_EVENTS - 1)
)  # close together and far apart


def reference(master: bytes, seq: int) -> bytes:
    """The definition: 43 times one half of a hash, then 16 bytes of a stream."""
    key = master
    for level in reversed(range(43)):
        both = blake2b(b"", key=key, digest_size=64, person=b"holdfast.salt.v1").digest()
        key = both[32:] if (seq >> 5) >> level & 1 else both[:32]
    start = 16 * (seq & 31)
    return shake_256(b"holdfast.salt.v1" + key).digest(512)[start : start + 16]


def stored(salts: Salts) -> dict[int, bytes]:
    rows = {row_id: salts.row(row_id) for row_id in salts.rows()}
    assert all(0 <= row_id < 2**62 for row_id in rows)
    return {row_id: row for row_id, row in rows.items() if row is not None}


def derivable(rows: dict[int, bytes], seq: int) -> bool:
    """Whether any stored key is above this event, or its salt is stored itself."""
    for row_id, row in rows.items():
        if row_id & 1:
            mask = int.from_bytes(row[8:12], "little")
            if int.from_bytes(row[:8], "little") == seq >> 5 and mask >> (seq & 31) & 1:
                return True
            continue
        for number in decode_chapter(row)[1]:
            low = number & -number  # twice as many buckets as the node has
            if (number - low) >> 1 <= seq >> 5 < (number + low) >> 1:
                return True
    return False


@given(st.binary(min_size=32, max_size=32), st.lists(SEQS, min_size=1, max_size=20))
def test_salts_are_the_definitions_in_any_order(master: bytes, seqs: list[int]) -> None:
    salts = Salts(master)
    assert [salts.salt(seq) for seq in seqs] == [reference(master, seq) for seq in seqs]


def test_salts_in_order_are_the_definitions_and_differ() -> None:
    salts = Salts(MASTER)
    found = [salts.salt(seq) for seq in range(1000)]
    assert found == [reference(MASTER, seq) for seq in range(1000)]
    assert len(set(found)) == 1000
    assert set(found).isdisjoint(Salts(bytes(32)).salt(seq) for seq in range(1000))


@given(
    st.lists(st.lists(SEQS, max_size=12), max_size=4), st.lists(SEQS, max_size=12), st.booleans()
)
def test_exactly_the_destroyed_are_gone(
    batches: list[list[int]], others: list[int], read_first: bool
) -> None:
    salts, gone = Salts(MASTER), set[int]()
    rows = stored(salts)
    for batch in batches:
        if read_first:
            assert [salts.salt(seq) for seq in batch] == [
                None if seq in gone else reference(MASTER, seq) for seq in batch
            ]
        changed = salts.destroy(batch)
        gone.update(batch)
        for row_id in changed:
            row = salts.row(row_id)
            rows.pop(row_id, None) if row is None else rows.update({row_id: row})
        assert rows == stored(salts)  # what changed was all that changed
    near = {seq + step for seq in gone for step in (-32, -1, 1, 32)}
    asked = [seq for seq in {*others, *near, *gone} if 0 <= seq < MAX_EVENTS]
    loaded = Salts.load(rows.items())
    for seq in asked:
        expected = None if seq in gone else reference(MASTER, seq)
        assert salts.salt(seq) == loaded.salt(seq) == expected
        assert derivable(rows, seq) == (seq not in gone)
    assert stored(loaded) == rows


@given(st.lists(SEQS, min_size=1, max_size=12, unique=True))
def test_order_and_repetition_do_not_matter(seqs: list[int]) -> None:
    once, many = Salts(MASTER), Salts(MASTER)
    once.destroy(seqs)
    for seq in reversed(seqs):
        many.destroy([seq])
    assert stored(once) == stored(many)
    assert many.destroy(seqs) == set()
    assert stored(once) == stored(many)


def test_no_stored_secret_is_a_secret_that_was_destroyed() -> None:
    """The keys above a destroyed event, and its salt, are nowhere in the rows."""
    salts = Salts(MASTER)
    salts.destroy([12345])
    everything = b"".join(stored(salts).values())
    key = MASTER
    for level in reversed(range(43)):
        assert key not in everything
        both = blake2b(b"", key=key, digest_size=64, person=b"holdfast.salt.v1").digest()
        side = (12345 >> 5) >> level & 1
        key, beside = both[32 * side : 32 * side + 32], both[32 - 32 * side : 64 - 32 * side]
        assert beside in everything
    assert key not in everything
    assert reference(MASTER, 12345) not in everything
    assert reference(MASTER, 12344) in everything


def test_a_destroyed_run_costs_what_its_ends_cost() -> None:
    salts = Salts(MASTER)
    salts.destroy(range(1000, 101_000))
    assert sum(map(len, stored(salts).values())) < 2 * (44 * 34 + 31 * 16) + 20 * 20
    assert salts.salt(999) == reference(MASTER, 999)
    assert salts.salt(101_000) == reference(MASTER, 101_000)
    assert {salts.salt(seq) for seq in range(1000, 101_000)} == {None}


def test_a_whole_bucket_leaves_no_row() -> None:
    salts = Salts(MASTER)
    salts.destroy(range(32, 63))
    assert 2 * 1 + 1 in salts.rows()
    assert salts.destroy([63]) == {3}
    assert 3 not in salts.rows()
    assert salts.destroy([40]) == set()


def test_restore_undoes_what_was_not_committed() -> None:
    salts = Salts(MASTER)
    salts.destroy([100])
    before = stored(salts)
    changed = salts.destroy([101, 5000])
    assert salts.salt(101) is None
    for row_id in changed:
        salts.restore(row_id, before.get(row_id))
    assert stored(salts) == before
    assert salts.salt(100) is None
    assert salts.salt(101) == reference(MASTER, 101)


def test_destroying_forgets_what_was_derived() -> None:
    salts = Salts(MASTER)
    salts.salt(40)
    salts.destroy([41])
    held = repr(vars(salts))
    assert repr(reference(MASTER, 41)) not in held
    assert repr(MASTER) not in held


def test_damaged_rows_are_refused() -> None:
    salts = Salts(MASTER)
    salts.destroy([100])
    for row_id, row in stored(salts).items():
        for bit in range(0, 8 * len(row), 7):
            bad = (int.from_bytes(row, "big") ^ (1 << bit)).to_bytes(len(row), "big")
            with pytest.raises(AuditError):
                Salts.load([(row_id, bad)])
        for length in (0, 3, 15, len(row) - 1):
            with pytest.raises(AuditError):
                Salts.load([(row_id, row[:length])])
        with pytest.raises(AuditError, match="holds row"):
            Salts.load([(row_id + 2, row)])


def test_a_row_that_miscounts_is_refused() -> None:
    body = (5).to_bytes(8, "little") + b"\x03\x00\x00\x00" + bytes(16)
    with pytest.raises(AuditError, match="bucket 5 says 2 salts"):
        Salts.load([(11, body + crc32(body).to_bytes(4, "little"))])


def test_numbers_out_of_range_are_refused() -> None:
    salts = Salts(MASTER)
    for seq in (-1, -33, MAX_EVENTS):
        with pytest.raises(ValueError, match="has no salt"):
            salts.salt(seq)
        with pytest.raises(ValueError, match="has no salt"):
            salts.destroy([3, seq])
    assert salts.salt(3) == reference(MASTER, 3)  # nothing was destroyed
    assert salts.salt(MAX_EVENTS - 1) == reference(MASTER, MAX_EVENTS - 1)
    with pytest.raises(ValueError, match="32 bytes"):
        Salts(b"short")
    assert Salts.load([]).salt(0) is None
