"""The memory tool, held against the SDK's own on a real file system."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

pytest.importorskip("anthropic", reason="needs the extra anthropic")

from anthropic.lib.tools import ToolError
from anthropic.lib.tools._beta_builtin_memory_tool import (
    BetaAsyncLocalFilesystemMemoryTool,
    BetaLocalFilesystemMemoryTool,
)

from holdfast import Memory
from holdfast.adapters import AnthropicMemoryTool, AsyncAnthropicMemoryTool, files
from holdfast.adapters.files import Files, _size
from holdfast.errors import ClosedError, StoreError

NAMES = st.sampled_from(
    ["a", "b", "a.txt", ".hidden", "é 字", "%2e%2e", "a\\b", "new\nline", "~", "A", "n" * 255]
)
STEPS = NAMES | st.sampled_from(["a", "b", "..", ".", "", "memories"])
PATHS = st.builds(
    lambda root, steps, end: "/".join([root, *steps]) + end,
    st.sampled_from(["/memories"] * 8 + ["/memoriesa", "/memory", "memories", "/memories/..", ""]),
    st.lists(NAMES | st.sampled_from(["a", "b"]), max_size=3) | st.lists(STEPS, max_size=5),
    st.sampled_from(["", "", "", "/", "//", "/."]),
)
TEXTS = st.sampled_from(
    [
        "",
        "\n",
        "x",
        "x\n",
        "x\ny\nx",
        "x\n\nxx\n",
        "one\r\ntwo\r\n",
        "é\u2028字",
        "\n\n",
        "x" * 1025,
    ]
) | st.text("xy\n\r", max_size=12)
LINES = st.integers(-2, 5)
SPANS = st.none() | st.lists(st.integers(-3, 6), max_size=3)


def told(tool: Any, command: dict[str, Any]) -> tuple[str, str]:
    """What a tool answers, and whether it did or refused or the host failed it."""
    try:
        return "answer", tool.call(command)
    except ToolError as error:
        return "refusal", str(error)
    except (OSError, ValueError) as error:
        return "host", str(error)


def masked(answer: str) -> str:
    """A listing without the sizes of folders: of a file system's, they are those of its blocks."""
    if not answer.startswith("Here're the files"):
        return answer
    head, first, *entries = re.split(r"\n(?=\S+\t/mem)", answer)  # a name may hold a newline
    folders = [re.sub(r"^\S+\t(.*/)$", r"\1", one, flags=re.DOTALL) for one in entries]
    return "\n".join([head, first.partition("\t")[2], *folders])


def on_disk(root: Path) -> dict[str, str | None]:
    """Every file and folder below a root, hidden ones too."""
    return {
        path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes().decode()
        for path in root.rglob("*")
    }


def in_memory(memory: Memory, scope: str = "") -> dict[str, str | None]:
    """The same of a memory, by its public methods."""
    names = memory.documents(scope=scope)
    folders = memory.document("/memories", scope=scope).value if "/memories" in names else {}
    files = {
        name.removeprefix("/memories/"): "\n".join(memory.document(name, scope=scope).value)
        for name in names
        if name != "/memories"
    }
    return dict.fromkeys(folders) | files


