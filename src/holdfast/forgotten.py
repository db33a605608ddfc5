"""Whether a memory knew once what it is asked about: what is kept, and which words were lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log, log1p

from holdfast.codec import to_record
from holdfast.ledger.records import Forgotten, Verdict
from holdfast.ledger.words import by_word
from holdfast.mirror import Mirror
from holdfast.read import Embed, Embedding, Filters, Reader, weigh
from holdfast.recall.fuse import Ranking
from holdfast.records import Record, Tier

VERDICTS: tuple[Verdict, ...] = ("still known", "knew once", "never knew")
SURE = 0.7
"""The chance from which on one of them is given."""
_DEEP = 10  # hits that are looked at
_LEAST = 0.05  # of the weight of all of them, that a trace must have to be shown
_MOST_TRACES = 5

# Log-odds, fitted over public questions put to full memories (`bench.forgotten`): that what is kept
# answers the query, by recall's own confidence; and if not, that it was known once, not never.
HELD = {"": -0.68, "confidence": 0.67}
ONCE = {"": 0.43, "unheard": -3.53, "more unheard": -1.19, "lost": 0.23}


@dataclass(frozen=True, slots=True)
class Signs:
    """What the chances are told from.

    `confidence` is that of recall, `traces` the weight of traces among the best hits. `known` is
    the share of all lowered events whose words are known; 1 if none ever was.
    """

    confidence: float
    traces: float
    lost: int  # words of the query that are in nothing kept, and were in something once
    unheard: int  # words that never came up
    known: float
    anything: bool  # whether any event was ever lowered


@dataclass(frozen=True, slots=True)
class Found:
    """The signs, and what they are of; `spans` are times of the eras that most lost words share."""

    signs: Signs
    traces: tuple[Record, ...]
    spans: Sequence[tuple[float, float]]
    lost: tuple[str, ...]
    unheard: tuple[str, ...]


def chances(signs: Signs) -> dict[str, float]:
    """How likely it is that what a query asks about is still known, was known once, or never."""
    held, once = _chance(HELD, held_clues(signs)), 0.0
    if signs.anything:
        untold = replace(signs, unheard=0)  # a word may have gone with an event that is not known
        told, other = (_chance(ONCE, once_clues(each)) for each in (signs, untold))
        once = signs.known * told + (1 - signs.known) * other
    return {
        "still known": held * (1 - signs.traces),
        "knew once": held * signs.traces + (1 - held) * once,
        "never knew": (1 - held) * (1 - once),
    }


def held_clues(signs: Signs) -> dict[str, float]:
    """What tells whether what is kept answers."""
    sure = min(max(signs.confidence, 1e-3), 1 - 1e-3)
    return {"": 1.0, "confidence": log(sure / (1 - sure))}


def once_clues(signs: Signs) -> dict[str, float]:
    """What tells, if it does not, whether something that is gone would have."""
    return {
        "": 1.0,
        "unheard": float(signs.unheard > 0),
        "more unheard": log1p(max(0, signs.unheard - 1)),
        "lost": log1p(signs.lost),
    }


def forgotten(
    reader: Reader, text: str, filters: Filters, speaker: str | None = None
) -> Generator[Embed, Embedding, Forgotten]:
    """Whether the memory knew once what a query asks about, and when."""
    found = yield from look(reader, text, filters, speaker)
    told = chances(found.signs)
    best = max(VERDICTS, key=lambda name: told[name])
    verdict: Verdict = best if told[best] >= SURE else "don't know"
    times = [record.event.at or 0.0 for record in found.traces]
    spans = [(min(times), max(times))] if times else found.spans
    between = (min(a for a, _ in spans), max(b for _, b in spans)) if spans else None
    return Forgotten(
        text, verdict, told[best], told, found.traces, between, found.lost, found.unheard
    )


def look(
    reader: Reader, text: str, filters: Filters, speaker: str | None = None
) -> Generator[Embed, Embedding, Found]:
    """What there is to judge a query by."""
    ranking = yield from weigh(reader, text, filters, _DEEP, speaker)
    mirror = reader.mirror
    with mirror.lock:
        lost, unheard = _words(mirror, text)
        totals, words = mirror.ledger.totals, mirror.ledger.words
        known = min(1.0, words.events / totals.lowered) if totals.lowered else 1.0
        eras = Counter(lost.values())
        spans = [words.span(era) for era, n in eras.items() if n == max(eras.values())]
    weight, traces = _traces(mirror, ranking)
    signs = Signs(ranking.confidence, weight, len(lost), len(unheard), known, bool(totals.lowered))
    return Found(signs, traces, spans, tuple(lost), tuple(unheard))


def _words(mirror: Mirror, text: str) -> tuple[dict[str, int], list[str]]:
    """Words of a query that were lost, each with an era, and those that never came up."""
    found = by_word(text)
    terms = sorted({term for held in found.values() for term in held})
    kept = dict(zip(terms, mirror.postings.df(terms).tolist(), strict=True))
    known = dict(zip(terms, mirror.ledger.words.look(terms), strict=True))
    lost: dict[str, int] = {}
    unheard: list[str] = []
    for word, held in found.items():
        if any(kept[term] for term in held):
            continue
        eras = [known[term] for term in held]
        seen = [era for era in eras if era is not None and era >= 0]
        if seen:
            lost[word] = max(seen)
        elif None not in eras:
            unheard.append(word)
    return lost, unheard


def _traces(mirror: Mirror, ranking: Ranking) -> tuple[float, tuple[Record, ...]]:
    """The weight of traces among the best hits, and those that have some."""
    rows = [(hit, mirror.row(hit.seq)) for hit in ranking.hits]
    held = [(hit.score, row) for hit, row in rows if row is not None]
    if not held:
        return 0.0, ()
    weights = _shares([score for score, _ in held])
    left = [(w, row) for w, (_, row) in zip(weights, held, strict=True) if row.tier == Tier.TRACE]
    shown = [to_record(row) for weight, row in left if weight >= _LEAST]
    return sum(weight for weight, _ in left), tuple(shown[:_MOST_TRACES])


def _shares(scores: Sequence[float]) -> list[float]:
    """Scores, which are log-odds up to a constant, as shares of one."""
    odds = [exp(score - max(scores)) for score in scores]
    return [each / sum(odds) for each in odds]


def _chance(weights: Mapping[str, float], clues: Mapping[str, float]) -> float:
    odds = sum(weights[name] * value for name, value in clues.items())
    return 1.0 / (1.0 + exp(-max(-50.0, min(50.0, odds))))
