"""The read path, top to bottom: filter, match, score, expand, pack. Reading never writes.

A path is a generator: it yields what it wants of a model and is sent the answer, so one text
serves the synchronous and the asynchronous shells.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from holdfast.codec import BYTES, Row, content_bytes, to_record
from holdfast.errors import ArgumentsError, InvalidClaimError
from holdfast.lower import row_terms, text_of
from holdfast.mirror import Mirror
from holdfast.recall.columns import Bools, Rows
from holdfast.recall.fresh import DEEP, fresh_first, fresh_scopes_first
from holdfast.recall.fuse import Ranking, candidates, score, score_scopes
from holdfast.recall.look import Look
from holdfast.recall.pack import SMALLEST_LINE, Packer, pack_hits
from holdfast.recall.pool import join, probe, unread
from holdfast.recall.query import Query, parse
from holdfast.recall.weights import Weights
from holdfast.records import KINDS, Context, Event, Hit, Scope, ScopeHit
from holdfast.state.admit import QUOTE_BYTES
from holdfast.state.query import Query as BeliefQuery
from holdfast.state.records import Belief, Evidence
from holdfast.trust.levels import source_of

Counter = Callable[[str], int]

LARGE_SCOPE = 100
"""Events in a scope over which its best passage does not stand for it."""
_JITTER_S = 0.001  # record times are rounded to the millisecond, up or down


@dataclass(frozen=True, slots=True)
class Filters:
    """What a query may see."""

    scopes: tuple[str, ...] = ("",)
    since: float | None = None
    until: float | None = None
    before: int | None = None  # events with a smaller sequence number only
    as_of: float | None = None  # beliefs as the record stood then
    valid_at: float | None = None  # beliefs of that time; None: of now

    @property
    def scoped(self) -> bool:
        """Whether a scope bounds what may be seen."""
        return "" not in self.scopes

    def covers(self, scope: str) -> bool:
        """Whether a scope is among those asked for, or inside one."""
        return any(Scope(one).covers(scope) for one in self.scopes)


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


def rank(reader: Reader, text: str, filters: Filters, limit: int, speaker: str | None) -> Asking:
    """The best `limit` events for a query, best first, each score explained by its parts."""
    return (yield from weigh(reader, text, filters, limit, speaker)).hits


def weigh(
    reader: Reader, text: str, filters: Filters, limit: int, speaker: str | None = None
) -> Generator[Embed, Embedding, Ranking]:
    """As `rank`, with the chance that they answer the query."""
    answer = yield Embed(text)
    query = parse(text, _asked_at(reader, filters), speaker)
    return _score(reader, query, answer, filters, limit, explain=True)


def rank_scopes(
    reader: Reader, text: str, filters: Filters, limit: int, speaker: str | None
) -> Generator[Embed, Embedding, list[ScopeHit]]:
    """The best `limit` scopes for a query, best first."""
    answer = yield Embed(text)
    query = parse(text, _asked_at(reader, filters), speaker)
    mirror = reader.mirror
    with mirror.lock:
        look = _look(mirror, query, answer, filters)
        look_up = partial(mirror.postings.match, limit=0, allowed=look.visible)
        room, read = max(limit, DEEP), partial(terms_of, mirror)
        hits = score_scopes(look, reader.weights, room, look_up, read)
        large = _are_large(look, hits)
    idf = look.match.idf.tolist()
    if large:
        return hits[:limit]
    return fresh_scopes_first(look.query, idf, hits, partial(told, mirror))[:limit]


def _are_large(look: Look, hits: Sequence[ScopeHit]) -> bool:
    """Whether the best scopes hold so much that one passage says little of the whole."""
    columns = look.columns
    seen = columns.alive if look.visible is None else look.visible
    sizes = np.bincount(columns.scope_ids()[columns.who[seen]], minlength=1)
    held = dict(zip(columns.scope_names(), sizes.tolist(), strict=False))
    return bool(np.median([held.get(hit.scope, 0) for hit in hits[:10]] or [0]) > LARGE_SCOPE)


def told(mirror: Mirror, seq: int) -> tuple[str, str] | None:
    """Who said an event, and what is left of it; None if it is not kept."""
    row = mirror.row(seq)
    return (row.who.speaker or "", text_of(row)) if row is not None else None


def terms_of(mirror: Mirror, row: int) -> Sequence[int]:
    """The index terms of a row, none if it is not kept."""
    found = mirror.row(int(mirror.columns.seq[row]))
    return row_terms(found) if found is not None else ()


def recall(
    reader: Reader,
    text: str,
    filters: Filters,
    tokens: int,
    limit: int,
    explain: bool,
    speaker: str | None = None,
    previous: Context | None = None,
    hops: int = 0,
    believed: int = 0,
) -> Generator[Embed, Embedding, Context]:
    """The context for a query: ranked, cited, never over `tokens`."""
    if tokens < 0:
        raise ArgumentsError(f"a context cannot have {tokens} tokens; allow 0 or more")
    beliefs = held(reader, text, filters, believed) if believed else []  # 0 what is true now
    everything = _everything(reader, text, filters, tokens, beliefs)  # 1 small: nothing ranked away
    if everything is not None:
        return everything
    answer = yield Embed(text)  # 2 ask a model, if there is one; nothing is locked
    query = parse(text, _asked_at(reader, filters), speaker)
    found = _score(reader, query, answer, filters, limit, explain)  # 3 candidates in one order
    hits = _follow(reader, query, answer, filters, found.hits, limit, explain, hops)  # 4 ask on
    packer = Packer(tokens, reader.count, beliefs)
    view = _View(reader.mirror, filters)
    pack_hits(packer, hits, view, text, explain, previous)  # 5 fit to the budget, cite
    return packer.finish(
        text, confidence=found.confidence, degraded=answer.degraded, partial=answer.partial
    )


def _score(
    reader: Reader, query: Query, answer: Embedding, filters: Filters, limit: int, explain: bool
) -> Ranking:
    with reader.mirror.lock:
        look = _look(reader.mirror, query, answer, filters)
        found = score(look, reader.weights, max(limit, DEEP), explain)
    idf = look.match.idf.tolist()
    hits = fresh_first(look.query, idf, found.hits, partial(told, reader.mirror))
    return found._replace(hits=hits[:limit])


def _look(mirror: Mirror, query: Query, answer: Embedding, filters: Filters) -> Look:
    visible = _visible(mirror, filters)
    return candidates(mirror.index, query, answer.vector, visible, scoped=filters.scoped)


def _follow(
    reader: Reader,
    query: Query,
    answer: Embedding,
    filters: Filters,
    pool: list[Hit],
    limit: int,
    explain: bool,
    hops: int,
) -> list[Hit]:
    """The pool of hits after some steps of asking again with what was found."""
    mirror, read = reader.mirror, set[int]()
    for step in range(1, hops + 1):
        rows = [row for seq in unread(pool, read) if (row := mirror.row(seq)) is not None]
        with mirror.lock:
            visible = _visible(mirror, filters)
            look_up = partial(mirror.postings.match, limit=0, allowed=visible)
            asked = probe(query, map(text_of, rows), look_up)
        if asked is None:
            break
        query = asked
        found = _score(reader, query, answer, filters, limit, explain)
        pool = join(pool, found.hits, step, limit)
    return pool


def _visible(mirror: Mirror, filters: Filters) -> Bools | None:
    columns = mirror.columns
    seen = columns.visible(filters.scopes, filters.since, filters.until, filters.before)
    if not mirror.state.revoked:
        return seen
    allowed: Bools = _trusted(mirror)[columns.who]
    return allowed if seen is None else seen & allowed


def _trusted(mirror: Mirror) -> Bools:
    """Whether nobody revoked each of the columns' `whos`."""
    revoked = mirror.state.revoked
    return np.array([source_of(who) not in revoked for who in mirror.columns.whos], np.bool_)


