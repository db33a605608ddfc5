"""The values that cross Holdfast's boundaries: all frozen, none with behaviour of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Literal

from holdfast.state.records import Belief, Change

Kind = Literal["message", "tool_call", "tool_result", "observation", "note", "state"]
KINDS: tuple[Kind, ...] = (
    "message", "tool_call", "tool_result", "observation", "note", "state",
)  # fmt: skip
"""What an event can be. "state" events say how state was changed; only Holdfast makes them."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _empty() -> Mapping[str, Any]:
    return _EMPTY


class Tier(IntEnum):
    """How much of an event is kept. Time moves an event down this ladder, never up."""

    VERBATIM = 0  # every byte
    GIST = 1  # its most informative spans, as exact quotes
    TRACE = 2  # when, who, and a few key terms
    EVICTED = 3  # nothing but a count in the ledger


@dataclass(frozen=True, slots=True)
class Event:
    """One immutable thing that happened.

    Parameters
    ----------
    content
        Text, or bytes for anything else. From 1 byte (UTF-8) to 16 MiB.
    speaker, role, channel
        Who said it, in what role ("user", "assistant", "tool"), and where it came from.
    kind
        One of `KINDS`.
    at
        When it happened, POSIX seconds (UTC). None: the moment it is recorded.
    scope
        The address that bounds visibility, as a path: ``"user/ana/session/3"``.
    metadata
        Anything JSON can hold; kept, never interpreted.
    key
        Idempotency key: the same key with the same body is one event.
    parents
        Sequence numbers of the events this one answers or follows from.
    pinned
        A pinned event is never demoted; it counts against the budget all the same.
    """

    content: str | bytes
    speaker: str | None = None
    role: str | None = None
    channel: str | None = None
    kind: Kind = "message"
    at: float | None = None
    scope: str = ""
    metadata: Mapping[str, Any] = field(default_factory=_empty)
    key: str | None = None
    parents: tuple[int, ...] = ()
    pinned: bool = False

    @property
    def text(self) -> str:
        """The content if it is text, else an empty string."""
        return self.content if isinstance(self.content, str) else ""


@dataclass(frozen=True, slots=True)
class Quote:
    """An exact run of an event's content: ``content[start:end]``, in UTF-8 bytes."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """What the log keeps of one event, at its present tier.

    ``event.content`` is whole at tier VERBATIM and empty below it; then `quotes` (GIST) or
    `terms` (TRACE) hold what is left, and `size` and `digest` still describe the whole.
    """

    seq: int
    event: Event
    recorded_at: float
    tier: Tier
    size: int  # bytes of the original content
    digest: bytes  # BLAKE2b-64 of the original content
    quotes: tuple[Quote, ...] = ()
    terms: tuple[str, ...] = ()
    episode: int = 0

    @property
    def text(self) -> str:
        """What can still be read: the text, its quotes joined by an ellipsis, or key terms."""
        if self.tier == Tier.VERBATIM:
            return self.event.text
        if self.tier == Tier.GIST:
            return " … ".join(quote.text for quote in self.quotes)
        return " ".join(self.terms)


@dataclass(frozen=True, slots=True)
class Episode:
    """A contiguous run of events in one scope."""

    id: int
    scope: str
    first: int
    last: int
    started_at: float
    ended_at: float
    events: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that one event is stored. Built from what the commit did, never from intent.

    `changes` is what it did to beliefs and the rest of state, superseded ones named.
    `durable` is False only in the named weaker durability modes. `demoted` and `evicted` count
    the older events that made room in the same commit (shared by all events committed together).
    """

    seq: int
    recorded_at: float
    episode: int
    tokens: int
    durable: bool
    findable: bool
    demoted: int = 0
    evicted: int = 0
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class BulkReceipt:
    """What a bulk write did: how many events, between which sequence numbers."""

    events: int
    duplicates: int
    first: int
    last: int
    demoted: int
    evicted: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One event that matches a query. `parts` add up to `score`."""

    seq: int
    score: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ScopeHit:
    """One scope that matched a query; `seqs` are its best events, `parts` add up to `score`."""

    scope: str
    score: float
    seqs: tuple[int, ...]
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a context: a byte-exact quote, or a gist or trace that says it is one.

    `quotes` says which bytes `text` is made of where it is not all of them: at tier GIST, and for
    an excerpt of an event that is too long to be shown whole. `cut` says that an excerpt breaks
    off inside a sentence. `why` is "kept" if it is shown only to continue a previous context.
    """

    seq: int
    tier: Tier
    text: str
    span: tuple[int, int]  # bytes of the original content that `text` covers, first to last
    speaker: str | None
    at: float
    scope: str
    score: float
    why: Literal["match", "neighbour", "kept"]
    parts: Mapping[str, float] = field(default_factory=_empty)
    quotes: tuple[Quote, ...] = ()
    cut: bool = False

    @property
    def excerpt(self) -> bool:
        """Whether the event is kept whole and shown in part."""
        return self.tier == Tier.VERBATIM and bool(self.quotes)

    @property
    def citation(self) -> str:
        """Where it comes from: ``e<sequence>[<first byte>:<end>]``, with a comma between quotes."""
        spans = [(quote.start, quote.end) for quote in self.quotes] or [self.span]
        return f"e{self.seq}[{','.join(f'{start}:{end}' for start, end in spans)}]"


@dataclass(frozen=True, slots=True)
class Omission:
    """A match that is not in the context, and why."""

    seq: int
    score: float
    reason: Literal["over budget", "duplicate"]


@dataclass(frozen=True, slots=True)
class Context:
    """The ordered, token-bounded answer to a query.

    `text` is what a model should be given, envelope included; `tokens` counts exactly that
    string and never exceeds `token_budget`. `items` are in the order of `text`; `whole` says
    that everything visible fitted, so nothing was ranked away. `degraded` says that the embedder
    did not answer in time and recall was lexical; `partial` that some vectors are not made yet.
    `confidence` is the chance, as measured over public questions, that the memory holds an answer;
    None where nothing was ranked, since everything is here. `beliefs` are what the memory holds to
    be true on the matter. `lost` counts the events of an `as_of` that are no longer whole: what was
    known then may have been more than this.
    """

    query: str
    text: str
    tokens: int
    token_budget: int
    items: tuple[Item, ...]
    omissions: tuple[Omission, ...] = ()
    whole: bool = False
    degraded: bool = False
    partial: bool = False
    confidence: float | None = None
    beliefs: tuple[Belief, ...] = ()
    lost: int = 0

    @property
    def ranked(self) -> tuple[Item, ...]:
        """The items, best first."""
        return tuple(sorted(self.items, key=lambda item: (-item.score, -item.seq)))


@dataclass(frozen=True, slots=True)
class Usage:
    """Where the bytes are. `disk` is what the system reports; it never exceeds `budget`."""

    budget: int
    disk: int
    database: int
    wal: int
    shm: int
    free: int  # bytes inside the database that new events can take
    log: int
    index: int
    vectors: int
    ledger: int
    state: int  # the journal of beliefs, documents and the rest
    audit: int  # hashes of what is gone, keys of salts, checkpoints
    snapshots: int  # in files of their own, beside the budget
    events: Mapping[str, int]  # by tier name; evicted, erased and withdrawn ones included
    episodes: int


@dataclass(frozen=True, slots=True)
class Scope:
    """A parsed scope path; hides nothing, just normalises and compares."""

    path: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.strip("/"))

    def covers(self, other: str) -> bool:
        """Whether `other` is this scope or lies inside it."""
        return not self.path or other == self.path or other.startswith(self.path + "/")
