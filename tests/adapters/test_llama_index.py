"""The memory block, by itself and inside the framework's own memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llama_index.core", reason="needs the extra llama-index")

from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import MockLLM
from llama_index.core.memory import Memory as ChatMemory
from llama_index.core.memory import StaticMemoryBlock
from llama_index.core.storage.chat_store.sql import MessageStatus
from sqlalchemy.ext.asyncio import create_async_engine

from holdfast import Memory
from holdfast.adapters import LlamaIndexBlock
from holdfast.errors import AccessError

T = TypeVar("T")


def run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


def words(text: str) -> list[str]:
    """A tokenizer that needs no download."""
    return text.split()


def count(text: str) -> int:
    return len(words(text))


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def bot(text: str) -> ChatMessage:
    return ChatMessage(role="assistant", content=text)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    path = tmp_path / "ana.holdfast"
    with Memory.open(path, budget="8 MiB", durability="off", counter=count) as opened:
        yield opened


def test_messages_become_events_with_who_said_them_and_in_which_session(memory: Memory) -> None:
    block = LlamaIndexBlock(memory, scope="user/ana")
    call = ToolCallBlock(tool_name="weather", tool_kwargs={"city": "Lisboa"}, tool_call_id="7")
    messages = [
        ChatMessage(role="system", content="You are a travel agent."),
        ChatMessage(role="user", content="I live in Porto.", additional_kwargs={"name": "Ana"}),
        ChatMessage(role="assistant", blocks=[TextBlock(text="Let me see."), call]),
        ChatMessage(role="tool", content="21 degrees", additional_kwargs={"tool_call_id": "7"}),
        ChatMessage(role="user", blocks=[ImageBlock(image=b"not text")]),
    ]
    run(block.aput(messages, session_id="trips/2026"))
    assert [
        (e.content, e.speaker, e.role, e.kind, e.scope, dict(e.metadata))
        for e in (record.event for record in memory.log())
    ] == [
        ("I live in Porto.", "Ana", "user", "message", "user/ana/trips%2F2026", {}),
        ("Let me see.", "assistant", "assistant", "message", "user/ana/trips%2F2026", {}),
        ('{"tool": "weather", "arguments": {"city": "Lisboa"}}', "assistant", "assistant",
         "tool_call", "user/ana/trips%2F2026", {}),
        ("21 degrees", "tool", "tool", "tool_result", "user/ana/trips%2F2026",
         {"tool_call_id": "7"}),
    ]  # fmt: skip
    assert messages[1].additional_kwargs["name"] == "Ana"  # what was given is left as it was
    assert [belief.value for belief in memory.beliefs(subject="Ana")] == ["Porto"]


def test_the_latest_message_of_the_user_is_what_is_asked(memory: Memory) -> None:
    block = LlamaIndexBlock(memory, scope="user/ana", tokens=60)
    for n in range(40):
        run(block.aput([user(f"Box {n} holds the {n}th lamp.")]))
    run(block.aput([user("The spare key is under the blue pot.")]))
    history = [user("Which box holds lamp 7?"), bot("Box 7."), user("Where is the spare key?")]
    text = run(block.aget([*history, bot("Let me think.")]))
    assert "under the blue pot" in text
    assert len(words(text)) <= 60
    assert run(block.aget([])) == run(block.aget(None)) == run(block.aget([bot("key")])) == ""
    assert run(block.aget([user("zyxxy quux")])) == ""


def test_users_are_kept_apart_and_sessions_of_one_are_not(memory: Memory) -> None:
    ana, bo = (LlamaIndexBlock(memory, scope=f"user/{name}") for name in ("ana", "bo"))
    run(ana.aput([user("The wombat sleeps in the shed.")], session_id="1"))
    question = [user("Where does the wombat sleep?")]
    assert "in the shed" in run(ana.aget(question, session_id="2"))
    assert run(bo.aget(question, session_id="1")) == ""


@settings(max_examples=60)
@given(cut=st.integers(1, 300), tokens=st.integers(40, 250))
def test_a_cut_gives_at_most_what_is_left(cut: int, tokens: int, full: Memory) -> None:
    block = LlamaIndexBlock(full, tokens=tokens)
    text = run(block.aget([user("Where is the lamp of box 7?")]))
    shorter = run(block.atruncate(text, cut))
    if shorter is None:
        assert cut * 1.4 > len(words(text)) - 60  # too little is left for one line
    else:
        assert 0 < len(words(shorter)) <= len(words(text)) - cut
        assert "Box 7 " in shorter  # the best of it stays


def test_what_another_block_made_cannot_be_cut(memory: Memory) -> None:
    assert run(LlamaIndexBlock(memory).atruncate("some text of somebody else", 1)) is None


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    path = tmp_path_factory.mktemp("full") / "a.holdfast"
    with Memory.open(path, budget="8 MiB", durability="off", counter=count) as opened:
        opened.observe_many(f"Box {n} holds lamp {n * 37 % 101} of the attic." for n in range(60))
        yield opened


@asynccontextmanager
async def chat(*blocks: Any, **options: Any) -> AsyncIterator[ChatMemory]:
    """The framework's memory, with little room."""
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    given = {"token_limit": 200, "token_flush_size": 20, "chat_history_token_ratio": 0.3}
    yield ChatMemory.from_defaults(
        session_id="s", memory_blocks=list(blocks), tokenizer_fn=words, async_engine=engine,
        **given | options,
    )  # fmt: skip
    await engine.dispose()


