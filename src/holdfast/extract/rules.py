"""Claims from English text without a model: patterns kept as data, applied with restraint.

The patterns are in ``grammar.toml``, one family a section, each with its examples; what all of
them have in common is in `holdfast.extract.grammar`; this module takes a text apart into sentences
and keeps to what is the speaker's own. A claim passes these gates, the cheapest first:

1. `Grammar.mask`: the text holds a word that some pattern needs. Most texts end here.
2. The sentence asks nothing, and `Grammar.matches`: a pattern matches, nothing before the match
   takes it back, and the value, without adverbials and further clauses, is a short noun phrase.
3. `_Source.foreign`: it stands in no quotation, code or fiction.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from holdfast.derive.sentences import sentences
from holdfast.extract.grammar import Grammar, grammar, plain
from holdfast.state.records import Claim, Evidence

_LONGEST = 400  # characters of a sentence; what is longer is cut at its clauses
_NOBODY = frozenset(["user", "human", "you", "me", ""])
_MACHINES = frozenset(["assistant", "tool", "function", "model", "bot", "ai"])
_QUOTING = frozenset('"“«`>\n')  # without any of these nothing is quoted
_INDENTS = ("    ", "\t")  # of code
_ASKING = ("?", "？", "؟")


@dataclass(frozen=True)
class Rules:
    """Claims that English sentences make in so many words; nothing is inferred.

    First-person statements (names, places, work, people, pets, belongings, tastes, plans,
    decisions, counts and amounts), a few statements about named others, standing instructions,
    and what takes earlier statements back.

    Notes
    -----
    Precision before recall: a sentence that no pattern knows makes no claim. Linear in the text.
    The grammar is read from ``grammar.toml`` on first use and compiled once a process.

    Examples
    --------
    >>> text = "By the way, I moved to Porto in March 2024. Is it nice?"
    >>> [claim] = Rules().claims(text, speaker="Ana", role=None, at=1.72e9)
    >>> claim.subject, claim.predicate, claim.value, claim.evidence[0].quote
    ('Ana', 'lives_in', 'Porto', 'By the way, I moved to Porto in March 2024.')
    """

    name: str = "rules"

    def claims(self, text: str, *, speaker: str | None, role: str | None, at: float) -> list[Claim]:
        """The claims of a text, in order of appearance, each once. See `base.Extractor`."""
        rules = grammar()
        mask = rules.mask(text)
        if not mask:
            return []
        if (role or "").lower() in _MACHINES or (speaker or "").lower() in _MACHINES:
            return []
        mask = rules.narrowed(plain(text), mask)
        if not mask:
            return []
        me = speaker if speaker and speaker.lower() not in _NOBODY else "user"
        return list(_read(rules, text, mask, me, at))


def _read(rules: Grammar, text: str, mask: int, me: str, at: float) -> Iterator[Claim]:
    source = _Source(text, rules)
    seen: set[tuple[str, str, str, str]] = set()
    for start, end in sentences(text, _LONGEST):
        sentence = text[start:end]
        if any(mark in sentence for mark in _ASKING):
            continue
        for found in rules.matches(plain(sentence), mask):
            if source.foreign(start + found.start):
                continue
            claim = found.claim(me, at)
            key = (claim.subject, claim.predicate, claim.value.casefold(), claim.stance)
            if key not in seen:
                seen.add(key)
                yield replace(claim, evidence=(source.evidence(start, end),))


class _Source:
    """One text: which of it is not its speaker's own, and where its bytes are."""

    def __init__(self, text: str, rules: Grammar) -> None:
        self._text = text
        self._rules = rules
        self._chars = self._bytes = 0  # how far the bytes are counted; sentences come in order

    @cached_property
    def _quoted(self) -> list[tuple[int, int]]:
        if _QUOTING.isdisjoint(self._text) and not self._text.startswith(_INDENTS):
            return []
        return [match.span() for match in self._rules.quoted.finditer(self._text)]

    @cached_property
    def _fiction(self) -> bool:
        return self._rules.invents(self._text)

    def foreign(self, position: int) -> bool:
        """Whether what stands there is a quotation or code, or the whole is fiction."""
        i = bisect_right(self._quoted, (position, len(self._text))) - 1
        return (i >= 0 and position < self._quoted[i][1]) or self._fiction

    def evidence(self, start: int, end: int) -> Evidence:
        """The bytes between two characters; to be asked in the order of `start`."""
        quote = self._text[start:end]
        self._bytes += len(self._text[self._chars : start].encode("utf-8", "surrogatepass"))
        self._chars = start
        length = len(quote.encode("utf-8", "surrogatepass"))
        return Evidence(0, self._bytes, self._bytes + length, quote)
