"""A memory service for Google's Agent Development Kit: what sessions said, found again later."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from google.adk.events.event import Event as AdkEvent
from google.adk.memory.base_memory_service import BaseMemoryService, SearchMemoryResponse
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.sessions.session import Session
from google.genai.types import Content, Part

from holdfast.adapters.scopes import home, join
from holdfast.api.base import seconds
from holdfast.errors import AccessError, IdempotencyError, NotFoundError
from holdfast.memory import Memory
from holdfast.records import Event, Record, Tier
from holdfast.seat import Seat

_CONTENT = 49_152  # characters of a content that are kept beside its text
_DELETED = "deleted"  # the document that names what may not come back


class AdkMemoryService(BaseMemoryService):
    """A memory service in a memory's file: durable, bounded, and exact about what it returns.

    Beside what `InMemoryMemoryService` does, memories survive a restart within a byte budget, are
    ranked by how well they answer (endings, rare words, who asked, time) rather than by how many
    words they share, and a deleted one is erased from every page of the file. Timestamps say
    their zone: they are UTC.

    Parameters
    ----------
    memory
        An open memory, or a seat that may read and write the scope. A seat cannot delete.
    scope
        Where everything goes, each app, user and session in a scope of its own inside it; None: a
        seat's home, or the root. Names may hold anything: ``ana/x`` is one name.
    limit
        The most memories that one search returns.

    Raises
    ------
    InvalidEventError
        If a memory's timestamp is no ISO 8601 time, or metadata is not what JSON can hold.
    BudgetError, EventTooLargeError, StoreError, AccessError
        If something cannot be stored; what came before it in the same call is.

    Notes
    -----
    What has no text is not stored, as in memory. A session may be added again as it grows: only
    new events are stored, however long ago the others were. Differs from the in-memory service:
    an event that was changed in its session, or taken out of it, stays as it was stored. Content
    beside text is kept up to 48 KiB; of more, the text is.

    An entry's ``custom_metadata`` has what was given for it, its ``seq`` and its ``tier``: "gist"
    says that only exact quotes of it are left. Of what is kept as a trace there is nothing to
    quote, and it is not returned.

    Cost: to add is one synced write for its events and one for where the session stands; a search
    is one ranking; a deletion is linear in all that is kept.

    Examples
    --------
    Needs ``google-adk``::

        service = AdkMemoryService(memory, scope="adk")
        runner = Runner(app_name="travel", agent=agent, memory_service=service, ...)
        await service.add_session_to_memory(session)  # as often as it grows
    """

    def __init__(self, memory: Memory | Seat, *, scope: str | None = None, limit: int = 10) -> None:
        self._memory, self._scope, self._limit = memory, home(memory, scope), limit

    async def add_session_to_memory(self, session: Session) -> None:
        """Store the events of a session that are not stored yet."""
        user = self._user(session.app_name, session.user_id)
        ids = [_id_of(event) for event in session.events]
        seen = await asyncio.to_thread(self._seen, user, session.id, ids)
        if seen < len(ids):
            scope = join(user, session.id)
            fresh = [self._event(event, scope, {}) for event in session.events[seen : len(ids)]]
            await asyncio.to_thread(self._add_session, user, session.id, ids, fresh)

    async def add_events_to_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        events: Sequence[AdkEvent],
        session_id: str | None = None,
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Store events, those that are stored excepted. `custom_metadata` is kept with each."""
        user = self._user(app_name, user_id)
        scope = user if session_id is None else join(user, session_id)
        made = [self._event(event, scope, custom_metadata or {}) for event in events]
        await asyncio.to_thread(self._add, user, made)

    async def add_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        memories: Sequence[MemoryEntry],
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Store memories as notes; one with an id is stored once."""
        user = self._user(app_name, user_id)
        made = [self._note(entry, user, custom_metadata or {}) for entry in memories]
        await asyncio.to_thread(self._add, user, made)

    async def search_memory(
        self, *, app_name: str, user_id: str, query: str
    ) -> SearchMemoryResponse:
        """What a user's sessions and notes hold on a query, the best first."""
        found = await asyncio.to_thread(self._search, self._user(app_name, user_id), query)
        return SearchMemoryResponse(memories=[_entry(record) for record in found])

    async def delete_memory(
        self, *, app_name: str, user_id: str, memory_id: str | None = None
    ) -> None:
        """Erase what a search returned under an id; it does not come back with its session.

        Raises
        ------
        AccessError
            If the service was given a seat.
        """
        if memory_id:
            await asyncio.to_thread(self._delete, self._user(app_name, user_id), memory_id)

    # ---- on a thread -----------------------------------------------------------------------

    def _seen(self, user: str, session_id: str, ids: list[str]) -> int:
        """How many events at the start of a session are known to be stored."""
        done = self._document(_session(session_id), user)
        known: int = done.get("events", 0)
        # Of a session that was rewritten, the keys of its events tell what is new.
        return known if known and ids[known - 1 : known] == [done["last"]] else 0

    def _add_session(
        self, user: str, session_id: str, ids: list[str], fresh: list[Event | None]
    ) -> None:
        self._add(user, fresh)
        # Keys are forgotten after so many events, and this is not.
        stands = {"events": len(ids), "last": ids[-1]}
        self._memory.put_document(_session(session_id), stands, scope=user)

    def _add(self, user: str, events: Iterable[Event | None]) -> None:
        deleted = self._document(_DELETED, user)
        given = [e for e in events if e is not None and e.metadata.get("id") not in deleted]
        try:
            self._memory.observe_many(given)
        except IdempotencyError:  # one is stored, and was another then: the others may be new
            for event in given:
                with contextlib.suppress(IdempotencyError):
                    self._memory.observe(event)

    def _search(self, user: str, query: str) -> list[Record]:
        found = []
        for hit in self._memory.rank(query, limit=self._limit, scope=user):
            with contextlib.suppress(NotFoundError):  # evicted since it was ranked
                found.append(self._memory.get(hit.seq))
        return [record for record in found if record.tier <= Tier.GIST]

    def _delete(self, user: str, memory_id: str) -> None:
        if isinstance(self._memory, Seat):
            raise AccessError(
                f"{self._memory.principal!r} asked to delete a memory, which only the whole memory "
                "can erase; make the service with the Memory instead of its seat"
            )
        doomed = [one.seq for one in self._memory.log(scope=user) if _name(one) == memory_id]
        if doomed:
            self._memory.put_document(
                _DELETED, self._document(_DELETED, user) | {memory_id: True}, scope=user
            )
            self._memory.erase(event=doomed)

    def _document(self, name: str, user: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._memory.document(name, scope=user).value
        except NotFoundError:
            return {}
        return found

    # ---- events ----------------------------------------------------------------------------

    def _user(self, app_name: str, user_id: str) -> str:
        return join(self._scope, app_name, user_id)

    def _event(self, event: AdkEvent, scope: str, custom: Mapping[str, object]) -> Event | None:
        made = self._said(event.content, event.author, _id_of(event), scope, custom)
        return made and replace(made, at=event.timestamp)

    def _note(self, entry: MemoryEntry, scope: str, custom: Mapping[str, object]) -> Event | None:
        given = {**entry.custom_metadata, **custom}
        made = self._said(entry.content, entry.author, entry.id, scope, given)
        return made and replace(made, kind="note", at=seconds(entry.timestamp))

    def _said(
        self, content: Content | None, author: str | None, id: str | None, scope: str,
        custom: Mapping[str, object],
    ) -> Event | None:  # fmt: skip
        text = _text(content)
        if content is None or not text:
            return None
        kept = {"id": id, "author": author, "custom": dict(custom)}
        if content != _plain(text, content.role):
            whole = content.model_dump_json(exclude_none=True)
            kept["content"] = whole if len(whole) <= _CONTENT else None
        return Event(
            text,
            # A seat is the speaker of what it stores, whose words they are.
            speaker=None if isinstance(self._memory, Seat) else author or None,
            role=content.role,
            scope=scope,
            metadata={name: value for name, value in kept.items() if value},
            key=None if id is None else f"adk:{join(scope, id)}",
        )


def _session(session_id: str) -> str:
    """The document that says how much of a session is stored."""
    return f"session {session_id}"


def _text(content: Content | None) -> str:
    parts = (content.parts if content else None) or []
    return "\n".join(part.text for part in parts if part.text)


def _plain(text: str, role: str | None) -> Content:
    return Content(role=role, parts=[Part(text=text)])


def _id_of(event: AdkEvent) -> str:
    """An event's id; one that was never given any is told by what it says."""
    told = f"{event.author}\0{event.timestamp}\0{_text(event.content)}"
    return event.id or hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _name(record: Record) -> str:
    """The id that a memory goes by."""
    return record.event.metadata.get("id") or f"e{record.seq}"


def _entry(record: Record) -> MemoryEntry:
    event, kept = record.event, record.event.metadata
    at = record.recorded_at if event.at is None else event.at
    if record.tier == Tier.VERBATIM and "content" in kept:
        content = Content.model_validate_json(kept["content"])
    else:
        content = _plain(record.text, event.role)
    return MemoryEntry(
        content=content,
        custom_metadata={
            **kept.get("custom", {}), "seq": record.seq, "tier": record.tier.name.lower(),
        },
        id=_name(record),
        author=kept.get("author"),
        timestamp=datetime.fromtimestamp(at, UTC).isoformat(),
    )  # fmt: skip
