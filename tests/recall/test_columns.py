"""Columns loaded at once equal columns appended one by one, and removal keeps neighbours linked."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.codec import Block, Row, Who, pack_block, unpack_block
from holdfast.recall.columns import Columns

SCOPES = ["", "a", "a/b", "c"]


@st.composite
def streams(draw: st.DrawFn) -> list[Row]:
    seqs = sorted(draw(st.sets(st.integers(1, 500), min_size=1, max_size=40)))
    return [
        Row(
            seq, seq * 1_000_000, seq * 1_000_000, 10, 3, draw(st.integers(0, 9)),
            draw(st.integers(1, 5)), 1.5, 0, 0, 0, 0,
            Who(draw(st.sampled_from(["Ana Lima", "Bo", None])), None, None,
                draw(st.sampled_from(SCOPES))),
            b"x" * 10,
        )
        for seq in seqs
    ]  # fmt: skip


def appended(rows: list[Row]) -> Columns:
    columns = Columns()
    for row in rows:
        columns.append(row)
    return columns


def loaded(rows: list[Row]) -> Columns:
    columns = Columns()
    blocks = [unpack_block(pack_block(Block.of(rows[i : i + 7]))) for i in range(0, len(rows), 7)]
    columns.load(blocks)
    return columns


def state(columns: Columns) -> dict[str, object]:
    """All that can be told from outside, free of how rows are numbered."""
    seqs = columns.seq.tolist()

    def named(rows: np.ndarray) -> list[int | None]:  # type: ignore[type-arg]
        return [seqs[row] if row >= 0 else None for row in rows]

    alive = columns.alive
    return {
        "seq": columns.seq[alive].tolist(),
        "who": [columns.whos[who] for who in columns.who[alive]],
        "before": named(columns.before[alive]),
        "after": named(columns.after[alive]),
        "length": columns.total_length,
        "episodes": sorted((e.id, e.events) for e in columns.episodes()),
        "sizes": columns.episode_sizes(np.unique(columns.episode[alive])).tolist(),
    }


@given(streams())
def test_loading_equals_appending(rows: list[Row]) -> None:
    assert state(loaded(rows)) == state(appended(rows))


@given(streams(), st.data())
def test_eviction_and_compaction_leave_what_would_have_been_without(
    rows: list[Row], data: st.DataObject
) -> None:
    gone = set(data.draw(st.lists(st.sampled_from([row.seq for row in rows]), unique=True)))
    columns = appended(rows)
    columns.remove(columns.find_all(np.array(sorted(gone), np.int64)))
    assert all(columns.find(seq) is None for seq in gone)
    kept = [row for row in rows if row.seq not in gone]
    assert state(columns) == state(appended(kept))
    seqs = columns.seq.copy()
    moved = columns.compact()
    assert state(columns) == state(appended(kept))
    for old, new in enumerate(moved.tolist()):
        assert (new >= 0) == (int(seqs[old]) not in gone)
        assert new < 0 or columns.seq[new] == seqs[old]
    later = rows[-1]._replace(seq=1000)
    columns.append(later)
    assert state(columns) == state(appended([*kept, later]))


@given(streams(), st.sampled_from(["", *SCOPES, "a/b/c", "ab"]), st.integers(0, 510))
def test_visibility_is_by_scope_time_and_sequence(rows: list[Row], scope: str, edge: int) -> None:
    columns = appended(rows)

    def inside(where: str) -> bool:
        return not scope or where == scope or where.startswith(scope + "/")

    seen = columns.visible(scope, float(edge), edge + 100.0, edge + 50)
    assert seen is not None
    expected = [row.seq for row in rows if inside(row.who.scope) and edge <= row.seq < edge + 50]
    assert columns.seq[seen].tolist() == expected


def test_speakers_are_found_by_any_word_of_their_name() -> None:
    row = Row(1, 1, 1, 1, 1, 1, 0, 0.0, 0, 0, 0, 0, Who("Ana Lima", None, None, ""), b"x")
    columns = appended([row, row._replace(seq=2, who=Who("Bo", None, None, ""))])
    named = columns.spoken_by(frozenset(["lima"]))
    assert named is not None
    assert named[columns.who].tolist() == [1.0, 0.0]
    assert columns.spoken_by(frozenset(["nobody"])) is None
