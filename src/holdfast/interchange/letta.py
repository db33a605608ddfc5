"""Letta's agent files (``.af``), of both generations, and archival passages beside them.

Blocks of core memory are notes, messages are messages, calls of tools and their results are events
of their own. Tools, sources and settings of models are no memory and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.interchange.base import WHOLE, Found, Part, compact, event, scope_of
from holdfast.interchange.source import Source
from holdfast.records import Kind

_SETTINGS = frozenset({
    "llm_config", "embedding_config", "tools", "tool_rules", "tool_exec_environment_variables",
    "secrets", "messages", "core_memory", "memory_blocks", "passages", "archival_memory",
    "in_context_message_ids", "in_context_message_indices",
})  # fmt: skip


def read(source: Source) -> Iterator[Found]:
    """Every block, passage and message of each agent."""
    whole = Part.of(source.document, WHOLE)
    blocks = {block.text("id"): block for block in whole.parts("blocks", "block")}
    agents = list(whole.parts("agents", "agent")) if "agents" in whole.value else [whole]
    used: set[str] = set()
    for n, agent in enumerate(agents, 1):
        name = agent.text("name", "id") or f"agent {n}"
        mine = [id for id in agent.list("block_ids") if isinstance(id, str) and id in blocks]
        used.update(mine)
        yield from _agent(agent, name)
        own = [*agent.parts("core_memory", "block"), *agent.parts("memory_blocks", "block")]
        for block in [*own, *(blocks[id] for id in mine)]:
            yield from _block(block, name)
        yield from _passages(agent, name)
        for message in agent.parts("messages", "message"):
            yield from _message(message, name)
    for id, block in blocks.items():
        if id not in used:
            yield from _block(block, "")
    if agents != [whole]:
        yield from _passages(whole, agents[0].text("name", "id") if len(agents) == 1 else "")


def _agent(agent: Part, name: str) -> Iterator[Found]:
    """What an agent is told to be, and all that is said of it as a whole."""
    if text := agent.text("system"):
        yield Found(agent.place, f"agent {name}", event(
            text, role="system", kind="note", at=agent.time("created_at"),
            scope=scope_of("letta", name), metadata=agent.rest("system", "created_at", *_SETTINGS),
        ))  # fmt: skip


def _block(block: Part, name: str) -> Iterator[Found]:
    if text := block.text("value"):
        metadata = {"block": block.text("label"), **block.rest("value", "label", "created_at")}
        id = f"{name}/{block.text('label')}/{block.text('id')}"
        yield Found(block.place, id, event(
            text, speaker="letta", kind="note", at=block.time("created_at"),
            scope=scope_of("letta", name, "core memory"), metadata=metadata,
        ))  # fmt: skip


def _passages(part: Part, name: str) -> Iterator[Found]:
    for field in ("passages", "archival_memory", "archival_passages"):
        for passage in part.parts(field, "passage"):
            if text := passage.text("text", "content"):
                metadata = passage.rest("text", "content", "created_at", "embedding")
                yield Found(passage.place, f"{name}/{passage.text('id') or passage.place}", event(
                    text, speaker="letta", kind="note", at=passage.time("created_at"),
                    scope=scope_of("letta", name, "archive"), metadata=metadata,
                ))  # fmt: skip


def _message(message: Part, name: str) -> Iterator[Found]:
    role, scope = message.text("role"), scope_of("letta", name)
    id, at = f"{name}/{message.text('id') or message.place}", message.time("created_at")
    text, other = _words(message)
    if text:
        metadata = message.rest(
            "content", "text", "role", "name", "created_at", "tool_calls", "tool_returns"
        )
        yield Found(message.place, id, event(
            text, role=role, speaker=message.text("name"), at=at, scope=scope,
            kind="tool_result" if role == "tool" else "message",
            metadata={**metadata, **({"content": other} if other else {})},
        ))  # fmt: skip
    kinds: dict[str, Kind] = {"tool_calls": "tool_call", "tool_returns": "tool_result"}
    for field, kind in kinds.items():
        for n, part in enumerate(message.parts(field, field.replace("_", " ")[:-1]), 1):
            if kind == "tool_result" and text:
                break  # it has been told as the message's own text
            yield Found(part.place, f"{id}/{kind} {n}", event(
                compact(part.value), role="tool" if kind == "tool_result" else role, kind=kind,
                at=at, scope=scope, metadata={"id": message.text("id")},
            ))  # fmt: skip


def _words(message: Part) -> tuple[str, list[Any]]:
    """The text of a message, and what of it was no text."""
    content = message.value.get("content")
    if content is None or isinstance(content, str):
        return message.text("content", "text"), []
    texts: list[str] = []
    other: list[Any] = []
    for part in message.parts("content", "part"):
        found = part.value.get("text", part.value.get("reasoning"))
        if isinstance(found, str):
            texts.append(found)
        else:
            other.append(dict(part.value))
    return "\n".join(texts), other
