"""The retention lab: pooled streams, equal budgets, an oracle, and what its cells amount to."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import Memory
from holdfast.bench import grid, retention_plot
from holdfast.bench.budgets import bytes_in_use, file_budget, make_file
from holdfast.bench.ceiling import lossless_share, zstd_bytes
from holdfast.bench.curves import summary
from holdfast.bench.datasets import Dataset, Query, Targets, Turn, load
from holdfast.bench.oracle import Oracle
from holdfast.bench.pooled import LONGEST, Asked, event_of, pooled
from holdfast.bench.retention import COVERAGE, SURVIVAL, WHOLE, default_policy, run_cell
from holdfast.bench.retention_tables import tables
from holdfast.cli import main
from holdfast.errors import MissingExtraError, NotFoundError, UnknownNameError
from holdfast.retention.view import View
from holdfast.stores.space import PAGE

MakeSet = Callable[..., Path]
Cell = dict[str, Any]
HALF, EIGHTH = Fraction(1, 2), Fraction(1, 8)


# ---- pooled streams ----------------------------------------------------------------------------


def a_set(lengths: Sequence[int], asked: Sequence[int | None], name: str = "tiny") -> Dataset:
    """Streams of these lengths, each asked at these places about its first turn."""
    streams, queries = {}, {}
    for n, length in enumerate(lengths):
        stream = f"s{n}"
        streams[stream] = tuple(
            Turn(stream, i, f"t{i}", str(i // 3), float(i), "Ana", f"turn {i} of {stream}")
            for i in range(length)
        )
        queries[stream] = tuple(
            Query("q", stream, at, "turn?", "t", Targets(frozenset({"t0"})), _session("0"))
            for at in asked
        )
    return Dataset(name, streams, queries)


def _session(name: str) -> Targets:
    return Targets(frozenset({name}))


@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.lists(st.integers(1, 12)))
def test_streams_progress_together_and_questions_come_when_their_turns_are_in(
    lengths: list[int], places: list[int]
) -> None:
    asked = [at for at in places if at <= min(lengths)]
    data = a_set(lengths, [*asked, None])
    pool = pooled(data)
    for name, turns in data.streams.items():
        assert [turn.id for turn in pool.turns if turn.stream == name] == [t.id for t in turns]
    for upto in range(1, len(pool.turns) + 1):
        seen = [turn.stream for turn in pool.turns[:upto]]
        done = [Fraction(seen.count(name), len(turns)) for name, turns in data.streams.items()]
        steps = [Fraction(1, len(turns)) for turns in data.streams.values()]
        latest = pool.turns[upto - 1]
        now = Fraction(latest.i + 1, len(data.streams[latest.stream]))
        for n, progress in enumerate(done):
            assert now - steps[n] <= progress <= now, "none is a turn ahead or behind"
    assert [one.after for one in pool.asked] == sorted(one.after for one in pool.asked)
    for one in pool.asked:
        own = [turn for turn in pool.turns[: one.after] if turn.stream == one.query.stream]
        wanted = one.query.at or len(data.streams[one.query.stream])
        assert len(own) == wanted
        assert [pool.turns[place] for place in one.evidence] == [own[0]]


def test_evidence_is_every_turn_of_a_right_session_where_turns_are_not_labelled() -> None:
    data = a_set([7], [5], "memorycode")
    (query,) = data.queries["s0"]
    bare = Query("q", "s0", 5, "turn?", "t", Targets(frozenset()), _session("1"))
    (one,) = pooled(Dataset("memorycode", data.streams, {"s0": (bare,)})).asked
    assert (one.evidence, one.beside) == ((3, 4), ())
    (one,) = pooled(data).asked
    assert (one.evidence, one.beside) == ((0,), (1, 2))
    assert query.sessions.gold == {"0"}


def test_a_very_long_turn_is_cut_between_characters() -> None:
    turn = Turn("s0", 0, "t0", "0", None, "Ana", "é" * LONGEST)
    data = Dataset("tiny", {"s0": (turn,)}, a_set([1], [None]).queries)
    pool = pooled(data)
    assert (pool.cut, pool.raw_bytes) == (1, LONGEST)
    assert event_of(pool.turns[0]).content == "é" * (LONGEST // 2)


# ---- equal budgets -----------------------------------------------------------------------------


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(20_000, 6_000_000))
def test_a_file_has_the_room_for_its_payload_and_no_page_more(tmp_path: Path, payload: int) -> None:
    budget = file_budget(payload)
    path = tmp_path / f"{payload}.holdfast"
    if not path.exists():
        make_file(path, budget)
    with Memory.open(path, extractor=None) as memory:
        assert memory.usage().budget == budget.file
        room = memory._store.room_for(memory._store.batch_bytes())
        assert payload - PAGE <= room < payload + 2 * PAGE


def test_bytes_in_use_are_the_pages_that_are_not_free(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a.holdfast", "1 MiB") as memory:
        before = bytes_in_use(memory)
        memory.observe_many([random.Random(n).randbytes(5_000) for n in range(20)])
        grown = bytes_in_use(memory) - before
        assert 100_000 <= grown <= 160_000
        usage = memory.usage()
        assert bytes_in_use(memory) == memory._store.capacity() - usage.free


# ---- the oracle --------------------------------------------------------------------------------


@given(st.data())
def test_the_oracle_gives_up_what_nothing_rests_on_first_and_oldest_first(
    data: st.DataObject,
) -> None:
    n = data.draw(st.integers(1, 30))
    sizes = np.array(data.draw(st.lists(st.integers(1, 99), min_size=n, max_size=n)), np.float64)
    gold = data.draw(st.sets(st.integers(0, n - 1)))
    pool = pooled(a_set([n], [None]))
    oracle = Oracle(np.zeros(n + 1), {place + 1: place for place in range(n)})
    one = Asked(pool.asked[0].query, n, tuple(sorted(gold)))
    oracle._weigh(one, 1.0)
    view = View.of(size=sizes, position=np.arange(1, n + 1))
    limit = data.draw(st.integers(0, int(sizes.sum())))
    gone = set(np.flatnonzero(oracle.plan(view, limit).tier == view.evicted).tolist())
    others = [place for place in range(n) if place not in gold]
    if gone & gold:
        assert gone >= set(others)
    assert [place for place in others if place in gone] == others[: len(gone - gold)]
    oracle.answered(one)
    assert np.allclose(oracle.due, 0.0), "what has been asked no longer counts"


# ---- one cell ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of two chats, 300 KiB, in which a few turns will be asked for."""
    import gzip

    folder = tmp_path_factory.mktemp("sets") / "chats"
    folder.mkdir()
    rng = random.Random(5)
    words = [f"w{n:x}" for n in range(3_000)]
    turns, queries = [], []
    for stream in ("ana", "bo"):
        for i in range(900):
            text = " ".join(rng.choices(words, k=rng.randint(20, 44)))
            if i % 50 == 7:
                text = f"my marker{stream}{i} lies in place {i}. {text}"
                asked = {"at": None if i % 100 == 7 else i + 300, "type": "t", "stream": stream}
                asked |= {"qid": f"{stream}{i}", "q": f"where is marker{stream}{i}?"}
                if asked["at"] is None or asked["at"] <= 900:
                    queries.append({**asked, "gold": [f"t{i}"], "extra": {}})
            row = {"stream": stream, "i": i, "id": f"t{i}", "session": str(i // 40)}
            turns.append({**row, "ts": None, "who": "Ana", "text": text})
    for name, rows in (("turns", turns), ("queries", queries)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder.parent


@pytest.fixture(scope="module")
def cells(chats: Path) -> dict[tuple[str, Fraction | None], Cell]:
    pool = pooled(load(chats / "chats"))
    wanted = [("oldest", None), *((name, HALF) for name in ("oldest", "random", "oracle"))]
    return {(name, f): run_cell(pool, name, f) for name, f in wanted}


def test_without_a_bound_everything_is_kept(cells: dict[Any, Cell]) -> None:
    cell = cells["oldest", None]
    assert cell["held"] == {"verbatim": 1800, "gist": 0, "trace": 0, "evicted": 0}
    assert cell["metrics"]["verbatim"] == 1.0
    assert cell["metrics"][COVERAGE] == cell["metrics"][WHOLE] == 1.0
    assert cell["payload_bytes"] is None
    assert cell["content_bytes"] > 100_000


def test_all_of_it_fits_the_least_budget_and_not_a_little_less(chats: Path) -> None:
    pool = replace(pooled(load(chats / "chats")), asked=())
    least = lossless_share(pool)
    assert run_cell(pool, "random", least)["held"]["verbatim"] == 1800
    assert run_cell(pool, "random", 0.95 * least)["held"]["evicted"] > 0


@pytest.mark.parametrize("policy", ["oldest", "random", "oracle"])
def test_the_budget_is_the_same_for_every_policy_and_is_kept(
    cells: dict[Any, Cell], policy: str
) -> None:
    cell = cells[policy, HALF]
    assert cell["payload_bytes"] == cell["raw_bytes"] // 2
    assert cell["file_budget_bytes"] == cells["oldest", HALF]["file_budget_bytes"]
    assert cell["watch"]["violations"] == 0
    assert cell["watch"]["checks"] > 100
    assert cell["watch"]["most_bytes"] <= cell["file_budget_bytes"]
    assert cell["content_bytes"] <= cell["most_content_bytes"]
    assert cell["most_content_bytes"] <= cell["payload_bytes"] + 10 * PAGE
    assert cell["most_content_bytes"] > 0.8 * cell["payload_bytes"]
    assert cell["held"]["evicted"] > 100


def test_rows_are_of_every_question_and_survival_adds_up(cells: dict[Any, Cell]) -> None:
    for cell in cells.values():
        assert cell["questions"] == len(cell["stream_of"]) == 30
        for n in range(cell["questions"]):
            assert math.isclose(sum(cell["values"][tier][n] for tier in SURVIVAL), 1.0)
            assert cell["values"][WHOLE][n] <= cell["values"][COVERAGE][n]


def test_the_oracle_keeps_the_evidence_and_the_window_keeps_what_is_new(
    cells: dict[Any, Cell],
) -> None:
    assert cells["oracle", HALF]["metrics"]["verbatim"] == 1.0
    assert cells["oracle", HALF]["metrics"][COVERAGE] == 1.0
    for name in ("oldest", "random"):
        assert 0.0 < cells[name, HALF]["metrics"]["evicted"] < 0.9


def test_a_cell_replays(chats: Path, cells: dict[Any, Cell]) -> None:
    again = run_cell(pooled(load(chats / "chats")), "random", HALF)
    for part in ("values", "held", "content_bytes", "most_content_bytes"):
        assert again[part] == cells["random", HALF][part]


def test_what_comes_back_is_told_to_the_memory_while_more_is_to_come(
    chats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[int]] = []
    monkeypatch.setattr(Memory, "used_events", lambda _, seqs: told.append(list(seqs)))
    pool = pooled(load(chats / "chats"), streams=1)
    run_cell(pool, "oldest", None)
    midway = [one for one in pool.asked if one.after < len(pool.turns)]
    assert len(told) == len(midway) > 0
    for one, seqs in zip(midway, told, strict=True):
        (place,) = one.evidence
        assert place + 2 in seqs, "the file's own first event, then the turns"
        assert 0 < len(seqs) <= 5
        assert max(seqs) <= one.after + 1


# ---- the figures -------------------------------------------------------------------------------


def made_up(
    name: str, policy: str, fraction: float | None, values: Sequence[float], streams: int = 3
) -> Cell:
    return {
        "set": name,
        "policy": policy,
        "fraction": fraction,
        "streams": streams,
        "stream_of": [n % streams for n in range(len(values))],
        "metrics": {COVERAGE: sum(values) / len(values)},
        "values": {COVERAGE: list(values)},
        "cpu_us_per_event": 10.0,
        "watch": {"violations": 0},
    }


@given(
    st.lists(st.floats(0.1, 1.0), min_size=3, max_size=12),
    st.floats(0.05, 1.0),
    st.sampled_from([1, 3]),
)
def test_a_policy_that_keeps_a_part_of_everything_has_that_area(
    values: list[float], part: float, streams: int
) -> None:
    fractions = [Fraction(1), HALF, EIGHTH]
    grid_of = [made_up("a", "unbounded", None, values, streams)]
    for fraction in fractions:
        lowered = [part * value for value in values]
        grid_of.append(made_up("a", "best", float(fraction), values, streams))
        grid_of.append(made_up("a", "worse", float(fraction), lowered, streams))
    found = summary(grid_of, fractions, "best")
    assert found["areas"]["best"] == pytest.approx((1, 1, 1), abs=1e-4)
    assert found["areas"]["worse"] == pytest.approx((part, part, part), abs=1e-4)
    assert found["differences"]["worse"] == pytest.approx([1 - part] * 3, abs=2e-4)
    assert found["single"] == (["a"] if streams == 1 else [])


def test_area_is_over_the_logarithm_of_the_budget() -> None:
    fractions = [Fraction(1), HALF, EIGHTH]
    kept = {Fraction(1): 1.0, HALF: 0.5, EIGHTH: 0.0}
    cells = [made_up("a", "unbounded", None, [0.8] * 3)]
    cells += [made_up("a", "p", float(f), [0.8 * kept[f]] * 3) for f in fractions]
    # From 1/8 to 1/2 is two halvings at a mean of 1/4, from 1/2 to 1 is one at 3/4.
    assert summary(cells, fractions, "p")["areas"]["p"].value == pytest.approx(1.25 / 3, abs=1e-4)


def test_a_budget_that_one_policy_could_not_keep_counts_for_none() -> None:
    fractions = [Fraction(1), HALF]
    cells = [made_up("a", "unbounded", None, [0.5] * 3)]
    cells += [made_up("a", "p", float(f), [0.5 * f] * 3) for f in fractions]
    cells += [made_up("a", "q", 1.0, [0.5] * 3)]
    cells += [{"set": "a", "policy": "q", "fraction": 0.5, "refused": "no room"}]
    found = summary(cells, fractions, "p")
    assert found["not_measured"] == {"a": ["1/2"]}
    assert found["areas"]["p"].value == 1.0
    assert found["kept"][COVERAGE]["p"]["1/2"] is None


def test_paired_intervals_are_narrower_than_their_parts() -> None:
    rng = np.random.default_rng(3)
    values = rng.random(60)
    cells = [made_up("a", "unbounded", None, [1.0] * 60, 20)]
    cells.append(made_up("a", "p", 1.0, values.tolist(), 20))
    cells.append(made_up("a", "q", 1.0, (values - 0.01).tolist(), 20))
    found = summary(cells, [Fraction(1)], "p")
    value, low, high = found["differences"]["q"]
    assert value == pytest.approx(0.01, abs=1e-3)
    assert low > 0
    assert high - low < 0.2 * (found["areas"]["p"].high - found["areas"]["p"].low)


# ---- a whole run -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(chats: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    kept = tmp_path_factory.mktemp("cells")
    found = grid.run(
        chats,
        only=["chats"],
        budgets=[Fraction(1), HALF],
        policies=["oldest", "oracle"],
        jobs=1,
        resume=kept,
    )
    return found, kept


def test_a_run_has_a_cell_for_every_policy_and_budget(
    result: tuple[dict[str, Any], Path],
) -> None:
    found, _ = result
    default = default_policy()
    keys = {(cell["policy"], cell["fraction"]) for cell in found["results"]}
    bounded = {(p, f) for p in (default, "oldest", "oracle") for f in (1.0, 0.5)}
    assert keys == {("unbounded", None), *bounded}
    assert found["default"] == default
    assert set(found["summary"]["areas"]) == {default, "oldest", "oracle"}
    (about,) = found["sets"]
    assert 0 < about["zstd"] < about["lossless"] < about["content"] < 1
    json.dumps(found, allow_nan=False)


def test_where_everything_fits_one_measurement_stands_for_all(
    result: tuple[dict[str, Any], Path],
) -> None:
    found, kept = result
    names = {path.name for path in kept.iterdir()}
    assert f"chats--{default_policy()}--1.json" in names
    assert "chats--oldest--1-2.json" in names
    assert "chats--oldest--1.json" not in names
    whole = {cell["policy"]: cell for cell in found["results"] if cell["fraction"] == 1.0}
    assert whole["oldest"]["held"]["verbatim"] == whole["oldest"]["events"]


def test_a_run_takes_up_what_is_there(chats: Path, result: tuple[dict[str, Any], Path]) -> None:
    _, kept = result
    path = kept / "chats--oldest--1-2.json"
    cell = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**cell, "cpu_us_per_event": 12_345.0}), "utf-8")
    said: list[str] = []
    again = grid.run(
        chats,
        only=["chats"],
        budgets=[Fraction(1), HALF],
        policies=["oldest"],
        jobs=1,
        resume=kept,
        progress=said.append,
    )
    assert said == []
    assert 12_345.0 in [cell["cpu_us_per_event"] for cell in again["results"]]


