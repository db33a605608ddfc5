"""The belief index: BM25 over the fields of current beliefs and what people call them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf, log, sqrt
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.derive.terms import terms
from holdfast.state.aliases import asked_terms
from holdfast.state.records import Belief
from holdfast.state.slots import plain

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.uint32]
Indices = npt.NDArray[np.intp]

FIELDS: Mapping[str, float] = MappingProxyType(
    {"subject": 1.5, "predicate": 1.5, "value": 1.0, "aliases": 1.5, "why_it_matters": 0.4}
)
"""What one occurrence of a term counts for, by field."""

_K1 = 1.2
_B = 0.3  # beliefs are short, and a long value is no reason against one
_PIVOT = 8.0  # terms in a belief of ordinary length
_WHOLE = 1.5  # the weighted frequency that covers a term wholly
KINP = 0.5
FULL = 2
SURE = 1.0
STANDS = ("subject", "attribute", "belief")
KINB = 0.4
KINO = 0.4
SURE = 1.0
_CLOSE = 0.97  # of the best coverage: what covers less is another thing
_ENOUGH = 0.35  # of the query's idf mass: what holds less answers another question
_RARE = 6.0  # the most that a word counts for which no belief holds
_SPARE = 64  # dead rows that are always tolerated


class BeliefHit(NamedTuple):
    """A belief that answers a query, its score, and the score's parts by field."""

    belief: Belief
    score: float
    parts: Mapping[str, float]


class _Run:
    """The rows that hold one term, and the term's weighted frequency in each. Append-only."""

    __slots__ = ("_rows", "_weights")

    def __init__(self) -> None:
        self._rows = array("I")
        self._weights = array("f")

    def add(self, row: int, weight: float) -> None:
        self._rows.append(row)
        self._weights.append(weight)

    def among(self, seen: npt.NDArray[np.bool_]) -> tuple[Rows, Floats]:
        """Those rows that are seen, and their weights; copies, so that the run can grow."""
        rows = np.frombuffer(self._rows, np.uint32)
        kept = seen[rows]
        return rows[kept], np.frombuffer(self._weights, np.float32)[kept]


class _Row(NamedTuple):
    """What the index holds of a belief."""

    belief: Belief
    text: Mapping[int, float]  # term: weighted frequency, given aliases included
    aliases: Mapping[int, float]  # term: weight, learnt aliases only
    length: int


class _Found(NamedTuple):
    """A term of the query: its idf, the seen rows that hold it, and how heavily each does."""

    term: int
    idf: float
    rows: Rows
    weights: Floats


