"""Ranking of scopes: against a plain reference, inside its filters, and on planted sessions."""

from __future__ import annotations

from collections import Counter
from functools import partial
from math import exp, log, log1p, sqrt
from statistics import fmean, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory, ScopeHit
from holdfast.derive.terms import terms
from holdfast.models.scripted import ScriptedEmbedder
from holdfast.read import terms_of
from holdfast.recall.fuse import candidates, fuse
from holdfast.recall.query import Query, parse
from holdfast.recall.scopes import SCOPE_SIGNALS, Scopes, scopes
from holdfast.recall.weights import Weights

from worlds import T0, WORDS, opened

SMALL = WORDS[:12]  # fewer than a second look holds: none is cut off, so none ties at the cut
texts = st.lists(st.sampled_from(SMALL), min_size=1, max_size=8).map(" ".join)
pasts = st.lists(st.tuples(st.integers(0, 4), texts), min_size=1, max_size=24)


def _fill(memory: Memory, past: list[tuple[int, str]]) -> None:
    memory.observe_many(
        [Event(text, scope=f"s/{scope}", at=T0 + 60.0 * i) for i, (scope, text) in enumerate(past)]
    )


def _told(memory: Memory, query: Query, n: int | None = None) -> tuple[Scopes, dict[int, float]]:
    """What the engine says of each scope that is visible, and the scores it went by, by row."""
    mirror = memory._mirror
    visible = None if n is None else np.arange(mirror.columns.n) < n
    look = candidates(mirror.index, query, None, visible)
    table = Weights.default().table(asks=query.asks, vectors=False)
    scores = fuse(look, table)[0]
    lookup = partial(mirror.postings.match, limit=0, allowed=visible)
    found = scopes(look, scores, lookup, partial(terms_of, mirror))
    return found, dict(zip(look.rows.tolist(), scores.tolist(), strict=True))


# ---- the reference: lists and dictionaries --------------------------------------------------


def _reference(
    past: list[tuple[int, str]], query: Query, scores: dict[int, float]
) -> dict[str, dict[int, float]]:
    held: dict[int, list[list[int]]] = {}
    for scope, text in past:
        held.setdefault(scope, []).append(terms(text))
    asked = dict.fromkeys(query.terms)

    def frequency(scope: int, term: int) -> int:
        return sum(term in event for event in held[scope])

    def idf(holders: int, n: int) -> float:
        return log1p((n - holders + 0.5) / (holders + 0.5))

    lengths = {scope: sum(map(len, events)) for scope, events in held.items()}
    mean = max(1.0, fmean(lengths.values()))
    size = {scope: n / mean for scope, n in lengths.items()}
    rare = {t: idf(sum(frequency(s, t) > 0 for s in held), len(held)) for t in asked}
    known = [t for t in asked if any(frequency(s, t) for s in held)]
    bm25: dict[int, float] = {}
    covered, best = {}, {}
    top = max([0.0, *scores.values()])
    for s in held:
        bm25[s] = sum(
            rare[t] * f * 4.0 / (f + 3.0 * (0.25 + 0.75 * size[s]))
            for t in asked
            if (f := frequency(s, t))
        )
        mine = [exp(value - top) for row, value in scores.items() if past[row][0] == s]
        best[s] = log(1e-4 + sum(mine))
        share = sum(rare[t] for t in known if frequency(s, t))
        covered[s] = share / sum(rare[t] for t in known) if known else 0.0
    spread, centre = pstdev(bm25.values()), fmean(bm25.values())
    bm25 = {s: (v - centre) / spread if spread > 1e-9 else 0.0 for s, v in bm25.items()}
    told = {"bm25": bm25, "covered": covered, "best": best}
    if len(held) > 1:
        first = {s: 0.3 * bm25[s] + 2.5 * covered[s] + 0.5 * best[s] for s in held}
        everywhere = Counter(t for events in held.values() for event in events for t in set(event))
        rarity = {t: idf(n, len(past)) for t, n in everywhere.items()}
        told["feedback"] = _reference_feedback(first, held, size, rarity)
    return told


def _reference_feedback(
    first: dict[int, float],
    held: dict[int, list[list[int]]],
    size: dict[int, float],
    rarity: dict[int, float],
) -> dict[int, float]:
    """Each scope held against a query that the others made, by building one for each."""
    total = sum(exp(v - max(first.values())) for v in first.values())
    made = {}
    for s, events in held.items():
        counts = Counter(t for event in events for t in set(event))
        raw = {t: log1p(n) * rarity[t] for t, n in counts.items()}
        norm = sqrt(sum(v * v for v in raw.values())) or 1.0
        chance = exp(first[s] - max(first.values())) / total
        made[s] = {t: chance * v / norm for t, v in raw.items()}
    shared = {}
    for s, events in held.items():
        counts = Counter(t for event in events for t in set(event))
        others: dict[int, float] = {}
        for other, weights in made.items():
            if other != s:
                for t, v in weights.items():
                    others[t] = others.get(t, 0.0) + v
        shared[s] = sum(log1p(n) * rarity[t] * others.get(t, 0.0) for t, n in counts.items())
        shared[s] /= sqrt(max(size[s], 1e-3))
    most = max(shared.values())
    return {s: v / most if most > 0 else 0.0 for s, v in shared.items()}