class Tools(RuleBasedStateMachine):
    """Any commands, by two tools on one file as two processes would have it."""

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory()
        self.root = Path(self.folder.name) / "base" / "memories"
        self.theirs = BetaLocalFilesystemMemoryTool(str(self.root.parent))
        path = Path(self.folder.name) / "a.holdfast"
        first = Memory.open(path, budget="8 MiB", durability="off")
        self.memories = [first, Memory.open(path, durability="off")]
        self.ours = [AnthropicMemoryTool(memory, scope="x") for memory in self.memories]

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for memory in self.memories:
                memory.close()
            self.folder.cleanup()

    def both(self, which: int, name: str, **fields: Any) -> None:
        command = {"command": name, **fields}
        kind, expected = told(self.theirs, command)
        found = told(self.ours[which], command)
        if kind == "host":
            assert found[0] == "refusal"
        else:
            assert (found[0], masked(found[1])) == (kind, masked(expected))

    @rule(which=st.integers(0, 1), path=PATHS, view_range=SPANS)
    def view(self, which: int, path: str, view_range: list[int] | None) -> None:
        self.both(which, "view", path=path, view_range=view_range)

    @rule(which=st.integers(0, 1), path=PATHS, text=TEXTS)
    def create(self, which: int, path: str, text: str) -> None:
        self.both(which, "create", path=path, file_text=text)

    @rule(which=st.integers(0, 1), data=st.data(), old=TEXTS, new=TEXTS)
    def str_replace(self, which: int, data: st.DataObject, old: str, new: str) -> None:
        self.both(which, "str_replace", path=self.some(data), old_str=old, new_str=new)

    @rule(which=st.integers(0, 1), data=st.data(), line=LINES, text=TEXTS)
    def insert(self, which: int, data: st.DataObject, line: int, text: str) -> None:
        self.both(which, "insert", path=self.some(data), insert_line=line, insert_text=text)

    @rule(which=st.integers(0, 1), data=st.data())
    def delete(self, which: int, data: st.DataObject) -> None:
        self.both(which, "delete", path=self.some(data))

    @rule(which=st.integers(0, 1), data=st.data(), new=PATHS)
    def rename(self, which: int, data: st.DataObject, new: str) -> None:
        self.both(which, "rename", old_path=self.some(data), new_path=new)

    @rule(which=st.integers(0, 1))
    def view_all(self, which: int) -> None:
        self.both(which, "view", path="/memories")

    def some(self, data: st.DataObject) -> str:
        """A path, of something that is there more often than chance has it."""
        there = sorted(f"/memories/{path}" for path in on_disk(self.root))
        return data.draw(st.sampled_from(there) | PATHS if there else PATHS)

    @invariant()
    def same_files(self) -> None:
        if hasattr(self, "folder"):
            assert in_memory(self.memories[0], "x") == on_disk(self.root)


TestTools = Tools.TestCase
TestTools.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "a.holdfast", budget="8 MiB", durability="off") as memory:
        yield memory


def call(memory: Any, name: str, scope: str | None = None, **fields: Any) -> str:
    return AnthropicMemoryTool(memory, scope=scope).call({"command": name, **fields})


def test_async_tool_answers_as_the_sdks_own(memory: Memory, tmp_path: Path) -> None:
    commands: list[dict[str, Any]] = [
        {"command": "create", "path": "/memories/n/a.md", "file_text": "one\ntwo\n"},
        {"command": "view", "path": "/memories"},
        {"command": "insert", "path": "/memories/n/a.md", "insert_line": 1, "insert_text": "x"},
        {"command": "str_replace", "path": "/memories/n/a.md", "old_str": "x", "new_str": "y"},
        {"command": "view", "path": "/memories/n/a.md", "view_range": [2, -1]},
        {"command": "rename", "old_path": "/memories/n", "new_path": "/memories/m"},
        {"command": "delete", "path": "/memories/m"},
        {"command": "delete", "path": "/memories/m"},
    ]

    async def answers(tool: Any) -> list[str]:
        found = []
        for command in commands:
            try:
                found.append(masked(await tool.call(command)))
            except ToolError as error:
                found.append(f"refused: {error}")
        return [*found, await tool.clear_all_memory()]

    theirs = asyncio.run(answers(BetaAsyncLocalFilesystemMemoryTool(str(tmp_path / "base"))))
    assert asyncio.run(answers(AsyncAnthropicMemoryTool(memory))) == theirs
    assert len(theirs) == 9
    assert theirs[-2:] == [
        "refused: The path /memories/m does not exist",
        "All memory cleared",
    ]


