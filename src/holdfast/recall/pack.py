"""Fit ranked events into an exact token budget, every line cited."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

from holdfast.codec import BYTES, Row, to_record
from holdfast.derive.terms import query_terms
from holdfast.derive.tokens import count_tokens
from holdfast.recall.envelope import CLOSE, HELD, OPEN, heading, line, statement
from holdfast.recall.excerpt import excerpt
from holdfast.recall.units import offers, spared
from holdfast.records import Context, Hit, Item, Omission, Quote, Tier
from holdfast.state.records import Belief

Counter = Callable[[str], int]
Why = Literal["match", "neighbour", "kept"]
Reason = Literal["over budget", "duplicate"]

SMALLEST_LINE = 5  # tokens that a line takes beside its text, at the least
_FRAME_TOKENS = count_tokens(OPEN + CLOSE)
_MISSES = 8  # events in a row that are read and do not fit before packing gives up
_LEAST_NEIGHBOUR = 24  # tokens that must be left before a neighbour is worth looking up
_TIERS = tuple(Tier)
_BELIEFS_SHARE = 0.25  # of the token budget, at most, for what is held to be true


class Part(NamedTuple):
    """What is shown of an event that is not shown whole."""

    quotes: tuple[Quote, ...]
    cut: bool  # it breaks off inside a sentence


class _Packed(NamedTuple):
    item: Item
    line: str
    tokens: int  # of the line and its break
    hour: int


class Packer:
    """Collects items until a token budget is reached; never goes over it.

    `count` may be any function that gives the same number for the same text. Items are admitted
    against the sum of their lines' counts, and the finished text is counted once more.
    """

    def __init__(self, budget: int, count: Counter, beliefs: Sequence[Belief] = ()) -> None:
        self.count = count
        self._budget = budget
        self._frame = _FRAME_TOKENS if count is count_tokens else count(OPEN + CLOSE)
        self._beliefs, self._closing = self._stated(beliefs, budget)
        self._used = self._frame + self._closing
        self._packed: dict[int, _Packed] = {}
        self._front: list[int] = []  # events that stay where a previous context had them
        self._continues = False
        self._hours: set[int] = set()  # that are headed behind the front
        self._seen: set[str] = set()
        self._left_out: dict[int, Omission] = {}

    def _stated(self, beliefs: Sequence[Belief], budget: int) -> tuple[tuple[Belief, ...], int]:
        """The best beliefs that a fair share of the budget holds, and the tokens they take."""
        taken: list[Belief] = []
        used = self.count(HELD) + 1
        for belief in beliefs:
            tokens = self.count(statement(belief)) + 1
            if used + tokens > min(budget - self._frame, budget * _BELIEFS_SHARE):
                break
            taken.append(belief)
            used += tokens
        return tuple(taken), used if taken else 0

    @property
    def left(self) -> int:
        return self._budget - self._used

    @property
    def omissions(self) -> tuple[Omission, ...]:
        """Matches that are not in, best first."""
        out = [o for seq, o in self._left_out.items() if seq not in self._packed]
        return tuple(sorted(out, key=lambda o: (-o.score, -o.seq)))

    def __contains__(self, seq: int) -> bool:
        return seq in self._packed

    def settled(self, seq: int) -> bool:
        """Whether nothing more of an event can come in."""
        packed = self._packed.get(seq)
        return packed is not None and (not packed.item.excerpt or seq in self._front)

    def offer(self, row: Row, hit: Hit, why: Why, explain: bool, part: Part | None = None) -> bool:
        """Take an event, or part of one, if it fits; note why not if it does not.

        A whole event takes the place of its excerpt.
        """
        item = _item(row, hit, why, explain, part)
        if row.tier == Tier.VERBATIM and not row.flags & BYTES and item.text in self._seen:
            self.omit(hit, why, "duplicate")
            return False
        packed = self._measured(item)
        needed = packed.tokens + self._heading(packed.hour)
        if row.seq in self._packed:
            needed -= self._packed[row.seq].tokens
        if needed > self.left:
            self.omit(hit, why, "over budget")
            return False
        self._hours.add(packed.hour)
        self._add(packed, needed)
        return True

    def omit(self, hit: Hit, why: Why, reason: Reason) -> None:
        """Note that a match is left out; the first reason stands."""
        if why == "match":
            self._left_out.setdefault(hit.seq, Omission(hit.seq, hit.score, reason))

    def part(self, row: Row, terms: Collection[int], tokens: int) -> Part | None:
        """The best sentences of an event, in at most so many tokens; None if half do not fit."""
        head = _item(row, Hit(row.seq, 0.0, {}), "match", False, Part((Quote(0, 0, ""),), True))
        packed = self._measured(head)
        room = min(tokens, self.left - packed.tokens - self._heading(packed.hour))
        if 2 * room < tokens:
            return None
        text = _text(row)
        spans, cut = excerpt(text, terms, room, self.count)
        quotes, at, done = [], 0, 0
        for start, end in spans:
            at += len(text[done:start].encode("utf-8", "surrogatepass"))
            size = len(text[start:end].encode("utf-8", "surrogatepass"))
            quotes.append(Quote(at, at + size, text[start:end]))
            at, done = at + size, end
        return Part(tuple(quotes), cut) if quotes else None

    def sizes(self, items: Sequence[Item]) -> list[int]:
        """Tokens that each of some items takes in front of all others, headings included."""
        found, hour = [], None
        for packed in map(self._measured, items):
            found.append(packed.tokens + (self._above(packed.hour) if packed.hour != hour else 0))
            hour = packed.hour
        return found

    def keep(self, items: Sequence[Item]) -> None:
        """Continue a context that began with these items, in this order."""
        self._continues = True
        for item, tokens in zip(items, self.sizes(items), strict=True):
            self._add(self._measured(item), tokens)
            self._front.append(item.seq)

    def finish(
        self,
        query: str,
        *,
        whole: bool = False,
        degraded: bool = False,
        partial: bool = False,
        confidence: float | None = None,
    ) -> Context:
        """The context: in the order of time, or what was kept and then what is new."""
        while True:
            order = self._order()
            text, tokens = self._render(order)
            if tokens <= self._budget or not order:
                break
            worst = min(order, key=lambda p: (p.item.score, p.item.seq)).item
            del self._packed[worst.seq]
            self._left_out[worst.seq] = Omission(worst.seq, worst.score, "over budget")
        return Context(
            query=query,
            text=text,
            tokens=tokens,
            token_budget=self._budget,
            items=tuple([packed.item for packed in order]),
            beliefs=self._beliefs,
            omissions=self.omissions,
            whole=whole,
            degraded=degraded,
            confidence=confidence,
            partial=partial,
        )

    def _order(self) -> list[_Packed]:
        """What is new goes by hours: the latest last or, behind a front, the one that says most.

        Models read the end of a long context better than its middle (Liu et al., Lost in the
        Middle, arXiv:2307.03172).
        """
        front = [self._packed[seq] for seq in self._front if seq in self._packed]
        rest = [packed for seq, packed in self._packed.items() if seq not in self._front]
        best: dict[int, float] = {}
        if self._continues:
            for packed in sorted(rest, key=lambda packed: packed.item.score):
                best[packed.hour] = packed.item.score
        rest.sort(key=lambda packed: (best.get(packed.hour, 0.0), packed.hour, packed.item.seq))
        return front + rest

    def _render(self, order: Sequence[_Packed]) -> tuple[str, int]:
        """The text of some items, and its count; the built-in counter adds up over lines."""
        if not order and not self._beliefs:
            return "", 0
        lines, tokens, hour = [], self._frame + self._closing, None
        for packed in order:
            if packed.hour != hour:
                hour = packed.hour
                lines.append(heading(hour))
                tokens += self._above(hour)
            lines.append(packed.line)
            tokens += packed.tokens
        if self._beliefs:  # last: models read the end best, and what is in front stays in front
            lines += [HELD, *map(statement, self._beliefs)]
        text = OPEN + "\n".join([*lines, CLOSE])
        return text, tokens if self.count is count_tokens else self.count(text)

    def _add(self, packed: _Packed, needed: int) -> None:
        self._used += needed
        self._packed[packed.item.seq] = packed
        self._seen.add(packed.item.text)

    def _measured(self, item: Item) -> _Packed:
        shown = line(item)
        return _Packed(item, shown, self.count(shown) + 1, int(item.at // 3600))

    def _heading(self, hour: int) -> int:
        return 0 if hour in self._hours else self._above(hour)

    def _above(self, hour: int) -> int:
        return _above(hour) if self.count is count_tokens else self.count(heading(hour)) + 1


@lru_cache(maxsize=4096)
def _above(hour: int) -> int:
    return count_tokens(heading(hour)) + 1


class Log(Protocol):
    """What packing needs to know of the events it may show."""

    def row(self, seq: int) -> Row | None: ...

    def sees(self, seq: int) -> bool: ...

    def tokens(self, seqs: Sequence[int]) -> list[int]: ...

    def around(self, seqs: Sequence[int]) -> list[tuple[int, int]]: ...


def pack_hits(
    packer: Packer,
    hits: Sequence[Hit],
    log: Log,
    query: str,
    explain: bool,
    previous: Context | None = None,
) -> None:
    """Most evidence for its tokens first; then, with what is left, the events around it."""
    units = offers(hits, log.tokens([hit.seq for hit in hits]), packer.left - SMALLEST_LINE)
    if previous is not None:
        items = _unchanged(previous, {hit.seq: hit for hit in hits}, log, explain)
        sizes = list(zip([item.seq for item in items], packer.sizes(items), strict=True))
        packer.keep(items[: spared(units, sizes, packer.left)])
    misses = 0
    for unit in units:
        if misses >= _MISSES:
            break
        least = unit.tokens // 2 if unit.excerpt else unit.tokens
        if least + SMALLEST_LINE > packer.left or packer.settled(unit.hit.seq):
            continue
        if unit.excerpt and unit.hit.seq in packer:
            continue
        row = log.row(unit.hit.seq)
        if row is None:
            continue  # evicted since it was ranked
        part = None
        if unit.excerpt:
            if row.tier != Tier.VERBATIM or row.flags & BYTES:
                continue
            part = packer.part(row, query_terms(query), unit.tokens)
            if part is None:
                continue
        misses = 0 if packer.offer(row, unit.hit, "match", explain, part) else misses + 1
    for hit in hits:
        if hit.seq not in packer:
            packer.omit(hit, "match", "over budget")
    if packer.left >= _LEAST_NEIGHBOUR:
        _neighbours(packer, [hit.seq for hit in hits if hit.seq in packer], log, explain)


def _neighbours(packer: Packer, taken: Sequence[int], log: Log, explain: bool) -> None:
    for seq, tokens in log.around(taken):
        if tokens + SMALLEST_LINE > packer.left or seq in packer:
            continue
        row = log.row(seq)
        if row is not None:
            packer.offer(row, Hit(seq, 0.0, {}), "neighbour", explain)


def _unchanged(previous: Context, hits: dict[int, Hit], log: Log, explain: bool) -> list[Item]:
    """The first items of a context that would be shown with the same bytes now."""
    same: list[Item] = []
    for old in previous.items:
        row = log.row(old.seq) if log.sees(old.seq) else None
        if row is None or row.tier != old.tier:
            break
        if old.excerpt and any(
            row.body[q.start : q.end] != q.text.encode("utf-8", "surrogatepass") for q in old.quotes
        ):
            break
        why: Why = "match" if old.seq in hits else "kept"
        hit = hits.get(old.seq, Hit(old.seq, 0.0, {}))
        item = _item(row, hit, why, explain, Part(old.quotes, old.cut) if old.excerpt else None)
        if item.at != old.at or line(item) != line(old):
            break
        same.append(item)
    return same


def _text(row: Row) -> str:
    """The text of an event that is kept whole."""
    body = row.body[: -row.extra] if row.extra else row.body
    return body.decode("utf-8", "surrogatepass")


def _item(row: Row, hit: Hit, why: Why, explain: bool, part: Part | None = None) -> Item:
    span, cut = (0, row.size), False
    quotes: tuple[Quote, ...] = ()
    if part is not None:
        quotes, cut = part
        text = " … ".join([quote.text for quote in quotes])
    elif row.flags & BYTES:
        text = f"({row.size} bytes of data)"
    elif row.tier == Tier.VERBATIM:
        text = _text(row)
    else:
        record = to_record(row)
        text, quotes = record.text, record.quotes
    if quotes:
        span = (quotes[0].start, quotes[-1].end)
    who = row.who
    return Item(
        row.seq, _TIERS[row.tier], text, span, who.speaker, row.at / 1e6, who.scope,
        hit.score, why, hit.parts if explain else {}, quotes, cut,
    )  # fmt: skip
