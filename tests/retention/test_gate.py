from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event
from holdfast.checks.policy import random_view
from holdfast.retention.gate import FEATURES, LearnedGate, features
from holdfast.retention.oldest import Oldest
from holdfast.retention.view import View

from policy_views import limit_of, shares, views
from worlds import T0, TINY, opened, prose

# What makes an entry one of those that turn out to be of use.
SIGNS = {
    "surprise": lambda yes: {"surprise": np.where(yes, 14.0, 6.0)},
    "salience": lambda yes: {"salience": np.where(yes, 2.0, 0.5)},
    "size": lambda yes: {"size": np.where(yes, 4000.0, 100.0)},
    "trust": lambda yes: {"trust": np.where(yes, 3.0, 1.0)},
    "cited": lambda yes: {"cited": yes},
    "mass": lambda yes: {"mass": np.where(yes, 4.0, 1.0)},
    "uses": lambda yes: {"uses": np.where(yes, 2.0, 0.0)},
}


@given(views(), shares())
def test_untaught_it_is_the_oldest(view: View, share: float) -> None:
    limit = limit_of(view, share)
    assert np.array_equal(LearnedGate().plan(view, limit).tier, Oldest().plan(view, limit).tier)


@pytest.mark.parametrize("sign", SIGNS)
@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.booleans())
def test_what_predicts_use_comes_to_outlast_recency(
    sign: str, seed: int, n: int, positive: bool
) -> None:
    rng = np.random.default_rng(seed)
    gate = LearnedGate()
    for _ in range(150):
        yes = rng.random(n) < 0.2
        view = View.of(**{"size": np.full(n, 500.0), **SIGNS[sign](yes)})
        gate = gate.learn(view, yes == positive)
    yes = np.arange(n) % 2 == 0
    view = View.of(**{"size": np.full(n, 500.0), **SIGNS[sign](yes)})
    rate = gate.log_beta(view)
    good, bad = yes == positive, yes != positive
    # What it has learnt to keep fades so slowly that it outlives what has a third of its age.
    assert rate[bad].max() < 3.0 * rate[good].min()
    score = gate.score(view)
    for i in np.flatnonzero(good):
        assert (score[i] > score[bad & (view.age > view.age[i] / 3.0)]).all()


@given(views(), st.integers(0, 2**32 - 1))
def test_a_step_goes_up_the_likelihood_and_leaves_the_old_gate_alone(view: View, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gate = LearnedGate(tuple(rng.normal(size=len(FEATURES)).tolist()), rate=1e-3)
    used = rng.random(len(view)) < 0.5
    before, weights = gate.weights, np.stack(features(view))

    def likelihood(gate: LearnedGate) -> float:
        logit = np.array(gate.weights) @ weights
        yes, no = -np.logaddexp(0, -logit[used]), -np.logaddexp(0, logit[~used])
        return float(sum(part.mean() for part in (yes, no) if part.size))

    wiser = gate.learn(view, used)
    assert gate.weights == before
    assert likelihood(wiser) > likelihood(gate)


@given(views(), st.integers(0, 2**32 - 1))
def test_each_entry_fades_at_its_own_rate(view: View, seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=len(FEATURES))
    gate = LearnedGate(tuple(weights.tolist()))
    beta = 1.0 / (1.0 + np.exp(-weights @ np.stack(features(view))))
    assert np.exp(gate.log_beta(view)) == pytest.approx(beta)
    assert np.exp(gate.score(view)) == pytest.approx(beta**view.age)


@given(st.integers(0, 2**32 - 1))
def test_two_entries_change_places_at_most_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gate = LearnedGate(tuple(rng.normal(size=len(FEATURES)).tolist()))
    view = random_view(rng, 2, 2)
    ahead = [
        bool(np.diff(gate.score(replace(view, now=view.now + n)))[0] > 0) for n in range(0, 4000, 7)
    ]
    assert sum(a != b for a, b in pairwise(ahead)) <= 1


def test_weights_are_counted() -> None:
    with pytest.raises(ValueError, match="2 weights; one each is needed"):
        LearnedGate((1.0, 2.0))


def test_a_memory_teaches_the_gate_what_was_of_use() -> None:
    """Events of one kind are used, those of another are not: the gate keeps the first."""
    rng = random.Random(1)
    gate = LearnedGate(rate=4.0)

    def batch(start: int) -> list[Event]:
        return [
            Event(
                prose(rng, 60, 12),
                role="user" if i % 2 else "assistant",
                speaker="ab"[i % 2],
                at=T0,
            )
            for i in range(start, start + 40)
        ]

    with opened(TINY, retention=gate, extractor=None) as memory:
        for start in range(0, 3200, 40):
            memory.observe_many(batch(start))
            newest = memory._mirror.next_seq
            memory.used_events([seq for seq in range(newest - 40, newest) if seq % 2 == 0])
        kept = [record.event.role for record in memory.log()]
        assert memory.usage().events["evicted"] > 500
        assert kept.count("user") > 2 * kept.count("assistant")
