"""`holdfast bench retention`: every set, policy and budget; a run can be taken up again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import holdfast
from holdfast.bench.ceiling import lossless_share, zstd_share
from holdfast.bench.curves import summary
from holdfast.bench.pooled import Pool, pooled
from holdfast.bench.probe import machine
from holdfast.bench.retention import ORACLE, UNBOUNDED, default_policy, run_cell
from holdfast.bench.sets import JOINED, open_set
from holdfast.errors import BudgetError, NotFoundError
from holdfast.registry import known, resolve

Say = Callable[[str], None]
Cell = dict[str, Any]
SETS = (
    "conversations",
    "beam_100k",
    "beam_500k",
    "beam_1m",
    "realmem",
    "memorycode",
    "prefeval",
    "irc_ubuntu",
)
"""The sets of the standard table; LoCoMo and LongMemEval are in one memory, as conversations."""
BUDGETS = tuple(Fraction(1, 2**n) for n in range(5))
_CEILING = "ceiling"  # the task that is no policy: how small the stream can be made
_ROWS = ("stream_of", "values")  # of a cell, which no table needs


@dataclass(frozen=True, slots=True)
class Task:
    """One cell to be measured."""

    root: str
    set: str
    streams: int | None
    policy: str
    fraction: Fraction | None

    @property
    def file(self) -> str:
        """The name its result is kept under."""
        budget = "all" if self.fraction is None else str(self.fraction).replace("/", "-")
        streams = "" if self.streams is None else f"--{self.streams}"
        return re.sub(r"[^\w.=,:-]", "_", f"{self.set}{streams}--{self.policy}--{budget}") + ".json"


def run(
    root: str | Path,
    *,
    only: Sequence[str] = (),
    budgets: Sequence[Fraction] = BUDGETS,
    policies: Sequence[str] = (),
    streams: Mapping[str, int] | None = None,
    jobs: int = 2,
    resume: str | Path | None = None,
    progress: Say | None = None,
) -> dict[str, Any]:
    """Measure policies on pooled sets under equal budgets; the result is plain JSON.

    Parameters
    ----------
    root
        A folder of data sets, each in a folder of its own.
    only
        Names of sets; none: those of `SETS` that are there.
    budgets
        Shares of the raw bytes.
    policies
        Names from the registry, with or without options; none: every name, and the oracle. The
        default is always among them.
    streams
        By name of a set, or "" for all others: only the first so many of its streams.
    jobs
        Processes that measure at the same time; the processor time of each is its own.
    resume
        A folder for the result of each cell; what is there already is not measured again, whatever
        has changed since. Empty it for a fresh run.

    Raises
    ------
    UnknownNameError
        If no policy has that name.
    NotFoundError
        If a set, or every set, is missing.

    Notes
    -----
    Where the whole stream fits a budget no policy is ever asked, so one measurement stands for all.
    A cell whose budget cannot even hold what is not sealed yet is ``refused``.
    """
    default = default_policy()
    chosen = tuple(dict.fromkeys((default, *(policies or (*known("retention"), ORACLE)))))
    for policy in chosen:
        if policy != ORACLE:
            resolve("retention", policy)
    caps = streams or {}
    names = [name for name in only or SETS if only or _is_there(Path(root), name)]
    if missing := [name for name in names if not _is_there(Path(root), name)]:
        raise NotFoundError(f"there is no set {missing[0]!r} in {root}")
    if not names:
        raise NotFoundError(f"none of these sets is in {root}: {', '.join(SETS)}")
    folder = None if resume is None else Path(resume)

    def task(name: str, policy: str, fraction: Fraction | None) -> Task:
        return Task(str(root), name, caps.get(name, caps.get("")), policy, fraction)

    first = [
        task(name, policy, fraction)
        for name in names
        for policy, fraction in (
            (UNBOUNDED, None),
            (_CEILING, None),
            *((default, fraction) for fraction in budgets),
        )
    ]
    done = dict(_measured(first, folder, jobs, progress))
    rest = []
    for name in names:
        for fraction in budgets:
            whole = done[task(name, default, fraction)]
            for policy in chosen[1:]:
                if _is_lossless(whole):
                    done[task(name, policy, fraction)] = {**whole, "policy": policy}
                else:
                    rest.append(task(name, policy, fraction))
    done.update(_measured(rest, folder, jobs, progress))
    cells = [cell for one, cell in done.items() if one.policy != _CEILING]
    ceilings = {one.set: cell for one, cell in done.items() if one.policy == _CEILING}
    return {
        "benchmark": "retention",
        "version": holdfast.__version__,
        "machine": machine(),
        "default": default,
        "fractions": [str(fraction) for fraction in budgets],
        "sets": [_about(cell, ceilings) for cell in cells if cell["policy"] == UNBOUNDED],
        "summary": summary(cells, budgets, default),
        "results": [{k: v for k, v in cell.items() if k not in _ROWS} for cell in cells],
    }


def parse_fractions(text: str) -> tuple[Fraction, ...]:
    """Budgets written as "1,1/2,0.1", largest first.

    Examples
    --------
    >>> parse_fractions("1/8,1")
    (Fraction(1, 1), Fraction(1, 8))
    """
    try:
        found = sorted({Fraction(part.strip()) for part in text.split(",")}, reverse=True)
    except (ValueError, ZeroDivisionError):
        found = []
    if not found or not all(0 < fraction <= 1 for fraction in found):
        raise ValueError(f"budgets are shares of the raw bytes, over 0 and up to 1: {text!r}")
    return tuple(found)


def parse_policies(given: Sequence[str]) -> tuple[str, ...]:
    """Policies as they are named on a command line; nothing for "all".

    Examples
    --------
    >>> parse_policies(["oldest,random", "sink_window:n_sink=8"])
    ('oldest', 'random', 'sink_window:n_sink=8')
    """
    parts = [part for text in given for part in ([text] if ":" in text else text.split(","))]
    found = tuple(part.strip() for part in parts if part.strip())
    return () if "all" in found else found


def parse_streams(given: Sequence[str]) -> dict[str, int]:
    """How many streams of a set are fed: "5" for each, "beam_1m=2" for one.

    Examples
    --------
    >>> parse_streams(["5", "beam_1m=2"])
    {'': 5, 'beam_1m': 2}
    """
    found = {}
    for text in given:
        name, _, count = text.rpartition("=")
        if not count.isdecimal() or not int(count):
            raise ValueError(f"a cap on streams is a number, or SET=number: {text!r}")
        found[name] = int(count)
    return found


def _measured(
    tasks: Sequence[Task], folder: Path | None, jobs: int, progress: Say | None
) -> Iterator[tuple[Task, Cell]]:
    """Every task with its cell: those that are kept first, then the others as they are done."""
    missing = []
    for task in tasks:
        kept = None if folder is None else folder / task.file
        if kept is not None and kept.is_file():
            yield task, json.loads(kept.read_text("utf-8"))
        else:
            missing.append(task)
    for number, (task, cell) in enumerate(_done(missing, jobs), 1):
        if folder is not None:
            _keep(folder / task.file, cell)
        if progress:
            progress(f"{number} of {len(missing)}: {_line(task, cell)}")
        yield task, cell


def _done(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Cell]]:
    if jobs <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, measure(task)
        return
    # Fresh processes: a forked one would share the locks of whatever this one has open.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as workers:
        running = {workers.submit(measure, task): task for task in tasks}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        finally:
            workers.shutdown(wait=True, cancel_futures=True)


def measure(task: Task) -> Cell:
    """One cell; a budget that cannot hold what is not sealed yet is no error but its result."""
    pool = _pool(task.root, task.set, task.streams)
    if task.policy == _CEILING:
        return {"lossless": lossless_share(pool), "zstd": zstd_share(pool)}
    bare = task.policy == UNBOUNDED
    try:
        policy = default_policy() if bare else task.policy
        return run_cell(pool, policy, task.fraction, name=task.policy)
    except BudgetError as error:
        assert task.fraction is not None
        about = {"set": task.set, "policy": task.policy, "fraction": float(task.fraction)}
        return {**about, "refused": str(error)}


def _is_lossless(cell: Cell) -> bool:
    return "refused" not in cell and bool(cell["held"]["verbatim"] == cell["events"])


def _about(cell: Cell, ceilings: Mapping[str, Cell]) -> dict[str, Any]:
    """What there is to say of a set: its size, its unbounded figures, and how small it can be."""
    same = ("set", "unit", "streams", "events", "cut", "questions", "left_out", "raw_bytes")
    return {
        **{key: cell[key] for key in same},
        "metrics": cell["metrics"],
        "content": round(cell["content_bytes"] / cell["raw_bytes"], 4),
        **{name: round(value, 4) for name, value in ceilings[cell["set"]].items()},
    }


def _line(task: Task, cell: Cell) -> str:
    if task.policy == _CEILING:
        return f"{task.set}: keeps all in {cell['lossless']:.3f} of its bytes"
    budget = "" if task.fraction is None else f" {task.fraction}"
    if "refused" in cell:
        return f"{task.set} {task.policy}{budget}: {cell['refused']}"
    found = cell["metrics"]["coverage@10"]
    return f"{task.set} {task.policy}{budget}: {found:.3f} in {cell['seconds']} s"


def _keep(path: Path, cell: Cell) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(cell, allow_nan=False) + "\n", "utf-8")
    os.replace(beside, path)


@lru_cache(maxsize=1)
def _pool(root: str, name: str, streams: int | None) -> Pool:
    found = open_set(Path(root), name)
    assert found is not None
    return pooled(found.data, streams)


def _is_there(root: Path, name: str) -> bool:
    folders = [root / part for part in JOINED.get(name, (name,))]
    return all(
        any((folder / f"{kind}.jsonl.gz").is_file() for kind in ("turns", "pairs"))
        for folder in folders
    )
