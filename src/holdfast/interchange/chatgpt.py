"""ChatGPT's ``conversations.json``: trees of messages, of which one branch is the conversation.

That branch is read in order, from its first message to the one that was shown last. Messages of
other branches (answers that were asked for again, questions that were edited) follow it in a scope
of their own inside the conversation's, so that they are kept and part no episode.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.interchange.base import Found, Part, compact, event, scope_of
from holdfast.interchange.source import Source
from holdfast.interchange.talks import head, in_order
from holdfast.records import Kind

_ASIDES = frozenset({"thoughts", "reasoning_recap"})
_TEXTS = ("text", "result", "content", "user_profile", "user_instructions", "model_set_context")


def read(source: Source) -> Iterator[Found]:
    """Every message of an export, conversations in order of time."""
    for talk in in_order(source.document, "create_time"):
        name = talk.text("conversation_id", "id", "title")
        yield from head("chatgpt", talk, name, "title", "create_time", "mapping", "conversation_id")
        nodes = talk.part("mapping")
        shown = _branch(nodes, talk.text("current_node"))
        for id in [*shown, *(id for id in nodes.value if id not in shown)]:
            node = _node(nodes, id)
            if node.value.get("message") is not None:
                yield from _message(node.part("message"), id, name, talk, id in shown)


def _branch(nodes: Part, leaf: str) -> dict[str, None]:
    """The nodes from the root to a leaf; without one that is there, to the last leaf of all."""
    if leaf not in nodes.value:
        childless = [id for id in nodes.value if not _node(nodes, id).list("children")]
        leaf = childless[-1] if childless else ""
    path: dict[str, None] = {}
    while leaf in nodes.value and leaf not in path:
        path[leaf] = None
        leaf = _node(nodes, leaf).text("parent")
    return dict.fromkeys(reversed(path))


def _node(nodes: Part, id: str) -> Part:
    return Part.of(nodes.value[id], f"{nodes.place}, node {id[:64]!r}")


def _message(part: Part, id: str, talk: str, about: Part, shown: bool) -> Iterator[Found]:
    author, content = part.part("author"), part.part("content")
    text, other = _words(content)
    if not text:
        return
    metadata = part.rest("author", "content", "create_time")
    metadata |= {"author": author.rest("role")} if author.rest("role") else {}
    metadata |= {"content": other} if other else {}
    metadata |= {} if shown else {"branch": "other"}
    role, name, at = author.text("role"), author.text("name"), part.time("create_time")
    yield Found(part.place, part.text("id") or id, event(
        text, role=role, speaker=name, kind=_kind(role, part.text("recipient"), content),
        at=about.time("create_time") if at is None else at,
        scope=scope_of("chatgpt", talk, "" if shown else "other branches"), metadata=metadata,
    ))  # fmt: skip


def _kind(role: str, recipient: str, content: Part) -> Kind:
    if role == "tool":
        return "tool_result"
    if content.text("content_type") in _ASIDES:
        return "note"
    return "tool_call" if role == "assistant" and recipient not in ("", "all") else "message"


def _words(content: Part) -> tuple[str, dict[str, Any]]:
    """The text of a message, and the rest of its content. Without any text, the rest is it."""
    texts: list[str] = []
    parts: list[Any] = []
    for one in content.list("parts"):
        if isinstance(one, dict) and isinstance(one.get("text"), str):  # what was said aloud
            texts.append(one["text"])
            parts.append({name: value for name, value in one.items() if name != "text"})
        else:
            (texts if isinstance(one, str) else parts).append(one)
    said = [name for name in _TEXTS if isinstance(content.value.get(name), str)]
    texts += [content.text(name) for name in said]
    for thought in content.parts("thoughts", "thought"):
        texts += [thought.text("summary"), thought.text("content")]
    rest = content.rest("content_type", "parts", "thoughts", *said)
    rest |= {"parts": parts} if parts else {}
    form = content.text("content_type")
    kind = {"content_type": form} if form not in ("", "text") else {}
    text = "\n".join(filter(None, texts))
    return (text, rest | kind) if text or not rest else (compact(rest), kind)
