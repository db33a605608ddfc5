"""The meter: true where the truth is known, and silent about what it cannot tell."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1]))

from holdfast import Event, Memory
from holdfast.fidelity.meter import area
from holdfast.fidelity.probe import Probe
from holdfast.fidelity.replay import Asker
from holdfast.fidelity.report import Estimate, Fidelity, Shares
from holdfast.fidelity.worth import worth_of
from holdfast.records import Tier

from worlds import T0, opened, prose


def chat(n: int, seed: int = 1, longest: int = 60) -> list[Event]:
    """Two people and an assistant in a few scopes, in events of many lengths."""
    rng = random.Random(seed)
    return [
        Event(
            prose(rng, rng.randrange(2, longest)),
            speaker=("Ana", "Bo", "assistant")[i % 3],
            scope=f"user/{'ab'[i % 2]}/s{i // 50}" if i % 5 else "team/notes",
            kind="note" if i % 7 == 0 else "message",
            at=T0 + 60.0 * i,
        )
        for i in range(n)
    ]


def shares(report: Shares) -> list[float]:
    parts = (report.verbatim, report.gist, report.trace, report.lost)
    assert sum(part.value for part in parts) == pytest.approx(1.0)
    return [part.value for part in parts]


@settings(max_examples=10)
@given(st.integers(1, 400), st.integers(0, 99))
def test_where_everything_is_kept_the_report_says_so(n: int, seed: int) -> None:
    with opened("8 MiB", extractor=None) as memory:
        memory.observe_many(chat(n, seed))
        report = memory.fidelity(sample=5)
        assert (report.observed, report.since) == (n, 1)
        for kept in (report.shares, report.events, *(span.shares for span in report.ages)):
            assert kept == Shares(*map(Estimate.exact, (1.0, 0.0, 0.0, 0.0)))
        assert report.sampled.verbatim.value == 1.0
        assert report.sampled.lost.low == 0.0
        assert sum(span.events for span in report.ages) == n
        assert report.order.value == (1.0 if n > 1 else 0.0)
        assert report.regret.value == 0.0


def truth(memory: Memory, events: list[Event]) -> tuple[list[float], list[float]]:
    """Shares by tier of all events, each alike and by worth; by looking at every one."""
    tiers = {record.seq: record.tier for record in memory.log()}
    worth = [worth_of(memory._mirror.tail[0]._replace(
        size=len(event.text.encode()),
        who=memory._mirror.tail[0].who._replace(speaker=event.speaker, role=None),
    )) for event in events]  # fmt: skip
    alike, by_worth = [0.0] * 4, [0.0] * 4
    for seq, each in enumerate(worth, 1):
        tier = tiers.get(seq, Tier.EVICTED)
        alike[tier] += 1 / len(events)
        by_worth[tier] += each / sum(worth)
    return alike, by_worth


@pytest.mark.parametrize("policy", ["ladder", "oldest", "random"])
def test_where_most_is_lost_it_says_what_a_plain_count_says(policy: str) -> None:
    events = chat(6000, longest=50)
    with opened("640 KiB", extractor=None, retention=policy) as memory:
        memory.observe_many(events)
        report = memory.fidelity()
        alike, by_worth = truth(memory, events)
        assert 0.2 < alike[Tier.EVICTED] < 0.95
        assert shares(report.events) == pytest.approx(alike)
        assert shares(report.shares) == pytest.approx(by_worth)
        bounds = [(e.low, e.high) for e in (report.sampled.verbatim, report.sampled.lost)]
        assert bounds[0][0] - 0.05 < by_worth[Tier.VERBATIM] < bounds[0][1] + 0.05
        assert bounds[1][0] - 0.05 < by_worth[Tier.EVICTED] < bounds[1][1] + 0.05
        for span in report.ages:
            seqs = range(span.first, span.last + 1)
            held = sum(memory._mirror.columns.find(seq) is not None for seq in seqs)
            assert span.events == len(seqs)
            assert span.found.value <= span.shares.kept + 1e-9
            assert (held > 0) == (span.shares.kept > 0)


def test_what_comes_back_is_what_comes_back_for_every_event() -> None:
    """All kept events asked, against the share that the probes of one memory tell."""
    with opened("640 KiB", extractor=None, retention="oldest") as memory:
        memory.observe_many(chat(4000, longest=50))
        report = memory.fidelity(tokens=300)
        asker = Asker(memory._run, memory._reader, 300)
        rows = list(memory._mirror.rows())
        hits = weights = 0.0
        for row in rows[::4]:
            probe = Probe.of(row, 0.5)
            hits += worth_of(row) * asker.ask(probe).found
            weights += worth_of(row)
        share = hits / weights * report.shares.kept
        assert report.found.low - 0.05 <= share <= report.found.high + 0.05
        assert report.answered.value <= report.found.value
        assert report.regret == report.sampled.lost
        assert 0 < report.found.n < report.asked


def test_groups_are_by_kind_and_by_outermost_scope() -> None:
    with opened("2 MiB", extractor=None) as memory:
        memory.observe_many(chat(700))
        report = memory.fidelity(sample=0)
        assert {group.name for group in report.kinds} == {"message", "note"}
        assert {group.name for group in report.scopes} == {"user", "team"}
        for groups in (report.kinds, report.scopes):
            assert sum(group.shares.verbatim.n for group in groups) == report.probes
        assert report.asked == 0
        assert (report.found.low, report.found.high, report.found.n) == (0.0, 1.0, 0)


def test_what_a_revoked_source_said_is_not_missed() -> None:
    with opened("2 MiB", extractor=None) as memory:
        memory.observe_many(chat(900))
        whole = memory.fidelity(sample=0)
        memory.revoke("Ana")
        report = memory.fidelity()
        assert 0 < report.probes < whole.probes
        assert report.shares == report.sampled
        assert report.shares.lost.value == 0.0
        assert report.found.value > 0.5
        memory.reinstate("Ana")
        assert memory.fidelity(sample=0).probes >= whole.probes


def test_the_present_value_of_a_belief_is_to_come_first() -> None:
    with opened("2 MiB") as memory:
        assert memory.fidelity().fresh.n == 0
        for n in range(6):
            memory.believe(f"server {n}", "port", "5432", valid_from=T0)
            memory.believe(f"server {n}", "port", "5433", valid_from=T0 + 10)
        memory.believe("server 9", "port", "80")
        report = memory.fidelity()
        assert (report.fresh.n, report.fresh.value) == (6, 1.0)


def test_confidence_is_compared_only_where_there_is_some() -> None:
    with opened("2 MiB", extractor=None) as memory:
        memory.observe_many(chat(6))
        assert memory.fidelity().abstention is None, "everything fits, so nothing is ranked"
        memory.observe_many(chat(900, seed=2))
        found = memory.fidelity(tokens=200).abstention
        assert found is not None
        assert 0.5 < found <= 1.0
    assert area([0.9, 0.8], [0.1]) == 1.0
    assert area([0.1], [0.9, 0.1]) == 0.25
    assert area([], [0.1]) is None


def test_reading_the_meter_writes_nothing() -> None:
    with opened("1 MiB", extractor=None) as memory:
        memory.observe_many(chat(1200))
        path = memory._store.path
        before = [path.with_name(path.name + end).read_bytes() for end in ("", "-wal")]
        asked: list[tuple[int, int]] = []
        first = memory.fidelity(progress=lambda done, of: asked.append((done, of)))
        assert memory.fidelity() == first
        assert asked == [(n, first.asked) for n in range(1, first.asked + 1)]
        after = [path.with_name(path.name + end).read_bytes() for end in ("", "-wal")]
        assert after == before


def test_an_empty_memory_has_nothing_to_report() -> None:
    with opened() as memory:
        report = memory.fidelity()
        assert (report.observed, report.probes, report.ages) == (0, 0, ())
        assert isinstance(report, Fidelity)
        assert report.shares.lost.value == 0.0
