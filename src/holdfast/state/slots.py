"""Which claims compete: the slot a claim is about, and what in it excludes what."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from holdfast.state.predicates import predicate
from holdfast.state.records import Claim

_SPACE = re.compile(r"\s+")
_ARTICLE = re.compile(r"^(?:the|a|an|my|our)\s+")
SEPARATOR = "\x1f"
_EDGES = " \t\r\n.,;:!?'\"“”‘’()[]"


class Slot(NamedTuple):
    """What only one thing can be true of at a time.

    For a predicate with one value that is the subject and the predicate. Where there may be many
    values, each has a slot of its own, shared by the predicates of one family.
    """

    scope: str
    subject: str
    about: str
    value: str = ""

    @property
    def key(self) -> str:
        """As one string, for journals."""
        return SEPARATOR.join(self)

    @classmethod
    def of(cls, key: str) -> Slot:
        """The inverse of `key`; only a scope may hold the separator itself."""
        scope, *rest = key.rsplit(SEPARATOR, 3)
        return cls(scope, *rest)


@lru_cache(maxsize=4096)
def named(text: str) -> str:
    """A predicate as one word in small letters: ``lives in`` and ``Lives_in`` are ``lives_in``.

    Examples
    --------
    >>> named("Lives  in")
    'lives_in'
    """
    return "_".join(text.casefold().split())


def slot_of(claim: Claim, scope: str) -> Slot:
    """The slot that a claim is about.

    Examples
    --------
    >>> slot_of(Claim("Ana", "lives_in", "Porto"), "").about
    'lives_in'
    >>> likes = slot_of(Claim("Ana", "likes", "The coffee"), "")
    >>> likes == slot_of(Claim("ana", "dislikes", "coffee"), "")
    True
    """
    about = named(claim.predicate)
    known, subject = predicate(about), plain(claim.subject)
    many = known.many if claim.many is None else claim.many
    if not many:
        return Slot(scope, subject, about)
    return Slot(scope, subject, known.family or about, plain(claim.value))


def rival_of(claim: Claim, slot: Slot) -> str:
    """What a claim says of its slot: claims with one rival confirm, with two contradict."""
    return named(claim.predicate) if slot.value else plain(claim.value)


@lru_cache(maxsize=16_384)
def plain(text: str) -> str:
    """A name without what does not tell it from another: case, articles, spaces, outer marks.

    Examples
    --------
    >>> plain(" The  Blue Pot. ")
    'blue pot'
    """
    folded = unicodedata.normalize("NFKC", text).casefold().strip(_EDGES)
    bare = _ARTICLE.sub("", _SPACE.sub(" ", folded))
    return bare or folded or text.strip()