class BeliefIndex:
    """Which current beliefs answer a query, and only those.

    A belief's score is BM25 over weighted fields: the term frequencies of all fields are weighted
    and added before they saturate. Then the list is cut, twice.

    What a belief *covers* is the sum of the idf of the query's terms that it holds, each times how
    far its weighted frequency reaches that of a name. Only beliefs that cover at least 97% of what
    the best one covers are returned: "the port of the staging database" does not also bring the
    port of the production database, which lacks a word that tells the two apart, nor the host of
    the staging database. Beliefs with the same words cover the same, so a question with several
    answers gets them all.

    And the terms a belief holds must have at least 35% of the idf of all of the query's terms,
    words that no belief holds included: an unrelated question that shares one word brings nothing.

    An alias that was learnt for one belief holds at half its weight for the other visible beliefs
    about the same subject: who calls the staging database "the sandbox" when asking for its port
    will do so when asking for its host.

    Parameters
    ----------
    history
        Also hold what has ended, to be searched with `at`. What is only disputed is never held.

    Notes
    -----
    Only beliefs that are `current` are held, unless it is for history. Beliefs that are not visible
    change nothing: they are counted neither in N nor in df, their aliases reach nobody, and the
    length that counts as average is fixed. Equal scores are in order of `recorded_at`, the newest
    first, then of id; the result does not depend on the order of `put`.

    `put` and `remove` are O(terms), amortised: rows are only ever added, and all are rewritten
    once most are dead. `search` is O(rows + postings of the query's terms) in numpy and calls
    `visible` once per distinct scope. About 1 KB a belief. Thread-safety is the caller's business.

    Examples
    --------
    >>> from holdfast.state.records import Belief
    >>> def belief(id: str, *said: str) -> Belief:
    ...     return Belief(id, *said, "fact", "", "asserted", 2, ("u",), (), 0.0, None, 0.0, None)
    >>> index = BeliefIndex()
    >>> index.put(belief("b1.0", "staging database", "port", "5433"))
    >>> index.put(belief("b2.0", "production database", "port", "5432"), {"the real one": 0.5})
    >>> [hit.belief.value for hit in index.search("what port does the staging database use")]
    ['5433']
    >>> [hit.belief.value for hit in index.search("which port has the real one?")]
    ['5432']

    References
    ----------
    Robertson, Zaragoza and Taylor, Simple BM25 Extension to Multiple Weighted Fields,
    doi:10.1145/1031171.1031181: frequencies are weighted before saturation.

    Flynt, Beyond Similarity Search: Tenure and the Case for Structured Belief State in LLM Memory,
    arXiv:2605.11325: typed beliefs, hard scopes, BM25 over text and aliases. Here idf is that of
    the visible beliefs, aliases have weights and reach over to the same subject, and the list is
    cut by coverage.
    """

    def __init__(self, *, history: bool = False) -> None:
        self._history = history
        self._clear()

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, id: str) -> bool:
        return id in self._row_of

    def put(self, belief: Belief, aliases: Mapping[str, float] = MappingProxyType({})) -> None:
        """Index a belief in place of the one of this id; one that is not current is removed.

        Parameters
        ----------
        aliases
            Phrase to weight of what was learnt, at least 0; beside `belief.aliases`, whose weight
            is 1.

        Raises
        ------
        ValueError
            If a weight is negative or not a number. The index is unchanged.
        """
        if any(not weight >= 0 for weight in aliases.values()):
            raise ValueError(
                f"an alias of belief {belief.id} has a weight that is negative or not a number; "
                "give at least 0"
            )
        self.remove(belief.id)
        if belief.status != "disputed" and (self._history or belief.current):
            self._add(_row(belief, dict(aliases)))

    def remove(self, id: str) -> None:
        """Forget a belief; nothing happens if it is not held."""
        row = self._row_of.pop(id, None)
        if row is None:
            return
        self._rows[row] = None
        self._alive[row] = 0
        dead = len(self._rows) - len(self._row_of)
        if dead > len(self._row_of) + _SPARE:
            held = [each for each in self._rows if each is not None]
            self._clear()
            for each in held:
                self._add(each)

    def search(
        self,
        query: str,
        *,
        visible: Callable[[str], bool] | None = None,
        limit: int = 10,
        kinds: Collection[str] | None = None,
        at: float | None = None,
    ) -> list[BeliefHit]:
        """The beliefs that answer a query, the best first; none if none does.

        Parameters
        ----------
        visible
            Whether beliefs of a scope may be seen; asked once per scope. None: all may.
        limit
            Most beliefs to return.
        kinds
            Return only beliefs of these kinds. The others still count in idf.
        at
            A POSIX time: what did not hold then is not visible. None: whatever is held.
        """
        wanted = asked_terms(query)
        seen = self._seen(visible, at)
        n_seen = int(np.count_nonzero(seen))
        if not wanted or not n_seen or limit <= 0:
            return []
        score, cover, met = np.zeros((3, len(seen)), np.float32)
        norm = np.frombuffer(self._norms, np.float32)
        terms_found: list[_Found] = []
        asked = 0.0
        for term in wanted:
            rows, weights = self._postings(term, seen)
            idf = log(1 + (n_seen - len(rows) + 0.5) / (len(rows) + 0.5))
            terms_found.append(_Found(term, idf, rows, weights))
            score[rows] += idf * weights / (weights + norm[rows])
            cover[rows] += idf * np.minimum(weights / _WHOLE, 1)
            met[rows] += idf
            asked += idf if len(rows) else min(idf, _RARE)
        if kinds is not None:
            cover[~self._of_kinds(kinds)] = 0
        best = float(cover.max())
        if best <= 0:
            return []
        near = np.flatnonzero((cover >= _CLOSE * best) & (met >= _ENOUGH * asked))
        found = [(float(score[row]), row) for row in self._first(near, score, limit).tolist()]
        found.sort(key=lambda hit: (-hit[0], -self._recorded[hit[1]], self._held(hit[1]).belief.id))
        return [self._hit(row, each, terms_found) for each, row in found[:limit]]

    # ---- rows ------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._rows: list[_Row | None] = []
        self._row_of: dict[str, int] = {}  # by belief id
        self._text: dict[int, _Run] = {}
        self._aliases: dict[str, dict[int, _Run]] = {stands: {} for stands in STANDS}
        self._scopes: dict[str, int] = {}
        self._subjects: dict[str, int] = {}
        self._predicates: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        # One entry a row.
        self._alive, self._norms = array("b"), array("f")
        self._recorded, self._from, self._until = array("d"), array("d"), array("d")
        self._scope_of, self._kind_of = array("I"), array("I")
        self._subject_of, self._predicate_of = array("I"), array("I")

    def _add(self, row: _Row) -> None:
        at = self._row_of[row.belief.id] = len(self._rows)
        self._rows.append(row)
        self._alive.append(1)
        self._norms.append(_K1 * (1 - _B + _B * row.length / _PIVOT))
        until = row.belief.valid_until
        self._recorded.append(row.belief.recorded_at)
        self._from.append(row.belief.valid_from)
        self._until.append(inf if until is None else until)
        self._scope_of.append(_number(self._scopes, row.belief.scope))
        self._subject_of.append(_number(self._subjects, plain(row.belief.subject)))
        self._predicate_of.append(_number(self._predicates, row.belief.predicate))
        self._kind_of.append(_number(self._kinds, row.belief.kind))
        for runs, held in (
            (self._text, row.text),
            *((self._aliases[s], row.aliases[s]) for s in STANDS),
        ):
            for term, weight in held.items():
                if term not in runs:
                    runs[term] = _Run()
                runs[term].add(at, weight)

    # ---- queries ---------------------------------------------------------------------------

    def _seen(
        self, visible: Callable[[str], bool] | None, at: float | None
    ) -> npt.NDArray[np.bool_]:
        """One flag a row: held, in a scope that may be seen, and so at the time."""
        seen = np.frombuffer(self._alive, np.bool_).copy()
        if visible is not None:
            allowed = np.fromiter(map(visible, self._scopes), np.bool_, len(self._scopes))
            seen &= allowed[np.frombuffer(self._scope_of, np.uint32)]
        if at is not None:
            seen &= np.frombuffer(self._from, np.float64) <= at
            seen &= np.frombuffer(self._until, np.float64) > at
        return seen

    def _of_kinds(self, kinds: Collection[str]) -> npt.NDArray[np.bool_]:
        asked = np.fromiter((kind in kinds for kind in self._kinds), np.bool_, len(self._kinds))
        return asked[np.frombuffer(self._kind_of, np.uint32)]

    def _postings(self, term: int, seen: npt.NDArray[np.bool_]) -> tuple[Rows, Floats]:
        """The seen rows that hold a term in any field, and its weighted frequency in each."""
        text, aliases = self._text.get(term), [self._aliases[s].get(term) for s in STANDS]
        if not any(aliases):
            return text.among(seen) if text else (np.zeros(0, np.uint32), np.zeros(0, np.float32))
        weights = np.zeros(len(seen), np.float32)  # one for each row
        for n, of, me in (
            (len(self._subjects), self._subject_of, "subject"),
            (len(self._predicates), self._predicate_of, "attribute"),
        ):
            groups = np.frombuffer(of, np.uint32)
            most = np.zeros(n, np.float32)
            for stands, run in zip(STANDS, aliases):
                if run is None:
                    continue
                rows, learnt = run.among(seen)
                share = SURE if stands == me else (KINB if stands == "belief" else KINO)
                np.maximum.at(most, groups[rows], learnt * share)
                np.maximum.at(weights, rows, learnt)
            np.maximum(weights, most[groups], out=weights)
        weights *= seen
        weights *= FIELDS["aliases"]
        if text:
            rows, said = text.among(seen)
            weights[rows] += said
        rows = np.flatnonzero(weights > 0).astype(np.uint32)
        return rows, weights[rows]

    def _first(self, rows: Indices, score: Floats, limit: int) -> Indices:
        """Of some rows a few that hold the first `limit`; the order among them is open."""
        if len(rows) <= 4 * limit:
            return rows
        scores = score[rows]
        least = np.partition(scores, -limit)[-limit]
        above, tied = rows[scores > least], rows[scores == least]
        lacking = limit - len(above)
        if len(tied) > lacking:
            recorded = np.frombuffer(self._recorded, np.float64)[tied]
            tied = tied[recorded >= np.partition(recorded, -lacking)[-lacking]]
        return np.concatenate((above, tied))

    def _held(self, row: int) -> _Row:
        held = self._rows[row]
        assert held is not None, "a dead row was found"
        return held

    def _hit(self, row: int, score: float, terms_found: Sequence[_Found]) -> BeliefHit:
        """A hit, with its score taken apart: what each term brought, by the fields it is in."""
        belief = self._held(row).belief
        fields = _fields(belief)
        parts = dict.fromkeys(FIELDS, 0.0)
        for term, idf, rows, weights in terms_found:
            place = int(np.searchsorted(rows, row))
            if place == len(rows) or rows[place] != row:
                continue
            weight = float(weights[place])
            share = idf / (weight + self._norms[row])
            for name, counts in fields.items():
                parts[name] += share * counts.get(term, 0.0)
                weight -= counts.get(term, 0.0)
            parts["aliases"] += share * max(0.0, weight)  # what is left is learnt
        return BeliefHit(belief, score, {name: part for name, part in parts.items() if part})


