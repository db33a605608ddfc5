"""The meter: from probes, what became of them and what came back, to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from holdfast.fidelity.census import Census, shares_of
from holdfast.fidelity.freshness import freshness
from holdfast.fidelity.probe import Probe, digest_of
from holdfast.fidelity.replay import Asker, Outcome
from holdfast.fidelity.report import Estimate, Fidelity, Group, Shares, Span
from holdfast.mirror import Mirror
from holdfast.records import KINDS, Tier

AGES = 5
"""Stretches of the stream that a report tells apart."""
_SCOPES = 16  # that a report names
_MASKED = 64  # questions that are asked once more as if their event were not there
_ENOUGH = 20  # questions about what is gone, from which on that is not needed


class _Fate(NamedTuple):
    """A probe, the tier its event is kept at, and what came back; None if it was not asked."""

    probe: Probe
    tier: Tier
    outcome: Outcome | None


class Meter:
    """Replays the probes of a memory, some at a time, and reports what they tell.

    Parameters
    ----------
    most
        Probes that are asked at the most; None: all.
    """

    def __init__(self, mirror: Mirror, asker: Asker, most: int | None = None) -> None:
        self._mirror = mirror
        self._asker = asker
        self._most = most
        self.outcomes: dict[int, Outcome] = {}

    @property
    def tokens(self) -> int:
        """What each question may bring back."""
        return self._asker.tokens

    def chosen(self) -> list[Probe]:
        """The probes that are to be asked."""
        return [probe for probe in self._visible() if probe.query][: self._most]

    def found(self) -> Estimate:
        """The share of questions that bring back their event, as far as they were asked."""
        mirror = self._mirror
        sampled, probes = mirror.probes.now(), self._visible()
        with mirror.lock:
            fates = [self._fate(probe) for probe in probes]
            kept = self._kept(Census.of(mirror.columns, sampled.tally, mirror.next_seq - 1), fates)
        asked = [fate for fate in fates if fate.outcome is not None]
        return _back(asked, kept, lambda outcome: outcome.found)

    def step(self, probes: Iterable[Probe], progress: Callable[[int], None] | None = None) -> None:
        """Ask some of them."""
        for done, probe in enumerate(probes, 1):
            self.outcomes[probe.seq] = self._asker.ask(probe)
            if progress is not None:
                progress(done)

    def report(self) -> Fidelity:
        """What the probes asked so far, and a count of what is kept, say about the memory."""
        mirror = self._mirror
        sampled, probes = mirror.probes.now(), self._visible()
        with mirror.lock:
            census = Census.of(mirror.columns, sampled.tally, mirror.next_seq - 1)
            fates = [self._fate(probe) for probe in probes]
            kept = self._kept(census, fates)
            ages = tuple(self._ages(census, fates))
        asked = [fate for fate in fates if fate.outcome is not None]
        return Fidelity(
            tokens=self.tokens,
            since=sampled.tally.since,
            observed=int(census.events.sum()),
            probes=len(probes),
            asked=len(asked),
            shares=kept,
            events=shares_of(census.events.sum(axis=0)),
            sampled=_sampled(fates),
            found=_back(asked, kept, lambda outcome: outcome.found),
            answered=_back(asked, kept, lambda outcome: outcome.answered),
            ages=ages,
            kinds=tuple(_groups(fates, lambda probe: KINDS[probe.kind])),
            scopes=tuple(_groups(fates, lambda probe: probe.scope)),
            order=_order(fates),
            fresh=freshness(mirror, self._asker),
            abstention=self._abstention(asked),
            regret=_sampled(fates).lost,
        )

    def _kept(self, census: Census, fates: Sequence[_Fate]) -> Shares:
        """What is kept: counted, or where that would count what is hidden, as the probes tell."""
        revoked = self._mirror.state.revoked
        return _sampled(fates) if revoked else shares_of(census.worth.sum(axis=0))

    def _ages(self, census: Census, fates: Sequence[_Fate]) -> Iterator[Span]:
        asked = [fate for fate in fates if fate.outcome is not None]
        for run in census.quantiles(AGES):
            first, last = census.span(run)
            inside = [fate for fate in fates if first <= fate.probe.seq <= last]
            kept = self._kept(census.part(run), inside)
            events = int(census.events[slice(*run)].sum())
            back = _back(asked, kept, lambda outcome: outcome.found)
            yield Span(first, last, events, kept, back)

    def _visible(self) -> list[Probe]:
        """The probes of sources that nobody revoked, the lowest rank first."""
        revoked = {digest_of(source) for source in self._mirror.state.revoked}
        return [one for one in self._mirror.probes.now().probes if one.source not in revoked]

    def _fate(self, probe: Probe) -> _Fate:
        columns = self._mirror.columns
        row = columns.find(probe.seq)
        tier = Tier.EVICTED if row is None else Tier(int(columns.tier[row]))
        return _Fate(probe, tier, self.outcomes.get(probe.seq))

    def _abstention(self, asked: Sequence[_Fate]) -> float | None:
        """How well the confidence of an answer tells what can be answered from what cannot."""
        there = [_confidence(fate) for fate in asked if fate.tier < Tier.TRACE]
        gone = [_confidence(fate) for fate in asked if fate.tier == Tier.EVICTED]
        if len(gone) < _ENOUGH:
            newest = sorted((fate.probe for fate in asked), key=lambda probe: -probe.seq)
            later = newest[: max(1, len(newest) // 2)][:_MASKED]
            gone += [self._asker.ask(probe, before=True).confidence for probe in later]
        return area([one for one in there if one is not None], [o for o in gone if o is not None])


def _confidence(fate: _Fate) -> float | None:
    return None if fate.outcome is None else fate.outcome.confidence


def _sampled(fates: Sequence[_Fate]) -> Shares:
    """What became of the events of some probes, with intervals."""
    count = Counter(fate.tier for fate in fates)
    return Shares(*(Estimate.of(count[tier], len(fates)) for tier in Tier))


def _back(asked: Sequence[_Fate], kept: Shares, how: Callable[[Outcome], bool]) -> Estimate:
    """The share of questions that bring something back.

    Nothing brings back what is lost; so only how often kept events come back is left to the probes.
    """
    held = [fate.outcome for fate in asked if fate.tier != Tier.EVICTED]
    hits = sum(how(outcome) for outcome in held if outcome is not None)
    return Estimate.of(hits, len(held)).scaled(kept.kept)


def _groups(fates: Sequence[_Fate], key: Callable[[Probe], str]) -> list[Group]:
    """The largest groups of probes, the largest first."""
    count = Counter(key(fate.probe) for fate in fates)
    groups = []
    for name, _ in count.most_common(_SCOPES):
        inside = [fate for fate in fates if key(fate.probe) == name]
        kept = _sampled(inside)
        asked = [fate for fate in inside if fate.outcome is not None]
        groups.append(Group(name, kept, _back(asked, kept, lambda outcome: outcome.found)))
    return groups


def _order(fates: Sequence[_Fate]) -> Estimate:
    """Of pairs of events, the share that the memory can still put in order: it must know both.

    References
    ----------
    Assessing Episodic Memory in LLMs with Sequence Order Recall Tasks, arXiv:2410.08133
    """
    half = len(fates) // 2
    pairs = list(zip(fates[:half], fates[half : 2 * half], strict=True))
    known = sum(Tier.EVICTED not in (one.tier, other.tier) for one, other in pairs)
    return Estimate.of(known, len(pairs))


def area(high: Sequence[float], low: Sequence[float]) -> float | None:
    """The chance that one of `high` is over one of `low`, ties by half; None if either is empty.

    Examples
    --------
    >>> area([3.0, 2.0], [1.0, 2.0])
    0.875
    """
    if not high or not low:
        return None
    wins = sum((a > b) + 0.5 * (a == b) for a in high for b in low)
    return wins / (len(high) * len(low))
