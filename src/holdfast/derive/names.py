"""Named things and numbers in a text: what a reader would underline."""

from __future__ import annotations

import re

from holdfast.derive.stopwords import STOP_WORDS

_CAPITALISED = r"[^\W\d_a-zß-öø-ÿ][\w]*(?:['’.&-]\w+)*"
_RUN = re.compile(
    rf"(?<![\w@#]){_CAPITALISED}(?:[ \t]+(?:(?:of|the|de|da|di|van|von|der|la|le|&)[ \t]+){{0,2}}"
    rf"{_CAPITALISED}|[ \t]+\d{{1,4}}(?![\w,.:/%]))*"
)
_HANDLE = re.compile(r"(?<![\w.@/])@[A-Za-z0-9_][\w.-]{0,62}\w")
_QUOTED = re.compile(r"[“«]([^“”«»\n]{2,80})[”»]|(?<!\w)\"([^\"\n]{2,80})\"(?!\w)")
_NUMBER = re.compile(
    r"(?<![\w.,])[$€£¥]?\d+(?:[.,:/-]\d+)*"
    r"(?:%|[ \t]?(?:percent|dollars?|euros?|pounds?|usd|eur|gbp|k|m|bn|million|billion|"
    r"kg|g|lbs?|oz|km|cm|mm|miles?|met(?:er|re)s?|feet|ft|inch(?:es)?|hours?|hrs?|minutes?|mins?|"
    r"seconds?|secs?|ms|days?|weeks?|months?|years?|[kmgt]i?b|°?[cf]|people|times)\b|"
    r"(?:st|nd|rd|th|s|x)?\b)",
    re.IGNORECASE,
)
_SENTENCE_END = frozenset(".!?…:\n\"“”'*-•(")
# Openers that stand before a name without being part of it.
_OPENING = """
absolutely awesome congrats congratulations dear glad good great happy hello hey hi look nice sorry
sounds sure thank thanks wish wow
"""
_OPENERS = frozenset(_OPENING.split())


def names(text: str) -> list[str]:
    """People, places, works, products and handles, each once, in order of appearance.

    A capitalised word that opens a sentence counts only if it comes again elsewhere, or if more
    than one word of the run is capitalised.

    Notes
    -----
    Rules, no dictionary: a help for recall and for traces, not a named-entity recogniser. Scripts
    without capitals yield only handles and quoted titles. Linear in the text.

    Examples
    --------
    >>> names("Yesterday I met Ana Souza at Blue Bottle; @kai wrote “The Long Way”.")
    ['Ana Souza', 'Blue Bottle', '@kai', 'The Long Way']
    """
    runs = [(m.start(), run) for m in _RUN.finditer(text) for run in _trim(m[0])]
    inside = {run for start, run in runs if not _opens_sentence(text, text.find(run, start))}
    found = [
        (start, run)
        for start, run in runs
        if run in inside or len(run.split()) > 1 or _odd_case(run)
    ]
    quoted = [(m.start(), m.end(), (m[1] or m[2]).strip()) for m in _QUOTED.finditer(text)]
    found = _outside(found, quoted)
    found += [(m.start(), m[0]) for m in _HANDLE.finditer(text)]
    found += [(start, title) for start, _, title in quoted]
    found.sort()
    return list(dict.fromkeys(name for _, name in found if name))


def numbers(text: str) -> list[str]:
    """Numbers with their units as written, each once, in order.

    Examples
    --------
    >>> numbers("It cost $1,200 in 2019, 15 % down; 3 miles at 7:30.")
    ['$1,200', '2019', '15', '3 miles', '7:30']
    """
    return list(dict.fromkeys(match[0] for match in _NUMBER.finditer(text)))


def _outside(
    found: list[tuple[int, str]], quoted: list[tuple[int, int, str]]
) -> list[tuple[int, str]]:
    """What begins in no quoted title; both lists in order of position."""
    kept, i = [], 0
    for start, name in found:
        while i < len(quoted) and quoted[i][1] <= start:
            i += 1
        if i == len(quoted) or start < quoted[i][0]:
            kept.append((start, name))
    return kept


def _trim(run: str) -> list[str]:
    """The run without stop words at its ends: "The Ana" is Ana, "I" is nobody."""
    parts = run.split()
    while parts and _empty(parts[0]):
        parts.pop(0)
    while parts and (_empty(parts[-1]) or (parts[-1].isdecimal() and len(parts) == 1)):
        parts.pop()
    if not parts:
        return []
    return [_bare(run[run.index(parts[0]) : run.rindex(parts[-1]) + len(parts[-1])])]


def _bare(run: str) -> str:
    return run[:-2] if run[-2:] in ("'s", "’s") else run


def _empty(word: str) -> bool:
    low = word.lower().replace("’", "'")
    if "'" in low and low.split("'")[0] in STOP_WORDS:
        return True
    return low in STOP_WORDS or low in _OPENERS


def _odd_case(word: str) -> bool:
    """Capitals beyond the first letter, or a digit: NASA, GPT-4, PostgreSQL."""
    return len(word) > 1 and any(c.isupper() or c.isdigit() for c in word[1:])


def _opens_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 3) : start].rstrip(" \t")
    return not before or before[-1] in _SENTENCE_END
