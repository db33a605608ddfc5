"""The command line of state: beliefs, documents, automata, moments, sharing, proof, erasure."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from holdfast import Memory
from holdfast.api.audit import check_proof
from holdfast.api.history import Difference
from holdfast.cli import common, main, root, tell
from holdfast.errors import AccessError
from holdfast.state.records import Belief, Change, Evidence
from holdfast.trust.log import Proof

OVEN = (
    '{"states": ["idle", "hot"], "initial": "idle", "transitions": [["idle", "heat", "hot"],'
    ' ["hot", "cool", "idle"]], "final": ["idle"]}'
)
PROGRAM = "import sys; from holdfast.cli import main; sys.exit(main())"


class Shell:
    """Runs command lines on one memory in this process and keeps what they print."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        self._capsys, self._patch, self.folder = capsys, patch, folder
        self.file = str(folder / "m.holdfast")

    def __call__(self, *words: str, code: int = 0, typed: str = "") -> str:
        self._patch.setattr(sys, "stdin", io.StringIO(typed))
        found = main(list(words))
        self.out, self.err = self._capsys.readouterr()
        assert found == code, self.err
        assert "Traceback" not in self.err
        return self.out

    def on(self, command: str, *words: str, code: int = 0, typed: str = "") -> str:
        """Run a command on the memory."""
        return self(*command.split(), self.file, *words, code=code, typed=typed)

    def json(self, command: str, *words: str) -> Any:
        return json.loads(self.on(command, *words, "--json"))

    def lines(self, command: str, *words: str) -> list[Any]:
        return [json.loads(line) for line in self.on(command, *words, "--json").splitlines()]

    def failure(self, command: str, *words: str, code: int) -> tuple[str, str]:
        """The error and the hint of a command that fails; each is one line."""
        self.on(command, *words, code=code)
        error, hint = self.err.splitlines()
        assert error.startswith("error: ")
        assert hint.startswith("hint: ")
        return error.removeprefix("error: "), hint.removeprefix("hint: ")

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)


