"""Sessions, held against the SDK's own in SQLite."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

pytest.importorskip("agents", reason="needs the extra openai-agents")

from agents import Agent, Model, ModelResponse, Runner, Usage
from agents.memory import Session, SessionSettings, SQLiteSession
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from holdfast import Memory
from holdfast.adapters import AgentsSession
from holdfast.errors import AccessError, EventTooLargeError, InvalidEventError
from holdfast.records import Tier
from holdfast.retention.base import ScoredPolicy
from holdfast.retention.view import Plan, View

T = TypeVar("T")

TEXTS = st.sampled_from(
    ["", " ", "The spare key is under the blue pot.", "é 字 🎈", "two\nlines\n", "\ud800", "a\0b"]
) | st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "output_text", "refusal", "input_image"])},
    optional={"text": TEXTS, "refusal": TEXTS, "annotations": JSON, "image_url": TEXTS},
)
SAID = TEXTS | st.lists(PARTS, max_size=3)
ROLES = st.sampled_from(["user", "assistant", "system", "developer", "tool"])
ITEMS = st.one_of(
    st.fixed_dictionaries({"role": ROLES, "content": SAID}, optional={"type": st.just("message")}),
    st.fixed_dictionaries(
        {"id": TEXTS, "type": st.just("message"), "role": st.just("assistant"), "content": SAID},
        optional={"status": st.just("completed"), "phase": JSON},
    ),
    st.fixed_dictionaries(
        {"type": st.just("reasoning"), "id": TEXTS, "summary": st.lists(PARTS, max_size=2)},
        optional={"encrypted_content": TEXTS, "content": st.lists(PARTS, max_size=2)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "call_id": TEXTS, "name": TEXTS, "arguments": TEXTS}
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": TEXTS, "output": SAID}
    ),
    st.dictionaries(TEXTS, JSON, max_size=4),
)
LIMITS = st.none() | st.integers(-1, 6)


def run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


def exact(items: list[Any]) -> str:
    """As JSON, with the keys of each object in their order."""
    return json.dumps(items)


class Sessions(RuleBasedStateMachine):
    """Two sessions, each used through two openings of one file as two processes would be."""

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory()
        path = Path(self.folder.name) / "a.holdfast"
        first = Memory.open(path, budget="8 MiB", durability="off", extractor=None)
        self.memories = [first, Memory.open(path, durability="off", extractor=None)]
        self.theirs = {name: SQLiteSession(name) for name in ("s", "s/t")}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for session in self.theirs.values():
                session.close()
            for memory in self.memories:
                memory.close()
            self.folder.cleanup()

    def ours(self, which: int, name: str) -> AgentsSession:
        return AgentsSession(self.memories[which], name)

    names, which = st.sampled_from(["s", "s/t"]), st.integers(0, 1)

    @rule(which=which, name=names, items=st.lists(ITEMS, max_size=4))
    def add(self, which: int, name: str, items: list[Any]) -> None:
        run(self.ours(which, name).add_items(items))
        run(self.theirs[name].add_items(items))

    @rule(which=which, name=names)
    def pop(self, which: int, name: str) -> None:
        found, expected = run(self.ours(which, name).pop_item()), run(self.theirs[name].pop_item())
        assert exact([found]) == exact([expected])

    @rule(which=which, name=names, limit=LIMITS)
    def get(self, which: int, name: str, limit: int | None) -> None:
        found = run(self.ours(which, name).get_items(limit))
        assert exact(found) == exact(run(self.theirs[name].get_items(limit)))

    @rule(which=which, name=names)
    def clear(self, which: int, name: str) -> None:
        run(self.ours(which, name).clear_session())
        run(self.theirs[name].clear_session())

    @rule(which=which)
    def note(self, which: int) -> None:
        """Somebody else's events in the same scopes are no items."""
        self.memories[which].observe("an aside", kind="note", scope="s")

    @invariant()
    def same_items(self) -> None:
        for name, theirs in getattr(self, "theirs", {}).items():
            assert exact(run(self.ours(0, name).get_items())) == exact(run(theirs.get_items()))


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "a.holdfast", budget="8 MiB", durability="off") as memory:
        yield memory


def say(*texts: str) -> list[Any]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


