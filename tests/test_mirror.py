"""The log in RAM: whatever happens to it, it equals one rebuilt from the store."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory, Tier
from holdfast.charge import Charges, ratio
from holdfast.codec import encode_tail
from holdfast.errors import CorruptStoreError
from holdfast.mirror import Mirror
from holdfast.models.scripted import ScriptedEmbedder

from worlds import T0, TINY, large_events, opened, prose, ticking


def _facts(mirror: Mirror) -> dict[str, Any]:
    """Everything about a mirror that recall and retention can see."""
    columns = mirror.columns
    rows = np.flatnonzero(columns.alive)
    seq = columns.seq[rows].tolist()

    def linked(name: str) -> list[int]:
        at = getattr(columns, name)[rows]
        return [int(columns.seq[i]) if i >= 0 else -1 for i in at]

    return {
        "seq": seq,
        "before": linked("before"),
        "after": linked("after"),
        "episodes": list(columns.episodes()),
        "labels": [columns.whos[i] for i in columns.who[rows]],
        "total_length": columns.total_length,
        "blocks": mirror.blocks,
        "firsts": mirror.firsts,
        "tail": list(map(encode_tail, mirror.tail)),
        "tail_bytes": mirror.tail_bytes,
        "next_seq": mirror.next_seq,
        "terms": _terms(mirror, rows),
        "vectors": [] if mirror.vectors is None else
                   [int(columns.seq[row]) for row in mirror.vectors.rows],
        **{name: getattr(columns, name)[rows].tolist()
           for name in ("at", "tier", "tokens", "length", "episode", "flags", "size", "surprise")},
    }  # fmt: skip


def _terms(mirror: Mirror, rows: Any) -> list[tuple[int, int, int]]:
    """Every posting of the index: event, term, how often."""
    segment, found = mirror.postings.extract(rows)
    terms = np.repeat(segment.terms, np.diff(segment.offsets)).tolist()
    seqs = mirror.columns.seq[found[segment.docs]].tolist()
    return sorted(zip(seqs, terms, segment.tfs.tolist(), strict=True))


def _same(memory: Memory, dimensions: int | None = None) -> None:
    mine, rebuilt = _facts(memory._mirror), _facts(Mirror(memory._store, dimensions))
    for name, fact in mine.items():
        assert fact == rebuilt[name], name


steps = st.lists(
    st.tuples(st.sampled_from(["small", "large", "bulk", "pinned"]), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(steps, st.sampled_from(["demand", "oldest"]), st.integers(0, 99))
def test_a_mirror_kept_up_equals_one_rebuilt(
    steps: list[tuple[str, int]], policy: str, seed: int
) -> None:
    with opened(TINY, retention=policy) as memory:
        memory.observe_many(large_events(70, seed=seed))
        rng = random.Random(seed)
        for what, scope in steps:
            label = ("", "user/ana", "user/bo")[scope]
            if what == "bulk":
                memory.observe_many([Event(prose(rng, 300), scope=label) for _ in range(15)])
            else:
                text = prose(rng, 900 if what == "large" else 6)
                memory.observe(text, scope=label, speaker="Ana", pinned=what == "pinned")
        _same(memory)


def test_vectors_are_kept_up_too() -> None:
    embedder = ScriptedEmbedder(16)
    with opened(TINY, embedder=embedder) as memory:
        for start in range(0, 240, 40):
            memory.observe_many(large_events(240)[start : start + 40])
            assert memory.settle(20)
        assert memory.usage().events["verbatim"] < 240
        _same(memory, 16)


def test_many_evictions_compact_and_lose_nothing() -> None:
    with opened(TINY, retention="oldest", embedder=ScriptedEmbedder(8)) as memory:
        rng = random.Random(8)
        for _ in range(9):
            memory.observe_many([Event(prose(rng, 60), scope=f"s{i % 5}") for i in range(300)])
        assert memory.settle(20)
        columns = memory._mirror.columns
        assert memory.usage().events["evicted"] > 1024
        assert columns.dead < 1200, "holes were never closed"
        _same(memory, 8)
        assert memory.verify().ok


def test_rows_are_the_same_one_by_one_and_in_a_row() -> None:
    with opened() as memory:
        memory.observe_many(large_events(60, n_words=300))
        mirror = memory._mirror
        rows = list(mirror.rows())
        assert [row.seq for row in rows] == list(range(1, 61))
        assert [mirror.row(seq) for seq in range(1, 61)] == rows
        assert mirror.row(0) is mirror.row(61) is None
        for after in (0, 7, 59, 60, 61):
            assert list(mirror.rows(after)) == rows[after:]
        assert mirror.tail, "the newest events are not in a block yet"
        assert mirror.block_of(mirror.tail[-1].seq) is None
        for first in mirror.firsts:
            assert mirror.block_of(mirror.blocks[first].last) == first


def test_reading_goes_on_while_blocks_are_rewritten(tmp_path: Path) -> None:
    """A reader in the middle of the log sees every event at most once, in order, and exact."""
    past = large_events(420, n_words=300)
    stop = threading.Event()
    failures: list[BaseException] = []
    with Memory.open(tmp_path / "m.holdfast", TINY, durability="off", clock=ticking()) as memory:

        def read() -> None:
            try:
                while not stop.is_set():
                    seqs = []
                    for record in memory.log():
                        seqs.append(record.seq)
                        if record.tier == Tier.VERBATIM:
                            assert record.event.content == past[record.seq - 1].content
                    assert seqs == sorted(set(seqs))
                    for item in memory.recall("kelp harbour", tokens=500).items:
                        if item.tier == Tier.VERBATIM and past[item.seq - 1].text:
                            text = past[item.seq - 1].text
                            assert item.excerpt or item.text == text
                            assert all(quote.text in text for quote in item.quotes)
            except BaseException as error:  # noqa: BLE001 a thread's failure is told by its test
                failures.append(error)

        reader = threading.Thread(target=read)
        reader.start()
        for start in range(0, len(past), 4):
            memory.observe_many(past[start : start + 4])
        stop.set()
        reader.join()
        assert not failures, failures
        assert memory.usage().events["verbatim"] < len(past)


def test_the_ratio_is_that_of_what_is_kept() -> None:
    with opened("4 MiB") as memory:
        start = ratio(memory._mirror)
        memory.observe_many([Event("the same old song " * 60, at=T0) for _ in range(300)])
        repeated = ratio(memory._mirror)
    with opened("4 MiB") as memory:
        rng = random.Random(1)
        memory.observe_many([Event(rng.randbytes(2000)) for _ in range(300)])
        noise = ratio(memory._mirror)
    assert repeated < 0.2 < start < noise <= 1.1


def test_what_cannot_be_read_is_a_corrupt_store(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "1 MiB") as memory:
        memory.observe_many(large_events(12))
        with memory._store.transaction() as tx:
            tx.set_meta("next_seq", "many")
    with pytest.raises(CorruptStoreError):
        Memory.open(path)


@pytest.mark.parametrize("n_words", [6, 40, 400])
def test_vectors_cost_about_what_they_take(n_words: int) -> None:
    rng = random.Random(n_words)
    events = [Event(prose(rng, n_words)) for _ in range(60)]
    with opened("4 MiB") as plain, opened("4 MiB", embedder="scripted:dimensions=48") as dense:
        for memory in (plain, dense):
            memory.observe_many(events)
        assert dense.settle(20.0)
        rows = np.arange(60)
        for tier in (Tier.VERBATIM, Tier.GIST):
            charged = (
                Charges(dense._mirror).costs(rows)[:, tier]
                - Charges(plain._mirror).costs(rows)[:, tier]
            )
            assert 0.8 <= charged.sum() / (dense.usage().vectors + 60 * 20) <= 1.3
        assert (Charges(dense._mirror).costs(rows)[:, Tier.TRACE] <= 48).all(), (
            "a trace has no vectors"
        )
