"""The read path, top to bottom: filter, match, score, expand, pack. Reading never writes.

A path is a generator: it yields what it wants of a model and is sent the answer, so one text
serves the synchronous and the asynchronous shells.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.mirror import Mirror
from holdfast.recall.fuse import Weights, score
from holdfast.recall.pack import SMALLEST_LINE, Packer, Ranked, pack_hits
from holdfast.recall.query import parse
from holdfast.records import Context, Hit

Counter = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a query may see."""

    scope: str = ""
    since: float | None = None
    until: float | None = None
    before: int | None = None  # events with a smaller sequence number only


@dataclass(frozen=True, slots=True)
class Embed:
    """A path's request: the vector of a text."""

    text: str


@dataclass(frozen=True, slots=True)
class Embedding:
    """The answer. No vector: there is no embedder, or (`degraded`) it did not answer in time."""

    vector: npt.NDArray[np.float32] | None
    degraded: bool = False
    partial: bool = False  # some events have no vector yet


@dataclass(frozen=True, slots=True)
class Reader:
    """What every read needs: the mirror, and how to weigh, count and tell the time."""

    mirror: Mirror
    weights: Weights
    count: Counter
    clock: Callable[[], float]


Asking = Generator[Embed, Embedding, "list[Hit]"]


def rank(reader: Reader, text: str, filters: Filters, limit: int) -> Asking:
    """The best `limit` events for a query, best first, each score explained by its parts."""
    answer = yield Embed(text)
    return _best(reader, text, answer, filters, limit)


def recall(
    reader: Reader, text: str, filters: Filters, tokens: int, limit: int, explain: bool
) -> Generator[Embed, Embedding, Context]:
    """The context for a query: ranked, cited, never over `tokens`."""
    everything = _everything(
        reader, text, filters, tokens
    )  # 1 small enough: nothing is ranked away
    if everything is not None:
        return everything
    answer = yield Embed(text)  # 2 ask a model, if there is one; nothing is locked
    hits = _best(reader, text, answer, filters, limit)  # 3 candidates in one order
    packer = Packer(tokens, reader.count)
    matches = _with_neighbours(reader.mirror, hits, filters)  # 4 what came just before and after
    pack_hits(packer, matches, reader.mirror.row, explain)  # 5 fit to the budget, cite
    return packer.finish(text, degraded=answer.degraded, partial=answer.partial)


def _best(reader: Reader, text: str, answer: Embedding, filters: Filters, limit: int) -> list[Hit]:
    query = parse(text, reader.clock())
    mirror = reader.mirror
    with mirror.lock:
        visible = mirror.columns.visible(
            filters.scope, filters.since, filters.until, filters.before
        )
        return score(mirror, query, answer.vector, visible, limit, reader.weights)


def _everything(reader: Reader, text: str, filters: Filters, tokens: int) -> Context | None:
    """The whole visible history, if it fits the token budget (ConvoMem, arXiv:2511.10523)."""
    columns = reader.mirror.columns
    with reader.mirror.lock:
        visible = columns.visible(filters.scope, filters.since, filters.until, filters.before)
        n = len(columns) if visible is None else int(visible.sum())
        if n * SMALLEST_LINE > tokens:
            return None
        shown = columns.tokens if visible is None else columns.tokens[visible]
        if int(shown.sum()) + n * SMALLEST_LINE > tokens:
            return None
        seqs = (columns.seq if visible is None else columns.seq[visible]).tolist()
    packer = Packer(tokens, reader.count)
    for seq in seqs:
        row = reader.mirror.row(seq)
        if row is not None:
            packer.offer(row, Hit(seq, 0.0, {}), "match", explain=False)
    if any(omission.reason == "over budget" for omission in packer.omissions):
        return None
    return packer.finish(text, whole=True)


def _with_neighbours(mirror: Mirror, hits: list[Hit], filters: Filters) -> list[Ranked]:
    """Matches with the visible events just before and after them in their scope."""
    with mirror.lock:
        columns = mirror.columns
        seqs, held = columns.seq, columns.tokens
        rows = columns.find_all(np.array([hit.seq for hit in hits], np.int64))
        rows = np.minimum(rows, max(0, columns.n - 1))
        pairs = np.column_stack([columns.before[rows], columns.after[rows]])
        shown = (pairs >= 0) & columns.inside(pairs, filters.since, filters.until, filters.before)
        around = [
            tuple((s, t) for s, t, ok in zip(*line, strict=True) if ok)
            for line in zip(seqs[pairs].tolist(), held[pairs].tolist(), shown.tolist(), strict=True)
        ]
        tokens = held[rows].tolist()
    return [Ranked(*match) for match in zip(hits, tokens, around, strict=True)]


def why_not(
    reader: Reader, seq: int, text: str, filters: Filters, tokens: int, limit: int = 50
) -> Generator[Embed, Embedding, str]:
    """Why an event is not in the context of a query, in one sentence."""
    mirror = reader.mirror
    with mirror.lock:
        row = mirror.columns.find(seq)
        if row is None:
            never = seq < 1 or seq >= mirror.next_seq
            return f"event {seq} " + ("was never observed" if never else "was evicted")
        visible = mirror.columns.visible(
            filters.scope, filters.since, filters.until, filters.before
        )
        if visible is not None and not visible[row]:
            return f"event {seq} is outside the scope or the time that was asked for"
        n = len(mirror.columns)
    everything = _everything(reader, text, filters, tokens)
    if everything is not None:
        if any(item.seq == seq for item in everything.items):
            return f"event {seq} is in the context, which holds everything that is visible"
        return f"event {seq} repeats the words of an earlier event, which is in the context"
    answer = yield Embed(text)
    hits = _best(reader, text, answer, filters, n)
    place = next((i for i, hit in enumerate(hits, 1) if hit.seq == seq), None)
    packer = Packer(tokens, reader.count)
    matches = _with_neighbours(mirror, hits[:limit], filters)
    pack_hits(packer, matches, mirror.row, explain=False)
    if seq in packer:
        as_what = f"match {place} of {len(hits)}" if place else "the neighbour of a match"
        return f"event {seq} is in the context, as {as_what}"
    if place is None:
        return f"event {seq} shares no term with the query, nor does an event beside it"
    if place > limit:
        return f"event {seq} ranked {place} of {len(hits)}; only the best {limit} are considered"
    reason = next((o.reason for o in packer.omissions if o.seq == seq), "over budget")
    if reason == "duplicate":
        return f"event {seq} repeats the words of a better match; it ranked {place}"
    return f"event {seq} ranked {place} of {len(hits)}; the {tokens} tokens were full before it"
