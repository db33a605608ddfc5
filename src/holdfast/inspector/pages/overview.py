"""Overview: how full the budget is, how faithful the memory, how busy, and what is newest."""

from __future__ import annotations

from typing import Any

from holdfast.inspector.desk import Desk
from holdfast.inspector.pages.events import BINS, line
from holdfast.inspector.query import Query
from holdfast.inspector.rates import BUCKET_S
from holdfast.inspector.view import View, Wanted
from holdfast.memory import Memory
from holdfast.wire.plain import plain

NEWEST = 8
_PROBES = 256  # that a measurement asks at most; each is a recall


def memories(desk: Desk, query: Query) -> dict[str, Any]:
    """The memories that the caller may use."""
    names = desk.service.names(desk.caller)
    return {"memories": [{"name": name, "may": desk.caller.may} for name in names]}


def overview(desk: Desk, query: Query) -> dict[str, Any]:
    """The memory at a glance; with ``measure=1`` its fidelity is measured first."""
    if query.flag("measure"):
        tokens = query.number("tokens", 1000, 1, 1_000_000)
        measured = desk.call("fidelity", tokens=tokens, sample=_PROBES)
        desk.noted.add(desk.memory, "fidelity", measured)
    with desk.open() as at:
        view = View(at)
        numbers = view.numbers(Wanted())
        strip = view.strip(BINS)
        newest = [line(record) for record in view.window(numbers[::-1], 0, NEWEST)]
        watch = at._watch if isinstance(at, Memory) else None
    held = desk.noted.all(desk.memory, "fidelity") if desk.whole else []
    metered = plain(watch.report()) | {"at": desk.noted.clock()} if watch is not None else None
    verified = desk.noted.all(desk.memory, "verified") if desk.whole else []
    return {
        **live(desk, query),
        "kept": len(numbers),
        "strip": strip,
        "newest": newest,
        "fidelity": metered or (held[-1] if held else None),
        "measurements": [
            {"at": one["at"], "tokens": one["tokens"], "found": one["found"]} for one in held
        ],
        "verified": verified[-1] if verified else None,
    }


def live(desk: Desk, query: Query) -> dict[str, Any]:
    """The part of it that changes by itself: bytes, tiers and rates."""
    usage = desk.call("usage") if desk.whole else None
    return {
        "usage": usage,
        "parts": _parts(desk, usage) if usage else [],
        "rates": {
            "bucket_s": BUCKET_S,
            "writes": desk.rates.counts(desk.memory, "write"),
            "recalls": desk.rates.counts(desk.memory, "recall"),
            "writes_per_minute": desk.rates.per_minute(desk.memory, "write"),
            "recalls_per_minute": desk.rates.per_minute(desk.memory, "recall"),
        },
    }


def _parts(desk: Desk, usage: dict[str, Any]) -> list[dict[str, Any]]:
    """The budget, cut into parts that add up to it.

    The log is told apart by the tokens that each tier keeps, which is about what its bytes are.
    """
    with desk.open() as at:
        tokens = View(at).tokens()
    every = sum(tokens.values()) or 1
    log: int = usage["log"]
    parts = {tier: log * n // every for tier, n in tokens.items()}
    parts["verbatim"] += log - sum(parts.values())
    for name in ("index", "vectors", "ledger", "state", "audit"):
        parts[name] = usage[name]
    parts["pages"] = max(0, usage["database"] - sum(parts.values()))
    parts["wal"] = usage["wal"] + usage["shm"]
    parts["unused"] = max(0, usage["budget"] - sum(parts.values()))
    return [{"name": name, "nbytes": nbytes} for name, nbytes in parts.items()]
