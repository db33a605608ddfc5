"""Which words of a query are words of what is asked for, and which could name it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from holdfast.derive.terms import query_terms, terms

_LONGEST = 3  # words
_MOST_WORDS = 16  # of a query that are looked at
_EDGES = "\"'(),.:;!?*_-¡¿«»‘’‚“”„…"
_CLITIC = re.compile(r"['’](?:s|re|ve|ll|d|m)$", re.IGNORECASE)

_ASKING = """
ask asking asked tell telling told remind reminding show give find look lookup please remember
recall know knows known need needed want wanted wonder wondering say says said think thought
question answer anyone anybody someone somebody something anything everything hey hi hello
thanks thank curious mean means meant exactly actually currently right today
"""
ASKING = frozenset(_ASKING.split())
"""Words of asking, not of what is asked for; the stop words are in `derive.stopwords`."""

_BESIDE = """
i i'd i'm me you we us to please can could would anyone anybody someone somebody it that this
"""  # beside one of these, such a word is one of asking: "do you know", but "whom does Ana know"
_AROUND = frozenset(_BESIDE.split())
_VERBS = frozenset(("like", "own"))  # stop words that a predicate is made of


def asked_terms(query: str) -> list[int]:
    """The distinct index terms of a query, in order, without words of asking.

    Examples
    --------
    >>> asked_terms("Please remind me: where is the red bike?") == terms("red bike")
    True
    >>> asked_terms("I want to know what Ana likes") == asked_terms("what does Ana like?")
    True
    """
    chunks = query.split()
    plain = ["", *(chunk.strip(_EDGES).casefold() for chunk in chunks), ""]
    kept: list[str] = []
    verbs: list[int] = []
    for chunk, before, word, after in zip(chunks, plain, plain[1:], plain[2:], strict=False):
        asks = not before or before in _AROUND or after in _AROUND
        if word in _VERBS and not asks:
            verbs += query_terms(word)
        if word not in ASKING or not asks:
            kept.append(chunk)
    return list(dict.fromkeys(terms(" ".join(kept)) + verbs)) or list(dict.fromkeys(terms(query)))


def phrases(query: str, known: str = "") -> list[str]:
    """The phrases of a query that may become aliases: single words first, in order.

    Words of `known` do not count, nor do stop words and words of asking; no phrase runs over one.

    Examples
    --------
    >>> phrases("What is the number of the piano lady?", "Rosa phone 555")
    ['number', 'piano', 'lady', 'piano lady']
    """
    runs = [run for run in _runs(query, frozenset(terms(known))) if run]
    found = {
        " ".join(run[start : start + n]): None
        for n in range(1, _LONGEST + 1)
        for run in runs
        for start in range(len(run) - n + 1)
    }
    return list(found)


def shared(query: str, known: str) -> str:
    """The words of a query that a text holds, too: for `phrases`, they say as much as all of it.

    Examples
    --------
    >>> shared("whose is the piano number?", "Rosa piano 555")
    'piano'
    """
    held = frozenset(terms(known))
    return " ".join(c for c in query.split() if (found := terms(c)) and held.issuperset(found))


def _runs(query: str, known: Collection[int]) -> Iterator[list[str]]:
    """Stretches of adjacent words that are worth learning."""
    run: list[str] = []
    seen = 0
    for chunk in query.split():
        word = _CLITIC.sub("", chunk.strip(_EDGES)).casefold()
        found = terms(chunk)
        if not found or word in ASKING or all(term in known for term in found):
            yield run
            run = []
            continue
        if (seen := seen + 1) > _MOST_WORDS:
            break
        run.append(word)
        if chunk[-1:] in ",.;:!?":  # nor does a phrase run over a sentence's end
            yield run
            run = []
    yield run
