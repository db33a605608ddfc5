"""Retention policies under equal budgets: one memory for all streams of a set, asked as it fills.

`run_cell` is one set, one policy, one budget; `holdfast.bench.grid` runs many of them.
"""

from __future__ import annotations

import inspect
import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.bench import scorers
from holdfast.bench.budgets import bytes_in_use, file_budget, make_file
from holdfast.bench.material import real_events
from holdfast.bench.oracle import Oracle
from holdfast.bench.pooled import Asked, Pool, event_of
from holdfast.bench.probe import watching
from holdfast.checks.faults import BudgetVFS
from holdfast.records import Tier
from holdfast.registry import resolve
from holdfast.retention.base import Policy
from holdfast.stores.space import SMALLEST_BUDGET

if TYPE_CHECKING:
    from holdfast import Memory

COVERAGE, WHOLE, BUDGETED = "coverage@10", "whole@10", "budgeted@1000"
_NAMED = {tier.name.lower(): tier for tier in Tier}
SURVIVAL = tuple(_NAMED)  # what can have become of evidence
METRICS = (COVERAGE, WHOLE, BUDGETED, *SURVIVAL)
ORACLE, UNBOUNDED = "oracle", "unbounded"
_TOP, _TOKENS = 10, 1_000
_TOLD = 5  # first hits of an answer that count as used
_AMPLE = 2  # times the raw bytes is no bound: short lines alone take as much as they have
_POLL_S = 0.001
_DAY_S = 86_400.0


def default_policy() -> str:
    """The policy of a memory that is told nothing else."""
    from holdfast import Memory

    return str(inspect.signature(Memory.open).parameters["retention"].default)


def run_cell(
    pool: Pool, policy: str | Policy, fraction: Fraction | float | None, name: str | None = None
) -> dict[str, Any]:
    """Feed a pool to one memory, asking each question when its turn comes; the result is JSON.

    Parameters
    ----------
    policy
        A policy, a name from the registry with or without options, or "oracle".
    fraction
        The budget, as a share of the raw bytes fed; None: twice as many, which no set comes near.
    name
        What the policy is called in the result; by default as it is given.

    Notes
    -----
    A question sees its own stream alone. ``coverage@10``: share of what is right that is among the
    first ten found, at whatever tier it is kept; ``whole@10``: only what is kept byte for byte
    counts (where turns are ranked); ``budgeted@1000``: share of the right turns that are wholly
    in a context of 1,000 tokens. ``verbatim`` to ``evicted``: what has become of the evidence when
    it is asked for. The cost of writing is the processor time of the writing thread, less what
    watching the budget takes. An answer's first five hits are told to the memory as used, whether
    right or not; not any more once everything is fed, as nothing is evicted then.
    """
    _warm_up()
    size = pool.raw_bytes
    budget = file_budget(int(size * (_AMPLE if fraction is None else fraction)))
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder) / "bench.holdfast"
        make_file(path, budget)
        with _WatchedVFS(path, budget.file) as vfs, watching(path, _POLL_S) as polled:
            lab = _Lab.open(pool, policy, path, vfs)
            try:
                lab.run()
                held = lab.held()
                assert fraction or held["verbatim"] == len(pool.turns), "there was a bound"
            finally:
                lab.memory.close()
    return {
        "set": pool.name,
        "unit": pool.unit,
        "policy": name or str(policy),
        "fraction": None if fraction is None else float(fraction),
        "streams": len(pool.streams),
        "events": len(pool.turns),
        "cut": pool.cut,
        "questions": len(pool.asked),
        "left_out": pool.left_out,
        "raw_bytes": size,
        "payload_bytes": None if fraction is None else budget.payload,
        "file_budget_bytes": budget.file,
        "ballast_bytes": budget.ballast,
        "content_bytes": lab.content_bytes,
        "most_content_bytes": lab.most_content_bytes,
        "metrics": {metric: round(v, 6) for metric, v in scorers.mean(lab.rows).items()},
        "cpu_us_per_event": round(1e6 * lab.cpu_s / len(pool.turns), 1),
        "events_per_s": round(len(pool.turns) / lab.wall_s),
        "held": held,
        "watch": {
            "violations": len(vfs.violations) + (polled[0] > budget.file),
            "most_bytes": max(vfs.peak, polled[0]),
            "checks": vfs.checks,
        },
        "seconds": round(time.perf_counter() - begun, 2),
        "stream_of": [pool.streams.index(one.query.stream) for one in pool.asked],
        "values": {
            metric: [round(row[metric], 4) if metric in row else None for row in lab.rows]
            for metric in METRICS
        },
    }


@lru_cache(maxsize=1)
def _warm_up() -> None:
    """Load and run once what the first cell of a process would be charged for."""
    from holdfast import Memory

    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder) / "warm.holdfast"
        with Memory.open(path, SMALLEST_BUDGET, extractor=None, durability="off") as memory:
            memory.observe_many(real_events(limit=1_000))


class _WatchedVFS(BudgetVFS):
    """Adds up the processor time that looking takes, so that no policy is charged for it."""

    looking_s = 0.0

    def measure(self, why: str = "asked") -> int:
        begun = time.thread_time()
        total = super().measure(why)
        self.looking_s += time.thread_time() - begun
        return total


