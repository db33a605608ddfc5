"""Confidence: a probability, more of it where more speaks for an answer, none where nothing is."""

from __future__ import annotations

from math import exp, inf, log, log1p
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Memory
from holdfast.models.scripted import ScriptedEmbedder
from holdfast.recall import confidence as module
from holdfast.recall.confidence import clues, confidence
from holdfast.recall.fuse import candidates
from holdfast.recall.look import Look
from holdfast.recall.query import parse
from holdfast.recall.weights import KINDS, Weights

from worlds import T0, opened

CLUES = ("covered", "best", "definite", "terms", "undecided", "nearest")
LOOK: Any = None  # where the clues are given, nothing is looked at


def _look(memory: Memory, text: str, embedder: ScriptedEmbedder | None = None) -> Look:
    mirror = memory._mirror
    vector = embedder.embed([text])[0] if embedder else None
    query = parse(text, T0)
    return candidates(mirror.index, query, vector)


finite = st.floats(-1e6, 1e6)


@given(st.dictionaries(st.sampled_from([*CLUES, ""]), finite), st.tuples(*[finite] * 6))
def test_confidence_is_a_logistic_regression_from_0_to_1(
    weights: dict[str, float], values: tuple[float, ...]
) -> None:
    told = dict(zip(CLUES, values, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "clues", lambda *_: told)
        found = confidence(LOOK, np.zeros(1), weights)
    odds = weights.get("", 0.0) + sum(weights.get(name, 0.0) * told[name] for name in CLUES)
    assert 0.0 <= found <= 1.0
    if abs(odds) < 30:
        assert found == pytest.approx(1.0 / (1.0 + exp(-odds)), abs=1e-9)
    else:
        assert found == pytest.approx(float(odds > 0), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_more_of_a_clue_that_counts_for_an_answer_is_more_confidence(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = Weights.default().confidence[kind]
    told = dict.fromkeys(CLUES, 0.5) | {"best": 5.0}
    monkeypatch.setattr(module, "clues", lambda *_: told)
    for name in CLUES:
        least, steps = told[name], []
        for more in (0.0, 0.1, 0.5):
            told[name] = least + more
            steps.append(confidence(LOOK, np.zeros(1), weights))
        told[name] = least
        sign = np.sign(weights.get(name, 0.0))
        assert np.sign(np.diff(steps)).tolist() == [sign, sign], name
    assert weights["covered"] > 0
    assert weights["best"] > 0
    assert ("nearest" in weights) == ("vectors" in kind)


def test_there_is_none_of_it_without_candidates() -> None:
    with opened() as memory:
        for i in range(40):
            memory.observe(f"We planted kelp number {i}.", scope=f"s/{i}")
        assert memory.recall("zebra", tokens=90).confidence == 0.0
        assert 0.0 < (memory.recall("kelp", tokens=90).confidence or 0.0) < 1.0


def test_a_context_that_holds_everything_has_none_to_tell() -> None:
    with opened() as memory:
        memory.observe("We planted kelp.")
        whole = memory.recall("zebra?", tokens=2000)
    assert whole.whole
    assert whole.confidence is None


def test_each_clue_says_what_it_is() -> None:
    with opened() as memory:
        memory.observe("the kelp", scope="a")
        memory.observe("the harbour", scope="a")
        memory.observe("a lighthouse", scope="b")
        memory.observe("a violin", scope="c")
        both, one = _look(memory, "kelp harbour"), _look(memory, "How many kelp zebras?")
        told = clues(both, np.array([3.0, 3.0]))
        assert told["covered"] == pytest.approx(1.0), "by a candidate together with its neighbour"
        assert told["best"] == 3.0
        assert told["definite"] == 0.0
        assert told["terms"] == pytest.approx(log1p(2))
        assert told["undecided"] == pytest.approx(log(2))
        assert "nearest" not in told
        told = clues(one, np.array([2.0, -inf]))
        idf = one.match.idf
        held = [part for part in idf if part < max(idf)]
        assert told["covered"] == pytest.approx(sum(held) / sum(idf))
        assert told["definite"] == 1.0
        assert told["undecided"] == pytest.approx(0.0, abs=1e-9)
        assert clues(_look(memory, "When was the kelp?"), np.zeros(2))["definite"] == 1.0


def test_nearest_is_the_best_cosine() -> None:
    embedder = ScriptedEmbedder()
    with opened(embedder=embedder) as memory:
        memory.observe("kelp forest", scope="a")
        memory.observe("violin", scope="b")
        memory.settle()
        look = _look(memory, "kelp forest", embedder)
        assert clues(look, np.zeros(2))["nearest"] == pytest.approx(1.0, abs=0.02)
    with opened(embedder=ScriptedEmbedder(fail_after=0)) as memory:
        memory.observe("kelp forest", scope="a")
        look = _look(memory, "kelp forest", embedder)
        assert clues(look, np.zeros(1))["nearest"] == 0.0, "it has no vector"


ABOUT_KELP = (
    "How tall does giant kelp grow?",
    "Where did we plant the bull kelp?",
    "Who harvests kelp in the bay?",
    "When is the kelp spore season?",
)
ABOUT_ELSE = (
    "How fast is the train along the bay?",
    "Where did Ana rehearse the symphony?",
    "Who did repair the violin in week 3?",
    "When is the pottery exhibition in March?",
)


@pytest.mark.parametrize("dense", [False, True])
def test_a_memory_about_kelp_is_less_confident_about_another_subject(dense: bool) -> None:
    with opened(embedder=ScriptedEmbedder() if dense else None) as memory:
        for i in range(30):
            memory.observe(f"Tide table {i}: the water in the bay is calm, day {i}.", at=T0 + i)
            memory.observe(f"The giant kelp did grow {i} m tall in week {i}.", at=T0 + i)
            memory.observe(f"Ana did plant bull kelp at Reef {i}.", at=T0 + i)
            memory.observe(f"Bo and Ana harvest the kelp in the bay, run {i}.", at=T0 + i)
            memory.observe(f"The spore season of the kelp is in March 20{i:02}.", at=T0 + i)
        memory.settle()
        own, other = (
            [memory.recall(text, tokens=200).confidence or 0.0 for text in texts]
            for texts in (ABOUT_KELP, ABOUT_ELSE)
        )
    assert min(own) > max(other)
    assert min(other) > 0.0, "each shares a word"
