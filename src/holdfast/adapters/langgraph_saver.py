"""LangGraph's checkpoints in a memory: each one a document, a bounded number of each thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from holdfast.adapters.langgraph_history import Slot, pack, spare, unpack
from holdfast.adapters.scopes import home, join, split
from holdfast.errors import ConflictError, PatchError
from holdfast.memory import Memory
from holdfast.seat import Seat
from holdfast.state.documents import Document

_NAME = "checkpoint:"  # before the number of a slot
_COUNTERS = "counters_since_delta_snapshot"  # in metadata: the channels stored as changes


class LangGraphSaver(BaseCheckpointSaver[int]):
    """A LangGraph checkpointer in one bounded, durable file.

    Beyond the built-in ones: threads can be copied and pruned and runs deleted; the older
    checkpoints of a thread are let go of, so that a long conversation does not grow without bound;
    every `put` is on disk when it returns, within the memory's budget; several processes may use
    the file; and agents may be held to their own threads by a `Seat` in place of the memory.

    Parameters
    ----------
    memory
        An open memory, or a seat of one.
    scope
        Where the threads are, each a scope inside it. None: the whole memory, or the seat's own.
    history
        Checkpoints that are kept of each namespace of a thread, the newest; at least 1.
    serde
        As for LangGraph's own savers; but by default only types that LangGraph knows as safe are
        made again from what is read, since whoever was granted the scope may have written it. For
        others, give `JsonPlusSerializer` the list of their modules.

    Raises
    ------
    ValueError
        If `history` is below 1.
    BudgetError
        By `put` and `put_writes`, if the budget cannot hold what must be held: nothing is changed,
        and the last checkpoint stays. Prune threads, keep less history or raise the budget.
    PatchError, EventTooLargeError
        By the same, for a state of over 1 MiB compressed, writes included, or over an eighth of
        the budget: nothing is changed.

    Notes
    -----
    A put writes the new checkpoint over the oldest one that is not needed any more, in one synced
    transaction. The newest checkpoint of a namespace is never let go of, nor is one that a
    `DeltaChannel` of a kept one is made up from: such threads keep more than `history`. What a
    subgraph wrote for one step goes with the last checkpoint of that step.

    What is deleted or let go of cannot be read by LangGraph any more; its bytes go when the
    memory needs the room (older versions of documents go first), or with
    ``memory.erase(scope=saver.scope_of(thread_id))``, which leaves nothing.

    Cost: O(checkpoints kept of the thread) for each call; `list` without a thread and
    `delete_for_runs` are linear in all checkpoints.

    Examples
    --------
    ::

        graph = builder.compile(checkpointer=LangGraphSaver(memory, scope="threads"))
        graph.invoke({"messages": []}, {"configurable": {"thread_id": "ana/1"}})
    """

    def __init__(
        self,
        memory: Memory | Seat,
        *,
        scope: str | None = None,
        history: int = 32,
        serde: SerializerProtocol | None = None,
    ) -> None:
        if history < 1:
            raise ValueError(f"history is {history}; give 1 or more: the newest always stays")
        # What is read may be written by anybody with a grant, and names of classes are not data.
        super().__init__(serde=serde or JsonPlusSerializer(allowed_msgpack_modules=None))
        self._memory = memory
        self._scope = home(memory, scope)
        self._history = history
        self._lock = threading.Lock()  # so that threads of one process do not race for a slot

    def scope_of(self, thread_id: str) -> str:
        """The scope that a thread lies in, for `Memory.erase`, grants and seats."""
        return join(self._scope, str(thread_id))

    # ---- reading ---------------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint with the writes that wait on it: the one named, else the newest."""
        thread, ns = _address(config)
        wanted = get_checkpoint_id(config)
        found = [
            slot
            for slot in self._slots(self.scope_of(thread))
            if slot.whole and slot.ns == ns and wanted in (None, "", slot.id)
        ]
        return self._tuple(max(found, key=lambda slot: slot.id)) if found else None

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first: of a thread, of one namespace of it, or of all threads."""
        asked: Mapping[str, Any] = config["configurable"] if config else {}
        scope = self.scope_of(asked["thread_id"]) if config else self._scope
        ns, id = asked.get("checkpoint_ns"), asked.get("checkpoint_id")
        end = get_checkpoint_id(before) if before else None
        found = [
            slot
            for slot in self._slots(scope)
            if slot.whole
            and (ns is None or slot.ns == ns)
            and (not id or slot.id == id)
            and (not end or slot.id < end)
        ]
        left = len(found) if limit is None else limit
        for slot in sorted(found, key=lambda slot: slot.id, reverse=True):
            metadata = self._load(slot.value["metadata"])
            if all(metadata.get(key) == value for key, value in (filter or {}).items()):
                if left <= 0:
                    return
                left -= 1
                yield self._tuple(slot)

    # ---- writing ---------------------------------------------------------------------------

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; writes that came before it stay with it."""
        thread, ns = _address(config)
        full: Mapping[str, Any] = get_serializable_checkpoint_metadata(config, metadata)
        changed = set(full.get(_COUNTERS) or ()) & set(checkpoint["channel_versions"])
        value = {
            "ns": ns,
            "id": checkpoint["id"],
            "parent": get_checkpoint_id(config) or "",
            "parents": {str(at): str(id) for at, id in (full.get("parents") or {}).items()},
            "run": str(full.get("run_id") or ""),
            "delta": sorted(changed - set(checkpoint["channel_values"])),
            "state": pack(self.serde.dumps_typed(checkpoint)),
            "metadata": pack(self.serde.dumps_typed(full)),
        }
        self._write(self.scope_of(thread), value)
        return _config(thread, ns, checkpoint["id"])

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote, for a checkpoint that is there or still to come.

        The first write at a place stays; errors and interrupts are replaced.
        """
        thread, ns = _address(config)
        told = {}
        for n, (channel, content) in enumerate(writes):
            place = WRITES_IDX_MAP.get(channel, n)
            packed = pack(self.serde.dumps_typed(content))
            told[f"{task_id}/{place}"] = [task_path, task_id, place, channel, packed]
        id = config["configurable"]["checkpoint_id"]
        self._write(self.scope_of(thread), {"ns": ns, "id": id, "writes": told})

    def _write(self, scope: str, value: dict[str, Any]) -> None:
        """Write what is new of a checkpoint into its slot, or into one that can be had."""
        with self._lock:
            while True:
                slots = self._slots(scope, free=True)
                try:
                    self._write_to(scope, slots, value)
                except ConflictError:  # another process was faster: look again
                    continue
                return

    def _write_to(self, scope: str, slots: Sequence[Slot], value: dict[str, Any]) -> None:
        mine, told = (value["ns"], value["id"]), value.get("writes", {})
        held = [slot for slot in slots if not slot.free]
        same = next((slot for slot in held if (slot.ns, slot.id) == mine), None)
        if same is not None:
            fresh = {key: one for key, one in told.items() if one[2] < 0 or key not in same.writes}
            if fresh or not told:
                # A merge leaves alone what else is there. Nothing here is null, which would delete.
                new = value | ({"writes": fresh} if told else {})
                document = same.document
                self._memory.patch_document(
                    document.name, new, scope=scope, expect=document.version
                )
            return
        going = [slot for slot in spare([*held, _to_come(value)], self._history) if slot.version]
        usable = [*going[:1], *(slot for slot in slots if slot.free), _unused(slots)]
        self._memory.put_document(usable[0].name, value, scope=scope, expect=usable[0].version)
        self._delete(going[1:])

    # ---- deleting --------------------------------------------------------------------------

    def delete_thread(self, thread_id: str) -> None:
        """Delete all of a thread."""
        self._delete(self._slots(self.scope_of(thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of some runs, whatever their threads."""
        runs = {str(run) for run in run_ids} - {""}
        if runs:
            self._delete([one for one in self._slots(self._scope) if one.value.get("run") in runs])

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy what is kept of a thread into another, beside what that has."""
        slots = self._slots(self.scope_of(source_thread_id))
        for slot in sorted(slots, key=lambda slot: slot.id):
            self._write(self.scope_of(target_thread_id), dict(slot.value))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete of some threads all but the newest checkpoint of each namespace, or everything.

        What a `DeltaChannel` of the newest is made up from stays with it.

        Raises
        ------
        ValueError
            If the strategy is neither "keep_latest" nor "delete".
        """
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"no strategy {strategy!r}; it is 'keep_latest' or 'delete'")
        for thread in thread_ids:
            slots = self._slots(self.scope_of(thread))
            self._delete(slots if strategy == "delete" else spare(slots, 1, ended_tasks=False))

    def _delete(self, slots: Sequence[Slot]) -> None:
        """Delete some checkpoints, the oldest first; if it is cut short, the newest are there."""
        for slot in sorted(slots, key=lambda slot: slot.id):
            with suppress(ConflictError, PatchError):  # somebody used it anew, or deleted it
                self._memory.delete_document(
                    slot.name, scope=slot.document.scope, expect=slot.version
                )

    # ---- for asyncio -----------------------------------------------------------------------

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`, on a worker thread; so are all that follow."""
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (one := await asyncio.to_thread(next, found, None)) is not None:
            yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `put_writes`."""
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await asyncio.to_thread(self.prune, thread_ids, strategy=strategy)

    # ---- slots -----------------------------------------------------------------------------

    def _slots(self, scope: str, *, free: bool = False) -> Sequence[Slot]:
        """The slots of a thread, or of all threads."""
        return [
            Slot(one)
            for one in self._memory.all_documents(scope=scope, deleted=free)
            if one.name.startswith(_NAME) and len(split(self._scope, one.scope)) == 1
        ]

    def _tuple(self, slot: Slot) -> CheckpointTuple:
        (thread,) = split(self._scope, slot.document.scope)
        parent = slot.value["parent"]
        writes = sorted(slot.writes.values(), key=lambda one: tuple(one[:3]))
        return CheckpointTuple(
            config=_config(thread, slot.ns, slot.id),
            checkpoint=self._load(slot.value["state"]),
            metadata=self._load(slot.value["metadata"]),
            parent_config=_config(thread, slot.ns, parent) if parent else None,
            pending_writes=[(one[1], one[3], self._load(one[4])) for one in writes],
        )

    def _load(self, packed: Sequence[str]) -> Any:
        return self.serde.loads_typed(unpack(packed))


def _address(config: RunnableConfig) -> tuple[str, str]:
    """The thread and the namespace that a configuration names."""
    asked = config["configurable"]
    return str(asked["thread_id"]), asked.get("checkpoint_ns", "")


def _config(thread: str, ns: str, id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}}


def _to_come(value: Any) -> Slot:
    """A checkpoint that has no slot yet."""
    return Slot(Document("", "", 0, value, 0.0, 0))


def _unused(slots: Sequence[Slot]) -> Slot:
    """The first slot that a thread never had."""
    names = {slot.name for slot in slots}
    name = next(name for n in count() if (name := f"{_NAME}{n}") not in names)
    return Slot(Document(name, "", 0, None, 0.0, 0))
