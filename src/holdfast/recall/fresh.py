"""Put what holds now before what it replaced, where a question asks how things stand.

A step over hits that are ranked already. Of two events that say the same thing of the same matter
the newer one takes the older one's score, and so the place before it; the older one stays, right
behind. Only the best few change places, so what is among them is the same as before.

What makes a restatement is told by a logistic regression over a dozen properties of a pair of
texts; its weights, fitted by scripts/fit_fresh.py, are kept as data beside this file. Questions
about the past, sums and comparisons want every value, and are left as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import sqrt
from types import MappingProxyType
from typing import NamedTuple

from holdfast.derive.sentences import sentences
from holdfast.derive.terms import terms
from holdfast.recall.present import Asked, asked
from holdfast.recall.query import Query
from holdfast.records import Hit, ScopeHit

PART = "fresh"  # what a hit's score gained by it, among its parts
DEPTH = 10  # hits that may change places
DEEP = 20  # hits that may where a question says "now", so that one may come up among the ten
_READ = 1000  # characters of an event that are looked at
_SENTENCES = 20
_RUN = 0.5  # what two terms side by side count, against the terms themselves
_FAR = 2.0  # score by which a better hit is more than a little better
_SMOOTH = 0.5
# What a newer hit must have of what the older one has of the question: more without the rarest of
# its terms, nearly all, in the same words, to come up among the first ten from below.
_LEAST, _HALF, _WHOLE = 0.3, 0.5, 0.9

Said = tuple[str, str]  # a speaker and their words
Tell = Callable[[int], Said | None]


_CHANGE = re.compile(
    r"\b(?:now|actually|already|again|just|finally|new|latest|so far|recently|currently|no longer|"
    r"chang(?:e[ds]?|ing)|updat(?:e[ds]?|ing)|switch(?:ed|ing)?|mov(?:ed?|ing)|instead|anymore|"
    r"increased?|decreased?|reduced|extended|adjusted|improved|reached|rescheduled|postponed|"
    r"upgraded|lowered|expanded|raised?|up to|from now on|(?:going|moving) forward)\b",
    re.IGNORECASE,
)
_MONTHS = "jan|feb|mar|apr|may|june?|july?|aug|sep|oct|nov|dec"
_DATE = re.compile(rf"\b({_MONTHS})[a-z]*\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b", re.IGNORECASE)
_NUMBERS = (
    ("one", 1), ("two", 2), ("three", 3), ("four", 4), ("five", 5), ("six", 6), ("seven", 7),
    ("eight", 8), ("nine", 9), ("ten", 10), ("eleven", 11), ("twelve", 12), ("once", 1),
    ("twice", 2),
)  # fmt: skip
_NUMERALS = {word: str(n) for word, n in _NUMBERS}
_FIGURE = re.compile(
    rf"([$€£¥])?\s?(\d[\d,]*(?:[.:/-]\d+)*|\b(?:{'|'.join(_NUMERALS)})\b)(?:k\b)?(%|\s?percent)?"
    r"(?:st|nd|rd|th)?(?=((?:[-\s]+[A-Za-z]+){0,3}))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """The sentence of an event that holds most of a question, and the figures in and beside it."""

    speaker: str
    held: frozenset[int]  # terms of the question
    runs: frozenset[tuple[int, int]]  # pairs of them, side by side
    words: frozenset[int]  # all of its terms
    mass: float  # idf of `held`
    run_mass: float
    cue: bool  # whether it speaks of a change
    figures: Mapping[int | str, frozenset[str]]


def statement(said: Said | None, question: Asked) -> Statement:
    """Read an event for a question. Linear in its first 1,000 characters."""
    speaker, text = said or ("", "")
    text = text[:_READ]
    idf, runs = question.idf, question.runs
    asked_for, all_runs = idf.keys(), sum(runs.values())
    named = frozenset(asked_for & terms(speaker)) if speaker else frozenset[int]()
    spans = sentences(text)[:_SENTENCES]
    best, most = 0, -1.0
    words: list[int] = []
    held: frozenset[int] = named
    side: frozenset[tuple[int, int]] = frozenset()
    mass = run_mass = 0.0
    for n, (start, end) in enumerate(spans):
        found = terms(text[start:end])
        holds = asked_for & found
        told = sum([idf[t] for t in (holds | named if named else holds)])
        if told + _RUN * all_runs <= most:
            continue  # whatever stands side by side in it
        beside = runs.keys() & pairwise(found) if len(holds) > 1 else frozenset()
        ran = sum([runs[pair] for pair in beside])
        if told + _RUN * ran > most + 1e-9:
            best, most, words = n, told + _RUN * ran, found
            held, side, mass, run_mass = named | holds, frozenset(beside), told, ran
    around = spans[max(0, best - 1) : best + 2]
    return Statement(
        speaker,
        held,
        side,
        frozenset(words),
        mass,
        run_mass,
        bool(spans) and _CHANGE.search(text, *spans[best]) is not None,
        figures(" ".join(text[start:end] for start, end in around)) if around else {},
    )


def figures(text: str) -> dict[int | str, frozenset[str]]:
    """The numbers of a text by what they count: a currency, percent, a date, or the words after.

    Examples
    --------
    >>> found = figures("I paid $1,200 on May 3rd, 5% off")
    >>> sorted(found["$"]), sorted(found["date"]), sorted(found["%"])
    (['1200'], ['may3'], ['5'])
    """
    found: dict[int | str, set[str]] = {}
    for date in _DATE.finditer(text):
        found.setdefault("date", set()).add(date[1][:3].lower() + date[2])
    for money, number, percent, rest in _FIGURE.findall(text):
        value = _NUMERALS.get(number.lower(), number).replace(",", "")
        units: list[int | str] = ["$"] if money else ["%"] if percent else [*terms(rest)[:2]]
        for unit in units:
            found.setdefault(unit, set()).add(value)
    return {unit: frozenset(values) for unit, values in found.items()}


class Placed(NamedTuple):
    """One hit, as this step sees it."""

    score: float
    seq: int  # the newer, the higher
    said: Statement


def placed(question: Asked, score: float, seqs: Sequence[int], tell: Tell) -> Placed:
    """A hit as the one of its events that says most of the question."""
    read = [(seq, statement(tell(seq), question)) for seq in seqs]
    none = (0, statement(None, question))
    best = max(read, key=lambda one: one[1].mass + _RUN * one[1].run_mass, default=none)
    return Placed(score, *best)


NAMES = (
    *("", "gap", "far", "mass", "core", "whole", "run", "frame", "excess", "alike", "head"),
    *("same head", "cue", "cue before", "cue and core", "between", "now", "past", "plain"),
    *(
        "plain now",
        "changed",
        "changed plain",
        "unit",
        "unit lost",
        "rarest",
        "past whole",
        "past changed",
    ),
    *("rank", "deep"),
)


def pair(question: Asked, hits: Sequence[Placed], old: int, new: int) -> list[float] | None:
    """What tells whether the newer of two hits restates the older; None if it cannot.

    In the order of `NAMES`. ``core`` is the share of what the older holds of the question that the
    newer holds too, ``frame`` the same of pairs of terms, ``excess`` what only the newer holds.
    A figure that is asked for must be there, what the asker says of themselves must be theirs, and
    so much of the matter must be named that it can be the same one.
    """
    before, after = hits[old].said, hits[new].said
    if question.value and not after.figures:
        return None
    if question.own and before.speaker != after.speaker:
        return None
    idf, runs = question.idf, question.runs
    whole = sum(idf.values()) or 1.0
    old_mass = before.mass or 1e-9
    shared = sum(idf[t] for t in before.held & after.held)
    core = shared / old_mass
    rarest = max(before.held, key=lambda t: (idf[t], t), default=None)
    has_rarest = rarest is None or rarest in after.held
    least = _WHOLE if new >= DEPTH else _LEAST if has_rarest else _HALF
    if core < least or (new >= DEPTH and not before.runs & after.runs):
        return None
    frame = sum(runs[side] for side in before.runs & after.runs) + _SMOOTH
    head = sum(idf.get(t, 0.0) for t in question.head) or 1.0
    head_old = sum(idf[t] for t in question.head & before.held)
    head_both = sum(idf[t] for t in question.head & before.held & after.held)
    common = len(before.words & after.words)
    seq, gap = hits[old].seq, hits[old].score - hits[new].score
    counted = before.figures.keys() & after.figures.keys()
    changed = any(not after.figures[unit] <= before.figures[unit] for unit in counted)
    now, past = question.kind.startswith("now"), question.kind.startswith("past")
    value = question.value
    return [
        1.0,
        gap,
        max(0.0, gap - _FAR),
        after.mass / whole,
        core,
        float(core > _WHOLE),
        after.run_mass / (sum(runs.values()) or 1.0),
        frame / (before.run_mass + _SMOOTH),
        min(1.0, (after.mass - shared) / old_mass),
        common / (sqrt(len(before.words) * len(after.words)) or 1.0),
        sum(idf[t] for t in question.head & after.held) / head,
        (head_both + _SMOOTH) / (head_old + _SMOOTH),
        float(after.cue),
        float(before.cue),
        core * after.cue,
        float(min(6, sum(hits[k].seq > seq for k in range(old + 1, new)))),
        float(now),
        float(past),
        float(not value and not now and not past),
        float(not value and now),
        float(value and changed),
        float(not value and changed),
        float(question.unit in after.figures),
        float(question.unit in before.figures and question.unit not in after.figures),
        float(has_rarest),
        float(past and core > _WHOLE),
        float(past and changed),
        float(min(5, old)),
        float(new >= DEPTH),
    ]


@dataclass(frozen=True)
class Model:
    """The regression, and the log odds from which on each kind of question is reordered by it."""

    weights: tuple[float, ...]
    bars: Mapping[str, float]


@cache
def model(of: str) -> Model:
    """The fitted model of ``events`` or of ``scopes``."""
    text = files("holdfast.recall").joinpath("fresh.json").read_text(encoding="utf-8")
    found = json.loads(text)[of]
    weights = tuple(found["weights"][name] for name in NAMES)
    return Model(weights, MappingProxyType(found["bars"]))


Pairs = Mapping[tuple[int, int], Sequence[float]]


def lift(question: Asked, hits: Sequence[Placed], by: Model) -> list[float]:
    """The score of each hit after the step: its own, or that of the best it restates.

    Notes
    -----
    Never lower than before, and always one of the scores that were there. O(n²) in the hits.
    """
    pairs = {
        (old, new): told
        for old in range(len(hits))
        for new in range(old + 1, len(hits))
        if hits[new].seq > hits[old].seq and (told := pair(question, hits, old, new)) is not None
    }
    scores, seqs = [one.score for one in hits], [one.seq for one in hits]
    return lifted(scores, seqs, pairs, by, question.kind)


def lifted(
    scores: Sequence[float], seqs: Sequence[int], pairs: Pairs, by: Model, kind: str
) -> list[float]:
    """As `lift`, from the features of each pair of an older hit and a newer one below it.

    An older hit makes room for its likeliest restatement; for all, where the question says "now".
    """
    bar, each = by.bars[kind], kind.startswith("now")
    likely: dict[int, list[tuple[float, int]]] = {}
    for (old, new), told in pairs.items():
        odds = sum(w * x for w, x in zip(by.weights, told, strict=True))
        if odds > bar:
            likely.setdefault(old, []).append((odds, -new))
    over: dict[int, list[int]] = {}
    for old, found in likely.items():
        for _, new in found if each else [max(found)]:
            over.setdefault(-new, []).append(old)
    raised = list(scores)
    for new in sorted(over, key=lambda n: seqs[n]):  # in order of time: a chain carries through
        raised[new] = max(raised[new], *(raised[old] for old in over[new]))
    return raised


def fresh_first(query: Query, idf: Sequence[float], hits: Sequence[Hit], tell: Tell) -> list[Hit]:
    """Hits with what was restated behind its restatement; only the first few change places.

    Parameters
    ----------
    idf
        Of the query's terms, among what it may see.
    hits
        Best first, ties to the newer.
    tell
        Who said an event, and what.

    Returns
    -------
    The same events. One that moved has the score of the one it passed, and a part ``fresh``.

    Notes
    -----
    Reads the text of the first ten events (of twenty, where the question says "now"), if the
    question asks how things stand, and else none.

    References
    ----------
    That similarity alone does not prefer the current value is measured by Wu et al.,
    LongMemEval, arXiv:2410.10813 (knowledge updates), and Tavakoli et al., arXiv:2510.27246.
    Time decay as in Park et al., Generative Agents, arXiv:2304.03442, prefers what is new whatever
    it says; here age alone moves nothing, only a restatement does.
    """
    question = asked(query, idf)
    by = model("events")
    if question is None or question.kind not in by.bars or len(hits) < 2:
        return list(hits)
    best = hits[: depth(question.kind)]
    seen = [placed(question, hit.score, (hit.seq,), tell) for hit in best]
    moved = [
        hit if score == hit.score else _moved(hit, score)
        for hit, score in zip(best, lift(question, seen, by), strict=True)
    ]
    moved.sort(key=lambda hit: (-hit.score, -hit.seq))
    return [*moved, *hits[len(best) :]]


def depth(kind: str) -> int:
    """Hits that may change places: more where the question says "now"."""
    return DEEP if kind.startswith("now") else DEPTH


def _moved(hit: Hit, score: float) -> Hit:
    parts = {**hit.parts, PART: score - hit.score} if hit.parts else hit.parts
    return replace(hit, score=score, parts=parts)


def fresh_scopes_first(
    query: Query, idf: Sequence[float], hits: Sequence[ScopeHit], tell: Tell
) -> list[ScopeHit]:
    """As `fresh_first`, of scopes: each speaks by that of its named events which says most.

    Notes
    -----
    Reads the text of up to three events of each of the first ten scopes, or of twenty.
    """
    question = asked(query, idf, anyone=True)
    by = model("scopes")
    if question is None or question.kind not in by.bars or len(hits) < 2:
        return list(hits)
    best = hits[: depth(question.kind)]
    seen = [placed(question, hit.score, hit.seqs, tell) for hit in best]
    scores = lift(question, seen, by)
    order = sorted(range(len(best)), key=lambda n: (-scores[n], -seen[n].seq))
    moved = [
        best[n]
        if scores[n] == best[n].score
        else replace(
            best[n], score=scores[n], parts={**best[n].parts, PART: scores[n] - best[n].score}
        )
        for n in order
    ]
    return [*moved, *hits[len(best) :]]
