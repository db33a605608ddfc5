"""What a question asks of the present: whether a newer value answers it better than an older."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from holdfast.derive.terms import query_terms, terms
from holdfast.recall.query import Query, Wants

_IDLE = frozenset(
    terms(
        "current currently now nowadays still today latest newest recent recently always usually "
        "normally typically generally often ever"
    )
)
"""What says when or how often, and not what of."""
_HEAD = 3  # terms at the start of a question that name what is asked of its subject


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b", re.IGNORECASE)


_NOW = _any(
    "current(?:ly)?|now|nowadays|latest|newest|still|today|recent(?:ly)?|to date|up to date",
    "at the moment|so far|these days",
)
_THEN = _any(
    "previous(?:ly)?|original(?:ly)?|initially|formerly|earlier|earliest|first|before|prior|ago",
    "used to|in the past|back (?:then|when)|beginning|(?<!how )old|when did|over time|from .* to",
)
_SEVERAL = _any(
    "(?<!my )total|sum|altogether|combined?|overall|in all|across|both|all (?:of )?(?:the|my)",
    "more|less|fewer|than|difference|differ(?:s|ed)?|distinct|compared?|comparison|between",
    "passed|elapsed|(?:what|which|the|chronological) order|order of|sequence|timeline|ever|never",
    r"considering|summar\w+|evolved?|chang(?:e|ed) (?:over|from|in)",
    r"how (?:did|has|have) .* (?:chang|improv|evolv|progress|develop)\w*",
)
_PAST = _any("did", "was", "were", "had")
_VALUE = _any(
    "how (?:many|much|long|old|far|often|tall|big|fast|frequently)",
    r"what(?:'s| is| was| are)? .*\b(?:number|percent(?:age)?|amount|price|cost|score|budget|rate|"
    "salary|limit|quota|target|goal|accuracy|coverage|speed|threshold|reading|fees?|size|count|"
    "time|length|average|usage|date|setting|record|best|level|age)",
    "when (?:is|are)|what (?:time|date|score)|deadline",
)
_UNITS = (
    ("date", _any("when|deadline|(?:what|which) (?:date|day)")),
    ("%", _any("percent(?:age)?|accuracy|coverage|success rate")),
    ("$", _any("budget|price|cost|salary|rent|fees?|amount|pay|income|loan|worth|money")),
)
_COUNTED = re.compile(r"\bhow many (?:different |new )?(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """A question about how things stand: its terms, the pairs they form, and what each counts.

    `head` are its first terms, `unit` what the figure that is asked for counts: a term, "$", "%" or
    "date". `own` says that it is of the asker's, and nobody else may say what has become of it.

    `kind` is ``value`` where a figure or a date is asked for; ``now`` where the question says so,
    and ``past`` where it is in the past tense, come before it.
    """

    kind: str
    idf: Mapping[int, float]
    runs: Mapping[tuple[int, int], float]
    head: frozenset[int]
    own: bool
    unit: int | str | None

    @property
    def value(self) -> bool:
        """Whether a figure or a date is asked for."""
        return self.kind.endswith("value")


def asked(query: Query, idf: Sequence[float], *, anyone: bool = False) -> Asked | None:
    """What a question asks of the present; None if it is none, or wants more than one value.

    Parameters
    ----------
    idf
        Of the query's terms.
    anyone
        Whether somebody else may say what has become of something of the asker's.

    Examples
    --------
    >>> from holdfast.recall.query import parse
    >>> def kind(text):
    ...     query = parse(text, 0.0)
    ...     found = asked(query, [1.0] * len(query.terms))
    ...     return found and found.kind
    >>> kind("How many bikes do I own?"), kind("Where does Ana live now?")
    ('value', 'now')
    >>> kind("When did I buy my first bike?"), kind("How much did I spend in total?")
    (None, None)
    """
    text = query.text.replace("’", "'")
    if not query.asks or _SEVERAL.search(text):
        return None
    value, now = _VALUE.search(text) is not None, _NOW.search(text) is not None
    if (not now and _THEN.search(text)) or (not value and query.wants & Wants.ADVICE):
        return None
    tense = "now" if now else "past" if _PAST.search(text) else ""
    kind = " ".join(filter(None, (tense, "value" if value else ""))) or "plain"
    told = {t: w for t, w in zip(query.terms, idf, strict=False) if t not in _IDLE}
    order = [t for t in query_terms(query.text) if t in told]
    runs = {(a, b): (told.get(a, 0.0) + told.get(b, 0.0)) / 2 for a, b in pairwise(order) if a != b}
    own = bool(query.wants & Wants.OWN) and not anyone
    return Asked(kind, told, runs, frozenset([*told][:_HEAD]), own, _unit(text) if value else None)


def _unit(text: str) -> int | str | None:
    counted = _COUNTED.search(text)
    if counted is not None:
        return next(iter(terms(counted[1])), None)
    return next((unit for unit, cue in _UNITS if cue.search(text)), None)
