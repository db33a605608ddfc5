"""The run in stream order: what is seen when, what is counted, and the plain reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.bench import recall, report
from holdfast.bench.baselines import PlainBM25, Recency, WholeHistory
from holdfast.bench.bm25 import BM25, tokenize
from holdfast.bench.protocol import Setup
from holdfast.derive.tokens import count_tokens
from holdfast.errors import UnknownNameError
from holdfast.records import Event

MakeSet = Callable[..., Path]
TURNS = [
    {"id": "a", "text": "The spare key hangs behind the blue door."},
    {"id": "b", "text": "Rain all day.", "session": "2"},
    {"id": "c", "text": "The spare key is now under the pot.", "session": "3"},
]
QUERIES = [
    {"qid": "late", "q": "where is the spare key under", "gold": ["c"], "stale": ["a"]},
    {"qid": "early", "q": "spare key", "gold": ["a"], "at": 2, "type": "u"},
    {"qid": "none", "q": "dogs?", "gold": []},
]


def test_a_question_sees_only_what_came_before_it(make_set: MakeSet) -> None:
    asked: list[tuple[str, int]] = []

    class Watched(Recency):
        def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
            found = super().rank(query, limit, before)
            asked.append((query, len(found)))
            return found

    recall.run(make_set("mine", TURNS, QUERIES), systems={"watched": Watched})
    assert asked == [("spare key", 2), ("where is the spare key under", 3)]


def test_what_a_run_reports(make_set: MakeSet) -> None:
    folder = make_set("mine", TURNS, QUERIES)
    result = recall.run(folder, systems=["bm25", "none", "whole"])
    plain, none, whole = result["results"]
    assert (plain["n"], plain["left_out"], plain["n_changed"]) == (2, 1, 1)
    assert plain["metrics"]["any@1"] == plain["metrics"]["mrr"] == 1
    assert plain["metrics"]["fresh_before_stale"] == 1
    assert plain["metrics"]["stale@5"] == 1
    assert plain["metrics"]["budgeted@1000"] == 1
    assert {name: row["n"] for name, row in plain["by_type"].items()} == {"t": 1, "u": 1}
    assert none["metrics"]["any@10"] == none["metrics"]["budgeted@1000"] == 0
    assert whole["metrics"] == {"budgeted@1000": 1}
    assert whole["context_tokens"] > none["context_tokens"] == 0
    assert json.loads(report.to_json(result))["results"][0]["set"] == "mine"
    assert [table.row_count for table in report.tables(result)] == [3, 2]


def test_sessions_as_units(make_set: MakeSet) -> None:
    found = recall.run(make_set("mine", TURNS, QUERIES), unit="session", systems=["bm25"])
    assert found["results"][0]["metrics"]["any@1"] == 1


def test_an_unknown_system_is_named(make_set: MakeSet) -> None:
    with pytest.raises(UnknownNameError, match="no system 'magic'; known: holdfast"):
        recall.run(make_set("mine", TURNS), systems=["magic"])


def test_recency_and_whole_history(tmp_path: Path) -> None:
    events = [Event("x" * 36, speaker="A", scope=f"session/{n // 2}") for n in range(6)]
    each = count_tokens("A: " + "x" * 36 + "\n")
    recency, whole = Recency(Setup(tmp_path)), WholeHistory(Setup(tmp_path))
    for system in (recency, whole):
        system.observe_many(events)
    assert recency.rank("", 2) == [5, 4]
    assert recency.rank("", 2, before=3) == [2, 1]
    assert recency.rank_scopes("", 2) == ["session/2", "session/1"]
    assert recency.context("", 2 * each + 1).whole == {5, 4}
    assert whole.context("", 1).whole == set(range(6))
    assert whole.context("", 1).tokens == 6 * each


def naive_bm25(units: Sequence[str], query: str) -> list[int]:
    import math

    docs = [tokenize(unit) for unit in units]
    average = sum(map(len, docs)) / len(docs)
    scores = []
    for position, doc in enumerate(docs):
        total = 0.0
        for token in dict.fromkeys(tokenize(query)):
            if token in doc:
                df = sum(token in other for other in docs)
                tf = doc.count(token)
                idf = math.log(1 + (len(docs) - df + 0.5) / (df + 0.5))
                total += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(doc) / average))
        if total:
            scores.append((-round(total, 12), -position))
    return [-position for _, position in sorted(scores)]


WORDS = st.lists(st.sampled_from(["apple", "pear", "plum", "fig", "date", "kiwi"]), max_size=6)


@given(st.lists(WORDS, min_size=1, max_size=8), WORDS)
def test_bm25_against_a_naive_reference(units: list[list[str]], query: list[str]) -> None:
    index, texts = BM25(), [" ".join(unit) for unit in units]
    for text in texts:
        index.add(text)
    found = index.rank(" ".join(query), 100)
    expected = naive_bm25(texts, " ".join(query)) if any(units) else []
    assert sorted(found) == sorted(expected)
    again = BM25()
    for unit in units:  # the same units, word by word
        position = again.add("")
        for word in unit:
            again.add(word, position)
    assert again.rank(" ".join(query), 100) == found


def test_bm25_ties_go_to_the_newer_unit(tmp_path: Path) -> None:
    system = PlainBM25(Setup(tmp_path))
    system.observe_many([Event("a blue door"), Event("a red door"), Event("a cat")])
    assert system.rank("doors", 5) == [1, 0]
    assert system.rank("doors", 5, before=1) == [0]


# The published plain-BM25 table of the sets; ours tokenises by its own rules.
REFERENCE: list[tuple[str, Any, dict[str, float]]] = [
    (
        "locomo",
        "turn",
        {"any@1": 0.337, "any@10": 0.672, "all@10": 0.579, "ndcg@10": 0.473, "mrr": 0.451},
    ),
    (
        "locomo",
        "session",
        {"any@1": 0.704, "any@10": 0.961, "all@10": 0.895, "ndcg@10": 0.816, "mrr": 0.798},
    ),
    (
        "longmemeval_oracle_user",
        "turn",
        {"any@1": 0.511, "any@10": 0.826, "all@10": 0.616, "ndcg@10": 0.603, "mrr": 0.633},
    ),
    ("beam_100k", "turn", {"any@10": 0.723, "all@10": 0.403, "ndcg@10": 0.404, "mrr": 0.445}),
]


@pytest.mark.parametrize(("name", "unit", "expected"), REFERENCE)
def test_bm25_reproduces_the_published_table(
    real_set: Callable[[str], Path], name: str, unit: Any, expected: dict[str, float]
) -> None:
    found = recall.run(real_set(name), unit=unit, systems=["bm25"])["results"][0]
    assert {k: found["metrics"][k] for k in expected} == pytest.approx(expected, abs=0.02)


def test_recency_reproduces_the_published_row_exactly(real_set: Callable[[str], Path]) -> None:
    found = recall.run(real_set("irc_ubuntu"), systems=["recency"])["results"][0]
    assert found["n"] == 2_038
    assert found["by_type"]["gold > 50 lines back"]["n"] == 488
    expected = {"any@1": 0.280, "any@5": 0.747, "any@10": 0.882}
    assert {k: found["metrics"][k] for k in expected} == pytest.approx(expected, abs=0.0005)
