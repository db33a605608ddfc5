"""The words people ask in, learnt as aliases of what answered them: a pure fold over uses.

A use says that a query led to a belief and whether that helped. The words of the query that the
belief does not hold itself become aliases of its slot, so that they outlive the belief: when Ana
moves, "her flat" still means where she lives.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Literal

from holdfast.derive.terms import terms
from holdfast.state.wording import phrases

MOST_PHRASES = 16  # a slot
MOST_ASKERS = 16  # a phrase: one more could hardly change its weight
MOST_SHARING = 16  # subjects: a phrase of more is discounted no further
_HALF = 2.0  # independent askers at which an alias weighs one half
_SEPARATOR = "\x1f"  # of a slot's key: scope, subject, what about it, value

_SELF = frozenset(("user", "i", "me"))  # subjects that are named by …
_MINE = frozenset(("i", "i'm", "me", "my", "mine"))


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a belief, as it is journaled: event `seq`, its `n`-th, at POSIX time `at`.

    Parameters
    ----------
    slot
        The key of the slot whose belief was used: ``Slot.key``.
    query
        What was asked, in the asker's words.
    by
        The principal who asked, as the memory knows them, not as a text claims.
    helpful
        Whether the belief was what they were after: clicked, confirmed, not dismissed.
    """

    slot: str
    query: str
    by: str
    seq: int
    n: int
    at: float
    helpful: bool = True


_SHORT = {
    "slot": "s", "query": "q", "by": "b", "seq": "e", "n": "n", "at": "t", "helpful": "h",
}  # fmt: skip


def to_json(use: Use) -> dict[str, Any]:
    """A use as a journal keeps it, under short keys.

    Examples
    --------
    >>> use = Use("ana", "her flat", "u1", 4, 0, 12.5)
    >>> to_json(use)
    {'s': 'ana', 'q': 'her flat', 'b': 'u1', 'e': 4, 'n': 0, 't': 12.5, 'h': True}
    >>> from_json(to_json(use)) == use
    True
    """
    return {short: getattr(use, name) for name, short in _SHORT.items()}


def from_json(line: Mapping[str, Any]) -> Use:
    """The use that `to_json` wrote; KeyError if a key is missing."""
    return Use(**{name: line[short] for name, short in _SHORT.items()})


Stands = Literal["subject", "attribute", "belief"]
STANDS: tuple[Stands, ...] = ("subject", "attribute", "belief")
"""What a phrase stands for: whom a belief is about, what it says of them, or no telling which."""


class Phrase(str):
    """A phrase that has been learnt, and what it stands for."""

    __slots__ = ("stands",)
    stands: Stands

    def __new__(cls, text: str, stands: Stands = "belief") -> Phrase:
        made = super().__new__(cls, text)
        made.stands = stands
        return made


@dataclass(slots=True)
class _Count:
    """Who used a phrase for a slot, how often with and without success, and when last.

    `stands` is what all uses agree on.
    """

    stands: Stands
    askers: dict[str, tuple[int, int]] = field(default_factory=dict)
    last: tuple[int, int] = (0, 0)

    def add(self, use: Use) -> None:
        if use.by in self.askers or len(self.askers) < MOST_ASKERS:
            helped, failed = self.askers.get(use.by, (0, 0))
            self.askers[use.by] = (helped + use.helpful, failed + (not use.helpful))
        self.last = max(self.last, (use.seq, use.n))

    @property
    def strength(self) -> float:
        """Independent askers, about: one who repeats counts for less than one and a half."""
        return max(0.0, sum(_voice(n) - _voice(m) for n, m in self.askers.values()))