@settings(max_examples=40, deadline=None)
@given(items=st.lists(ITEMS, min_size=1, max_size=6))
def test_items_survive_an_export_and_import(items: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        a, b = Path(folder) / "a.holdfast", Path(folder) / "b.holdfast"
        lines = io.StringIO()
        with Memory.open(a, budget="1 MiB", durability="off") as memory:
            memory.observe("so that numbers differ")
            run(AgentsSession(memory, "s").add_items(items))
            memory.export(lines)
        with Memory.open(b, budget="1 MiB", durability="off") as memory:
            memory.import_(
                line for line in lines.getvalue().splitlines() if '"openai_agents"' in line
            )
            found = run(AgentsSession(memory, "s").get_items())
        assert exact(found) == exact(json.loads(exact(items)))


def test_what_was_said_in_any_session_is_recalled(memory: Memory) -> None:
    monday = AgentsSession(memory, "monday", scope="user/ana")
    tuesday = AgentsSession(memory, "tuesday", scope="user/ana")
    secret = {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "pot" * 9}
    run(monday.add_items([*say("The spare key is under the blue pot.", "Noted."), secret]))
    parts = [{"type": "output_text", "text": "I like"}, {"type": "output_text", "text": "tea."}]
    run(tuesday.add_items([{"role": "assistant", "content": parts}]))
    (best, *_) = memory.rank("where is the spare key?", scope="user/ana")
    assert memory.get(best.seq).event.scope == "user/ana/monday"
    assert memory.get(best.seq).text == "The spare key is under the blue pot."
    found = memory.recall("tea", scope="user/ana/tuesday").items
    assert [one.text for one in found] == ["I like\ntea."]
    assert memory.recall("spare key", scope="user/bo").items == ()


def test_events_say_what_their_items_are(memory: Memory) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x": 1}'}
    output = {"type": "function_call_output", "call_id": "c", "output": "42"}
    rules = {"role": "developer", "content": "Be brief."}
    thought = {"type": "reasoning", "id": "r", "summary": []}
    run(AgentsSession(memory, "s").add_items([*say("hi", "ho"), call, output, rules, thought]))
    told = [(one.event.kind, one.event.role, one.event.content) for one in memory.log()]
    assert told[:5] == [
        ("message", "user", "hi"), ("message", "assistant", "ho"),
        ("tool_call", None, '{"x": 1}'), ("tool_result", None, "42"),
        ("message", None, "Be brief."),
    ]  # fmt: skip
    assert told[5][:2] == ("observation", None)
    assert isinstance(told[5][2], bytes)
    assert [one.event.scope for one in memory.log()] == ["s"] * 5 + ["s/%data"]


def test_large_items_come_back_exactly(memory: Memory) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}
    items: list[Any] = [
        {"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, image]},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "g" * 200_000},
        {"role": "user", "content": "word " * 50_000},
    ]
    session = AgentsSession(memory, "s")
    run(session.add_items(items))
    assert run(session.get_items()) == items


@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), [{"a": float("nan")}]])
def test_numbers_that_json_has_not_come_back(memory: Memory, odd: Any) -> None:
    session = AgentsSession(memory, "s")
    run(session.add_items([{"role": "user", "content": "hi", "odd": odd}, *say("ho")]))
    first, second = run(session.get_items())
    assert (repr(first["odd"]), first["content"], second) == (repr(odd), "hi", say("ho")[0])


def test_history_stays_in_the_log(memory: Memory) -> None:
    session = AgentsSession(memory, "s")
    run(session.add_items(say("one", "two", "three")))
    assert run(session.pop_item()) == {"role": "user", "content": "three"}
    run(session.add_items(say("four")))
    run(session.clear_session())
    run(session.add_items(say("five")))
    assert run(session.get_items()) == say("five")
    said = [one.event.text for one in memory.log(scope="s") if one.event.kind != "state"]
    assert said == ["one", "two", "three", "four", "five"]
    gone = memory.document_history("openai-agents", scope="s")
    assert [(one.value["cleared"], one.value["popped"]) for one in gone] == [(0, [[3, 3]]), (5, [])]


def test_popping_many_keeps_one_run(memory: Memory) -> None:
    session = AgentsSession(memory, "s")
    for n in range(6):
        run(session.add_items(say(f"{n}a", f"{n}b", f"{n}c")))
        run(session.pop_item())
        run(session.pop_item())
    assert len(memory.document("openai-agents", scope="s").value["popped"]) == 6
    assert [item["content"] for item in run(session.get_items())] == [f"{n}a" for n in range(6)]
    for n in range(5, 0, -1):
        assert run(session.pop_item()) == {"role": "user", "content": f"{n}a"}
    assert len(memory.document("openai-agents", scope="s").value["popped"]) == 2
    assert run(session.get_items()) == say("0a")


