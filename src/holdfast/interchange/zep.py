"""Zep and Graphiti: episodes, nodes and edges of a graph, or the messages of threads.

Episodes and messages are events. An edge is the event of its fact, and a belief that rests on it,
with the validity that the graph gave it. A node is the event of its summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from holdfast.interchange.base import WHOLE, Found, Item, Part, Stated, event, scope_of, stands
from holdfast.interchange.source import Source
from holdfast.state.records import Claim

_LISTS = ("episodes", "messages", "nodes", "edges", "threads", "sessions")


def read(source: Source) -> Iterator[Item]:
    """Every episode, node and edge; of a list, each record as what its fields say it is."""
    found = source.document
    if isinstance(found, list):
        found = _sorted_out(found)
    graph = Part.of(found, WHOLE)
    for episode in graph.parts("episodes", "episode"):
        yield from _episode(episode, "")
    for message in graph.parts("messages", "message"):
        yield from _episode(message, "")
    for field in ("threads", "sessions"):
        for thread in graph.parts(field, field[:-1]):
            name = thread.text("thread_id", "session_id", "uuid")
            for message in thread.parts("messages", "message"):
                yield from _episode(message, name)
    names = {node.text("uuid"): node.text("name") for node in graph.parts("nodes", "node")}
    for node in graph.parts("nodes", "node"):
        yield from _node(node)
    edges = list(graph.parts("edges", "edge"))
    standing = Counter(_slot(edge) for edge in edges if edge.time("invalid_at") is None)
    for edge in edges:
        yield from _edge(edge, names, many=standing[_slot(edge)] > 1)


def _sorted_out(records: list[object]) -> dict[str, list[object]]:
    """A list of records as lists of episodes, nodes and edges."""
    found: dict[str, list[object]] = {name: [] for name in _LISTS}
    for n, value in enumerate(records, 1):
        record = Part.of(value, f"record {n}").value
        if "source_node_uuid" in record:
            found["edges"].append(value)
        elif "content" in record:
            found["episodes"].append(value)
        else:
            found["nodes"].append(value)
    return found


def _scope(part: Part, thread: str = "") -> str:
    thread = thread or part.text("thread_id", "session_id")
    return scope_of("zep", part.text("group_id", "graph_id", "user_id"), thread)


def _episode(episode: Part, thread: str) -> Iterator[Found]:
    if text := episode.text("content"):
        role = episode.text("role_type") or episode.text("role")
        name = episode.text("name") if role else ""
        metadata = episode.rest("content", "role_type", "valid_at", *(["name"] if name else []))
        yield Found(episode.place, episode.text("uuid", "uuid_") or episode.place, event(
            text, role=role, speaker=name or ("" if role else "zep"),
            at=episode.time("valid_at", "created_at"), scope=_scope(episode, thread),
            kind="message" if role or episode.text("source") == "message" else "observation",
            metadata=metadata,
        ))  # fmt: skip


def _node(node: Part) -> Iterator[Found]:
    if text := node.text("summary"):
        metadata = node.rest("summary", "created_at", "name_embedding")
        yield Found(node.place, node.text("uuid") or node.place, event(
            f"{node.text('name')}: {text}" if node.text("name") else text, speaker="zep",
            kind="note", at=node.time("created_at"), scope=_scope(node), metadata=metadata,
        ))  # fmt: skip


def _edge(edge: Part, names: dict[str, str], many: bool) -> Iterator[Item]:
    fact, id = edge.text("fact"), edge.text("uuid") or edge.place
    at = edge.time("created_at")
    if fact:
        yield Found(edge.place, id, event(
            fact, speaker="zep", kind="note", at=at, scope=_scope(edge),
            metadata=edge.rest("fact", "created_at", "fact_embedding"),
        ))  # fmt: skip
    claim = Claim(
        names.get(edge.text("source_node_uuid"), ""), edge.text("name").lower(),
        names.get(edge.text("target_node_uuid"), ""), scope=_scope(edge), many=many or None,
        valid_from=edge.time("valid_at"), valid_until=edge.time("invalid_at"),
    )  # fmt: skip
    if stands(claim):
        yield Stated(edge.place, f"belief {id}", claim, at, id if fact else "")


def _slot(edge: Part) -> tuple[str, str, str]:
    return _scope(edge), edge.text("source_node_uuid"), edge.text("name").lower()
