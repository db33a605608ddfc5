"""An embedder beside the stream: it helps when it can and never stands in the way."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from holdfast import Event, Memory, Tier
from holdfast.derive.passages import embeddable
from holdfast.errors import ModelError
from holdfast.models.base import Vectors
from holdfast.models.scripted import ScriptedEmbedder

from worlds import T0, large_events, opened

WAIT_S = 20.0


class Gated:
    """An embedder that answers only while its gate is open."""

    name, dimensions = "gated", 16

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked = threading.Event()
        self._inner = ScriptedEmbedder(16)

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.set()
        assert self.gate.wait(WAIT_S)
        return self._inner.embed(texts)


class Concepts:
    """A thesaurus: words of one meaning are one direction, so only vectors can tell."""

    name, dimensions = "concepts", 4
    _MEANINGS = (("car", "automobile", "sedan"), ("doctor", "physician"), ("kelp", "seaweed"))

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.full((len(texts), 4), 1e-3, np.float32)
        for row, text in enumerate(texts):
            for axis, meaning in enumerate(self._MEANINGS):
                vectors[row, axis] += sum(word in text.lower() for word in meaning)
            vectors[row, 3] += 0.5
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _fill(memory: Memory, n: int = 60) -> None:
    for i in range(n):
        memory.observe(f"noise{i} padding{i} " * 15, scope=f"noise/{i}")


def test_vectors_find_what_words_do_not() -> None:
    with opened(embedder=Concepts()) as dense, opened() as lexical:
        for memory in (dense, lexical):
            _fill(memory)
            seq = memory.observe("The automobile broke down.", scope="x").seq
        assert dense.settle(WAIT_S)
        assert lexical.rank("car") == []
        hits = dense.rank("car")
        assert hits[0].seq == seq
        assert hits[0].parts["meaning"] > 0
        assert all(sum(hit.parts.values()) == pytest.approx(hit.score) for hit in hits)
        context = dense.recall("car", tokens=150)
        assert context.ranked[0].text == "The automobile broke down."
        assert not context.degraded
        assert not context.partial


def test_filters_hold_for_vectors_too() -> None:
    with opened(embedder=Concepts()) as memory:
        _fill(memory)
        mine = memory.observe("An automobile.", scope="a", at=T0).seq
        theirs = memory.observe("A sedan.", scope="b", at=T0 + 100).seq
        assert memory.settle(WAIT_S)
        assert mine in {hit.seq for hit in memory.rank("car", scope="a")}
        assert theirs not in {hit.seq for hit in memory.rank("car", scope="a")}
        assert theirs not in {hit.seq for hit in memory.rank("car", before=theirs)}
        assert mine not in {hit.seq for hit in memory.rank("car", since=T0 + 50)}


def test_a_stuck_embedder_holds_up_neither_writes_nor_recall() -> None:
    embedder = Gated()
    with opened(embedder=embedder) as memory:
        _fill(memory, 40)
        memory.observe("The key is under the pot.")
        assert embedder.asked.wait(WAIT_S)
        context = memory.recall("key", tokens=120)
        assert context.degraded
        assert context.partial
        assert "The key is under the pot." in {item.text for item in context.items}
        assert memory.recall("pot", tokens=120).degraded, "the second ask waits for the first"
        memory.observe("Still writing.")
        assert not memory.settle(0.0)
        embedder.gate.set()
        assert memory.settle(WAIT_S)
        context = _patient(memory, "key")
        assert not context.partial
        assert memory.usage().vectors > 0


def _patient(memory: Memory, query: str):  # type: ignore[no-untyped-def]
    """The first recall that is not degraded: a late answer frees the embedder at its own pace."""
    for _ in range(400):
        context = memory.recall(query, tokens=120)
        if not context.degraded:
            return context
        threading.Event().wait(0.01)
    raise AssertionError("the embedder never became free again")


class Moody(ScriptedEmbedder):
    """Fails while told to."""

    failing = True

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.failing:
            raise ModelError("moody")
        return super().embed(texts)


def test_a_failing_embedder_loses_no_event_and_recovers() -> None:
    embedder = Moody(16)
    with opened(embedder=embedder) as memory:
        _fill(memory, 40)
        seq = memory.observe("The key is under the pot.").seq
        context = memory.recall("key", tokens=120)
        assert context.degraded
        assert context.partial
        assert context.items[0].seq == seq
        backlog = memory._backlog
        assert backlog is not None
        assert isinstance(backlog.failure, ModelError)
        embedder.failing = False
        assert memory.settle(WAIT_S)
        assert backlog.failure is None
        assert not _patient(memory, "key").partial
        assert memory.verify().ok


@pytest.mark.parametrize("answer", [[[0.0] * 16], [[float("nan")] * 16], [[1.0]], "nonsense"])
def test_nonsense_from_an_embedder_is_a_degraded_recall(answer: object) -> None:
    class Broken:
        name, dimensions = "broken", 16

        def embed(self, texts: Sequence[str]) -> Vectors:
            return answer  # type: ignore[return-value]

    with opened(embedder=Broken()) as memory:
        _fill(memory, 30)
        memory.observe("The key is under the pot.")
        context = memory.recall("key", tokens=120)
        assert (context.degraded, context.partial) == (True, True)
        assert context.items
        assert len(memory._mirror.vectors or ()) == 0


def test_vectors_survive_reopening_and_are_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    first, second = ScriptedEmbedder(32), ScriptedEmbedder(32)
    with Memory.open(path, "2 MiB", embedder=first) as memory:
        memory.observe_many([Event(f"event number {i} about kelp") for i in range(100)])
        assert memory.settle(WAIT_S)
        vectors, hits = memory.usage().vectors, memory.rank("kelp number 7")
    with Memory.open(path, embedder=second) as memory:
        assert memory.settle(WAIT_S)
        assert second.calls == 0
        assert memory.usage().vectors == vectors > 0
        again = memory.rank("kelp number 7")
        assert [hit.seq for hit in again] == [hit.seq for hit in hits]
        assert [hit.score for hit in again] == pytest.approx([hit.score for hit in hits])


class Renamed(ScriptedEmbedder):
    """The same shape under another name."""

    @property
    def name(self) -> str:
        return "renamed"


def _change_embedder(path: Path, other: ScriptedEmbedder) -> None:
    old = ScriptedEmbedder(32)
    with Memory.open(path, "2 MiB", embedder=old) as memory:
        memory.observe_many([Event(f"event number {i} about kelp") for i in range(300)])
        assert memory.settle(WAIT_S)
    held = threading.Event()
    other.delay_s, other.sleep = 1.0, lambda _: held.wait(WAIT_S) and None
    with Memory.open(path, embedder=other) as memory:
        assert memory.usage().vectors == 0
        context = memory.recall("kelp number 7", tokens=200)
        assert context.partial
        assert context.items
        held.set()
        assert memory.settle(WAIT_S)
        vectors = memory._mirror.vectors
        assert vectors is not None
        assert len(vectors) == 300
        assert vectors.dimensions == other.dimensions
        assert memory.verify().ok


def test_another_embedder_means_new_vectors(tmp_path: Path) -> None:
    _change_embedder(tmp_path / "m.holdfast", Renamed(32))


def test_another_embedder_of_another_size_means_new_vectors(tmp_path: Path) -> None:
    _change_embedder(tmp_path / "m.holdfast", ScriptedEmbedder(48))


class Listening(ScriptedEmbedder):
    """Remembers what it was asked."""

    def __init__(self, dimensions: int) -> None:
        super().__init__(dimensions)
        self.heard: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.heard.append(list(texts))
        return super().embed(texts)


def test_each_passage_of_an_event_is_embedded_with_its_speaker() -> None:
    embedder = Listening(32)
    long = " ".join(f"The kelp of bay {i} grew by {i} metres over the summer." for i in range(9))
    with opened(embedder=embedder) as memory:
        memory.observe_many(
            [Event(long, speaker="Ana"), Event("Fine. Thanks.", speaker="Bo"), Event("No one.")]
            * 40
        )
        assert memory.settle(WAIT_S)
        heard = {text for batch in embedder.heard for text in batch}
        passages = {text for text in heard if text.startswith("Ana: The kelp")}
        assert heard - passages == {"Bo: Fine. Thanks.", "No one."}
        assert 2 < len(passages) <= 4
        assert all(sum(f"bay {i} " in text for text in passages) == 1 for i in range(9))
        assert max(map(len, embedder.heard)) <= 64
        assert memory._mirror.vectors is not None
        assert len(memory._mirror.vectors) == 120, "an event counts once, however many vectors"
        assert memory.usage().vectors == 40 * ((len(passages) + 2) * (32 + 4) + 3 * 5)


def test_an_event_is_found_by_any_of_its_passages() -> None:
    filler = "It rained on the harbour again, and nothing else of any note went on there at all."
    text = f"{filler} {filler} We took the automobile to the coast. {filler} {filler} {filler}"
    with opened(embedder=Concepts()) as memory:
        _fill(memory)
        seq = memory.observe(text, scope="x").seq
        assert memory.settle(WAIT_S)
        assert memory.rank("car")[0].seq == seq
        vectors = memory._mirror.vectors
        assert vectors is not None
        car = Concepts().embed(["car"])[0]
        parts = [Concepts().embed([part])[0] @ car for part in embeddable(None, text)]
        assert len(parts) > 1
        nearest = vectors.cosine_of(car, [memory._mirror.columns.find(seq)])
        assert nearest[0] == pytest.approx(max(parts), abs=0.01)


@pytest.mark.parametrize("passages", ["", "+passages-1x9999"])
def test_vectors_of_other_passages_are_made_anew(tmp_path: Path, passages: str) -> None:
    path = tmp_path / "m.holdfast"
    embedder = ScriptedEmbedder(32)
    with Memory.open(path, "2 MiB", embedder=embedder) as memory:
        memory.observe_many([Event(f"event number {i} about kelp") for i in range(100)])
        assert memory.settle(WAIT_S)
        with memory._store.transaction() as tx:
            tx.set_meta("embedder", embedder.name + passages)
    calls = embedder.calls
    with Memory.open(path, embedder=embedder) as memory:
        assert memory.settle(WAIT_S)
        assert embedder.calls > calls
        assert memory._mirror.vectors is not None
        assert len(memory._mirror.vectors) == 100


@pytest.mark.parametrize("n_words", [4, 12, 100])
def test_a_small_budget_outlives_a_stream_with_vectors(n_words: int) -> None:
    """The pages of dropped vectors count in the journal; a short event has the most of them."""
    rng = random.Random(3)
    with opened("1 MiB", embedder=ScriptedEmbedder(384), durability="off") as memory:
        for _ in range(12):
            memory.observe_many([Event(f"{rng.randbytes(3 * n_words).hex()}.") for _ in range(150)])
            memory.settle(WAIT_S)
        usage = memory.usage()
        assert usage.disk <= usage.budget
        assert usage.events["evicted"] + usage.events["trace"] > 0
        assert memory.verify().ok


def test_events_written_without_an_embedder_get_their_vectors_later(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "2 MiB") as memory:
        memory.observe_many([Event(f"event number {i}") for i in range(70)] + [Event(b"bytes")])
        assert memory.settle(), "nothing is to be waited for without an embedder"
    with Memory.open(path, embedder="scripted:dimensions=24") as memory:
        assert memory.settle(WAIT_S)
        vectors = memory._mirror.vectors
        assert vectors is not None
        assert len(vectors) == 70, "bytes have no text to embed"


def test_vectors_are_paid_for_and_dropped_on_the_way_down() -> None:
    with opened("1 MiB", embedder=ScriptedEmbedder(64)) as memory:
        past = [
            Event(f"{i} " + event.text[:600])
            for i, event in enumerate(large_events(500, n_words=80))
        ]
        for start in range(0, len(past), 100):
            memory.observe_many(past[start : start + 100] * 6)
            assert memory.settle(WAIT_S)
        usage = memory.usage()
        mirror = memory._mirror
        assert mirror.vectors is not None
        columns = mirror.columns
        readable = columns.alive & (columns.tier < Tier.TRACE)
        held = mirror.vectors.rows
        assert set(held.tolist()) == set(np.flatnonzero(readable).tolist())
        assert len({seq for seq, _ in memory._store.vectors()}) == len(held)
        assert usage.events["trace"] + usage.events["evicted"] > 0
        assert usage.vectors >= 64 * len(held)
        assert usage.disk <= usage.budget
        assert memory.verify().ok


def test_a_memory_full_of_pinned_events_does_without_vectors() -> None:
    """The worker must outlive a budget that has no room for it, and go on once there is."""
    from holdfast.errors import BudgetError

    embedder = Moody(4096)
    rng = random.Random(2)
    with opened("640 KiB", embedder=embedder) as memory:
        with contextlib.suppress(BudgetError):
            while len(memory) < 1000:
                memory.observe(rng.randbytes(4000).hex(), pinned=True)
        assert len(memory) < 1000, "it never filled up"
        embedder.failing = False
        backlog = memory._backlog
        assert backlog is not None
        backlog.wake()
        assert not memory.settle(1.5)
        assert backlog._worker.is_alive()
        memory.resize("2 MiB")
        assert memory.settle(WAIT_S)


def test_closing_does_not_wait_for_a_stuck_embedder() -> None:
    embedder = Gated()
    with opened(embedder=embedder) as memory:
        memory.observe("one")
        assert embedder.asked.wait(WAIT_S)
    embedder.gate.set()
