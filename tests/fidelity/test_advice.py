"""Advice: the budget that it names keeps what it says."""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from holdfast import Event
from holdfast.records import Tier

from worlds import opened, prose


def chat(n: int, seed: int = 1) -> list[Event]:
    rng = random.Random(seed)
    return [Event(prose(rng, rng.randrange(4, 60)), speaker="Ana") for _ in range(n)]


@pytest.mark.parametrize("policy", ["ladder", "oldest", "random"])
def test_a_memory_of_the_advised_size_keeps_what_was_asked_for(policy: str) -> None:
    events = chat(6000)
    with opened("640 KiB", extractor=None, retention=policy) as memory:
        memory.observe_many(events)
        advice = memory.budget_for(0.9, tier=Tier.TRACE)
        now = memory.fidelity(sample=0).shares.kept
    assert not advice.enough
    assert advice.present_fidelity == pytest.approx(now)
    assert advice.present_budget == 640 * 1024
    assert advice.present_budget < advice.low <= advice.budget <= advice.high <= advice.whole
    with opened(advice.budget, extractor=None, retention=policy) as memory:
        memory.observe_many(events)
        assert memory.fidelity(sample=0).shares.kept > 0.8
    with opened(int(0.8 * advice.budget), extractor=None, retention=policy) as memory:
        memory.observe_many(events)
        assert memory.fidelity(sample=0).shares.kept < 0.9
    with opened(advice.whole, extractor=None, retention=policy) as memory:
        memory.observe_many(events)
        assert memory.fidelity(sample=0).shares.verbatim.value > 0.95


def test_where_nothing_was_lost_the_present_budget_is_enough() -> None:
    with opened("8 MiB", extractor=None) as memory:
        memory.observe_many(chat(2000))
        advice = memory.budget_for(0.95)
        assert advice.enough
        assert advice.present_fidelity == 1.0
        assert advice.budget <= advice.whole < advice.present_budget
        half = memory.budget_for(0.5)
        assert half.budget < advice.budget
    with opened(half.budget, extractor=None) as memory:
        memory.observe_many(chat(2000))
        kept = memory.fidelity(sample=0).shares
        assert kept.verbatim.value + kept.gist.value > 0.4


def test_more_is_never_worse() -> None:
    with opened("640 KiB", extractor=None) as memory:
        memory.observe_many(chat(5000))
        wanted = [memory.budget_for(n / 10) for n in range(1, 11)]
        for a, b in pairwise(wanted):
            assert a.budget <= b.budget
        for advice in wanted:
            budgets = [budget for budget, _ in advice.curve]
            assert budgets == sorted(budgets)
            assert all(0.0 <= share <= 1.0 for _, share in advice.curve)
            assert advice.budget % (64 * 1024) == 0
        assert wanted[0].curve[-1][1] == 1.0
        lower = memory.budget_for(0.8, tier=Tier.TRACE)
        assert lower.present_fidelity >= wanted[7].present_fidelity


def test_an_empty_memory_needs_nothing_and_nonsense_is_refused() -> None:
    with opened() as memory:
        assert memory.budget_for().enough
        for share in (0.0, 1.5, -1.0):
            with pytest.raises(ValueError, match="share"):
                memory.budget_for(share)
        with pytest.raises(ValueError, match="evicted"):
            memory.budget_for(0.5, tier=Tier.EVICTED)
