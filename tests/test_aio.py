"""The asynchronous twin: the same verbs, the same answers."""

from __future__ import annotations

import asyncio
import copy
import inspect
import io
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import AsyncMemory, Event, Memory
from holdfast.aio import AsyncSeat
from holdfast.errors import AccessError, ClosedError, NotFoundError
from holdfast.state.automaton import Automaton
from holdfast.state.documents import Edit
from holdfast.trust.note import new_key

from worlds import T0, large_events, ticking


def run(path: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(path)


def _options() -> dict[str, Any]:
    return {"budget": "2 MiB", "clock": ticking(), "durability": "off"}


PUBLIC = [name for name, _ in inspect.getmembers(Memory, callable) if not name.startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_method_is_there(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with await AsyncMemory.open(tmp_path / "m.holdfast", **_options()) as memory:
            assert callable(getattr(memory, name))

    run(main())


PAST = large_events(40, n_words=60)
OVEN = Automaton("oven", ("idle", "hot"), "idle", (("idle", "heat", "hot"),))
Step = tuple[str, Callable[["Done"], tuple[tuple[Any, ...], dict[str, Any]]]]


class Done(dict[str, Any]):
    """Answers so far, by verb, and where files may go."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.out, self.signing = folder, io.StringIO(), new_key("parity")


def step(verb: str, *args: Any, **options: Any) -> Step:
    return verb, lambda done: (args, options)


# Every verb, in an order in which each has something to say. Both shells take the same steps.
STEPS: tuple[Step, ...] = (
    step("observe", "The key is under the pot.", speaker="Ana", at=T0),
    step("observe", Event("Which pot? I live in Porto.", speaker="Bo", at=T0 + 5)),
    step("observe_many", PAST),
    step("rank", "key pot", limit=5, scope=""),
    step("rank_scopes", "key pot"),
    step("recall", "key pot", tokens=300, explain=True),
    step("why_not", 1, "zebra", tokens=50),
    step("get", 1),
    step("log", after=3, scope="user"),
    step("log"),
    step("log", as_of=T0 + 30),
    step("episodes"),
    step("believe", "Ana", "lives_in", "Lisbon", evidence=[1], by="Ana"),
    step("believe", "Ana", "lives_in", "Porto", by="Ana"),
    step("believe", "staging", "port", "5433", scope="user/ana", by="Ana"),
    step("beliefs", subject="Ana"),
    step("beliefs", "which port has staging?"),
    step("history", "Ana"),
    ("belief", lambda done: ((done["believe"].changes[0].what,), {})),
    ("promote", lambda done: ((done["believe"].changes[0].what, "team"), {"by": "Ana"})),
    ("used", lambda done: ((done["promote"].changes[0].what, "the sandbox?"), {"by": "Bo"})),
    step("credit", "Ana"),
    step("grant", "agent/bo", "read", "team"),
    step("grants"),
    step("withdraw", "agent/bo", "read", "team"),
    step("put_document", "desk", {"lamp": "off"}),
    step("patch_document", "desk", {"lamp": "on"}, expect=1),
    step("document", "desk"),
    step("documents"),
    step("document_history", "desk"),
    step("document_diff", "desk", 1, 2),
    step("delete_document", "desk"),
    step("declare", OVEN),
    step("step", "oven", "heat"),
    step("automaton", "oven"),
    step("automata"),
    step("automaton_history", "oven"),
    step("retract", "staging", "port", scope="user/ana"),
    step("changes", scope="team"),
    step("watch", timeout_s=0.0),
    step("watch", scope="team", after=45, timeout_s=0.3),
    step("edit_documents", [Edit("list", "", "put", [1]), Edit("desk", "", "put", {}, 3)], by="Bo"),
    step("all_documents", deleted=True),
    step("state_hash"),
    step("snapshot", "before"),
    step("snapshots"),
    step("believe", "Ana", "lives_in", "Faro", by="Ana"),
    step("diff", "before"),
    ("fork", lambda done: ((done.folder / "fork.holdfast",), {"snapshot": "before"})),
    step("rollback", "before"),
    step("revoke", "Bo"),
    step("reinstate", "Bo"),
    ("checkpoint", lambda done: ((done.signing[0],), {})),
    step("checkpoints"),
    step("prove", 1),
    ("prove_extends", lambda done: ((done["checkpoint"],), {})),
    ("check_note", lambda done: ((done["checkpoint"].note, done.signing[1]), {})),
    step("erase", event=2),
    step("delete_snapshot", "before"),
    step("seat", "agent/bo"),
    step("resize", "3 MiB"),
    step("used_events", [1, 3, 10_000]),
    step("ledger", after=2),
    step("loss_totals"),
    step("forgotten", "key pot zebra"),
    step("usage"),
    step("fidelity", tokens=300),
    step("budget_for", 0.5),
    step("meter", 0.5, tokens=300),
    step("verify"),
    ("export", lambda done: ((done.out,), {})),
    step("import_", ['{"content": "one more"}']),
    step("settle", 1.0),
)


def shown(verb: str, answer: Any) -> Any:
    """An answer without what differs from file to file: paths, salts and what hashes over them."""
    match verb:
        case "fork":
            return sorted((hit.seq, hit.score) for hit in answer.rank("key pot"))
        case "seat":
            return answer.principal
        case "meter":
            return type(answer).__name__
        case "fidelity":  # which events are asked about depends on the name of the log
            return answer.observed, answer.shares, answer.events
        case "budget_for":
            return answer.enough, answer.present_fidelity
        case "usage":
            return answer.events, answer.budget
        case "snapshot":
            return answer.name, answer.seq, answer.at
        case "snapshots":
            return [(one.name, one.seq, one.at) for one in answer]
        case "checkpoint":
            return answer.checkpoint.size, bool(answer.note)
        case "checkpoints":
            return [one.checkpoint.size for one in answer]
        case "prove" | "prove_extends" | "check_note":
            return type(answer).__name__
        case "erase":
            return answer.events, answer.entries, answer.snapshots, answer.seq, answer.size
    return answer


def plainly(memory: Memory, done: Done) -> list[Any]:
    found = []
    for verb, given in STEPS:
        args, options = given(done)
        answer = getattr(memory, verb)(*args, **options)
        done[verb] = list(answer) if isinstance(answer, Iterator) else answer
        found.append((verb, shown(verb, done[verb])))
        if verb == "fork":
            answer.close()
    return [*found, done.out.getvalue(), memory.audit_origin != ""]


async def awaited(memory: AsyncMemory, done: Done) -> list[Any]:
    found = []
    for verb, given in STEPS:
        args, options = given(done)
        answer = getattr(memory, verb)(*args, **options)
        if isinstance(answer, AsyncIterator):
            done[verb] = [one async for one in answer]
        else:
            done[verb] = await answer
        held = done[verb]._memory if verb == "fork" else done[verb]
        found.append((verb, shown(verb, held)))
        if verb == "fork":
            await done[verb].close()
    return [*found, done.out.getvalue(), memory.audit_origin != ""]


def test_every_verb_answers_as_the_other_does(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra `audit` is not installed")
    assert {verb for verb, _ in STEPS} | {"open", "close"} == set(PUBLIC)
    for name in "ab":
        (tmp_path / name).mkdir()

    async def main() -> list[Any]:
        async with await AsyncMemory.open(tmp_path / "b/m.holdfast", **_options()) as memory:
            return await awaited(memory, Done(tmp_path / "b"))

    with Memory.open(tmp_path / "a/m.holdfast", **_options()) as memory:
        expected = plainly(memory, Done(tmp_path / "a"))
    found = run(main())
    for one, other in zip(found, expected, strict=True):
        assert one == other


def test_a_seat_is_asynchronous_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with await AsyncMemory.open(tmp_path / "m.holdfast", **_options()) as memory:
            seat = await memory.seat("agent/bo")
            assert isinstance(seat, AsyncSeat)
            assert seat.principal == "agent/bo"
            await memory.observe("A secret of Ana's.", scope="agent/ana")
            receipt = await seat.observe("The kelp is here.")
            assert [item.seq for item in (await seat.recall("kelp")).items] == [receipt.seq]
            assert [record.seq async for record in seat.log()] == [receipt.seq]
            with pytest.raises(AccessError):
                await seat.recall("secret", scope="agent/ana")
            with pytest.raises(AccessError):
                [record async for record in seat.log(scope="agent/ana")]
            done = await seat.believe("kelp", "colour", "green")
            assert [one async for one in seat.watch(timeout_s=0)] == list(done.changes)

    run(main())


def test_a_watch_sees_what_comes_and_does_not_block_the_loop(tmp_path: Path) -> None:
    async def main() -> None:
        async with await AsyncMemory.open(tmp_path / "m.holdfast", **_options()) as memory:
            seen: list[str] = []

            async def watch() -> None:
                async for change in memory.watch():
                    seen.append(change.what)

            task = asyncio.create_task(watch())
            turns = 0
            told: list[str] = []
            for i in range(5):
                told.append((await memory.believe("kelp", "height", f"{i} m")).changes[0].what)
                while seen != told:
                    turns += 1
                    await asyncio.sleep(0.001)
            assert turns >= 1
            task.cancel()
            began = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < 0.15
            assert (await memory.observe("still here")).seq == 6

    run(main())


def test_a_watch_ends_with_the_memory(tmp_path: Path) -> None:
    async def main() -> list[str]:
        memory = await AsyncMemory.open(tmp_path / "m.holdfast", **_options())
        await memory.believe("kelp", "height", "1 m")
        changes = memory.watch()
        first = (await anext(changes)).action
        await memory.close()
        return [first, *[change.action async for change in changes]]

    assert run(main()) == ["add"]


def test_a_long_log_comes_page_by_page(tmp_path: Path) -> None:
    async def main() -> None:
        async with await AsyncMemory.open(tmp_path / "m.holdfast", **_options()) as memory:
            await memory.observe_many([f"event {i}" for i in range(700)])
            seqs = [record.seq async for record in memory.log()]
            assert seqs == list(range(1, 701))
            assert [record.seq async for record in memory.log(after=699)] == [700]
            assert [record.seq async for record in memory.log(scope="none")] == []

    run(main())


def test_many_tasks_write_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with await AsyncMemory.open(tmp_path / "m.holdfast", **_options()) as memory:
            receipts = await asyncio.gather(*[memory.observe(f"event {i}") for i in range(60)])
            assert sorted(receipt.seq for receipt in receipts) == list(range(1, 61))
            for i, receipt in enumerate(receipts):
                assert (await memory.get(receipt.seq)).event.content == f"event {i}"

    run(main())


def test_errors_are_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(NotFoundError):
            await AsyncMemory.open(tmp_path / "absent.holdfast")
        memory = await AsyncMemory.open(tmp_path / "m.holdfast", **_options())
        with pytest.raises(NotFoundError):
            await memory.get(1)
        await memory.close()
        await memory.close()
        for use in (lambda: memory.observe("x"), lambda: memory.recall("x"), memory.usage):
            with pytest.raises(ClosedError):
                await use()

    run(main())


def test_there_is_nothing_else_to_reach(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m.holdfast", "1 MiB") as inner:
        memory = AsyncMemory(inner)
        for name in ("remember", "_store", "__wrapped__"):
            with pytest.raises(AttributeError, match=f"AsyncMemory has no attribute '{name}'"):
                getattr(memory, name)
        assert isinstance(copy.copy(memory), AsyncMemory)
