"""From text to index terms: what a query and an event must share to be found by words.

A text is cut at white space. What a chunk yields is worked out once and remembered, so the usual
cost of a chunk is one dictionary look-up. `words` shows the words whose hashes are the terms.

Inflection is undone without knowing the language. A word gets the Snowball stemmer of its script:
English for Latin letters, Russian for Cyrillic, and so on. Where words have no spaces between them,
characters and pairs of them are the words. A text in Latin letters that does not look English also
yields how each word begins: "kupiła" and "kupiłam" share "kupi*" and "kupił*".

References
----------
Can et al., Information Retrieval on Turkish Texts, doi:10.1002/asi.20750: cutting words short
serves about as well as a stemmer. Here the beginnings come beside the words, not instead of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, pairwise
from typing import Any
from zlib import crc32

from holdfast.derive.memo import Memo
from holdfast.derive.stopwords import (
    CAPITAL_WORDS,
    ENGLISH,
    NOT_ENGLISH,
    SCRIPT_STOP_WORDS,
    STOP_WORDS,
)

# Marks belong to the word they modify, but `\w` leaves them out: South Asian vowel signs, and
# the combining marks of Latin, Hebrew, Arabic, Thai, Lao, Tibetan, Myanmar and Khmer.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece\u0f18-\u0f39\u0f71-\u0f84"
    "\u102b-\u103e\u17b4-\u17d3\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\u302a-\u302f\u3099\u309a"
)
# Written without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_W = rf"[\w{_MARKS}]"
_TOKEN = re.compile(
    rf"(?<![\w,])\d{{1,3}}(?:,\d{{3}})+(?![\d,])|{_W}+(?:[.'’@:/-]{_W}+)*(?:\+\+|\#(?!{_W}))?"
)
_SCRIPT = re.compile(rf"[{_UNSPACED}]+|[{_HANGUL}]+|[^{_UNSPACED}{_HANGUL}]+")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}{_HANGUL}]")
_HAN_CHARACTER = re.compile(f"[{_HAN}]")
_PARTICLES = "은는이가을를에의도로와과만"  # what a Korean noun of one syllable is seen with
_ACCENTED = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]")
_CLITIC = re.compile(r"['’](?:s|m|re|ve|ll|d)$", re.IGNORECASE)
_ACRONYM = re.compile(r"(?:[a-z]\.)+[a-z]", re.IGNORECASE)
_PARTS = re.compile(r"[_.'’@:/+#-]+")
_PATH = re.compile(r"[/:]+")
_PICTOGRAPH = re.compile("[\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]")
_FIGURES = re.compile(r"[0-9.:/-]+")
_LETTER = rf"(?:[^\W\d_]|[{_MARKS}])"
_HYPHENATED = re.compile(rf"{_LETTER}+(?:-{_LETTER}+)*")
_CAMEL = re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]{3}")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_INVISIBLE = dict.fromkeys([0xAD, *range(0x200B, 0x2010), 0x2060, 0xFEFF])
_STEM_LONGEST = 32
_BEGINNINGS = (4, 5)  # letters
_EDGES = "\"'(),.:;!?*-_"
_MORE_EDGES = _EDGES + "¡¿«»‘’‚“”„…"

# The first and the last letter of a script, and the Snowball stemmer of its most used language.
_SCRIPTS = (
    ("\u0370", "\u03ff", "greek"),
    ("\u0400", "\u052f", "russian"),
    ("\u0530", "\u058f", "armenian"),
    ("\u0600", "\u06ff", "arabic"),
    ("\u0900", "\u097f", "hindi"),
    ("\u0b80", "\u0bff", "tamil"),
)
# What is often written in another way, or what the stemmer of a neighbouring language lacks.
_SPELLING = {
    "hindi": {0x901: 0x902, 0x93C: None},  # candrabindu, nukta
    "russian": {**str.maketrans("ёєіїґў", "ееиигу"), 0x301: None},
}


def hash_term(field: str, word: str) -> int:
    """The index term of a normalised word: 32 bits; another field, another term."""
    if field:
        word = f"{field}\x1f{word}"
    return crc32(word.encode() if word.isascii() else word.encode("utf-8", "surrogatepass"))


def terms(text: str) -> list[int]:
    """The index terms of a text, in order, with repeats; stop words left out.

    Notes
    -----
    Linear in the text. Never fails, whatever the text holds, lone surrogates included.

    Examples
    --------
    >>> terms("The cats sat.") == terms("cat, sat")
    True
    """
    return chunk_terms(text.split())


def chunk_terms(chunks: Sequence[str]) -> list[int]:
    """As `terms`, of a text already cut at white space."""
    try:
        return list(chain.from_iterable(map(_TERMS.__getitem__, chunks)))
    except _UndecidedError:  # so that English, which hardly ever does this, pays nothing
        kept = _TERMS_OF_ENGLISH if _is_english(chunks) else _TERMS_OF_OTHERS
        return list(chain.from_iterable(map(kept.__getitem__, chunks)))


def words(text: str) -> list[str]:
    """The normalised words behind `terms`, in the same order.

    Examples
    --------
    >>> words("Caroline's running to foo_bar.py")
    ['carolin', 'run', 'foo_bar.py', 'foo', 'bar', 'py']
    """
    chunks = text.split()
    return list(chain.from_iterable(map(_english if _is_english(chunks) else _other, chunks)))


def query_terms(text: str) -> list[int]:
    """As `terms`, but a query of nothing but stop words keeps them."""
    return terms(text) or [
        hash_term("", word) for chunk in text.split() for word in _words(chunk, frozenset())
    ]


class _UndecidedError(Exception):
    """The terms of a chunk depend on the language of its text."""


def _english(chunk: str) -> Iterable[str]:
    """The words of a chunk of an English text, or of one in other letters than Latin."""
    return _words(chunk, STOP_WORDS)


def _other(chunk: str) -> Iterator[str]:
    """The words of a chunk of any other text, and how each begins."""
    if _core(chunk) in NOT_ENGLISH:
        return
    for word in _words(chunk, STOP_WORDS):
        yield word
        if word.isalpha() and word[0] < "\u0370" and word == _without_marks(word):
            yield from (f"{word[:n]}*" for n in _BEGINNINGS if n <= len(word))


def _hashes(words: Iterable[str]) -> tuple[int, ...]:
    return tuple([hash_term("", word) for word in words])


def _hashes_if_decided(chunk: str) -> tuple[int, ...]:
    core = chunk.strip(_EDGES)
    if core.isascii() and core.isalpha():  # as in `_words`, with one look more at the word
        if core.lower() in NOT_ENGLISH:
            raise _UndecidedError
        return _hashes(_plain_words(core, STOP_WORDS))
    if _tells_other(chunk):
        raise _UndecidedError
    return _hashes(_compound_words(chunk, STOP_WORDS))


_TERMS: Memo[tuple[int, ...]] = Memo(_hashes_if_decided)
_TERMS_OF_ENGLISH: Memo[tuple[int, ...]] = Memo(lambda chunk: _hashes(_english(chunk)))
_TERMS_OF_OTHERS: Memo[tuple[int, ...]] = Memo(lambda chunk: _hashes(_other(chunk)))


def _is_english(chunks: Sequence[str]) -> bool:
    """Whether at least as many chunks speak for English as against it."""
    others = sum(map(_tells_other, chunks))
    return not others or others <= sum(_core(chunk) in ENGLISH for chunk in chunks)


def _tells_other(chunk: str) -> bool:
    """Whether a chunk speaks for another language in Latin letters than English."""
    if chunk.isascii():
        return chunk.strip(_EDGES).lower() in NOT_ENGLISH
    return _ACCENTED.search(chunk) is not None or _core(chunk) in NOT_ENGLISH


def _core(chunk: str) -> str:
    return chunk.strip(_MORE_EDGES).lower()


def _words(chunk: str, stops: frozenset[str]) -> Iterable[str]:
    """The normalised words of a text without white space."""
    core = chunk.strip(_EDGES)
    if core.isascii() and core.isalpha():  # most chunks are a word with its punctuation
        return _plain_words(core, stops)
    return _compound_words(chunk, stops)


def _compound_words(chunk: str, stops: frozenset[str]) -> Iterator[str]:
    """The normalised words of a text that is more than one word, or none of ASCII letters."""
    if not chunk.isascii():
        chunk = unicodedata.normalize("NFKC", chunk).translate(_INVISIBLE)
        yield from _PICTOGRAPH.findall(chunk)
    for token in _TOKEN.findall(chunk):
        yield from _token_words(token, stops)


def _token_words(token: str, stops: frozenset[str]) -> Iterator[str]:
    """An identifier whole and in parts; other compounds in parts; a word as it is."""
    token = _CLITIC.sub("", token.strip("_"))
    if token.isalnum():
        yield from _plain_words(token, stops)
    elif "," in token:
        yield token.replace(",", "")
    elif _FIGURES.fullmatch(token):  # a date, a time, a fraction; of its parts, only years
        yield token
        yield from (part for part in _PARTS.split(token) if len(part) > 3)
    elif "/" in token or ":" in token:
        for piece in _PATH.split(token):
            yield from _token_words(piece, stops)
    elif token[-3:].lower() in ("n't", "n’t"):  # all of these are negated auxiliaries
        if not stops:
            yield token.casefold().replace("’", "'")
    elif _ACRONYM.fullmatch(token):
        yield from _plain_words(token.replace(".", ""), stops)
    else:
        yield from _joined_words(token, stops)


def _joined_words(token: str, stops: frozenset[str]) -> Iterator[str]:
    """A compound as one word, if it is more than the sum of its parts; and its parts."""
    parts = [part for part in _PARTS.split(token) if part]
    whole = ""
    if not _UNSPACED_RUN.search(token):
        if "'" in token or "’" in token:
            whole = "".join(parts).casefold()  # o'clock, rock'n'roll
        elif not _HYPHENATED.fullmatch(token):
            whole = token.casefold()  # foo_bar.py, a.b@c, c++, gpt-4
    if whole:
        yield whole
    for part in parts:
        if not whole or len(part) > 1:
            yield from _plain_words(part, stops)


def _plain_words(word: str, stops: frozenset[str]) -> Iterable[str]:
    """A run of letters and digits, normalised; also the humps of camel case."""
    if not word.isascii():
        return _foreign_words(word, stops)
    folded = word.lower()
    if folded in stops and word not in CAPITAL_WORDS:
        return ()
    if word == folded or word[1:] == folded[1:] or not _CAMEL.search(word):
        return (_stem(folded),)
    humps = (hump.lower() for hump in _HUMP.findall(word))
    parts = (_stem(h) for h in humps if len(h) > 1 and h != folded and h not in stops)
    return (_stem(folded), *parts)


def _foreign_words(word: str, stops: frozenset[str]) -> Iterator[str]:
    """A word with letters beyond ASCII."""
    for run in _SCRIPT.findall(word):
        folded = run.casefold()
        if _UNSPACED_RUN.match(run):
            yield from _characters(folded)
            continue
        folded = unicodedata.normalize("NFKC", folded)
        language = _language(folded)
        if language:
            plain = _plain_letters(folded, language)
            if plain and not (stops and plain in SCRIPT_STOP_WORDS):
                yield _stem(plain, language)
            continue
        if folded in stops:
            continue
        bare = _without_marks(folded)
        yield folded if folded != bare else _stem(folded)
        if folded != bare and bare:
            yield _stem(bare)  # so that "cafe" finds "café"


def _characters(run: str) -> Iterator[str]:
    """Pairs of characters; single ones where they tend to be words."""
    if len(run) == 1:
        yield run
        return
    yield from map("".join, pairwise(run))
    yield from _HAN_CHARACTER.findall(run)
    if len(run) == 2 and run[1] in _PARTICLES:
        yield run[0]


def _language(word: str) -> str:
    """The stemmer of the script that a word begins in; empty for Latin and where there is none."""
    for first, last, language in _SCRIPTS:
        if first <= word[:1] <= last:
            return language
    return ""


def _plain_letters(word: str, language: str) -> str:
    """A word in the spelling that its stemmer knows, without marks that may be left out."""
    if language == "hindi":
        word = unicodedata.normalize("NFD", word)
    elif language != "russian":  # where the short i is a letter of its own, though it has a mark
        word = _without_marks(word)
    return word.translate(_SPELLING.get(language, {}))


def _without_marks(word: str) -> str:
    """Latin, Greek, Cyrillic, Hebrew and Arabic letters without their marks."""
    if any("\u0900" <= c <= "\u1cff" for c in word):  # there, marks are vowels
        return word
    split = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(c for c in split if not unicodedata.combining(c)))


def _stem(word: str, language: str = "english") -> str:
    """The Snowball stem of a lower-case word; unchanged if it is long or, in English, not ASCII."""
    if len(word) > _STEM_LONGEST or (
        language == "english" and not (word.isascii() and word.isalpha())
    ):
        return word
    stem: str = _stemmer(language).stemWord(word)
    if language == "arabic" and len(stem) > 2:  # feminine, alone and before "my"
        return stem.removesuffix("\u0629").removesuffix("\u062a")
    return stem or word


@cache
def _stemmer(language: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(language, 0)  # no cache of its own: the memo is one