@pytest.fixture
def sh(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Shell:
    return Shell(capsys, monkeypatch, tmp_path)


@pytest.fixture
def home(sh: Shell) -> Shell:
    """A shell whose memory holds that Ana moved from Lisbon to Porto."""
    ana = ("--by", "Ana")
    sh.on("believe", "Ana", "lives_in", "Lisbon", "--valid-from", "2024-01-01", *ana,
          "--budget", "2 MiB")  # fmt: skip
    sh.on("believe", "Ana", "lives_in", "Porto", "--valid-from", "2025-05-01", *ana)
    return sh


# ---- beliefs -----------------------------------------------------------------------------------


def test_a_later_belief_supersedes(home: Shell) -> None:
    (porto,) = home.json("beliefs")
    assert (porto["id"], porto["text"], porto["trust"]) == ("b2.0", "Ana lives in Porto", "user")
    assert porto["sources"] == ["Ana"]
    assert porto["evidence"][0]["citation"] == "e2[0:18]"
    assert len(porto["evidence"][0]["digest"]) == 16
    (lisbon,) = home.json("beliefs", "--status", "retired")
    assert lisbon["superseded_by"] == "b2.0"


def test_what_a_statement_did_is_said(home: Shell) -> None:
    said = home.on("believe", "Ana", "lives_in", "Faro", "--valid-from", "2026-01-01")
    assert said.splitlines() == [
        "believed, in place of b2.0  recorded as e3",
        "● b3.0  Ana lives in Faro  since 2026-01-01  [e3[0:17]]",
        "○ b2.0  Ana lives in Porto  superseded by b3.0  2025-05-01 – 2026-01-01  by Ana  "
        "[e2[0:18]]",
    ]
    same = home.on("believe", "Ana", "lives_in", "Faro", "--valid-from", "2026-01-01")
    assert same.startswith("confirmed")
    doubt = home.on("believe", "Ana", "lives_in", "Rome", "--trust", "untrusted")
    assert doubt.startswith("disputed: somebody who is trusted more")
    assert "◌ b5.0  Ana lives in Rome  disputed" in doubt


def test_every_option_of_believe_reaches_the_belief(home: Shell) -> None:
    source = home.write("in.jsonl", '{"content": "Tea is what I drink.", "speaker": "Ana"}\n')
    home.on("observe", source)
    done = home.json(
        "believe", "Ana", "drinks", "tea", "--kind", "preference", "--scope", "user/ana",
        "--evidence", "e3[0:3]", "--evidence", "e3", "--why", "ask before cooking",
        "--alias", "beverage", "--confidence", "0.75", "--valid-from", "2025-01-01",
        "--valid-until", "2095-01-01", "--many", "--inferred", "--by", "Bo", "--trust", "owner",
        "--at", "2025-02-01", "--key", "k1",
    )  # fmt: skip
    (change,) = done["changes"]
    assert (change["action"], change["what"]) == ("add", "b4.0")
    (tea,) = home.json("beliefs", "--scope", "user")
    assert (tea["kind"], tea["status"], tea["trust"]) == ("preference", "inferred", "user")
    assert [piece["citation"] for piece in tea["evidence"]] == ["e3[0:3]", "e3[0:20]"]
    assert (tea["why_it_matters"], tea["aliases"]) == ("ask before cooking", ["beverage"])
    assert (tea["confidence"], tea["sources"]) == (0.75, ["Bo"])
    assert tea["valid_until"] == common.parse_time("2095-01-01")
    shown = home.on("beliefs", "--kind", "preference")
    assert shown.splitlines() == [
        "◐ b4.0  Ana drinks tea  preference  inferred  2025-01-01 – 2095-01-01  by Bo  "
        "[e3[0:3]] [e3[0:20]]  user/ana",
        "    ask before cooking",
    ]
    again = home.json("believe", "Ana", "drinks", "coffee", "--many", "--scope", "user/ana")
    assert again["changes"][0]["action"] == "add"


def test_beliefs_are_asked_for(home: Shell) -> None:
    home.on("believe", "Ben", "likes", "tea", "--scope", "team")
    assert [b["id"] for b in home.json("beliefs", "where does Ana live?")] == ["b2.0"]
    assert [b["id"] for b in home.json("beliefs", "--subject", "ben")] == ["b3.0"]
    assert [b["id"] for b in home.json("beliefs", "--predicate", "lives_in")] == ["b2.0"]
    assert [b["id"] for b in home.json("beliefs", "--scope", "team", "--scope", "x")] == ["b3.0"]
    assert len(home.json("beliefs", "--status", "all")) == 3
    assert len(home.json("beliefs", "--limit", "1")) == 1
    assert home.on("beliefs", "--subject", "nobody") == "nothing is held that matches\n"


def test_beliefs_of_another_time(home: Shell) -> None:
    (then,) = home.json("beliefs", "--valid-at", "2024-06-01")
    assert then["value"] == "Lisbon"
    recorded = home.json("history", "Ana")[0]["recorded_at"]
    (thought,) = home.json("beliefs", "--as-of", repr(recorded))
    assert (thought["value"], thought["superseded_by"]) == ("Lisbon", None)
    assert home.json("beliefs", "--as-of", "2020-01-01") == []
    assert [b["value"] for b in home.json("history", "Ana", "--as-of", repr(recorded))] == [
        "Lisbon"
    ]


def test_history_is_a_timeline(home: Shell) -> None:
    home.on("retract", "Ana", "lives_in", "--valid-from", "2026-02-01")
    assert home.on("history", "Ana", "lives_in").splitlines() == [
        "Ana lives in",
        "  2024-01-01 – 2025-05-01  ○ Lisbon  b1.0  superseded by b2.0  by Ana",
        "                             e1[0:19]  “Ana lives in Lisbon”",
        "  2025-05-01 – 2026-02-01  ○ Porto   b2.0  retracted  by Ana",
        "                             e2[0:18]  “Ana lives in Porto”",
    ]
    assert [b["status"] for b in home.json("history", "Ana")] == ["asserted", "retracted"]
    assert home.on("history", "Nobody") == "nothing is recorded about it\n"


def test_a_correction_says_so(home: Shell) -> None:
    home.on("believe", "Ana", "lives_in", "Braga", "--corrects")
    shown = home.on("history", "Ana")
    assert "○ Porto   b2.0  corrected by b3.0" in shown
    assert "● Braga" in shown


def test_retracting_what_is_not_held_changes_nothing(home: Shell) -> None:
    assert home.on("retract", "Ben", "likes", "tea").startswith("nothing changed")
    assert home.json("retract", "Ben", "likes", "tea")["changes"][0]["action"] == "ignore"


def test_statements_that_break_a_rule(home: Shell) -> None:
    error, hint = home.failure("believe", "Ana", "owns", "kiln", "-e", "e1[0:400]", code=4)
    assert "bytes 0 to 400" in error
    assert hint
    home.failure("believe", "Ana", "owns", "kiln", "-e", "page 3", code=4)
    home.failure("believe", "Ana", "owns", "kiln", "-e", "e77", code=1)
    home.failure("believe", "Ana", "owns", "kiln", "--confidence", "7", code=4)
    home.failure("believe", "Ana", "owns", " ", code=4)
    home.failure("believe", "Ana", "owns", "kiln", "--kind", "rumour", code=2)
    home.failure("believe", "Ana", "owns", "kiln", "--trust", "blind", code=2)
    home.failure("believe", "Ana", "owns", "kiln", "--valid-from", "soon", code=2)
    assert len(home.lines("log")) == 2


def test_only_a_budget_makes_a_memory(sh: Shell) -> None:
    for words in (
        ("believe", "Ana", "owns", "kiln"),
        ("state put", "desk", "{}"),
        ("state declare", "oven", OVEN),
    ):
        error, hint = sh.failure(*words, code=1)
        assert error == f"no memory at {sh.file}"
        assert "--budget" in hint
    for command in ("beliefs", "history", "state", "watch", "snapshot", "grants", "checkpoint"):
        sh.on(command, *["Ana"] * (command == "history"), code=1)
    assert not os.path.exists(sh.file)
    sh.on("state put", "desk", "{}", "--budget", "1 MiB")
    assert os.path.exists(sh.file)


# ---- documents ---------------------------------------------------------------------------------


def test_a_document_lives(home: Shell) -> None:
    lab = ("--scope", "lab")
    made = home.json("state put", "desk", '{"lamp": "off", "pens": [1, 2]}', *lab, "--expect", "0")
    assert (made["version"], made["scope"], made["deleted"]) == (1, "lab", False)
    assert home.on("state patch", "desk", '{"lamp": "on"}', *lab, "--by", "Bo").startswith(
        "desk  version 2  "
    )
    home.on("state patch", "desk", '[{"op": "remove", "path": "/pens/0"}]', *lab)
    assert json.loads(home.on("state get", "desk", *lab)) == {"lamp": "on", "pens": [2]}
    assert home.json("state get", "desk", *lab, "--version", "1")["value"]["lamp"] == "off"
    steps = json.loads(home.on("state diff", "desk", "1", "2", *lab))
    assert steps == [{"op": "replace", "path": "/lamp", "value": "on"}]
    gone = home.json("state delete", "desk", *lab)
    assert (gone["version"], gone["deleted"], gone["value"]) == (4, True, None)
    home.failure("state get", "desk", *lab, code=1)
    shown = home.on("state log", "desk", *lab).splitlines()
    assert shown[0].endswith('{"lamp": "off", "pens": [1, 2]}  e3')
    assert shown[3].endswith("deleted  e6")
    assert [one["version"] for one in home.json("state log", "desk", *lab)] == [1, 2, 3, 4]
    then = repr(made["recorded_at"])
    assert home.json("state get", "desk", *lab, "--as-of", then)["version"] == 1
    home.failure("state get", "desk", *lab, "--as-of", "2020-01-01", code=1)


def test_values_come_from_files_and_pipes(home: Shell) -> None:
    home.on("state put", "desk", "@" + home.write("desk.json", '{"lamp": "öff"}'))
    value = home.on("state get", "desk")
    assert "öff" in value
    home.on("state put", "copy", "-", typed=value)
    assert home.json("state get", "copy")["value"] == {"lamp": "öff"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("off", "it is not JSON: expecting value at line 1, column 1; text needs quotes"),
        ("@absent.json", "absent.json cannot be read: no such file"),
        ("-", "standard input is not JSON"),
        ("[" * 100_000, "it is nested too deeply"),
        ("1" * 5_000, "it cannot be taken"),
    ],
)
def test_values_that_are_no_json(home: Shell, value: str, said: str) -> None:
    error, _ = home.failure("state put", "desk", value, code=2)
    assert said in error


