"""The memory service, held against the kit's own in-memory one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("google.adk", reason="needs the extra adk")

from google.adk.agents import LlmAgent
from google.adk.events.event import Event
from google.adk.memory import InMemoryMemoryService
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService, Session
from google.adk.tools.preload_memory_tool import preload_memory_tool
from google.genai.types import Blob, Content, FunctionCall, Part

from holdfast import Memory
from holdfast.adapters import AdkMemoryService
from holdfast.errors import AccessError, InvalidEventError

T = TypeVar("T")
START = 1_772_355_600.0  # 1 March 2026, 09:00 UTC
ANA: dict[str, Any] = {"app_name": "travel", "user_id": "ana"}


def run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


def said(text: str, n: int, author: str = "user") -> Event:
    role = "user" if author == "user" else "model"
    return Event(
        id=f"id-{n}", author=author, timestamp=START + n,
        content=Content(role=role, parts=[Part(text=text)]),
    )  # fmt: skip


def session(*events: Event, id: str = "s", **owner: str) -> Session:
    return Session(id=id, events=list(events), **(ANA | owner))


def found(service: Any, query: str, **owner: str) -> list[MemoryEntry]:
    return list(run(service.search_memory(**(ANA | owner), query=query)).memories)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "adk.holdfast", budget="8 MiB", durability="off") as opened:
        yield opened


def test_a_memory_comes_back_with_its_author_time_and_content(memory: Memory) -> None:
    service = AdkMemoryService(memory)
    talk = [said("The spare key is under the blue pot.", 1), said("Noted.", 2, "travel_agent")]
    run(service.add_session_to_memory(session(*talk)))
    entry = found(service, "where is the spare key?")[0]
    assert entry.content == talk[0].content
    assert (entry.id, entry.author) == ("id-1", "user")
    assert entry.custom_metadata == {"seq": 1, "tier": "verbatim"}
    assert entry.timestamp == "2026-03-01T09:00:01+00:00"
    theirs = InMemoryMemoryService()
    run(theirs.add_session_to_memory(session(*talk)))
    (reference,) = found(theirs, "where is the spare key?")
    assert reference.content == entry.content
    local = datetime.fromisoformat(str(reference.timestamp)).astimezone(UTC)
    assert local == datetime.fromisoformat(str(entry.timestamp))
    assert found(service, "zyxxy") == []


def test_a_session_added_again_adds_only_what_is_new(memory: Memory) -> None:
    service = AdkMemoryService(memory)
    talk = [said(f"Lamp {n} is red.", n) for n in range(6)]
    for end in (2, 2, 5, 6, 6):
        run(service.add_session_to_memory(session(*talk[:end])))
    # Again by another service, and by a delta.
    run(AdkMemoryService(memory).add_session_to_memory(session(*talk)))
    run(service.add_events_to_memory(**ANA, events=[*talk[2:], said("Lamp 9.", 9)], session_id="s"))
    stored = [one.event.content for one in memory.log() if one.event.kind == "message"]
    assert stored == [*(f"Lamp {n} is red." for n in range(6)), "Lamp 9."]


def test_a_session_is_known_after_more_events_than_keys_are_remembered(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a.holdfast", budget="1 MiB", durability="off") as memory:
        service = AdkMemoryService(memory)
        talk = [said(f"Lamp {n} is red.", n) for n in range(4)]
        run(service.add_session_to_memory(session(*talk[:3])))
        memory.observe_many(f"note {n}" for n in range(3000))
        for n in range(300):  # each key pushes older ones out
            memory.observe(f"keyed {n}", key=str(n))
        again = memory.observe("Lamp 0 is red.", key="adk:travel/ana/s:id-0")
        assert again.seq > 3  # that key is forgotten by now
        run(service.add_session_to_memory(session(*talk)))
        stored = [one.event.metadata.get("id") for one in memory.log(scope="travel/ana/s")]
        assert stored == [f"id-{n}" for n in range(4)]


def test_no_event_is_taken_for_that_of_another_user(memory: Memory) -> None:
    service = AdkMemoryService(memory)
    for user, id in (("bob", "a:b"), ("bob:a", "b"), ("bob/a", "b"), ("bob", "a/b")):
        event = said(f"{user} says {id}.", 1).model_copy(update={"id": id})
        run(service.add_events_to_memory(app_name="travel", user_id=user, events=[event]))
    stored = [one.event.content for one in memory.log() if one.event.kind == "message"]
    assert stored == ["bob says a:b.", "bob:a says b.", "bob/a says b.", "bob says a/b."]


def test_a_rewritten_session_adds_what_is_new_of_it(memory: Memory) -> None:
    service = AdkMemoryService(memory)
    run(service.add_session_to_memory(session(said("one", 1), said("two", 2))))
    changed = session(said("ONE", 1), said("three", 3))
    run(service.add_session_to_memory(changed))
    stored = [one.event.content for one in memory.log() if one.event.kind == "message"]
    assert stored == ["one", "two", "three"]


def test_what_is_deleted_is_erased_and_stays_away(memory: Memory) -> None:
    service = AdkMemoryService(memory)
    talk = session(said("The wombat is in the shed.", 1), said("The wombat eats leaves.", 2))
    run(service.add_session_to_memory(talk))
    run(service.delete_memory(**(ANA | {"user_id": "bo"}), memory_id="id-1"))
    run(service.delete_memory(**ANA, memory_id="no such"))
    assert len(found(service, "wombat")) == 2
    run(service.delete_memory(**ANA, memory_id="id-1"))
    assert [entry.id for entry in found(service, "wombat")] == ["id-2"]
    run(service.add_session_to_memory(talk))
    run(service.add_events_to_memory(**ANA, events=talk.events, session_id="s"))
    run(AdkMemoryService(memory).add_events_to_memory(**ANA, events=talk.events))
    assert {entry.id for entry in found(service, "wombat")} == {"id-2"}
    assert memory.usage().events["erased"] == 1


def test_memories_are_added_as_notes(memory: Memory) -> None:
    service = AdkMemoryService(memory)
    content = Content(parts=[Part(text="Ana prefers trains.")])
    entry = MemoryEntry(
        content=content, author="profile", id="p1", timestamp="2026-01-02T03:04:05+01:00",
        custom_metadata={"source": "form"},
    )  # fmt: skip
    for _ in range(2):
        run(service.add_memory(**ANA, memories=[entry], custom_metadata={"ttl": 7}))
    plain = MemoryEntry(content=Content(parts=[Part(text="Ana dislikes trains at night.")]))
    run(service.add_memory(**ANA, memories=[plain]))
    by_id = {one.id: one for one in found(service, "trains")}
    assert set(by_id) == {"p1", "e2"}
    assert by_id["p1"].content == content
    assert by_id["p1"].author == "profile"
    assert by_id["p1"].timestamp == "2026-01-02T02:04:05+00:00"
    assert by_id["p1"].custom_metadata == {
        "source": "form", "ttl": 7, "seq": 1, "tier": "verbatim",
    }  # fmt: skip
    run(service.delete_memory(**ANA, memory_id="e2"))
    assert [one.id for one in found(service, "trains")] == ["p1"]
    bad = MemoryEntry(content=content, timestamp="yesterday")
    with pytest.raises(InvalidEventError):
        run(service.add_memory(**ANA, memories=[bad]))


def test_content_of_several_parts_comes_back_whole_or_as_its_text(memory: Memory) -> None:
    service = AdkMemoryService(memory)

    def parts(size: int) -> list[Part]:
        call = FunctionCall(name="weather", args={"city": "Lisboa"})
        image = Blob(data=bytes(range(256)) * size, mime_type="image/png")
        return [Part(text="Look at"), Part(inline_data=image), Part(text="Lisboa"),
                Part(function_call=call)]  # fmt: skip

    small, large = (Content(role="user", parts=parts(size)) for size in (1, 400))
    events = [Event(id=f"{n}", author="user", content=c) for n, c in enumerate((small, large))]
    silent = Event(id="2", author="user", content=Content(role="user", parts=parts(1)[1:2]))
    run(service.add_events_to_memory(**ANA, events=[*events, silent, Event(author="user")]))
    contents = {entry.id: entry.content for entry in found(service, "lisboa")}
    assert contents == {
        "0": small, "1": Content(role="user", parts=[Part(text="Look at\nLisboa")]),
    }  # fmt: skip


WORDS = st.sampled_from(["wombat", "quokka", "numbat", "bilby", "potoroo", "dingo"])
NAMES = st.sampled_from(["a", "b", "a/b", "b/a", "a%2Fb", "", "%", "é", ".."])


@settings(max_examples=30)
@given(
    st.lists(st.tuples(NAMES, NAMES, NAMES, st.lists(WORDS, min_size=1, max_size=3)), max_size=12)
)
def test_each_search_finds_what_the_reference_finds_and_nothing_of_others(
    talks: list[tuple[str, str, str, list[str]]],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.holdfast"
        with Memory.open(path, budget="4 MiB", durability="off") as memory:
            services = AdkMemoryService(memory, limit=50), InMemoryMemoryService()
            sessions: dict[tuple[str, str, str], Session] = {}
            numbers = count()
            for app, user, id, words in talks:
                n = next(numbers)
                one = sessions.setdefault(
                    (app, user, id), session(id=id, app_name=app, user_id=user)
                )
                one.events.append(said(f"{n} saw the {' and the '.join(words)}", n))
                for service in services:
                    run(service.add_session_to_memory(one))
            for app, user in {(app, user) for app, user, _ in sessions}:
                for word in ("wombat", "quokka", "numbat"):
                    ours, theirs = (
                        {e.id: e for e in found(service, word, app_name=app, user_id=user)}
                        for service in services
                    )
                    own = [
                        e.id for k, s in sessions.items() if k[:2] == (app, user) for e in s.events
                    ]
                    assert set(theirs) <= set(ours) <= set(own)
                    assert all(ours[id].content == theirs[id].content for id in theirs)
                    assert all(ours[id].author == theirs[id].author for id in theirs)


class Recorder(BaseLlm):
    """A model that answers the same each time, and keeps what it was asked."""

    asked: list[LlmRequest] = []  # noqa: RUF012

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncIterator[LlmResponse]:
        self.asked.append(llm_request)
        yield LlmResponse(content=Content(role="model", parts=[Part(text="I see.")]))


def test_an_agent_is_given_what_an_earlier_session_said(memory: Memory) -> None:
    model = Recorder(model="recorder")
    agent = LlmAgent(name="travel_agent", model=model, tools=[preload_memory_tool])

    async def talk(runner: Runner, id: str, text: str) -> None:
        await runner.session_service.create_session(**ANA, session_id=id)
        message = Content(role="user", parts=[Part(text=text)])
        async for _ in runner.run_async(user_id="ana", session_id=id, new_message=message):
            pass
        made = await runner.session_service.get_session(**ANA, session_id=id)
        assert made is not None
        await AdkMemoryService(memory).add_session_to_memory(made)

    async def both() -> None:
        runner = Runner(
            app_name="travel", agent=agent, session_service=InMemorySessionService(),
            memory_service=AdkMemoryService(memory),
        )  # fmt: skip
        await talk(runner, "1", "My cat is called Sesame.")
        await talk(runner, "2", "What is my cat called?")

    run(both())
    first, second = (request.model_dump_json() for request in model.asked)
    assert "user: My cat is called Sesame." not in first
    assert "user: My cat is called Sesame." in second


def test_a_seat_keeps_to_its_scopes_and_deletes_nothing(memory: Memory) -> None:
    service = AdkMemoryService(memory.seat("agent/bo"))
    run(service.add_session_to_memory(session(said("The wombat is here.", 1))))
    assert [one.event.scope for one in memory.log()][:1] == ["agent/bo/travel/ana/s"]
    assert [(e.id, e.author) for e in found(service, "wombat")] == [("id-1", "user")]
    with pytest.raises(AccessError):
        run(service.delete_memory(**ANA, memory_id="id-1"))
    with pytest.raises(AccessError):
        run(AdkMemoryService(memory.seat("agent/bo"), scope="team").add_session_to_memory(
            session(said("Hello.", 1))
        ))  # fmt: skip