@pytest.mark.parametrize("method", ["system", "user"])
def test_what_left_the_history_comes_back_when_it_is_asked_for(memory: Memory, method: str) -> None:
    async def talk() -> list[ChatMessage]:
        block = LlamaIndexBlock(memory, scope="user/ana", tokens=80)
        async with chat(block, insert_method=method) as held:
            await held.aput_messages([user("The spare key is under the blue pot."), bot("Noted.")])
            for n in range(12):
                turn = [user(f"Tell me about lamp {n} in the attic."), bot(f"Lamp {n} is red.")]
                await held.aput_messages(turn)
            kept = await held.aget_all(status=MessageStatus.ACTIVE)
            assert "blue pot" not in " ".join(str(one.content) for one in kept)
            await held.aput(user("Where is the spare key?"))
            return await held.aget()

    messages = run(talk())
    given = [one for one in messages if "<holdfast>" in str(one.content)]
    assert [one.role.value for one in given] == [method]
    assert "] The spare key is under the blue pot." in str(given[0].content)
    assert "] Lamp 11 is red." not in str(given[0].content)  # which is still in the history
    stored = [record.event.content for record in memory.log()]
    assert stored[0] == "The spare key is under the blue pot."
    assert len(stored) == len(set(stored)) > 10


def test_a_chat_engine_uses_it_from_end_to_end(memory: Memory) -> None:
    block = LlamaIndexBlock(memory, scope="user/ana", tokens=80)
    run(block.aput([user("My cat is called Sesame.")]))

    async def ask() -> str:
        async with chat(block) as held:
            engine = SimpleChatEngine.from_defaults(llm=MockLLM(), memory=held)
            return str(await engine.achat("What is my cat called?"))

    reply = run(ask())  # this model repeats its prompt
    assert "[e1 user] My cat is called Sesame." in reply
    assert reply.index("Sesame") < reply.index("What is my cat called?")


@pytest.mark.parametrize("priority", [0, 1])
def test_a_block_that_may_be_cut_gives_less_rather_than_nothing(
    full: Memory, priority: int
) -> None:
    block = LlamaIndexBlock(full, tokens=150, priority=priority)

    async def ask() -> str:
        async with chat(block, token_limit=120) as held:
            await held.aput(user("Where is the lamp of box 7?"))
            given, _ = await held.aget()
            return str(given.content)

    text = run(ask())
    assert "Box 7 " in text
    lines = sum(line.startswith("[e") for line in text.splitlines())
    assert lines >= 10 if priority == 0 else 3 <= lines <= 8, text


def test_a_seat_keeps_to_its_home(memory: Memory) -> None:
    block = LlamaIndexBlock(memory.seat("agent/bo"))
    run(block.aput([user("The wombat sleeps in the shed."), bot("I see.")], session_id="1"))
    assert {record.event.scope for record in memory.log()} == {"agent/bo/1"}
    assert "in the shed" in run(block.aget([user("Where does the wombat sleep?")]))
    with pytest.raises(AccessError):
        run(LlamaIndexBlock(memory.seat("agent/bo"), scope="team").aput([user("Hello.")]))


def test_it_is_a_block_as_the_framework_knows_them(memory: Memory) -> None:
    block = LlamaIndexBlock(memory, priority=2, description="what was said")
    assert (block.name, block.priority, block.description) == ("holdfast", 2, "what was said")
    assert "memory" not in block.model_dump()

    async def ask() -> str:
        core = StaticMemoryBlock(name="core", static_content="Be brief.")
        async with chat(block, core) as held:
            await held.aput(user("Where is the key?"))
            return str((await held.aget())[0].content)

    memory.observe("The key is in the hall.")
    text = run(ask())
    assert text.index("The key is in the hall.") < text.index("Be brief.")
    off = LlamaIndexBlock(memory, accept_short_term_memory=False)
    run(off.aput([user("unsaid")], from_short_term_memory=True))
    assert len(memory) == 1
