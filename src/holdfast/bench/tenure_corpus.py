"""A corpus of closely related beliefs, one vocabulary a domain, and questions about them.

The people and things are those of `tenure.toml`; this module only deals them out. A domain has the
product of a few subjects and attributes, less a fifth, so that most beliefs differ from many others
in one word. Around them lie what must never come back: earlier values of a third of the slots,
another user's beliefs about the same subjects, and quarantined claims, marked as disputed or kept
in a scope that nobody sees.

Half of the cases ask in words that no belief holds. Those words were learnt before, from one or two
uses of another question: no use has just the words of any question that is asked, whatever their
order and form, stop words aside.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import product
from random import Random
from typing import Any

from holdfast.derive.terms import terms
from holdfast.state.aliases import Use
from holdfast.state.records import Belief, Claim, Trust
from holdfast.state.slots import slot_of
from holdfast.state.wording import asked_terms

OWN, OTHERS, QUARANTINE = "user/mira", "user/jon", "quarantine"
PLAIN = ("asked", "chatty", "several")
"""Kinds of cases whose words the beliefs hold."""
LEARNT = ("nickname", "wording", "both", "sibling")
"""Kinds of cases that need words from uses."""

_EVEN = (
    "asked",
    "asked",
    "chatty",
    "several",
    "nickname",
    "nickname",
    "wording",
    "both",
    "sibling",
)
_ODD = ("asked", "asked", "chatty", "chatty", "several", "nickname", "wording", "both", "sibling")
_DROPPED = 0.2  # share of the slots that nothing is known of
_START = 1_767_258_000.0  # 2026-01-01, 09:00 UTC
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Case:
    """A question, the ids of the beliefs that answer it, and how it is worded."""

    name: str
    domain: str
    kind: str
    query: str
    relevant: frozenset[str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Beliefs, what was asked before, and what is asked now.

    `uses` are in order, each with the belief it led to; `unrelated` are questions that nothing
    here answers.
    """

    beliefs: tuple[Belief, ...]
    uses: tuple[tuple[Use, Belief], ...]
    cases: tuple[Case, ...]
    unrelated: tuple[str, ...]

    @property
    def visible(self) -> tuple[Belief, ...]:
        """What the asker may be given: current, and in her own scopes."""
        return tuple(b for b in self.beliefs if b.current and sees(b.scope))


def sees(scope: str) -> bool:
    """Whether the asker sees a scope: her own and those in it."""
    return scope == OWN or scope.startswith(OWN + "/")


def slot_key(belief: Belief) -> str:
    """The key of the slot that a belief is in."""
    claim = Claim(belief.subject, belief.predicate, belief.value, many=_is_many(belief))
    return slot_of(claim, belief.scope).key


def corpus(seed: int = 7, split: str = "test", cases: int = 72) -> Corpus:
    """The corpus of a seed: the same for the same arguments.

    Parameters
    ----------
    split
        "test" or "tune": which domains it is made of. They share no subject and no question.
    cases
        How many; they are spread evenly over the domains.

    Examples
    --------
    >>> made = corpus()
    >>> len(made.cases), sum(case.kind in LEARNT for case in made.cases)
    (72, 36)
    >>> made == corpus(), made == corpus(8)
    (True, False)
    """
    rng = Random(f"{seed} {split}")
    data = _data()
    domains = [domain for domain in data["domain"] if domain["split"] == split]
    makers = [_Domain(domain, data["chatter"], rng) for domain in domains]
    made: list[Case] = []
    for n in range(cases):
        which, turn = n % len(makers), n // len(makers)
        kinds = _ODD if which % 2 else _EVEN
        made.append(makers[which].case(kinds[turn % len(kinds)]))
    for maker in makers:
        maker.idle_uses()
    now = {_words(case.query) for case in made}
    asked = [pair for maker in makers for pair in maker.uses if _words(pair[0].query) not in now]
    rng.shuffle(asked)
    return Corpus(
        tuple(belief for maker in makers for belief in maker.beliefs),
        tuple((replace(use, seq=n + 1), belief) for n, (use, belief) in enumerate(asked)),
        tuple(made),
        tuple(data["unrelated"][split]),
    )