def _row(belief: Belief, learnt: Mapping[str, float]) -> _Row:
    text: Counter[int] = Counter()
    fields = _fields(belief)
    for counts in fields.values():
        text.update(counts)
    aliases: dict[str, dict[int, float]] = {stands: {} for stands in STANDS}
    for phrase, weight in learnt.items():
        found = terms(phrase)
        for term in found:
            if weight > 0 and text[term] < 1:
                of = aliases[getattr(phrase, "stands", "belief")]
                of[term] = max(of.get(term, 0.0), weight / sqrt(len(found)))
    length = sum(len(terms(said)) for said in _texts(belief).values())
    return _Row(belief, text, aliases, length)


def _fields(belief: Belief) -> dict[str, dict[int, float]]:
    """What each term counts for in each field; several given aliases count as one."""
    found = {
        name: {term: FIELDS[name] * n for term, n in Counter(terms(said)).items()}
        for name, said in _texts(belief).items()
    }
    found["aliases"] = dict.fromkeys(terms(" ".join(belief.aliases)), FIELDS["aliases"])
    return found


def _texts(belief: Belief) -> dict[str, str]:
    return {
        "subject": belief.subject,
        "predicate": belief.predicate.replace("_", " "),
        "value": belief.value,
        "why_it_matters": belief.why_it_matters or "",
    }


def _number(numbers: dict[str, int], name: str) -> int:
    """The number of a name; the next one if it is new."""
    return numbers.setdefault(name, len(numbers))