def test_a_budget_too_small_for_what_is_not_sealed_is_said_to_be(chats: Path) -> None:
    task = grid.Task(str(chats), "chats", None, "oldest", Fraction(1, 64))
    cell = grid.measure(task)
    assert "metrics" not in cell
    assert "bytes are needed" in cell["refused"]


def test_unknown_names_are_refused_before_anything_is_measured(chats: Path) -> None:
    with pytest.raises(UnknownNameError):
        grid.run(chats, only=["chats"], policies=["oldset"])
    with pytest.raises(NotFoundError):
        grid.run(chats, only=["no_such_set"])


def test_the_compressor_finds_what_was_said_long_ago() -> None:
    rng = random.Random(1)
    said, since = rng.randbytes(20_000), [rng.randbytes(1_000_000) for _ in range(4)]
    once, again = zstd_bytes([said, *since]), zstd_bytes([said, *since, said])
    assert once > 4_020_000
    assert again < once + 500


# ---- how it is shown ---------------------------------------------------------------------------


def test_tables_have_every_policy_and_say_what_was_not_measured(
    result: tuple[dict[str, Any], Path],
) -> None:
    found, _ = result
    text = tables(found)
    for policy in ("oldest", "oracle", f"**`{default_policy()}`**"):
        assert policy in text
    assert "exceeded 0 times" in text
    assert "Not measured" not in text
    missing = {**found["summary"], "not_measured": {"chats": ["1/2"]}}
    text = tables({**found, "summary": missing})
    assert "chats at 1/2" in text
    assert "at 1/2 (0 sets)" in text


