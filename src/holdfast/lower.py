"""An event's way down the tiers, and the index terms of what is left of it at each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from holdfast.codec import BYTES, Row, content_bytes, to_gist, to_record, to_trace
from holdfast.derive.gist import gist, key_terms
from holdfast.derive.terms import terms
from holdfast.derive.tokens import count_tokens
from holdfast.records import KINDS, Tier

_GIST_SHARE = 0.35  # of an event's text
_LONGEST_GIST = 4000  # characters
_LONGEST_TRACED = 2000  # characters of a text that key terms are chosen from


def text_of(row: Row) -> str:
    """What can still be read of a row; empty for bytes."""
    if row.tier == Tier.VERBATIM:
        if row.flags & BYTES:
            return ""
        return row.body[: len(row.body) - row.extra].decode("utf-8", "surrogatepass")
    return to_record(row).text


def index_terms(speaker: str | None, text: str) -> list[int]:
    """The terms under which an event is found: its speaker's name and its text."""
    return speaker_terms(speaker) + terms(text)


@lru_cache(maxsize=4096)
def _speaker_terms(speaker: str) -> tuple[int, ...]:
    return tuple(terms(speaker))


def speaker_terms(speaker: str | None) -> list[int]:
    """The index terms of a speaker's name."""
    return list(_speaker_terms(speaker)) if speaker else []


def row_terms(row: Row) -> list[int]:
    """The index terms of a row at its present tier; a change of state has none."""
    if KINDS[row.kind] == "state":
        return []
    return index_terms(row.who.speaker, text_of(row))


def to_tier(row: Row, tier: int) -> tuple[Row, list[int]]:
    """The row demoted to GIST or TRACE, and its new index terms."""
    text = text_of(row)
    lowered, found = _to_gist(row, text) if tier == Tier.GIST else _to_trace(row, text)
    if KINDS[row.kind] == "state":
        return lowered._replace(length=0), []
    return lowered, found


def _to_gist(row: Row, text: str) -> tuple[Row, list[int]]:
    share = min(_GIST_SHARE, _LONGEST_GIST / max(1, len(text)))
    spans = gist(text, share) if text else []
    kept = " … ".join(text[start:end] for start, end in spans)
    found = index_terms(row.who.speaker, kept)
    return to_gist(row, _byte_spans(text, spans), len(found), count_tokens(kept)), found


def _to_trace(row: Row, text: str) -> tuple[Row, list[int]]:
    words = key_terms(text[:_LONGEST_TRACED]) if text else []
    kept = " ".join(words)
    found = index_terms(row.who.speaker, kept)
    return to_trace(row, words, len(found), count_tokens(kept)), found


def _byte_spans(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Character spans as UTF-8 byte spans."""
    if text.isascii():
        return list(spans)
    found, chars, nbytes = [], 0, 0
    for start, end in spans:
        begin = nbytes + len(content_bytes(text[chars:start]))
        nbytes = begin + len(content_bytes(text[start:end]))
        chars = end
        found.append((begin, nbytes))
    return found