def test_declares_itself_as_the_sdks_own_does(memory: Memory) -> None:
    cached: Any = {"type": "ephemeral"}
    for tool in (AnthropicMemoryTool, AsyncAnthropicMemoryTool):
        assert tool(memory).to_dict() == {"type": "memory_20250818", "name": "memory"}
        assert tool(memory, cache_control=cached).to_dict()["cache_control"] == cached


def test_every_edit_is_a_version_and_small_ones_are_journaled_as_such(memory: Memory) -> None:
    text = "".join(f"line {n} of a long file\n" for n in range(2000))
    call(memory, "create", path="/memories/a.md", file_text=text)
    before = memory.usage().state
    call(memory, "str_replace", path="/memories/a.md", old_str="line 7 of", new_str="LINE 7 of")
    call(memory, "insert", path="/memories/a.md", insert_line=0, insert_text="top")
    assert memory.usage().state - before < 2 * 4096  # the text has 50 kB
    history = memory.document_history("/memories/a.md")
    assert [one.version for one in history] == [1, 2, 3]
    assert "\n".join(history[0].value) == text
    then = history[1].recorded_at
    seen = memory.document("/memories/a.md", as_of=then).value
    assert seen[7] == "LINE 7 of a long file"
    assert seen[0] == "line 0 of a long file"
    assert memory.document_diff("/memories/a.md", 1, 2) == [
        {"op": "replace", "path": "/7", "value": "LINE 7 of a long file"}
    ]


def test_what_changes_nothing_writes_nothing(memory: Memory) -> None:
    call(memory, "create", path="/memories/a", file_text="x\n")
    newest = len(memory)
    call(memory, "str_replace", path="/memories/a", old_str="x", new_str="x")
    call(memory, "view", path="/memories/a")
    for fields in ({"path": "/memories/b"}, {"path": "/memories"}, {"path": "/etc/passwd"}):
        with pytest.raises(ToolError):
            call(memory, "delete", **fields)
    assert len(memory) == newest


def test_a_command_is_one_event(memory: Memory) -> None:
    call(memory, "create", path="/memories/a/b/c", file_text="x\n")
    call(memory, "create", path="/memories/a/d", file_text="y\n")
    assert len(memory) == 2
    call(memory, "rename", old_path="/memories/a", new_path="/memories/e/f")
    call(memory, "delete", path="/memories/e/f")
    assert len(memory) == 4
    (moved,) = (one for one in memory.document_history("/memories/a/b/c") if one.deleted)
    (made,) = (one for one in memory.document_history("/memories/e/f/b/c") if not one.deleted)
    assert moved.seq == made.seq == 3
    assert in_memory(memory) == {"e": None}


def test_files_survive_a_reopening(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "b.holdfast", budget="1 MiB") as memory:
        call(memory, "create", path="/memories/a/b", file_text="no newline at the end")
    with Memory.open(tmp_path / "b.holdfast") as memory:
        shown = call(memory, "view", path="/memories/a/b")
    assert shown.split("\n")[1:] == ["     1\tno newline at the end"]


def test_scopes_are_apart(memory: Memory) -> None:
    call(memory, "create", scope="x", path="/memories/a", file_text="x")
    assert "/memories/a" not in call(memory, "view", path="/memories")
    assert "/memories/a" not in call(memory, "view", scope="x/y", path="/memories")
    assert "1B\t/memories/a" in call(memory, "view", scope="x/", path="/memories")


