"""Claude's ``conversations.json``: conversations as lists of messages, made of blocks."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.interchange.base import Found, Part, compact, event, scope_of
from holdfast.interchange.source import Source
from holdfast.interchange.talks import head, in_order
from holdfast.records import Kind

_ROLES = {"human": "user"}
_KINDS: dict[str, Kind] = {"tool_use": "tool_call", "tool_result": "tool_result"}


def read(source: Source) -> Iterator[Found]:
    """Every message of an export, conversations in order of time.

    The text of a message is one event; so is each call of a tool, each result, each run of thought
    and each attached file, after it.
    """
    for talk in in_order(source.document, "created_at"):
        name = talk.text("uuid", "name")
        yield from head("claude", talk, name, "name", "created_at", "chat_messages", "uuid")
        for message in talk.parts("chat_messages", "message"):
            yield from _message(message, scope_of("claude", name), talk.time("created_at"))


def _message(message: Part, scope: str, began: float | None) -> Iterator[Found]:
    sender = message.text("sender")
    role = _ROLES.get(sender, sender)
    at = message.time("created_at")
    at = began if at is None else at
    id = message.text("uuid") or message.place
    blocks = list(message.parts("content", "block"))
    spoken = [block.text("text") for block in blocks if block.text("type") in ("", "text")]
    text = "\n".join(filter(None, spoken)) or message.text("text")
    if text:
        metadata = message.rest("text", "content", "sender", "created_at", "attachments")
        told = [block.rest("type", "text") for block in blocks if block.text("type") == "text"]
        metadata |= {"blocks": told} if any(told) else {}
        yield Found(message.place, id, event(
            text, role=role, at=at, scope=scope, metadata=metadata
        ))  # fmt: skip
    for n, block in enumerate(blocks, 1):
        form = block.text("type")
        if form not in ("", "text"):
            thought = block.text("thinking") if form == "thinking" else ""
            used = ("type", "thinking") if thought else ("type",)
            metadata = {"id": id, "type": form, **(block.rest(*used) if thought else {})}
            yield Found(block.place, f"{id}/{n}", event(
                thought or compact(block.rest("type")),
                role="tool" if form == "tool_result" else role, kind=_KINDS.get(form, "note"),
                at=at, scope=scope, metadata=metadata,
            ))  # fmt: skip
    for n, file in enumerate(message.parts("attachments", "attachment"), 1):
        if content := file.text("extracted_content"):
            metadata = {"message": id, **file.rest("extracted_content")}
            yield Found(file.place, f"{id}/file {n}", event(
                content, role=role, kind="observation", at=at, scope=scope, metadata=metadata
            ))  # fmt: skip
