"""The server as clients start it: real processes, real pipes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed: holdfast[mcp]")

import anyio
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters

from holdfast import Memory
from holdfast.mcp import stdio

START = (sys.executable, "-c", "from holdfast.cli.mcp import mcp; mcp()")
VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def server(*arguments: str) -> StdioServerParameters:
    command, *rest = START
    return StdioServerParameters(command=command, args=[*rest, *arguments])


def ask(task: Callable[[Client], Awaitable[Any]], *arguments: str, mode: str = "auto") -> Any:
    async def main() -> Any:
        async with Client(server(*arguments), mode=mode) as client:
            return await task(client)

    return anyio.run(main)


def remember(number: int, content: str) -> str:
    call = {"name": "remember", "arguments": {"content": content}, "_meta": META}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call})


def contents(file: Path) -> list[str]:
    with Memory.open(file) as memory:
        return [record.event.text for record in memory.log()]


@pytest.mark.parametrize(("mode", "spoken"), [("legacy", "2025-11-25"), ("auto", VERSION)])
def test_both_eras_are_spoken(tmp_path: Path, mode: str, spoken: str) -> None:
    file = tmp_path / "new" / "a.holdfast"

    async def task(client: Client) -> str:
        await client.call_tool("remember", {"content": "The key is under the pot."})
        found = await client.call_tool("recall", {"query": "key"})
        assert found.content[0].text.splitlines()[-2] == "[e1] The key is under the pot."
        return client.session.protocol_version

    assert ask(task, str(file), mode=mode) == spoken
    with Memory.open(file) as memory:
        assert memory.usage().budget == 64 << 20


def test_two_processes_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    file = tmp_path / "a.holdfast"
    acknowledged: list[int] = []

    async def write(name: str) -> None:
        async with Client(server(str(file), "--budget", "4 MiB")) as client:
            for n in range(20):
                done = await client.call_tool("remember", {"content": f"{name} {n}"})
                assert not done.is_error, done.content
                acknowledged.append(done.structured_content["event"])

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, "one")
            tasks.start_soon(write, "two")

    anyio.run(main)
    assert sorted(acknowledged) == list(range(1, 41))
    written = [f"{who} {n}" for who in ("one", "two") for n in range(20)]
    assert sorted(contents(file)) == sorted(written)


def test_what_was_asked_before_the_input_ends_is_answered(tmp_path: Path) -> None:
    file = tmp_path / "a.holdfast"
    asked = "\n".join(remember(n, f"Note {n}.") for n in range(10))
    ran = subprocess.run(
        [*START, str(file)], input=asked, capture_output=True, text=True, timeout=60, check=True
    )
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert sorted(one["id"] for one in answers) == list(range(10))
    assert all(one["result"]["structuredContent"]["event"] for one in answers)
    assert len(contents(file)) == 10
    assert ran.stderr == ""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    file = tmp_path / "a.holdfast"
    running = subprocess.Popen(
        [*START, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(remember(1, "Before.") + "\n")
    running.stdin.flush()
    assert json.loads(running.stdout.readline())["id"] == 1
    running.send_signal(how)
    out, error = running.communicate(timeout=60)
    assert (running.returncode, out, error) == (0, "", "")
    assert contents(file) == ["Before."]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("-wal")] == []


def test_a_client_that_is_gone_ends_it_cleanly(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*START, str(tmp_path / "a.holdfast")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    running.stdin.write(remember(1, "Before.") + "\n")
    running.stdin.flush()
    assert running.wait(60) == 0
    assert running.stderr.read() == ""
    running.stderr.close()
    running.stdin.close()


def test_nonsense_is_answered_and_does_not_end_it(tmp_path: Path) -> None:
    lines = ["not json", "[]", "\x00\xff", "", remember(7, "After.")]
    ran = subprocess.run(
        [*START, str(tmp_path / "a.holdfast")], input="\n".join(lines), capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["id"] for one in answers if "result" in one] == [7]


def test_a_message_that_is_too_long_is_answered_and_does_not_end_it(tmp_path: Path) -> None:
    long = "x" * (4 << 20)
    last = json.dumps({"method": "m", "params": {"id": 5, "a": long}, "jsonrpc": "2.0", "id": 9})
    lines = [
        remember(1, "Before."), remember(2, long), last, f'{{"a": "{long}"}}', f'{long}"id": 3',
        remember(4, long[: -(1 << 10)]), remember(7, "After."),
    ]  # fmt: skip
    ran = subprocess.run(
        [*START, str(tmp_path / "a.holdfast"), "--budget", "64 MiB"], input="\n".join(lines),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    refused = [(one.get("id"), one["error"]["code"]) for one in answers if "error" in one]
    assert refused == [(2, -32600), (9, -32600), (None, -32600), (None, -32600)]
    assert {one["id"] for one in answers if "result" in one} == {1, 4, 7}
    error = next(one["error"]["message"] for one in answers if "error" in one)
    assert (
        error == f"the message has {len(lines[1])} bytes, over the 4194304 that are taken; "
        "send less at once"
    )


def test_a_line_is_read_in_time_linear_in_its_length(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    path = tmp_path / "lines"
    path.write_bytes(b"a\n" + b"x" * (64 << 20) + b"\n\nb")
    with path.open("rb") as file:
        began = time.process_time()
        found = list(stdio._lines(file.fileno()))
        assert time.process_time() - began < 2  # to join it anew with each chunk copies 32 GiB
    assert [line.size for line in found] == [1, 64 << 20, 0, 1]
    assert [len(line.text()) for line in found] == [1, 512, 0, 1]


@given(
    st.lists(st.binary(max_size=12).filter(lambda one: b"\n" not in one), min_size=1, max_size=8),
    st.integers(1, 9),
    st.integers(1, 14),
)
def test_lines_come_whole_however_they_are_read(
    lines: list[bytes], chunk: int, longest: int
) -> None:
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        file.write(b"\n".join(lines))
        file.seek(0)
        for name, value in (("_CHUNK", chunk), ("LONGEST", longest), ("_ENDS", 2)):
            patch.setattr(stdio, name, value)
        found = [(line.size, b"".join(line.parts)) for line in stdio._lines(file.fileno())]
    ends = [one if len(one) <= longest else one[:2] + one[-2:] for one in lines]
    sizes = [len(one) for one in lines]
    wanted = list(zip(sizes, ends, strict=True))
    assert found == (wanted if lines[-1] else wanted[:-1])


def test_it_may_be_read_only_or_speak_for_one(tmp_path: Path) -> None:
    file = str(tmp_path / "a.holdfast")

    async def try_both(client: Client) -> tuple[bool, bool]:
        wrote = await client.call_tool("remember", {"content": "A secret of bo's."})
        found = await client.call_tool("recall", {"query": "secret"})
        return bool(wrote.is_error), bool(found.structured_content["items"])

    assert ask(try_both, file, "--principal", "agent/bo") == (False, True)
    assert ask(try_both, file, "--principal", "agent/cy", "--read-only") == (True, False)
