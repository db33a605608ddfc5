"""Access: which scopes there are, who may do what in them, and whose word counts."""

from __future__ import annotations

from typing import Any

from holdfast.errors import AccessError
from holdfast.inspector.desk import Desk
from holdfast.inspector.query import Query
from holdfast.inspector.view import View
from holdfast.memory import Memory

LIMIT, MOST = 100, 1000


def access(desk: Desk, query: Query) -> dict[str, Any]:
    """Scopes, grants, sources, and those that were revoked."""
    limit = query.number("limit", LIMIT, 1, MOST)
    grants = desk.call("grants")
    with desk.open() as at:
        if not isinstance(at, Memory):
            raise AccessError("access is about the whole memory; use a key without a principal")
        view = View(at)
        scopes, scopes_all = view.by_scope(limit)
        speakers, speakers_all = view.by_speaker(limit)
        with at._mirror.lock:
            revoked = sorted(at._mirror.state.revoked)
    held, disputed = set(revoked), len(desk.raw("beliefs", status="disputed", limit=MOST + 1))
    return {
        "limit": limit,
        "scopes": scopes,
        "scopes_all": scopes_all,
        "speakers": [{**one, "revoked": one["name"] in held} for one in speakers],
        "speakers_all": speakers_all,
        "grants": grants,
        "revoked": revoked,
        "disputed": min(disputed, MOST),
        "disputed_more": disputed > MOST,
    }
