"""The front door: opening, times, scopes, the log, and what a closed memory says."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from holdfast import Event, Memory, Tier
from holdfast.errors import (
    BudgetError,
    ClosedError,
    FileVanishedError,
    InvalidEventError,
    NotFoundError,
)
from holdfast.models.scripted import ScriptedEmbedder
from holdfast.retention.oldest import Oldest

from worlds import T0, large_events, opened, ticking

MARCH = 1_772_353_800.0  # 2026-03-01 08:30 UTC


@pytest.mark.parametrize(
    "when",
    [
        MARCH,
        int(MARCH),
        datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
        datetime(2026, 3, 1, 8, 30),  # naive: UTC
        datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=1))),
        "2026-03-01T08:30:00Z",
        "2026-03-01T09:30:00+01:00",
        "2026-03-01 08:30",
    ],
    ids=str,
)
def test_times_in_any_form_are_one_moment(when: Any) -> None:
    with opened() as memory:
        seq = memory.observe("The contract was signed.", at=when).seq
        assert memory.get(seq).event.at == MARCH
        assert [hit.seq for hit in memory.rank("contract", since=when)] == [seq]
        assert memory.rank("contract", until=when) == []
        assert memory.recall("contract", since=when).items
        assert "outside" in memory.why_not(seq, "contract", until=when)


@pytest.mark.parametrize("when", ["yesterday", "", "2026-13-01", "12:30"])
def test_a_text_that_is_no_time_says_how_to_write_one(when: str) -> None:
    with opened() as memory:
        for use in (
            lambda: memory.observe("x", at=when),
            lambda: memory.rank("x", since=when),
            lambda: memory.recall("x", until=when),
        ):
            with pytest.raises(InvalidEventError, match="is not a time; write it like 2026"):
                use()
        assert len(memory) == 0


def test_without_a_time_an_event_happened_when_it_was_recorded() -> None:
    with opened(clock=lambda: T0) as memory:
        record = memory.get(memory.observe("x").seq)
        assert record.event.at == record.recorded_at == T0


def test_scopes_nest_by_path_and_not_by_prefix() -> None:
    with opened() as memory:
        seqs = {s: memory.observe("umbrella", scope=s).seq for s in ("a", "a/b", "ab", "", "/c/")}

        def seen(scope: str) -> set[int]:
            found = {record.seq for record in memory.log(scope=scope)}
            assert {hit.seq for hit in memory.rank("umbrella", scope=scope)} == found
            return found

        assert seen("a") == seen("/a") == seen("a/") == {seqs["a"], seqs["a/b"]}
        assert seen("a/b") == {seqs["a/b"]}
        assert seen("") == set(seqs.values())
        assert seen("c") == {seqs["/c/"]}, "keywords are normalised"
        assert seen("nowhere") == set()


def test_an_events_own_scope_is_normalised_too() -> None:
    with opened() as memory:
        memory.observe(Event("umbrella", scope="/a/"))
        assert [hit.seq for hit in memory.rank("umbrella", scope="a")] == [1]


def test_the_log_goes_on_from_anywhere() -> None:
    with opened() as memory:
        memory.observe_many([Event(f"event {i} " * 20, scope=f"s{i % 2}") for i in range(900)])
        seqs = [record.seq for record in memory.log()]
        assert seqs == list(range(1, 901))
        for after in (0, 1, 399, 640, 899, 900, 5000):
            assert [record.seq for record in memory.log(after)] == seqs[after:]
        assert [r.seq for r in memory.log(100, "s0")] == [s for s in seqs[100:] if s % 2]


def test_what_is_not_there_is_named() -> None:
    with opened() as memory:
        memory.observe("x")
        for seq in (0, -1, 2, 10**30):
            with pytest.raises(NotFoundError, match=f"event {seq} is not in this memory"):
                memory.get(seq)


def test_episodes_are_runs_in_one_scope() -> None:
    with opened() as memory:
        for i in range(12):
            memory.observe(f"kelp {i}", scope="ab"[i % 2], at=T0 + 10 * i + 100_000 * (i // 6))
        episodes = list(memory.episodes())
        assert sum(episode.events for episode in episodes) == 12
        assert memory.usage().episodes == len(episodes) >= 4
        assert [e.first for e in episodes] == sorted(e.first for e in episodes)
        by_id = {episode.id: episode for episode in episodes}
        for record in memory.log():
            episode = by_id[record.episode]
            assert episode.scope == record.event.scope
            assert episode.first <= record.seq <= episode.last
            assert record.event.at is not None
            assert episode.started_at <= record.event.at <= episode.ended_at


def test_a_half_read_list_of_episodes_stops_no_writer() -> None:
    with opened() as memory:
        memory.observe("x", scope="a")
        memory.observe("y", scope="b")
        half = memory.episodes()
        next(half)
        writer = threading.Thread(target=memory.observe, args=("z",))
        writer.start()
        writer.join(0.5)
        blocked = writer.is_alive()
        half.close()  # type: ignore[attr-defined]
        writer.join()
        assert not blocked


def test_opening_asks_for_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with pytest.raises(NotFoundError):
        Memory.open(path)
    with pytest.raises(BudgetError):
        Memory.open(path, "10 KiB")
    with pytest.raises(BudgetError, match="is not a size"):
        Memory.open(path, "much")
    with pytest.raises(LookupError, match="oldest"):
        Memory.open(path, "1 MiB", retention="oldset")
    with pytest.raises(LookupError, match="scripted"):
        Memory.open(path, "1 MiB", embedder="scriptd")
    with Memory.open(path, "1 MiB", retention=Oldest(), embedder=ScriptedEmbedder(8)) as memory:
        memory.observe("x")
        assert memory.usage().budget == 2**20
    with Memory.open(path, "2 MiB") as memory:
        assert memory.usage().budget == 2**21
        assert memory.get(1).event.content == "x"


def test_opening_again_and_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"

    def seen(memory: Memory) -> tuple[Any, ...]:
        usage = memory.usage()
        return (
            list(memory.log()), list(memory.episodes()), usage.events, usage.log, len(memory),
            [(hit.seq, round(hit.score, 9)) for hit in memory.rank("kelp harbour, said Ana")],
            memory.recall("kelp orchard", tokens=800).text,
        )  # fmt: skip

    with Memory.open(path, "640 KiB", clock=ticking()) as memory:
        memory.observe_many(large_events(110))
        for i in range(40):
            memory.observe(f"short {i} kelp", scope=f"s{i % 3}", pinned=i == 7)
        first = seen(memory)
    for _ in range(2):
        with Memory.open(path, clock=ticking()) as memory:
            assert seen(memory) == first
            found = memory.verify()
            assert found.ok, found.problems


CLOSED: dict[str, Callable[[Memory], Any]] = {
    "observe": lambda m: m.observe("x"),
    "observe_many": lambda m: m.observe_many(["x"]),
    "recall": lambda m: m.recall("x"),
    "rank": lambda m: m.rank("x"),
    "why_not": lambda m: m.why_not(1, "x"),
    "get": lambda m: m.get(1),
    "log": lambda m: list(m.log()),
    "episodes": lambda m: list(m.episodes()),
    "len": len,
    "usage": lambda m: m.usage(),
    "verify": lambda m: m.verify(),
    "import_": lambda m: m.import_(['{"content": "x"}']),
}


@pytest.mark.parametrize("verb", CLOSED)
@pytest.mark.parametrize("embedder", [None, "scripted"])
def test_a_closed_memory_refuses_every_verb(tmp_path: Path, verb: str, embedder: Any) -> None:
    memory = Memory.open(tmp_path / "m.holdfast", "2 MiB", embedder=embedder)
    memory.observe("x")
    memory.close()
    memory.close()
    with pytest.raises(ClosedError):
        CLOSED[verb](memory)


def test_a_closed_memory_refuses_to_be_resized() -> None:
    with opened() as memory:
        memory.close()
        with pytest.raises(ClosedError):
            memory.resize("3 MiB")


def test_pinned_events_stay_whole() -> None:
    past = large_events(220)
    with opened("640 KiB") as memory:
        pinned = [memory.observe(f"The safe opens with {i}.", pinned=True) for i in range(9)]
        memory.observe_many(past)
        for i, receipt in enumerate(pinned):
            record = memory.get(receipt.seq)
            assert record.tier == Tier.VERBATIM
            assert record.event.content == f"The safe opens with {i}."
        assert memory.usage().events["verbatim"] < len(past)


def test_usage_adds_up() -> None:
    with opened("1 MiB", embedder=ScriptedEmbedder(16)) as memory:
        memory.observe_many(large_events(120))
        assert memory.settle(20)
        usage = memory.usage()
        assert usage.disk == usage.database + usage.wal + usage.shm <= usage.budget == 2**20
        assert usage.log + usage.index + usage.vectors + usage.ledger + usage.free <= usage.budget
        assert sum(usage.events.values()) == 120
        assert usage.events["verbatim"] + usage.events["gist"] + usage.events["trace"] == len(
            memory
        )


def test_resize_up_and_down() -> None:
    with opened("3 MiB") as memory:
        memory.observe_many(large_events(240))
        before = len(memory)
        memory.resize("4 MiB")
        assert (len(memory), memory.usage().budget) == (before, 2**22)
        memory.resize("640 KiB")
        assert memory.usage().budget == 640 * 1024
        assert memory.usage().disk <= 640 * 1024
        assert memory.usage().events["verbatim"] < before
        assert memory.verify().ok


def test_a_budget_under_the_smallest_is_refused_at_once() -> None:
    with opened("1 MiB") as memory:
        memory.observe_many(large_events(40))
        before = list(memory.log())
        with pytest.raises(BudgetError):
            memory.resize("1 KiB")
        assert memory.usage().budget == 2**20
        assert list(memory.log()) == before


@pytest.mark.parametrize("when", [date(2026, 3, 1)])
def test_a_date_is_no_moment(when: Any) -> None:
    """A day has no one moment and no zone: it is refused rather than guessed at."""
    with opened() as memory, pytest.raises((AttributeError, InvalidEventError)):
        memory.observe("x", at=when)


def test_a_smaller_budget_takes_from_the_journal_what_is_over_its_share(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m.holdfast", "8 MiB", durability="off") as memory:
        rng = random.Random(1)
        for n in range(1000):
            memory.believe(f"s{n}", "note", rng.randbytes(300).hex())
        memory.observe_many(["the kiln is red"] * 100)
        state = memory.usage().state
        memory.resize("1 MiB")
        assert memory.usage().state < state
        assert memory.recall("kiln").items
        assert memory.verify().ok


@pytest.mark.parametrize("by", ["deleted", "replaced by another file"])
def test_a_file_that_vanished_takes_no_more_writes(tmp_path: Path, by: str) -> None:
    path = tmp_path / "a.holdfast"
    with Memory.open(path, budget="1 MiB") as memory:
        memory.observe("The key is under the pot.")
        path.unlink()
        if by != "deleted":
            path.write_bytes(b"")
        for ask in (memory.observe, memory.recall):
            with pytest.raises(FileVanishedError, match=f"was {by} while it was open here"):
                ask("Where is the key?")  # type: ignore[operator]