def test_the_drawing_names_the_default_and_its_bounds(
    result: tuple[dict[str, Any], Path],
) -> None:
    drawn = retention_plot.drawing(result[0])
    assert drawn.startswith("<svg ")
    assert drawn.count('class="title"') == 2, "the mean, and one set"
    assert "prefers-color-scheme:dark" in drawn
    for name in (default_policy(), "oracle"):
        assert f">{name}</text>" in drawn


def test_a_drawing_as_png_or_word_of_what_is_missing(
    result: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    path = tmp_path / "curves.png"
    try:
        import resvg_py  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"holdfast\[bench\]"):
            retention_plot.write(result[0], path)
        return
    retention_plot.write(result[0], path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_command_writes_json_and_a_drawing(chats: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "out.json", tmp_path / "curves.svg"
    arguments = ["--data", str(chats), "--only", "chats", "--budgets", "1/2", "--streams", "1"]
    arguments += ["--policies", "oldest", "--jobs", "2", "--json", str(out), "--plot", str(plot)]
    assert main(["bench", "retention", *arguments]) == 0
    found = json.loads(out.read_text("utf-8"))
    assert {cell["streams"] for cell in found["results"]} == {1}
    assert found["summary"]["single"] == ["chats"]
    assert found["summary"]["violations"] == 0
    assert "oldest" in plot.read_text("utf-8")


@pytest.mark.parametrize(
    "wrong",
    [("--budgets", "2"), ("--budgets", "1/0"), ("--streams", "x=y"), ("--plot", "curves.pdf")],
)
def test_wrong_options_are_refused_at_once(chats: Path, wrong: tuple[str, str]) -> None:
    assert main(["bench", "retention", "--data", str(chats), *wrong]) == 2
