"""The contract every store keeps, as a suite anyone can run on their own."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.errors import BudgetError, ClosedError, HoldfastError
from holdfast.stores.base import BlockInfo, Store

Make = Callable[[int], Store]
_BUDGET = 4 * 1024 * 1024


def check_store(make: Make, reopen: Callable[[Store], Store] | None = None) -> None:
    """Raise `AssertionError` at the first rule of `Store` that is broken.

    Parameters
    ----------
    make
        Makes an empty store with a budget in bytes.
    reopen
        Closes a store and opens it again; given for durable ones, which must then have kept
        everything.

    Examples
    --------
    >>> from holdfast.stores.ram import RamStore
    >>> check_store(RamStore)
    """
    for rule in (
        _keeps_what_it_is_given,
        _rolls_back_as_one,
        _orders_and_pages,
        _answers_keys,
        _stays_inside_its_budget,
        _refuses_what_does_not_fit,
        _counts_every_byte,
    ):
        store = make(_BUDGET)
        try:
            rule(store)
            if reopen is not None:
                before = _state(store)
                store = reopen(store)
                assert _state(store) == before, f"{rule.__name__}: reopening lost something"
            assert store.check() == [], f"{rule.__name__}: the store's own check fails"
        finally:
            store.close()
        _says_when_it_is_closed(store)


def _state(store: Store) -> object:
    return (
        store.tail(),
        [(b.first, b.last, store.block(b.first)) for b in store.blocks()],
        list(store.segments()),
        list(store.vectors()),
        store.dictionaries(),
        store.budget,
    )


def _keeps_what_it_is_given(store: Store) -> None:
    with store.transaction(8192) as tx:
        tx.put_tail(1, b"one")
        tx.put_block(2, 5, b"\0" * 5000)
        tx.put_segment(7, b"seven")
        tx.put_vectors([(2, b"v2"), (3, b"v3")])
        tx.put_dictionary(b"dict")
        tx.set_meta("name", "value")
    assert store.tail() == [(1, b"one")]
    assert [(b.first, b.last) for b in store.blocks()] == [(2, 5)]
    assert store.block(2) == b"\0" * 5000
    assert store.block(3) is None
    assert list(store.segments()) == [(7, b"seven")]
    assert list(store.vectors()) == [(2, b"v2"), (3, b"v3")]
    assert store.dictionaries() == [b"dict"]
    assert store.meta("name") == "value"
    assert store.meta("other") is None
    with store.transaction(8192) as tx:
        tx.put_block(2, 6, b"new")
        tx.delete_segment(7)
        tx.delete_vectors([2])
    (info,) = store.blocks()
    assert isinstance(info, BlockInfo)
    assert (info.last, store.block(2)) == (6, b"new"), "a block of the same start is replaced"
    assert list(store.segments()) == []
    assert list(store.vectors()) == [(3, b"v3")]


class _DeliberateError(Exception):
    pass


def _rolls_back_as_one(store: Store) -> None:
    with store.transaction(100) as tx:
        tx.put_tail(1, b"kept")
    before = _state(store)
    try:
        with store.transaction(9000) as tx:
            tx.put_tail(2, b"lost")
            tx.put_block(1, 2, b"x" * 8000)
            tx.clear_tail(1)
            tx.set_meta("name", "lost")
            raise _DeliberateError
    except _DeliberateError:
        pass
    assert _state(store) == before, "a failed transaction left something behind"
    assert store.meta("name") is None
    with store.transaction(100) as tx:
        tx.put_tail(2, b"next")
    assert store.tail(after=1) == [(2, b"next")], "a store must work on after a rollback"


def _orders_and_pages(store: Store) -> None:
    with store.transaction(256_000) as tx:
        for seq in (5, 3, 9, 1):
            tx.put_tail(seq, str(seq).encode())
            tx.put_block(seq * 10, seq * 10 + 9, b"b")
        tx.put_vectors((seq, b"v") for seq in range(2500, 0, -1))
    assert [seq for seq, _ in store.tail()] == [1, 3, 5, 9]
    assert [seq for seq, _ in store.tail(after=3)] == [5, 9]
    assert [b.first for b in store.blocks()] == [10, 30, 50, 90]
    assert [seq for seq, _ in store.vectors()] == list(range(1, 2501))
    assert [seq for seq, _ in store.vectors(after=2498)] == [2499, 2500]
    with store.transaction(0) as tx:
        tx.clear_tail(5)
    assert [seq for seq, _ in store.tail()] == [9]


def _answers_keys(store: Store) -> None:
    with store.transaction(400) as tx:
        assert tx.key(b"k1") is None
        tx.put_key(b"k1", 1, b"body", b"receipt")
        tx.put_key(b"k2", 2, b"body2", b"receipt2")
        assert tx.key(b"k1") == (b"body", b"receipt")
    with store.transaction(0) as tx:
        assert tx.key(b"k2") == (b"body2", b"receipt2")
        tx.prune_keys(before=2, most=9)
        assert tx.key(b"k1") is None
        assert tx.key(b"k2") is not None


def _stays_inside_its_budget(store: Store) -> None:
    step, first = 20_000, 1
    while store.room_for(step) >= 0:
        with store.transaction(step) as tx:
            tx.put_block(first, first, bytes(step))
        first += 1
        assert store.usage().disk <= store.budget, "the budget was passed"
    assert first * step > store.budget // 2, "less than half of the budget could be used"
    before = store.room_for(0)
    with store.transaction(0) as tx:
        tx.delete_block(1)
    assert store.room_for(0) >= before + step // 2, "deleting gave nothing back"


def _refuses_what_does_not_fit(store: Store) -> None:
    for first in range(10):
        with store.transaction(30_000) as tx:
            tx.put_block(first, first, bytes(30_000))
    before = _state(store)
    try:
        store.resize(1)
    except BudgetError:
        pass
    else:
        raise AssertionError("a budget of 1 byte was accepted")
    try:
        with store.transaction(0) as tx:
            for first in range(100, 100 + _BUDGET // 30_000 + 2):
                tx.put_block(first, first, bytes(30_000))
    except HoldfastError:
        pass
    else:
        raise AssertionError("more than the budget was written")
    assert _state(store) == before, "a refused write left something behind"
    store.resize(2 * _BUDGET)
    assert store.budget == 2 * _BUDGET


def _counts_every_byte(store: Store) -> None:
    with store.transaction(30_000) as tx:
        tx.put_block(1, 1, bytes(10_000))
        tx.put_segment(1, bytes(5000))
        tx.put_vectors([(1, bytes(300))])
    usage = store.usage()
    assert usage.log >= 10_000
    assert usage.index >= 5000
    assert usage.vectors >= 300
    assert usage.disk >= usage.log + usage.index + usage.vectors
    assert usage.disk == usage.database + usage.wal + usage.shm
    assert store.capacity() <= store.budget
    assert store.largest_event() <= store.budget


def _says_when_it_is_closed(store: Store) -> None:
    try:
        with store.transaction(0):
            raise AssertionError("a closed store began a transaction")
    except ClosedError:
        pass
    store.close()  # closing twice is fine
