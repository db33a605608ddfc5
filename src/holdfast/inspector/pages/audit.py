"""Audit: is all of it still there, what was fixed and erased, and the proof of one event."""

from __future__ import annotations

from typing import Any

from holdfast.errors import AccessError, AuditError, NotFoundError
from holdfast.inspector.desk import Desk
from holdfast.inspector.journal import Journal
from holdfast.inspector.query import Query
from holdfast.memory import Memory
from holdfast.wire.plain import plain

_RECEIPTS = 200
_ACTIONS = frozenset({"erase", "revoke", "snapshot", "rollback"})


def audit(desk: Desk, query: Query) -> dict[str, Any]:
    """Checkpoints and receipts; ``verify=1`` reads everything back, ``prove`` proves an event."""
    seq = query.optional("prove", 1, 1 << 62)
    if query.flag("verify"):
        desk.look("verified", "verify")
    with desk.open() as at:
        if not isinstance(at, Memory):
            raise AccessError("audit is about the whole memory; use a key without a principal")
        origin = at.audit_origin
        with at._mirror.lock:
            size = at._mirror.next_seq - at._mirror.audit.first
            kept = len(at._mirror.columns)
        receipts, more = Journal(at).receipts(_ACTIONS, _RECEIPTS)
    verified = desk.noted.all(desk.memory, "verified")
    return {
        "origin": origin,
        "size": size,
        "kept": kept,
        "verified": verified[-1] if verified else None,
        "verify_s": desk.expected_s("verified", kept),
        "checkpoints": desk.call("checkpoints")[::-1],
        "snapshots": [
            {name: value for name, value in one.items() if name != "path"}
            for one in desk.call("snapshots")
        ],
        "receipts": plain(receipts),
        "receipts_more": more,
        "prove": seq,
        "proof": None if seq is None else _proof(desk, seq),
    }


def _proof(desk: Desk, seq: int) -> dict[str, Any]:
    """The proof, or why there is none."""
    try:
        return {"problem": None, **desk.call("prove", seq=seq)}
    except (NotFoundError, AuditError) as none:
        return {"problem": str(none)}