def held(reader: Reader, text: str, filters: Filters, limit: int) -> list[Belief]:
    """The beliefs that match some words and are held at the time that is asked about."""
    query = BeliefQuery(filters.scopes, as_of=filters.as_of, before=filters.before)
    with reader.mirror.lock:  # what is told meanwhile would not hold at a time taken before
        at = moment(reader, filters)
        past = filters.valid_at is not None
        return [hit.belief for hit in reader.mirror.state.search(text, query, at, limit, past)]


def moment(reader: Reader, filters: Filters) -> float:
    """The time that beliefs must hold at: what is asked for, else when it is asked."""
    if filters.valid_at is not None:
        return filters.valid_at
    latest = reader.mirror.last_recorded if filters.as_of is None else 0.0  # clocks are set back
    return max(_asked_at(reader, filters), latest) + _JITTER_S


def _asked_at(reader: Reader, filters: Filters) -> float:
    """When a query is asked, or would have been: what "yesterday" is told from."""
    return reader.clock() if filters.as_of is None else filters.as_of


def quote(row: Row, span: tuple[int, int] | None) -> tuple[Evidence, Event]:
    """Bytes of an event as evidence, all of them if no span is given, and the event.

    Raises
    ------
    InvalidClaimError
        If the bytes are not there, not text, cut a character, or are no longer kept.
    """
    record = to_record(row)
    if row.flags & BYTES:
        raise InvalidClaimError(f"event {row.seq} is no text; evidence is quoted from texts")
    for start, kept in [(q.start, q.text) for q in record.quotes] or [(0, record.event.text)]:
        content = content_bytes(kept)
        a, b = span or (start, start + min(len(content), QUOTE_BYTES))
        if not start <= a < b <= start + len(content):
            continue
        data = content[a - start : b - start]
        if span is None:
            data = data.decode("utf-8", "ignore").encode()  # a long event is cut between letters
        try:
            text = data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise InvalidClaimError(
                f"bytes {a} to {b} of event {row.seq} cut a character in two; move the ends"
            ) from None
        if len(data) > QUOTE_BYTES:
            raise InvalidClaimError(
                f"a quote of {len(data)} bytes is over the limit of {QUOTE_BYTES}; cite less"
            )
        return Evidence(row.seq, a, a + len(data), text, record.digest), record.event
    where = "" if span is None else f" at bytes {span[0]} to {span[1]}"
    raise InvalidClaimError(
        f"event {row.seq} keeps no text{where} (tier {record.tier.name.lower()}); cite another"
    )


