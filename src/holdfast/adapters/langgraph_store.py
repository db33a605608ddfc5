"""LangGraph's long-term store in a memory: each item a document, found by recall."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from holdfast.adapters.langgraph_filter import WHOLE, matches, text_of
from holdfast.adapters.scopes import home, join, split
from holdfast.errors import AccessError, ConflictError, NotFoundError, PatchError
from holdfast.memory import Memory
from holdfast.records import Hit
from holdfast.seat import Seat
from holdfast.state.documents import Document

_NAME = "langgraph:"  # before the key: an empty key is a name as well, and others' are told apart
_CANDIDATES = 1024  # more events than a ranking looks at


class LangGraphStore(BaseStore):
    """A LangGraph store in one bounded, durable file.

    Beyond the built-in ones: every `put` is on disk when it returns, several processes may use the
    file, its size never exceeds the memory's budget, items have a history (`document_history`),
    search needs no embedding model, what it finds is also there for `Memory.recall`, and a `Seat`
    in place of the memory holds an agent to what it may see.

    Parameters
    ----------
    memory
        An open memory, or a seat of one.
    scope
        Where the items are: the namespace ``("users", "ana")`` is the scope ``users/ana`` inside
        it. None: the whole memory, or the seat's own scope.
    fields
        What an item is found by if `put` has no `index`: paths into its value, ``"$"`` for all.
    ttl
        As for LangGraph's own stores; times are in minutes.
    clock
        Tells the time, POSIX seconds.

    Raises
    ------
    PatchError, EventTooLargeError
        By `put`, for a value that is not JSON (tuples are not), or over 1 MiB or an eighth of the
        budget.
    BudgetError
        By `put`, if the budget cannot hold what must be held. Nothing of that item is changed.
    InvalidEventError
        For a namespace of over 1,024 bytes.
    ValueError
        For a filter operator there is not.

    Notes
    -----
    An item and the text it is found by are written in one synced transaction. Puts of one `batch`
    are made one after the other, once all of its reads are done; each stands alone.

    A search with a query ranks as the memory does, by words and, if it has an embedder, by meaning,
    but each item on its own. Items that it did not find follow, the newest first and without a
    score: those that match least, those put with ``index=False``, those whose text was evicted for
    the budget, and those before which some 256 events match better, earlier versions of items
    included. Without a query the newest come first.

    An item whose time is up is never returned; `sweep_ttl` deletes it. A read that refreshes the
    time of an item is a write. Deleting hides an item but leaves what led to it in the history and
    in the log until the budget takes it; ``Memory.erase(scope=…)`` removes a namespace for good.

    Cost: a get is O(1); a search and a listing of namespaces are linear in the items under the
    prefix.

    Examples
    --------
    ::

        store = LangGraphStore(memory, scope="graph")
        store.put(("users", "ana"), "tea", {"text": "likes green tea"})
        store.search(("users",), query="what does she drink?")
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Memory | Seat,
        *,
        scope: str | None = None,
        fields: Sequence[str] = (WHOLE,),
        ttl: TTLConfig | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._memory = memory
        self._scope = home(memory, scope)
        self._fields = tuple(fields)
        self.ttl_config = ttl
        self._clock = clock

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several operations: all reads in order, then the last put of each item."""
        several = list(ops)
        for op in several:
            if not isinstance(op, (GetOp, SearchOp, ListNamespacesOp, PutOp)):
                raise ValueError(f"a store does no {type(op).__name__}; give it one of its own ops")
            validate_op_namespace(op)
        puts: dict[tuple[tuple[str, ...], str], PutOp] = {}
        results: list[Result] = []
        for op in several:
            if isinstance(op, PutOp):
                puts[op.namespace, op.key] = op
            results.append(self._read(op))
        for put in puts.values():
            self._put(put)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`, on a worker thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def sweep_ttl(self) -> int:
        """Delete the items whose time is up; how many they were."""
        swept, now = 0, self._clock()
        for kept in self._all(()):
            if kept.over(now):
                with suppress(ConflictError):  # somebody put it anew
                    self._memory.delete_document(
                        kept.document.name,
                        scope=kept.document.scope,
                        expect=kept.document.version,
                    )
                    swept += 1
        return swept

    # ---- reading ---------------------------------------------------------------------------

    def _read(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            kept = self._get(op.namespace, op.key)
            if kept is None:
                return None
            self._refresh([kept], op.refresh_ttl)
            return Item(**kept.fields)
        if isinstance(op, SearchOp):
            return self._search(op)
        return self._namespaces(op) if isinstance(op, ListNamespacesOp) else None

    def _get(self, namespace: tuple[str, ...], key: str) -> _Kept | None:
        try:
            found = self._memory.document(_NAME + key, scope=join(self._scope, *namespace))
        except NotFoundError:
            return None
        kept = _Kept(namespace, key, found)
        return None if kept.over(self._clock()) else kept

    def _all(self, prefix: tuple[str, ...]) -> Iterator[_Kept]:
        """Every item under a prefix, those whose time is up included."""
        several = self._memory.all_documents(scope=join(self._scope, *prefix))
        for scope, documents in groupby(several, key=lambda one: one.scope):
            namespace = split(self._scope, scope)
            for one in documents:
                if one.name.startswith(_NAME):
                    yield _Kept(namespace, one.name.removeprefix(_NAME), one)

    def _search(self, op: SearchOp) -> list[SearchItem]:
        now = self._clock()
        found = [
            kept
            for kept in self._all(op.namespace_prefix)
            if not kept.over(now)
            and all(matches(kept.value.get(key), wanted) for key, wanted in _wanted(op))
        ]
        found.sort(key=lambda kept: (-kept.updated, -kept.document.seq))
        scored = self._ranked(op, op.query, found) if op.query else [(None, one) for one in found]
        page = scored[op.offset : op.offset + op.limit]
        self._refresh([kept for _, kept in page], op.refresh_ttl)
        return [SearchItem(score=score, **kept.fields) for score, kept in page]

    def _ranked(
        self, op: SearchOp, query: str, found: list[_Kept]
    ) -> list[tuple[float | None, _Kept]]:
        """Those that a query finds, best first, then the others."""
        scope = join(self._scope, *op.namespace_prefix)
        hits = self._memory.rank(query, limit=_CANDIDATES, scope=scope)
        # A hit on an earlier version of an item is none: its event is not that of the item now.
        scores = {hit.seq: _score(hit) for hit in hits}
        ranked = [(scores[kept.event], kept) for kept in found if kept.event in scores]
        ranked.sort(key=lambda one: -one[0])
        return [*ranked, *((None, kept) for kept in found if kept.event not in scores)]

    def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        now, conditions = self._clock(), op.match_conditions or ()
        found = {
            kept.namespace[: op.max_depth]
            for kept in self._all(())
            if not kept.over(now) and all(_fits(kept.namespace, one) for one in conditions)
        }
        return sorted(found)[op.offset : op.offset + op.limit]

    # ---- writing ---------------------------------------------------------------------------

    def _put(self, op: PutOp) -> None:
        old, scope = self._get(op.namespace, op.key), join(self._scope, *op.namespace)
        name, now = _NAME + op.key, self._clock()
        if op.value is None:
            with suppress(PatchError):  # it was not there, or is not any more
                self._memory.delete_document(name, scope=scope)
            return
        text = text_of(op.value, self._fields if op.index is None else (op.index or ()))
        held: dict[str, Any] = {
            "value": dict(op.value),
            "created": now if old is None else old.created,
            "updated": now,
        }
        # What an event says never changes, so it may be kept whatever others put meanwhile.
        if not text or (old is not None and self._says(old, text)):
            held["event"] = old.event if old is not None and text else 0
            text = ""
        if op.ttl is not None:
            held |= {"ttl": op.ttl, "until": now + 60 * op.ttl}
        self._memory.put_document(name, held, scope=scope, text=text or None)

    def _says(self, kept: _Kept, text: str) -> bool:
        """Whether an item is found by this text already."""
        try:
            return kept.event > 0 and self._memory.get(kept.event).event.content == text
        except NotFoundError:  # evicted since
            return False

    def _refresh(self, several: Sequence[_Kept], wanted: bool) -> None:
        """Give items with a time to live all of it again."""
        now = self._clock()
        for kept in several if wanted else ():
            if kept.until is not None and (until := now + 60 * kept.held["ttl"]) > kept.until:
                # Somebody who put it anew refreshed it; who may only read leaves its time alone.
                with suppress(ConflictError, AccessError):
                    self._memory.patch_document(
                        kept.document.name,
                        {"until": until, "event": kept.event},
                        scope=kept.document.scope,
                        expect=kept.document.version,
                    )


@dataclass(frozen=True, slots=True)
class _Kept:
    """An item as it is kept."""

    namespace: tuple[str, ...]
    key: str
    document: Document

    @property
    def held(self) -> Mapping[str, Any]:
        held: Mapping[str, Any] = self.document.value
        return held

    @property
    def value(self) -> dict[str, Any]:
        value: dict[str, Any] = self.held["value"]
        return value

    @property
    def created(self) -> float:
        return float(self.held["created"])

    @property
    def updated(self) -> float:
        return float(self.held["updated"])

    @property
    def until(self) -> float | None:
        return self.held.get("until")

    @property
    def event(self) -> int:
        """The event with the text it is found by; 0: none."""
        return int(self.held.get("event", self.document.seq))

    def over(self, now: float) -> bool:
        """Whether its time is up."""
        return self.until is not None and self.until <= now

    @property
    def fields(self) -> dict[str, Any]:
        """As LangGraph's items have them."""
        return {
            "namespace": self.namespace, "key": self.key, "value": self.value,
            "created_at": datetime.fromtimestamp(self.created, UTC),
            "updated_at": datetime.fromtimestamp(self.updated, UTC),
        }  # fmt: skip


def _score(hit: Hit) -> float:
    """How well an item matches on its own: what stands beside it in the log is another matter."""
    return hit.score - hit.parts.get("neighbours", 0.0)


def _wanted(op: SearchOp) -> Iterable[tuple[str, Any]]:
    return op.filter.items() if op.filter else ()


def _fits(namespace: tuple[str, ...], condition: MatchCondition) -> bool:
    """Whether a namespace begins or ends as a condition says; ``*`` stands for any one label."""
    path = tuple(condition.path)
    if condition.match_type not in ("prefix", "suffix"):
        raise ValueError(f"no match type {condition.match_type!r}; it is prefix or suffix")
    if len(path) > len(namespace):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[-len(path) :]
    return not path or all(b in ("*", a) for a, b in zip(part, path, strict=True))
