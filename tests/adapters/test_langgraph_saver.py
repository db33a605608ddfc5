"""The checkpointer: LangGraph's own conformance suite, its in-memory saver, and real graphs."""

from __future__ import annotations

import asyncio
import operator
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("langgraph.checkpoint", reason="needs the extra langgraph")

from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from holdfast import Memory
from holdfast.adapters import LangGraphSaver
from holdfast.adapters.langgraph_history import Slot, spare
from holdfast.errors import AccessError, BudgetError, PatchError
from holdfast.state.documents import Document

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:langgraph"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:langchain_core"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*DeltaChannel.*beta"),
]

CAPABILITIES = {
    "put": 17, "put_writes": 10, "get_tuple": 10, "list": 16, "delete_thread": 5,
    "copy_thread": 8, "delete_for_runs": 7, "prune": 8,
}  # fmt: skip


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "a.holdfast", budget="8 MiB", durability="off") as memory:
        yield memory


def at(thread: str, ns: str = "", id: str | None = None) -> Any:
    named = {} if id is None else {"checkpoint_id": id}
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, **named}}


def state(n: int, values: dict[str, Any], ns: str = "") -> Any:
    made = empty_checkpoint()
    made["id"], made["ts"] = f"{n:08d}", "2026-03-01T12:00:00+00:00"
    made["channel_values"] = values
    made["channel_versions"] = dict.fromkeys(values, f"{n}.{ns}")
    return made


def put(saver: Any, thread: str, n: int, *, ns: str = "", parent: int | None = None,
        values: dict[str, Any] | None = None, **metadata: Any) -> Any:  # fmt: skip
    config = at(thread, ns, None if parent is None else f"{parent:08d}")
    made = state(n, values or {"n": n}, ns)
    return saver.put(config, made, {"step": n, **metadata}, made["channel_versions"])


def ids(saver: Any, thread: str, ns: str | None = "") -> list[int]:
    config = at(thread, ns or "")
    if ns is None:
        del config["configurable"]["checkpoint_ns"]
    return [int(one.config["configurable"]["checkpoint_id"]) for one in saver.list(config)]


# ---- the framework's own suite -----------------------------------------------------------------


def test_conformance_is_full(tmp_path: Path) -> None:
    suite = pytest.importorskip(
        "langgraph.checkpoint.conformance", reason="needs langgraph-checkpoint-conformance"
    )

    @suite.checkpointer_test(name="holdfast")  # type: ignore[untyped-decorator]
    async def checkpointer() -> Any:
        with TemporaryDirectory(dir=tmp_path) as folder:
            path = Path(folder) / "a.holdfast"
            with Memory.open(path, budget="8 MiB", durability="off") as memory:
                yield LangGraphSaver(memory, scope="threads")

    report = asyncio.run(suite.validate(checkpointer))
    assert report.conformance_level() == "FULL"
    assert {name: one.failures for name, one in report.results.items() if one.failures} == {}
    passed = {name: one.tests_passed for name, one in report.results.items() if one.passed}
    assert passed == CAPABILITIES


# ---- against the in-memory saver ---------------------------------------------------------------

threads = st.sampled_from(["a", "A", "a/b", "a%2Fb", "ü\n"])
spaces = st.sampled_from(["", "sub:1", "sub"])
contents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
channels = st.sampled_from(["x", "y", "__error__", "__interrupt__"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), threads, spaces, contents, st.integers(0, 3)),
        st.tuples(
            st.just("writes"), threads, spaces,
            st.lists(st.tuples(channels, contents), max_size=3), st.sampled_from(["t1", "t2"]),
            st.sampled_from(["", "~b", "~a"]),
        ),
        st.tuples(st.just("delete"), threads),
    ),
    max_size=25,
)  # fmt: skip


def shown(one: CheckpointTuple | None) -> Any:
    if one is None:
        return None
    asked = one.config["configurable"]
    parent = one.parent_config["configurable"]["checkpoint_id"] if one.parent_config else None
    place = asked["thread_id"], asked["checkpoint_ns"], asked["checkpoint_id"], parent
    return place, one.checkpoint, dict(one.metadata), one.pending_writes