@pytest.mark.parametrize("retention", ["demand", "random"])
def test_a_tiny_budget_gives_the_newest_items_whole(tmp_path: Path, retention: str) -> None:
    path, rng = tmp_path / "b.holdfast", Random(7)
    with Memory.open(
        path, budget="640 KiB", durability="off", retention=retention, extractor=None
    ) as memory:
        session, items = AgentsSession(memory, "s"), list[Any]()
        for n in range(50):
            told, thought = (
                " ".join(f"{rng.getrandbits(40):x}" for _ in range(1200)) for _ in range(2)
            )
            batch: list[Any] = [
                {"role": "user", "content": f"turn {n}: {told}"},
                {"type": "reasoning", "id": f"r{n}", "summary": [], "encrypted_content": thought},
                {"id": f"m{n}", "role": "assistant", "type": "message",
                 "content": [{"type": "output_text", "text": f"answer {n}"}]},
            ]  # fmt: skip
            run(session.add_items(batch))
            items += batch
            if n % 10 == 0:
                assert run(session.pop_item()) == items.pop()
            found = run(session.get_items())
            assert found
            assert found == items[-len(found) :]
        assert 3 <= len(found) < len(items)
        kept = list(memory.log(scope="s"))
        assert any(one.tier > Tier.VERBATIM for one in kept) or len(kept) < len(items)
        assert memory.usage().disk <= 640 << 10
        while (item := run(session.pop_item())) is not None:  # each pop may evict more
            assert item == found.pop()
        assert run(session.get_items()) == []
        run(session.add_items(say("on", "we go")))
        assert run(session.get_items()) == say("on", "we go")


def test_nothing_is_missing_between_items(memory: Memory) -> None:
    session = AgentsSession(memory, "s")
    run(session.add_items(say("one", "two", "three", "four")))
    run(session.pop_item())
    run(session.add_items(say("five", "six")))
    assert [item["content"] for item in run(session.get_items())] == [
        "one", "two", "three", "five", "six",
    ]  # fmt: skip
    memory.erase(event=4)  # popped: nobody misses it
    assert len(run(session.get_items())) == 5
    memory.erase(event=2)
    assert [item["content"] for item in run(session.get_items())] == ["three", "five", "six"]
    assert run(session.get_items(2)) == say("five", "six")


@dataclass(frozen=True)
class Spite(ScoredPolicy):
    """Lowers the third event as soon as anything must go, and evicts none of the first three."""

    def score(self, view: View) -> Any:
        return np.where(view.position <= 3, 1e9, view.position)

    def plan(self, view: View, limit: Any) -> Plan:
        plan = super().plan(view, limit)
        lowered = np.where((view.position == 3) & plan.tier.any(), Tier.TRACE, plan.tier)
        return Plan(np.maximum(lowered, view.tier).astype(np.uint8))


def test_nothing_older_comes_up_from_behind_a_lowered_item(tmp_path: Path) -> None:
    path, rng = tmp_path / "b.holdfast", Random(7)
    with Memory.open(
        path, budget="640 KiB", durability="off", retention=Spite(), extractor=None
    ) as memory:
        session = AgentsSession(memory, "s")
        run(session.add_items(say("one", "two", "three " * 99)))
        while memory.get(3).tier == Tier.VERBATIM:
            memory.observe(" ".join(f"{rng.getrandbits(40):x}" for _ in range(1200)))
        assert run(session.get_items()) == []
        assert run(session.pop_item()) is None
        run(session.add_items(say("four")))
        assert run(session.get_items()) == say("four")
        memory.erase(event=3)
        assert run(session.get_items()) == say("four")


def test_seats_hold_sessions_at_home_and_where_they_may(memory: Memory) -> None:
    ana, bo = memory.seat("agent/ana"), memory.seat("agent/bo")
    session = AgentsSession(ana, "s")
    items = [*say("hi", "ho"), {"role": "system", "content": "Obey."}]
    run(session.add_items(items))
    assert run(session.get_items()) == items
    assert {one.event.scope for one in memory.log()} == {"agent/ana/s"}
    assert {one.event.speaker for one in memory.log()} == {"agent/ana"}
    shared = AgentsSession(bo, "s", scope="agent/ana")
    for call in (shared.get_items(), shared.add_items(say("x")), shared.pop_item()):
        with pytest.raises(AccessError):
            run(call)
    with pytest.raises(AccessError):  # the root, which no seat has
        run(AgentsSession(bo, "s", scope="").get_items())
    memory.grant("agent/bo", "read", "agent/ana")
    memory.grant("agent/bo", "write", "agent/ana")
    run(shared.add_items(say("x")))
    assert run(shared.pop_item()) == say("x")[0]
    assert run(shared.pop_item()) == items[-1]
    assert run(session.get_items()) == items[:2]


