"""A folder of memories under threads: bounded, never closed in use, no way out of the folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from holdfast.errors import (
    ArgumentsError,
    ClosedError,
    FileVanishedError,
    NotFoundError,
    StoreBusyError,
    UnknownNameError,
)
from holdfast.memory import Memory
from holdfast.service.root import OneFile, Root

FAST = {"durability": "off"}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    made = Root(tmp_path, most_open=2, options=FAST)
    for name in "abcdef":
        assert made.make(name, "1 MiB")
    yield made
    made.close()


def test_at_most_so_many_are_open_and_the_idlest_is_closed(root: Root) -> None:
    held = {}
    for name in "abac":
        with root.hold(name) as memory:
            held[name] = memory
    assert [name for name, _ in root.opened()] == ["a", "c"]
    with pytest.raises(ClosedError):
        held["b"].observe("too late")
    assert held["a"].observe("in time").seq == 1


def test_one_in_use_is_never_closed_and_another_waits_for_it(root: Root) -> None:
    with root.hold("a") as a, root.hold("b") as b:
        began = time.monotonic()
        with pytest.raises(StoreBusyError, match="all 2 memories"), root.hold("c"):
            pass
        assert time.monotonic() - began >= 0.9
        assert (a.observe("one").seq, b.observe("one").seq) == (1, 1)
    with root.hold("c") as c:
        assert c.observe("one").seq == 1


def test_a_place_that_is_given_back_is_taken_at_once(root: Root) -> None:
    with ThreadPoolExecutor(1) as pool, root.hold("a"):
        with root.hold("b"):
            waiting = pool.submit(lambda: root.make("c", "1 MiB"))
            time.sleep(0.1)
            assert not waiting.done()
        assert waiting.result(timeout=5) is False


def test_many_threads_over_more_memories_than_may_be_open_lose_nothing(root: Root) -> None:
    most, counts = [0], dict.fromkeys("abcdef", 0)
    lock = threading.Lock()

    def work(seed: int) -> None:
        rng = Random(seed)
        for _ in range(25):
            name = rng.choice("abcdef")
            try:
                with root.hold(name) as memory:
                    memory.observe(f"by {seed}")
            except StoreBusyError:
                continue
            with lock:
                counts[name] += 1
                most[0] = max(most[0], len(root._open))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert most[0] <= 2
    for name, number in counts.items():
        with root.hold(name) as memory:
            assert len(memory) == number
    assert sum(counts.values()) > 100


def test_two_who_open_the_same_name_get_the_same_memory(root: Root) -> None:
    gate = threading.Barrier(4)

    def look(_: int) -> Memory:
        gate.wait()
        with root.hold("a") as memory:
            gate.wait()
            return memory

    with ThreadPoolExecutor(4) as pool:
        assert len(set(map(id, pool.map(look, range(4))))) == 1


def test_making_and_opening_the_same_name_at_once_works_or_says_why(tmp_path: Path) -> None:
    root = Root(tmp_path, options=FAST)
    gate = threading.Barrier(8)

    def make(n: int) -> str:
        gate.wait()
        try:
            if n % 2:
                return str(root.make("new", "1 MiB"))
            with root.hold("new") as memory:
                return str(memory.observe("here").seq > 0)
        except NotFoundError:
            return "none yet"

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(make, range(8)))
        assert {"True", "False", "none yet"} >= set(said)
        assert "True" in said[1::2] or "False" in said[1::2]
        assert root.names() == ["new"]
        root.close()
        for path in tmp_path.iterdir():
            path.unlink()
        root = Root(tmp_path, options=FAST)
    root.close()


def test_closing_waits_for_those_in_use_and_refuses_who_comes_then(root: Root) -> None:
    entered, go = threading.Event(), threading.Event()
    seqs = []

    def use() -> None:
        with root.hold("a") as memory:
            entered.set()
            go.wait(5)
            seqs.append(memory.observe("still open").seq)

    user, closer = threading.Thread(target=use), threading.Thread(target=root.close)
    user.start()
    entered.wait(5)
    closer.start()
    time.sleep(0.05)
    assert closer.is_alive()
    for name in ("a", "b"):  # one that is open, one that is not
        with pytest.raises(ClosedError), root.hold(name):
            pass
    go.set()
    for thread in (user, closer):
        thread.join(5)
        assert not thread.is_alive()
    assert seqs == [1]


def test_who_waits_for_a_place_when_it_closes_is_told_and_closes_nothing(root: Root) -> None:
    said = []

    def wait() -> None:
        with pytest.raises(ClosedError), root.hold("c"):
            pass
        said.append("closed")

    with root.hold("a") as a, root.hold("b"):
        waiter, closer = threading.Thread(target=wait), threading.Thread(target=root.close)
        waiter.start()
        time.sleep(0.05)
        closer.start()
        waiter.join(0.5)
        assert a.observe("still open").seq == 1
    for thread in (waiter, closer):
        thread.join(5)
    assert said == ["closed"]
    with pytest.raises(ClosedError):
        a.observe("closed now")


def test_what_metrics_look_at_stays_open_meanwhile(root: Root) -> None:
    with root.hold("a"):
        pass
    for _, memory in root.opened():
        with root.hold("b"), root.hold("a"):
            pass
        with pytest.raises(StoreBusyError), root.hold("b"), root.hold("c"):
            pass
        assert memory.usage().budget == 1 << 20


def test_one_that_cannot_be_opened_takes_no_place(root: Root, tmp_path: Path) -> None:
    (tmp_path / "bad.holdfast").write_bytes(b"no database" * 1000)
    for _ in range(5):
        with pytest.raises(OSError, match="bad"), root.hold("bad"):
            pass
        with pytest.raises(NotFoundError), root.hold("none"):
            pass
    assert list(root.opened()) == []


@pytest.mark.parametrize(
    "name",
    ["../a", "..", ".", "", "a/b", "/etc/passwd", "a\0", "a\n", "-a", ".a", "ä", "a" * 65, "a b",
     "a%2Fb", "..\\a", "٣"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(root: Root, name: str) -> None:
    for ask in (root.path, lambda n: root.make(n, "1 MiB"), lambda n: root.hold(n).__enter__()):
        with pytest.raises(ArgumentsError):
            ask(name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="make it first"):
        Root(tmp_path / "none")


def test_one_file_has_one_name_and_makes_no_other(tmp_path: Path) -> None:
    one = OneFile(Memory.open(tmp_path / "x.holdfast", "1 MiB", **FAST), "ana")
    assert one.names() == ["ana"]
    with one.hold("ana") as memory:
        memory.observe("here")
    with pytest.raises(NotFoundError, match="only ana"), one.hold("bo"):
        pass
    with pytest.raises(PermissionError):
        one.make("bo", "1 MiB")
    one.close()


def test_a_deleted_memory_is_gone_and_another_can_take_its_place(tmp_path: Path) -> None:
    root = Root(tmp_path)
    root.make("ana", "1 MiB")
    with root.hold("ana") as memory:
        memory.observe("Before.")
    (tmp_path / "ana.holdfast").unlink()
    with pytest.raises(NotFoundError, match="make it first"), root.hold("ana"):
        pass
    assert root.make("ana", "1 MiB")
    with pytest.raises(FileVanishedError), root.hold("ana") as memory:
        memory.observe("Into the file that is gone.")
    with root.hold("ana") as memory:
        assert memory.observe("Into the new one.").seq == 1
    root.close()


def test_a_memory_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    root = Root(tmp_path, options={"embedder": "nonesuch"})
    with pytest.raises(UnknownNameError):
        root.make("ana", "1 MiB")
    assert root.names() == []
    (tmp_path / "über.holdfast").write_bytes(b"")
    assert root.unnamed() == ["über"]
