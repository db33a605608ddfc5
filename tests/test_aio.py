"""The asynchronous twin: the same verbs, the same answers."""

from __future__ import annotations

import asyncio
import copy
import inspect
import io
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from holdfast import AsyncMemory, Event, Memory
from holdfast.errors import ClosedError, NotFoundError

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


def test_every_verb_answers_as_the_other_does(tmp_path: Path) -> None:
    past = large_events(40, n_words=60)

    def plain(memory: Memory) -> dict[str, Any]:
        out = io.StringIO()
        return {
            "observe": memory.observe("The key is under the pot.", speaker="Ana", at=T0),
            "event": memory.observe(Event("Which pot?", speaker="Bo", at=T0 + 5)),
            "observe_many": memory.observe_many(past),
            "rank": memory.rank("key pot", limit=5, scope=""),
            "rank_scopes": memory.rank_scopes("key pot"),
            "recall": memory.recall("key pot", tokens=300, explain=True),
            "why_not": memory.why_not(1, "zebra", tokens=50),
            "get": memory.get(1),
            "log": list(memory.log(after=3, scope="user")),
            "whole log": list(memory.log()),
            "episodes": list(memory.episodes()),
            "resize": memory.resize("3 MiB"),
            "usage": memory.usage().events,
            "verify": memory.verify(),
            "export": (memory.export(out), out.getvalue()),
            "import_": memory.import_(['{"content": "one more"}']),
            "settle": memory.settle(1.0),
        }

    async def other(memory: AsyncMemory) -> dict[str, Any]:
        out = io.StringIO()
        return {
            "observe": await memory.observe("The key is under the pot.", speaker="Ana", at=T0),
            "event": await memory.observe(Event("Which pot?", speaker="Bo", at=T0 + 5)),
            "observe_many": await memory.observe_many(past),
            "rank": await memory.rank("key pot", limit=5, scope=""),
            "rank_scopes": await memory.rank_scopes("key pot"),
            "recall": await memory.recall("key pot", tokens=300, explain=True),
            "why_not": await memory.why_not(1, "zebra", tokens=50),
            "get": await memory.get(1),
            "log": [record async for record in memory.log(after=3, scope="user")],
            "whole log": [record async for record in memory.log()],
            "episodes": await memory.episodes(),
            "resize": await memory.resize("3 MiB"),
            "usage": (await memory.usage()).events,
            "verify": await memory.verify(),
            "export": (await memory.export(out), out.getvalue()),
            "import_": await memory.import_(['{"content": "one more"}']),
            "settle": await memory.settle(1.0),
        }

    async def main() -> dict[str, Any]:
        async with await AsyncMemory.open(tmp_path / "b.holdfast", **_options()) as memory:
            return await other(memory)

    with Memory.open(tmp_path / "a.holdfast", **_options()) as memory:
        expected = plain(memory)
    found = run(main())
    assert set(found) | {"open", "close", "whole log", "event"} == {*PUBLIC, "whole log", "event"}
    for verb, answer in expected.items():
        assert found[verb] == answer, verb


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
