"""The words of a text that may tell later whether the text was ever heard."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from holdfast.derive.memo import Memo
from holdfast.derive.terms import terms

_LONGEST = 65_536  # characters of one text that are looked at
_EDGES = "\"'()[]{}<>*_`#,.:;!?-–—…“”‘’«»"


def _of_word(word: str) -> tuple[int, ...]:
    if not any(map(str.isalpha, word)):
        return ()  # figures: every text has others, and few are asked for
    return tuple(dict.fromkeys(terms(word)))


_TERMS: Memo[tuple[int, ...]] = Memo(_of_word)


def words_of(texts: Iterable[str]) -> set[int]:
    """The index terms of all words in some texts; no figures, and no stop words.

    Each word is taken by itself and in lower case, whatever the language of its text, so that the
    words of a question are the same as those of what it asks about.

    Notes
    -----
    One look-up for each distinct word.

    Examples
    --------
    >>> words_of(["The kelp was 12 m high"]) == words_of(["kelp", "HIGH, high", "m"])
    True
    """
    joined = " ".join([text[:_LONGEST] for text in texts])
    words = {chunk.strip(_EDGES) for chunk in set(joined.lower().split())}
    return set(chain.from_iterable(map(_TERMS.__getitem__, words)))


def by_word(text: str) -> dict[str, tuple[int, ...]]:
    """The index terms of each word of a text that has some, by the word as it is written."""
    words = [chunk.strip(_EDGES) for chunk in text[:_LONGEST].split()]
    return {word: held for word in words if (held := _TERMS[word.lower()])}