def test_a_file_that_is_no_text(home: Shell) -> None:
    path = home.folder / "bad"
    path.write_bytes(b"\xff")
    error, _ = home.failure("state put", "desk", f"@{path}", code=2)
    assert "it is not utf-8" in error
    home.failure("verify", "--note", str(path), code=2)


def test_edits_that_do_not_fit(home: Shell) -> None:
    home.on("state put", "desk", '{"lamp": "off"}')
    error, hint = home.failure("state put", "desk", "{}", "--expect", "0", code=7)
    assert "expected at version 0 but is at 1" in error
    assert "expect=1" in hint
    home.failure("state patch", "desk", "{}", "--expect", "5", code=7)
    home.failure("state delete", "desk", "--expect", "5", code=7)
    for patch in ('[{"op": "remove", "path": "/pens"}]', "[5]", "5", '"text"', "null"):
        home.failure("state patch", "desk", patch, code=4)
    home.failure("state put", "desk", "NaN", code=4)
    home.failure("state diff", "desk", "1", "9", code=1)
    home.failure("state log", "nothing", code=1)
    assert home.json("state get", "desk")["version"] == 1


def test_what_people_see_of_a_document(home: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.cli import state

    home.on("state put", "desk", '{"lamp": "on"}')
    home.on("state put", "desk", '{"lamp": "off"}')
    monkeypatch.setattr(state, "pretty", lambda: True)
    head, *value = home.on("state get", "desk").splitlines()
    assert head.startswith("desk  version 2  ")
    assert json.loads("".join(value)) == {"lamp": "off"}
    assert '"op": "replace"' in home.on("state diff", "desk", "1", "2")
    assert home.on("state diff", "desk", "1", "1") == "nothing differs\n"


# ---- automata ----------------------------------------------------------------------------------


def test_an_automaton_steps(home: Shell) -> None:
    assert home.on("state declare", "oven", OVEN) == "oven  in idle  done  next: heat\n"
    hot = home.json("state step", "oven", "heat", "--expect", "idle", "--by", "Bo")
    assert (hot["state"], hot["events"], hot["final"]) == ("hot", ["cool"], False)
    assert sorted(hot["been"]) == ["hot", "idle"]
    error, hint = home.failure("state step", "oven", "heat", code=7)
    assert "no step 'heat' from 'hot'" in error
    assert "cool" in hint
    home.failure("state step", "oven", "cool", "--expect", "idle", code=7)
    home.failure("state step", "kiln", "heat", code=1)
    assert home.on("state get", "oven") == "oven  in hot  next: cool\n"
    shown = home.on("state log", "oven").splitlines()
    assert shown[0].endswith("declared: idle  e3")
    assert shown[1].endswith("heat → hot  e4  by Bo")
    first = home.json("state log", "oven")[0]
    assert first["state"] == "idle"
    assert home.json("state get", "oven", "--as-of", repr(first["recorded_at"]))["state"] == "idle"
    home.failure("state get", "oven", "--as-of", "2020-01-01", code=1)
    again = {name: hot["automaton"][name] for name in ("states", "initial", "transitions")}
    home.on("state declare", "oven", json.dumps(again))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("[]", 2),
        ('{"states": []}', 2),
        ('{"states": ["a"], "initial": "a", "transitions": [], "colour": 1}', 2),
        ('{"states": ["a"], "initial": "a", "transitions": ["aab"]}', 2),
        ('{"states": "a", "initial": "a", "transitions": []}', 2),
        ('{"states": ["a"], "initial": "a", "transitions": 5}', 2),
        ('{"states": ["a"], "initial": "b", "transitions": []}', 4),
        ('{"states": [1], "initial": 1, "transitions": []}', 4),
    ],
)
def test_declarations_that_are_none(home: Shell, value: str, code: int) -> None:
    home.failure("state declare", "oven", value, code=code)