@settings(max_examples=40)
@given(pasts, texts)
def test_every_signal_equals_a_plain_reference(past: list[tuple[int, str]], text: str) -> None:
    query = parse(f"Which {text}?", T0)
    with opened() as memory:
        _fill(memory, past)
        found, scores = _told(memory, query)
        names = [memory._mirror.columns.scope_names()[i] for i in found.ids]
    expected = _reference(past, query, scores)
    assert set(found.signals) == set(expected)
    for name, values in expected.items():
        told = dict(zip(names, found.signals[name].tolist(), strict=True))
        assert told == pytest.approx({f"s/{s}": v for s, v in values.items()}, abs=1e-5), name


def test_scopes_that_share_no_word_get_no_feedback() -> None:
    for n in range(2, 6):
        past = [(s, f"word{s} thing{s}{i}") for s in range(n) for i in range(s + 2)]
        with opened() as memory:
            _fill(memory, past)
            found, _ = _told(memory, parse("Which word0 or word1?", T0))
        assert not found.signals["feedback"].any()


# ---- what a query may see -------------------------------------------------------------------

queries = st.builds(
    "{} {}".format,
    texts,
    st.sampled_from(["?", "- thanks, Bo, that will do.", "today, what is the latest?", "by Cy?"]),
)
lines = st.builds(
    Event,
    texts,
    scope=st.sampled_from(["", "in/1", "in/2", "in", "out", "inner/1"]),
    speaker=st.sampled_from([None, "Ana", "Bo", "Cy"]),
    at=st.integers(0, 40).map(lambda minutes: T0 + 60.0 * minutes),
)


def _ranked(hits: list[ScopeHit], seqs: list[int]) -> list[object]:
    """The hits, with events told by their place in `seqs`."""
    return [
        (hit.scope, hit.score, [seqs.index(seq) for seq in hit.seqs], dict(hit.parts))
        for hit in hits
    ]


@settings(max_examples=20)
@given(st.lists(lines, min_size=1, max_size=20), queries)
def test_what_lies_outside_a_scope_changes_nothing_inside(past: list[Event], query: str) -> None:
    inside = [event for event in past if event.scope == "in" or event.scope.startswith("in/")]
    seqs = [seq for seq, event in enumerate(past, 1) if event in inside]
    with opened(clock=lambda: T0) as alone, opened(clock=lambda: T0) as shared:
        alone.observe_many(inside)
        shared.observe_many(past)
        expected = alone.rank_scopes(query, scope="in")
        found = shared.rank_scopes(query, scope="in")
    assert _ranked(found, seqs) == _ranked(expected, list(range(1, len(inside) + 1)))


@settings(max_examples=20)
@given(st.lists(lines, min_size=1, max_size=20), queries, st.integers(1, 21))
def test_what_came_later_changes_nothing_before(past: list[Event], query: str, before: int) -> None:
    with opened(clock=lambda: T0) as then, opened(clock=lambda: T0) as now:
        then.observe_many(past[: before - 1])
        now.observe_many(past)
        assert now.rank_scopes(query, before=before) == then.rank_scopes(query)


@settings(max_examples=20)
@given(
    st.lists(lines, min_size=1, max_size=20), queries,
    st.none() | st.integers(0, 30), st.none() | st.integers(0, 40),
)  # fmt: skip
def test_filters_never_leak(
    past: list[Event], query: str, since: int | None, until: int | None
) -> None:
    start, end = (None if x is None else T0 + 60.0 * x for x in (since, until))
    with opened(clock=lambda: T0) as memory:
        memory.observe_many(past)
        hits = memory.rank_scopes(query, since=start, until=end)
    for hit in hits:
        assert any(
            event.scope == hit.scope
            and (start is None or event.at >= start)
            and (end is None or event.at < end)
            for event in past
        )
        for event in (past[seq - 1] for seq in hit.seqs):
            assert event.scope == hit.scope
            assert start is None or event.at >= start
            assert end is None or event.at < end


# ---- the order ------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.lists(lines, min_size=1, max_size=20), texts)
def test_scopes_without_a_word_of_the_query_do_not_come_back(past: list[Event], text: str) -> None:
    with opened() as memory:
        memory.observe_many(past)
        hits = memory.rank_scopes(f"Which {text}?", limit=50)
    asked = set(terms(text))
    assert {hit.scope for hit in hits} == {e.scope for e in past if asked & set(terms(e.text))}
    for hit in hits:
        assert 1 <= len(hit.seqs) <= 3
        assert sum(hit.parts.values()) == pytest.approx(hit.score)
        assert set(hit.parts) <= {*SCOPE_SIGNALS, "fresh"}
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def _weights(**of_scopes: float) -> Weights:
    fitted = Weights.default()
    return Weights(fitted.tables, fitted.confidence, dict.fromkeys(fitted.tables, of_scopes))