def _everything(
    reader: Reader, text: str, filters: Filters, tokens: int, beliefs: Sequence[Belief] = ()
) -> Context | None:
    """The whole visible history, if it fits the token budget (ConvoMem, arXiv:2511.10523)."""
    with reader.mirror.lock:
        columns = reader.mirror.columns
        visible = _visible(reader.mirror, filters)
        n = columns.said if visible is None else int(visible.sum())
        if n * SMALLEST_LINE > tokens:
            return None
        shown = columns.tokens if visible is None else columns.tokens[visible]
        if int(shown.sum()) + n * SMALLEST_LINE > tokens:
            return None
        seqs = (columns.seq if visible is None else columns.seq[visible]).tolist()
    packer = Packer(tokens, reader.count, beliefs)
    for seq in seqs:
        row = reader.mirror.row(seq)
        if row is not None:
            packer.offer(row, Hit(seq, 0.0, {}), "match", explain=False)
    if any(omission.reason == "over budget" for omission in packer.omissions):
        return None
    return packer.finish(text, whole=True)


@dataclass(frozen=True, slots=True)
class _View:
    """What packing may ask of a mirror about the events a query may see."""

    mirror: Mirror
    filters: Filters

    def row(self, seq: int) -> Row | None:
        return self.mirror.row(seq)

    def sees(self, seq: int) -> bool:
        """Whether an event is kept and the query may see it."""
        with self.mirror.lock:
            columns, filters = self.mirror.columns, self.filters
            row = columns.find(seq)
            if row is None or columns.kind[row] == KINDS.index("state"):
                return False
            who = columns.whos[columns.who[row]]
            if not filters.covers(who.scope) or source_of(who) in self.mirror.state.revoked:
                return False
            bounds = filters.since, filters.until, filters.before
            return bool(columns.inside(np.array([row]), *bounds)[0])

    def tokens(self, seqs: Sequence[int]) -> list[int]:
        """Tokens of the text of each event, as counted when it was stored."""
        with self.mirror.lock:
            return [int(n) for n in self.mirror.columns.tokens[self._rows(seqs)]]

    def around(self, seqs: Sequence[int]) -> list[tuple[int, int]]:
        """The visible events just before and after some others: sequence number and tokens."""
        with self.mirror.lock:
            columns, filters = self.mirror.columns, self.filters
            rows = self._rows(seqs)
            near = np.column_stack([columns.before[rows], columns.after[rows]]).ravel()
            near = near[near >= 0]
            near = near[columns.inside(near, filters.since, filters.until, filters.before)]
            if self.mirror.state.revoked:
                near = near[_trusted(self.mirror)[columns.who[near]]]
            found = zip(columns.seq[near].tolist(), columns.tokens[near].tolist(), strict=True)
            return list(dict.fromkeys(found))

    def _rows(self, seqs: Sequence[int]) -> Rows:
        columns = self.mirror.columns
        return np.minimum(columns.find_all(np.array(seqs, np.int64)), max(0, columns.n - 1))


def why_not(
    reader: Reader, seq: int, text: str, filters: Filters, tokens: int, limit: int = 50
) -> Generator[Embed, Embedding, str]:
    """Why an event is not in the context of a query, in one sentence."""
    mirror = reader.mirror
    with mirror.lock:
        row = mirror.columns.find(seq)
        if row is None:
            never = seq < 1 or seq >= mirror.next_seq
            gone = "was erased" if not never and mirror.audit.erased(seq) else "was evicted"
            return f"event {seq} " + ("was never observed" if never else gone)
        visible = _visible(mirror, filters)
        if visible is not None and not visible[row]:
            return f"event {seq} is outside the scope or the time that was asked for"
        n = len(mirror.columns)
    everything = _everything(reader, text, filters, tokens)
    if everything is not None:
        if any(item.seq == seq for item in everything.items):
            return f"event {seq} is in the context, which holds everything that is visible"
        return f"event {seq} repeats the words of an earlier event, which is in the context"
    answer = yield Embed(text)
    hits = _score(
        reader, parse(text, _asked_at(reader, filters)), answer, filters, n, explain=False
    ).hits
    place = next((i for i, hit in enumerate(hits, 1) if hit.seq == seq), None)
    packer = Packer(tokens, reader.count)
    pack_hits(packer, hits[:limit], _View(mirror, filters), text, explain=False)
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
