"""The command line: what it stores, prints and exits with."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Event, Memory, Verification
from holdfast.cli import main, observe, read, render
from holdfast.records import KINDS, Context, Item, Omission, Record, Tier
from holdfast.wire import lines

ROWS: list[dict[str, Any]] = [
    {"content": "The spare key is under the blue pot.", "speaker": "Ana", "at": 1_740_988_800},
    {"text": "I moved the bicycle to the shed.", "speaker": "Ben", "at": "2025-03-03T08:05:00Z"},
    {"content": "Dentist on Thursday at nine.", "speaker": "Ana", "mood": "calm", "size": 3},
]


class Shell:
    """Runs command lines in this process and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capsys, self.folder = capsys, folder
        self.file = str(folder / "m.holdfast")

    def __call__(self, *arguments: str, code: int = 0) -> str:
        found = main(list(arguments))
        self.out, self.err = self._capsys.readouterr()
        assert found == code, self.err
        return self.out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def failure(self, *arguments: str, code: int) -> tuple[str, str]:
        """The error and the hint of a command line that fails."""
        self(*arguments, code=code)
        error, hint = self.err.splitlines()[0], self.err.splitlines()[-1]
        assert error.startswith("error: ")
        assert hint.startswith("hint: ")
        return error, hint


@pytest.fixture
def sh(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    return Shell(capsys, tmp_path)


@pytest.fixture
def full(sh: Shell) -> Shell:
    """A shell whose memory holds the three rows."""
    source = sh.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    assert sh("observe", sh.file, source, "--budget", "1 MiB") == "stored 3 events (e1 to e3)\n"
    return sh


# ---- observe -----------------------------------------------------------------------------------


def test_fields_become_events_and_the_rest_metadata(full: Shell) -> None:
    with Memory.open(full.file) as memory:
        first, second, third = memory.log()
    assert first.event.content == ROWS[0]["content"]
    assert first.event.at == 1_740_988_800
    assert second.event.content == ROWS[1]["text"]
    assert second.event.at == 1_740_989_100
    assert dict(third.event.metadata) == {"mood": "calm", "size": 3}


def test_a_bad_line_stops_everything(sh: Shell) -> None:
    source = sh.write("in.jsonl", '{"content": "good"}\n\n{"content": 3}\nnot json\n')
    error, hint = sh.failure("observe", sh.file, source, "--budget", "1 MiB", code=4)
    assert error == "error: 2 of 3 lines are no events; nothing was stored"
    assert "line 3: " in sh.err
    assert "line 4: it is not JSON (column 1" in sh.err
    assert "--skip-bad" in hint
    assert not os.path.exists(sh.file)


def test_skip_bad_stores_the_good_lines(sh: Shell) -> None:
    source = sh.write("in.jsonl", '{"content": "good"}\n[1]\n{"content": "also"}\n')
    arguments = ("observe", sh.file, source, "--budget", "1 MiB", "--skip-bad")
    found = sh.json(*arguments)
    assert found["events"] == 2
    assert found["bad"] == [{"number": 2, "reason": "it is a JSON list, not an object"}]
    sh(*arguments)
    assert "line 2: it is a JSON list" in sh.err


def test_bad_lines_as_json(sh: Shell) -> None:
    source = sh.write("in.jsonl", "{}\n")
    found = sh.json("observe", sh.file, source, "--budget", "1 MiB", code=4)
    assert found["events"] == 0
    assert [bad["number"] for bad in found["bad"]] == [1]


def test_only_the_first_bad_lines_are_named(sh: Shell) -> None:
    source = sh.write("in.jsonl", "x\n" * 30)
    sh.failure("observe", sh.file, source, "--budget", "1 MiB", code=4)
    assert sh.err.count("  line ") == observe.SHOWN
    assert "and 20 more" in sh.err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"content": ""}', "at least 1 byte"),
        ('{"content": "x", "at": "yesterday"}', "'at' must be"),
        ('{"content": "x", "at": true}', "'at' must be"),
        ('{"content": "x", "at": 1e300}', "no time"),
        ('{"content": "x", "kind": "rumour"}', "kind"),
        ('{"content": "x", "pinned": 1}', "'pinned' must be true or false"),
        ('{"content": "x", "parents": ["1"]}', "'parents' must be"),
        ('{"content": "x", "parents": [true]}', "'parents' must be"),
        ('{"content": "x", "parents": 1}', "'parents' must be"),
        ('{"content": "x", "metadata": []}', "'metadata' must be"),
        ('{"content": "x", "speaker": 5}', "speaker must be text"),
        ('{"content": "x", "scope": {}}', "scope"),
        ('{"content": "x", "n": NaN}', "NaN"),
        ('{"content_base64": "*"}', "base64"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "not an object"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_reasons(line: str, reason: str) -> None:
    (found,) = lines.Reader().read([(7, line)])
    assert isinstance(found, lines.BadLine)
    assert found.number == 7
    assert reason in found.reason


@given(
    content=st.text(min_size=1).filter(lambda text: text.isprintable()),
    speaker=st.none() | st.text(max_size=20),
    kind=st.sampled_from([kind for kind in KINDS if kind != "state"]),
    at=st.none() | st.floats(-1e9, 4e9),
    own=st.dictionaries(
        st.sampled_from(["mood", "size", "tier", "terms", "colour"]), st.integers() | st.text()
    ),
    pinned=st.booleans(),
    parents=st.lists(st.integers(1, 9)),
)
def test_any_event_survives_its_line(
    content: str,
    speaker: str | None,
    kind: str,
    at: float | None,
    own: dict[str, Any],
    pinned: bool,
    parents: list[int],
) -> None:
    row = {"content": content, "speaker": speaker, "kind": kind, "at": at, "pinned": pinned}
    event = lines.Reader().event(json.dumps({**row, "parents": parents, **own}))
    assert event == Event(
        content,
        speaker=speaker or None,
        kind=kind,  # type: ignore[arg-type]
        at=at,
        metadata=own,
        parents=tuple(parents),
        pinned=pinned,
    )


def test_bytes_and_defaults() -> None:
    reader = lines.Reader(scope="team/a", speaker="Ana", kind="note")
    event = reader.event('{"content_base64": "AP8="}')
    assert event == Event(b"\x00\xff", scope="team/a", speaker="Ana", kind="note")
    own = reader.event('{"content": "x", "scope": "b", "speaker": "Ben", "kind": "message"}')
    assert own == Event("x", scope="b", speaker="Ben")


def test_plain_text(sh: Shell) -> None:
    source = sh.write("in.txt", "one\r\n\n  two \nthree\x0bfour")
    options = ("--format", "text", "--budget", "1 MiB", "--speaker", "log", "--scope", "app/")
    assert sh.json("observe", sh.file, source, *options)["events"] == 3
    with Memory.open(sh.file) as memory:
        records = list(memory.log())
    assert [r.event.content for r in records] == ["one", "  two ", "three\x0bfour"]
    assert {(r.event.speaker, r.event.scope.strip("/")) for r in records} == {("log", "app")}


def test_standard_input(sh: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = io.TextIOWrapper(io.BytesIO(b'{"content": "from a pipe"}\n'))
    monkeypatch.setattr(sys, "stdin", typed)
    assert sh.json("observe", sh.file, "--budget", "1 MiB")["events"] == 1


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_input(sh: Shell, suffix: str) -> None:
    text = b'{"content": "packed"}\n'
    packed = gzip.compress(text) if suffix == ".gz" else zstandard.compress(text)
    source = sh.write("in.jsonl" + suffix, packed)
    assert sh.json("observe", sh.file, source, "--budget", "1 MiB")["events"] == 1


def test_keys_are_known_the_second_time(sh: Shell) -> None:
    source = sh.write("in.jsonl", '{"content": "once", "key": "k1"}\n')
    assert sh("observe", sh.file, source, "--budget", "1 MiB") == "stored 1 event (e1 to e1)\n"
    assert "1 known already" in sh("observe", sh.file, source)


def test_what_was_let_go_is_said(sh: Shell) -> None:
    rng = random.Random(1)
    words = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("nk", "rt", "st", "mp")]
    rows = (" ".join(rng.choices(words, k=200)) for _ in range(2000))
    source = sh.write("in.txt", "\n".join(rows))
    said = sh("observe", sh.file, source, "--format", "text", "--budget", "704 KiB")
    assert "demoted and" in said
    status = sh.json("status", sh.file)
    assert status["disk"] <= status["budget"] == 704 * 1024


# ---- following ---------------------------------------------------------------------------------


class Actor:
    """Takes the place of `sleep`: each nap does the next thing to the file, the last one stops."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts: Iterator[Callable[[], object]] = iter(acts)

    def __call__(self, seconds: float) -> None:
        for act in self._acts:
            act()
            return
        raise KeyboardInterrupt


def followed(path: Path, *acts: Callable[[], object]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []

    def read() -> None:
        for batch in lines.follow(str(path), Actor(*acts)):
            found.extend(batch)

    with pytest.raises(KeyboardInterrupt):
        read()
    return found


def test_follow_reads_what_is_added(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")

    def add(data: bytes) -> Callable[[], object]:
        return lambda: path.write_bytes(path.read_bytes() + data)

    found = followed(path, add(b"o"), add(b"\n\nfour\n"), add(b"half"))
    assert found == [(1, "one"), (2, "two"), (3, ""), (4, "four")]


def test_follow_survives_rotation_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old one\nold two\n")
    new = tmp_path / "new"
    new.write_bytes(b"new\n")
    found = followed(
        path, lambda: path.write_bytes(b"cut\n"), path.unlink, lambda: new.rename(path)
    )
    assert [text for _, text in found] == ["old one", "old two", "cut", "new"]
    assert found[-1][0] == 1, "a new file has a first line"


def test_follow_waits_for_the_end_of_a_long_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 3_000_000)
    found = followed(path, lambda: path.write_bytes(path.read_bytes() + b"\nnext\n"))
    assert [len(text) for _, text in found] == [3_000_000, 4]


def test_follow_needs_a_file(sh: Shell) -> None:
    sh.failure("observe", sh.file, "--follow", code=2)
    error, _ = sh.failure(
        "observe", sh.file, str(sh.folder / "none"), "-f", "--budget", "1 MiB", code=1
    )
    assert "no such file" in error
    assert not os.path.exists(sh.file)


def test_follow_command_stores_and_stops(sh: Shell) -> None:
    source = sh.write("in.txt", "one\ntwo\nthree is not ended")
    options = ("--format", "text", "--budget", "1 MiB", "--follow", "--idle-exit", "0")
    found = sh.json("observe", sh.file, source, *options)
    assert (found["events"], found["first"], found["last"]) == (2, 1, 2)


def test_follow_stops_at_a_bad_line_and_keeps_what_was_before(
    sh: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches(*_: object) -> Iterator[list[tuple[int, str]]]:
        yield [(1, '{"content": "good"}')]
        yield [(2, "bad")]

    monkeypatch.setattr(observe, "follow", batches)
    source = sh.write("in.jsonl", "")
    options = ("--follow", "--budget", "1 MiB")
    error, _ = sh.failure("observe", sh.file, source, *options, code=4)
    assert "1 event before them stored" in error
    found = sh.json("observe", sh.file, source, *options, "--skip-bad")
    assert (found["events"], len(found["bad"])) == (1, 1)


# ---- reading -----------------------------------------------------------------------------------


def test_recall_prints_what_a_model_is_given(full: Shell) -> None:
    printed = full("recall", full.file, "where is the spare key?", "--tokens", "200")
    with Memory.open(full.file) as memory:
        assert printed == memory.recall("where is the spare key?", tokens=200).text + "\n"


def test_recall_as_json(full: Shell) -> None:
    found = full.json("recall", full.file, "spare key", "--explain")
    item = next(item for item in found["items"] if item["seq"] == 1)
    assert item["citation"] == "e1[0:36]"
    assert item["tier"] == "verbatim"
    assert found["tokens"] <= found["token_budget"] == 1000


def test_recall_sees_only_what_it_may(full: Shell) -> None:
    until = full.json("recall", full.file, "bicycle", "--until", "2025-03-03T08:01:00Z")
    assert all(item["seq"] == 1 for item in until["items"])
    before = full.json("recall", full.file, "bicycle", "--before", "2")
    assert all(item["seq"] == 1 for item in before["items"])
    elsewhere = full.json("recall", full.file, "bicycle", "--scope", "no/where")
    assert elsewhere["items"] == []


def test_recall_for_people(full: Shell) -> None:
    printed = full("recall", full.file, "spare key", "--explain")
    assert "● e1[0:36]" in printed
    assert "Ana, 2025-03-03 08:00" in printed
    assert "of 1,000 tokens" in printed


def test_a_person_sees_items_and_not_the_envelope(
    full: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "pretty", lambda: True)
    printed = full("recall", full.file, "spare key")
    assert "● e1[0:36]" in printed
    assert "<memory>" not in printed


def test_tiers_and_notes_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"bm25": 1.0}
    gist = Item(7, Tier.GIST, "a … b", (3, 9), "Ana", 0.0, "s/1", 2.0, "match", parts)
    trace = Item(8, Tier.TRACE, "key pot", (0, 40), None, 60.0, "", 0.5, "neighbour", parts)
    context = Context(
        "q", "text", 9, 10, (gist, trace), (Omission(3, 0.1, "over budget"),), False, True, True
    )
    render.print_context(context, explain=True)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "◐ e7[3:9]  Ana, 1970-01-01 00:00  s/1  gist only"
    assert lines[3] == "○ e8[0:40]  ?, 1970-01-01 00:01  trace only  neighbour"
    assert "left out: e3 (over budget)" in lines
    said = " ".join(lines[-2:])
    for note in (
        "9 of 10 tokens",
        "1 more match does not fit",
        "by words only",
        "vectors",
    ):
        assert note in said


def test_a_log_line_is_cut_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(4, Event("word " * 100), 0.0, Tier.VERBATIM, 500, b"")
    render.print_record(record)
    assert len(capsys.readouterr().out) > 400
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    render.print_record(record)
    assert "…" in capsys.readouterr().out


def test_bytes_are_shown_by_their_size(capsys: pytest.CaptureFixture[str]) -> None:
    render.print_record(Record(4, Event(b"\x00"), 0.0, Tier.VERBATIM, 2048, b""))
    assert "(2.0 KiB)" in capsys.readouterr().out


def test_nothing_matches(full: Shell) -> None:
    assert "nothing matches" in full("recall", full.file, "x", "--explain", "--scope", "none")


def test_log(full: Shell) -> None:
    assert full("log", full.file, "--after", "1", "--limit", "1") == (
        "● e2  2025-03-03 08:05  Ben: I moved the bicycle to the shed.\n"
    )
    rows = [json.loads(line) for line in full("log", full.file, "--json").splitlines()]
    assert [row["seq"] for row in rows] == [1, 2, 3]
    assert rows[2]["event"]["metadata"]["mood"] == "calm"
    assert len(rows[0]["digest"]) == 16


def test_why_not(full: Shell) -> None:
    said = full("why-not", full.file, "3", "bicycle")
    assert said.strip()
    assert full.json("why-not", full.file, "3", "bicycle")["reason"] == said.strip()


def test_status(full: Shell) -> None:
    printed = full("status", full.file)
    assert "of 1.0 MiB" in printed
    assert "● 3 verbatim" in printed
    assert full.json("status", full.file)["events"]["verbatim"] == 3


def test_verify(full: Shell) -> None:
    assert full("verify", full.file).startswith("ok: 3 events")
    assert full.json("verify", full.file)["ok"] is True


def test_verify_lists_problems(full: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Verification(False, ("block 9 fails its checksum",), 3, 1)
    monkeypatch.setattr(Memory, "verify", lambda self: found)
    full("verify", full.file, code=3)
    assert "  block 9 fails its checksum" in full.err
    assert "hint: save what can be read" in full.err
    assert full.json("verify", full.file, code=3)["problems"] == list(found.problems)


def test_verify_finds_damage(sh: Shell) -> None:
    source = sh.write("in.txt", "\n".join(f"event number {n} of many" for n in range(4000)))
    sh("observe", sh.file, source, "--format", "text", "--budget", "4 MiB")
    data = bytearray(Path(sh.file).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = b"\xa5" * 64
    Path(sh.file).write_bytes(data)
    assert main(["verify", sh.file]) == 3


def test_resize(full: Shell) -> None:
    assert full.json("resize", full.file, "2 MiB")["budget"] == 2 << 20
    assert "of 1.0 MiB" in full("resize", full.file, "1 MiB")
    full.failure("resize", full.file, "1 KiB", code=5)


# ---- export and import -------------------------------------------------------------------------


def test_export_and_import_are_inverse(full: Shell) -> None:
    out = str(full.folder / "out.jsonl")
    assert full("export", full.file, out) == f"wrote 3 lines to {out}\n"
    other = str(full.folder / "other.holdfast")
    assert full("import", other, out, "--budget", "1 MiB") == "imported 3 events\n"
    with Memory.open(full.file) as one, Memory.open(other) as two:
        assert [r.event for r in one.log()] == [r.event for r in two.log()]
    assert full("export", full.file) == Path(out).read_text("utf-8")
    assert full.json("import", other, out) == {"events": 3}
    assert full.json("export", full.file, out)["lines"] == 3
    assert not os.path.exists(out + ".part")


def test_export_that_fails_leaves_the_old_file(full: Shell) -> None:
    out = full.write("out.jsonl", "old")
    folder = full.folder / "out.jsonl.part"
    folder.mkdir()
    full.failure("export", full.file, out, code=1)
    assert Path(out).read_text("utf-8") == "old"


def test_import_names_the_bad_line(full: Shell) -> None:
    source = full.write("in.jsonl", '{"content": "x"}\n{}\n')
    error, _ = full.failure("import", full.file, source, code=4)
    assert "line 2" in error
    assert full.json("status", full.file)["events"]["verbatim"] == 3