def test_ties_go_to_the_scope_with_the_newer_event() -> None:
    with opened(weights=_weights(covered=1.0)) as memory:
        for scope in ("b", "c", "a", "b"):
            memory.observe("We planted kelp.", scope=scope)
        assert [hit.scope for hit in memory.rank_scopes("kelp")] == ["b", "a", "c"]
        assert [hit.scope for hit in memory.rank_scopes("kelp", limit=1)] == ["b"]


def test_a_scope_about_it_throughout_beats_one_that_mentions_it_once() -> None:
    with opened() as memory:
        for i in range(5):
            memory.observe(f"The lighthouse needs a coat of paint, part {i}.", scope="about")
            memory.observe(f"The orchard needs a fence of wood, part {i}.", scope="once")
            memory.observe(f"The saddle needs a strap of leather, part {i}.", scope=f"else/{i}")
        once = memory.observe("Lighthouse.", scope="once").seq
        assert memory.rank("lighthouse")[0].seq == once  # the best event is not the best scope
        best = memory.rank_scopes("lighthouse")
    assert [hit.scope for hit in best] == ["about", "once"]
    assert best[1].seqs[0] == once


def _project(memory: Memory) -> None:
    """Two sessions of one project, one named; the others tell of their own things."""
    for i in range(4):
        memory.observe("Bluefin: Marta welds the copper hull in Tromso.", scope="named", at=T0 + i)
        memory.observe("Marta wants more copper, the hull leaks. Tromso is cold.", scope="same")
        for j in range(6):
            text = f"visit{j} with friend{j} to garden{j}, bring biscuit{j}"
            memory.observe(text, scope=f"else/{j}", at=T0 + i)
    memory.settle()


def test_feedback_finds_the_session_of_the_same_project_that_shares_no_word() -> None:
    question, embedder = "Who builds Bluefin?", ScriptedEmbedder()  # vectors make all candidates
    with opened(weights=_weights(covered=1.0), embedder=embedder) as memory:
        _project(memory)
        plain = memory.rank_scopes(question)
    with opened(weights=_weights(covered=1.0, feedback=0.5), embedder=embedder) as memory:
        _project(memory)
        hits = memory.rank_scopes(question)
    assert plain[0].scope == hits[0].scope == "named"
    assert plain[1].scope != "same"
    assert hits[1].scope == "same"
    assert hits[1].parts["covered"] == 0.0
    assert hits[1].parts["feedback"] == hits[1].score == 0.5
    assert all(hit.parts["feedback"] < 0.1 for hit in hits[2:])


def test_meaning_is_the_cosine_of_the_nearest_event() -> None:
    embedder = ScriptedEmbedder()
    with opened(weights=_weights(meaning=1.0), embedder=embedder) as memory:
        memory.observe_many([Event("ledger balance", scope="b"), Event("violin", scope="a")])
        memory.observe_many([Event("kelp forest", scope="a"), Event("kelp", scope="c")])
        memory.settle()
        hits = memory.rank_scopes("kelp forest")
    query, other = embedder.embed(["kelp forest", "kelp"])
    assert [hit.scope for hit in hits] == ["a", "c", "b"]
    assert hits[0].score == pytest.approx(1.0, abs=0.02)
    assert hits[1].score == pytest.approx(float(query @ other), abs=0.02)


def test_now_and_recency_prefer_what_went_on_last_where_the_query_asks() -> None:
    with opened(weights=_weights(now=1.0, recency=1.0)) as memory:
        for scope in ("old", "new"):
            memory.observe("The kelp is green.", scope=scope)
        for i in range(20):
            memory.observe(f"noise{i}", scope="noise")
        plain = memory.rank_scopes("Which kelp?")
        asked = memory.rank_scopes("How is the kelp now?")
        said = memory.rank_scopes("Thanks, so the kelp is fine then, I will see to it.")
    assert plain[0].score == 0.0
    assert asked[0].scope == "new"
    assert asked[0].parts["now"] == pytest.approx(-log1p(20 / 10))
    assert asked[1].parts["now"] == pytest.approx(-log1p(21 / 10))
    assert {hit.scope: hit.parts["recency"] for hit in said}["noise"] == 0.0
    assert not any("recency" in hit.parts for hit in plain + asked)


def test_an_empty_memory_and_no_match_have_no_scopes() -> None:
    with opened() as memory:
        assert memory.rank_scopes("kelp") == []
        memory.observe("We planted kelp.", scope="a")
        assert memory.rank_scopes("lighthouse") == []
        assert memory.rank_scopes("kelp", scope="b") == []
