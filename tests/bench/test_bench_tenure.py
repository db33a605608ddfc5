"""The precision benchmark: an honest corpus, and aliases that carry what words cannot."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from holdfast.bench import tenure
from holdfast.bench.tenure import indexed, run
from holdfast.bench.tenure_corpus import LEARNT, Case, Corpus, corpus, sees, strange_words
from holdfast.cli.bench import bench
from holdfast.models.base import Vectors
from holdfast.state.wording import asked_terms


@pytest.fixture(scope="module")
def made() -> Corpus:
    return corpus()


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return run(embedder=None)


def rows(result: dict[str, Any], split: str) -> dict[str, dict[str, Any]]:
    return {row["system"]: row for row in result["results"] if row["split"] == split}


def test_the_corpus_is_one_vocabulary_with_much_that_must_not_come_back(made: Corpus) -> None:
    assert len({case.domain for case in made.cases}) == 8
    allowed = {belief.id for belief in made.visible}
    for case in made.cases:
        assert 1 <= len(case.relevant) <= 3
        assert case.relevant <= allowed
    for domain in {case.domain for case in made.cases}:
        mine = [belief for belief in made.visible if belief.id.startswith(domain + ".")]
        assert 12 <= len(mine) <= 40
    hidden = [belief for belief in made.beliefs if belief.id not in allowed]
    assert any(belief.superseded_by for belief in hidden)
    assert any(belief.status == "disputed" for belief in hidden)
    assert any(belief.scope == "quarantine" for belief in hidden)
    assert any(belief.scope.startswith("user/jon") for belief in hidden)
    assert len(hidden) > len(allowed) / 2


def test_half_of_the_cases_need_words_that_no_belief_holds(made: Corpus) -> None:
    learnt = [case for case in made.cases if case.kind in LEARNT]
    assert len(learnt) == len(made.cases) / 2 == 36
    assert all(strange_words(made, case) for case in learnt)


@pytest.mark.parametrize("split", ["test", "tune"])
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_what_is_asked_was_never_taught(seed: int, split: str) -> None:
    made = corpus(seed, split)
    taught = {frozenset(asked_terms(use.query)) for use, _ in made.uses}
    assert not taught & {frozenset(asked_terms(case.query)) for case in made.cases}


def test_the_domains_that_constants_were_chosen_on_are_others(made: Corpus) -> None:
    tune = corpus(7, "tune")
    assert not {case.domain for case in made.cases} & {case.domain for case in tune.cases}
    assert not {b.subject for b in made.beliefs} & {b.subject for b in tune.beliefs}
    assert not set(made.unrelated) & set(tune.unrelated)


def test_alias_bm25_is_precise_and_nothing_hidden_comes_back(result: dict[str, Any]) -> None:
    ours = rows(result, "test")["alias BM25"]
    assert ours["precision"] >= 0.98
    assert ours["recall"] >= 0.98
    assert ours["violations"] == 0
    assert ours["drift"] < 0.05  # at most one of 24 unrelated questions
    assert rows(result, "tune")["alias BM25"]["precision"] >= 0.98
    spread = result["spread"]
    assert spread["precision"][0] >= 0.96
    assert spread["precision"][1] >= 0.98
    assert spread["violations"] == 0
    assert spread["drift"][1] < 0.01


def test_it_is_the_aliases_that_do_it(result: dict[str, Any]) -> None:
    plain = rows(result, "test")["BM25, no aliases"]
    assert plain["precision"] < 0.6
    assert plain["by_kind"]["asked"] == 1
    assert plain["by_kind"]["nickname"] < 0.1


def test_hidden_beliefs_stay_hidden_whatever_is_asked(made: Corpus) -> None:
    index = indexed(made)
    allowed = {belief.id for belief in made.visible}
    for belief in made.beliefs:
        hits = index.search(f"{belief.text} {belief.value}", visible=sees, limit=50)
        assert {hit.belief.id for hit in hits} <= allowed


class Letters:
    """Vectors that count letters: wrong, but the same each time."""

    name, dimensions = "letters", 26

    def embed(self, texts: Any) -> Vectors:
        counts: npt.NDArray[np.float32] = np.array(
            [[text.lower().count(chr(97 + n)) for n in range(26)] for text in texts], np.float32
        )
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def test_dense_rows_get_their_best_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenure, "resolve", lambda table, name: Letters())
    found = [row for row in run(embedder="letters")["results"] if row["split"] == "test"]
    assert [row["setting"].endswith("(its best)") for row in found[2:]] == [
        True, True, False, False, True, True, False, False, True,
    ]  # fmt: skip
    within, top = (next(r for r in found if r["setting"].startswith(s)) for s in ("best", "top 1"))
    assert within["precision"] >= top["precision"] > 0
    assert all(row["violations"] == 0 for row in found)


def test_an_empty_answer_has_no_precision() -> None:
    case = Case("c", "d", "asked", "q", frozenset({"a", "b"}))
    assert tenure._precision_recall(case, []) == (0.0, 0.0)
    assert tenure._precision_recall(case, ["a", "x"]) == (0.5, 0.5)


def test_the_command_writes_json_and_prints_a_table(tmp_path: Path) -> None:
    out = tmp_path / "tenure.json"
    done = CliRunner().invoke(bench, ["tenure", "--embedder", "none", "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "alias BM25" in done.output
    assert "left out: no embedder was asked for" in done.output
    saved = json.loads(out.read_text())
    assert saved["benchmark"] == "tenure"
    assert SimpleNamespace(**rows(saved, "test")["alias BM25"]).cases == 72
