"""The one door: grouping, order, failure, keys."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from holdfast import Event, Memory
from holdfast.errors import BudgetError, ClosedError, EventTooLargeError, IdempotencyError
from holdfast.write import admit, derive


@pytest.fixture
def memory(tmp_path: Path):  # type: ignore[no-untyped-def]
    with Memory.open(tmp_path / "m.holdfast", "4 MiB", clock=lambda: 1_700_000_000.0) as opened:
        yield opened


def test_concurrent_callers_share_synced_writes_and_lose_nothing(memory: Memory) -> None:
    transactions = 0
    inner = memory._store.transaction

    def counted(need: int = 0):  # type: ignore[no-untyped-def]
        nonlocal transactions
        transactions += 1
        return inner(need)

    memory._store.transaction = counted  # type: ignore[method-assign]
    seen: dict[int, str] = {}
    lock = threading.Lock()
    gate = threading.Barrier(16)

    def work(name: int) -> None:
        gate.wait()
        for i in range(40):
            text = f"caller {name} says {i}"
            receipt = memory.observe(text)
            with lock:
                assert receipt.seq not in seen
                seen[receipt.seq] = text

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 641))
    assert all(memory.get(seq).event.content == text for seq, text in seen.items())
    assert transactions < 640, "no two callers ever shared a transaction"


def test_one_key_fifty_times_at_once_is_one_event(memory: Memory) -> None:
    receipts = []
    gate = threading.Barrier(50)

    def work() -> None:
        gate.wait()
        receipts.append(memory.observe("the same", key="order-7"))

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 50
    assert len(set(receipts)) == 1
    assert len(memory) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"content": "another body"},
        {"content": b"a body"},
        {"content": "a body", "speaker": "Bo"},
        {"content": "a body", "metadata": {"a": 1}},
        {"content": "a body", "at": 5.0},
    ],
)
def test_a_key_with_another_body_is_a_conflict(memory: Memory, other: dict[str, object]) -> None:
    first = memory.observe("a body", key="k")
    with pytest.raises(IdempotencyError, match="another body"):
        memory.observe(**other, key="k")  # type: ignore[arg-type]
    assert memory.observe("a body", key="k") == first
    assert len(memory) == 1


def test_a_conflict_does_not_stop_its_neighbours(memory: Memory) -> None:
    memory.observe("a body", key="k")
    events = [Event("before"), Event("other body", key="k"), Event("after")]
    changes = [derive(event, admit(event, 1000), len) for event in events]
    with pytest.raises(IdempotencyError):
        memory._committer.submit(changes)
    assert [record.event.content for record in memory.log()] == ["a body", "before", "after"]


def test_keys_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "1 MiB") as memory:
        first = memory.observe("a body", key="k")
    with Memory.open(path) as memory:
        assert memory.observe("a body", key="k") == first


def test_a_failed_write_leaves_the_memory_as_it_was(memory: Memory) -> None:
    memory.observe("kept")
    before = list(memory.log())
    inner = memory._store.put_tail

    def broken(seq: int, data: bytes) -> None:
        raise BudgetError("planted")

    memory._store.put_tail = broken  # type: ignore[method-assign]
    with pytest.raises(BudgetError, match="planted"):
        memory.observe("lost")
    memory._store.put_tail = inner  # type: ignore[method-assign]
    assert list(memory.log()) == before
    assert memory.observe("next").seq == 2
    assert memory.verify().ok


def test_the_limit_on_one_event_is_named_and_reachable(memory: Memory) -> None:
    limit = memory._store.largest_event()
    with pytest.raises(EventTooLargeError, match=str(limit)):
        memory.observe(bytes(limit + 1))
    data = bytes(range(256)) * (limit // 256)
    receipt = memory.observe(data)
    assert memory.get(receipt.seq).event.content == data
    assert memory.usage().disk <= memory.usage().budget


def test_pinned_events_that_fill_the_budget_are_refused_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    import random

    rng = random.Random(5)
    with Memory.open(tmp_path / "m.holdfast", "640 KiB") as memory:
        stored = 0

        def fill() -> None:
            nonlocal stored
            for _ in range(200):
                memory.observe(rng.randbytes(9000), pinned=True)
                stored += 1

        with pytest.raises(BudgetError, match="unpinned"):
            fill()
        assert stored > 10
        assert len(memory) == stored
        assert memory.verify().ok
        memory.resize("2 MiB")
        for _ in range(50):
            memory.observe(rng.randbytes(9000), pinned=True)
        with pytest.raises(BudgetError):
            memory.resize("640 KiB")
        assert memory.usage().budget == 2 * 1024 * 1024
        assert len(memory) == stored + 50


def test_a_caller_that_is_interrupted_holds_up_nobody(memory: Memory) -> None:
    inner, held = memory._store.transaction, threading.Event()

    def slow(need: int = 0):  # type: ignore[no-untyped-def]
        held.wait()
        return inner(need)

    memory._store.transaction = slow  # type: ignore[method-assign]
    leader = threading.Thread(target=memory.observe, args=("first",))
    leader.start()
    while not memory._committer.writing.locked():
        time.sleep(0.001)
    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        memory.observe("interrupted")
    held.set()
    leader.join()
    assert memory.observe("next").seq == 2


def test_a_closed_memory_says_so(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "m.holdfast", "1 MiB")
    memory.close()
    memory.close()
    for use in (
        lambda: memory.observe("x"),
        lambda: memory.recall("x"),
        lambda: memory.get(1),
        lambda: memory.usage(),
        lambda: list(memory.log()),
    ):
        with pytest.raises(ClosedError):
            use()


def test_two_memories_on_one_file_see_each_other(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "1 MiB") as one, Memory.open(path) as two:
        assert one.observe("from one").seq == 1
        assert two.get(1).event.content == "from one"
        assert two.observe("from two").seq == 2
        assert [item.text for item in one.recall("two").items] == ["from one", "from two"]
        for i in range(400):
            (one if i % 3 else two).observe(f"event {i} " + "padding " * 30)
        assert len(one) == len(two) == 402
        assert one.usage().events == two.usage().events
        one.resize("2 MiB")
        two.observe("after the resize")
        assert two.usage().budget == 2 * 1024 * 1024
        assert one.verify().ok
        assert two.verify().ok
