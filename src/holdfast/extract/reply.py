"""From a model's answer to claims: nothing in it is believed before it was checked."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard, cast

from holdfast.codec import content_bytes, digest
from holdfast.extract.desk import Pending
from holdfast.state.records import BELIEF_KINDS, STANCES, BeliefKind, Claim, Evidence, Stance

_MOST_CLAIMS = 64  # of one event
_MOST_ALIASES = 16
_LONGEST = {"subject": 200, "predicate": 100, "value": 1_000, "why_it_matters": 500, "alias": 100}
_MOST_STARTS = 64  # places at which an object may begin, between other text
_CONFIDENCE = 0.5  # where the model gives none
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an answer holds.

    `claims` has a key for the number (`seq`) of each event that the answer covers; what it lacks
    is still to be asked for. `inventions` counts claims whose quote is not in their event;
    `malformed` counts claims of a wrong shape, or an answer that is no object with claims.
    """

    claims: Mapping[int, tuple[Claim, ...]]
    inventions: int = 0
    malformed: int = 0


class _MalformedError(Exception):
    """One claim breaks the shape that was asked for."""


def parse_reply(text: str, events: Sequence[Pending]) -> Parsed:
    """The claims of an answer whose quotes stand in their events, byte for byte.

    Parameters
    ----------
    text
        What the model said: a JSON object, possibly with other text or a code fence around it.
    events
        What it was asked about, in the order of the question: its event 1 is the first.

    Notes
    -----
    Never raises, whatever the answer is. A quote shows that the words were said, not that they are
    true; how far they are trusted follows from who said them, which evidence keeps. Where a quote
    stands several times, the occurrence nearest to the model's hint is meant, else the first. A
    claim counts as inferred unless its value stands in its quote. A date that cannot be read is
    left out. Fields nobody asked for are ignored. Linear in the answer and in the texts quoted.

    Examples
    --------
    >>> said = '{"claims": [{"event": 1, "quote": "moved to Porto", "subject": "Ana", '
    >>> said += '"predicate": "lives_in", "value": "Porto"}]}'
    >>> parsed = parse_reply(said, [Pending(7, "I moved to Porto", "Ana")])
    >>> parsed.claims[7][0].evidence[0].citation
    'e7[2:16]'
    >>> parse_reply(said, [Pending(7, "I like Porto", "Ana")])
    Parsed(claims={7: ()}, inventions=1, malformed=0)

    References
    ----------
    Chen et al., HaluMem: Evaluating Hallucinations in Memory Systems of Agents, arXiv:2511.03506,
    which counts what extraction fabricates, against annotations. Here the count needs none: it is
    of quotes that their source does not hold, a lower bound.
    """
    answer = _object(text)
    if answer is None:
        return Parsed({}, malformed=1)
    found: dict[int, dict[Claim, None]] = {}
    inventions = malformed = 0
    read = answer.get("events")
    for number in read if isinstance(read, list) else ():
        if _is_number(number, len(events)):
            found.setdefault(events[number - 1].seq, {})
    digests: dict[int, bytes] = {}
    for raw in answer["claims"]:
        try:
            event = _event(raw, events)
            if len(found.get(event.seq, ())) >= _MOST_CLAIMS:
                raise _MalformedError
            claim = _claim(raw, event, digests)
        except _MalformedError:
            malformed += 1
            continue
        claims = found.setdefault(event.seq, {})
        if claim is None:
            inventions += 1
        else:
            claims[claim] = None  # one said twice is one
    if len(events) == 1 and not malformed:
        found.setdefault(events[0].seq, {})
    claimed = {seq: tuple(claims) for seq, claims in sorted(found.items())}
    return Parsed(claimed, inventions, malformed)


def _object(text: str) -> dict[str, Any] | None:
    """The first JSON object with a list of claims; None if there is none."""
    start = text.find("{")
    for _ in range(_MOST_STARTS):
        if start < 0:
            break
        try:
            found, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            if isinstance(found, dict) and isinstance(found.get("claims"), list):
                return found
        start = text.find("{", end)
    return None


def _is_number(found: object, most: int) -> TypeGuard[int]:
    return isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= most


def _event(raw: object, events: Sequence[Pending]) -> Pending:
    number = raw.get("event") if isinstance(raw, dict) else None
    if not _is_number(number, len(events)):
        raise _MalformedError
    return events[number - 1]


def _claim(raw: Mapping[str, Any], event: Pending, digests: dict[int, bytes]) -> Claim | None:
    """The claim, or None if its event does not hold its quote."""
    quote, said = raw.get("quote"), raw.get("value")
    stance = _one_of(raw.get("stance"), STANCES, "assert")
    kind = _one_of(raw.get("kind"), BELIEF_KINDS, "fact")
    if not isinstance(quote, str) or not quote.strip():
        raise _MalformedError
    subject = _line(raw.get("subject"), "subject")
    predicate = re.sub(r"\W+", "_", _line(raw.get("predicate"), "predicate").casefold()).strip("_")
    value = "" if stance == "retract" and said in (None, "") else _line(said, "value")
    if not predicate:
        raise _MalformedError
    confidence, valid_from = _confidence(raw.get("confidence")), _time(raw.get("valid_from"))
    reason, aliases = raw.get("why_it_matters"), raw.get("aliases") or []
    if not isinstance(aliases, list):
        raise _MalformedError
    words = aliases[:_MOST_ALIASES]
    evidence = _evidence(quote, raw.get("offset"), event, digests)
    if evidence is None:
        return None
    verbatim = value in quote or (isinstance(said, str) and said in quote)
    return Claim(
        subject,
        predicate,
        value,
        kind=cast(BeliefKind, kind),
        stance=cast(Stance, stance),
        inferred=not verbatim,
        evidence=(evidence,),
        why_it_matters=_line(reason, "why_it_matters") if reason else None,
        aliases=tuple(dict.fromkeys(_line(alias, "alias") for alias in words if alias != "")),
        confidence=confidence,
        valid_from=valid_from,
    )


def _evidence(
    quote: str, hint: object, event: Pending, digests: dict[int, bytes]
) -> Evidence | None:
    text = event.text
    at = text.find(quote)
    if at < 0:
        return None
    if isinstance(hint, int) and not isinstance(hint, bool) and 0 < hint < len(text):
        places = (text.rfind(quote, 0, hint + len(quote)), text.find(quote, hint))
        at = min((p for p in places if p >= 0), key=lambda place: abs(place - hint))
    if event.seq not in digests:
        digests[event.seq] = digest(content_bytes(text))
    start = len(content_bytes(text[:at]))
    end = start + len(content_bytes(quote))
    return Evidence(event.seq, start, end, quote, digests[event.seq])


def _one_of(found: object, known: Sequence[str], otherwise: str) -> str:
    if found is None:
        return otherwise
    if not isinstance(found, str) or found not in known:
        raise _MalformedError
    return found


def _line(found: object, what: str) -> str:
    """A short text on one line, without control characters and half characters."""
    if not isinstance(found, str):
        raise _MalformedError
    line = " ".join(found.split())
    if not 0 < len(line) <= _LONGEST[what]:
        raise _MalformedError
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in line):
        raise _MalformedError
    return line


def _confidence(found: object) -> float:
    if found is None:
        return _CONFIDENCE
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found:
        raise _MalformedError
    return float(min(1, max(0, found)))


def _time(found: object) -> float | None:
    """A date or time in ISO 8601, UTC where it names no zone; None if it cannot be read."""
    if found is not None and not isinstance(found, str):
        raise _MalformedError
    try:
        time = datetime.fromisoformat(found or "")
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