def test_settings_and_ids(memory: Memory) -> None:
    session = AgentsSession(memory, "a/b%", session_settings=SessionSettings(limit=1))
    assert isinstance(session, Session)
    run(session.add_items(say("one", "two")))
    assert run(session.get_items()) == say("one", "two")[1:]
    assert run(session.get_items(2)) == say("one", "two")
    for other in ("a", "a%2Fb%25", "b%"):
        assert run(AgentsSession(memory, other).get_items()) == []
    assert run(AgentsSession(memory, "a/b%").get_items()) == say("one", "two")
    with pytest.raises(InvalidEventError, match="needs an id"):
        AgentsSession(memory, "")


def test_what_is_refused_stores_nothing(memory: Memory) -> None:
    session = AgentsSession(memory, "s")
    with pytest.raises(TypeError):
        run(session.add_items([*say("one"), {"role": object()}]))
    with pytest.raises(EventTooLargeError):
        run(session.add_items([*say("one"), {"role": "user", "content": "x" * (3 << 20)}]))
    run(session.add_items([]))
    assert len(memory) == 0
    run(session.clear_session())
    assert len(memory) == 0
    assert run(session.pop_item()) is None


def test_cancelled_writes_are_waited_for(memory: Memory) -> None:
    session, go = AgentsSession(memory, "s"), threading.Event()

    async def main() -> list[Any]:
        task = asyncio.create_task(session.add_items(say("one")))
        await asyncio.sleep(0.05)  # it is on its thread, and waits there
        task.cancel()
        asyncio.get_running_loop().call_later(0.05, go.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert go.is_set()
        return await session.get_items()

    add = session._add
    session._add = lambda texts: (go.wait(), add(texts))[1]  # type: ignore[method-assign]
    assert run(main()) == say("one")


class Parrot(Model):
    """A model that says how much it was given."""

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        given = args[1] if len(args) > 1 else options["input"]
        text = ResponseOutputText(text=f"given {len(given)}", type="output_text", annotations=[])
        said = ResponseOutputMessage(
            id="m", content=[text], role="assistant", status="completed", type="message"
        )
        return ModelResponse(output=[said], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError


def test_a_runner_keeps_its_turns_in_it(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")
    agent, sessions = Agent(name="parrot", model=Parrot()), []
    for session in (AgentsSession(memory, "s"), SQLiteSession("s")):

        async def talk(session: Any = session) -> list[Any]:
            for line in ("hi", "and now?"):
                result = await Runner.run(agent, line, session=session)
            assert result.final_output == "given 3"
            return await session.get_items()

        sessions.append(run(talk()))
    assert exact(sessions[0]) == exact(sessions[1])
    assert len(sessions[0]) == 4


WORKER = """
import asyncio, sys
from holdfast import Memory
from holdfast.adapters import AgentsSession

path, name, n = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def main(session):
    popped = []
    for i in range(n):
        await session.add_items([{"role": "user", "content": f"{name} {i} {m}"} for m in range(3)])
        popped.append((await session.pop_item())["content"])
    return popped

with Memory.open(path, durability="normal") as memory:
    print("ready", flush=True)
    sys.stdin.readline()
    print("\\n".join(asyncio.run(main(AgentsSession(memory, "s")))))
"""


def test_processes_share_a_session(tmp_path: Path) -> None:
    path, n, names = tmp_path / "b.holdfast", 6, ("ana", "bo")
    with Memory.open(path, budget="8 MiB") as memory:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(path), name, str(n)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for name in names
        ]  # fmt: skip
        for one in workers:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in workers:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        popped = [one.communicate(timeout=60)[0].split("\n")[:-1] for one in workers]
        assert [one.returncode for one in workers] == [0, 0]
        left = [item["content"] for item in run(AgentsSession(memory, "s").get_items())]
    given = [f"{name} {i} {m}" for name in names for i in range(n) for m in range(3)]
    assert sorted(left + popped[0] + popped[1]) == sorted(given)  # each once, none lost