def test_an_edit_is_planned_while_others_write_and_loses_none(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(memory, "create", path="/memories/a", file_text="one\ntwo\n")
    differing, others = files.diff, ["create", "insert"]

    def slow(before: Any, after: Any) -> Any:
        if others:
            fields: dict[str, Any] = (
                {"path": "/memories/a", "insert_line": 2, "insert_text": "three"}
                if others.pop() == "insert"
                else {"path": "/memories/b", "file_text": ""}
            )
            name = "insert" if "insert_line" in fields else "create"
            other = threading.Thread(target=call, args=(memory, name), kwargs=fields)
            other.start()
            other.join(10)
            assert not other.is_alive(), "who plans keeps others from writing"
        return differing(before, after)

    monkeypatch.setattr(files, "diff", slow)
    call(memory, "str_replace", path="/memories/a", old_str="two", new_str="2")
    assert in_memory(memory) == {"a": "one\n2\nthree\n", "b": ""}


def test_a_text_put_where_a_file_is_about_to_be_is_not_lost(memory: Memory) -> None:
    real = files._Tree.missing

    def missing(tree: Any, place: str, path: str) -> list[str]:
        if "/memories/a" not in memory.documents():
            memory.put_document("/memories/a", ["theirs"])
        return real(tree, place, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files._Tree, "missing", missing)
        with pytest.raises(ToolError, match="already exists"):
            call(memory, "create", path="/memories/a", file_text="mine")
    assert in_memory(memory) == {"a": "theirs"}


def test_the_root_has_to_be_asked_for_by_a_seat(memory: Memory) -> None:
    call(memory, "create", path="/memories/a", file_text="x")
    bo = memory.seat("agent/bo")
    with pytest.raises(ToolError, match="agent/bo"):
        call(bo, "view", scope="", path="/memories/a")
    memory.grant("agent/bo", "read", "")
    assert "     1\tx" in call(bo, "view", scope="", path="/memories/a")


def test_seats_need_rights_and_answer_for_their_edits(memory: Memory) -> None:
    ana, bo = memory.seat("agent/ana"), memory.seat("agent/bo")
    call(ana, "create", path="/memories/a", file_text="x\n")
    with pytest.raises(ToolError, match="agent/bo"):
        call(bo, "view", scope="agent/ana", path="/memories")
    memory.grant("agent/bo", "read", "agent/ana")
    assert "     1\tx" in call(bo, "view", scope="agent/ana", path="/memories/a")
    fields = {"path": "/memories/a", "insert_line": 0, "insert_text": "spam"}
    with pytest.raises(ToolError, match="agent/bo"):
        call(bo, "insert", scope="agent/ana", **fields)
    memory.grant("agent/bo", "write", "agent/ana")
    call(bo, "insert", scope="agent/ana", **fields)
    assert "     1\tspam" in call(ana, "view", path="/memories/a")
    memory.revoke("agent/bo")
    assert "     1\tx" in call(ana, "view", path="/memories/a")


def test_documents_of_others_are_files_too(memory: Memory) -> None:
    memory.put_document("/memories/notes/plan.md", "one\ntwo")
    memory.put_document("/memories/data.json", {"b": 1, "a": ["é"]})
    shown = call(memory, "view", path="/memories")
    assert [line.split("\t") for line in shown.split("\n")[2:]] == [
        ["18B", "/memories/data.json"], ["7B", "/memories/notes/"],
        ["7B", "/memories/notes/plan.md"],
    ]  # fmt: skip
    assert '     1\t{"a":["é"],"b":1}' in call(memory, "view", path="/memories/data.json")
    call(memory, "insert", path="/memories/notes/plan.md", insert_line=2, insert_text="three")
    assert memory.document("/memories/notes/plan.md").value == ["one", "two", "three", ""]


def test_what_cannot_be_stored_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "b.holdfast", budget="32 MiB", durability="off") as memory:
        for text, why in (("\ud800", "half a surrogate pair"), ("x" * (1 << 20), "over 1048576")):
            with pytest.raises(ToolError, match=why):
                call(memory, "create", path="/memories/a/b", file_text=text)
        for path in ("/memories/\0", "/memories/\udc80"):
            with pytest.raises(ToolError, match="what no file's name can"):
                call(memory, "create", path=path, file_text="x")
        assert memory.documents() == []


