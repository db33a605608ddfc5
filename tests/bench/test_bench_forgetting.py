"""The meter of forgetting: what is true of a question, and how good the chances are."""

from __future__ import annotations

import random

import pytest

from holdfast import Event
from holdfast.bench.datasets import Dataset, Query, Targets, Turn
from holdfast.bench.forgetting import Answered, ask, fit, score
from holdfast.forgotten import VERDICTS, Signs

KNOWN, ONCE, NEVER = range(3)


def dataset() -> Dataset:
    """Two streams with a question each."""
    streams, queries = {}, {}
    for name, thing in (("one", "iguana"), ("two", "violin")):
        streams[name] = tuple(
            Turn(name, i, f"{name}{i}", "s", 1000.0 * i, "Ana", f"The {thing} number {i} is here.")
            for i in range(6)
        )
        found = Targets(frozenset({f"{name}3"}))
        queries[name] = (
            Query(f"q{name}", name, None, f"where is the {thing}?", "t", found,
                  Targets(frozenset({"s"}))),
        )  # fmt: skip
    return Dataset("small", streams, queries)


@pytest.mark.parametrize("half", [0, 1])
def test_half_was_never_told(half: int) -> None:
    answers = ask(dataset(), half, "1 MiB", "demand")
    truth = [KNOWN, NEVER] if half == 0 else [NEVER, KNOWN]
    assert [one.truth for one in answers] == truth
    assert [one.signs.unheard for one in answers] == [int(t == NEVER) for t in truth]


def test_what_is_pushed_out_was_known_once() -> None:
    rng = random.Random(1)
    filler = [Event(rng.randbytes(4000).hex()) for _ in range(400)]
    one, _ = ask(dataset(), 0, "640 KiB", "oldest", filler)
    assert one.truth == ONCE
    assert one.signs.lost == 1


def test_the_score_is_that_of_the_chances() -> None:
    sure = Signs(0.999, 0.0, 0, 0, 1.0, anything=True)
    new = Signs(0.001, 0.0, 0, 4, 1.0, anything=True)
    right = score([Answered("", sure, KNOWN), Answered("", new, NEVER)])
    wrong = score([Answered("", sure, NEVER), Answered("", new, KNOWN)])
    assert right["brier"] < 0.1 < 1.0 < wrong["brier"]
    assert right["still known"] == {"n": 1, "said": 1, "right": 1.0, "found": 1.0}
    assert wrong["still known"]["right"] == 0.0
    assert [right[name]["n"] for name in VERDICTS] == [1, 0, 1]


def test_a_fit_finds_what_tells() -> None:
    rng = random.Random(2)
    clues = [{"": 1.0, "tells": rng.random(), "does not": rng.random()} for _ in range(600)]
    true = [rng.random() < clue["tells"] for clue in clues]
    found = fit(clues, true, [n % 3 for n in range(600)])
    assert found["tells"] > 1.5
    assert abs(found["does not"]) < 1.0