def test_all_state_is_shown(home: Shell) -> None:
    assert home.on("state").startswith("no documents and no automata\nstate ")
    home.on("state put", "desk", '{"lamp": "off"}', "--scope", "lab/a")
    then = home.json("state get", "desk", "--scope", "lab/a")["recorded_at"]
    home.on("state declare", "oven", OVEN, "--scope", "lab")
    shown = home.on("state")
    assert "desk  version 1" in shown
    assert "oven  in idle  done  next: heat  lab\n" in shown
    found = home.json("state show", "--scope", "lab")
    assert [one["name"] for one in found["documents"]] == ["desk"]
    assert [one["automaton"]["name"] for one in found["automata"]] == ["oven"]
    with Memory.open(home.file) as memory:
        assert found["hash"] == memory.state_hash()
    assert home.json("state", "--scope", "elsewhere")["documents"] == []
    early = home.json("state", "--as-of", repr(then))
    assert (len(early["documents"]), early["automata"], early["hash"]) == (1, [], None)


def test_the_group_of_state(home: Shell) -> None:
    error, _ = home.failure("state gte", "desk", code=2)
    assert "gte" in error
    page = home("state")
    for command in ("show", "get", "put", "patch", "delete", "log", "diff", "declare", "step"):
        assert f"  {command} " in page
        assert "--json" in home("state", command, "--help")
    assert "..." not in page.partition("Commands:")[2]


# ---- moments -----------------------------------------------------------------------------------


def test_snapshots_are_taken_listed_and_deleted(home: Shell) -> None:
    assert "no snapshots" in home.on("snapshot")
    taken = home.json("snapshot", "monday")
    assert (taken["name"], taken["seq"]) == ("monday", 3)
    assert taken["path"].endswith("monday.holdfast")
    assert home.on("snapshot", "tuesday").startswith("tuesday  ")
    assert [one["name"] for one in home.json("snapshot")] == ["monday", "tuesday"]
    assert home.on("snapshot").count("up to e") == 2
    home.failure("snapshot", "monday", code=7)
    home.failure("snapshot", "mon day", code=4)
    home.failure("snapshot", "--delete", code=2)
    home.failure("snapshot", "friday", "--delete", code=1)
    assert home.json("status")["snapshots"] >= 2 * taken["nbytes"]
    assert "beside the budget" in home.on("status")
    assert home.json("snapshot", "monday", "--delete")["nbytes"] >= taken["nbytes"]
    assert home.on("snapshot", "tuesday", "--delete").startswith("deleted tuesday; ")
    assert home.json("snapshot") == []


def test_a_fork_goes_its_own_way(home: Shell) -> None:
    home.on("snapshot", "monday")
    home.on("believe", "Ana", "lives_in", "Faro")
    one, two = str(home.folder / "one.holdfast"), str(home.folder / "two.holdfast")
    assert home.on("fork", one).startswith(f"forked to {one}: ")
    made = home.json("fork", two, "--snapshot", "monday")
    assert (made["path"], made["snapshot"], made["events"]) == (two, "monday", 4)
    values = []
    for path in (one, two):
        with Memory.open(path) as memory:
            values += [belief.value for belief in memory.beliefs()]
            assert (memory.audit_origin == made["origin"]) == (path == two)
    assert values == ["Faro", "Porto"]
    home.failure("fork", one, code=7)
    home.failure("fork", str(home.folder / "x"), "--snapshot", "friday", code=1)