@given(steps)
@settings(max_examples=60, deadline=None)
def test_it_answers_as_the_in_memory_saver_does(several: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.holdfast"
        memory = Memory.open(path, budget="8 MiB", durability="off")
        savers: list[Any] = [LangGraphSaver(memory), InMemorySaver()]
        newest: dict[tuple[str, str], str] = {}
        for n, step in enumerate(several):
            if step[0] == "delete":
                for saver in savers:
                    saver.delete_thread(step[1])
                newest = {key: id for key, id in newest.items() if key[0] != step[1]}
                continue
            _, thread, ns, content, *rest = step
            last = newest.get((thread, ns))
            for saver in savers:
                if step[0] == "put":
                    made = state(n, {"x": content}, ns)
                    told = {"step": rest[0], "run_id": f"r{rest[0]}"}
                    saver.put(at(thread, ns, last), made, told, made["channel_versions"])
                elif last is not None:
                    saver.put_writes(at(thread, ns, last), content, *rest)
            if step[0] == "put":
                newest[thread, ns] = f"{n:08d}"
        memory.close()
        with Memory.open(path) as again:
            ours, theirs = LangGraphSaver(again), savers[1]
            for thread, ns in sorted(newest):
                asked = at(thread, ns)
                assert shown(ours.get_tuple(asked)) == shown(theirs.get_tuple(asked))
                for filter in (None, {"step": 1}):
                    want = [shown(one) for one in theirs.list(asked, filter=filter)]
                    assert [shown(one) for one in ours.list(asked, filter=filter)] == want
                before = at(thread, ns, newest[thread, ns])
                want = [shown(one) for one in theirs.list(asked, before=before, limit=2)]
                assert [shown(one) for one in ours.list(asked, before=before, limit=2)] == want
            found = {shown(one)[0] for one in ours.list(None)}
            assert found == {shown(one)[0] for one in theirs.list(None)}


# ---- what is kept ------------------------------------------------------------------------------


def test_a_thread_keeps_its_newest_and_takes_no_more_room(memory: Memory) -> None:
    saver = LangGraphSaver(memory, history=4)
    for n in range(50):
        put(saver, "t", n, parent=n - 1 if n else None, values={"text": "x" * 500})
        saver.put_writes(at("t", id=f"{n:08d}"), [("text", "y")], "task")
    assert ids(saver, "t") == [49, 48, 47, 46]
    assert len(memory.all_documents(deleted=True)) == 4
    put(saver, "t", 50, ns="other")
    assert ids(saver, "t", None) == [50, 49, 48, 47, 46]


@st.composite
def slots(draw: st.DrawFn) -> list[Slot]:
    found = {}
    for ns, id in draw(st.lists(st.tuples(spaces, st.integers(0, 15)), unique=True, max_size=25)):
        whole = draw(st.integers(0, 4)) > 0
        parents = {"": f"{draw(st.integers(0, id)):02d}"} if ns and draw(st.booleans()) else {}
        value: dict[str, Any] = {
            "ns": ns, "id": f"{id:02d}", "parent": f"{draw(st.integers(0, id)):02d}",
            "parents": parents, "delta": draw(st.sampled_from([[], [], ["a"], ["a", "b"]])),
        }  # fmt: skip
        found[ns, id] = Slot(Document("n", "s", 1, value | ({"state": []} if whole else {}), 0, 0))
    return list(found.values())


@given(slots(), st.integers(1, 4))
def test_what_is_spared_is_never_needed(held: list[Slot], history: int) -> None:
    gone = {(one.ns, one.id) for one in spare(held, history, ended_tasks=False)}
    kept = [one for one in held if (one.ns, one.id) not in gone]
    for ns in {one.ns for one in held}:
        whole = sorted((s.id for s in held if s.ns == ns and s.whole), reverse=True)
        here = {one.id: one for one in kept if one.ns == ns and one.whole}
        assert set(whole[:history]) <= set(here)
        if not any(one.value["delta"] for one in held):
            assert sorted(here, reverse=True) == whole[:history]
        there = {one.id: one for one in held if one.ns == ns and one.whole}
        for id in whole[:history]:  # all that its changes lead back to is here
            missing, one, seen = set(there[id].value["delta"]), there[id], {id}
            while missing and one.value["parent"] in there and one.value["parent"] not in seen:
                one = there[one.value["parent"]]
                seen.add(one.id)
                assert one.id in here
                missing &= set(one.value["delta"])
    with_tasks = {(one.ns, one.id) for one in spare(held, history)}
    assert gone <= with_tasks
    assert all(":" in ns for ns, _ in with_tasks - gone)


def test_a_subgraphs_checkpoints_go_with_the_step_that_ran_it(memory: Memory) -> None:
    saver = LangGraphSaver(memory, history=2)
    for n in range(0, 20, 2):
        put(saver, "t", n)
        put(saver, "t", n + 1, ns=f"node:{n}", parents={"": f"{n:08d}"})
    assert ids(saver, "t", None) == [19, 18, 17, 16]
    assert len(memory.all_documents(deleted=True)) <= 5


def test_writes_may_come_before_their_checkpoint(memory: Memory) -> None:
    saver = LangGraphSaver(memory, history=2)
    for n in range(10):
        saver.put_writes(at("t", id=f"{n:08d}"), [("x", n)], "task")
        assert saver.get_tuple(at("t", id=f"{n:08d}")) is None
        put(saver, "t", n)
        found = saver.get_tuple(at("t"))
        assert found is not None
        assert (found.checkpoint["id"], found.pending_writes) == (f"{n:08d}", [("task", "x", n)])
    assert len(memory.all_documents(deleted=True)) <= 4


def test_all_writes_that_wait_are_kept_until_their_checkpoints_come(memory: Memory) -> None:
    saver = LangGraphSaver(memory, history=1)
    put(saver, "t", 1)
    for n in (2, 3, 4):
        saver.put_writes(at("t", id=f"{n:08d}"), [("x", n)], "task")
    for n in (2, 3, 4):
        put(saver, "t", n, parent=n - 1)
        found = saver.get_tuple(at("t"))
        assert found is not None
        assert found.pending_writes == [("task", "x", n)]


def test_deleting_for_runs_and_copying(memory: Memory) -> None:
    saver = LangGraphSaver(memory, scope="threads")
    put(saver, "a/1", 1, run_id="r1")
    put(saver, "a/1", 2, parent=1, run_id="r2")
    saver.put_writes(at("a/1", id=f"{2:08d}"), [("x", "y")], "task")
    saver.copy_thread("a/1", "a/2")
    saver.delete_for_runs(["r1", ""])
    assert (ids(saver, "a/1"), ids(saver, "a/2")) == ([2], [2])
    mine, copy = (shown(saver.get_tuple(at(name))) for name in ("a/1", "a/2"))
    assert mine[1:] == copy[1:]
    with pytest.raises(ValueError, match="no strategy 'keep'; it is 'keep_latest' or 'delete'"):
        saver.prune(["a/1"], strategy="keep")
    saver.prune(["a/1"], strategy="delete")
    assert (ids(saver, "a/1"), ids(saver, "a/2")) == ([], [2])
    receipt = memory.erase(scope=saver.scope_of("a/2"))
    assert receipt.entries > 0
    assert ids(saver, "a/2") == []


# ---- limits ------------------------------------------------------------------------------------


def fill(saver: LangGraphSaver) -> None:
    rng = Random(7)
    for n in range(1000):
        put(saver, f"t{n % 7}", n, values={"noise": rng.randbytes(8000)})


def test_a_full_budget_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    with Memory.open(path, budget="1 MiB", durability="off") as memory:
        saver = LangGraphSaver(memory, history=1000)
        with pytest.raises(BudgetError):
            fill(saver)
        before = [shown(one) for one in saver.list(None)]
        kept = len(before) - 1
        assert 20 < kept < 200
    with Memory.open(path) as memory:
        saver = LangGraphSaver(memory, history=1000)
        assert [shown(one) for one in saver.list(None)] == before
        found = saver.get_tuple(at(f"t{kept % 7}"))
        assert found is not None
        assert found.checkpoint["id"] == f"{kept:08d}"
        assert memory.usage().disk <= 1 << 20


def test_a_state_that_is_too_large_is_refused(memory: Memory) -> None:
    saver = LangGraphSaver(memory)
    put(saver, "t", 1)
    with pytest.raises(PatchError, match="bytes, over 1048576; store less"):
        put(saver, "t", 2, values={"image": Random(1).randbytes(900_000)})
    assert ids(saver, "t") == [1]
    with pytest.raises(ValueError, match="history is 0; give 1 or more"):
        LangGraphSaver(memory, history=0)


def test_a_seat_has_its_own_threads(memory: Memory) -> None:
    ana, bo = (LangGraphSaver(memory.seat(f"agent/{name}")) for name in ("ana", "bo"))
    put(ana, "t", 1)
    put(bo, "t", 2)
    assert (ids(ana, "t"), ids(bo, "t")) == ([1], [2])
    assert [shown(one)[0][2] for one in LangGraphSaver(memory, scope="agent/bo").list(None)] == [
        f"{2:08d}"
    ]
    with pytest.raises(AccessError):
        put(LangGraphSaver(memory.seat("agent/bo"), scope="agent/ana"), "t", 3)


WRITER = """
import sys
from langgraph.checkpoint.base import empty_checkpoint
from holdfast import Memory
from holdfast.adapters import LangGraphSaver
path, who = sys.argv[1:]
with Memory.open(path, durability="off") as memory:
    saver = LangGraphSaver(memory)
    for n in range(15):
        made = empty_checkpoint()
        made["id"] = f"{n:04d}{who}"
        config = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        config = saver.put(config, made, {"step": n}, {})
        saver.put_writes(config, [("x", who)], who)
"""


def test_two_processes_share_a_thread(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    Memory.open(path, budget="8 MiB").close()
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(path)]
    both = [subprocess.Popen([*command, who]) for who in "ab"]
    assert [one.wait(timeout=60) for one in both] == [0, 0]
    with Memory.open(path) as memory:
        found = list(LangGraphSaver(memory).list(at("t")))
        want = sorted((f"{n:04d}{who}" for n in range(15) for who in "ab"), reverse=True)
        assert [one.checkpoint["id"] for one in found] == want
        assert all(one.pending_writes for one in found)


# ---- real graphs -------------------------------------------------------------------------------


class Talk(TypedDict):
    said: Annotated[list[str], operator.add]


def test_a_graph_is_resumed_after_a_restart(tmp_path: Path) -> None:
    graphs = pytest.importorskip("langgraph.graph", reason="needs langgraph")
    types = pytest.importorskip("langgraph.types", reason="needs langgraph")

    def ask(_: Talk) -> dict[str, Any]:
        return {"said": [f"answer: {types.interrupt('which one?')}"]}

    inner = graphs.StateGraph(Talk).add_node("ask", ask).add_edge("__start__", "ask").compile()
    builder = graphs.StateGraph(Talk)
    builder.add_node("greet", lambda _: {"said": ["hello"]}).add_node("inner", inner)
    builder.add_edge("__start__", "greet").add_edge("greet", "inner")
    config: Any = {"configurable": {"thread_id": "ana/1"}}
    path = tmp_path / "a.holdfast"
    with Memory.open(path, budget="8 MiB", durability="off") as memory:
        graph = builder.compile(checkpointer=LangGraphSaver(memory, history=1))
        paused = graph.invoke({"said": ["hi"]}, config)
        assert paused["__interrupt__"][0].value == "which one?"
    with Memory.open(path) as memory:
        graph = builder.compile(checkpointer=LangGraphSaver(memory, history=1))
        done = graph.invoke(types.Command(resume="the blue one"), config)
        assert done["said"][-1] == "answer: the blue one"
        assert graph.get_state(config).values == done
    with Memory.open(path) as memory:
        graph = builder.compile(checkpointer=LangGraphSaver(memory))

        async def more() -> Any:
            await graph.ainvoke({"said": ["again"]}, config)
            return await graph.ainvoke(types.Command(resume="red"), config)

        assert asyncio.run(more())["said"][-1] == "answer: red"
        past = list(graph.get_state_history(config))
        assert len(past) >= 3
        forked = graph.invoke(None, past[-1].config)  # back to the first that is kept
        assert forked["said"][0] == "hi"


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_channels_stored_as_changes_stay_whole(tmp_path: Path, durability: Any) -> None:
    graphs = pytest.importorskip("langgraph.graph", reason="needs langgraph")
    channel = pytest.importorskip("langgraph.channels.delta", reason="needs langgraph 1.2")

    def merge(state: list[str], writes: Any) -> list[str]:
        return [*(state or []), *(item for write in writes for item in write)]

    said = Annotated[list[str], channel.DeltaChannel(merge, snapshot_frequency=7)]
    builder = graphs.StateGraph(TypedDict("Long", {"said": said}))  # type: ignore[operator]
    builder.add_node("echo", lambda state: {"said": [f"echo {len(state['said'])}"]})
    builder.add_edge("__start__", "echo")
    config: Any = {"configurable": {"thread_id": "t"}}
    with Memory.open(tmp_path / "a.holdfast", budget="8 MiB", durability="off") as memory:
        saver = LangGraphSaver(memory, history=1)
        ours, theirs = (builder.compile(checkpointer=one) for one in (saver, InMemorySaver()))
        for n in range(12):
            both = [
                graph.invoke({"said": [f"line {n}"]}, config, durability=durability)
                for graph in (ours, theirs)
            ]
            assert both[0] == both[1]
            assert len(both[0]["said"]) == 2 * (n + 1)
        saver.prune(["t"])
        assert ours.get_state(config).values == theirs.get_state(config).values
        assert len(memory.all_documents(deleted=True)) < 40


def test_what_somebody_else_wrote_runs_no_code(tmp_path: Path) -> None:
    """A checkpoint may name a class; only those that are data are made again."""
    ormsgpack = pytest.importorskip("ormsgpack")
    evil = ormsgpack.packb(
        ormsgpack.Ext(0, ormsgpack.packb(("os", "system", "touch " + str(tmp_path / "ran"))))
    )
    with Memory.open(tmp_path / "m.holdfast", budget="4 MiB") as memory:
        saver = LangGraphSaver(memory, scope="threads")
        saver.serde.loads_typed(("msgpack", evil))
        assert not (tmp_path / "ran").exists()
        JsonPlusSerializer(allowed_msgpack_modules=True).loads_typed(("msgpack", evil))
        assert (tmp_path / "ran").exists(), "it would have run"
