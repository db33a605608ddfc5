"""The ledger: every loss counted once and for ever, bounded, told by scope, exact when new."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory, Scope, Tier
from holdfast.checks.faults import CrashVFS, run_until_killed
from holdfast.errors import BudgetError, CorruptStoreError
from holdfast.ledger.entries import Totals, add, coarser, decode, encode, named
from holdfast.ledger.records import ACTIONS, Loss
from holdfast.retention.base import Policy
from holdfast.retention.view import Plan, View

from worlds import T0, TINY, large_events, opened, ticking

scopes = st.dictionaries(st.text(max_size=30), st.integers(1, 99), max_size=6)


@st.composite
def losses(draw: st.DrawFn) -> Loss:
    first, last = sorted(draw(st.tuples(st.integers(1, 9999), st.integers(1, 9999))))
    oldest, newest = sorted(draw(st.tuples(st.floats(0, 2e9), st.floats(0, 2e9))))
    few, rest = named(draw(scopes))
    rest += draw(st.integers(0, 5))
    n = sum(few.values()) + rest
    pair = st.tuples(st.floats(-9, 9), st.floats(-9, 9)).map(sorted).map(tuple)
    return Loss(
        draw(st.sampled_from(ACTIONS)), draw(st.sampled_from(["oldest", "ladder"])), T0, T0,
        draw(st.integers(1, 99_999)), 1, n, draw(st.integers(-50, 10**6)), first, last, oldest,
        newest, few, rest, draw(st.none() | pair),
    )  # fmt: skip


def counts(found: Sequence[Loss]) -> Counter[str]:
    """What adding up must not change."""
    sums: Counter[str] = Counter()
    for loss in found:
        for name in ("times", "events", "nbytes"):
            sums[f"{loss.action} {loss.policy} {name}"] += getattr(loss, name)
    return sums


@given(st.lists(losses(), max_size=20), st.integers(1, 20))
def test_adding_up_changes_no_sum_and_widens_no_more_than_it_must(
    given: list[Loss], most: int
) -> None:
    found = coarser(given, lambda some: len(some) <= most)
    kinds = {(loss.action, loss.policy) for loss in given}
    assert len(found) <= max(most, len(kinds))
    assert counts(found) == counts(given)
    for loss in found:
        assert sum(loss.scopes.values()) + loss.elsewhere == loss.events
        parts = [g for g in given if (g.action, g.policy) == (loss.action, loss.policy)]
        assert loss.first >= min(part.first for part in parts)
        assert loss.last <= max(part.last for part in parts)
    if len(given) <= most:
        assert found == given


@given(st.lists(losses(), max_size=6), st.lists(st.integers(0, 10**12), min_size=3, max_size=3))
def test_a_page_comes_back(given: list[Loss], sums: list[int]) -> None:
    events = Counter({(0, 3): 5, (1, 2): 2})
    totals = Totals(events, Counter({(0, 3): -4, (1, 2): 900}), *sums)
    assert decode(encode(given, totals), 1) == (given, totals)


@given(st.lists(losses(), min_size=2, max_size=2))
def test_a_sum_spans_its_parts(pair: list[Loss]) -> None:
    one, other = pair[0], replace(pair[1], action=pair[0].action, policy=pair[0].policy)
    both = add(one, other)
    assert (both.first, both.last) == (min(one.first, other.first), max(one.last, other.last))
    assert (both.oldest, both.newest) == (
        min(one.oldest, other.oldest), max(one.newest, other.newest)
    )  # fmt: skip
    assert (both.at, both.until, both.write) == (one.at, other.until, other.write)
    if one.scores and other.scores:
        assert both.scores == (
            min(one.scores[0], other.scores[0]), max(one.scores[1], other.scores[1])
        )  # fmt: skip


# ---- in a memory -------------------------------------------------------------------------------


def balanced(memory: Memory, recorded: int) -> None:
    """Everything that was recorded is kept, or counted as gone; the entries add up to the sums."""
    totals, usage = memory.loss_totals(), memory.usage().events
    kept = [record.tier for record in memory.log()]
    assert len(kept) + totals.evicted + totals.erased + totals.withdrawn == recorded
    assert (usage["evicted"], usage["erased"]) == (totals.evicted, totals.erased)
    into: Counter[Tier] = Counter()
    nbytes: Counter[Tier] = Counter()
    level: Counter[Tier] = Counter()
    for move in totals.moves:
        assert move.before < move.after
        into[move.after] += move.events
        nbytes[move.after] += move.nbytes
        level[move.before] -= move.events
        level[move.after] += move.events
    assert into[Tier.EVICTED] == totals.evicted
    if not totals.erased and not totals.withdrawn:
        for tier in (Tier.GIST, Tier.TRACE):
            assert level[tier] == kept.count(tier)
    told = Counter[str]()
    freed = Counter[str]()
    for loss in memory.ledger():
        told[loss.action] += loss.events
        freed[loss.action] += loss.nbytes
        assert sum(loss.scopes.values()) + loss.elsewhere == loss.events
        assert loss.first <= loss.last < loss.write
        assert loss.oldest <= loss.newest
        assert loss.at <= loss.until
    assert told["gist"] == into[Tier.GIST]
    assert told["trace"] == into[Tier.TRACE]
    assert told["merged"] == totals.merged
    assert told["merged"] + told["evicted"] == totals.evicted
    assert freed["evicted"] + freed["merged"] == nbytes[Tier.EVICTED]
    size = sum(len(row) for _, row in memory._store.cells("ledger"))
    assert size <= max(8192, memory._store.budget // 128)


def small(n: int, seed: int = 1) -> list[Event]:
    rng = random.Random(seed)
    return [
        Event(rng.randbytes(900), scope=f"user/{rng.choice('abcdefgh')}", at=T0 + i)
        for i in range(n)
    ]


@pytest.mark.parametrize("policy", ["oldest", "ladder", "random", "demand"])
def test_everything_is_counted_once(tmp_path: Path, policy: str) -> None:
    path, past = tmp_path / "m.holdfast", large_events(150)
    demoted = evicted = 0
    for start in range(0, 150, 50):
        with Memory.open(path, TINY, durability="off", retention=policy) as memory:
            done = memory.observe_many(past[start : start + 40])
            demoted, evicted = demoted + done.demoted, evicted + done.evicted
            for event in past[start + 40 : start + 50]:
                receipt = memory.observe(event)
                demoted, evicted = demoted + receipt.demoted, evicted + receipt.evicted
            balanced(memory, start + 50)
    with Memory.open(path, durability="off", retention=policy) as memory:
        balanced(memory, 150)
        totals = memory.loss_totals()
        assert totals.evicted == evicted
        assert sum(m.events for m in totals.moves if m.after != Tier.EVICTED) == demoted
        assert {loss.policy for loss in memory.ledger()} == {policy}
        assert memory.verify().ok


def test_the_newest_are_exact_and_the_old_are_added_up() -> None:
    past = small(6000)
    with opened(TINY, retention="oldest") as memory:
        before = 0
        for event in past[:1500]:
            memory.observe(event)
        for event in past[1500:1600]:
            receipt = memory.observe(event)
            if receipt.evicted:
                newest = memory.ledger()[-1]
                assert newest.times == 1
                assert newest.write == receipt.seq
                assert newest.events == memory.loss_totals().evicted - before or before == 0
            before = memory.loss_totals().evicted
        memory.observe_many(past[1600:])
        found = memory.ledger()
        balanced(memory, 6000)
        assert found[-1].times == 1
        assert found[0].times > 1
        ages = [sum(loss.times for loss in found[i:]) for i in range(len(found))]
        assert all(loss.times <= max(2, age) for loss, age in zip(found, ages, strict=True))
        assert [loss.until for loss in found] == sorted(loss.until for loss in found)


def test_two_memories_with_one_past_have_one_ledger() -> None:
    past = large_events(110)
    with opened(TINY, clock=ticking()) as one, opened(TINY, clock=ticking()) as two:
        for memory in (one, two):
            memory.observe_many(past)
        assert one.ledger() == two.ledger()
        assert one.loss_totals() == two.loss_totals()
        for shelf in ("ledger", "filter"):
            assert list(one._store.cells(shelf)) == list(two._store.cells(shelf))  # type: ignore[arg-type]


def test_losses_are_found_by_scope_and_by_what_came_after() -> None:
    with opened(TINY, retention="oldest") as memory:
        memory.observe_many(Event(bytes(9000), scope="team/a") for _ in range(5))
        memory.observe_many(large_events(120))
        memory.observe_many(small(800))
        every = memory.ledger()
        assert memory.ledger(scope="") == every
        assert memory.ledger(after=every[-1].write) == []
        assert memory.ledger(after=every[-2].write)[-1] == every[-1]
        for scope in ("user", "user/a", ["user/b", "user/c"]):
            names = [scope] if isinstance(scope, str) else scope
            for loss in memory.ledger(scope=scope):
                inside = [n for n in loss.scopes if any(Scope(s).covers(n) for s in names)]
                assert inside or loss.elsewhere
            left_out = [loss for loss in every if loss not in memory.ledger(scope=scope)]
            assert not any(Scope(s).covers(n) for s in names for x in left_out for n in x.scopes)


class MergesOldest(Policy):
    """Merges the older half of what may go into the newest entry."""

    def plan(self, view: View, limit: float) -> Plan:
        import numpy as np

        tiers, into = view.tier.copy(), np.full(len(view), -1)
        spent = float(view.spent())
        for i in range(len(view) - 1):
            if spent <= limit:
                break
            spent -= float(view.costs()[i])
            tiers[i], into[i] = Tier.EVICTED, len(view) - 1
        return Plan(tiers, into, np.arange(len(view), dtype=float))


def test_merged_events_are_told_apart_and_their_mass_goes_on() -> None:
    past = small(1500)
    with opened(TINY, retention=MergesOldest()) as memory:
        memory.observe_many(past)
        balanced(memory, 1500)
        totals = memory.loss_totals()
        assert totals.merged > 100
        loss = next(loss for loss in memory.ledger() if loss.action == "merged")
        assert loss.policy == "MergesOldest"
        assert loss.scores is not None
        seqs = memory._mirror.columns.seq[memory._mirror.columns.alive]
        mass = memory._mirror.uses.columns(seqs).mass
        assert mass.max() > 10
        assert mass.sum() <= 1500


def test_what_fails_is_not_counted() -> None:
    class Fails(Policy):
        """Gives up one event at a time, until it has none to give."""

        left = 3

        def plan(self, view: View, limit: float) -> Plan:
            del limit
            tiers = view.tier.copy()
            if self.left:
                self.left -= 1
                tiers[0] = Tier.EVICTED
            return Plan(tiers)

    policy = Fails()
    with opened(TINY, retention=policy) as memory:
        recorded = 0
        refused = 0
        for event in small(500):
            try:
                memory.observe(event)
                recorded += 1
            except BudgetError:
                refused += 1
                policy.left = 1 if refused < 40 else 0
        assert refused > 10
        balanced(memory, recorded)
        words = memory._mirror.ledger.words
        assert words.events == memory._mirror.ledger.totals.lowered
        assert memory.verify().ok


def test_erased_and_withdrawn_are_not_evicted(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, TINY, durability="off", retention="oldest") as memory:
        memory.observe_many(small(200))
        memory.snapshot("then")
        at = memory._mirror.next_seq - 1
        memory.observe_many(small(500))
        kept = [r.seq for r in memory.log() if r.event.kind != "state"]
        receipt = memory.erase(event=kept[-3:])
        assert receipt.events == 3
        totals = memory.loss_totals()
        assert (totals.erased, totals.withdrawn) == (3, 0)
        assert totals.evicted > 0
        balanced(memory, memory._mirror.next_seq - 1)
        memory.erase(event=kept[-3:])
        assert memory.loss_totals().erased == 3, "they were gone"
        memory.rollback("then")
        totals = memory.loss_totals()
        recorded = memory._mirror.next_seq - 1
        assert totals.erased == 0, "what was erased since is withdrawn"
        assert totals.withdrawn > 500
        balanced(memory, recorded)
        assert memory.ledger() == [] or memory.ledger()[-1].last <= at
    with Memory.open(path, durability="off", retention="oldest") as memory:
        assert memory.loss_totals() == totals


def test_a_file_from_before_the_ledger_says_evicted_of_all_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, TINY, durability="off", retention="oldest") as memory:
        memory.observe_many(small(600))
        gone = 600 - len(memory)
        with memory._store.transaction() as tx:
            for shelf in ("ledger", "filter"):
                ids = [id for id, _ in memory._store.cells(shelf)]  # type: ignore[arg-type]
                tx.delete_cells(shelf, ids)  # type: ignore[arg-type]
    with Memory.open(path, durability="off", retention="oldest") as memory:
        assert memory.usage().events["evicted"] == gone > 0
        assert memory.forgotten("zebra").verdict == "don't know"
        memory.observe_many(small(200))
        assert memory.loss_totals().evicted == 800 - len(memory)
        memory.erase(event=800)
    with Memory.open(path, durability="off", retention="oldest") as memory:
        assert memory.loss_totals().erased == 1
        assert memory.loss_totals().evicted == memory._mirror.next_seq - 2 - len(memory)


def test_names_of_scopes_go_with_what_was_in_them(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, TINY, durability="off", retention="oldest") as memory:
        memory.observe_many(Event(bytes(500) + bytes([i]), scope="user/gone") for i in range(60))
        memory.observe_many(small(700))
        assert any("user/gone" in loss.scopes for loss in memory.ledger())
        before = memory.loss_totals().evicted
        memory.erase(scope="user/gone")
        assert not any("user/gone" in loss.scopes for loss in memory.ledger())
        assert any(loss.scopes for loss in memory.ledger())
        assert memory.loss_totals().evicted >= before
        balanced(memory, memory._mirror.next_seq - 1)
    assert b"user/gone" not in path.read_bytes()


def test_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, TINY, durability="off", retention="oldest") as memory:
        memory.observe_many(small(600))
        for shelf in ("ledger", "filter"):
            assert memory.verify().ok
            (id, row), *_ = memory._store.cells(shelf)  # type: ignore[arg-type]
            with memory._store.transaction() as tx:
                tx.put_cell(shelf, id, row[:-1] + bytes([row[-1] ^ 1]))  # type: ignore[arg-type]
            assert not memory.verify().ok
            with pytest.raises(CorruptStoreError):
                memory._mirror.load_books()
            with memory._store.transaction() as tx:
                tx.put_cell(shelf, id, row)  # type: ignore[arg-type]
        memory._mirror.load_books()


def _seen(memory: Memory) -> tuple[Any, ...]:
    return memory.loss_totals(), memory.ledger(), memory._mirror.ledger.words.events


def test_a_crash_leaves_what_was_acknowledged_or_what_would_have_been(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    with Memory.open(path, TINY, retention="oldest") as memory:
        memory.observe_many(small(620))
    killed = 0
    for point in range(1, 130, 9):

        def work(acknowledge: object, point: int = point) -> None:
            vfs = CrashVFS(point, False)
            with Memory.open(path, vfs=vfs.name, retention="oldest") as memory:
                for event in small(12, seed=point):
                    acknowledge(str(memory.observe(event).seq))  # type: ignore[operator]

        outcome = run_until_killed(work)
        killed += outcome.killed
        with Memory.open(path, retention="oldest") as memory:
            recorded = memory._mirror.next_seq - 1
            balanced(memory, recorded)
            ledger = memory._mirror.ledger
            assert ledger.words.events == ledger.totals.lowered
            assert memory.verify().ok
    assert killed > 5


@settings(max_examples=4)
@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=2, max_size=4))
def test_any_order_of_writing_erasing_and_reopening_is_counted(
    steps: list[tuple[int, bool]],
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.holdfast"
        options = {"durability": "off", "retention": "ladder", "extractor": None}
        with Memory.open(path, TINY, **options) as memory:
            memory.observe_many(large_events(100))
        for n, erase in steps:
            with Memory.open(path, **options) as memory:
                memory.observe_many(large_events(n, seed=n))
                if erase:
                    kept = [r.seq for r in memory.log()]
                    memory.erase(event=kept[:: max(1, len(kept) // n)])
                recorded = memory._mirror.next_seq - 1
                totals = memory.loss_totals()
                assert len(memory) + totals.evicted + totals.erased == recorded
                assert totals.withdrawn == 0
                seen = _seen(memory)
            with Memory.open(path, **options) as memory:
                assert _seen(memory) == seen
