"""`holdfast bench recall --all`: every standard set, every system, and what goes with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import holdfast
from holdfast.bench import abstention, crossover, prefix, recall, sets
from holdfast.bench.cells import Cell, Cells, with_values
from holdfast.bench.datasets import Dataset, to_event
from holdfast.bench.dense import DEFAULT_EMBEDDER, said
from holdfast.bench.probe import machine
from holdfast.bench.protocol import Setup
from holdfast.bench.recall import Say, asked_streams, prefixed
from holdfast.bench.sets import Found
from holdfast.bench.suite import (
    ABLATED,
    CASES,
    CROSSED,
    DONORS,
    FOLLOWED,
    FOREIGN,
    OWN_UNANSWERABLE,
    PEER,
    PEERED,
    PREFIXED,
    ROWS,
    Case,
    Row,
)
from holdfast.bench.systems import SYSTEMS, ContinuedHoldfast
from holdfast.bench.vectors import CachedEmbedder
from holdfast.errors import MissingExtraError, NotFoundError, UnknownNameError
from holdfast.recall.weights import KINDS, Weights
from holdfast.registry import resolve

_MADE = {**SYSTEMS, "continued": ContinuedHoldfast}


def run(
    root: str | Path,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    streams: int | None = None,
    peers: Sequence[str] = (),
    progress: Say | None = None,
) -> dict[str, Any]:
    """Measure everything; results are kept in `out` cell by cell, and a rerun takes them up.

    Parameters
    ----------
    root
        A folder of data sets, each in a folder of its own; one that is missing is left out.
    only
        Names of sets; none: all of them.
    streams
        Only the first so many streams of each set, for a quick look.
    peers
        Other memories whose rankings are added, where their environments are installed.

    Raises
    ------
    UnknownNameError
        If `only` names no standard set.
    NotFoundError
        If not one of the sets is there.

    Notes
    -----
    A cell is measured anew when its set, the protocol, or (for Holdfast) anything that recall
    depends on in this package has changed, weights included. Vectors come from a cache in `out`,
    so no latency here contains a model's time.
    """
    names = tuple(dict.fromkeys(case.set for case in CASES))
    if unknown := [name for name in only if name not in names]:
        raise UnknownNameError(f"no standard set {unknown[0]!r}; known: {', '.join(names)}")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    work = _Run(Path(root), folder, frozenset(only or names), streams, progress)
    if not any(work.open(name) for name in names if name in work.only):
        raise NotFoundError(f"none of these sets is in {root}: {', '.join(sorted(work.only))}")
    work.quality_cells()
    work.abstention_cells()
    work.ablation_cells()
    work.crossover_cells()
    work.prefix_cells()
    work.peer_cells(peers)
    work.cells.write()
    return work.cells.results()


@dataclass
class _Run:
    """One run: where things are, and what has been opened so far."""

    root: Path
    out: Path
    only: frozenset[str]
    streams: int | None
    progress: Say | None
    cells: Cells = field(init=False)

    def __post_init__(self) -> None:
        self.engine, self.protocol = sets.engine_digest(), sets.protocol_digest()
        about = {
            "benchmark": "recall --all",
            "version": holdfast.__version__,
            "engine": self.engine,
            "protocol": self.protocol,
            "streams": self.streams,
            "embedder": self.embedder.name if self.embedder else None,
            "machine": machine(),
        }
        self.cells = Cells(self.out / "results.json", about)
        self.open = lru_cache(maxsize=3)(self._open)
        self._missed: set[str] = set()

    @cached_property
    def embedder(self) -> CachedEmbedder | None:
        """MiniLM behind a cache on disk; None, and a line that says so, where it is missing."""
        try:
            return CachedEmbedder(self.out / "vectors", resolve("embedder", DEFAULT_EMBEDDER))
        except MissingExtraError as error:
            self._say(f"no rows with a model: {error}")
            return None

    # ---- the parts, in the order they run ---------------------------------------------------

    def quality_cells(self) -> None:
        for case, found in self._cases(CASES):
            for row in self._rows():
                self._quality(("recall", case.name, row.name), case, found, row, None)

    def ablation_cells(self) -> None:
        """Holdfast without one signal at a time; the rows with all of them are `quality`'s."""
        weights = Weights.default()
        alone = [row for row in self._rows(ours=True) if not row.model]
        counts = dict.fromkeys(itertools.chain(*(weights.tables[kind] for kind in KINDS[:2])))
        for case, found in self._cases(ABLATED):
            for row, name in itertools.product(alone, counts):
                key = ("ablation", case.name, row.name, name)
                self._quality(key, case, found, row, weights.without(name))

    def abstention_cells(self) -> None:
        for name in OWN_UNANSWERABLE:
            if found := self._found(name):
                self._abstention("own", name, found, abstention.own(found.data), "")
        for name in FOREIGN:
            if found := self._found(name):
                lender = None
                if len(found.data.streams) == 1:
                    lender = next((each for each in DONORS if self.open(each)), None)
                    if lender is None:
                        self._say(f"{name}: no other set to lend foreign questions")
                        continue
                donor = self.open(lender) if lender else None
                plan = abstention.foreign(found.data, donor.data if donor else None)
                self._abstention("foreign", name, found, plan, donor.digest if donor else "")

    def crossover_cells(self) -> None:
        for name in CROSSED:
            if found := self._found(name):
                row = ROWS[0]
                key = ("crossover", name, row.name)
                make = partial(crossover.measure, found.data, _MADE[row.system])
                self._cell(key, found, row, "crossover", make)

    def prefix_cells(self) -> None:
        for case, found in self._cases(PREFIXED):
            for row in FOLLOWED:
                wanted = case.wanted(found.data)
                key = ("prefix", case.name, row.name)
                make = partial(prefix.measure, found.data, wanted, _MADE[row.system])
                self._cell(key, found, row, "prefix", make)

    def peer_cells(self, names: Sequence[str]) -> None:
        if not names or self.embedder is None:
            return
        from holdfast.bench.peers import ranks

        ready = []
        for name in names:
            if skip := ranks.missing(name):
                self._say(f"peer {name} is left out: {skip}")
            else:
                ready.append(name)
        for case, found in self._cases(PEERED):
            for name in ready:
                make = partial(self._peer, name, case, found)
                conditions = {
                    **self._conditions(found, Row(name, name, model=True)),
                    "code": sets.module_digest(
                        "peers/ranks", "peers/runner", f"peers/drive_{name}"
                    ),
                }
                try:
                    self.cells.cell(("recall", case.name, f"{PEER}{name}"), conditions, make)
                except RuntimeError as error:  # what goes wrong in there is not ours to mend
                    self._say(f"{case.name}: {error}")

    # ---- one cell each ----------------------------------------------------------------------

    def _quality(
        self, key: tuple[str, ...], case: Case, found: Found, row: Row, weights: Any
    ) -> None:
        def make(setup: Callable[..., Setup], **common: Any) -> dict[str, Any]:
            wanted = case.wanted(found.data)
            given = partial(setup, unit=case.unit, options={"weights": weights} if weights else {})
            system = _MADE[row.system]
            tally = recall.measure(found.data, case.unit, system, given, wanted=wanted, **common)
            return {"set": case.set, "unit": case.unit, **with_values(tally)}

        self._cell(key, found, row, "", make, case.wanted(found.data))

    def _abstention(
        self, kind: str, name: str, found: Found, plan: abstention.Plan, lent: str
    ) -> None:
        if not plan:
            self._say(f"{name}: no stream has both kinds of {kind} questions")
        for row in self._rows():
            if plan and row.confident:
                make = partial(abstention.measure, found.data, plan, _MADE[row.system])
                texts = [q.text for asked in plan.values() for q in asked]
                key = ("abstention", f"{name}, {kind} questions", row.name)
                self._cell(key, found, row, f"abstention {lent}", make, texts=texts)

    def _peer(self, name: str, case: Case, found: Found) -> dict[str, Any]:
        from holdfast.bench.peers import ranks

        assert self.embedder is not None
        wanted = case.wanted(found.data)
        say = prefixed(self.progress, f"{case.name}, peer {name}: ")
        self._warm(found.data, wanted, (), say)
        tally, about = ranks.measure(
            name, found.data, wanted, self.embedder, streams=self.streams, progress=say
        )
        return {"set": case.set, "unit": case.unit, **about, **with_values(tally)}

    def _cell(
        self,
        key: tuple[str, ...],
        found: Found,
        row: Row,
        part: str,
        make: Callable[..., Mapping[str, Any]],
        wanted: recall.Wanted | None = None,
        texts: Sequence[str] = (),
    ) -> Cell:
        """A cell made by `make(setup, streams=…, progress=…)`, unless it is kept already."""
        say = prefixed(self.progress, f"{', '.join(key[1:])}{' ' + key[0] if part else ''}: ")

        def made() -> Mapping[str, Any]:
            if row.model:
                self._warm(found.data, wanted, texts, say)
            setup = partial(
                Setup,
                embedder=self.embedder if row.model else None,
                index_speaker=found.data.index_speaker,
            )
            return make(setup, streams=self.streams, progress=say)

        conditions = self._conditions(found, row)
        if part:
            conditions["code"] = f"{sets.module_digest(part.split()[0])} {part}"
        if key[0] == "ablation":
            conditions["without"] = key[-1]
        return self.cells.cell(key, conditions, made)

    def _conditions(self, found: Found, row: Row) -> dict[str, Any]:
        return {
            "version": holdfast.__version__,
            "engine": self.engine if row.ours else None,
            "protocol": self.protocol,
            "set": found.digest,
            "streams": self.streams,
            "embedder": self.embedder.name if row.model and self.embedder else None,
        }

    def _warm(
        self, data: Dataset, wanted: recall.Wanted | None, texts: Sequence[str], say: Say | None
    ) -> None:
        """Make every vector that will be asked for, so that no recall meets its deadline."""
        assert self.embedder is not None
        asked = wanted or (lambda query: True)
        every: list[str] = list(texts)
        for stream in asked_streams(data, asked, self.streams):
            queries = [query for query in data.queries[stream] if asked(query)]
            turns = data.streams[stream]
            last = max(len(turns) if query.at is None else query.at for query in queries)
            for event in map(to_event, turns[:last]):
                every += [event.text, said(event.speaker, event.text)]
            every += [query.text for query in queries]
        self.embedder.warm(every, say)

    def _rows(self, ours: bool = False) -> Iterator[Row]:
        for row in ROWS:
            if (row.ours or not ours) and (self.embedder or not row.model):
                yield row

    def _cases(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Found]]:
        for case in cases:
            if found := self._found(case.set):
                yield case, found

    def _found(self, name: str) -> Found | None:
        if name not in self.only:
            return None
        found = self.open(name)
        if found is None and name not in self._missed:
            self._missed.add(name)
            self._say(f"{name} is not in {self.root}: left out")
        return found

    def _open(self, name: str) -> Found | None:
        return sets.open_set(self.root, name)

    def _say(self, line: str) -> None:
        if self.progress:
            self.progress(line)