def test_what_differs(home: Shell) -> None:
    home.on("state put", "old", "1")
    home.on("state declare", "oven", OVEN)
    home.on("snapshot", "monday")
    assert home.on("diff", "monday").startswith("no belief, document or automaton differs\n")
    home.on("believe", "Ana", "lives_in", "Faro", "--valid-from", "2026-01-01")
    home.on("state put", "desk", '{"lamp": "on"}', "--scope", "lab")
    home.on("state delete", "old")
    home.on("state step", "oven", "heat")
    assert home.on("diff", "monday").splitlines() == [
        "- b2.0  Ana lives in Porto",
        "+ b6.0  Ana lives in Faro",
        "- document old",
        "~ document desk  lab",
        '    {"op": "replace", "path": "", "value": {"lamp": "on"}}',
        "~ automaton oven: idle → hot",
        "events: 4 recorded, 0 no longer kept, 0 kept at a lower tier",
    ]
    found = home.json("diff", "monday")
    assert [one["value"] for one in found["began"]] == ["Faro"]
    assert [one["value"] for one in found["ended"]] == ["Porto"]
    assert {(one["scope"], one["name"]): one["patch"] for one in found["documents"]} == {
        ("", "old"): None,
        ("lab", "desk"): [{"op": "replace", "path": "", "value": {"lamp": "on"}}],
    }
    assert found["automata"] == [
        {"scope": "", "name": "oven", "before": "idle", "after": "hot"}
    ]  # fmt: skip
    assert found["events_added"] == 4
    assert [one["value"] for one in home.json("diff", "0", "monday")["began"]] == ["Porto"]
    assert home.json("diff", "2020-01-01", "2021-01-01")["began"] == []
    error, hint = home.failure("diff", "mnday", code=1)
    assert error == "'mnday' is neither a time nor a snapshot"
    assert hint == "known: monday"


def test_rolling_back_asks(home: Shell) -> None:
    home.on("snapshot", "monday")
    home.on("believe", "Ana", "lives_in", "Faro")
    home.on("rollback", "monday", code=1, typed="n\n")
    assert "Roll" in home.err
    assert "error: not confirmed; nothing was changed" in home.err
    home.on("rollback", "monday", code=2)
    assert "error: nobody answered; say --yes to go on" in home.err
    assert home.json("beliefs")[0]["value"] == "Faro"
    assert home.on("rollback", "monday", typed="y\n") == "back at monday; 1 event withdrawn\n"
    assert home.json("beliefs")[0]["value"] == "Porto"
    assert home.json("rollback", "monday", "--yes") == {"name": "monday", "withdrawn": 1}
    home.failure("rollback", "friday", "--yes", code=1)


def test_a_snapshot_that_the_memory_was_rolled_back_behind(home: Shell) -> None:
    home.on("snapshot", "monday")
    home.on("believe", "Ana", "lives_in", "Faro")
    taken = home.json("snapshot", "tuesday")
    home.on("rollback", "monday", "--yes")
    assert home.json("snapshot")[1] == taken
    home.on("rollback", "tuesday", "--yes")
    assert home.json("beliefs")[0]["value"] == "Faro"
    assert home.json("snapshot")[1] == taken


