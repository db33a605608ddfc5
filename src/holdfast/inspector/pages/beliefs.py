"""Beliefs: what is held, as of any time; and one of them, as a chain of versions with evidence."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Any

from holdfast.codec import content_bytes
from holdfast.errors import NotFoundError
from holdfast.inspector.desk import Desk
from holdfast.inspector.journal import Journal
from holdfast.inspector.query import Query
from holdfast.records import Record, Tier
from holdfast.state.records import BELIEF_KINDS, Belief
from holdfast.wire.plain import plain

STATUSES = ("current", "disputed", "retired", "all")
LIMIT, MOST = 100, 1000
_BINS = 80
_MOMENTS = 20_000  # changes that are counted into them
_VERSIONS = 100  # of one belief that are shown
_AROUND = 240  # bytes of an event that are shown before and after a quote
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_WORDS = 600  # of a value that are compared word by word


def beliefs(desk: Desk, query: Query) -> dict[str, Any]:
    """The beliefs that are wanted, and when what is held changed."""
    given = {
        "query": query.text("query"),
        "subject": query.text("subject"),
        "predicate": query.text("predicate"),
        "kind": query.one_of("kind", BELIEF_KINDS) or None,
        "scope": query.text("scope"),
        "as_of": query.time("as_of"),
        "valid_at": query.time("valid_at"),
    }
    status = query.one_of("status", STATUSES, "current")
    limit = query.number("limit", LIMIT, 1, MOST)
    if given["query"]:
        status = "current"  # as `Memory.beliefs` has it
    found = desk.call("beliefs", status=status, limit=limit + 1, **given)
    return {
        "filters": {**given, "status": status},
        "kinds": list(BELIEF_KINDS),
        "statuses": list(STATUSES),
        "limit": limit,
        "more": len(found) > limit,
        "beliefs": found[:limit],
        "moments": _moments(desk),
    }


def _moments(desk: Desk) -> dict[str, Any] | None:
    """From when to when state changed, and how often in each of equal stretches of time."""
    with desk.open() as at:
        times, more = Journal(at).moments(_MOMENTS)
    if not times:
        return None
    first, last = min(times), max(times)
    counts = [0] * _BINS
    for moment in times:
        counts[min(_BINS - 1, int((moment - first) / (last - first or 1) * _BINS))] += 1
    return {
        "first": first, "last": last, "changes": len(times), "more": more, "counts": counts,
    }  # fmt: skip


def belief(desk: Desk, query: Query, id: str) -> dict[str, Any]:
    """A belief among all that was ever held of its subject and predicate in its scope."""
    found = desk.call("belief", id=id)
    every: list[Belief] = desk.raw(
        "history",
        subject=found["subject"],
        predicate=found["predicate"],
        scope=found["scope"],
        as_of=query.time("as_of"),
    )
    chain = [one for one in every if one.scope == found["scope"]]
    before = {one.superseded_by: one for one in chain if one.superseded_by}
    place = next((n for n, one in enumerate(chain) if one.id == found["id"]), None)
    # The newest, unless the one that was asked for is older than those.
    start = max(0, len(chain) - _VERSIONS)
    if place is not None and place < start:
        start = max(0, place - _VERSIONS // 2)
    shown = chain[start : start + _VERSIONS]
    versions = [
        {
            "belief": plain(one),
            "replaces": before[one.id].id if one.id in before else None,
            "diff": _diff(before[one.id].value, one.value) if one.id in before else [],
            "evidence": [_quoted(desk, piece) for piece in plain(one.evidence)],
        }
        for one in shown
    ]
    return {
        "id": id if place is None else found["id"],
        "belief": found,
        "as_of": query.time("as_of"),
        "older": start,
        "newer": len(chain) - start - len(shown),
        "versions": versions,
    }


def _diff(old: str, new: str) -> list[dict[str, str]]:
    """The words of two values: those of both, those that went, those that came."""
    a, b = _WORDS.findall(old), _WORDS.findall(new)
    if max(len(a), len(b)) > _MOST_WORDS:
        return [{"op": "del", "text": old}, {"op": "ins", "text": new}]
    parts: list[dict[str, str]] = []
    for op, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if op == "equal":
            parts.append({"op": "same", "text": "".join(a[a0:a1])})
            continue
        for name, words in (("del", a[a0:a1]), ("ins", b[b0:b1])):
            if words:
                parts.append({"op": name, "text": "".join(words)})
    return parts


def _quoted(desk: Desk, piece: dict[str, Any]) -> dict[str, Any]:
    """A piece of evidence, inside the text of its event as far as that is kept."""
    told: dict[str, Any] = {
        **piece, "tier": None, "speaker": None, "at": None,
        "before": "", "after": "", "intact": None,
    }  # fmt: skip
    try:
        record: Record = desk.raw("get", seq=piece["seq"])
    except NotFoundError:
        return told
    told |= {
        "tier": record.tier.name.lower(), "speaker": record.event.speaker, "at": record.event.at,
        "intact": record.digest.hex() == piece["digest"] if piece["digest"] else None,
    }  # fmt: skip
    if record.tier == Tier.VERBATIM:
        content = content_bytes(record.event.content)
        start, end = piece["start"], piece["end"]
        left = content[:start].decode("utf-8", "replace")
        right = content[end:].decode("utf-8", "replace")
        told["before"] = ("…" if len(left) > _AROUND else "") + left[-_AROUND:]
        told["after"] = right[:_AROUND] + ("…" if len(right) > _AROUND else "")
    return told
