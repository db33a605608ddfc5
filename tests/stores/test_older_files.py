"""Files that earlier versions wrote, as they wrote them, are opened and are whole memories."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from holdfast import Memory

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A memory of schema 2: 121 events, a key, vectors, and nothing of what came later."""
    data = (GOLDEN / "schema-2.holdfast.zst").read_bytes()
    path = tmp_path / "old.holdfast"
    path.write_bytes(zstandard.ZstdDecompressor().decompress(data))
    return path


def test_a_file_of_schema_2_loses_nothing(path: Path) -> None:
    with Memory.open(path, embedder="scripted") as memory:
        assert memory.verify().ok
        assert len(memory) == 121
        first = memory.get(1)
        assert first.event.content == "I keep the spare key under the blue pot."
        assert memory.settle()
        found = memory.recall("where is the spare key?", tokens=200).ranked
        assert found[0].seq == 1
        again = memory.observe(
            first.event.content, speaker="Ana", scope="home", key="k1", at=1_740_000_000.0
        )
        assert again.seq == 1
        assert again.changes == ()


def test_what_came_later_works_on_it(path: Path) -> None:
    with Memory.open(path, extractor=None) as memory:
        memory.believe("key", "lies_under", "pot", evidence=["e1[7:20]"])
        checkpoint = memory.checkpoint()
        assert checkpoint.checkpoint.size == 1, "the audit log begins with the first event since"
        memory.observe_many([f"later {i}" for i in range(50)])
        memory.prove_extends(checkpoint)
        memory.snapshot("now")
        assert memory.erase(scope="meter/1").events == 40
        memory.rollback("now")
        assert memory.verify().ok
        assert not list(memory.log(scope="meter/1")), "erased from the snapshot, too"
        assert [belief.value for belief in memory.beliefs("key")] == ["pot"]