def test_an_interrupted_question_changes_nothing(
    home: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise click.Abort

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(click, "confirm", interrupted)
    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(click.Abort):
        common.confirm("really?", yes=False)
    common.confirm("really?", yes=True)


def test_changes_are_watched(home: Shell) -> None:
    home.on("state put", "desk", "1", "--scope", "lab")
    found = home.lines("watch", "--once")
    assert [(one["seq"], one["action"], one["what"]) for one in found] == [
        (1, "add", "b1.0"),
        (2, "supersede", "b2.0"),
        (3, "document", "desk"),
    ]
    assert found[1]["retired"] == ["b1.0"]
    assert [one["seq"] for one in home.lines("watch", "--once", "--after", "2")] == [3]
    assert [one["seq"] for one in home.lines("watch", "--idle-exit", "0.01", "--scope", "lab")] == [
        3
    ]
    shown = home.on("watch", "--once").splitlines()
    assert shown[1].startswith("e2.0  ")
    assert shown[1].endswith("supersede b2.0  Ana lives in Porto  ends b1.0")
    assert shown[2].endswith("put document desk  lab")


def test_a_watcher_is_interrupted(home: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def watch(self: Memory, **_: object) -> Any:
        yield Change(3, 0, 0.0, "add", "b3.0")
        raise KeyboardInterrupt

    monkeypatch.setattr(Memory, "watch", watch)
    assert [one["seq"] for one in home.lines("watch")] == [3]


def test_each_change_has_words(home: Shell) -> None:
    home.on("state declare", "oven", OVEN)
    home.on("state step", "oven", "heat")
    home.on("grant", "bo", "read", "team")
    home.on("grant", "bo", "read", "team", "--withdraw")
    home.on("used", "b2.0", "home town")
    home.on("revoke", "Ana")
    home.on("reinstate", "Ana")
    home.on("snapshot", "monday")
    home.on("snapshot", "monday", "--delete")
    home.on("erase", "--event", "3", "--yes")
    said = [line[24:].strip() for line in home.on("watch", "--once", "--after", "2").splitlines()]
    for words in (
        "step automaton oven: heat",
        "grant read to bo  team",
        "withdraw read to bo  team",
        "use b2.0",
        "revoke Ana",
        "reinstate Ana",
        "snapshot monday",
        "delete snapshot monday",
        "erase 1 event, 1 change",
    ):
        assert any(line.endswith(words) for line in said), words


# ---- sharing -----------------------------------------------------------------------------------


def test_grants(home: Shell) -> None:
    assert home.on("grants").startswith("nothing is granted")
    assert home.on("grant", "agent/bo", "read", "team") == "agent/bo may read team\n"
    assert home.on("grant", "agent/bo", "directive", "/") == (
        "agent/bo may state instructions in everything\n"
    )
    assert home.json("grant", "agent/cy", "write", "team")["changes"][0]["action"] == "grant"
    assert home.on("grants").splitlines() == [
        "agent/bo may state instructions in everything",
        "agent/bo may read team",
        "agent/cy may write to team",
    ]
    withdrawn = home.on("grant", "agent/bo", "read", "team", "--withdraw")
    assert withdrawn == "agent/bo may no longer read team\n"
    assert [one["principal"] for one in home.json("grants")] == ["agent/bo", "agent/cy"]
    home.failure("grant", "agent/bo", "dance", "team", code=2)
    home.failure("grant", "", "read", "team", code=4)


def test_beliefs_are_promoted_and_used(home: Shell) -> None:
    said = home.on("promote", "b2.0", "--to", "team", "--by", "Ana")
    assert said.startswith("believed  recorded as e3\n● b3.0  Ana lives in Porto")
    assert said.rstrip().endswith("team")
    assert home.on("used", "b3.0", "home town", "--by", "Bo") == "noted as e4: b3.0 answered it\n"
    assert "did not answer" in home.on("used", "b3.0", "shoe size", "--by", "Bo", "--unhelpful")
    assert home.json("used", "b3.0", "home town", "--by", "Cy")["changes"][0]["action"] == "use"
    assert "b3.0" in [one["id"] for one in home.json("beliefs", "home town")]
    home.failure("promote", "b1.0", "--to", "team", code=1)
    home.failure("promote", "b2.0", code=2)
    home.failure("used", "b77.0", "x", code=1)


def test_a_poor_record_needs_approval(home: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def poor(self: Memory, *_: object, approve: bool = False, **__: object) -> None:
        if not approve:
            raise AccessError("others made use of too few promotions; have it approved")

    monkeypatch.setattr(Memory, "promote", poor)
    error, hint = home.failure("promote", "b2.0", "--to", "team", code=8)
    assert (error, hint) == ("others made use of too few promotions", "have it approved")


def test_a_source_is_revoked_and_reinstated(home: Shell) -> None:
    assert home.on("revoke", "Ana").startswith("revoked Ana; ")
    assert home.json("beliefs") == []
    home.failure("state put", "desk", "1", "--by", "Ana", code=8)
    assert home.on("reinstate", "Ana").startswith("reinstated Ana; ")
    assert [one["value"] for one in home.json("beliefs")] == ["Porto"]
    assert home.json("revoke", "Ana")["changes"][0]["detail"] == {"op": "revoke", "revoked": True}
    assert home.json("reinstate", "Ana")["changes"][0]["detail"]["revoked"] is False


# ---- proof -------------------------------------------------------------------------------------


@pytest.fixture
def key(home: Shell) -> str:
    """The public half of a key, whose private half is in the file "key"."""
    pytest.importorskip("cryptography", reason="the audit extra is not installed")
    return home("new-key", "ana.example", "--out", str(home.folder / "key")).strip()


def test_a_key_is_made_once(home: Shell, key: str) -> None:
    path = home.folder / "key"
    assert key.startswith("ana.example+")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_text()
    assert secret.startswith("PRIVATE+KEY+ana.example+")
    home("new-key", "other", "--out", str(path), code=1)
    assert path.read_text() == secret
    home("new-key", "a b", "--out", str(home.folder / "no"), code=2)
    assert not (home.folder / "no").exists()
    made = json.loads(home("new-key", "bo", "--out", str(home.folder / "bo"), "--json"))
    assert made["key"].startswith("bo+")
    assert made["name"] == "bo"


def test_a_signed_checkpoint_is_verified(home: Shell, key: str) -> None:
    note, secret = str(home.folder / "note.txt"), str(home.folder / "key")
    said = home.on("checkpoint", "--key-file", secret, "--out", note)
    assert said == f"wrote a signed checkpoint of 2 events to {note}\n"
    text = Path(note).read_text("utf-8")
    assert "\n\n— ana.example " in text
    home.on("believe", "Ana", "owns", "kiln")
    assert home.on("verify", "--note", note, "--key", key).splitlines()[1] == (
        f"ok: the log extends the checkpoint in {note}, which a trusted key signed"
    )
    assert home.json("verify", "--note", note, "--key", key)["ok"] is True
    home.failure("verify", "--note", note, code=2)
    home.failure("verify", "--key", key, code=2)
    other = home("new-key", "bo", "--out", str(home.folder / "bo")).strip()
    error, hint = home.failure("verify", "--note", note, "--key", other, code=3)
    assert "no trusted key signed the note" in error
    assert hint
    forged = home.write("forged.txt", text.replace("\n2\n", "\n1\n"))
    home.failure("verify", "--note", forged, "--key", key, code=3)


def test_a_checkpoint_needs_no_key(home: Shell) -> None:
    text = home.on("checkpoint")
    origin, size, *_ = text.splitlines()
    assert size == "2"
    note = home.write("plain.txt", text)
    assert home.on("verify", "--note", note).splitlines() == [
        "ok: 2 events in 0 blocks match their checksums",
        f"ok: the log extends the checkpoint in {note}",
    ]
    assert home.on("checkpoint", "--out", note) == f"wrote a checkpoint of 2 events to {note}\n"
    made = home.json("checkpoint")
    assert (made["origin"], made["size"], made["signed"]) == (origin, 2, False)
    assert len(made["root"]) == 64
    assert [one["size"] for one in home.json("checkpoint", "--list")] == [2]
    assert home.on("checkpoint", "--list").startswith("      2 events  ")
    home.failure("checkpoint", "--key-file", home.write("nokey", "x"), code=3)


def test_a_log_that_was_cut_short_is_found_out(home: Shell) -> None:
    other = str(home.folder / "other.holdfast")
    home.on("fork", other)
    home.on("believe", "Ana", "owns", "kiln")
    home.on("believe", "Ana", "owns", "wheel")
    note = home.write("note.txt", home.on("checkpoint"))
    home("verify", other, "--note", note, code=3)
    assert "does not vouch" in home.err
    found = json.loads(home("verify", other, "--note", note, "--json", code=3))
    assert found["ok"] is False
    assert len(found["problems"]) == 1
    home("verify", other, "--note", home.write("empty", ""), code=3)


def test_an_event_is_proven(home: Shell) -> None:
    found = home.json("prove", "1")
    proof = Proof(
        found["seq"], found["index"], found["size"], bytes.fromhex(found["leaf"]),
        tuple(map(bytes.fromhex, found["path"])), bytes.fromhex(found["root"]),
    )  # fmt: skip
    check_proof(proof)
    assert (proof.index, proof.size, len(proof.path)) == (0, 2, 1)
    shown = home.on("prove", "2").splitlines()
    assert shown[0].startswith("e2 is leaf 1 of 2 in holdfast/")
    assert shown[-1] == f"root  {found['root']}"
    home.failure("prove", "99", code=1)
    home.failure("prove", "1", "--size", "1000", code=3)


def test_without_checkpoints(home: Shell) -> None:
    assert home.on("checkpoint", "--list").startswith("no checkpoints; ")


# ---- erasure -----------------------------------------------------------------------------------


def test_erasure_asks_and_gives_a_receipt(home: Shell) -> None:
    home.on("snapshot", "monday")
    error, _ = home.failure("erase", code=2)
    assert error.startswith("say what to erase: --event, --scope, --subject or --source")
    home.on("erase", "--subject", "Ana", code=1, typed="n\n")
    assert "Erase subject 'Ana' from" in home.err
    assert "and its 1 snapshot?" in home.err
    home.on("erase", "--subject", "Ana", code=2)
    assert len(home.json("history", "Ana")) == 2
    shown = home.on("erase", "--subject", "Ana", typed="y\n").splitlines()
    assert shown[0] == "erased 2 events and 2 changes of state"
    assert shown[1] == "  and 2 events from snapshot monday"
    assert len(shown[-1].strip()) == 64
    assert home.json("history", "Ana") == []
    assert b"Lisbon" not in Path(home.file).read_bytes()


def test_each_selector_erases(home: Shell) -> None:
    home.on("believe", "Ben", "likes", "tea", "--scope", "team", "--by", "Ben")
    home.on("believe", "Cy", "likes", "tea", "--by", "Cy")
    source = home.json("erase", "--source", "Cy", "--yes")
    assert (source["events"], source["entries"], len(source["leaves"])) == (1, 1, 1)
    assert len(source["root"]) == len(source["leaves"][0]) == 64
    assert source["snapshots"] == {}
    assert home.json("erase", "--scope", "team", "--yes")["events"] == 1
    both = home.json("erase", "--event", "1", "--event", "2", "--yes")
    assert both["events"] == 2
    assert home.json("erase", "--event", "99", "--yes")["events"] == 0
    assert home.json("beliefs", "--status", "all") == []
    home.on("erase", "--scope", "/", code=1, typed="n\n")
    assert "EVERYTHING" in home.err


# ---- reads of another time ---------------------------------------------------------------------


def test_events_of_another_time(home: Shell) -> None:
    rows = [
        {"content": "The kiln is in the shed.", "speaker": "Ana", "scope": "a", "at": 1e9},
        {"content": "The kiln moved to the yard.", "speaker": "Ana", "scope": "b", "at": 1.5e9},
    ]
    for row in rows:
        home.on("observe", home.write("in.jsonl", json.dumps(row) + "\n"))
    first = home.lines("log", "--after", "2")[0]
    assert len(first["digest"]) == 16
    as_of = ("--as-of", repr(first["recorded_at"]))
    assert [row["seq"] for row in home.lines("log", "--after", "2", *as_of)] == [3]
    assert [row["seq"] for row in home.lines("log", "--after", "2", "--valid-at", "1.2e9")] == [3]
    found = home.json("recall", "where is the kiln?", *as_of)
    assert [item["seq"] for item in found["items"]] == [3]
    found = home.json("recall", "where is the kiln?", "--valid-at", "2002-01-01")
    assert [item["seq"] for item in found["items"]] == [3]
    found = home.json("recall", "where is the kiln?", "--scope", "b", "--scope", "c")
    assert [item["seq"] for item in found["items"]] == [4]
    assert [row["seq"] for row in home.lines("log", "--scope", "a", "--scope", "b")] == [3, 4]
    reason = home.json("why-not", "4", "kiln", *as_of)["reason"]
    assert reason == home.on("why-not", "4", "kiln", *as_of).strip()
    assert home.json("why-not", "4", "kiln", "--scope", "a", "--scope", "c")["reason"]


def test_people_see_beliefs_in_a_context(home: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.cli import read

    monkeypatch.setattr(read, "pretty", lambda: True)
    shown = home.on("recall", "where does Ana live?")
    assert shown.startswith("● b2.0  Ana lives in Porto  since 2025-05-01  by Ana")
    assert home.json("recall", "where does Ana live?")["beliefs"][0]["trust"] == "user"


def test_status_shows_the_parts_of_state(home: Shell) -> None:
    found = home.json("status")
    assert found["state"] > 0
    assert found["audit"] > 0
    assert found["snapshots"] == 0
    shown = home.on("status")
    assert "  state " in shown
    assert "  audit " in shown
    assert "snapshots" not in shown


# ---- what people see ---------------------------------------------------------------------------


def belief(**changes: Any) -> Belief:
    told: dict[str, Any] = {
        "id": "b1.0", "subject": "Ana", "predicate": "owns", "value": "a kiln", "kind": "fact",
        "scope": "", "status": "asserted", "trust": 2, "sources": ("",),
        "evidence": (Evidence(1, 0, 9, "word " * 40),), "valid_from": 0.0, "valid_until": None,
        "recorded_at": 0.0, "retired_at": None,
    }  # fmt: skip
    return Belief(**{**told, **changes})


@pytest.mark.parametrize(
    ("changes", "word", "mark"),
    [
        ({}, "held", "●"),
        ({"status": "inferred"}, "inferred", "◐"),
        ({"status": "disputed"}, "disputed", "◌"),
        ({"status": "retracted", "valid_until": 5.0, "retired_at": 6.0}, "retracted", "○"),
        ({"valid_until": 5.0, "retired_at": 6.0, "superseded_by": "b2.0"},
         "superseded by b2.0", "○"),
        ({"valid_until": 5.0, "retired_at": 6.0}, "ended", "○"),
        ({"status": "retracted", "superseded_by": "b2.0"}, "corrected by b2.0", "○"),
    ],
)  # fmt: skip
def test_what_became_of_a_belief(changes: dict[str, Any], word: str, mark: str) -> None:
    one = belief(**changes)
    assert tell.fate(one) == word
    assert tell.mark(one).plain == mark


def test_long_quotes_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    tell.print_timeline([belief()])
    out = capsys.readouterr().out
    assert "…”" in out
    assert max(map(len, out.splitlines())) < 140


def test_a_gap_is_said() -> None:
    assert tell.change_line(Change(9, 0, 0.0, "gap", "")).plain == (
        "changes up to e9 are no longer kept"
    )


def test_a_difference_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tell.print_difference(Difference((), (), {}, {("", "x"): (None, "a")}, 0, 0, 0))
    assert capsys.readouterr().out.startswith("~ automaton x: absent → a\n")


def test_styles_do_not_run_over() -> None:
    line = tell.belief_line(belief())
    assert line.style == ""
    assert {str(span.style) for span in line.spans} == {"green", "bold", "dim"}


def test_sections_hold_every_command() -> None:
    page = CliRunner().invoke(root.cli, ["--help"]).output
    places = [page.index(f"\n{title}:\n") for title in root.SECTIONS]
    assert places == sorted(places)
    words = [word for section in root.SECTIONS.values() for word in section]
    assert list(root.COMMANDS) == words
    assert len(set(words)) == len(words)


# ---- in processes of their own -----------------------------------------------------------------


def test_in_a_process_of_its_own(home: Shell) -> None:
    def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", PROGRAM, *words]
        return subprocess.run(line, capture_output=True, text=True, check=False, **options)

    done = run("beliefs", home.file)
    assert done.returncode == 0
    assert done.stdout == "● b2.0  Ana lives in Porto  since 2025-05-01  by Ana  [e2[0:18]]\n"
    assert "\x1b" not in done.stdout
    put = run("state", "put", home.file, "desk", "-", input='{"lamp": "on"}')
    assert put.returncode == 0
    late = run("state", "put", home.file, "desk", "1", "--expect", "0")
    assert late.returncode == 7
    assert late.stderr.count("\n") == 2
    asked = run("erase", home.file, "--subject", "Ana", stdin=subprocess.DEVNULL)
    assert asked.returncode == 2
    assert "--yes" in asked.stderr


def test_a_watcher_sees_another_process_and_ends_cleanly(home: Shell) -> None:
    line = [sys.executable, "-c", PROGRAM, "watch", home.file, "--after", "2", "--json"]
    watcher = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watcher.stdout is not None
    assert watcher.stderr is not None
    try:
        home.on("believe", "Ana", "owns", "kiln")
        found = json.loads(watcher.stdout.readline())
        assert (found["seq"], found["what"]) == (3, "b3.0")
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(20) == 0
        assert "Traceback" not in watcher.stderr.read()
    finally:
        watcher.kill()
        watcher.stdout.close()
        watcher.stderr.close()
