"""OpenAI Agents' sessions: the items of a conversation as events of a memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from agents.memory import SessionABC, SessionSettings

from holdfast.adapters.scopes import home, join
from holdfast.codec import content_bytes, digest
from holdfast.errors import ConflictError, InvalidEventError, NotFoundError
from holdfast.memory import Memory
from holdfast.records import KINDS, Event, Kind, Record, Tier
from holdfast.seat import Seat
from holdfast.write import METADATA_BYTES

_MARK = "openai_agents"  # what of an event's metadata is ours
_GONE = "openai-agents"  # the document that tells what was popped and cleared
_LOST = "lost"  # stands for a link that nobody can know any more
_DATA = "%data"  # what lies beside a session's words; no session's id comes out like this
_TEXTS = ("content", "output", "arguments")  # fields of an item that hold what was said
_PARTS = ("text", "refusal")  # fields of a part of these that do
_ROLES = ("user", "assistant", "tool")  # others speak for the owner, as no item of a session may
_NO_ITEMS = (KINDS.index("state"), KINDS.index("note"))
_T = TypeVar("_T")


class AgentsSession(SessionABC):
    """A session of the OpenAI Agents SDK whose items are events of a memory.

    Beside what `SQLiteSession` does, what was said in any session can be recalled, popped and
    cleared items stay in the log with the time they went, each change survives power loss, any
    number of processes may use one session, and all sessions share one budget.

    Parameters
    ----------
    memory
        An open memory, or a seat that may read and write the scope.
    session_id
        Any text. The session's scope is `scope` and, as one more step, this.
    scope
        What the sessions lie in, "user/ana"; None: a seat's home, or the root.
        ``memory.recall(query, scope="user/ana")`` then finds what was said in all of them.
    session_settings
        As the SDK's sessions take it; its limit holds where `get_items` is given none.

    Raises
    ------
    InvalidEventError
        If `session_id` is empty. By `add_items`, if an item is too large for the memory.

    Notes
    -----
    **Bytes.** An item comes back as JSON carries it, byte for byte in its texts and with its keys
    in their order. The texts of a message, a tool's output and a call's arguments are an event's
    content; all else of the item is in its metadata. Items without such a text, reasoning, and
    items of which over 64 KiB are no text, or that hold a NaN or an infinity, are JSON bytes, which
    are not indexed and lie in a scope inside the session's, "%data", so that the lines of a
    conversation stay next to each other.

    **Budget.** `get_items` gives whole items only, from the newest backwards, up to the first that
    was lowered or evicted: no item is cut, and none is missing in between. What is left of older
    ones can still be recalled. A session that lay idle until its newest events were evicted
    before older ones goes on behind the newest that is left.

    **Pop and clear** edit a document of the session's scope, "openai-agents", and no event:
    `log` has the items, `document_history` when they went; `erase` removes them for good. An
    `export` has all items and, as of all state, nothing of what was popped.

    Items of role "system" or "developer" are told without the role: nothing that a session holds
    is taken for the owner's word.

    Cost: `add_items` is one synced write, several if the items exceed what one may take; `pop_item`
    and `clear_session` are one each. `get_items` is O(its items), and a glance at each kept event
    of the memory.

    Examples
    --------
    ::

        with Memory.open("agent.holdfast", budget="64 MiB") as memory:
            session = AgentsSession(memory, "2026-03-01", scope="user/ana")
            await Runner.run(agent, "The spare key is under the blue pot.", session=session)
            memory.recall("where is the spare key?", scope="user/ana")

    References
    ----------
    OpenAI, Agents SDK, Sessions, openai.github.io/openai-agents-python/sessions
    """

    def __init__(
        self,
        memory: Memory | Seat,
        session_id: str,
        *,
        scope: str | None = None,
        session_settings: SessionSettings | None = None,
    ) -> None:
        if not session_id:
            raise InvalidEventError("a session needs an id, this one is empty; give one")
        self.session_id = session_id
        self.session_settings = session_settings or SessionSettings()
        self._memory, self._scope = memory, join(home(memory, scope), session_id)

    async def get_items(self, limit: int | None = None) -> list[Any]:
        """The items, or the newest `limit` of them, oldest first."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        return await asyncio.to_thread(self._items, limit)

    async def add_items(self, items: list[Any]) -> None:
        """Add items behind all others."""
        # As text at once: the caller may go on to change what it gave while a thread writes.
        texts = [json.dumps(item) for item in items]
        if texts:
            await _to_the_end(lambda: self._add(texts))

    async def pop_item(self) -> Any | None:
        """Take the newest item off the session; None if there is none."""
        return await _to_the_end(self._pop)

    async def clear_session(self) -> None:
        """Take all items off the session."""
        await _to_the_end(self._clear)

    # ---- inside ----------------------------------------------------------------------------

    def _items(self, limit: int | None) -> list[Any]:
        found: list[Any] = []
        if limit != 0:
            for one in self._newest_first(*self._look()):
                found.append(one.item())
                if len(found) == limit:
                    break
        return found[::-1]

    def _add(self, texts: Sequence[str]) -> None:
        gone, kept = self._look()
        newest = next(self._newest_first(gone, kept), None)
        live = [seq for seq, _ in kept if seq > gone.cleared and not gone.has(seq)]
        if newest is not None:
            after = newest.link
        elif live and not (gone.popped and live[-1] < gone.popped[-1][0]):
            after = _LOST
        else:
            after = gone.after
        events: list[Event] = []
        for text in texts:
            events.append(_event(text, after, self._scope))
            after = _link(after, digest(content_bytes(events[-1].content)))
        self._memory.observe_many(events)

    def _pop(self) -> Any | None:
        while True:
            gone, kept = self._look()
            newest = next(self._newest_first(gone, kept), None)
            if newest is None:
                return None
            with suppress(ConflictError):  # somebody else popped or cleared: look again
                popped = gone.with_popped(newest.seq, newest.after, kept[0][0])
                self._put(popped.to_json(), gone.version)
                return newest.item()

    def _clear(self) -> None:
        while True:
            gone, kept = self._look()
            if not kept or kept[-1][0] <= gone.cleared:
                return
            with suppress(ConflictError):
                return self._put(_Gone(cleared=kept[-1][0]).to_json(), gone.version)

    def _put(self, value: Any, version: int) -> None:
        self._memory.put_document(_GONE, value, scope=self._scope, expect=version)

    def _look(self) -> tuple[_Gone, list[tuple[int, bool]]]:
        """What is gone, and each kept event of the session with whether it is whole."""
        memory, scope = self._memory, self._scope
        if isinstance(memory, Seat):
            memory._at(scope)
            memory = memory._memory
        memory._refresh()
        places = (scope, f"{scope}/{_DATA}")
        with memory._mirror.lock:
            columns, documents = memory._mirror.columns, memory._mirror.state.documents
            mine = np.array([who.scope in places for who in columns.whos], np.bool_)
            ours = columns.alive & mine[columns.who] & ~np.isin(columns.kind, _NO_ITEMS)
            rows = np.flatnonzero(ours)
            seqs, whole = columns.seq[rows].tolist(), columns.tier[rows] == Tier.VERBATIM
            gone = _Gone(version=documents.version(_GONE, scope))
            with suppress(NotFoundError):
                gone = gone.told(documents.get(_GONE, scope).value)
        return gone, list(zip(seqs, whole.tolist(), strict=True))

    def _newest_first(self, gone: _Gone, kept: Sequence[tuple[int, bool]]) -> Iterator[_Kept]:
        """The items as far back as none is missing.

        What an item was added behind must turn up before it can be told that nothing is missing
        so far; where several added at once, that is not the next one.
        """
        awaited: set[str] | None = None  # what newer ones were added behind
        pending: list[_Kept] = []
        for seq, whole in reversed(kept):
            popped, record = gone.has(seq), self._record(seq) if whole else None
            if seq <= gone.cleared or (record is None and not popped):
                return
            if record is None or _MARK not in record.event.metadata:
                continue  # lowered, but popped anyway; or somebody else's
            one = _Kept(record)
            if popped and one.link not in (awaited or ()):
                continue
            if awaited is None:
                awaited = {gone.after} if gone.popped and seq < gone.popped[-1][0] else {""}
            awaited -= {one.link, ""}
            if not popped:
                pending.append(one)
            if not awaited:
                yield from pending
                pending = []
            awaited.add(one.after)

    def _record(self, seq: int) -> Record | None:
        """An event that is kept whole."""
        with suppress(NotFoundError):  # evicted since we looked
            record = self._memory.get(seq)
            return record if record.tier == Tier.VERBATIM else None
        return None