def test_stays_within_a_tiny_budget_and_keeps_every_file(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "b.holdfast", budget="1 MiB", durability="off") as memory:
        for n in range(8):
            call(memory, "create", path=f"/memories/{n}", file_text="start\n")
        with pytest.raises(ToolError, match="over this memory's limit"):
            call(memory, "create", path="/memories/large", file_text="x" * 300_000)
        for n in range(400):
            line = f"edit {n} " + "word " * 60
            call(memory, "insert", path=f"/memories/{n % 8}", insert_line=1, insert_text=line)
            call(memory, "str_replace", path=f"/memories/{n % 8}", old_str=line, new_str=str(n))
            assert memory.usage().disk <= 1 << 20
        for n in range(8):
            lines = memory.document(f"/memories/{n}").value
            assert lines == ["start", *(str(m) for m in range(399, -1, -1) if m % 8 == n), ""]
        assert memory.document_history("/memories/0")[0].version > 1  # old versions made room


def test_clear_deletes_all_in_steps(memory: Memory) -> None:
    files = Files(memory)
    for n in range(230):
        files.create(f"/memories/{n % 7}/.{n}", "x")
    memory.put_document("other", 1)
    assert files.clear() == "All memory cleared"
    assert memory.documents() == ["/memories", "other"]
    assert memory.document("/memories").value == {}


def test_too_many_files_for_one_command_are_left(memory: Memory) -> None:
    for n in range(1001):
        memory.put_document(f"/memories/a/{n}", "x")
    with pytest.raises(ToolError, match="holds 1001 files, over the 1000"):
        call(memory, "delete", path="/memories/a")
    call(memory, "delete", path="/memories/a/0")
    call(memory, "delete", path="/memories/a")
    assert in_memory(memory) == {}


def test_a_broken_store_is_not_told_to_the_model(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "b.holdfast", budget="1 MiB")
    memory.close()
    with pytest.raises(StoreError) as caught:
        call(memory, "create", path="/memories/a", file_text="x")
    assert type(caught.value) is ClosedError


EDITOR = """
import sys
from holdfast import Memory
from holdfast.adapters import files
from holdfast.adapters.files import Files, RefusedError

path, name, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Memory.open(path, durability="normal") as memory:
    files = Files(memory)
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(n):
        files.insert("/memories/shared", 0, f"{name} {i}")
        files.replace("/memories/counts", f"{name}={i}.", f"{name}={i + 1}.")
        files.create(f"/memories/{name}/{i}", "x")
        try:
            files.create(f"/memories/both/{i}", name)
            files.insert("/memories/shared", 0, f"won {i}")
        except RefusedError:
            pass
"""


def test_processes_lose_no_edit(tmp_path: Path) -> None:
    path, n, names = tmp_path / "b.holdfast", 8, ("ana", "bo")
    with Memory.open(path, budget="8 MiB") as memory:
        Files(memory).create("/memories/shared", "")
        Files(memory).create("/memories/counts", "".join(f"{name}=0." for name in names))
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", EDITOR, str(path), name, str(n)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for name in names
        ]  # fmt: skip
        for one in writers:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in writers:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        for one in writers:
            one.communicate(timeout=60)
            assert one.returncode == 0
        found = in_memory(memory)
    lines = (found.pop("shared") or "").split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(set(lines))
    mine = {name: [line for line in lines if line.startswith(f"{name} ")] for name in names}
    assert mine == {name: [f"{name} {i}" for i in range(n - 1, -1, -1)] for name in names}
    assert {line for line in lines if line.startswith("won")} == {f"won {i}" for i in range(n)}
    assert len(lines) == 3 * n
    assert found["counts"] == f"ana={n}.bo={n}."
    assert all(found[f"{name}/{i}"] == "x" for name in names for i in range(n))
    assert {found[f"both/{i}"] for i in range(n)} <= set(names)


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1K"), (1025, "1.0K"), (1536, "1.5K"), (3 << 20, "3M"),
     (1 << 41, "2048G")],
)  # fmt: skip
def test_sizes_read_as_people_write_them(nbytes: int, text: str) -> None:
    assert _size(nbytes) == text
