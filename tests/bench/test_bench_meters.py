"""Abstention, the crossover and stable beginnings: each meter against what it is defined as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.bench import abstention, crossover, prefix
from holdfast.bench.baselines import PlainBM25, WholeHistory
from holdfast.bench.datasets import Dataset, load
from holdfast.bench.protocol import Returned, Setup
from holdfast.derive.tokens import count_tokens

MakeSet = Callable[..., Path]


@pytest.fixture
def two(make_set: MakeSet) -> Dataset:
    """Two streams about different things, three questions each."""
    turns, queries = [], []
    for stream, words in (("r", ("apple", "pear", "plum")), ("s", ("lead", "iron", "zinc"))):
        for i, word in enumerate(words):
            turns.append({"stream": stream, "i": i, "id": f"{stream}{i}", "text": f"I like {word}"})
            gold = [f"{stream}{i}"]
            queries.append({"stream": stream, "qid": word, "q": f"{word}?", "gold": gold})
    return load(make_set("two", turns, queries))


SCORED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=20)


@given(SCORED)
def test_auroc_against_its_definition(scored: list[tuple[int, bool]]) -> None:
    yes = [score for score, kind in scored if kind]
    no = [score for score, kind in scored if not kind]
    found = abstention.auroc([float(s) for s, _ in scored], [k for _, k in scored])
    if not yes or not no:
        assert found != found
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in yes for b in no)
    assert found == pytest.approx(wins / (len(yes) * len(no)))


def test_foreign_questions_are_told_apart(two: Dataset) -> None:
    plan = abstention.foreign(two)
    assert {s: sum(q.answerable for q in asked) for s, asked in plan.items()} == {"r": 3, "s": 3}
    lent = {q.text for q in plan["r"] if not q.answerable}
    assert lent == {"lead?", "iron?", "zinc?"}
    assert plan == abstention.foreign(two)
    found = abstention.measure(two, plan, PlainBM25, Setup)
    assert found["auroc"] == 1.0
    assert (found["n_answerable"], found["n_not"], found["n_streams"]) == (6, 6, 2)


def test_a_single_stream_borrows_questions(two: Dataset) -> None:
    single = Dataset("one", {"r": two.streams["r"]}, {"r": two.queries["r"]})
    assert abstention.foreign(single) == {}
    plan = abstention.foreign(single, two)
    assert sum(not q.answerable for q in plan["r"]) == 3


def test_own_unanswerable_questions(make_set: MakeSet) -> None:
    asked: list[dict[str, Any]] = [
        {"qid": "a", "q": "fish?", "gold": ["t"], "type": "knowledge_update"},
        {"qid": "b", "q": "birds?", "type": "abstention"},
        {"qid": "c", "q": "sum it up", "gold": ["t"], "type": "summarization"},
    ]
    data = load(make_set("beam_tiny", [{"id": "t", "text": "fish"}], asked))
    (questions,) = abstention.own(data).values()
    assert [(q.text, q.answerable) for q in questions] == [("fish?", True), ("birds?", False)]


def test_crossing_is_where_choosing_stays_better() -> None:
    sizes = [1, 2, 4, 8]
    assert crossover.crossing(sizes, [1, 1, 0.5, 1], [1, 0.5, 0.6, 0.2]) == 8
    assert crossover.crossing(sizes, [1, 1, 1, 1], [0.5, 0.5, 0.5, 0.5]) == 1
    assert crossover.crossing(sizes, [1, 1, 1, 0.1], [0, 0, 0, 0.2]) is None


def test_a_growing_history(make_set: MakeSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossover, "FEWEST", 1)
    text = "word " * 60
    cost = count_tokens(f"Ana: {text}\n")
    turns = [{"id": str(n), "text": text} for n in range(2_500 // cost)]
    last = str(len(turns) - 1)
    queries = [{"qid": "q", "q": "word", "gold": ["0"]}, {"qid": "p", "q": "word", "gold": [last]}]
    data = load(make_set("long", turns, queries))
    found = crossover.measure(data, WholeHistory, Setup)
    assert found["sizes"] == [500, 1_000, 2_000]
    assert found["n"] == [1, 1, 1]  # the end is reached below 4,000 and never asked about
    assert found["chosen"]["500"] == [1, 1, 1]
    assert found["newest"]["500"] == [1, 0, 0]
    assert found["newest"]["2000"] == [1, 1, 1]
    assert (found["crosses"]["500"], found["crosses"]["2000"]) == (1_000, None)


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_stability(same: str, one: str, two: str) -> None:
    before, after = (same + one).encode(), (same + two).encode()
    share = prefix.stability(same + one, same + two)
    kept = round(share * len(before)) if before else 0
    assert 0 <= share <= 1
    assert before[:kept] == after[:kept]
    assert kept == len(before) or kept == len(after) or before[kept] != after[kept]


def test_consecutive_contexts(two: Dataset) -> None:
    class Told(PlainBM25):
        """Answers with the question itself."""

        def context(self, query: str, tokens: int) -> Returned:
            return Returned(frozenset(), tokens, query)

    found = prefix.measure(two, two.headline, Told, partial(Setup))
    expected: Sequence[float] = [0, 1 / 5, 0, 0]  # apple? pear? plum?, lead? iron? zinc?
    assert found["csr_prefix"] == pytest.approx(sum(expected) / 4)
    assert (found["n"], found["n_streams"]) == (4, 2)
