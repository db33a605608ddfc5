"""The belief index: BM25 over the fields of current beliefs and what people call them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Mapping
from math import inf
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.state.aliases import STANDS
from holdfast.state.fields import FIELDS, Row, fields, row
from holdfast.state.records import Belief
from holdfast.state.runs import NOWHERE, Flags, Floats, Found, Run, add, idf_of
from holdfast.state.slots import plain
from holdfast.state.wording import asked_terms

Indices = npt.NDArray[np.intp]

_K1 = 1.2
_B = 0.3  # beliefs are short, and a long value is no reason against one
_PIVOT = 8.0  # terms in a belief of ordinary length
_WHOLE = 1.5  # the weighted frequency that covers a term wholly
_KIN = 0.4  # how much of a learnt alias holds for what it may not stand for
_CLOSE = 0.95  # of the best coverage: what covers less is another thing
_ENOUGH = 0.35  # of the query's idf mass: what holds less answers another question
_RARE = 6.0  # the most that a word counts for which no belief holds
_SPARE = 64  # dead rows that are always tolerated


class BeliefHit(NamedTuple):
    """A belief that answers a query, its score, and the score's parts by field."""

    belief: Belief
    score: float
    parts: Mapping[str, float]


class BeliefIndex:
    """Which current beliefs answer a query, and only those.

    A belief's score is BM25 over weighted fields: the term frequencies of all fields are weighted
    and added before they saturate. Then the list is cut, twice.

    What a belief *covers* is the sum of the idf of the query's terms that it holds, each times how
    far its weighted frequency reaches that of a name. Only beliefs that cover at least 95% of what
    the best one covers are returned: "the port of the staging database" does not also bring the
    port of the production database, which lacks a word that tells the two apart, nor the host of
    the staging database. Beliefs with the same words cover the same, so a question with several
    answers gets them all.

    And the terms a belief holds must have at least 35% of the idf of all of the query's terms,
    words that no belief holds included: an unrelated question that shares one word brings nothing.

    A learnt alias reaches beyond its belief. One that stands for the subject holds as much for the
    other visible beliefs about it: who calls the staging database "the sandbox" when asking for its
    port will do so when asking for its host. One that stands for the attribute holds as much for
    the other subjects that have it, so that an idle word of a question seldom tells two apart. What
    an alias may not stand for it holds for at 40% of its weight.

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
    the visible beliefs, aliases have weights and reach over to what they stand for, and the
    list is cut by coverage.
    """

    def __init__(self, *, history: bool = False) -> None:
        self._history = history
        self._clear()

    def __len__(self) -> int:
        return len(self._row_of)

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
            self._add(row(belief, aliases))

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
        terms_found = [self._find(term, seen, n_seen) for term in wanted]
        cover = np.zeros(len(seen), np.float32)
        for _, idf, rows, weights in terms_found:
            cover[slice(None) if rows is None else rows] += np.minimum(weights, _WHOLE) * idf
        if kinds is not None:
            cover[~self._of_kinds(kinds)] = 0
        best = float(cover.max())
        if best <= 0:
            return []
        near = np.flatnonzero(cover >= _CLOSE * best)
        held = [(found, found.everywhere(len(seen))[near]) for found in terms_found]
        met, score = np.zeros((2, len(near)), np.float32)
        norm = np.frombuffer(self._norms, np.float32)[near]
        for found, weights in held:
            met += (weights > 0) * np.float32(found.idf)
            score += weights / (weights + norm) * found.idf
        asked = sum(
            found.idf if len(found.weights) else min(found.idf, _RARE) for found in terms_found
        )
        enough = np.flatnonzero(met >= _ENOUGH * asked)
        first = self._first(near, score, enough, limit)
        return [
            self._hit(int(near[n]), float(score[n]), [(f, float(w[n])) for f, w in held])
            for n in first
        ]

    # ---- rows ------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._rows: list[Row | None] = []
        self._row_of: dict[str, int] = {}  # by belief id
        self._text: dict[int, Run] = {}
        self._aliases: dict[str, dict[int, Run]] = {stands: {} for stands in STANDS}
        self._scopes: dict[str, int] = {}
        self._subjects: dict[str, int] = {}
        self._predicates: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        # One entry a row.
        self._alive, self._norms = array("b"), array("f")
        self._recorded, self._from, self._until = array("d"), array("d"), array("d")
        self._scope_of, self._kind_of = array("I"), array("I")
        self._subject_of, self._predicate_of = array("I"), array("I")

    def _add(self, row: Row) -> None:
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
        add(self._text, at, row.text)
        for stands, learnt in row.learnt.items():
            add(self._aliases[stands], at, learnt)

    # ---- queries ---------------------------------------------------------------------------

    def _seen(self, visible: Callable[[str], bool] | None, at: float | None) -> Flags:
        """One flag a row: held, in a scope that may be seen, and so at the time."""
        seen = np.frombuffer(self._alive, np.bool_).copy()
        if visible is not None:
            allowed = np.fromiter(map(visible, self._scopes), np.bool_, len(self._scopes))
            seen &= allowed[np.frombuffer(self._scope_of, np.uint32)]
        if at is not None:
            seen &= np.frombuffer(self._from, np.float64) <= at
            seen &= np.frombuffer(self._until, np.float64) > at
        return seen

    def _of_kinds(self, kinds: Collection[str]) -> Flags:
        asked = np.fromiter((kind in kinds for kind in self._kinds), np.bool_, len(self._kinds))
        return asked[np.frombuffer(self._kind_of, np.uint32)]

    def _find(self, term: int, seen: Flags, n_seen: int) -> Found:
        """The seen rows that hold a term in any field, and its weighted frequency in each."""
        text = self._text.get(term)
        rows, weights = text.among(seen) if text else NOWHERE
        learnt = self._learnt(term, seen)
        if learnt is None:
            return Found(term, idf_of(n_seen, len(rows)), rows, weights)
        every, own = learnt
        every[rows] += weights
        own[rows] = True
        return Found(term, idf_of(n_seen, int(np.count_nonzero(own))), None, every)

    def _learnt(self, term: int, seen: Flags) -> tuple[Floats, Flags] | None:
        """How much a term counts for as a learnt alias in each row, and whether it is its own."""
        held = {
            stands: run.among(seen)
            for stands, runs in self._aliases.items()
            if (run := runs.get(term))
        }
        if not any(len(rows) for rows, _ in held.values()):
            return None
        weights, own = np.zeros(len(seen), np.float32), np.zeros(len(seen), np.bool_)
        for kin, names, of in (
            ("subject", self._subjects, self._subject_of),
            ("attribute", self._predicates, self._predicate_of),
        ):
            groups = np.frombuffer(of, np.uint32)
            most = np.zeros(len(names), np.float32)
            for stands, (rows, learnt) in held.items():
                np.maximum.at(most, groups[rows], learnt if stands == kin else _KIN * learnt)
            np.maximum(weights, most[groups], out=weights)
            if kin in held:
                meant = np.zeros(len(names), np.bool_)
                meant[groups[held[kin][0]]] = True
                own |= meant[groups]
        for rows, learnt in held.values():
            weights[rows] = np.maximum(weights[rows], learnt)
            own[rows] = True
        weights *= seen
        own &= seen
        weights *= FIELDS["aliases"]
        return weights, own

    def _first(self, near: Indices, score: Floats, those: Indices, limit: int) -> list[int]:
        """The first few of those places in `near`, the best first."""
        recorded = np.frombuffer(self._recorded, np.float64)
        if len(those) > 4 * limit:  # leave a few that hold them, ties included
            least = np.partition(score[those], -limit)[-limit]
            above, tied = those[score[those] > least], those[score[those] == least]
            when = recorded[near[tied]]
            latest = np.partition(when, len(above) - limit)[len(above) - limit]
            those = np.concatenate((above, tied[when >= latest]))

        def order(n: int) -> tuple[float, float, str]:
            return -score[n], -recorded[near[n]], self._held(near[n]).id

        return sorted(those.tolist(), key=order)[:limit]

    def _held(self, row: int) -> Belief:
        held = self._rows[row]
        assert held is not None, "a dead row was found"
        return held.belief

    def _hit(self, row: int, score: float, held: Iterable[tuple[Found, float]]) -> BeliefHit:
        """A hit, with its score taken apart: what each term brought, by the fields it is in."""
        belief = self._held(row)
        by_field = fields(belief)
        parts = dict.fromkeys(FIELDS, 0.0)
        for found, weight in held:
            share = found.idf / (weight + self._norms[row])
            for name, counts in by_field.items():
                parts[name] += share * counts.get(found.term, 0.0)
                weight -= counts.get(found.term, 0.0)
            if weight > 1e-5:  # what is left is learnt
                parts["aliases"] += share * weight
        return BeliefHit(belief, score, {name: part for name, part in parts.items() if part})


def _number(numbers: dict[str, int], name: str) -> int:
    """The number of a name; the next one if it is new."""
    return numbers.setdefault(name, len(numbers))
