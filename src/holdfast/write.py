"""The write path, top to bottom: admit, derive, commit. No model is asked anything here.

What `commit` does with an event, in one transaction: look its key up, make room, give it its place
in the stream, store it, and only then, once that is durable, index it in RAM. The receipt comes
from what the commit did.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from holdfast.codec import DATED, content_bytes
from holdfast.commit import Committer
from holdfast.derive.cues import cues
from holdfast.derive.terms import chunk_terms
from holdfast.derive.times import chunks_mention_time
from holdfast.derive.tokens import chunk_tokens, count_tokens
from holdfast.errors import EventTooLargeError, InvalidEventError
from holdfast.extract.base import Extractor
from holdfast.lower import speaker_terms
from holdfast.records import KINDS, BulkReceipt, Event, Receipt
from holdfast.state.asked import Asked
from holdfast.state.records import Claim, Trust
from holdfast.trust.levels import source_of, trust_of
from holdfast.written import Append

Counter = Callable[[str], int]

LABEL_BYTES = 1024  # speaker, role, channel, scope and key, each
METADATA_BYTES = 65_536
METADATA_DEPTH = 64
PARENTS = 1024
MOST_CLAIMS = 64  # that are read from one event
LATEST = 253_402_300_800.0  # seconds: the year 10000


@dataclass(frozen=True, slots=True)
class Writer:
    """What every write needs: the one door, and what is told of an event before it gets there."""

    committer: Committer
    count: Counter
    extractor: Extractor | None
    clock: Callable[[], float]
    largest: Callable[[], int]
    batch_bytes: Callable[[], int]
    admits: Callable[[Event, Claim], bool] | None = None  # claims that may be taken up; None: all


def observe(writer: Writer, event: Event, asked: Asked | None = None) -> Receipt:
    """Store one event; durable and findable when this returns."""
    content = admit(event, writer.largest(), asked)  # 1 refuse what breaks a rule
    change = derive(event, content, writer.count)  # 2 terms, tokens, cues: no model needed
    asked = asked or extract(event, writer)  # 3 what it claims, by rules
    (receipt,) = writer.committer.submit([replace(change, asked=asked)])  # 4 one transaction
    assert isinstance(receipt, Receipt)
    return receipt


def observe_many(
    writer: Writer, events: Iterable[Event], progress: Callable[[int], None] | None = None
) -> BulkReceipt:
    """Store many events by the same path, a batch to a transaction."""
    committer = writer.committer
    done = duplicates = demoted = evicted = 0
    first, last = 0, committer.newest
    for batch in _batches(events, writer):
        before = last
        receipts = committer.submit(batch)
        fresh = [r for r in receipts if isinstance(r, Receipt) and r.seq > before]
        done += len(batch)
        duplicates += len(batch) - len({r.seq for r in fresh})
        if fresh:
            first, last = first or fresh[0].seq, fresh[-1].seq
            demoted, evicted = demoted + fresh[-1].demoted, evicted + fresh[-1].evicted
        if progress is not None:
            progress(done)
    return BulkReceipt(done, duplicates, first, last, demoted, evicted)


def admit(event: Event, largest: int, asked: Asked | None = None) -> bytes:
    """The content of a well-formed event, as bytes; one of kind "state" is `asked` something.

    Raises
    ------
    InvalidEventError
        If a field breaks its rule.
    EventTooLargeError
        If the content is over `largest` bytes, or what it does to state would take as many.
    """
    if not isinstance(event.content, (str, bytes)):
        kind = type(event.content).__name__
        raise InvalidEventError(f"content must be text or bytes, not {kind}; convert it first")
    content = content_bytes(event.content)
    if not content:
        raise InvalidEventError("an event needs at least 1 byte of content; this one is empty")
    if len(content) > largest:
        raise EventTooLargeError(
            f"an event of {len(content)} bytes is over this memory's limit of {largest}; "
            "split it, or raise the budget (the limit is a quarter of it, at most 16 MiB)"
        )
    if asked is not None and asked.weight > largest:
        raise EventTooLargeError(
            f"a change of state that takes {asked.weight} bytes is over this memory's limit of "
            f"{largest}; split it, or raise the budget: nothing was written"
        )
    if event.kind not in KINDS:
        raise InvalidEventError(f"kind {event.kind!r} is unknown; it is one of {', '.join(KINDS)}")
    if event.kind == "state" and asked is None:
        raise InvalidEventError(
            'an event of kind "state" says how state was changed, and only a change makes one; '
            'observe it as a "note"'
        )
    if event.at is not None and not (
        isinstance(event.at, (int, float)) and math.isfinite(event.at) and abs(event.at) < LATEST
    ):
        raise InvalidEventError(f"at={event.at!r} is no time; give POSIX seconds (UTC)")
    for name, value in (
        ("speaker", event.speaker), ("role", event.role), ("channel", event.channel),
        ("scope", event.scope), ("key", event.key),
    ):  # fmt: skip
        if value is not None or name == "scope":
            _check_label(name, value)
    if event.metadata:
        _check_metadata(event.metadata)
    if not isinstance(event.pinned, bool):
        raise InvalidEventError("pinned must be true or false")
    if event.parents != () and not _are_parents(event.parents):
        raise InvalidEventError(f"parents must be at most {PARENTS} sequence numbers")
    return content


def derive(event: Event, content: bytes, count: Counter) -> Append:
    """Everything about an event that can be told without a model and without the others."""
    if event.scope.startswith("/") or event.scope.endswith("/"):
        event = replace(event, scope=event.scope.strip("/"))
    text = event.text
    if event.kind == "state":  # found through what it did, not by its words
        return Append(event, content, _label_bytes(event), event.at, (), 0, count(text), 0)
    chunks = text.split()  # once, for all who look at words
    terms = speaker_terms(event.speaker) + chunk_terms(chunks)
    return Append(
        event=event,
        content=content,
        labels=_label_bytes(event),
        at=event.at,
        terms=terms,
        length=len(terms),
        tokens=chunk_tokens(text, chunks) if count is count_tokens else count(text),
        cues=cues(text, chunks) | (DATED if chunks_mention_time(text, chunks) else 0),
    )


def extract(event: Event, writer: Writer) -> Asked | None:
    """What an event claims, in the words of whoever the memory trusts to speak for themselves.

    What a tool, the web or an assistant says of "I" is about nobody.
    """
    if writer.extractor is None or event.kind == "state" or not event.text:
        return None
    trust = trust_of(event)
    if trust < Trust.USER:
        return None
    at = writer.clock() if event.at is None else event.at
    claims = writer.extractor.claims(event.text, speaker=event.speaker, role=event.role, at=at)
    if writer.admits is not None:
        claims = [claim for claim in claims if writer.admits(event, claim)]
    asked = (
        Asked(tuple(claims[:MOST_CLAIMS]), source_of(event), trust, read=True) if claims else None
    )
    while asked is not None and asked.weight > writer.largest() // 2:
        fewer = asked.operations[: len(asked.operations) // 2]
        asked = replace(asked, operations=fewer) if fewer else None
    return asked


def _batches(events: Iterable[Event], writer: Writer) -> Iterator[list[Append]]:
    batch: list[Append] = []
    size = 0
    largest, batch_bytes = writer.largest(), writer.batch_bytes()
    for event in events:
        change = derive(event, admit(event, largest), writer.count)
        asked = extract(event, writer)
        if asked is not None:
            change = replace(change, asked=asked)
        weight = change.weight
        if batch and size + weight > batch_bytes:
            yield batch
            batch, size = [], 0
        batch.append(change)
        size += weight
    if batch:
        yield batch


def _are_parents(parents: Any) -> bool:
    return (
        isinstance(parents, (tuple, list))
        and len(parents) <= PARENTS
        and all(isinstance(one, int) and 0 <= one < 1 << 63 for one in parents)
    )


def _check_label(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidEventError(f"{name} must be text, not {type(value).__name__}")
    if len(value) > LABEL_BYTES // 4 and len(content_bytes(value)) > LABEL_BYTES:
        raise InvalidEventError(
            f"{name} of {len(content_bytes(value))} bytes is over the limit of {LABEL_BYTES}"
        )


def _label_bytes(event: Event) -> int:
    """Upper bound on the bytes of everything but the content."""
    size = 6 * (
        len(event.speaker or "") + len(event.role or "") + len(event.channel or "")
        + len(event.scope) + len(event.key or "") + 2 * len(event.parents)
    )  # fmt: skip
    return size + (len(json.dumps(dict(event.metadata))) if event.metadata else 0)


def _check_metadata(metadata: Any) -> None:
    try:
        if _is_deeper(dict(metadata), METADATA_DEPTH):
            raise ValueError(f"it is nested over {METADATA_DEPTH} levels deep")
        size = len(json.dumps(dict(metadata), sort_keys=True, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidEventError(f"metadata must be what JSON can hold: {error}") from None
    if size > METADATA_BYTES:
        raise InvalidEventError(
            f"metadata of {size} bytes is over the limit of {METADATA_BYTES}; "
            "put large things into the content"
        )


def _is_deeper(value: object, levels: int) -> bool:
    """Whether containers lie in one another over so many levels deep."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    inside = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inside)


def to_events(items: Iterable[Event | str | bytes]) -> Iterator[Event]:
    """Bare texts as events, events as they are."""
    for item in items:
        yield item if isinstance(item, Event) else Event(item)
