"""Entries of the ledger: how they are added up, and as bytes and back."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from holdfast.errors import CorruptStoreError
from holdfast.ledger.records import ACTIONS, Loss, LossTotals, Move
from holdfast.records import Tier

_FIELDS = tuple(field.name for field in fields(Loss))
_MOST_SCOPES, _SCOPE_BYTES = 3, 120  # that one entry names, and all their names together
Moves = Counter[tuple[int, int]]


@dataclass(frozen=True)
class Totals:
    """What was ever lost. `before` was, by then, when there was no ledger yet."""

    events: Moves = field(default_factory=Counter)  # by tier before and after
    nbytes: Moves = field(default_factory=Counter)
    merged: int = 0
    erased: int = 0
    before: int = 0

    @property
    def evicted(self) -> int:
        """Events that retention let go of."""
        gone = (n for (_, after), n in self.events.items() if after == Tier.EVICTED)
        return self.before + sum(gone)

    @property
    def lowered(self) -> int:
        """Events that are not whole any more by retention's doing, or were not when they went."""
        first = (n for (before, _), n in self.events.items() if before == Tier.VERBATIM)
        return self.before + sum(first)

    def public(self, gone: int) -> LossTotals:
        """As callers see it; `gone` events of all are not kept."""
        moves = tuple(
            Move(Tier(before), Tier(after), n, self.nbytes[before, after])
            for (before, after), n in sorted(self.events.items())
        )
        withdrawn = max(0, gone - self.evicted - self.erased)
        return LossTotals(moves, self.evicted, self.merged, self.erased, withdrawn)


def add(one: Loss, other: Loss) -> Loss:
    """Two losses of one kind as one; `other` is the later."""
    scopes = Counter(one.scopes)
    scopes.update(other.scopes)
    few, rest = named(scopes)
    scores = [pair for pair in (one.scores, other.scores) if pair is not None]
    return Loss(
        action=one.action,
        policy=one.policy,
        at=one.at,
        until=other.until,
        write=other.write,
        times=one.times + other.times,
        events=one.events + other.events,
        nbytes=one.nbytes + other.nbytes,
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        oldest=min(one.oldest, other.oldest),
        newest=max(one.newest, other.newest),
        scopes=few,
        elsewhere=one.elsewhere + other.elsewhere + rest,
        scores=(min(s[0] for s in scores), max(s[1] for s in scores)) if scores else None,
    )


def named(scopes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """The few scopes that most lay in, and how many lay in others."""
    few: dict[str, int] = {}
    room = _SCOPE_BYTES
    for scope, n in sorted(scopes.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_SCOPES]:
        room -= len(scope.encode("utf-8", "surrogatepass"))
        if room < 0:
            break
        few[scope] = n
    return few, sum(scopes.values()) - sum(few.values())


def coarser(losses: Sequence[Loss], fits: Callable[[Sequence[Loss]], bool]) -> list[Loss]:
    """Losses in order, neighbours of one kind added up in pairs until all of it `fits`, or one of
    each kind is left."""
    found = list(losses)
    while not fits(found):
        fewer: list[Loss] = []
        waiting: dict[tuple[str, str], int] = {}  # by kind: where one waits for its neighbour
        for loss in found:
            kind = loss.action, loss.policy
            if kind in waiting:
                at = waiting.pop(kind)
                fewer[at] = add(fewer[at], loss)
            else:
                waiting[kind] = len(fewer)
                fewer.append(loss)
        if len(fewer) == len(found):
            break
        found = fewer
    return found


def encode(losses: Sequence[Loss], totals: Totals) -> bytes:
    """A page of the ledger: its losses, and what was ever lost by then."""
    lines = [
        [
            ACTIONS.index(loss.action), loss.policy, loss.at, loss.until, loss.write, loss.times,
            loss.events, loss.nbytes, loss.first, loss.last, loss.oldest, loss.newest,
            dict(loss.scopes), loss.elsewhere, loss.scores or 0,
        ]
        for loss in losses
    ]  # fmt: skip
    moves = [[*move, n, totals.nbytes[move]] for move, n in sorted(totals.events.items())]
    page = {"l": lines, "m": moves, "t": [totals.merged, totals.erased, totals.before]}
    text = json.dumps(page, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes, id: int) -> tuple[list[Loss], Totals]:
    """The inverse of `encode`; raises `CorruptStoreError` if it is damaged."""
    try:
        page: dict[str, Any] = json.loads(data.decode("utf-8", "surrogatepass"))
        losses = [_decoded(dict(zip(_FIELDS, line, strict=True))) for line in page["l"]]
        events: Moves = Counter({(a, b): n for a, b, n, _ in page["m"]})
        nbytes: Moves = Counter({(a, b): n for a, b, _, n in page["m"]})
        return losses, Totals(events, nbytes, *page["t"])
    except (ValueError, LookupError, TypeError) as error:
        raise CorruptStoreError(f"page {id} of the ledger cannot be read: {error}") from None


def _decoded(line: dict[str, Any]) -> Loss:
    scores = line.pop("scores")
    return Loss(**line | {
        "action": ACTIONS[line["action"]], "scores": tuple(scores) if scores else None
    })  # fmt: skip


def bounds(scores: Sequence[float]) -> tuple[float, float] | None:
    """The least and the most of some scores; None if there is none."""
    found = [score for score in scores if math.isfinite(score)]
    return (min(found), max(found)) if found else None
