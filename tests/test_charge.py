"""What policies are told of bytes and of demand is about what is so."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Event, Tier
from holdfast.charge import Charges, ratio
from holdfast.salience import salience

from worlds import T0, opened, prose

SAID = "I moved to Porto in 2021 and prefer tea, said Maria"


def salience_of(*events: Event) -> list[float]:
    with opened("2 MiB", extractor=None) as memory:
        memory.observe_many(events)
        found: list[float] = salience(memory._mirror, np.arange(len(events))).tolist()
        return found


@pytest.mark.parametrize("n_words", [60, 400])
def test_whole_events_cost_about_what_they_take(n_words: int) -> None:
    rng = random.Random(n_words)
    with opened("640 KiB", extractor=None, retention="oldest") as memory:
        memory.observe_many(
            [Event(prose(rng, n_words), speaker="Ana") for _ in range(240_000 // n_words)]
        )
        mirror = memory._mirror
        assert memory.usage().events["evicted"]
        sealed = mirror.tail[0].seq if mirror.tail else mirror.next_seq
        rows = np.flatnonzero(mirror.columns.alive & (mirror.columns.seq < sealed))
        charged = Charges(mirror).costs(rows)[:, Tier.VERBATIM].sum()
        hashes = 36.0 * len(rows)  # that losing one of them alone would add
        assert 0.85 <= (charged + hashes) / mirror.packed[1] <= 1.2


@given(st.integers(0, 99))
def test_a_lower_tier_never_costs_more(seed: int) -> None:
    rng = random.Random(seed)
    with opened("1 MiB", extractor=None) as memory:
        memory.observe_many([Event(prose(rng, rng.randrange(2, 300))) for _ in range(30)])
        found = Charges(memory._mirror).costs(np.arange(30))
        assert (np.diff(found, axis=1) <= 0).all()
        assert (found[:, Tier.EVICTED] == 0).all()


@pytest.mark.parametrize(("policy", "hashes"), [("oldest", (-1.0, -0.9)), ("random", (0.3, 3.0))])
def test_an_event_alone_among_lost_ones_is_charged_their_hashes(
    policy: str, hashes: tuple[float, float]
) -> None:
    rng = random.Random(2)
    with opened("640 KiB", extractor=None, retention=policy) as memory:
        memory.observe_many([Event(prose(rng, 120, 12)) for _ in range(3600)])
        mirror = memory._mirror
        rows = np.flatnonzero(mirror.columns.alive)
        assert memory.usage().events["evicted"] > len(rows)
        plain = 14.0 + ratio(mirror) * mirror.columns.size[rows]
        more = (Charges(mirror).costs(rows)[:, Tier.VERBATIM] - plain) / 36.0
        assert hashes[0] - 1e-6 <= more.mean() <= hashes[1]
        if policy == "random":  # all of them together are what the audit log holds
            assert (more + 1.0).sum() >= 0.5 * len(mirror.audit.lost)


def test_a_person_is_asked_about_more_than_an_assistant() -> None:
    said, answered = salience_of(Event(SAID, role="user"), Event(SAID, role="assistant"))
    assert said > 2 * answered


def test_what_speaks_of_its_speaker_is_asked_about_more() -> None:
    mine, general = salience_of(
        Event("I keep the spare key under my pot."), Event("One keeps a spare key under a pot.")
    )
    assert mine > 1.5 * general


def test_tiny_and_endless_events_are_asked_about_less_for_each_byte() -> None:
    events = [Event("x" * n, role="user") for n in (8, 250, 12_000)]
    tiny, usual, endless = salience_of(*events)
    assert usual > tiny
    assert usual / 250 > endless / 12_000


@given(st.permutations(range(4)))
def test_salience_depends_on_nothing_but_the_event(order: list[int]) -> None:
    events = [
        Event(SAID, role="user", at=T0), Event("ok", role="user", at=T0),
        Event("Sure! Here is what I can do for you.", role="assistant", at=T0),
        Event(b"\x00\x01", at=T0),
    ]  # fmt: skip
    mixed = [replace(events[i], scope=f"s{i}") for i in order]
    with opened("2 MiB", extractor=None) as memory:
        memory.observe_many(mixed)
        surprise = memory._mirror.columns.surprise.astype(float)
        found = np.log(salience(memory._mirror, np.arange(4)))
    with opened("2 MiB", extractor=None) as memory:
        memory.observe_many(events)
        base = memory._mirror.columns.surprise.astype(float)
        plain = np.log(salience(memory._mirror, np.arange(4)))
    # All but what was new in the stream when it came.
    shift = 0.132 * (surprise - base[order])
    shift[[i == 3 for i in order]] = 0.0
    assert np.allclose(found - shift, plain[order], atol=1e-3)
