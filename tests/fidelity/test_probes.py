"""Probes in a store: bounded, found again after closing, and gone when their events are erased."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1]))

from forensics import traces

from holdfast import Event, Memory
from holdfast.codec import digest
from holdfast.errors import StoreError
from holdfast.fidelity.census import Census
from holdfast.fidelity.probe import Probe, unpack
from holdfast.fidelity.probes import Probes, Sampled
from holdfast.records import Tier
from holdfast.stores.base import Transaction

from worlds import prose, ticking

CANARY = "Qyxwerfadol"


def opened(path: Path, budget: str | None = "640 KiB", **options: object) -> Memory:
    given = {"durability": "off", "clock": ticking(), "extractor": None, **options}
    return Memory.open(path, budget, **given)  # type: ignore[arg-type]


def said(n: int, seed: int = 1, n_words: int = 20, scope: str = "user/ana") -> list[Event]:
    rng = random.Random(seed)
    return [Event(prose(rng, n_words), speaker="Ana", scope=scope) for _ in range(n)]


def now(memory: Memory) -> Sampled:
    return memory._mirror.probes.now()


def same(a: Sampled, b: Sampled) -> bool:
    tallies = (a.tally.worth().tolist(), a.tally.since), (b.tally.worth().tolist(), b.tally.since)
    return (a.probes, a.below, tallies[0]) == (b.probes, b.below, tallies[1])


def stored_bytes(memory: Memory) -> int:
    return sum(len(data) for _, data in memory._store.cells("probe"))


@pytest.mark.parametrize("n", [1, 63, 255, 256, 257, 1000, 3000])
def test_they_are_the_same_after_closing_whenever_that_is(tmp_path: Path, n: int) -> None:
    path = tmp_path / "m.holdfast"
    with opened(path) as memory:
        memory.observe_many(said(n))
        before = now(memory)
        assert before.tally.events().sum() == n
    with opened(path, None) as memory:
        assert same(now(memory), before)
        memory.observe_many(said(400, seed=2))
        more = now(memory)
    with opened(path, None) as memory:
        assert same(now(memory), more)


def test_they_quote_the_events_they_are_about(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast", "4 MiB") as memory:
        memory.observe_many(said(900))
        probes = now(memory).probes
        assert len(probes) >= 64
        for probe in probes:
            event = memory.get(probe.seq).event
            content = event.text.encode()
            assert digest(content[probe.start : probe.end]) == probe.answer
            assert content[probe.start : probe.end].decode() not in probe.query.split()
            assert (probe.size, probe.scope) == (len(content), "user")
            assert Probe.from_bytes(probe.to_bytes()) == probe


labels = st.text(max_size=255)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10**6), st.lists(st.tuples(labels, labels), min_size=1, max_size=4),
    st.sampled_from(["640 KiB", "1 MiB", "3 MiB"]),
)  # fmt: skip
def test_they_never_take_more_than_their_share(
    seed: int, whos: list[tuple[str, str]], budget: str
) -> None:
    from worlds import opened as anywhere

    rng = random.Random(seed)
    whos = [(a.encode(errors="ignore").decode(), b.strip("/").encode(errors="ignore").decode())
            for a, b in whos]  # fmt: skip
    with anywhere(budget, extractor=None) as memory:
        for _ in range(6):
            memory.observe_many(
                Event(
                    "".join(chr(rng.choice((97, 32, 0x7530, 0x1F3BB))) for _ in range(60)) + "x",
                    speaker=whos[i % len(whos)][0] or None, scope=whos[i % len(whos)][1],
                )
                for i in range(150)
            )  # fmt: skip
            assert stored_bytes(memory) <= memory._store.budget // 64
            assert 64 <= len(memory._mirror.probes) <= 512
        assert memory.verify().ok


def test_large_budgets_get_more_of_them_and_no_more_than_512(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast", "64 MiB") as memory:
        memory.observe_many(said(9000, n_words=12))
        assert len(memory._mirror.probes) == 512
        memory._committer.resize(2 * 2**20)
        memory.observe_many(said(600, seed=3))
        assert 64 <= len(memory._mirror.probes) < 300
        assert stored_bytes(memory) <= 2 * 2**20 // 64


def test_a_failed_write_leaves_no_trace_in_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "m.holdfast") as memory:
        memory.observe_many(said(300))
        before = now(memory)
        real = Probes.observe

        def fail(self: Probes, tx: Transaction, rows: object) -> None:
            real(self, tx, rows)  # type: ignore[arg-type]
            raise StoreError("the disk refuses")

        monkeypatch.setattr(Probes, "observe", fail)
        with pytest.raises(StoreError):
            memory.observe_many(said(40, seed=2))
        monkeypatch.undo()
        (event,) = said(1, seed=9)
        memory.observe(event)
        assert now(memory).tally.events().sum() == before.tally.events().sum() + 1
        assert {p.seq for p in now(memory).probes} <= {p.seq for p in before.probes} | {301}


def test_what_another_process_wrote_is_sampled_too(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with opened(path) as one, opened(path, None) as other:
        for turn in range(6):
            (one, other)[turn % 2].observe_many(said(150, seed=turn))
        for memory in (one, other):
            memory.usage()
            assert now(memory).tally.events().sum() == 900
        assert same(now(one), now(other))


def test_changes_of_state_are_not_sampled(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast") as memory:
        for n in range(80):
            memory.believe(f"thing {n}", "colour", "blue")
        memory.observe_many(said(5))
        assert now(memory).tally.events().sum() == 5
        assert len(memory._mirror.probes) == 5


def test_an_older_file_is_measured_from_now_on(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with opened(path) as memory:
        memory.observe_many(said(500))
        with memory._store.transaction() as tx:
            tx.delete_cells("probe", [id for id, _ in memory._store.cells("probe")])
    with opened(path, None) as memory:
        memory.observe_many(said(100, seed=2))
    with opened(path, None) as memory:
        report = memory.fidelity()
        assert (report.since, report.observed) == (501, 100)
        assert report.shares.verbatim.value == 1.0


def test_a_fork_goes_on_from_the_same_sample_and_a_rollback_goes_back(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast") as memory:
        memory.observe_many(said(700))
        memory.snapshot("then")
        then = now(memory)
        with memory.fork(tmp_path / "fork.holdfast") as fork:
            assert same(now(fork), then)
        memory.observe_many(said(900, seed=2))
        assert not same(now(memory), then)
        memory.rollback("then")
        assert same(now(memory), then)
        memory.observe_many(said(900, seed=3))
        report = memory.fidelity()
        assert report.observed == 1600
        kept = sum(r.event.kind != "state" for r in memory.log())
        assert report.events.kept == pytest.approx(kept / 1600)
        assert memory.verify().problems == ()


@pytest.mark.parametrize("age", ["tail", "sealed", "lost"])
def test_erasing_leaves_no_byte_of_a_probe(tmp_path: Path, age: str) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, retention="oldest" if age == "lost" else "ladder")
    n = {"tail": 40, "sealed": 300, "lost": 600}[age]
    rng = random.Random(8)
    memory.observe_many(
        Event(f"{CANARY}borough and {CANARY} {prose(rng, 20)}", speaker=CANARY, scope=f"{CANARY}/s")
        for _ in range(n)
    )
    memory.observe_many(said({"tail": 5, "sealed": 400, "lost": 3000}[age], n_words=40))
    assert any(probe.scope == CANARY for probe in now(memory).probes)
    before = now(memory).tally.events().sum()
    held = sum(CANARY in (record.event.speaker or "") for record in memory.log())
    assert (held < n) == (age == "lost")
    memory.erase(event=range(1, n + 1))
    assert traces(path, [CANARY]) == []
    assert not {probe.seq for probe in now(memory).probes} & set(range(1, n + 1))
    assert now(memory).tally.events().sum() == before - held
    assert memory.fidelity().events.kept <= 1.0
    assert memory.verify().problems == ()
    after = now(memory)
    memory.close()
    assert traces(path, [CANARY]) == []
    with opened(path, None) as memory:
        assert same(now(memory), after)


def test_an_erasure_leaves_nothing_said_in_probes_of_what_was_lost_before(tmp_path: Path) -> None:
    """An evicted event may have named what is erased; its probe then only counts."""
    path = tmp_path / "m.holdfast"
    memory = opened(path, retention="oldest")
    rng = random.Random(8)
    memory.observe_many(
        Event(f"{CANARY} {CANARY}borough {prose(rng, 16)}", speaker=f"{CANARY} {n}")
        for n in range(600)
    )
    memory.observe_many(said(3000, n_words=40))
    lost = [one for one in now(memory).probes if memory._mirror.columns.find(one.seq) is None]
    assert any(CANARY in one.query for one in lost) or len(lost) > 5
    before = memory.fidelity(sample=0)
    last = max(record.seq for record in memory.log())
    memory.erase(event=last)
    assert traces(path, [CANARY]) == []
    left = {one.seq: one for one in now(memory).probes}
    assert all(not left[one.seq].query and not left[one.seq].scope for one in lost)
    assert len({left[one.seq].source for one in lost}) == 1
    assert memory.fidelity(sample=0).regret.n >= before.regret.n - 1
    memory.close()


def test_forgetting_twice_is_forgetting_once(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast") as memory:
        memory.observe_many(said(500))
        probes, columns, store = memory._mirror.probes, memory._mirror.columns, memory._store
        gone = range(1, 101)
        for n in (2, 1000):  # cut short after two cells, then done again from what is stored
            cells = list(probes.forget(columns, gone))
            with store.transaction() as tx:
                for id, data in cells[:n]:
                    tx.put_cell("probe", id, data)
            memory._mirror.load_books()
            probes = memory._mirror.probes
        list(probes.forget(columns, gone))
        assert now(memory).tally.events().sum() == 400
        assert all(probe.seq > 100 for probe in now(memory).probes)


def test_a_damaged_cell_is_told_of_and_costs_its_probes_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with opened(path) as memory:
        memory.observe_many(said(700))
        id, data = max(memory._store.cells("probe"))
        with memory._store.transaction() as tx:
            tx.put_cell("probe", id, data[:-1] + bytes([data[-1] ^ 1]))
        whole, (_, gone) = now(memory), unpack(data, id)
    with opened(path, None) as memory:
        assert memory.verify().problems == (f"probes {id} fail their CRC-32; run verify",)
        left = now(memory)
        assert {one.seq for one in left.probes}.isdisjoint(one.seq for one in gone)
        assert len(left.probes) > 30
        assert left.tally.worth().tolist() == whole.tally.worth().tolist()


def test_the_census_is_what_a_plain_count_finds(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast") as memory:
        memory.observe_many(said(3000, n_words=30))
        mirror = memory._mirror
        census = Census.of(mirror.columns, now(memory).tally, mirror.next_seq - 1)
        tiers = {record.seq: record.tier for record in memory.log()}
        length = census.length
        expected = np.zeros_like(census.events)
        for seq in range(1, 3001):
            expected[(seq - 1) // length, tiers.get(seq, Tier.EVICTED)] += 1
        assert census.events.tolist() == expected.tolist()
        assert expected[:, Tier.EVICTED].sum() > 500
        runs = census.quantiles(5)
        assert census.span(runs[0])[0] == 1
        assert census.span(runs[-1])[1] == 3000
        assert [b for _, b in runs[:-1]] == [a for a, _ in runs[1:]]
        sizes = [census.events[slice(*run)].sum() for run in runs]
        assert max(sizes) - min(sizes) <= 2 * length
