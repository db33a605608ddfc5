"""What the meter says: shares, each with its interval and the number of trials behind it."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.fidelity.wilson import wilson


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share, its 95 % interval, and how many probes it rests on.

    With `n` 0 nothing was sampled: either it was counted, and the interval is the share itself, or
    there is nothing to tell, and it is all of [0, 1].
    """

    value: float
    low: float
    high: float
    n: int = 0

    @classmethod
    def of(cls, hits: float, n: int) -> Estimate:
        """The share of so many probes; 0 with no bounds if there are none."""
        return cls(hits / n if n else 0.0, *wilson(hits, n), n)

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A share that was counted."""
        return cls(value, value, value)

    def scaled(self, factor: float) -> Estimate:
        """The share of a part, as a share of a whole that the part is `factor` of."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor, self.n)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of what was observed, how much is kept at each tier, and how much is gone."""

    verbatim: Estimate
    gist: Estimate
    trace: Estimate
    lost: Estimate

    @property
    def kept(self) -> float:
        """The share that is kept at any tier."""
        return 1.0 - self.lost.value


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the stream, oldest first: its events and what became of them."""

    first: int
    last: int
    events: int
    shares: Shares
    found: Estimate


@dataclass(frozen=True, slots=True)
class Group:
    """The probes of one kind of event, or of one outermost scope."""

    name: str
    shares: Shares
    found: Estimate


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How much of what was ever observed can still be recalled.

    Shares are by worth, that is by how likely an event is to be what a later question is about;
    `events` has them with each event counted alike. `found` is the share of questions that bring
    back their event, at whatever tier, within `tokens`; `answered` the share where the very bytes
    that answer it are there.

    Attributes
    ----------
    since
        The first event that was looked at: an older file has none from before it was opened by a
        version that measures.
    observed
        Events from there on that are not erased.
    probes, asked
        How many there are, and how many of them were asked.
    shares, events
        Counted, and so without error; if a source is revoked, as the probes tell.
    sampled
        `shares` as the probes alone tell.
    ages, kinds, scopes
        By stretch of the stream, by kind of event, and by outermost scope (the largest).
    order
        Of pairs of probes, in how many the memory can still tell which came first.
    fresh
        Of beliefs that have changed, for how many the present value comes back before an older one.
    abstention
        The chance that a question which can be answered gets more confidence than one about
        something that is gone (or was not there yet); None where no confidence is told.
    regret
        The share of probes whose event was evicted. A real question that would have needed one
        leaves no trace, since reading writes nothing.
    """

    tokens: int
    since: int
    observed: int
    probes: int
    asked: int
    shares: Shares
    events: Shares
    sampled: Shares
    found: Estimate
    answered: Estimate
    ages: tuple[Span, ...]
    kinds: tuple[Group, ...]
    scopes: tuple[Group, ...]
    order: Estimate
    fresh: Estimate
    abstention: float | None
    regret: Estimate