class _Domain:
    """One domain being dealt out."""

    def __init__(self, data: Mapping[str, Any], chatter: Sequence[str], rng: Random) -> None:
        self._name: str = data["name"]
        self._attributes: Mapping[str, Mapping[str, Any]] = {
            attribute["predicate"]: attribute for attribute in data["attributes"]
        }
        self._chatter, self._rng = chatter, rng
        self._first = data["axes"][0]
        subjects = [" ".join(parts) for parts in product(*data["axes"])]
        names = rng.sample(data["nicknames"], len(subjects))
        self._nickname = dict(zip(subjects, names, strict=True))
        self.beliefs: list[Belief] = []
        self.uses: list[tuple[Use, Belief]] = []
        self._asked: set[tuple[str, str]] = set()  # subjects and predicates that have had a case
        for subject, predicate in product(subjects, self._attributes):
            if rng.random() >= _DROPPED:
                self._believe(subject, predicate)
        self._own = [belief for belief in self.beliefs if belief.current and sees(belief.scope)]

    def case(self, kind: str) -> Case:
        """A case of a kind, about a subject and an attribute that had none yet, if one is left."""
        if kind == "several":
            query, right = self._several()
        else:
            query, right = self._single(kind)
        name = f"{self._name}-{len(self._asked)}-{kind}"
        return Case(name, self._name, kind, query, frozenset(belief.id for belief in right))

    def idle_uses(self) -> None:
        """What else was asked: plain questions with idle words, and some that did not help."""
        for belief in self._rng.sample(self._own, 8):
            query = f"{self._ask(belief)} {self._rng.choice(self._chatter)}"
            self._use(belief, query, helpful=self._rng.random() < 0.8)

    # ---- what is believed ------------------------------------------------------------------

    def _believe(self, subject: str, predicate: str) -> None:
        """The beliefs of a subject's attribute, and what lies around them."""
        attribute, rng = self._attributes[predicate], self._rng
        n = rng.choice((2, 3)) if attribute.get("many") else 1
        values = rng.sample(attribute["values"], n + 1)
        spare, own = values.pop(), f"{OWN}/{self._name}"
        now = [self._add(subject, predicate, value, own) for value in values]
        if rng.random() < 1 / 3:
            self._add(subject, predicate, spare, own, superseded_by=now[0].id)
        if rng.random() < 1 / 3:
            self._add(subject, predicate, rng.choice(attribute["values"]), f"{OTHERS}/{self._name}")
        if rng.random() < 1 / 4:
            self._add(subject, predicate, spare, own, status="disputed", trust=Trust.UNTRUSTED)
        elif rng.random() < 1 / 4:
            self._add(subject, predicate, spare, QUARANTINE, trust=Trust.UNTRUSTED)

    def _add(self, subject: str, predicate: str, value: str, scope: str, **more: Any) -> Belief:
        at = _START + _DAY * self._rng.randrange(300)
        ended = {"valid_until": at + _DAY, "retired_at": at + _DAY}
        held: dict[str, Any] = {"status": "asserted", "trust": Trust.USER, **more}
        if "superseded_by" in more:
            held |= ended
        belief = Belief(
            id=f"{self._name}.{len(self.beliefs)}", subject=subject, predicate=predicate,
            value=value, kind="fact", scope=scope, sources=("mira",), evidence=(), valid_from=at,
            recorded_at=at, **{"valid_until": None, "retired_at": None, **held},
        )  # fmt: skip
        self.beliefs.append(belief)
        return belief

    # ---- what is asked ---------------------------------------------------------------------

    def _single(self, kind: str) -> tuple[str, list[Belief]]:
        belief = self._pick(kind)
        nickname = self._nickname[belief.subject]
        if kind == "asked":
            query = self._ask(belief)
        elif kind == "chatty":
            query = f"{self._ask(belief)} {self._rng.choice(self._chatter)}"
        elif kind == "nickname":
            query = self._taught(belief, "asks", nickname)
        elif kind == "wording":
            query = self._taught(belief, "others", belief.subject)
        elif kind == "both":
            query = self._taught(belief, "others", nickname)
        else:
            for other in self._rng.sample(self._siblings(belief), self._rng.choice((1, 2))):
                self._use(other, self._ask(other, nickname))
            query = self._ask(belief, nickname)
        return query, self._slot(belief)

    def _several(self) -> tuple[str, list[Belief]]:
        """A question with two or more answers: of one subject, or of one attribute."""
        many = [b for b in self._own if _is_many(b) and len(self._slot(b)) > 1]
        if many:
            belief = self._rng.choice(self._fresh(many))
            self._asked.add((belief.subject, belief.predicate))
            return self._ask(belief), self._slot(belief)
        groups = [
            (attribute["all"].format(first), right)
            for first, (predicate, attribute) in product(self._first, self._attributes.items())
            if 2 <= len(right := list(self._under(first, predicate))) <= 3
            and (first, predicate) not in self._asked
        ]
        query, right = self._rng.choice(groups)
        self._asked.add((right[0].subject.split()[0], right[0].predicate))
        return query, right

    def _under(self, first: str, predicate: str) -> Iterator[Belief]:
        for belief in self._own:
            if belief.predicate == predicate and belief.subject.split()[0] == first:
                yield belief

    def _taught(self, belief: Belief, form: str, subject: str) -> str:
        """A question whose words were learnt from one or two that are worded otherwise."""
        forms = [_fill(each, subject) for each in self._attributes[belief.predicate][form]]
        asked = self._rng.choice(forms)
        others = [each for each in forms if _words(each) != _words(asked)]
        for earlier in self._rng.sample(others, min(len(others), self._rng.choice((1, 2)))):
            self._use(belief, earlier)
        return asked

    def _ask(self, belief: Belief, subject: str = "") -> str:
        form: str = self._rng.choice(self._attributes[belief.predicate]["asks"])
        return _fill(form, subject or belief.subject)

    def _use(self, belief: Belief, query: str, helpful: bool = True) -> None:
        by = self._rng.choice(("mira", "mira", "pavel"))
        use = Use(slot_key(belief), query, by, 0, 0, belief.recorded_at, helpful)
        self.uses.append((use, belief))

    def _pick(self, kind: str) -> Belief:
        """A belief to ask for; each attribute of a subject is asked for once."""
        can = [b for b in self._own if kind != "sibling" or len(self._siblings(b)) > 1]
        belief = self._rng.choice(self._fresh(can))
        self._asked.add((belief.subject, belief.predicate))
        return belief

    def _fresh(self, beliefs: Sequence[Belief]) -> Sequence[Belief]:
        left = [b for b in beliefs if (b.subject, b.predicate) not in self._asked]
        return left or beliefs

    def _slot(self, belief: Belief) -> list[Belief]:
        """What answers a question for this belief: all current values of the attribute."""
        about = belief.subject, belief.predicate
        return [b for b in self._own if (b.subject, b.predicate) == about]

    def _siblings(self, belief: Belief) -> list[Belief]:
        return [
            b for b in self._own
            if b.subject == belief.subject and b.predicate != belief.predicate
        ]  # fmt: skip


def _words(query: str) -> frozenset[int]:
    """The words of a question that count; two with the same ones are one question."""
    return frozenset(asked_terms(query))


def _fill(form: str, subject: str) -> str:
    """A question about a subject; a nickname brings its own article."""
    return form.format(subject).replace("the the ", "the ").replace("our the ", "our ")


def _is_many(belief: Belief) -> bool:
    return any(
        attribute.get("many", False)
        for domain in _data()["domain"]
        for attribute in domain["attributes"]
        if attribute["predicate"] == belief.predicate
    )


@cache
def _data() -> Mapping[str, Any]:
    file = resources.files("holdfast.bench") / "tenure.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def strange_words(made: Corpus, case: Case) -> frozenset[int]:
    """The terms of a question that no visible belief holds in its own text."""
    known = {term for belief in made.visible for term in terms(belief.text)}
    return frozenset(terms(case.query)) - known
