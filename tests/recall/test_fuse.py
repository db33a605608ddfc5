"""Candidates and their scores, held against a full scoring of every row; filters never leak."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory
from holdfast.derive.cues import PREFERENCE, cues
from holdfast.derive.terms import terms
from holdfast.models.scripted import ScriptedEmbedder
from holdfast.recall.fuse import SHORTLIST, candidates, fuse, score
from holdfast.recall.look import Look
from holdfast.recall.query import Query, Wants, parse
from holdfast.recall.weights import KINDS, Weights

from worlds import T0, WORDS, opened

DAY = 86_400.0
SMALL = (*WORDS[:9], "I never", "my", "12", "on 3 May", "Lisbon", "?")
texts = st.lists(st.sampled_from(SMALL), min_size=1, max_size=7).map(" ".join)
lines = st.builds(
    Event,
    texts,
    scope=st.sampled_from(["", "a", "a/1", "ab", "b"]),
    speaker=st.sampled_from([None, "Ana", "Bo"]),
    role=st.sampled_from([None, "user", "assistant"]),
    at=st.integers(-12, 0).map(lambda days: T0 + DAY * days),
)
queries = st.builds(
    str.format,
    st.sampled_from(
        [
            "Which {}?", "When did my {} end?", "Can you recommend a {}?", "yesterday, {}",
            "What did Ana say of the {} last week?", "Thanks, Bo, the {} is fine. I will see.",
            "How many {} are there now?",
        ]
    ),
    st.lists(st.sampled_from(WORDS[:9]), min_size=1, max_size=3).map(" ".join),
)  # fmt: skip
bounds = st.none() | st.integers(-12, 1).map(lambda days: T0 + DAY * days)
FILTERS = ("scope", "since", "until", "before")
filters = st.fixed_dictionaries(
    {
        "scope": st.sampled_from(["", "", "a", "b"]),
        "since": bounds,
        "until": bounds,
        "before": st.none() | st.integers(0, 26),
    }
)


def _sees(
    event: Event, seq: int, scope: str, since: float | None, until: float | None, before: int | None
) -> bool:
    return (
        (not scope or event.scope == scope or event.scope.startswith(f"{scope}/"))
        and (since is None or event.at >= since)
        and (until is None or event.at < until)
        and (before is None or seq < before)
    )


def _within(event: Event, query: Query) -> bool:
    return any(span.start <= event.at < span.end for span in query.moments)


def _expected(past: dict[int, Event], seen: dict[int, Event], query: Query) -> set[int]:
    """Which of the events that are seen may come back; fewer than any shortlist holds."""
    asked, found = set(query.terms), set[int]()
    for seq, event in seen.items():
        same = [other for other in past if past[other].scope == event.scope]
        place = same.index(seq)
        if asked & set(terms(f"{event.speaker or ''} {event.content}")):
            found |= {seq, *same[max(0, place - 1) : place + 2]}
        liked = cues(text := str(event.content), text.split()) & PREFERENCE
        if not query.asks or _within(event, query) or (liked and Wants.ADVICE in query.wants):
            found.add(seq)
    return found & set(seen)


def _everything(
    memory: Memory, query: Query, seen: list[int], scoped: bool, embedder: ScriptedEmbedder | None
) -> dict[int, float]:
    """The score of every visible event, each looked at as if it were a candidate."""
    mirror = memory._mirror
    columns = mirror.columns
    visible = np.isin(columns.seq, seen)
    vector = embedder.embed([query.text])[0] if embedder else None
    match = mirror.postings.match(query.terms, columns.n, allowed=visible)
    rows = visible.nonzero()[0].astype(np.int64)
    look = Look(query, columns, match, rows, visible, scoped, vector, mirror.vectors)
    table = Weights.default().table(asks=query.asks, vectors=vector is not None)
    return dict(zip(columns.seq[rows].tolist(), fuse(look, table)[0].tolist(), strict=True))


@settings(max_examples=40)
@given(st.lists(lines, min_size=1, max_size=25), queries, filters, st.booleans())
def test_the_ranking_is_that_of_a_full_scoring(
    past: list[Event], text: str, asked: dict[str, Any], dense: bool
) -> None:
    assert len(past) < SHORTLIST
    embedder = ScriptedEmbedder() if dense else None
    seen = {seq: event for seq, event in enumerate(past, 1) if _sees(event, seq, **asked)}
    query = parse(text, T0)
    if seen and query.moments and not any(_within(event, query) for event in seen.values()):
        query = parse(text, list(seen.values())[-1].at or 0.0)  # as when the memory ends
    with opened(embedder=embedder, clock=lambda: T0) as memory:
        memory.observe_many(past)
        memory.settle()
        hits = memory.rank(text, limit=10, **asked)
        full = _everything(memory, query, list(seen), bool(asked["scope"]), embedder)
    expected = set(seen) if dense else _expected(dict(enumerate(past, 1)), seen, query)
    best = sorted((full[seq] for seq in expected), reverse=True)[:10]
    own = {hit.seq: hit.score - hit.parts.get("fresh", 0.0) for hit in hits}
    assert sorted(own.values(), reverse=True) == pytest.approx(best, abs=1e-5)
    assert own == pytest.approx({seq: full[seq] for seq in own}, abs=1e-5)
    assert {hit.seq for hit in hits} <= expected


@settings(max_examples=25)
@given(st.lists(lines, min_size=1, max_size=25), queries, filters, st.booleans())
def test_no_candidate_lies_outside_the_filters(
    past: list[Event], text: str, asked: dict[str, Any], dense: bool
) -> None:
    embedder = ScriptedEmbedder() if dense else None
    with opened(embedder=embedder) as memory:
        memory.observe_many(past)
        memory.settle()
        mirror = memory._mirror
        visible = mirror.columns.visible(*(asked[name] for name in FILTERS))
        vector = embedder.embed([text])[0] if embedder else None
        look = candidates(mirror.index, parse(text, T0), vector, visible)
        seqs = mirror.columns.seq[look.rows].tolist()
        every = sum(_sees(event, seq, **asked) for seq, event in enumerate(past, 1))
    assert seqs == sorted(set(seqs))
    assert all(_sees(past[seq - 1], seq, **asked) for seq in seqs)
    assert len(seqs) == every or not dense


@settings(max_examples=20)
@given(st.lists(lines, min_size=1, max_size=20), queries)
def test_what_lies_outside_a_scope_changes_no_hit_inside(past: list[Event], text: str) -> None:
    inside = {s: e for s, e in enumerate(past, 1) if _sees(e, s, "a", None, None, None)}
    with opened(clock=lambda: T0) as alone, opened(clock=lambda: T0) as shared:
        alone.observe_many(list(inside.values()))
        shared.observe_many(past)
        expected = alone.rank(text, scope="a")
        found = shared.rank(text, scope="a")
    seqs = list(inside)
    assert [(seqs.index(hit.seq) + 1, hit.score, hit.parts) for hit in found] == [
        (hit.seq, hit.score, hit.parts) for hit in expected
    ]


def test_who_speaks_outside_a_scope_leaves_no_trace_inside() -> None:
    with opened() as memory:
        memory.observe("We planted kelp.", scope="mine", speaker="Ana")
        memory.observe("We planted kelp.", scope="theirs", speaker="Bo")
        told = [
            set(memory.rank(f"Did {name} plant kelp?", scope="mine")[0].parts)
            for name in ("Ana", "Bo", "Cy")
        ]
    assert "speaker" in told[0]
    assert told[1] == told[2]


# ---- what adds candidates beside words ------------------------------------------------------


def _rows(text: str, *past: Event, now: float = T0) -> list[int]:
    """The sequence numbers of the candidates."""
    with opened() as memory:
        memory.observe_many(past)
        mirror = memory._mirror
        look = candidates(mirror.index, parse(text, now))
        return [int(seq) for seq in mirror.columns.seq[look.rows]]


def _days(n: int) -> list[Event]:
    """One event a day, the last of them at T0, each in a scope of its own."""
    return [Event(f"word{i}", scope=f"d/{i}", at=T0 - DAY * (n - 1 - i)) for i in range(n)]


def test_words_and_their_neighbours_are_candidates_and_nothing_else_is() -> None:
    past = [Event(text, scope="a", at=T0) for text in ("one", "two", "kelp", "four", "five")]
    apart = Event("six", scope="b", at=T0)
    assert _rows("kelp", *past, apart) == [2, 3, 4]
    assert _rows("zebra", *past, apart) == []


def test_a_moment_adds_what_happened_then() -> None:
    assert _rows("What happened yesterday?", *_days(9)) == [8]
    assert _rows("What happened?", *_days(9)) == []


def test_a_moment_without_events_is_meant_from_where_the_memory_ends() -> None:
    assert _rows("What happened yesterday?", *_days(9), now=T0 + 900 * DAY) == [8]


def test_of_a_full_moment_the_most_telling_events_are_candidates() -> None:
    dull = [Event("the kelp is green", scope=f"d/{i}", at=T0 - DAY) for i in range(300)]
    told = Event("zebra quartz dazzled vivid", scope="x", at=T0 - DAY)
    found = _rows("What happened yesterday?", *dull[:150], told, *dull[150:])
    assert len(found) == 128
    assert 151 in found


def test_a_wish_for_advice_adds_preferences_the_newest_first() -> None:
    liking = [Event(f"I never eat thing{i}.", scope=f"p/{i}", at=T0) for i in range(140)]
    assert _rows("Can you recommend a hotel?", *_days(5), *liking) == list(range(18, 146))
    assert _rows("Which hotel?", *_days(5), *liking) == []


def test_a_message_adds_the_newest_events() -> None:
    assert _rows("Fine, thanks. I will see to it then.", *_days(100)) == list(range(53, 101))
    assert _rows("See what?", *_days(100)) == []


def test_a_message_adds_the_newest_of_whom_it_names_however_little_they_match() -> None:
    short = [Event("hum", scope=f"b/{i}", speaker="Bo", at=T0) for i in range(300)]
    long = [Event("tea " * 40, scope=f"c/{i}", speaker="Bo", at=T0) for i in range(50)]
    found = _rows("Bo: fine, thanks. I will see.", *short, *long, *_days(100))
    assert [seq for seq in found if 300 < seq <= 350] == list(range(303, 351))
    assert [seq for seq in found if seq <= 300] == list(range(45, 301))  # the best by BM25
    assert [seq for seq in found if seq > 350] == list(range(403, 451))
    assert 303 not in _rows("What did Bo want?", *short, *long, *_days(100))


def test_the_newest_events_of_a_scope_are_found_however_much_came_after() -> None:
    mine = Event("The cable is red.", scope="mine", at=T0)
    others = [Event("hum", scope="else", at=T0)] * 4100
    message = "Fine, thanks. I will see to it then."
    with opened() as alone, opened("16 MiB") as shared:
        alone.observe(mine)
        shared.observe_many([mine, *others])
        assert [hit.seq for hit in alone.rank(message, scope="mine")] == [1]
        assert [hit.seq for hit in shared.rank(message, scope="mine")] == [1]


# ---- the score ------------------------------------------------------------------------------


def test_hits_have_parts_only_where_they_are_asked_for() -> None:
    with opened() as memory:
        memory.observe_many(_days(3))
        mirror = memory._mirror
        look = candidates(mirror.index, parse("word1", T0))
        told = score(look, Weights.default(), 10)
        bare = score(look, Weights.default(), 10, explain=False)
    assert [hit.seq for hit in told.hits] == [hit.seq for hit in bare.hits] == [2]
    assert (
        told.hits[0].score == bare.hits[0].score == pytest.approx(sum(told.hits[0].parts.values()))
    )
    assert told.confidence == bare.confidence
    assert not bare.hits[0].parts


def test_a_signal_with_nothing_to_say_has_no_part() -> None:
    with opened(weights=Weights({kind: {"bm25": 2.0, "moment": 1.0} for kind in KINDS})) as memory:
        memory.observe_many(_days(3))
        assert memory.rank("word1")[0].parts == {"bm25": 2.0}
        assert memory.rank("word1 yesterday")[0].parts == {"bm25": 2.0, "moment": 1.0}
