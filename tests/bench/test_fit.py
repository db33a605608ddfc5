"""The fit: planted weights come back, whatever the order; ties, folds and the file it writes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from holdfast.bench import fit
from holdfast.bench.abstention import Question
from holdfast.bench.datasets import load
from holdfast.bench.fit import Doubt, Fitted, Model, Sample
from holdfast.recall.scopes import SCOPE_SIGNALS
from holdfast.recall.signals import SIGNALS
from holdfast.recall.weights import KINDS, Weights

pytest.importorskip("scipy", reason="the fit needs scipy, which the dev group has")

NAMES = ("bm25", "recency", "question", "latest", "meaning")
ASKING = np.array([3.0, 0.0, -1.5, 0.0, 0.0])
SAYING = np.array([3.0, 2.0, 1.0, 0.0, 0.0])
SHARES = {"one": 1.0, "two": 1.0}


def _sample(rng: np.random.Generator, i: int, n: int = 20, stream: int = 0) -> Sample:
    """A question whose evidence is drawn from the model with the weights above."""
    asks = i % 2 == 0
    values = rng.uniform(0.0, 1.0, (n, len(NAMES))).astype(np.float32)
    values[:, 2] = values[:, 2] > 0.5
    if asks:
        values[:, 1] = 0.0  # recency has nothing to say about a question
    score = values @ (ASKING if asks else SAYING)
    chance = np.exp(score - score.max())
    right = np.zeros(n, np.bool_)
    right[rng.choice(n, p=chance / chance.sum())] = True
    return Sample(f"s{stream}", f"q{i}", asks, values, right, np.arange(n), 1, NAMES)


def _samples(n: int, seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed)
    return [_sample(rng, i, stream=i % 7) for i in range(n)]


def test_planted_weights_come_back() -> None:
    fitted = fit.fit({"one": _samples(6000)}, NAMES, SHARES)
    assert fitted.names == NAMES
    assert fitted.asking == pytest.approx(ASKING, abs=0.35)
    assert fitted.saying == pytest.approx(SAYING, abs=0.35)


def test_the_order_of_questions_sets_and_names_is_nothing_to_the_fit() -> None:
    sets = {"one": _samples(80, 1), "two": _samples(60, 2)}
    plain = fit.fit(sets, NAMES, SHARES)
    rng = random.Random(0)
    mixed = {name: rng.sample(sets[name], len(sets[name])) for name in ("two", "one")}
    other = fit.fit(mixed, NAMES[::-1], SHARES)
    assert other.names == NAMES[::-1]
    assert other.asking[::-1] == pytest.approx(plain.asking, abs=2e-3)
    assert other.saying[::-1] == pytest.approx(plain.saying, abs=2e-3)


def test_a_set_counts_as_its_share_says_however_many_questions_it_has() -> None:
    """Many questions that want more of a signal against few that want less of it."""
    rng = np.random.default_rng(3)

    def wanting(first: bool, n: int) -> list[Sample]:
        found = []
        for i in range(n):
            values = np.zeros((2, len(NAMES)), np.float32)
            values[0, 0], values[1, 4] = rng.uniform(0.5, 1.0, 2)
            right = np.array([first, not first])
            found.append(Sample("s", f"q{i}", True, values, right, np.arange(2), 1, NAMES))
        return found

    sets = {"one": wanting(True, 90), "two": wanting(False, 10)}
    even = fit.fit(sets, NAMES, {"one": 1.0, "two": 1.0}).asking
    assert even[0] == pytest.approx(even[4], abs=0.1)
    most = fit.fit(sets, NAMES, {"one": 1.0, "two": 9.0}).asking
    assert most[4] > most[0] + 1.0


def test_signals_keep_their_direction_whatever_the_data_say() -> None:
    """Of evidence with less of a signal that must not fall, and more of one that must not rise."""
    samples = []
    for sample in _samples(200, 4):
        values = sample.values.copy()
        values[:, 0] = 1.0 - sample.right  # bm25, never of the evidence
        values[:, 2] = sample.right  # question, always
        samples.append(replace(sample, values=values))
    fitted = fit.fit({"one": samples}, NAMES, SHARES)
    for name, asking, saying in zip(NAMES, fitted.asking, fitted.saying, strict=True):
        assert (asking <= 0.0) if name in fit.FALLING else (asking >= 0.0)
        assert saying >= 0.0 or name in fit.FALLING
    assert fitted.asking[0] == fitted.asking[2] == 0.0
    assert fitted.saying[2] > 1.0, "free in a message"
    other = [replace(s, values=np.where([0, 0, 1, 0, 0], 1 - s.values, s.values)) for s in samples]
    assert fit.fit({"one": other}, NAMES, SHARES).saying[2] < -1.0, "either way"


def test_what_only_messages_use_counts_nothing_for_questions() -> None:
    fitted = fit.fit({"one": _samples(300, 5)}, NAMES, SHARES)
    asking, saying = fitted.tables()
    assert "recency" not in asking
    assert "latest" not in asking
    assert saying["recency"] > 0.5
    assert asking["bm25"] == saying["bm25"]


def test_questions_without_evidence_among_their_candidates_do_not_count() -> None:
    samples = _samples(100, 6)
    lost = [replace(sample, right=np.zeros(20, np.bool_)) for sample in _samples(50, 7)]
    plain = fit.fit({"one": samples}, NAMES, SHARES)
    assert fit.fit({"one": samples + lost}, NAMES, SHARES).asking == pytest.approx(plain.asking)


def test_coverage_counts_missing_evidence_and_ties_go_to_the_newer() -> None:
    right = np.array([True, False, False, True])
    sample = Sample(
        "s", "q", True, np.zeros((4, 1), np.float32), right, np.array([5, 7, 9, 8]), 2, ("bm25",)
    )
    level = np.zeros(4)
    assert fit.coverage(sample, level, k=1) == (0.0, 0.0)  # row 9
    assert fit.coverage(sample, level, k=2) == (0.5, 0.0)  # rows 9 and 8
    assert fit.coverage(sample, level, k=4) == (1.0, 1.0)
    assert fit.coverage(sample, np.array([1.0, 0, 0, 0]), k=1) == (0.5, 0.0)
    assert fit.coverage(replace(sample, wanted=4), level, k=4) == (0.5, 0.0)
    assert fit.coverage(replace(sample, wanted=1), level, k=4) == (1.0, 1.0)


def test_a_score_is_of_the_kind_of_query_and_by_name() -> None:
    sample = _samples(1)[0]
    fitted = Fitted(("meaning", "bm25"), np.array([1.0, 2.0]), np.array([5.0, 7.0]))
    meaning, bm25 = sample.values[:, 4], sample.values[:, 0]
    assert fitted.score(sample) == pytest.approx(meaning + 2.0 * bm25)
    assert fitted.score(replace(sample, asks=False)) == pytest.approx(5.0 * meaning + 7.0 * bm25)


def test_of_many_candidates_the_evidence_and_the_best_are_kept() -> None:
    rng = np.random.default_rng(8)
    large = _sample(rng, 0, n=1000)
    rows = fit._kept(large)
    assert len(rows) < 300
    assert set(rows) >= set(np.flatnonzero(large.right))
    for column in (0, 4):
        assert set(rows) >= set(np.argsort(-large.values[:, column])[:50])
    assert fit._kept(large).tolist() == rows.tolist()
    assert len(fit._kept(_sample(rng, 1, n=30))) == 30


def test_a_fold_holds_whole_streams_where_there_are_some() -> None:
    samples = _samples(200)
    found: dict[str, set[int]] = {}
    for sample, fold in zip(samples, fit.folds(samples), strict=True):
        found.setdefault(sample.stream, set()).add(fold)
    assert all(len(folds) == 1 for folds in found.values())
    assert set().union(*found.values()) == set(range(fit.FOLDS))
    single = fit.folds([replace(sample, stream="s") for sample in samples])
    assert set(single) == set(range(fit.FOLDS))


def test_cross_validation_tells_a_set_that_the_others_do_not_help() -> None:
    """Set two wants what set one says nothing of: held out as a whole, it is lost."""
    rng = np.random.default_rng(9)

    def wanting(column: int) -> list[Sample]:
        found = []
        for i in range(60):
            values = np.zeros((40, len(NAMES)), np.float32)
            values[:, column] = rng.uniform(0.0, 1.0, 40)
            right = np.zeros(40, np.bool_)
            right[np.argmax(values[:, column])] = True
            newest = np.roll(np.arange(40), np.argmax(values[:, column]))  # the evidence is oldest
            found.append(Sample(f"s{i % 7}", f"q{i}", True, values, right, newest, 1, NAMES))
        return found

    report = fit.cross_validated({"one": wanting(0), "two": wanting(4)}, NAMES, SHARES)
    assert set(report) == {"one", "two"}
    for row in report.values():
        assert row["questions"] == 60
        assert row["in the fit"] == row["streams held out"] == 1.0
        assert row["all of it, streams held out"] == 1.0
        assert row["set held out"] == 0.0
    alone = fit.cross_validated({"one": wanting(0)}, NAMES, SHARES)
    assert alone["one"]["set held out"] == 1.0, "nothing is left to fit without the only set"


def test_a_stream_held_out_is_judged_by_a_fit_that_never_saw_it() -> None:
    """Every stream wants a signal of its own, of which the others say nothing."""
    names = ("bm25", "coverage", "breadth", "rarest", "meaning")
    samples = []
    for i in range(50):
        values = np.zeros((40, 5), np.float32)
        values[0, i % 5] = 1.0
        right = np.arange(40) == 0  # the oldest, so that no tie finds it
        samples.append(Sample(f"s{i % 5}", f"q{i}", True, values, right, np.arange(40), 1, names))
    row = fit.cross_validated({"one": samples}, names, SHARES)["one"]
    assert row["in the fit"] == 1.0
    assert row["streams held out"] == row["all of it, streams held out"] == 0.0


# ---- from a set to samples ------------------------------------------------------------------

TURNS = [
    {"id": "a", "text": "The spare key hangs behind the blue door.", "session": "1"},
    {"id": "b", "text": "Rain all day.", "session": "2"},
    {"id": "c", "text": "The spare key is now under the pot.", "session": "3"},
    {"id": "d", "text": "The spare key is lost.", "session": "4"},
]
QUERIES = [
    {"qid": "early", "q": "Where is the spare key?", "gold": ["c"], "at": 3},
    {"qid": "late", "q": "Where is the spare key?", "gold": ["a", "b"]},
    {"qid": "first", "q": "Where is the spare key?", "gold": ["a"], "at": 1},
    {"qid": "not asked", "q": "Which key?", "gold": ["a"]},
]


def test_samples_hold_what_recall_would_look_at(make_set: Callable[..., Path]) -> None:
    data = load(make_set("mine", TURNS, QUERIES))
    said: list[str] = []
    samples = fit.collect(data, lambda query: query.qid != "not asked", progress=said.append)
    found = {sample.qid: sample for sample in samples}
    assert said == ["mine: stream 1 of 1"]
    assert set(found) == {"early", "late"}, "one turn is no choice"
    early, late = found["early"], found["late"]
    assert early.names == tuple(SIGNALS)
    assert early.newest.tolist() == [0, 2], "the last turn came after the question"
    assert early.right.tolist() == [False, True]
    assert (early.wanted, late.wanted) == (1, 2)
    assert late.newest.tolist() == [0, 2, 3]
    assert late.right.tolist() == [True, False, False], "a piece of evidence is no candidate"
    assert late.values.shape == (3, len(SIGNALS))
    assert late.values[:, late.names.index("bm25")].max() == 1.0
    assert early.asks


def test_samples_of_scopes_are_every_session_so_far(make_set: Callable[..., Path]) -> None:
    data = load(make_set("mine", TURNS, QUERIES))
    samples = fit.collect(data, lambda query: query.qid == "early", weights=Weights.default())
    (early,) = samples
    assert early.names == SCOPE_SIGNALS
    assert early.right.tolist() == [False, False, True]
    assert early.newest.tolist() == [0, 1, 2]
    assert early.values[:, early.names.index("covered")].tolist() == [1.0, 0.0, 1.0]


def test_doubts_hold_the_clues_of_both_kinds(make_set: Callable[..., Path]) -> None:
    data = load(make_set("mine", TURNS, QUERIES))
    asked = [Question("Where is the spare key?", True), Question("Who won the cup?", False)]
    doubts = fit.collect_doubts(data, {"s": asked}, "foreign", Weights.default())
    assert [doubt.answerable for doubt in doubts] == [True, False]
    assert {doubt.group for doubt in doubts} == {"mine/s"}
    assert {doubt.kind for doubt in doubts} == {"foreign"}
    known, unknown = (dict(zip(fit.CLUES, doubt.clues, strict=True)) for doubt in doubts)
    assert known["covered"] == 1.0
    assert known["best"] > 0.0
    assert not any(unknown.values()), "nothing was found"


# ---- doubts ---------------------------------------------------------------------------------


def _doubts(seed: int, n: int = 300, dense: bool = False) -> list[Doubt]:
    """Answerable ones are better covered, whatever the rest."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        clues = rng.normal(0.0, 1.0, len(fit.CLUES) + dense)
        clues[0] += 3.0 * (i % 2)
        found.append(Doubt(f"set/{i % 11}", ("mild", "hard")[i % 3 == 0], clues, bool(i % 2)))
    return found


