"""All of a memory out as lines and back: the same memory, or nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Automaton, Event, Memory
from holdfast.errors import (
    ConflictError,
    CorruptStoreError,
    HoldfastError,
    InvalidEventError,
    NotFoundError,
)
from holdfast.exchange import Restored, parse, restore

from worlds import T0, large_events, opened, prose, ticking

QUESTIONS = ("where is the lantern?", "copper violin", "which port has the database?", "Ana")


def exported(memory: Memory) -> bytes:
    out = io.StringIO()
    lines = memory.export(out, lossless=True)
    data = out.getvalue().encode("ascii")
    assert data.count(b"\n") == lines
    return data


def reopened(path: Path, **options: Any) -> Memory:
    return Memory.open(path, durability="off", clock=ticking(T0 + 1e6), **options)


def look(memory: Memory) -> dict[str, Any]:
    """Everything a memory tells of itself, by the question it answers."""
    docs, automata = memory.documents(scope="lab"), memory.automata(scope="shop")
    return {
        "state": memory.state_hash(),
        "log": list(memory.log()),
        "episodes": list(memory.episodes()),
        "recall": [memory.recall(q, tokens=300, explain=True) for q in QUESTIONS],
        "as_of": memory.recall("lantern", as_of=T0 + 50, tokens=300),
        "scopes": memory.rank_scopes("copper violin"),
        "beliefs": memory.beliefs(status="all"),
        "history": memory.history("db"),
        "documents": [memory.document_history(name, scope="lab") for name in docs],
        "automata": [memory.automaton_history(name, scope="shop") for name in automata],
        "grants": memory.grants(),
        "changes": memory.changes(),
        "journal": list(memory._mirror.state.entries.values()),
        "ledger": memory.ledger(),
        "totals": memory.loss_totals(),
        "forgotten": [memory.forgotten(q) for q in QUESTIONS],
        "probes": memory.fidelity(),
        "keys": sorted(memory._store.idempotency_keys()),
        "checkpoints": memory.checkpoints(),
        "proof": memory.prove(memory._mirror.next_seq - 1),  # its path ends in the root
        "counts": dict(memory.usage().events),
        "origin": memory.audit_origin,
        "next": memory._mirror.next_seq,
        "vectors": list(memory._store.vectors()),
    }


def rich(memory: Memory, n: int) -> None:
    """Something of every kind that a memory can hold."""
    memory.observe_many(large_events(n))
    memory.observe("The lantern is on the third shelf.", speaker="Ana", key="lantern")
    memory.observe(b"\x00\xff raw", kind="observation", metadata={"b": [1, None]}, pinned=True)
    memory.observe("I live in Porto.", speaker="Mallory", role="user")
    memory.observe("My phone number is 555-0100.", speaker="Zoe", role="user")
    memory.believe("db", "port", "5433", scope="agent/ana", by="agent/ana", key="port")
    memory.believe("db", "port", "6000", scope="agent/ana", by="agent/ana", evidence=[n + 1])
    memory.put_document("desk", {"lamp": "off"}, scope="lab")
    memory.patch_document("desk", {"lamp": "on"}, scope="lab")
    oven = Automaton("oven", ("idle", "hot"), "idle", (("idle", "heat", "hot"),))
    memory.declare(oven, scope="shop")
    memory.step("oven", "heat", scope="shop")
    memory.grant("agent/bo", "read", "agent/ana")
    memory.checkpoint()
    memory.used_events([n + 1])
    memory.revoke("Mallory")
    memory.erase(source="Zoe")


@pytest.mark.parametrize(
    ("n", "policy", "lost"),
    [(0, "demand", ["erased"]), (40, "demand", ["erased"]), (120, "demand", ["gist", "trace"]),
     (120, "oldest", ["evicted"])],
)  # fmt: skip
def test_everything_comes_back_as_it_was(
    n: int, policy: str, lost: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "one.holdfast"
    with reopened(path, budget="640 KiB", embedder="scripted", retention=policy) as one:
        rich(one, n)
        assert one.settle()
    # From here without its embedder, which may be late and so lets recall be lexical.
    with reopened(path, retention=policy) as one:
        assert all(one.usage().events[tier] > 0 for tier in lost)
        data, before = exported(one), look(one)
        made = restore(tmp_path / "two.holdfast", io.BytesIO(data))
        assert made == Restored(tmp_path / "two.holdfast", len(one), one.usage().budget, ())
        with reopened(made.path, retention=policy) as two:
            after = look(two)
            for name, value in before.items():
                assert after[name] == value, name
            assert two.verify().ok
            usage = two.usage()
            assert usage.disk <= usage.budget == one.usage().budget
            assert exported(two) == data
            for memory in (one, two):  # and both go on
                again = memory.observe(
                    "The lantern is on the third shelf.", speaker="Ana", key="lantern"
                )
                assert again.seq == n + 1
                memory.observe_many(large_events(20, seed=8))
                assert memory.prove_extends(before["checkpoints"][0])
                assert memory.verify().ok
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{n}.holdfast{end}" for n in ("one", "two") for end in ("", "-lock")}


words = st.text(max_size=12) | st.sampled_from(["\ud800", "lantern", "I live in Porto."])
events = st.builds(
    Event,
    words.filter(bool) | st.binary(min_size=1, max_size=9),
    speaker=st.sampled_from([None, "Ana", "\udfff"]),
    at=st.none() | st.floats(-1e9, 2e9),
    scope=st.sampled_from(["", "a/b", "日本"]),
    metadata=st.dictionaries(words, st.floats() | words | st.none(), max_size=2),
    key=st.none() | words,
    pinned=st.booleans(),
)


@settings(max_examples=10)
@given(st.lists(events, max_size=8), st.integers(0, 3))
def test_any_events_come_back(past: list[Event], erased: int) -> None:
    with opened("1 MiB") as one, opened() as elsewhere:
        for event in past:
            try:
                one.observe(event)
            except HoldfastError:  # its key was used before
                assert event.key is not None
        if erased and len(one) >= erased:
            one.erase(event=erased)
        data = exported(one)
        path = elsewhere._store.path.with_name("two.holdfast")
        restore(path, io.BytesIO(data))
        with reopened(path) as two:
            assert exported(two) == data
            assert repr(list(two.log())) == repr(list(one.log()))  # NaN is not itself
            assert two.state_hash() == one.state_hash()
            assert two.verify().ok


def test_a_memory_never_written_to_comes_back(tmp_path: Path) -> None:
    with opened() as one:
        restore(tmp_path / "two.holdfast", io.BytesIO(exported(one)))
    with reopened(tmp_path / "two.holdfast") as two:
        assert len(two) == 0
        assert two.observe("first").seq == 1


@pytest.mark.parametrize("seed", [1])
def test_a_full_memory_fits_its_own_budget(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    with opened("640 KiB") as one:
        for i in range(450):
            one.observe(prose(rng, 150), key=f"{rng.random()}", scope=f"s/{i // 9}")
        data = exported(one)
        restore(tmp_path / "two.holdfast", io.BytesIO(data))
        with reopened(tmp_path / "two.holdfast") as two:
            assert list(two.log()) == list(one.log())
            two.observe_many([prose(rng, 150) for _ in range(100)])
            assert two.usage().disk <= two.usage().budget
            assert two.verify().ok


def test_one_event_of_the_largest_size_comes_back(tmp_path: Path) -> None:
    with opened("4 MiB") as one:
        big = random.Random(1).randbytes(one._store.largest_event())
        one.observe(big)
        restore(tmp_path / "two.holdfast", io.BytesIO(exported(one)))
        with reopened(tmp_path / "two.holdfast") as two:
            assert two.get(1).event.content == big


def test_what_is_text_can_be_read_and_what_is_left_out_is_named() -> None:
    with opened() as one:
        one.observe("The lantern is on the third shelf.", speaker="Ana", at=T0)
        one.snapshot("before")
        head, first, *rest = map(json.loads, exported(one).splitlines())
        assert head == {
            "holdfast": "lossless export", "format": 1, "schema": 5, "budget": 2 << 20,
            "events": 2, "snapshots": ["before"],
        }  # fmt: skip
        assert (first["seq"], first["content"]) == (1, "The lantern is on the third shelf.")
        plain = io.StringIO()
        assert one.export(plain) == 2
        assert [first, rest[0]] == [json.loads(line) for line in plain.getvalue().splitlines()]
        assert rest[-1]["end"]["lines"] == len(rest) + 1


def test_snapshots_are_not_in_it(tmp_path: Path) -> None:
    with opened() as one:
        one.observe("before")
        one.snapshot("early")
        made = restore(tmp_path / "two.holdfast", io.BytesIO(exported(one)))
        assert made.snapshots == ("early",)
        with reopened(made.path) as two:
            assert two.snapshots() == []
            with pytest.raises(NotFoundError, match="known: none"):
                two.rollback("early")
            assert two.verify().ok


# ---- refusals ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> bytes:
    with opened("1 MiB") as memory:
        memory.observe("The lantern is on the third shelf.", key="k")
        memory.believe("db", "port", "5433")
        return exported(memory)


def resealed(lines: list[bytes]) -> bytes:
    """Lines with a last line that fits them, as whoever changes an export on purpose can write."""
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    end = {"end": {"lines": len(lines), "sha256": digest}}
    return b"".join(lines) + json.dumps(end).encode() + b"\n"


def refused(data: bytes, folder: Path, kind: type[HoldfastError], match: str) -> None:
    with pytest.raises(kind, match=match):
        restore(folder / "two.holdfast", io.BytesIO(data))
    assert {path.name for path in folder.iterdir()} <= {"two.holdfast-lock"}


def test_every_way_to_cut_it_short_is_noticed(small: bytes, tmp_path: Path) -> None:
    lines = small.splitlines(keepends=True)
    for n in range(len(lines)):
        refused(b"".join(lines[:n]), tmp_path, InvalidEventError, "line")
    refused(small[:-20], tmp_path, InvalidEventError, "is not JSON")
    refused(small + lines[-1], tmp_path, InvalidEventError, "cut short or changed")


@settings(max_examples=60)
@given(st.data())
def test_a_changed_byte_is_noticed(small: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(small) - 2))
    to = data.draw(st.integers(1, 255))
    changed = small[:at] + bytes([small[at] ^ to]) + small[at + 1 :]
    with opened("1 MiB") as elsewhere:
        path = elsewhere._store.path.with_name("two.holdfast")
        with pytest.raises(InvalidEventError, match="line"):
            restore(path, io.BytesIO(changed))
        assert not path.exists()


def edited(data: bytes, find: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    lines = data.splitlines(keepends=True)[:-1]
    at = next(i for i, line in enumerate(lines) if find in line)
    line = json.loads(lines[at])
    change(line)
    lines[at] = json.dumps(line).encode() + b"\n"
    return resealed(lines)


def test_a_readable_line_that_lies_is_noticed(small: bytes, tmp_path: Path) -> None:
    def lie(line: dict[str, Any]) -> None:
        line["content"] = "The lantern is on the fourth shelf."

    match = "readable line of event 1 and the log disagree"
    refused(edited(small, b"lantern", lie), tmp_path, CorruptStoreError, match)
    lines = [line for line in small.splitlines(keepends=True)[:-1] if b"lantern" not in line]
    refused(resealed(lines), tmp_path, CorruptStoreError, "disagree")


def test_a_row_that_is_missing_or_damaged_is_noticed(small: bytes, tmp_path: Path) -> None:
    lines = small.splitlines(keepends=True)[:-1]
    kept = [line for line in lines if b'"tail"' not in line]
    refused(resealed(kept), tmp_path, CorruptStoreError, "disagree")

    def flip(line: dict[str, Any]) -> None:
        data = bytearray(base64.b64decode(line["of"][-1]))
        data[-1] ^= 1
        line["of"][-1] = base64.b64encode(data).decode()

    for find in (b'"row": "tail"', b'["state"'):
        refused(edited(small, find, flip), tmp_path, HoldfastError, "run verify|CRC|cannot be read")


BAD_ROWS = [
    {"row": "tale", "of": [1, "AA=="]},
    {"row": "tail", "of": [1]},
    {"row": "tail", "of": "x"},
    {"row": ["tail"], "of": [1, "AA=="]},
    {"row": "tail", "of": [True, "AA=="]},
    {"row": "tail", "of": [1 << 70, "AA=="]},
    {"row": "tail", "of": [1, "not base64"]},
    {"row": "tail", "of": [1, None]},
    {"row": "meta", "of": ["a", 1]},
]


@pytest.mark.parametrize("bad", BAD_ROWS, ids=str)
def test_a_row_nobody_knows_is_named_by_its_line(
    bad: dict[str, Any], small: bytes, tmp_path: Path
) -> None:
    lines = [*small.splitlines(keepends=True)[:-1], json.dumps(bad).encode() + b"\n"]
    refused(resealed(lines), tmp_path, InvalidEventError, f"line {len(lines)} ")


def test_other_files_and_newer_formats_are_refused(small: bytes, tmp_path: Path) -> None:
    refused(b"", tmp_path, InvalidEventError, "line 1 is not JSON")
    refused(b'{"content": "x"}\n', tmp_path, InvalidEventError, "line 1 does not begin a lossless")
    for name, value in (("format", 2), ("schema", 99), ("schema", None)):
        newer = edited(small, b"lossless export", lambda line, n=name, v=value: line.update({n: v}))
        refused(newer, tmp_path, InvalidEventError, "use a newer Holdfast")
    tiny = edited(small, b"lossless export", lambda line: line.update(budget=1000))
    refused(tiny, tmp_path, InvalidEventError, "line 1: a budget of 1000")


def test_a_memory_that_exists_is_left_alone(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "two.holdfast"
    with Memory.open(path, "1 MiB", durability="off") as memory:
        memory.observe("mine")
    with pytest.raises(ConflictError, match="makes a memory of its own; name a file"):
        restore(path, io.BytesIO(small))
    with reopened(path) as memory:
        assert [record.text for record in memory.log()] == ["mine"]


def test_a_plain_import_says_what_to_do_with_it(small: bytes) -> None:
    with pytest.raises(InvalidEventError, match=r"line 1 .* into a file that is not there yet"):
        list(parse(io.StringIO(small.decode())))


def test_what_a_crash_left_is_overwritten(small: bytes, tmp_path: Path) -> None:
    for suffix in (".part", ".part-wal", ".part-shm", ".part-lock"):
        tmp_path.joinpath("two.holdfast" + suffix).write_bytes(b"left by a crash" * 999)
    restore(tmp_path / "two.holdfast", io.BytesIO(small))
    with reopened(tmp_path / "two.holdfast") as two:
        assert two.verify().ok
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two.holdfast", "two.holdfast-lock"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_at_the_end_leaves_nothing(
    call: str, small: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(OSError, match="gone"):
            restore(tmp_path / "two.holdfast", io.BytesIO(small))
    assert {path.name for path in tmp_path.iterdir()} == {"two.holdfast-lock"}
    restore(tmp_path / "two.holdfast", io.BytesIO(small))


class Interrupted(BaseException):
    """As an interrupt from the keyboard, which pytest takes for its own."""


class Breaking(io.BytesIO):
    """A file whose reading fails after so many lines, over all times it is read."""

    def __init__(self, data: bytes, lines: int) -> None:
        super().__init__(data)
        self.left = lines

    def __next__(self) -> bytes:
        if not self.left:
            raise Interrupted
        self.left -= 1
        return super().__next__()


def test_an_interrupt_at_any_line_leaves_nothing(small: bytes, tmp_path: Path) -> None:
    reads = 3 * small.count(b"\n")
    for lines in range(0, reads, 2):
        with pytest.raises(Interrupted):
            restore(tmp_path / "two.holdfast", Breaking(small, lines))
        assert {path.name for path in tmp_path.iterdir()} <= {"two.holdfast-lock"}
    restore(tmp_path / "two.holdfast", Breaking(small, 2 * reads))


def killed_after(path: Path, small: bytes, seconds: float) -> None:
    """Start a restore in another process and kill it."""
    source = path.with_name("small.jsonl")
    source.write_bytes(small)
    code = "import sys; from holdfast.exchange import restore; print('go', flush=True); "
    code += f"restore({str(path)!r}, open({str(source)!r}, 'rb'))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(seconds)
        child.kill()


def test_a_killed_import_leaves_a_whole_memory_or_none(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "two.holdfast"
    for step in range(5):
        killed_after(path, small, 0.01 * step)
        if path.exists():
            with reopened(path) as two:
                assert two.verify().ok
                assert len(two) == 2
            path.unlink()
    restore(path, io.BytesIO(small))  # whatever was left is in nobody's way


def test_progress_is_told(small: bytes, tmp_path: Path) -> None:
    told: list[int] = []
    restore(tmp_path / "two.holdfast", io.BytesIO(small))
    with reopened(tmp_path / "two.holdfast") as two:
        two.export(io.StringIO(), lossless=True, progress=told.append)
        two.export(io.StringIO(), progress=told.append)
    assert told == [1, 2, 1, 2]
