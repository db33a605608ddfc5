"""Forgetting: what went, when, by which policy, for what; and what a larger budget would keep."""

from __future__ import annotations

from typing import Any

from holdfast.inspector.desk import Desk
from holdfast.inspector.query import Query
from holdfast.ledger.records import Loss
from holdfast.wire.plain import plain

LIMIT, MOST = 100, 1000
_BINS = 60
ACTIONS = ("gist", "trace", "merged", "evicted")


def forgetting(desk: Desk, query: Query) -> dict[str, Any]:
    """The ledger, newest first, with its totals; and the answers to what was asked."""
    scope, action = query.text("scope"), query.one_of("action", ACTIONS)
    limit = query.number("limit", LIMIT, 1, MOST)
    asked, share = query.text("query"), query.share("advise")
    ledger: list[Loss] = desk.raw("ledger", scope=scope)
    losses = [one for one in ledger if not action or one.action == action]
    usage = desk.call("usage")
    return {
        "filters": {"scope": scope, "action": action or None, "query": asked, "advise": share},
        "actions": list(ACTIONS),
        "totals": desk.call("loss_totals"),
        "events": usage["events"],
        "budget": usage["budget"],
        "losses": plain(losses[::-1][:limit]),
        "entries": len(losses),
        "limit": limit,
        "timeline": _timeline(losses),
        "advice": None if share is None else desk.call("budget_for", fidelity=share),
        "forgotten": None if asked is None else desk.call("forgotten", query=asked, scope=scope),
    }


def _timeline(losses: list[Loss]) -> dict[str, Any] | None:
    """Events that were let go of, by what became of them, over stretches of the stream."""
    if not losses:
        return None
    last = max(one.write for one in losses)
    bins = min(_BINS, last)
    counts = {action: [0] * bins for action in ACTIONS}
    for one in losses:
        counts[one.action][min(bins - 1, (one.write - 1) * bins // last)] += one.events
    return {"last": last, "counts": {name: row for name, row in counts.items() if any(row)}}
