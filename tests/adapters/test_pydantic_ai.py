"""The conversation store, held against the framework's own in-memory one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

pytest.importorskip("pydantic_ai", reason="needs the extra pydantic-ai")

from pydantic_ai import Agent, Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from holdfast import Memory
from holdfast.adapters import PydanticAIStore
from holdfast.errors import AccessError, BudgetError

T = TypeVar("T")
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
IDS = st.sampled_from(["a", "b", "a/b", "conversation/a", "é 字"])
ENTRIES = st.sampled_from([f"m{n}" for n in range(8)])
SCOPES = st.sampled_from([None, "ana", "bo"])


def run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


def result_of(call: Coroutine[Any, Any, T]) -> T | type:
    """What a call returns, or the class of what it raises; a missing entry is a LookupError."""
    try:
        return run(call)
    except LookupError:
        return LookupError
    except UserError as error:
        return type(error)


def said(text: str) -> ModelRequest:
    return ModelRequest(parts=[UserPromptPart(text, timestamp=START)], timestamp=START)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "chats.holdfast", budget="8 MiB", durability="off") as opened:
        yield opened


class Both(RuleBasedStateMachine):
    """Two stores that are told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        path = Path(self.folder.name) / "chats.holdfast"
        self.memory = Memory.open(path, budget="8 MiB", durability="off")
        self.ours: ConversationStore = PydanticAIStore(self.memory, scope="chats")
        self.theirs: ConversationStore = InMemoryConversationStore()
        self.count = 0

    def teardown(self) -> None:
        self.memory.close()
        self.folder.cleanup()


class Primitives(Both):
    """The five primitives, with any ids and revisions, answer exactly alike."""

    @rule(id=IDS, head=ENTRIES, new=st.lists(ENTRIES, max_size=3, unique=True), scope=SCOPES,
          fresh=st.booleans(), stale=st.booleans(), left=st.lists(ENTRIES, max_size=1))  # fmt: skip
    def write(
        self, id: str, head: str, new: list[str], scope: str | None, fresh: bool, stale: bool,
        left: list[str],
    ) -> None:  # fmt: skip
        self.count += 1
        stored = run(self.theirs.read_record(id))
        expected = None if fresh or stored is None else "none such" if stale else stored.revision
        entries, parent = [], stored.head_id if stored else None
        known = {one for one in new if result_of(self.theirs.read_entry(one)) is not LookupError}
        for one in new:
            if one not in known:  # an entry, once stored, never changes
                entries.append(
                    ConversationEntry(id=one, parent_id=parent, message=said(f"{self.count} {one}"))
                )
                parent = one
        branches = [
            one for one in left if result_of(self.theirs.read_entry(one)) is not LookupError
        ]
        record = ConversationRecord(
            conversation_id=id, head_id=entries[-1].id if entries else head, scope=scope,
            usage=RunUsage(requests=self.count), branches=branches,
            revision=f"r{self.count}", updated_at=START + timedelta(seconds=self.count),
        )  # fmt: skip
        results = [
            result_of(store.write_record(record, new_entries=entries, expected_revision=expected))
            for store in (self.ours, self.theirs)
        ]
        assert results[0] == results[1]

    @rule(id=IDS, stale=st.booleans())
    def delete(self, id: str, stale: bool) -> None:
        stored = run(self.theirs.read_record(id))
        revision = "none such" if stale or stored is None else stored.revision
        results = [
            result_of(store.delete_record(id, expected_revision=revision))
            for store in (self.ours, self.theirs)
        ]
        assert results[0] == results[1]

    @rule(scope=SCOPES, limit=st.sampled_from([None, 0, 2]))
    def listed(self, scope: str | None, limit: int | None) -> None:
        found = [
            run(one.read_records(scope=scope, limit=limit)) for one in (self.ours, self.theirs)
        ]
        assert found[0] == found[1]

    @invariant()
    def alike(self) -> None:
        for record in run(self.theirs.read_records()):
            assert run(self.ours.read_record(record.conversation_id)) == record
            for tip in [record.head_id, *record.branches]:
                histories = [run(one.read_history(tip)) for one in (self.ours, self.theirs)]
                assert histories[0] == histories[1]


