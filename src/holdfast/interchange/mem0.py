"""Mem0: what ``get_all`` returns, page by page or all at once.

Each memory is a note in the scope of its user, agent and run. Relations of its graph are beliefs.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.interchange.base import WHOLE, Found, Item, Part, Stated, event, scope_of, stands
from holdfast.interchange.source import Source
from holdfast.state.records import Claim

_OWNERS = ("user_id", "agent_id", "app_id", "run_id")
_TOLD = ("memory", "data", "text", "created_at", *_OWNERS)


def read(source: Source) -> Iterator[Item]:
    """Every memory, then every relation."""
    found = source.document
    pages = found if isinstance(found, list) else [found]
    for n, value in enumerate(pages, 1):
        page = Part.of(value, f"record {n}")
        if "results" not in page.value and "relations" not in page.value:
            yield from _memory(page)
            continue
        page = Part(page.value, WHOLE if page.value is found else f"page {n}")
        for memory in page.parts("results", "memory"):
            yield from _memory(memory)
        for relation in page.parts("relations", "relation"):
            yield from _relation(relation)


def _memory(memory: Part) -> Iterator[Found]:
    if text := memory.text("memory", "data", "text"):
        yield Found(memory.place, memory.text("id") or memory.place, event(
            text, role=memory.text("role"), speaker=memory.text("actor_id") or "mem0", kind="note",
            at=memory.time("created_at"), scope=_scope(memory), metadata=memory.rest(*_TOLD),
        ))  # fmt: skip


def _relation(relation: Part) -> Iterator[Stated]:
    subject, name = relation.text("source"), relation.text("relationship", "relation")
    value = relation.text("target", "destination")
    claim = Claim(subject, name.lower(), value, scope=_scope(relation), many=True)
    at = relation.time("created_at")
    if stands(claim):
        yield Stated(relation.place, f"{subject}/{name}/{value}", claim, at)


def _scope(part: Part) -> str:
    owners = ((name.removesuffix("_id"), part.text(name)) for name in _OWNERS)
    return scope_of(*(word for kind, id in owners if id for word in (kind, id)))
