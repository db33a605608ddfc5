"""Pydantic AI's conversations, as documents: one for each record, one for each message."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)
from pydantic_ai.messages import ModelMessagesTypeAdapter

from holdfast.adapters.scopes import home
from holdfast.errors import ConflictError, EventTooLargeError, NotFoundError
from holdfast.memory import Memory
from holdfast.seat import Seat
from holdfast.state.documents import Edit, Form

_RECORD: TypeAdapter[ConversationRecord] = TypeAdapter(ConversationRecord)
_PIECE = 1 << 17  # characters of a message to a document, which holds at most 1 MiB


class PydanticAIStore(ConversationStore):
    """A conversation store in a memory's file: durable, bounded, safe between processes.

    Beside what `InMemoryConversationStore` does, a conversation survives a restart, a save is one
    synced write that leaves all of it or nothing, of any number of processes that save one
    revision exactly one wins, and what is stored shares the file, the budget and the erasure of
    everything else the memory holds. Stored messages are never evicted: a memory that cannot hold
    another refuses the save.

    Parameters
    ----------
    memory
        An open memory, or a seat that may read and write the scope.
    scope
        The scope that the conversations are in; None: a seat's home, or the root. Not the
        ``scope`` of a record, which is kept with it and names whose the conversation is.

    Raises
    ------
    ConversationConflict
        By each write whose expected revision is not the stored one; nothing is written.
    BudgetError, EventTooLargeError
        By a save that the memory cannot hold; raise its budget, or delete conversations.
    NotFoundError
        A LookupError: by the read of an entry that is not there.

    Notes
    -----
    Messages go through `ModelMessagesTypeAdapter`, and so come back with its fidelity: bytes that
    a tool returned are base64 text then.

    `delete` also deletes the entries that no other conversation reaches. As with every document,
    their versions stay readable in `document_history` until they are compacted. To erase what
    somebody said, give each user's store a scope of its own, and erase that scope.

    Cost: a save is one write, O(its new messages); a load O(its messages); a list O(conversations);
    a delete O(everything stored in the scope). Stored messages are held in RAM.

    Differs from the in-memory store: a delete leaves the entries that nothing ever pointed at,
    and a save of over a quarter of the budget is written in several steps, its record last.

    Examples
    --------
    Needs ``pydantic-ai-slim``::

        store = PydanticAIStore(memory, scope="user/ana/chats")
        conversation = await store.load(id) or Conversation(conversation_id=id)
        await store.save(await agent.run(prompt, conversation=conversation))
    """

    def __init__(self, memory: Memory | Seat, *, scope: str | None = None) -> None:
        self._memory, self._scope = memory, home(memory, scope)

    # ---- the five primitives, and a history in one call ------------------------------------

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """The record of a conversation, or None."""
        _, found = await asyncio.to_thread(self._current, _record(conversation_id))
        return None if found is None else _RECORD.validate_python(found)

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """The records, or those of a scope, the last saved first."""
        stored = await asyncio.to_thread(lambda: [value for _, value in self._records()])
        records = [_RECORD.validate_python(value) for value in stored]
        found = [one for one in records if scope is None or one.scope == scope]
        return sorted(found, key=lambda one: one.updated_at, reverse=True)[:limit]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record and its new entries, all or nothing."""
        # As text at once: the caller may go on to change what it gave while a thread writes.
        value = json.loads(_RECORD.dump_json(record))
        edits = [edit for entry in new_entries for edit in self._edits(entry)]
        own = {entry.id for entry in new_entries}
        await asyncio.to_thread(self._write, value, edits, own, expected_revision)

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete a record, and the entries that only it reached."""
        await asyncio.to_thread(self._delete, conversation_id, expected_revision)

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """One entry."""
        return await asyncio.to_thread(self._entry, entry_id)

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """The entries up to `head_id`, or the last `limit` of them, oldest first."""
        return await asyncio.to_thread(self._history, head_id, limit)

    # ---- reading ---------------------------------------------------------------------------

    def _current(self, name: str) -> tuple[int, Any]:
        """The version that a document is at, 0 if it never was, and its value or None."""
        try:
            found = self._memory.document(name, scope=self._scope)
        except NotFoundError:
            past = self._memory.document_history(name, scope=self._scope)
            return (past[-1].version if past else 0), None
        return found.version, found.value

    def _records(self) -> Iterator[tuple[str, Any]]:
        """The names and values of all records."""
        for name in self._memory.documents(scope=self._scope):
            if name.startswith(_record("")):
                with contextlib.suppress(NotFoundError):  # deleted since the names were read
                    yield name, self._memory.document(name, scope=self._scope).value

    def _entry(self, entry_id: str) -> ConversationEntry:
        found = self._memory.document(_message(entry_id), scope=self._scope).value
        names = [_piece(entry_id, n) for n in range(found["more"])]
        more = [self._memory.document(name, scope=self._scope).value for name in names]
        (message,) = ModelMessagesTypeAdapter.validate_json("".join([found["message"], *more]))
        return ConversationEntry(
            id=entry_id, parent_id=found["parent"], message=message, kind=found["kind"]
        )

    def _history(self, head_id: str | None, limit: int | None) -> list[ConversationEntry]:
        entries: list[ConversationEntry] = []
        while head_id is not None and (limit is None or len(entries) < limit):
            entries.append(self._entry(head_id))
            head_id = entries[-1].parent_id
        return entries[::-1]

    # ---- writing ---------------------------------------------------------------------------

    def _edits(self, entry: ConversationEntry) -> list[Edit]:
        """What stores an entry. The same entry again takes the place of the first."""
        text = ModelMessagesTypeAdapter.dump_json([entry.message]).decode()
        first, *more = [text[i : i + _PIECE] for i in range(0, len(text), _PIECE)]
        value = {
            "kind": entry.kind, "parent": entry.parent_id, "message": first, "more": len(more),
        }  # fmt: skip
        pieces = [self._edit(_piece(entry.id, n), "put", one) for n, one in enumerate(more)]
        return [*pieces, self._edit(_message(entry.id), "put", value)]

    def _edit(self, name: str, form: Form, body: Any = None, expect: int | None = None) -> Edit:
        return Edit(name, self._scope, form, body, expect)

    def _write(
        self, value: dict[str, Any], edits: list[Edit], own: set[str], expected: str | None
    ) -> None:
        conversation_id, head = value["conversation_id"], value["head_id"]
        while True:
            version, stored = self._current(_record(conversation_id))
            if (None if stored is None else stored["revision"]) != expected:
                raise ConversationConflict(conversation_id)
            held = []
            if head is not None and head not in own:
                at, found = self._current(_message(head))
                if found is None:
                    raise ConversationConflict(conversation_id)
                # An edit that changes nothing, so that a delete which releases this entry at the
                # same time, and the fork that points at it, cannot both be written.
                held = [self._edit(_message(head), "merge", {}, at)]
            record = self._edit(_record(conversation_id), "put", value, version)
            # A conflict is looked into again: it may be about the entry alone.
            with contextlib.suppress(ConflictError):
                self._commit(*edits, *held, record)
                return

    def _delete(self, conversation_id: str, expected: str) -> None:
        name = _record(conversation_id)
        while True:
            version, stored = self._current(name)
            if stored is None or stored["revision"] != expected:
                raise ConversationConflict(conversation_id)
            kept: set[str] = set()
            for other, value in self._records():
                for tip in _tips(value) if other != name else ():
                    kept.update(self._chain(tip, kept))
            gone: dict[str, tuple[int, Any]] = {}
            for tip in _tips(stored):  # a branch before what it hangs off: heads go first
                gone = self._chain(tip, kept | gone.keys()) | gone
            edits = [self._edit(name, "delete", None, version)]
            for entry_id, (at, value) in gone.items():
                edits.append(self._edit(_message(entry_id), "delete", None, at))
                edits += [self._edit(_piece(entry_id, n), "delete") for n in range(value["more"])]
            with contextlib.suppress(ConflictError):
                self._commit(*edits)
                return

    def _chain(self, tip: str | None, known: AbstractSet[str]) -> dict[str, tuple[int, Any]]:
        """The entries from a tip down to the first that is known: their versions and values."""
        found: dict[str, tuple[int, Any]] = {}
        while tip is not None and tip not in known and tip not in found:
            version, value = self._current(_message(tip))
            if value is None:
                break
            found[tip] = version, value
            tip = value["parent"]
        return found

    def _commit(self, *edits: Edit) -> None:
        """Make all edits in one write; in several, in this order, if they are too much for one."""
        try:
            self._memory.edit_documents(edits)
        except EventTooLargeError:
            if len(edits) < 2:
                raise
            half = len(edits) // 2
            self._commit(*edits[:half])
            self._commit(*edits[half:])


def _tips(record: Mapping[str, Any]) -> list[str | None]:
    """The entries that a record points at: where its history ends, and its branches."""
    return [record["head_id"], *record["branches"]]


def _record(conversation_id: str) -> str:
    return f"conversation/{conversation_id}"


def _message(entry_id: str) -> str:
    return f"message/{entry_id}"


def _piece(entry_id: str, n: int) -> str:
    return f"piece/{n}/{entry_id}"