@dataclass
class _Lab:
    """One memory under test: what it was fed, what that cost, and how it answered."""

    pool: Pool
    memory: Memory
    vfs: _WatchedVFS
    oracle: Oracle | None
    bare_bytes: int  # in use before the first event
    content_bytes: int = 0  # in use for what came since
    most_content_bytes: int = 0
    seqs: list[int] = field(default_factory=list)  # of each turn that is in
    places: dict[int, int] = field(default_factory=dict)  # and the turn of each of those
    rows: list[dict[str, float]] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @classmethod
    def open(cls, pool: Pool, policy: str | Policy, path: Path, vfs: _WatchedVFS) -> _Lab:
        from holdfast import Memory

        oracle = Oracle.of(pool) if policy == ORACLE else None
        if isinstance(policy, str):
            policy = oracle or resolve("retention", policy)
        latest = max((turn.at for turn in pool.turns if turn.at is not None), default=0.0)
        clock = partial(next, itertools.count(latest + _DAY_S, 0.001))  # every run replays
        memory = Memory.open(
            path,
            retention=policy,
            extractor=None,
            durability="off",
            clock=clock,
            vfs=vfs.name,
        )
        places = oracle.places if oracle else {}
        return cls(pool, memory, vfs, oracle, bytes_in_use(memory), places=places)

    def run(self) -> None:
        for one in self.pool.asked:
            self._feed(one.after)
            self.rows.append(self._ask(one))
            if self.oracle:
                self.oracle.answered(one)
        self._feed(len(self.pool.turns))

    def _feed(self, upto: int) -> None:
        start = len(self.seqs)
        if upto <= start:
            return
        events = [event_of(turn) for turn in self.pool.turns[start:upto]]
        first = self.memory._mirror.next_seq  # told ahead: some may be judged before all are in
        self.seqs.extend(range(first, first + len(events)))
        self.places.update(zip(self.seqs[start:], range(start, upto), strict=True))
        looked_s, cpu_s, wall_s = self.vfs.looking_s, time.thread_time(), time.perf_counter()
        receipt = self.memory.observe_many(events, self._weigh)
        self.wall_s += time.perf_counter() - wall_s
        self.cpu_s += time.thread_time() - cpu_s - (self.vfs.looking_s - looked_s)
        assert (receipt.first, receipt.last) == (first, first + len(events) - 1)

    def _weigh(self, _done: int) -> None:
        begun = time.thread_time()
        self.content_bytes = bytes_in_use(self.memory) - self.bare_bytes
        self.most_content_bytes = max(self.most_content_bytes, self.content_bytes)
        self.vfs.looking_s += time.thread_time() - begun

    def _ask(self, one: Asked) -> dict[str, float]:
        query, right = one.query, one.query.targets(self.pool.unit)
        tiers = self._tiers([self.seqs[place] for place in one.evidence])
        row = {name: tiers.count(tier) / len(tiers) for name, tier in _NAMED.items()}
        if self.pool.unit == "turn":
            seqs = [hit.seq for hit in self.memory.rank(query.text, limit=_TOP, scope=query.stream)]
            found = scorers.merge_equal(self._ids(seqs), right.equal)
            row[COVERAGE] = scorers.coverage_at(found, right.gold, _TOP)
            kept = zip(found, self._tiers(seqs), strict=True)
            whole = [id for id, tier in kept if tier == Tier.VERBATIM]
            row[WHOLE] = scorers.coverage_at(whole, right.gold, _TOP)
        else:
            hits = self.memory.rank_scopes(query.text, limit=_TOP, scope=query.stream)
            seqs = [hit.seqs[0] for hit in hits]
            sessions = [hit.scope.removeprefix(f"{query.stream}/") for hit in hits]
            row[COVERAGE] = scorers.coverage_at(sessions, right.gold, _TOP)
        if query.turns.gold:
            answer = self.memory.recall(query.text, tokens=_TOKENS, scope=query.stream)
            held = [item.seq for item in answer.items if item.text == self._text(item.seq)]
            found = scorers.merge_equal(self._ids(sorted(held)), query.turns.equal)
            row[BUDGETED] = scorers.coverage_at(found, query.turns.gold, len(found))
        if len(self.seqs) < len(self.pool.turns):
            self.memory.used_events(seqs[:_TOLD])
        return row

    def held(self) -> dict[str, int]:
        """How many events are kept at each tier, but for the one that was there before."""
        events = self.memory.usage().events
        held = {tier: events[tier] for tier in SURVIVAL}
        (founder,) = self._tiers([1])
        held[founder.name.lower()] -= 1
        return held

    def _ids(self, seqs: Sequence[int]) -> list[str]:
        return [self.pool.turns[self.places[seq]].id for seq in seqs]

    def _text(self, seq: int) -> str:
        return self.pool.turns[self.places[seq]].shown or " "

    def _tiers(self, seqs: Sequence[int]) -> list[Tier]:
        """The tier each event is kept at."""
        columns = self.memory._mirror.columns
        rows = [columns.find(seq) for seq in seqs]
        return [Tier.EVICTED if row is None else Tier(int(columns.tier[row])) for row in rows]
