"""Names that break out of their place in careless stores: of namespaces, keys, threads, filters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("langgraph.store", reason="needs the extra langgraph")

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.store.base import GetOp, InvalidNamespaceError, PutOp, SearchOp

from holdfast import Memory
from holdfast.adapters import LangGraphSaver, LangGraphStore
from holdfast.adapters.scopes import join, split
from holdfast.errors import InvalidEventError

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

HOSTILE = (
    "a", "A", "ab", "a ", " a", "a\n", "\na", "a\r\n", "a/", "/a", "/", "//", "a/b", "..", "../a",
    "%", "%%", "%2F", "%25", "a%", "a_", "_", "*", "a*", "?", "[a]", "{a}", "\\", "a\\", "'", '"',
    "';--", "' OR '1'='1", "\x01", "\x1f", "\x7f", "é", "e\u0301", "ß", "SS", "İ", "日本", "🜁",
    "\u202e", "\u200b", "null", "NULL", "0", "00",
)  # fmt: skip
PATHS = tuple(name for name in HOSTILE if "." not in name)  # as labels LangGraph has none with it


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "a.holdfast", budget="8 MiB", durability="off") as memory:
        yield memory


@given(st.text(max_size=9), st.lists(st.text(max_size=9), max_size=4))
def test_labels_come_back_as_they_were(base: str, labels: list[str]) -> None:
    scope = base.strip("/")
    inside = join(scope, *labels)
    assert split(scope, inside) == tuple(labels)
    assert not labels or inside == inside.strip("/")


@given(st.lists(st.text(max_size=4), max_size=3), st.lists(st.text(max_size=4), max_size=3))
def test_different_labels_have_different_scopes(one: list[str], other: list[str]) -> None:
    assert (join("x", *one) == join("x", *other)) == (one == other)


def test_no_namespace_is_taken_for_another(memory: Memory) -> None:
    store = LangGraphStore(memory)
    for label in PATHS:
        store.put((label,), "k", {"of": label})
        store.put((label, "inner"), "k", {"of": label})
    for label in PATHS:
        item = store.get((label,), "k")
        assert item is not None
        assert item.value == {"of": label}
        found = store.search((label,), limit=1000)
        assert [one.value for one in found] == [{"of": label}] * 2, label
        assert {one.namespace for one in found} == {(label,), (label, "inner")}
        if label != "*":
            assert store.list_namespaces(prefix=(label,)) == [(label,), (label, "inner")]
    assert len(store.list_namespaces(limit=1000)) == 2 * len(PATHS)
    assert len(store.list_namespaces(prefix=("*", "inner"), limit=1000)) == len(PATHS)
    store.delete(("a",), "k")
    assert store.get(("A",), "k") is not None
    assert [one.namespace for one in store.search(("a",))] == [("a", "inner")]


def test_a_query_stays_inside_its_namespace(memory: Memory) -> None:
    store = LangGraphStore(memory)
    for label in PATHS:
        store.put((label,), "k", {"text": f"the secret word number {PATHS.index(label)}"})
    for label in PATHS:
        found = store.search((label,), query="the secret word", limit=50)
        assert [one.namespace for one in found] == [(label,)]


def test_no_key_is_taken_for_another(memory: Memory) -> None:
    store, names = LangGraphStore(memory), ("", *HOSTILE, "\x00", "a\x00")
    for key in names:
        store.put(("n",), key, {"of": key})
    for key in names:
        item = store.get(("n",), key)
        assert item is not None
        assert (item.key, item.value) == (key, {"of": key})
        found = store.search(("n",), filter={"of": key})
        assert [one.key for one in found] == [key]
        assert {
            one.key for one in store.search(("n",), filter={"of": {"$ne": key}}, limit=999)
        } == (set(names) - {key})
    assert len(store.search(("n",), limit=1000)) == len(names)
    for key in names:
        store.delete(("n",), key)
        assert store.get(("n",), key) is None


def test_the_names_of_fields_are_only_names(memory: Memory) -> None:
    store = LangGraphStore(memory)
    for name in HOSTILE:
        store.put(("n",), name, {name: "it", "x') OR 1=1 --": 1})
    for name in HOSTILE:
        assert [one.key for one in store.search(("n",), filter={name: "it"})] == [name]
    assert store.search(("n",), filter={"x') = 1 OR ('1": "1"}) == []
    assert len(store.search(("n",), filter={"x') OR 1=1 --": {"$gte": 1}}, limit=999)) == len(
        HOSTILE
    )


def test_labels_that_langgraph_has_none_of_are_refused(memory: Memory) -> None:
    store = LangGraphStore(memory)
    for namespace in ((), ("",), ("a", ""), ("a.b",), ("a", "b.c"), ("langgraph",), ("a\x00",)):
        with pytest.raises(InvalidNamespaceError):
            store.put(namespace, "k", {"n": 1})
    several: list[Any] = [PutOp(("a",), "k", {"n": 1}), GetOp(("a.b",), "k")]
    with pytest.raises(InvalidNamespaceError):
        store.batch(several)
    with pytest.raises(ValueError, match="a store does no str"):
        store.batch([several[0], "get"])
    assert store.batch([SearchOp(())]) == [[]]  # nothing was written
    with pytest.raises(InvalidEventError, match="scope of 2000 bytes is over the limit of 1024"):
        store.put(("x" * 2000,), "k", {"n": 1})


def test_what_others_keep_in_the_memory_is_not_an_item(memory: Memory) -> None:
    memory.put_document("k", {"value": 1}, scope="users/ana")
    memory.put_document("desk", 3)
    put_checkpoint(LangGraphSaver(memory), "users")
    store = LangGraphStore(memory)
    assert store.search(()) == []
    assert store.get(("users", "ana"), "k") is None
    assert store.list_namespaces() == []
    store.put(("users",), "k", {"n": 1})
    assert threads(LangGraphSaver(memory)) == ["users"]
    assert memory.document("k", scope="users/ana").value == {"value": 1}
    assert [one.value for one in LangGraphStore(memory, scope="user").search(())] == []


def put_checkpoint(saver: LangGraphSaver, thread: str, ns: str = "") -> None:
    saver.put(
        {"configurable": {"thread_id": thread, "checkpoint_ns": ns}}, empty_checkpoint(), {}, {}
    )


def threads(saver: LangGraphSaver) -> list[str]:
    return [one.config["configurable"]["thread_id"] for one in saver.list(None)]


def test_no_thread_is_taken_for_another(memory: Memory) -> None:
    saver, names = LangGraphSaver(memory, scope="threads"), ("", *HOSTILE)
    for name in names:
        put_checkpoint(saver, name)
        put_checkpoint(saver, name, ns=name)
    for name in names:
        spaces = {
            one.config["configurable"]["checkpoint_ns"]
            for one in saver.list({"configurable": {"thread_id": name}})
        }
        assert spaces == {"", name}
    assert set(threads(saver)) == set(names)
    saver.delete_thread("a")
    saver.prune(["A"], strategy="delete")
    assert set(threads(saver)) == set(names) - {"a", "A"}


def test_a_number_is_a_thread_as_well(memory: Memory) -> None:
    saver = LangGraphSaver(memory)
    config: Any = {"configurable": {"thread_id": 7, "checkpoint_ns": ""}}
    saver.put(config, empty_checkpoint(), {}, {})
    assert saver.get_tuple(config) is not None
    assert threads(saver) == ["7"]