def test_a_fit_of_doubts_separates_planted_questions() -> None:
    weights = fit.fit_doubts(_doubts(0))
    assert set(weights) == {"", *fit.CLUES}
    assert weights["covered"] > 1.0
    assert all(abs(weights[name]) < 0.5 for name in fit.CLUES if name != "covered")
    assert set(fit.fit_doubts(_doubts(0, dense=True))) == {"", *fit.CLUES, "nearest"}
    right = 0
    for doubt in _doubts(1):
        told = dict(zip(fit.CLUES, doubt.clues, strict=True))
        odds = weights[""] + sum(weights[name] * value for name, value in told.items())
        right += (odds > 0) == doubt.answerable
    assert right > 0.88 * 300
    assert fit.fit_doubts(_doubts(0)[::-1]) == pytest.approx(weights, abs=5e-3)


def test_doubts_held_out_are_told_apart_by_kind() -> None:
    told = fit.doubts_held_out(_doubts(2))
    assert set(told) == {"mild", "hard"}
    assert all(0.94 < auroc <= 1.0 for auroc in told.values())
    shuffled = [replace(d, answerable=bool(i // 2 % 2)) for i, d in enumerate(_doubts(3))]
    assert all(auroc < 0.75 for auroc in fit.doubts_held_out(shuffled).values())


# ---- the file -------------------------------------------------------------------------------


def test_what_is_written_is_what_weights_read() -> None:
    plain = Fitted(NAMES, ASKING, SAYING)
    near = np.array([0.0, 0.0, 0.0, 0.0, 6.123456])
    dense = Fitted(NAMES, ASKING + near, SAYING + near)
    scopes = Fitted(("covered",), np.array([2.0]), np.array([1.0]))
    text = fit.to_json(Model(plain, scopes, {"": -1.0}), Model(dense, scopes, {"": 1.0}), {"a": 1})
    found = json.loads(text)
    assert text.endswith("}\n")
    assert found["report"] == {"a": 1}
    assert list(found["weights"]) == list(found["scopes"]) == list(found["confidence"]) == [*KINDS]
    weights = Weights(found["weights"], found["confidence"], found["scopes"])
    assert weights.table(asks=True, vectors=False) == {"bm25": 3.0, "question": -1.5}
    assert weights.table(asks=False, vectors=False) == {
        "bm25": 3.0,
        "recency": 2.0,
        "question": 1.0,
    }
    assert weights.table(asks=True, vectors=True)["meaning"] == 6.123
    assert weights.table(asks=False, vectors=True)["recency"] == 2.0
    assert weights.of_scopes(asks=True, vectors=True) == {"covered": 2.0}
    assert weights.of_scopes(asks=False, vectors=False) == {"covered": 1.0}
    assert weights.clues(asks=False, vectors=False) == {"": -1.0}
    assert weights.clues(asks=True, vectors=True) == {"": 1.0}
