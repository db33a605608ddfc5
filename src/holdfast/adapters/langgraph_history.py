"""Which checkpoints of a LangGraph thread are kept, and how one lies in a document."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zstandard

from holdfast.state.documents import Document

_TASK = ":"  # in a namespace, between the name of a node and the task that ran it once


@dataclass(frozen=True, slots=True)
class Slot:
    """A document that holds a checkpoint of a thread, or the writes that wait for one.

    Slots are used again, so that a thread leaves no more documents than it ever had checkpoints at
    one time.

    Parameters
    ----------
    document
        What the memory has. The value of one that is deleted is None: a slot that is free.
    """

    document: Document

    @property
    def value(self) -> Mapping[str, Any]:
        value: Mapping[str, Any] = self.document.value or {}
        return value

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def version(self) -> int:
        """Of the document; 0 if it never was."""
        return self.document.version

    @property
    def free(self) -> bool:
        return self.document.value is None

    @property
    def whole(self) -> bool:
        """Whether the checkpoint itself is here."""
        return "state" in self.value

    @property
    def ns(self) -> str:
        return str(self.value["ns"])

    @property
    def id(self) -> str:
        return str(self.value["id"])

    @property
    def writes(self) -> Mapping[str, Sequence[Any]]:
        writes: Mapping[str, Sequence[Any]] = self.value.get("writes", {})
        return writes


def spare(slots: Iterable[Slot], history: int, *, ended_tasks: bool = True) -> list[Slot]:
    """The slots that a thread can do without, the oldest first.

    Kept are the newest `history` checkpoints of each namespace, and all older ones from which a
    channel that is stored as changes (`DeltaChannel`) is made up in one of these; and writes whose
    checkpoint may still come: saves run in the background. With `ended_tasks`, what a subgraph
    left that ran in one step only goes with that step.

    Notes
    -----
    Checkpoint ids are in order of time. O(slots · history) at the most, O(slots) without such
    channels.
    """
    held = [slot for slot in slots if not slot.free]
    spaces: dict[str, list[Slot]] = defaultdict(list)
    for slot in sorted(held, key=lambda one: one.id, reverse=True):
        spaces[slot.ns].append(slot)
    kept = {id(slot) for group in spaces.values() for slot in _kept(group, history)}
    if ended_tasks:
        first = min((one.id for one in spaces.get("", ()) if id(one) in kept), default="")
        kept -= {id(slot) for slot in held if _ended(slot, first)}
    return sorted((one for one in held if id(one) not in kept), key=lambda one: (one.id, one.ns))


def _kept(group: Sequence[Slot], history: int) -> list[Slot]:
    """Of one namespace, newest first."""
    newest = [slot for slot in group if slot.whole][:history]
    oldest = newest[-1].id if newest else ""
    waiting = [slot for slot in group if not slot.whole and slot.id >= oldest]
    by_id = {slot.id: slot for slot in group if slot.whole}
    kept = {slot.id: slot for slot in newest}
    walked: dict[str, set[str]] = defaultdict(set)
    for slot in newest:
        missing, at = set(slot.value.get("delta", ())), by_id.get(slot.value.get("parent", ""))
        while at is not None and not missing <= walked[at.id]:
            walked[at.id] |= missing
            kept[at.id] = at
            missing &= set(at.value.get("delta", ()))
            at = by_id.get(at.value.get("parent", ""))
    return [*kept.values(), *waiting]


def _ended(slot: Slot, first: str) -> bool:
    """Whether a slot belongs to a task of a step before the first that is kept."""
    return _TASK in slot.ns and slot.value.get("parents", {}).get("", first) < first


def pack(typed: tuple[str, bytes]) -> list[str]:
    """A serialized value as JSON: its type, and its bytes compressed."""
    return [typed[0], b64encode(zstandard.ZstdCompressor().compress(typed[1])).decode()]


def unpack(packed: Sequence[str]) -> tuple[str, bytes]:
    """The inverse of `pack`.

    Examples
    --------
    >>> unpack(pack(("msgpack", b"\\x80")))
    ('msgpack', b'\\x80')
    """
    return packed[0], zstandard.ZstdDecompressor().decompress(b64decode(packed[1]))