@dataclass(frozen=True, slots=True)
class _Kept:
    """An item that is kept whole."""

    record: Record

    @property
    def seq(self) -> int:
        return self.record.seq

    @property
    def after(self) -> str:
        """The link of the item that it was added behind; empty for the first."""
        return str(self.record.event.metadata[_MARK]["after"])

    @property
    def link(self) -> str:
        return _link(self.after, self.record.digest)

    def item(self) -> Any:
        """The item, its texts back in their places."""
        event = self.record.event
        if isinstance(event.content, bytes):
            return json.loads(event.content)
        mark, at = event.metadata[_MARK], 0
        for *place, length in mark["said"]:
            _set(mark["item"], place, event.content[at : at + length])
            at += length + 1
        return mark["item"]


@dataclass(frozen=True, slots=True)
class _Gone:
    """What was taken off a session: all up to an event, and runs of popped items since.

    A run is its first event and its last one. `after` is what the item popped last was behind.
    """

    version: int = 0  # of the document that tells it
    cleared: int = 0
    popped: tuple[tuple[int, int], ...] = ()
    after: str = ""

    def told(self, value: Any) -> _Gone:
        """What a document tells."""
        runs = tuple((first, last) for first, last in value["popped"])
        return _Gone(self.version, value["cleared"], runs, value["after"])

    def to_json(self) -> Any:
        """What `told` takes."""
        runs = [list(run) for run in self.popped]
        return {"cleared": self.cleared, "popped": runs, "after": self.after}

    def has(self, seq: int) -> bool:
        """Whether an event is in a run of popped ones."""
        return any(first <= seq <= last for first, last in self.popped)

    def with_popped(self, seq: int, after: str, oldest: int) -> _Gone:
        """The same once the newest item is popped too; runs before the `oldest` event go."""
        older = [run for run in self.popped if oldest <= run[1] and run[0] < seq]
        last = max([seq, *(end for first, end in self.popped if first > seq)])  # none is between
        return replace(self, popped=(*older, (seq, last)), after=after)