class Conversations(Both):
    """Loading, saving, branching and forking come to the same; ids, which each mints, aside."""

    def told(self, store: ConversationStore) -> list[Any]:
        """All there is to see, with entries as their place in their history."""
        seen = []
        for record in run(store.list_conversations()):
            entries = run(store.load_entries(record.conversation_id)) or []
            lines = [[e.message for e in run(store.read_history(tip))] for tip in record.branches]
            kept = run(store.read_history(record.forked_at))
            seen.append(
                (record.conversation_id, record.scope, record.usage, record.forked_from,
                 [entry.message for entry in entries], lines, [entry.message for entry in kept])
            )  # fmt: skip
        return sorted(seen, key=lambda one: one[0])

    def both(self, call: Any) -> None:
        ours, theirs = result_of(call(self.ours)), result_of(call(self.theirs))
        assert (ours if isinstance(ours, type) else "done") == (
            theirs if isinstance(theirs, type) else "done"
        )
        assert self.told(self.ours) == self.told(self.theirs)

    @rule(id=IDS, new=st.integers(1, 3), scope=SCOPES, drop=st.integers(0, 2),
          limit=st.sampled_from([None, 1, 2]), fresh=st.booleans())  # fmt: skip
    def save(
        self, id: str, new: int, scope: str | None, drop: int, limit: int | None, fresh: bool
    ) -> None:
        self.count += 1

        async def turn(store: ConversationStore) -> None:
            found = None if fresh else await store.load(id, limit=limit)
            conversation = found or Conversation(conversation_id=id)
            del conversation.messages[: -drop or None : 2]  # a history that somebody rewrote
            conversation.messages += [said(f"{self.count}.{n}") for n in range(new)]
            conversation.usage.requests += new
            await store.save(conversation, scope=scope)

        self.both(turn)

    @rule(id=IDS, at=st.integers(0, 4), stale=st.booleans(), scope=SCOPES)
    def branch(self, id: str, at: int, stale: bool, scope: str | None) -> None:
        async def turn(store: ConversationStore) -> None:
            found = await store.load(id)
            revision = "none such" if stale or found is None else found.revision
            await store.branch(id, at=at, expected_revision=revision, scope=scope)

        self.both(turn)

    @rule(id=IDS)
    def return_to_branch(self, id: str) -> None:
        async def turn(store: ConversationStore) -> None:
            record = await store.read_record(id)
            if record is not None and record.branches:
                await store.branch(
                    id, from_entry=record.branches[0], expected_revision=record.revision
                )

        self.both(turn)

    @rule(id=IDS, new=IDS, at=st.sampled_from([None, 0, 1, 3]), scope=SCOPES)
    def fork(self, id: str, new: str, at: int | None, scope: str | None) -> None:
        self.both(lambda store: store.fork(id, at=at, new_conversation_id=new, scope=scope))

    @rule(id=IDS, scope=SCOPES)
    def delete(self, id: str, scope: str | None) -> None:
        self.both(lambda store: store.delete(id, scope=scope))


