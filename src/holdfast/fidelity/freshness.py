"""Whether what holds now comes back before what it replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.fidelity.replay import Asker
from holdfast.fidelity.report import Estimate
from holdfast.mirror import Mirror
from holdfast.records import Context
from holdfast.state.records import Belief

MOST = 64
"""Beliefs that are asked about: those that changed last."""


def freshness(mirror: Mirror, asker: Asker) -> Estimate:
    """Of beliefs that replaced another value, the share that comes back before the one replaced.

    Each is asked for by its subject and predicate, in its scope, through the normal read path. What
    brings back neither counts as a miss.
    """
    with mirror.lock:
        changed = sorted(_changed(mirror), key=lambda pair: -pair[0].recorded_at)[:MOST]
    hits = 0
    for now, before in changed:
        words = f"{now.subject} {now.predicate.replace('_', ' ')}"
        hits += is_fresh(asker.recall(words, now.scope), now, before)
    return Estimate.of(hits, len(changed))


def _changed(mirror: Mirror) -> Iterator[tuple[Belief, list[Belief]]]:
    """Beliefs that hold now, with those they replaced."""
    for slot, said in mirror.state.statements():
        if len(said) < 2:
            continue
        beliefs = mirror.state.of(slot)
        held = [one for one in beliefs if one.current and one.superseded_by is None]
        if len(held) == 1:
            now = held[0]
            before = [one for one in beliefs if one.superseded_by and one.value != now.value]
            if before:
                yield now, before


def is_fresh(context: Context, now: Belief, before: Sequence[Belief]) -> bool:
    """Whether a context has a belief, or what it rests on, before what another rested on."""
    if any(one.id == now.id for one in context.beliefs):
        return True
    new = {piece.seq for piece in now.evidence}
    old = {piece.seq for belief in before for piece in belief.evidence} - new
    first = next((item.seq for item in context.ranked if item.seq in new | old), None)
    return first in new
