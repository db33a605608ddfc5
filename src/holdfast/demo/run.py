"""Run the demo and keep every number it shows: nothing here prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdfast.demo.data import SHOWN, Question, questions
from holdfast.errors import NotFoundError
from holdfast.memory import Memory
from holdfast.records import Context, Event, Tier, Usage

Fate = Literal["verbatim", "gist", "trace", "missed", "evicted"]
FATES: tuple[Fate, ...] = ("verbatim", "gist", "trace", "missed", "evicted")
ROOMY = "64 MiB"  # holds the whole stream with ease
SAMPLES = 120


@dataclass(frozen=True, slots=True)
class Sample:
    """The memory at one moment of the stream."""

    seen: int
    seen_bytes: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Commit:
    """One conversation written in one commit."""

    seen: int
    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one question, and what became of each event that holds its answer.

    A fate is the tier at which the event is in the context; "missed" says that it is kept, but
    not in the context; "evicted" that it is gone.
    """

    question: Question
    context: Context
    fates: tuple[Fate, ...]  # in the order of `question.gold`
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether all the evidence came back word for word."""
        return all(fate == "verbatim" for fate in self.fates)

    @property
    def some(self) -> bool:
        """Whether any of the evidence came back, at whatever tier."""
        return any(fate in ("verbatim", "gist", "trace") for fate in self.fates)


@dataclass(frozen=True, slots=True)
class Run:
    """One memory that saw the whole stream and was asked every question."""

    budget: int
    tokens: int
    samples: tuple[Sample, ...]
    commits: tuple[Commit, ...]
    answers: tuple[Answer, ...]
    seconds: float  # writing only

    @property
    def usage(self) -> Usage:
        """The memory after the last event."""
        return self.samples[-1].usage

    @property
    def seen(self) -> int:
        """Events observed."""
        return self.samples[-1].seen

    @property
    def peak(self) -> int:
        """The most bytes on disk at any sample."""
        return max(sample.usage.disk for sample in self.samples)

    @property
    def shown(self) -> tuple[Answer, ...]:
        """The answers that are shown in full, oldest evidence first."""
        by_id = {answer.question.id: answer for answer in self.answers}
        return tuple(by_id[id_] for id_ in SHOWN)

    def share(self, at_least: Literal["whole", "some"]) -> float:
        """Return the share of the questions whose evidence came back."""
        found = sum(a.whole if at_least == "whole" else a.some for a in self.answers)
        return found / len(self.answers)

    def fates(self) -> Iterator[tuple[int, Fate]]:
        """Yield each piece of evidence: how many events ago it was observed, and its fate."""
        for answer in self.answers:
            for seq, fate in zip(answer.question.gold, answer.fates, strict=True):
                yield self.seen - seq, fate


def run(
    path: Path,
    conversations: Sequence[Sequence[Event]],
    budget: str,
    tokens: int = 600,
    watch: Callable[[Sample], None] = lambda sample: None,
) -> Run:
    """Feed the stream to a new memory at `path`, conversation by conversation, then ask.

    Parameters
    ----------
    path
        Where the memory is made.
    conversations
        The stream; each is written in one commit.
    budget
        Bytes on disk at most, such as ``"1 MiB"``.
    tokens
        Tokens that each context may hold.
    watch
        Called with each sample as it is taken.
    """
    total = sum(map(len, conversations))
    samples, commits = list[Sample](), list[Commit]()
    seen = seen_bytes = 0
    now = 0.0  # the memory's clock is the story's
    with Memory.open(path, budget=budget, clock=lambda: now) as memory:
        for events in conversations:
            now = events[-1].at or now
            began = time.perf_counter()
            memory.observe_many(events)
            seconds = time.perf_counter() - began
            seen += len(events)
            seen_bytes += sum(len(event.text.encode()) for event in events)
            commits.append(Commit(seen, len(events), seconds))
            if seen * SAMPLES // total > len(samples) or seen == total:
                samples.append(Sample(seen, seen_bytes, memory.usage()))
                watch(samples[-1])
        answers = tuple(ask(memory, question, tokens) for question in questions())
        granted = memory.usage().budget
    written = sum(commit.seconds for commit in commits)
    return Run(granted, tokens, tuple(samples), tuple(commits), answers, written)


def ask(memory: Memory, question: Question, tokens: int) -> Answer:
    """Recall for one question and look up what became of its evidence."""
    began = time.perf_counter()
    context = memory.recall(question.question, tokens=tokens)
    seconds = time.perf_counter() - began
    fates = tuple(fate(memory, context, seq) for seq in question.gold)
    return Answer(question, context, fates, seconds)


def fate(memory: Memory, context: Context, seq: int) -> Fate:
    """Return what became of event `seq`: its tier in the context, or why it is not there."""
    tiers = [item.tier for item in context.items if item.seq == seq]
    if tiers:
        return FATES[min(tiers)]
    try:
        kept = memory.get(seq).tier < Tier.EVICTED
    except NotFoundError:
        kept = False
    return "missed" if kept else "evicted"
