"""Events: the log as a timeline, and one event with all that hangs on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from holdfast.errors import ArgumentsError, NotFoundError
from holdfast.inspector.desk import Desk
from holdfast.inspector.journal import Journal
from holdfast.inspector.query import Query
from holdfast.inspector.view import TIERS, Numbers, View, Wanted
from holdfast.ledger.records import Loss
from holdfast.records import KINDS, Record
from holdfast.wire.plain import plain

COUNT, MOST = 50, 200
BINS = 120
ORDERS = ("newest", "oldest")
_LINE = 400  # characters of an event that a list shows
_RESTING = 100  # beliefs that an event page lists
_LOSSES = 50  # entries of the ledger


def line(record: Record) -> dict[str, Any]:
    """An event as lists show it."""
    event, text = record.event, record.text
    return {
        "seq": record.seq,
        "at": event.at,
        "recorded_at": record.recorded_at,
        "speaker": event.speaker,
        "role": event.role,
        "scope": event.scope,
        "kind": event.kind,
        "tier": record.tier.name.lower(),
        "pinned": event.pinned,
        "size": record.size,
        "text": text[:_LINE],
        "clipped": len(text) > _LINE,
        "binary": isinstance(event.content, bytes),
    }


def log(desk: Desk, query: Query) -> dict[str, Any]:
    """A window of the log, filtered, and where it lies in the whole."""
    wanted = _wanted(query)
    contains = query.raw("contains") or None
    order = query.one_of("order", ORDERS, "newest")
    count = query.number("count", COUNT, 1, MOST)
    seq = query.optional("seq", 1, 1 << 62)
    with desk.open() as at:
        view = View(at)
        numbers = view.numbers(wanted)
        if order == "newest":
            numbers = numbers[::-1]
        total = len(numbers)
        place, found = (None, None) if seq is None else _place(numbers, seq)
        start = query.number("offset", 0, 0, 1 << 62)
        if place is not None and query.text("offset") is None:
            start = place if contains else place // count * count
        if contains is None:
            records, read = view.window(numbers, start, count), count
        else:
            records, read = view.search(numbers, start, count, contains)
        after = start + read
        return {
            "filters": {
                "scope": wanted.scope, "speaker": wanted.speaker, "kind": wanted.kind or None,
                "tier": wanted.tier or None, "since": wanted.since, "until": wanted.until,
                "contains": contains, "order": order,
            },
            "kinds": list(KINDS),
            "tiers": list(TIERS),
            "total": total,
            "offset": start,
            "count": count,
            "seq": seq,
            "found": found,
            "before": max(0, start - count) if start and contains is None else None,
            "after": after if after < total else None,
            "searched": None if contains is None else read,
            "events": [line(record) for record in records],
            "strip": [] if query.flag("rows") else view.strip(BINS),
        }  # fmt: skip


def _wanted(query: Query) -> Wanted:
    scope = query.text("scope")
    return Wanted(
        scope and scope.strip("/"),
        query.raw("speaker") or None,
        query.one_of("kind", KINDS),
        query.one_of("tier", TIERS),
        query.time("since"),
        query.time("until"),
    )


def _place(numbers: Numbers, seq: int) -> tuple[int, bool]:
    """Where an event stands in an order of them, or else the one next to it; and which it is."""
    if not len(numbers):
        return 0, False
    place = int(np.abs(numbers - seq).argmin())
    return place, int(numbers[place]) == seq


def event(desk: Desk, query: Query, seq: str) -> dict[str, Any]:
    """One event: every field of it, what rests on it, and how it is proved.

    One that is not kept is told with the losses that may have been it.
    """
    number = _number(seq)
    try:
        record: Record = desk.raw("get", seq=number)
    except NotFoundError as missing:
        return {"seq": number, "kept": False, "message": str(missing), **_losses(desk, number)}
    with desk.open() as at:
        numbers = View(at).numbers(Wanted())
        beliefs, more = Journal(at).resting_on(number, _RESTING)
    place, _ = _place(numbers, number)
    near = numbers[max(0, place - 1) : place + 2].tolist()
    return {
        "seq": number,
        "kept": True,
        "event": plain(record),
        "text": record.text,
        "previous": max((n for n in near if n < number), default=None),
        "next": min((n for n in near if n > number), default=None),
        "beliefs": plain(beliefs),
        "more": more,
    }


def _number(seq: str) -> int:
    if not (seq.isascii() and seq.isdecimal()) or len(seq) > 18:
        raise ArgumentsError("an event is named by its number; write it like log/12")
    return int(seq)


def _losses(desk: Desk, seq: int) -> dict[str, Any]:
    """The newest entries of the ledger that may have been an event, and whether there are more."""
    every: list[Loss] = desk.raw("ledger") if desk.whole else []
    found = [
        one for one in reversed(every) if one.action == "evicted" and one.first <= seq <= one.last
    ]
    return {"losses": plain(found[:_LOSSES]), "more": len(found) > _LOSSES}
