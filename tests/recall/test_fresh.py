"""The current value before the superseded one: what moves, what never does, and what it costs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory
from holdfast.recall import fresh
from holdfast.recall.fresh import DEEP, DEPTH, NAMES, PART, figures, fresh_first, fresh_scopes_first
from holdfast.recall.present import asked
from holdfast.recall.query import parse
from holdfast.records import Hit, ScopeHit

from worlds import T0, opened

WORDS = ("bikes", "rent", "Oslo", "yoga", "now", "I own", "three", "four", "$300", "$400", "moved")
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join)
questions = st.builds(
    str.format,
    st.sampled_from(
        ["How many {} do I own?", "What is my {} now?", "Where is {} currently?", "{}?",
         "When did I first buy {}?", "How much {} in total?", "What was the {}?"]
    ),
    texts,
)  # fmt: skip
said = st.lists(st.tuples(st.sampled_from(["Ana", "Bo", ""]), texts), min_size=1, max_size=30)
lines = st.builds(
    Event,
    texts,
    scope=st.sampled_from(["in/1", "in/2", "in/3", "out", "out/1"]),
    speaker=st.sampled_from([None, "Ana", "Bo"]),
)
OLD, NEW = "I own three bikes, all of them red.", "I bought one more, so I own four bikes now."
FILLER = ("The kelp is green.", "Bring the ladder back.", "My bikes are red.", "Who owns a boat?")


def _idf(text: str) -> list[float]:
    return [1.0 + n % 3 for n, _ in enumerate(parse(text, 0.0).terms)]


def _hits(n: int, order: list[int]) -> list[Hit]:
    """A ranking of events 1 to n, in this order, with two parts each."""
    return [Hit(seq, 9.0 - i / 4, {"a": 4.0, "b": 5.0 - i / 4}) for i, seq in enumerate(order[:n])]


# ---- laws of the step -----------------------------------------------------------------------


@given(said, questions, st.data())
def test_hits_keep_their_set_their_order_and_the_sum_of_their_parts(
    past: list[tuple[str, str]], text: str, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(1, len(past) + 1)))
    before = _hits(len(past), order)
    after = fresh_first(parse(text, 0.0), _idf(text), before, lambda seq: past[seq - 1])
    assert sorted(hit.seq for hit in after) == sorted(hit.seq for hit in before)
    assert [hit.seq for hit in after[DEEP:]] == [hit.seq for hit in before[DEEP:]]
    assert all((a.score, a.seq) > (b.score, b.seq) for a, b in pairwise(after))
    known = {hit.seq: hit for hit in before}
    for hit in after:
        assert sum(hit.parts.values()) == pytest.approx(hit.score)
        assert hit.score >= known[hit.seq].score
        assert (PART in hit.parts) == (hit.score > known[hit.seq].score)
        assert hit.score in {one.score for one in before}
    question = asked(parse(text, 0.0), _idf(text))
    if question is None or not question.kind.startswith("now"):
        first = {hit.seq for hit in before[:DEPTH]}
        assert {hit.seq for hit in after[:DEPTH]} == first


@given(said, questions)
def test_newer_hits_above_older_ones_are_left_as_they_are(
    past: list[tuple[str, str]], text: str
) -> None:
    newest_first = _hits(len(past), list(range(len(past), 0, -1)))
    after = fresh_first(parse(text, 0.0), _idf(text), newest_first, lambda seq: past[seq - 1])
    assert after == newest_first


@given(said, questions)
def test_events_that_are_gone_say_nothing_and_break_nothing(
    past: list[tuple[str, str]], text: str
) -> None:
    hits = _hits(len(past), list(range(1, len(past) + 1)))
    after = fresh_first(parse(text, 0.0), _idf(text), hits, lambda _: None)
    assert {hit.seq for hit in after} == {hit.seq for hit in hits}


@given(said, questions, st.integers(1, 3))
def test_scopes_keep_their_set_and_the_sum_of_their_parts(
    past: list[tuple[str, str]], text: str, each: int
) -> None:
    n = len(past)
    hits = [
        ScopeHit(f"s/{i}", 9.0 - i, tuple(range(i, min(i + each, n))), {"a": 9.0 - i})
        for i in range(n)
    ]
    after = fresh_scopes_first(parse(text, 0.0), _idf(text), hits, lambda seq: past[seq])
    assert sorted(hit.scope for hit in after) == sorted(hit.scope for hit in hits)
    assert [hit.score for hit in after] == sorted((hit.score for hit in after), reverse=True)
    for hit in after:
        assert sum(hit.parts.values()) == pytest.approx(hit.score)


# ---- what it sees of a memory ---------------------------------------------------------------


@settings(max_examples=25)
@given(st.lists(lines, min_size=1, max_size=25), questions)
def test_what_lies_outside_a_scope_changes_nothing_inside(past: list[Event], text: str) -> None:
    inside = [event for event in past if event.scope.startswith("in/")]
    seqs = [seq for seq, event in enumerate(past, 1) if event.scope.startswith("in/")]
    with opened(clock=lambda: T0) as alone, opened(clock=lambda: T0) as shared:
        alone.observe_many(inside)
        shared.observe_many(past)
        expected = [(hit.seq, hit.score) for hit in alone.rank(text, scope="in")]
        found = [(seqs.index(h.seq) + 1, h.score) for h in shared.rank(text, scope="in")]
        assert found == expected
        scopes = [hit.scope for hit in alone.rank_scopes(text, scope="in")]
        assert [hit.scope for hit in shared.rank_scopes(text, scope="in")] == scopes


@settings(max_examples=25)
@given(st.lists(lines, min_size=1, max_size=25), questions, st.integers(1, 25))
def test_a_short_ranking_is_the_beginning_of_a_long_one(
    past: list[Event], text: str, limit: int
) -> None:
    with opened(clock=lambda: T0) as memory:
        memory.observe_many(past)
        assert memory.rank(text, limit=limit) == memory.rank(text, limit=50)[:limit]
        assert memory.rank_scopes(text, limit=2) == memory.rank_scopes(text, limit=50)[:2]


def _memory(memory: Memory, *told: str) -> list[int]:
    """Sequence numbers of what is told, each in a session of its own, amid filler."""
    found = []
    for n, text in enumerate(told):
        memory.observe_many([Event(line, "user", scope=f"chat/{n}") for line in FILLER])
        found.append(memory.observe(text, speaker="user", scope=f"chat/{n}").seq)
    return found


def _order(memory: Memory, text: str, seqs: list[int]) -> list[int]:
    return [hit.seq for hit in memory.rank(text, limit=50) if hit.seq in seqs]


def test_the_current_value_comes_before_the_one_it_replaced_and_both_stay() -> None:
    question = "How many bikes do I own?"
    with opened(clock=lambda: T0) as memory:
        old, new = _memory(memory, OLD, NEW)
        hits = {hit.seq: hit for hit in memory.rank(question)}
        assert _order(memory, question, [old, new]) == [new, old]
        assert hits[new].parts[PART] == pytest.approx(
            hits[old].score - (hits[new].score - hits[new].parts[PART])
        )
        assert hits[new].score >= hits[old].score
        assert memory.get(old).text == OLD
        context = memory.recall(question, tokens=90)
        assert [item.seq for item in context.ranked if item.seq in (old, new)][:1] == [new]


def test_a_chain_of_values_comes_newest_first() -> None:
    told = [f"From now on, always end method names with '_{end}'." for end in "abcd"]
    question = "What is our current rule: always end method names with ___?"
    with opened(clock=lambda: T0) as memory:
        seqs = _memory(memory, *told)
        assert _order(memory, question, seqs) == seqs[::-1]
        scopes = [hit.scope for hit in memory.rank_scopes(question, limit=4)]
        assert scopes == ["chat/3", "chat/2", "chat/1", "chat/0"]


@pytest.mark.parametrize(
    "question",
    [
        "How many bikes did I own at first?",
        "How many bikes did I use to own, before?",
        "How many bikes have I owned in total?",
        "When did I buy my bikes?",
        "How many more bikes do I own than Bo?",
        "Thanks, that is a lot of bikes. I own some as well. See you then.",
    ],
)
def test_questions_about_the_past_or_about_several_values_are_left_alone(question: str) -> None:
    with opened(clock=lambda: T0) as memory:
        _memory(memory, OLD, NEW)
        assert not any(PART in hit.parts for hit in memory.rank(question))
        assert not any(PART in hit.parts for hit in memory.rank_scopes(question))


def test_what_lacks_the_figure_or_is_said_by_another_is_no_new_value() -> None:
    question = "How many bikes do I own?"
    for text, speaker in (("I own bikes, and I love them.", "user"), (NEW, "assistant")):
        with opened(clock=lambda: T0) as memory:
            (old,) = _memory(memory, OLD)
            new = memory.observe(text, speaker=speaker, scope="chat/9").seq
            hits = {hit.seq: hit for hit in memory.rank(question)}
            assert PART not in hits[new].parts
            assert hits[new].score < hits[old].score or text == NEW


def test_ranking_twice_gives_the_same() -> None:
    with opened(clock=lambda: T0) as memory:
        _memory(memory, OLD, NEW)
        question = "How many bikes do I own now?"
        assert memory.rank(question) == memory.rank(question)


# ---- its parts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("What is our current rule for class names?", "now"),
        ("How many bikes do I currently own?", "now value"),
        ("What is my weekly word count target?", "value"),
        ("How many films did I watch this week?", "past value"),
        ("Where did I buy the lamp?", "past"),
        ("What does Ana paint?", "plain"),
        ("How old am I?", "value"),
        ("What was my previous goal?", None),
        ("Have I ever been to Oslo?", None),
        ("Can you recommend a lamp?", None),
        ("What is the total cost?", None),
    ],
)
def test_what_a_question_asks_of_the_present(text: str, kind: str | None) -> None:
    query = parse(text, 0.0)
    question = asked(query, [1.0] * len(query.terms))
    assert (question and question.kind) == kind


def test_figures_are_told_by_what_they_count() -> None:
    hour, film = (asked(parse(f"how many {word}?", 0.0), [1.0]) for word in ("hours", "films"))
    assert hour is not None
    assert film is not None
    found = figures("I spent 5-6 hours on twelve films, from April 20 to Apr. 25th, $1,300 or 95%")
    assert found[hour.unit or 0] == {"5-6"}
    assert found[film.unit or 0] == {"12"}
    assert (found["date"], found["$"], found["%"]) == ({"apr20", "apr25"}, {"1300"}, {"95"})


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    question = asked(parse("How many bikes do I own now?", 0.0), [1.0, 2.0])
    assert question is not None
    read = fresh.statement(("Ana", text), question)
    assert read.mass <= sum(question.idf.values()) + 1e-9
    assert read.held <= question.idf.keys()


@pytest.mark.parametrize("of", ["events", "scopes"])
def test_the_fitted_model_is_whole(of: str) -> None:
    model = fresh.model(of)
    weights: dict[str, Any] = dict(zip(NAMES, model.weights, strict=True))
    assert len(weights) == len(NAMES)
    assert weights["core"] + weights["whole"] + weights["cue and core"] > 0
    assert weights["gap"] < 0
    assert set(model.bars) == {"now value", "value", "past value", "now"}
