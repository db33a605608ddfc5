"""What a write asks the door for: an event with everything derived from it, or vectors."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from holdfast.codec import digest
from holdfast.derive import passages
from holdfast.errors import CorruptStoreError, HoldfastError, IdempotencyError
from holdfast.records import Event, Receipt
from holdfast.retain import BLOCK_BYTES
from holdfast.state.asked import Asked
from holdfast.state.journal import MOST_PER_EVENT, Entry
from holdfast.state.records import Change

_PAGE = 4096
_FAR = 10_000  # vectors so many sequence numbers apart share no page
_ROW_OVERHEAD = 100  # bytes of a tail row beside its content


@dataclass(frozen=True, slots=True)
class Append:
    """One admitted event with everything derived from it, ready to be stored."""

    event: Event
    content: bytes
    labels: int  # bytes of everything else the caller gave, at most
    at: float | None
    terms: Sequence[int]
    length: int
    tokens: int
    cues: int  # flags that tell what kind of thing the text says
    asked: Asked | None = None  # what it does to state

    @property
    def alone(self) -> bool:
        """Whether it must have a transaction to itself."""
        return self.asked is not None and self.asked.alone

    @property
    def weight(self) -> int:
        """Upper bound on the bytes of pages that storing it dirties.

        A small event lies in a page of the tail, then in a block: both are counted, with their
        share of the trees above. A large one goes to a block of its own. A key may touch five
        pages.
        """
        key = 5 * _PAGE if self.event.key is not None else 0
        key += 0 if self.asked is None else self.asked.weight
        size = len(self.content) + self.labels
        if size >= BLOCK_BYTES:
            return key + size + 8 * _PAGE
        return key + 11 * (size + _ROW_OVERHEAD) // 4


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors for events that had none: (sequence number, all of its vectors as stored)."""

    codes: Sequence[tuple[int, bytes]]
    embedder: str

    @property
    def weight(self) -> int:
        """As of `Append`: vectors far apart in the stream lie on pages of their own."""
        seqs = [seq for seq, _ in self.codes]
        gaps = [abs(b - a) for a, b in pairwise([-_FAR, *seqs])]
        sizes = [2 * (len(code) + 32) for _, code in self.codes]
        return sum(min(gap * size, 4 * _PAGE + size) for gap, size in zip(gaps, sizes, strict=True))


@dataclass(frozen=True, slots=True)
class Used:
    """Feedback: some events were of use."""

    seqs: Sequence[int]

    @property
    def alone(self) -> bool:
        """As of `Append`."""
        return False

    @property
    def weight(self) -> int:
        """As of `Append`: one small row, and now and then what it is folded into."""
        return 10 * len(self.seqs) + 4 * _PAGE


Written = Append | Embedded | Used
Outcome = Receipt | int | None
"""Of an event, its receipt; of feedback, how many events it was about that are kept."""


class Ticket:
    """One caller's place in the queue."""

    __slots__ = ("alone", "change", "done", "error", "leads", "outcome", "weight")

    def __init__(self, change: Sequence[Written]) -> None:
        self.change = change
        self.weight = sum([one.weight for one in change])
        self.alone = any(getattr(one, "alone", False) for one in change)
        self.outcome: list[Outcome | HoldfastError] = []
        self.error: BaseException | None = None
        self.leads = False
        self.done = threading.Lock()
        self.done.acquire()


def scheme(embedder: str) -> str:
    """What a stored vector is: whose it is, and of what."""
    return f"{embedder}+{passages.SCHEME}"


def body_digest(change: Append) -> bytes:
    """What makes two events with one key the same: everything the caller gave but the key.

    Of a change of state, that is what it does, too; what an extractor makes of a text is not given.
    """
    event = change.event
    given: list[Any] = [
        event.speaker, event.role, event.channel, event.kind, event.at, event.scope,
        dict(event.metadata), event.parents, event.pinned, isinstance(event.content, str),
    ]  # fmt: skip
    if event.kind == "state" and change.asked is not None:
        given.append(change.asked.to_json())
    labels = json.dumps(given, sort_keys=True)
    return digest(labels.encode() + b"\0" + change.content)


def receipt_to(receipt: Receipt) -> bytes:
    """A receipt as it is stored; what its changes say in detail is in the journal, and large."""
    bare = [replace(change, detail={}) for change in receipt.changes]
    return json.dumps(asdict(replace(receipt, changes=tuple(bare)))).encode()


def receipt_from(data: bytes) -> Receipt:
    """A stored receipt; raises `CorruptStoreError` if it is damaged."""
    try:
        line = json.loads(data)
        changes = [
            Change(**{**one, "retired": tuple(one["retired"])}) for one in line.get("changes", ())
        ]
        return Receipt(**{**line, "changes": tuple(changes)})
    except (ValueError, LookupError, TypeError) as error:
        raise CorruptStoreError(f"a receipt cannot be read: {error}; run verify") from None


def receipt_again(data: bytes, entries: Mapping[int, Entry]) -> Receipt:
    """A stored receipt, with what the journal still knows of its changes."""
    receipt = receipt_from(data)
    ids = [change.seq * MOST_PER_EVENT + change.n for change in receipt.changes]
    changes = [
        replace(change, detail=entries[id].change.detail) if id in entries else change
        for change, id in zip(receipt.changes, ids, strict=True)
    ]
    return replace(receipt, changes=tuple(changes))


def conflict(key: str) -> IdempotencyError:
    return IdempotencyError(
        f"an idempotency key of {len(key)} characters was used before with another body; "
        "nothing was written for it: use a new key, or send the same body"
    )
