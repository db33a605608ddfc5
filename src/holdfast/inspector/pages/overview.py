"""Overview: how full the budget is, how faithful the memory, how busy, and what is newest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from holdfast.inspector.desk import Desk
from holdfast.inspector.pages.events import BINS, line
from holdfast.inspector.query import Query
from holdfast.inspector.rates import BUCKET_S
from holdfast.inspector.view import TIERS, View, Wanted
from holdfast.memory import Memory
from holdfast.seat import Seat
from holdfast.service.root import Root
from holdfast.stores.space import size_of
from holdfast.wire.plain import plain

NEWEST = 8
TOKENS = 1000
_PROBES = 256  # that a measurement asks at most; each is a recall


def memories(desk: Desk, query: Query) -> dict[str, Any]:
    """The memories that the caller may use; none is opened to tell of it."""
    caller, root = desk.caller, desk.service.root
    names = desk.service.names(caller)
    shown = set(names) if desk.whole else set[str]()  # a seat is not told how much others wrote
    opened = root.opened() if isinstance(root, Root) else ()
    told = {name: _glance(memory) for name, memory in opened if name in shown}
    return {
        "may": caller.may,
        "makes": desk.whole and caller.allows("govern"),
        "memories": [
            {
                "name": name,
                "disk": _size(root.path(name)) if name in shown else None,
                "open": told.get(name),
            }
            for name in names
        ],
    }


def _glance(memory: Memory) -> dict[str, Any]:
    """What RAM tells of an open memory."""
    with memory._mirror.lock:
        columns = memory._mirror.columns
        rows = np.flatnonzero(columns.alive)
        newest = float(columns.at[rows[-1]]) if len(rows) else None
    return {"budget": memory._store.budget, "events": len(rows), "newest": newest}


def _size(path: Path) -> int:
    return sum(size_of(f"{path}{ending}") for ending in ("", "-wal", "-shm"))


def overview(desk: Desk, query: Query) -> dict[str, Any]:
    """The memory at a glance; with ``measure=1`` its fidelity is measured first."""
    if query.flag("measure"):
        tokens = query.number("tokens", TOKENS, 1, 1_000_000)
        desk.look("fidelity", "fidelity", tokens=tokens, sample=_PROBES)
    with desk.open() as at:
        view = View(at)
        numbers = view.numbers(Wanted())
        strip = view.strip(BINS)
        newest = [line(record) for record in view.window(numbers[::-1], 0, NEWEST)]
        watch = at._watch if isinstance(at, Memory) else None
    held = desk.noted.all(desk.memory, "fidelity") if desk.whole else []
    metered = plain(watch.report()) | {"at": desk.noted.clock()} if watch is not None else None
    verified = desk.noted.all(desk.memory, "verified") if desk.whole else []
    now = live(desk, query)
    kept = len(numbers) if now["kept"] is None else now["kept"]
    return {
        **now,
        "kept": kept,
        "strip": strip,
        "newest": newest,
        "tokens": TOKENS,
        "fidelity": metered or (held[-1] if held else None),
        "measurements": [
            {"at": one["at"], "tokens": one["tokens"], "found": one["found"]} for one in held
        ],
        "measure_s": desk.expected_s("fidelity", kept) if desk.whole else None,
        "verified": verified[-1] if verified else None,
        "verify_s": desk.expected_s("verified", kept) if desk.whole else None,
    }


def live(desk: Desk, query: Query) -> dict[str, Any]:
    """The part of it that changes by itself: bytes, counts and rates; of a whole memory only.

    All counts are of one look, so that they fit each other while others write.
    """
    if not desk.whole:
        return {"usage": None, "kept": None, "seen": None, "parts": [], "rates": None}
    usage = desk.call("usage")
    return {
        "usage": usage,
        "kept": sum(usage["events"][tier] for tier in TIERS),
        "seen": sum(usage["events"].values()),
        "parts": _parts(desk, usage),
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

    `holdfast.stores.space` splits it once: so much for the pages of the database, the rest for the
    write-ahead log and its index. The log of events is told apart by the tokens that each tier
    keeps, which is about what its bytes are.
    """
    with desk.open() as at:
        tokens = View(at).tokens()
        memory = at._memory if isinstance(at, Seat) else at
        capacity = memory._store.capacity()
    every = sum(tokens.values()) or 1
    log: int = usage["log"]
    parts = {tier: log * n // every for tier, n in tokens.items()}
    parts["verbatim"] += log - sum(parts.values())
    for name in ("index", "vectors", "ledger", "state", "audit"):
        parts[name] = usage[name]
    parts["pages"] = max(0, capacity - usage["free"] - sum(parts.values()))
    parts["free"] = usage["free"]
    parts["wal"] = usage["wal"] + usage["shm"]
    parts["reserved"] = max(0, usage["budget"] - sum(parts.values()))
    return [{"name": name, "nbytes": nbytes} for name, nbytes in parts.items()]