class Aliases:
    """Which phrases stand for which slots, and how firmly.

    A phrase is one to three adjacent words of a query, none of them a stop word, a word of asking
    or a word of the belief itself. Its weight for a slot is ``s / (s + 2) / sqrt(d)``: s is the
    number of independent askers whom it served less those it failed, each counted once, and up to
    half again for repeating it; d is the number of subjects of the slot's scope that it is used
    for, since what is said of many tells none apart.

    Notes
    -----
    The state is a function of the uses and their order alone. A use costs O(words + phrases held),
    and, where a phrase is shared by few subjects, O(their slots). A slot holds at most 16 phrases:
    the lightest goes first and, of equals, the one that was not used for longest. A phrase counts
    at most 16 askers. What happens in one scope changes no weight in another: the scope is what
    stands before the first ``\\x1f`` of a slot's key.

    No principal alone, however often it repeats a phrase, gives it the weight that two give it by
    using it once; nor can it take away more.

    Examples
    --------
    >>> aliases = Aliases()
    >>> aliases.learn(Use("ana", "where is her flat?", "u1", 1, 0, 0.0))
    ('ana',)
    >>> aliases.of("ana")["flat"]
    0.3333333333333333
    >>> aliases.learn(Use("ana", "the flat", "u2", 2, 0, 0.0))
    ('ana',)
    >>> aliases.of("ana")["flat"]
    0.5

    References
    ----------
    Flynt, Beyond Similarity Search: Tenure and the Case for Structured Belief State in LLM Memory,
    arXiv:2605.11325, lets the aliases of a belief grow from the user's wording. Here they belong to
    the slot and survive supersession, weigh by independent askers, sink when they fail, and are
    discounted when they stand for many subjects.
    """

    def __init__(self) -> None:
        self._slots: dict[str, dict[str, _Count]] = {}
        self._holders: dict[tuple[str, str], set[str]] = {}  # scope and phrase: its slots
        self._sharing: dict[tuple[str, str], Counter[str]] = {}  # …: its slots by their subject

    def __len__(self) -> int:
        """Slots that have aliases."""
        return len(self._slots)

    def learn(self, use: Use, known: str = "") -> tuple[str, ...]:
        """Take in one use.

        Parameters
        ----------
        known
            The text of the belief that was used: its words are no news, nor are the slot's.

        Returns
        -------
        tuple
            The slots whose weights may have changed, to be indexed anew; the same order each time.
        """
        held = self._slots.get(use.slot, {})
        touched: set[str] = set()
        stands = _stands(use)
        for phrase in phrases(use.query, f"{known} {_named(use.slot)}"):
            if phrase not in held:
                if not use.helpful:
                    continue  # there is nothing to lower
                held[phrase] = _Count(stands)
                touched |= self._hold(use.slot, phrase)
            held[phrase].add(use)
            if held[phrase].stands != stands:
                held[phrase].stands = "belief"
            touched.add(use.slot)
        if held:
            self._slots[use.slot] = held
        while len(held) > MOST_PHRASES:
            least = min(held, key=lambda phrase: self._rank(use.slot, phrase, held[phrase]))
            del held[least]
            touched |= self._release(use.slot, least)
        return tuple(sorted(touched))

    def of(self, slot: str) -> Mapping[str, float]:
        """The aliases of a slot and their weights, above 0 and below 1; the firmest first."""
        held = self._slots.get(slot, {})
        weighed = ((phrase, self._weight(slot, phrase, count)) for phrase, count in held.items())
        ordered = sorted(weighed, key=lambda pair: (-pair[1], pair[0]))
        return {Phrase(phrase, held[phrase].stands): w for phrase, w in ordered if w > 0}

    def forget(self, slot: str) -> tuple[str, ...]:
        """Drop all that was learnt of a slot; which other slots' weights may have changed."""
        touched: set[str] = set()
        for phrase in self._slots.pop(slot, {}):
            touched |= self._release(slot, phrase)
        return tuple(sorted(touched - {slot}))

    def canonical(self) -> bytes:
        """The whole state as bytes: equal states give equal bytes, whatever led to them."""
        state = {
            slot: {
                phrase: [
                    sorted([by, *n] for by, n in count.askers.items()),
                    *count.last,
                    count.stands,
                ]
                for phrase, count in held.items()
            }
            for slot, held in self._slots.items()
        }
        return json.dumps(state, sort_keys=True, separators=(",", ":")).encode()

    def _weight(self, slot: str, phrase: str, count: _Count) -> float:
        strength = count.strength
        sharing = len(self._sharing[_scope(slot), phrase])
        return strength / (strength + _HALF) / sqrt(min(sharing, MOST_SHARING))

    def _rank(self, slot: str, phrase: str, count: _Count) -> tuple[float, tuple[int, int], int]:
        """What is dropped first has the least: of equals the oldest, then the longest phrase."""
        return self._weight(slot, phrase, count), count.last, -phrase.count(" ")

    def _hold(self, slot: str, phrase: str) -> AbstractSet[str]:
        """Note that a slot has a phrase; the slots that may weigh otherwise for it."""
        key = _scope(slot), phrase
        self._holders.setdefault(key, set()).add(slot)
        sharing = self._sharing.setdefault(key, Counter())
        sharing[_subject(slot)] += 1
        news = sharing[_subject(slot)] == 1 and len(sharing) <= MOST_SHARING
        return self._holders[key] if news else set()

    def _release(self, slot: str, phrase: str) -> AbstractSet[str]:
        """Note that a slot has a phrase no more; the slots that may weigh otherwise for it."""
        key, subject = (_scope(slot), phrase), _subject(slot)
        self._holders[key].discard(slot)
        sharing = self._sharing[key]
        sharing[subject] -= 1
        if sharing[subject]:
            return set()
        del sharing[subject]
        if not sharing:
            del self._sharing[key], self._holders[key]
            return set()
        return self._holders[key] if len(sharing) < MOST_SHARING else set()


def _stands(use: Use) -> Stands:
    """What the new words of a use stand for: for what the use does not name in the slot's words.

    Who asks "how old is Biscuit" and gets a year of birth does not call Biscuit "old"; who asks
    "when was the old man born" calls somebody so. With many values, the words may also name one.
    """
    scope_subject_about_value = use.slot.split(_SEPARATOR)
    if len(scope_subject_about_value) < 3:
        return "belief"
    _, subject, about, *value = scope_subject_about_value
    asked = set(terms(use.query))
    itself = subject in _SELF and not _MINE.isdisjoint(use.query.casefold().split())
    names_subject = itself or asked.issuperset(terms(subject))
    names_attribute = not asked.isdisjoint(terms(about.replace("_", " ")))
    if names_subject and not (names_attribute and any(value)):
        return "attribute"
    return "subject" if names_attribute and not names_subject and not any(value) else "belief"


def _voice(times: int) -> float:
    """What one principal's uses count for: 0, 1, 1.25, … below 1.5."""
    return 1.5 - 0.5 ** min(times, 50) if times else 0.0


def _named(slot: str) -> str:
    """The words in a slot's key; none in a key that has no parts."""
    return " ".join(slot.split(_SEPARATOR)[1:]).replace("_", " ")


def _scope(slot: str) -> str:
    return slot.partition(_SEPARATOR)[0] if _SEPARATOR in slot else ""


def _subject(slot: str) -> str:
    """The subject in a slot's key; the whole of a key that has no parts."""
    return slot.split(_SEPARATOR, 2)[1] if _SEPARATOR in slot else slot