async def _to_the_end(work: Callable[[], _T]) -> _T:
    """Do it on a thread; a task that is cancelled meanwhile still waits for what comes of it."""
    under_way = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait({under_way})
        under_way.exception()  # looked at: nobody else is going to
        raise


def _link(after: str, mark: bytes) -> str:
    """What tells an item from others: what it was added behind, and the digest of its event."""
    return hashlib.blake2b(mark, digest_size=6, key=after.encode()).hexdigest()


def _event(text: str, after: str, scope: str) -> Event:
    """The event of an item, given as JSON."""
    item, content = json.loads(text), text.encode()
    fields = item if isinstance(item, dict) else {}
    role = fields.get("role")
    data = Event(
        content, role=role if role in _ROLES else None, kind=_kind(fields),
        scope=f"{scope}/{_DATA}", metadata={_MARK: {"after": after}},
    )  # fmt: skip
    pieces = list(_said(fields))
    if not pieces:
        return data
    for place, _ in pieces:
        _set(item, place, "")
    places = [[*place, len(piece)] for place, piece in pieces]
    metadata = {_MARK: {"after": after, "item": item, "said": places}}
    try:
        if len(json.dumps(metadata, allow_nan=False)) > METADATA_BYTES:
            return data
    except ValueError:  # a number that only Python's JSON has, as metadata may not
        return data
    words = "\n".join(piece for _, piece in pieces)
    return replace(data, content=words, scope=scope, metadata=metadata)


def _said(item: dict[str, Any]) -> Iterator[tuple[list[Any], str]]:
    """The texts of an item, and where in it they are."""
    for name in _TEXTS if item.get("type") != "reasoning" else ():
        value = item.get(name)
        if value and isinstance(value, str):
            yield [name], value
        for n, part in enumerate(value) if isinstance(value, list) else ():
            for field in _PARTS if isinstance(part, dict) else ():
                if part.get(field) and isinstance(part[field], str):
                    yield [name, n, field], part[field]


def _set(item: Any, place: Sequence[Any], value: str) -> None:
    for step in place[:-1]:
        item = item[step]
    item[place[-1]] = value


def _kind(item: dict[str, Any]) -> Kind:
    of = item.get("type")
    if "role" in item or not isinstance(of, str):
        return "message"
    if of.endswith("_output"):
        return "tool_result"
    return "tool_call" if of.endswith("_call") else "observation"
