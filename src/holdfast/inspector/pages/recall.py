"""The recall lab: candidates with the parts of their scores, what was packed, what was not."""

from __future__ import annotations

from typing import Any

from holdfast.inspector.desk import Desk
from holdfast.inspector.pages.events import line
from holdfast.inspector.query import Query
from holdfast.inspector.view import View

TOKENS, LIMIT = 1000, 20
PARTS = 10  # of the scores that are told apart; what is left is added up


def recall(desk: Desk, query: Query) -> dict[str, Any]:
    """What a query brings up, step by step; nothing is asked without one."""
    asked = query.text("query")
    tokens = query.number("tokens", TOKENS, 1, 1_000_000)
    limit = query.number("limit", LIMIT, 1, 200)
    hops = query.number("hops", 0, 0, 4)
    bounds = {
        "scope": query.text("scope"),
        "since": query.time("since"),
        "until": query.time("until"),
        "as_of": query.time("as_of"),
        "valid_at": query.time("valid_at"),
    }
    speaker = query.raw("speaker") or None
    seq = query.optional("seq", 1, 1 << 62)
    shown: dict[str, Any] = {
        "options": {
            "query": asked, "tokens": tokens, "limit": limit, "hops": hops, "speaker": speaker,
            "seq": seq, **bounds,
        },
        "context": None,
        "candidates": [],
        "parts": [],
        "why_not": None,
    }  # fmt: skip
    if asked is None:
        return shown
    context = desk.call(
        "recall", query=asked, tokens=tokens, limit=limit, explain=True, hops=hops,
        speaker=speaker, **bounds,
    )  # fmt: skip
    named = {"speaker": speaker} if desk.whole else {}  # a seat ranks as its principal
    hits = desk.call("rank", query=asked, limit=limit, **named, **bounds)
    shown["context"] = context
    shown["parts"] = _largest(hits)
    shown["candidates"] = _candidates(desk, hits, context, shown["parts"])
    if seq is not None:
        told = desk.call("why_not", seq=seq, query=asked, tokens=tokens, **bounds)
        shown["why_not"] = {"seq": seq, "reason": told}
    return shown


def _largest(hits: list[dict[str, Any]]) -> list[str]:
    """The names of the parts that weigh the most over all hits."""
    weight: dict[str, float] = {}
    for hit in hits:
        for name, value in hit["parts"].items():
            weight[name] = weight.get(name, 0.0) + abs(value)
    ordered = sorted(weight, key=lambda name: -weight[name])
    return [name for name in ordered if weight[name] > 0][:PARTS]


def _candidates(
    desk: Desk, hits: list[dict[str, Any]], context: dict[str, Any], parts: list[str]
) -> list[dict[str, Any]]:
    """The hits, each with its event and with what became of it."""
    fates = {one["seq"]: one["reason"] for one in context["omissions"]}
    fates |= {item["seq"]: "packed" for item in context["items"]}
    with desk.open() as at:
        view = View(at)
        records = {hit["seq"]: view.get(hit["seq"]) for hit in hits}
    found = []
    for rank, hit in enumerate(hits, 1):
        record = records[hit["seq"]]
        if record is None:
            continue
        told = {name: hit["parts"].get(name, 0.0) for name in parts}
        other = hit["score"] - sum(told.values())
        found.append(
            {
                "rank": rank,
                "score": hit["score"],
                "parts": told | {"other": other},
                "fate": fates.get(hit["seq"], "not reached"),
                "event": line(record),
            }
        )
    return found
