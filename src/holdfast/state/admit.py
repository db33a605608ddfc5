"""What a claim must be to be recorded, and how evidence may be written."""

from __future__ import annotations

import math
import re
from typing import Any

from holdfast.errors import InvalidClaimError
from holdfast.state.predicates import predicate
from holdfast.state.records import BELIEF_KINDS, STANCES, Claim, Evidence
from holdfast.state.slots import SEPARATOR, named

NAME_BYTES = 1024
"""Of a subject, a predicate, an alias and a reason, each."""
VALUE_BYTES = 8192
QUOTE_BYTES = 4096
"""Of one piece of evidence; longer spans are cut when whole events are cited."""
ALIASES = 32
_CITATION = re.compile(r"e(\d{1,18})(?:\[(\d{1,10}:\d{1,10}(?:,\d{1,10}:\d{1,10})*)\])?")
_LATEST = 253_402_300_800.0  # the year 10000


def admit(claim: Claim) -> None:
    """Refuse a claim that breaks a rule.

    Raises
    ------
    InvalidClaimError
        Saying which field, what it is and what it may be.
    """
    for name in ("subject", "predicate"):
        _check_text(name, getattr(claim, name), NAME_BYTES)
    if SEPARATOR in claim.predicate:
        raise InvalidClaimError("a predicate may not hold the character U+001F; leave it out")
    if claim.stance not in STANCES:
        raise InvalidClaimError(f"stance {claim.stance!r} is none of {', '.join(STANCES)}")
    if claim.value != "" or claim.stance != "retract":
        _check_text("value", claim.value, VALUE_BYTES)
    known = predicate(named(claim.predicate))
    if claim.stance == "retract" and not claim.value and (
        claim.many or (claim.many is None and known.many)
    ):  # fmt: skip
        raise InvalidClaimError(
            f"{claim.predicate!r} has many values; name the one that is no longer so"
        )
    if claim.kind not in BELIEF_KINDS:
        raise InvalidClaimError(f"kind {claim.kind!r} is none of {', '.join(BELIEF_KINDS)}")
    if not (_is_number(claim.confidence) and 0 <= claim.confidence <= 1):
        raise InvalidClaimError(f"confidence {claim.confidence!r} is not a number from 0 to 1")
    _check_times(claim)
    if claim.why_it_matters is not None:
        _check_text("why_it_matters", claim.why_it_matters, NAME_BYTES)
    if len(claim.aliases) > ALIASES:
        raise InvalidClaimError(f"{len(claim.aliases)} aliases are over the limit of {ALIASES}")
    for alias in claim.aliases:
        _check_text("an alias", alias, NAME_BYTES)


Spans = tuple[tuple[int, int] | None, ...]


def evidence_of(proof: Any) -> tuple[int, Spans]:
    """The event that a piece of evidence names, and the runs of its bytes; None: all of it.

    Examples
    --------
    >>> evidence_of("e12[0:36,40:44]"), evidence_of(7)
    ((12, ((0, 36), (40, 44))), (7, (None,)))
    """
    if isinstance(proof, bool):
        raise InvalidClaimError(f"{proof!r} is no evidence; name an event")
    if isinstance(proof, int):
        return proof, (None,)
    if isinstance(proof, Evidence):
        return proof.seq, ((proof.start, proof.end),)
    if isinstance(proof, str):
        found = _CITATION.fullmatch(proof.strip())
        if found is None:
            raise InvalidClaimError("a citation is written like e12 or e12[0:36]; this is neither")
        return int(found[1]), tuple(map(_span, found[2].split(","))) if found[2] else (None,)
    seq, span = getattr(proof, "seq", None), getattr(proof, "span", None)
    if not isinstance(seq, int):
        raise InvalidClaimError(f"{type(proof).__name__} is no evidence; give a citation")
    quoted = tuple((quote.start, quote.end) for quote in getattr(proof, "quotes", ()))
    return seq, quoted or (span,)


def _span(text: str) -> tuple[int, int]:
    start, end = text.split(":")
    return int(start), int(end)


def _check_text(name: str, value: Any, most: int) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidClaimError(f"{name} must be a text that says something; give one")
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > most:
        raise InvalidClaimError(f"{name} of {size} bytes is over the limit of {most}; shorten it")


def _check_times(claim: Claim) -> None:
    for name in ("valid_from", "valid_until"):
        at = getattr(claim, name)
        if at is not None and not (_is_number(at) and abs(at) < _LATEST):
            raise InvalidClaimError(f"{name}={at!r} is no time; give POSIX seconds (UTC)")
    if (
        claim.valid_from is not None
        and claim.valid_until is not None
        and claim.valid_until <= claim.valid_from
    ):
        raise InvalidClaimError("valid_until is not after valid_from; swap them or leave one out")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