TestPrimitives = Primitives.TestCase
TestConversations = Conversations.TestCase
TestPrimitives.settings = settings(max_examples=25, stateful_step_count=20)
TestConversations.settings = settings(max_examples=25, stateful_step_count=20)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
MESSAGES: st.SearchStrategy[ModelMessage] = st.one_of(
    st.builds(said, TEXTS),
    st.builds(lambda t: ModelResponse(parts=[TextPart(t)], timestamp=START), TEXTS),
    st.builds(
        lambda name, args, out: ModelResponse(
            parts=[ToolCallPart(name, args, tool_call_id=out or "1")], timestamp=START
        ),
        TEXTS, st.dictionaries(TEXTS, JSONS, max_size=3) | TEXTS, TEXTS,
    ),
    st.builds(
        lambda name, value: ModelRequest(
            parts=[ToolReturnPart(name, value, "1", timestamp=START)], timestamp=START
        ),
        TEXTS, JSONS,
    ),
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(MESSAGES, max_size=5))
def test_messages_come_back_as_they_went_in(messages: list[ModelMessage]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.holdfast"
        with Memory.open(path, budget="4 MiB", durability="off") as memory:
            store = PydanticAIStore(memory)
            run(store.save(Conversation(conversation_id="c", messages=list(messages))))
        with Memory.open(path) as memory:  # after a restart
            loaded = run(PydanticAIStore(memory).load("c"))
            assert loaded is not None
            assert loaded.messages == messages


def test_an_agent_goes_on_where_it_stopped(memory: Memory) -> None:
    seen = []

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append(len(messages))
        return ModelResponse(parts=[TextPart(f"answer {len(seen)}")])

    async def two_runs() -> list[ConversationEntry]:
        store, agent = PydanticAIStore(memory, scope="chats"), Agent(FunctionModel(answer))
        first = await agent.run("My cat is Tom.", conversation=Conversation(conversation_id="c"))
        await store.save(first, scope="ana")
        loaded = await store.load("c", scope="ana")
        assert loaded is not None
        second = await agent.run("Who is Tom?", conversation=loaded)
        return await store.save(second)

    new = run(two_runs())
    assert seen == [1, 3]  # the second run was sent the first
    assert [type(entry.message) for entry in new] == [ModelRequest, ModelResponse]
    store = PydanticAIStore(memory, scope="chats")
    loaded = run(store.load("c"))
    assert loaded is not None
    assert [message.parts[-1].content for message in loaded.messages] == [
        "My cat is Tom.", "answer 1", "Who is Tom?", "answer 2",
    ]  # fmt: skip
    assert loaded.usage.requests == 2
    assert run(store.load("c", scope="bo")) is None
    assert run(PydanticAIStore(memory, scope="elsewhere").load("c")) is None


def test_tools_and_their_results_are_stored(memory: Memory) -> None:
    agent = Agent(TestModel())

    @agent.tool_plain
    def weather(city: str) -> dict[str, Any]:
        return {"city": city, "degrees": 21}

    result = run(agent.run("How is the weather?"))
    store = PydanticAIStore(memory)
    run(store.save(result))
    loaded = run(store.load(result.conversation_id))
    assert loaded is not None
    assert loaded.messages == result.all_messages()
    assert loaded.usage.tool_calls == 1


def test_a_save_of_what_another_saved_is_refused_and_leaves_nothing(memory: Memory) -> None:
    store = PydanticAIStore(memory)
    conversation = Conversation(conversation_id="c", messages=[said("one")])
    run(store.save(conversation))
    stale = replace(conversation, messages=[*conversation.messages, said("lost")])
    conversation.messages.append(said("two"))
    run(store.save(conversation))
    before = memory.documents()
    with pytest.raises(ConversationConflict) as caught:
        run(store.save(stale))
    assert caught.value.conversation_id == "c"
    assert memory.documents() == before
    loaded = run(store.load("c"))
    assert loaded is not None
    assert [message.parts[0].content for message in loaded.messages] == ["one", "two"]


RACE = """
import asyncio, sys
from holdfast import Memory
from holdfast.adapters import PydanticAIStore
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.messages import ModelRequest, UserPromptPart
store = PydanticAIStore(Memory.open(sys.argv[1], durability="off"), scope="chats")
async def main():
    for turn in range(10):
        conversation = await store.load("c")
        conversation.messages.append(ModelRequest(parts=[UserPromptPart(sys.argv[2])]))
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            await store.save(conversation)
            print("won", flush=True)
        except ConversationConflict:
            print("lost", flush=True)
        sys.stdin.readline()
asyncio.run(main())
"""


def test_of_two_processes_that_save_one_revision_one_wins(memory: Memory, tmp_path: Path) -> None:
    store = PydanticAIStore(memory, scope="chats")
    run(store.save(Conversation(conversation_id="c", messages=[said("start")])))
    path = str(tmp_path / "chats.holdfast")
    children = [
        subprocess.Popen([sys.executable, "-c", RACE, path, name], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("left", "right")
    ]  # fmt: skip

    def go() -> None:
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()

    def hear() -> list[str]:
        return [child.stdout.readline().strip() for child in children if child.stdout is not None]

    for _ in range(10):
        assert hear() == ["ready", "ready"]
        go()
        assert sorted(hear()) == ["lost", "won"]
        go()
    for child in children:
        child.communicate(timeout=30)
    loaded = run(store.load("c"))
    assert loaded is not None
    assert len(loaded.messages) == 11


def test_forks_of_one_entry_at_once_all_succeed(memory: Memory) -> None:
    store = PydanticAIStore(memory)
    run(store.save(Conversation(conversation_id="c", messages=[said("one"), said("two")])))

    async def forks() -> list[Conversation]:
        return await asyncio.gather(*(store.fork("c", at=1) for _ in range(8)))

    made = run(forks())
    assert all([message.parts[0].content for message in one.messages] == ["one"] for one in made)
    run(store.delete("c"))
    assert sum(name.startswith("message/") for name in memory.documents()) == 1
    for one in made:
        loaded = run(store.load(one.conversation_id))
        assert loaded is not None
        assert loaded.messages == one.messages


def test_a_fork_and_a_delete_at_once_leave_a_whole_fork_or_none(memory: Memory) -> None:
    store = PydanticAIStore(memory)

    async def race() -> Conversation | None:
        talk = [said(str(n)) for n in range(6)]
        await store.save(Conversation(conversation_id="c", messages=list(talk)))
        forked, _ = await asyncio.gather(
            store.fork("c", at=3), store.delete("c"), return_exceptions=True
        )
        assert await store.load("c") is None
        if isinstance(forked, UserError):  # the conversation, or an entry of it, was gone
            return None
        assert isinstance(forked, Conversation)
        found = await store.load(forked.conversation_id)
        assert found is not None
        assert found.messages == talk[:3]
        return found

    forks = [one for one in (run(race()) for _ in range(40)) if one is not None]
    assert len(run(store.list_conversations())) == len(forks)
    assert sum(name.startswith("message/") for name in memory.documents()) == 3 * len(forks)


def test_what_is_larger_than_a_document_or_a_write_is_stored(memory: Memory) -> None:
    paper = BinaryContent(bytes(range(256)) * 5_000, media_type="application/pdf")
    large = ModelRequest(parts=[UserPromptPart(["look", paper], timestamp=START)])
    long = [said("x" * 30_000) for _ in range(60)]
    store = PydanticAIStore(memory)
    conversation = Conversation(conversation_id="c", messages=[large, *long])
    run(store.save(conversation))
    loaded = run(store.load("c"))
    assert loaded is not None
    assert loaded.messages == conversation.messages
    assert memory.usage().disk <= memory.usage().budget
    run(store.delete("c"))
    assert memory.documents() == []


def test_a_memory_that_is_full_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "small.holdfast", budget="1 MiB", durability="off") as memory:
        store = PydanticAIStore(memory)
        conversation = Conversation(conversation_id="c")
        rng = Random(7)

        def talk(turns: int) -> None:
            for _ in range(turns):
                conversation.messages.append(said(rng.randbytes(3000).hex()))
                run(store.save(conversation))

        talk(60)
        with pytest.raises(BudgetError):
            talk(1000)
        loaded = run(store.load("c"))
        assert loaded is not None
        assert loaded.messages == conversation.messages[:-1]


def test_erasing_a_scope_erases_its_conversations(memory: Memory) -> None:
    stores = [PydanticAIStore(memory, scope=f"user/{user}/chats") for user in ("ana", "bo")]
    for store in stores:
        run(store.save(Conversation(conversation_id="c", messages=[said("hello")])))
    entry = next(n for n in memory.documents(scope="user/ana/chats") if n.startswith("message/"))
    run(stores[0].delete("c"))
    assert memory.document_history(entry, scope="user/ana/chats") != []  # deleted, not erased
    assert memory.erase(scope="user/ana").events == 2
    assert memory.document_history(entry, scope="user/ana/chats") == []
    loaded = run(stores[1].load("c"))
    assert loaded is not None
    assert loaded.messages == [said("hello")]


def test_a_seat_keeps_to_its_scopes(memory: Memory) -> None:
    conversation = Conversation(conversation_id="c", messages=[said("mine")])
    store = PydanticAIStore(memory.seat("agent/bo"))
    run(store.save(conversation))
    assert memory.documents(scope="agent/bo") != []
    with pytest.raises(AccessError):
        run(PydanticAIStore(memory.seat("agent/bo"), scope="team").save(conversation))
    memory.grant("agent/cy", "read", "agent/bo")
    reader = PydanticAIStore(memory.seat("agent/cy"), scope="agent/bo")
    loaded = run(reader.load("c"))
    assert loaded is not None
    with pytest.raises(AccessError):
        run(reader.save(loaded))
    with pytest.raises(AccessError):
        run(reader.delete("c"))
