"""What a memory must still hold after something went wrong, and workloads to go wrong in."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.checks.faults import RecordingVFS
from holdfast.errors import HoldfastError
from holdfast.memory import Memory
from holdfast.records import Event, Record, Tier

SMALLEST = 640 * 1024
_WORDS = [f"w{n:x}" for n in range(4000)]


def text(i: int, nbytes: int = 120) -> str:
    """The i-th text: always the same, hardly compressible, findable by its number."""
    rng = random.Random(i)
    words = [f"number{i} é"]
    size = len(words[0])
    while size < nbytes:
        words.append(rng.choice(_WORDS) + rng.choice(("", "", ".")))
        size += len(words[-1]) + 1
    return " ".join(words)


def event(i: int) -> Event:
    """The i-th event of a varied stream: scopes, bytes, keys, now and then a large one."""
    content: str | bytes = text(i, 2000 if i % 13 == 0 else 120)
    if i % 11 == 0:
        content = random.Random(i).randbytes(700)
    key = f"key-{i}" if i % 3 == 0 else None
    return Event(content, speaker=f"s{i % 4}", scope=f"session/{i // 20}", key=key, at=float(i))


def open_memory(path: Path, vfs: str | None = None, budget: int | None = SMALLEST) -> Memory:
    return Memory.open(path, budget=budget, embedder=None, vfs=vfs)


def content_of(record: Record) -> str | bytes:
    return record.event.content


def raw(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def wrong(record: Record, truth: Mapping[int, str | bytes]) -> str:
    """How a record differs from what was written under its number; empty if it does not."""
    if record.seq not in truth:
        return f"event {record.seq} was never written"
    content = truth[record.seq]
    if record.size != len(raw(content)):
        return f"event {record.seq} says {record.size} bytes instead of {len(raw(content))}"
    if record.tier == Tier.VERBATIM and content_of(record) != content:
        return f"event {record.seq} differs"
    for quote in record.quotes:
        if raw(content)[quote.start : quote.end] != raw(quote.text):
            return f"event {record.seq} misquotes {quote.start}:{quote.end}"
    return ""


def tiers(memory: Memory) -> dict[int, int]:
    return {record.seq: int(record.tier) for record in memory.log()}


@dataclass
class History:
    """What a recorded run wrote, and what was held after each acknowledged step."""

    truth: dict[int, str | bytes]
    held: list[dict[int, int]]  # tiers after step k


Truth = dict[int, str | bytes]
Step = Callable[[Memory, Truth], Memory]


def record(
    vfs: RecordingVFS,
    path: Path,
    steps: Iterable[Step],
    budget: int = SMALLEST,
    truth: Truth | None = None,
) -> History:
    """Run `steps`; mark k before the k-th one and -k once it is acknowledged.

    `truth` is what a memory that is there already was told.
    """
    memory = open_memory(path, vfs.name, budget)
    history = History(truth or {}, [tiers(memory)])
    for k, step in enumerate(steps, 1):
        vfs.mark(k)
        memory = step(memory, history.truth)
        vfs.mark(-k)
        history.held.append(tiers(memory))
    memory.close()
    return history


def damage(path: Path, history: History, marks: tuple[object, ...]) -> str:
    """What a crash did to the memory that it may not; empty if nothing.

    Every event acknowledged before the cut is there, and no lower than the step under way at the
    cut might have left it; nothing is there that was never begun; everything is byte-identical.
    """
    done = max((-k for k in marks if isinstance(k, int) and k < 0), default=0)
    begun = max((k for k in marks if isinstance(k, int)), default=0)
    before, after = history.held[done], history.held[max(begun, done)]
    if not path.exists():
        return "" if not done and not before else "the file is gone"
    try:
        memory = open_memory(path, budget=SMALLEST if not done and not before else None)
    except HoldfastError as error:
        return f"does not open: {type(error).__name__}: {error}"
    with memory:
        verification = memory.verify()
        if not verification.ok:
            return f"verify: {verification.problems}"
        now = dict[int, int]()
        for found in memory.log():
            now[found.seq] = int(found.tier)
            if problem := wrong(found, history.truth):
                return problem
        for seq, tier in before.items():
            lowest = after.get(seq, int(Tier.EVICTED))
            if not tier <= now.get(seq, int(Tier.EVICTED)) <= lowest:
                return f"event {seq} was at tier {tier} and is at {now.get(seq)}"
        extra = now.keys() - before.keys() - after.keys()
        return f"events {sorted(extra)} were never begun" if extra else ""


# ---- workloads ---------------------------------------------------------------------------------


def observing(numbers: Iterable[int], make: Callable[[int], Event] = event) -> Iterator[Step]:
    for i in numbers:

        def step(memory: Memory, truth: Truth, i: int = i) -> Memory:
            event = make(i)
            truth[memory.observe(event).seq] = event.content
            return memory

        yield step


def bulk(numbers: range, make: Callable[[int], Event] = event) -> Step:
    def step(memory: Memory, truth: Truth) -> Memory:
        first = memory.observe_many(make(i) for i in numbers).first
        truth.update({first + n: make(i).content for n, i in enumerate(numbers)})
        return memory

    return step


def resizing(budget: int) -> Step:
    def step(memory: Memory, truth: Truth) -> Memory:
        memory.resize(budget)
        return memory

    return step


def reopening(path: Path, vfs: str) -> Step:
    def step(memory: Memory, truth: Truth) -> Memory:
        memory.close()
        return open_memory(path, vfs, None)

    return step


def bulky(i: int) -> Event:
    """An event that fills a small budget quickly; mostly bytes, which are quick to load again."""
    size = 3000 + 700 * (i % 5)
    content = text(i, size) if i % 6 == 0 else random.Random(i).randbytes(size)
    return Event(content, scope=f"session/{i // 10}", at=float(i))


def fill(path: Path, budget: int = SMALLEST, nbytes: int = 500_000) -> Truth:
    """A closed store that holds as much as its budget allows; what it was told."""
    truth: Truth = {}
    i = 1
    with open_memory(path, budget=budget) as memory:
        sizes = 0
        while sizes < nbytes:
            events = [bulky(n) for n in range(i, i + 20)]
            memory.observe_many(events)
            sizes += sum(len(raw(e.content)) for e in events)
            truth |= {n: bulky(n).content for n in range(i, i + 20)}
            i += 20
    return truth
