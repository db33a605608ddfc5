"""The store, held against LangGraph's own in-memory one, and what that one cannot do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("langgraph.store", reason="needs the extra langgraph")

from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from holdfast import Memory, Tier
from holdfast.adapters import LangGraphStore
from holdfast.adapters.langgraph_filter import matches, text_of
from holdfast.errors import AccessError, BudgetError, PatchError

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_772_366_400.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    path = tmp_path / "a.holdfast"
    with Memory.open(path, budget="4 MiB", durability="off", clock=clock) as memory:
        yield memory


@pytest.fixture
def store(memory: Memory, clock: Clock) -> LangGraphStore:
    return LangGraphStore(memory, clock=clock)


# ---- against the in-memory store ---------------------------------------------------------------

labels = st.sampled_from(["a", "ab", "A", "a/b", "%", "*", "b\n", "ü"])
namespaces = st.lists(labels, min_size=1, max_size=3).map(tuple)
prefixes = st.lists(labels, max_size=2).map(tuple)
keys = st.sampled_from(["k", "K", "", "k/", "../k", "' OR 1=1 --"])
scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, "x", "X", "2", "-1e1"])
)
parts = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["p", "q"]), inner, max_size=2)
    ),
    max_leaves=4,
)
fields = st.sampled_from(["p", "q", "a.b", "'; DROP TABLE store; --"])
values = st.dictionaries(fields, parts, max_size=3)
bounds = st.integers(-3, 3) | st.sampled_from([0.5, "2"])
conditions = (
    parts
    | st.dictionaries(st.sampled_from(["$eq", "$ne"]), parts, min_size=1, max_size=2)
    | st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), bounds, min_size=1)
)
filters = st.none() | st.dictionaries(fields, conditions, max_size=2)
matchers = st.builds(
    MatchCondition,
    match_type=st.sampled_from(["prefix", "suffix"]),
    path=st.lists(labels, min_size=1, max_size=2).map(tuple),
)
listings = st.builds(
    ListNamespacesOp,
    match_conditions=st.none() | st.lists(matchers, max_size=2).map(tuple),
    max_depth=st.none() | st.integers(1, 3),
    limit=st.integers(0, 5),
    offset=st.integers(0, 3),
)
# A listing stands alone: a get before it makes a namespace in LangGraph's own.
batches = st.lists(listings, min_size=1, max_size=1) | st.lists(
    st.one_of(
        st.builds(GetOp, namespaces, keys),
        st.builds(PutOp, namespaces, keys, st.none() | values, ttl=st.none()),
        st.builds(PutOp, namespaces, keys, values, st.just(False), ttl=st.none()),
        st.builds(SearchOp, prefixes, filters, limit=st.just(1000)),
    ),
    max_size=12,
)


def plain(result: Any) -> Any:
    """What the two must agree on: all but times, and the order of a search without a query."""
    if isinstance(result, Item):
        return result.namespace, result.key, result.value
    if isinstance(result, list) and result and isinstance(result[0], SearchItem):
        return sorted((plain(one) for one in result), key=repr)
    return result


def answer(store: Any, ops: list[Any]) -> Any:
    """What a batch gives, one by one where LangGraph's own may fail."""
    try:
        return [plain(one) for one in store.batch(ops)]
    except (TypeError, ValueError) as error:
        return type(error)


@given(st.lists(batches, max_size=8))
@settings(max_examples=60)
def test_it_answers_as_the_in_memory_store_does(several: list[list[Any]]) -> None:
    """But for one thing: LangGraph's own fails where it is to order what is no number."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.holdfast"
        with Memory.open(path, budget="4 MiB", durability="off") as memory:
            ours, theirs = LangGraphStore(memory, scope="graph"), InMemoryStore()
            for ops in several:
                wanted = answer(theirs, ops)
                for namespace in [n for n, held in theirs._data.items() if not held]:
                    del theirs._data[namespace]  # it goes on listing namespaces without items
                if not isinstance(wanted, type):  # else it failed, before it wrote anything
                    assert answer(ours, ops) == wanted
        with Memory.open(path) as memory:
            ours = LangGraphStore(memory, scope="graph")
            ops = [SearchOp((), limit=1000), ListNamespacesOp(limit=1000)]
            assert answer(ours, ops) == answer(theirs, ops)


@given(st.lists(st.tuples(namespaces, keys), unique=True, max_size=12), st.integers(1, 5))
@settings(max_examples=25)
def test_pages_are_disjoint_and_newest_first(items: list[Any], size: int) -> None:
    with TemporaryDirectory() as folder:
        path, clock = Path(folder) / "a.holdfast", Clock()
        with Memory.open(path, budget="4 MiB", durability="off") as memory:
            store = LangGraphStore(memory, clock=clock)
            for n, (namespace, key) in enumerate(items):
                clock.now += 1
                store.put(namespace, key, {"n": n})
            pages = [store.search((), limit=size, offset=n) for n in range(0, len(items), size)]
            found = [item.value["n"] for page in pages for item in page]
            assert found == list(range(len(items)))[::-1]


# ---- filters and texts -------------------------------------------------------------------------


def test_filters_never_order_what_is_no_number() -> None:
    assert not matches(None, {"$lt": 5})
    assert not matches("soon", {"$gt": 0})
    assert not matches({"a": 1}, {"$gte": 0})
    assert matches("7", {"$gt": 5, "$lte": 7})
    assert matches({"a": [1, {"b": 2, "c": 3}]}, {"a": [{"$gt": 0}, {"b": 2}]})
    with pytest.raises(ValueError, match=r"no operator '\$in'; use one of \$eq, \$ne, \$gt"):
        matches(1, {"$in": [1]})
    with pytest.raises(ValueError, match=r"\$gt was given a str that is no number"):
        matches(1, {"$gt": "today"})


def test_the_text_of_a_value() -> None:
    value = {"kind": "note", "items": [{"text": "one"}, {"text": "two"}], "n": 3, "none": None}
    assert text_of(value, ["$"]) == "kind: note\ntext: one\ntext: two\nn: 3"
    assert text_of(value, ["items[*].text", "kind"]) == "one\ntwo\nnote"
    assert text_of(value, []) == text_of({}, ["$"]) == ""


# ---- search by query ---------------------------------------------------------------------------


def test_a_query_finds_items_by_their_words(store: LangGraphStore, memory: Memory) -> None:
    store.put(("users", "ana"), "key", {"text": "The spare key is under the blue pot."})
    store.put(("users", "ana"), "tea", {"text": "She drinks green tea.", "kind": "taste"})
    store.put(("users", "anabel"), "key", {"text": "The spare key is with the neighbour."})
    store.put(("users", "ana"), "off", {"text": "The key of the piece is C."}, index=False)
    memory.observe("The spare key of the office is in the safe.", scope="users/ana")
    found = store.search(("users", "ana"), query="where is the spare key?")
    assert [item.key for item in found] == ["key", "tea", "off"]
    first, second, last = (item.score for item in found)
    assert first is not None
    assert second is not None
    assert first > 1 > second
    assert last is None  # nothing of it can be found by a query
    found = store.search(("users",), query="spare key", limit=2)
    assert {item.namespace for item in found} == {("users", "ana"), ("users", "anabel")}
    found = store.search(("users",), query="green tea", filter={"kind": "taste"}, limit=1)
    assert [item.key for item in found] == ["tea"]
    told = [item.text for item in memory.recall("green tea", scope="users").items]
    assert "text: She drinks green tea.\nkind: taste" in told


def test_what_an_item_said_before_does_not_count(store: LangGraphStore) -> None:
    store.put(("notes",), "map", {"text": "An old map of the town of Lisbon and of its hills."})
    for n in range(100):  # each of them matches better than the map
        store.put(("notes",), "plan", {"text": f"Lisbon {n}."})
    store.put(("notes",), "plan", {"text": "We meet in Porto."})
    store.put(("notes",), "shop", {"text": "Buy some bread."})
    found = store.search(("notes",), query="Lisbon", limit=1)
    assert [item.key for item in found] == ["map"]
    store.delete(("notes",), "map")
    assert all(item.key != "map" for item in store.search(("notes",), query="Lisbon"))
    found = store.search(("notes",), query="Porto", limit=1)
    assert [item.value for item in found] == [{"text": "We meet in Porto."}]


def test_an_item_whose_text_was_evicted_is_still_there(tmp_path: Path) -> None:
    rng = Random(7)
    with Memory.open(tmp_path / "a.holdfast", budget="1 MiB", durability="off") as memory:
        store = LangGraphStore(memory)
        store.put(("notes",), "old", {"text": "The tulips are planted."})
        seq = memory.all_documents()[0].seq
        while next(memory.log()).seq <= seq:
            memory.observe_many(rng.randbytes(400).hex() for _ in range(50))
        found = store.search(("notes",), query="tulips")
        assert [(item.key, item.score) for item in found] == [("old", None)]
        assert store.get(("notes",), "old") is not None


# ---- times -------------------------------------------------------------------------------------


def test_times_of_creation_and_change(store: LangGraphStore, clock: Clock) -> None:
    start = clock.now
    store.put(("a",), "k", {"n": 1})
    clock.now += 60
    store.put(("a",), "k", {"n": 2})
    item = store.get(("a",), "k")
    assert item is not None
    assert item.created_at == datetime.fromtimestamp(start, UTC)
    assert item.updated_at == datetime.fromtimestamp(start + 60, UTC)
    store.delete(("a",), "k")
    store.put(("a",), "k", {"n": 3})
    again = store.get(("a",), "k")
    assert again is not None
    assert again.created_at == again.updated_at == item.updated_at


def test_an_item_lives_as_long_as_it_is_read(memory: Memory, clock: Clock) -> None:
    store = LangGraphStore(memory, ttl={"default_ttl": 10.0}, clock=clock)
    store.put(("a",), "short", {"text": "here today"})
    store.put(("a",), "long", {"text": "here for ever"}, ttl=None)
    for _ in range(3):
        clock.now += 9 * 60
        assert store.search(("a",), query="here today", limit=1)[0].key == "short"
    item = store.get(("a",), "short", refresh_ttl=False)
    assert item is not None
    assert item.updated_at < datetime.fromtimestamp(clock.now, UTC)  # a read changes nothing
    clock.now += 600
    assert store.get(("a",), "short") is None
    assert [one.key for one in store.search(("a",))] == ["long"]
    assert [one.key for one in store.search(("a",), query="here today")] == ["long"]
    assert (store.sweep_ttl(), store.sweep_ttl()) == (1, 0)
    assert memory.documents(scope="a") == ["langgraph:long"]


def test_time_is_not_refreshed_if_the_store_says_so(memory: Memory, clock: Clock) -> None:
    store = LangGraphStore(memory, ttl={"refresh_on_read": False}, clock=clock)
    store.put(("a",), "k", {"n": 1}, ttl=1)
    clock.now += 59
    assert store.get(("a",), "k") is not None
    clock.now += 1
    assert store.list_namespaces() == []
    assert store.get(("a",), "k") is None


def test_who_may_only_read_leaves_the_time_alone(memory: Memory, clock: Clock) -> None:
    LangGraphStore(memory, scope="team", clock=clock).put(("a",), "k", {"n": 1}, ttl=1)
    memory.grant("agent/bo", "read", "team")
    bo = LangGraphStore(memory.seat("agent/bo"), scope="team", clock=clock)
    clock.now += 30
    assert bo.get(("a",), "k") is not None
    clock.now += 30
    assert bo.get(("a",), "k") is None
    with pytest.raises(AccessError):
        bo.put(("a",), "k", {"n": 2})


# ---- limits, processes, asyncio ----------------------------------------------------------------


def test_a_full_budget_changes_nothing(tmp_path: Path) -> None:
    path, rng = tmp_path / "a.holdfast", Random(7)
    made: dict[str, Any] = {}

    def fill(store: LangGraphStore) -> None:
        for n in range(300):
            value = {"noise": rng.randbytes(4000).hex()}
            store.put(("a",), str(n), value, index=False)
            made[str(n)] = value

    memory = Memory.open(path, budget="1 MiB", durability="off")
    with memory, pytest.raises(BudgetError):
        fill(LangGraphStore(memory))
    assert 20 < len(made) < 300
    with Memory.open(path) as memory:
        found = LangGraphStore(memory).search(("a",), limit=1000)
        assert {item.key: item.value for item in found} == made
        assert memory.usage().disk <= 1 << 20


def test_what_is_not_json_is_refused(store: LangGraphStore) -> None:
    store.put(("a",), "k", {"n": 1})
    for value in ({"n": (1, 2)}, {"n": float("nan")}, {"n": {1: 2}}, {"n": "x" * (1 << 20)}):
        with pytest.raises(PatchError):
            store.put(("a",), "k", value)
    item = store.get(("a",), "k")
    assert item is not None
    assert item.value == {"n": 1}


WRITER = """
import sys
from holdfast import Memory
from holdfast.adapters import LangGraphStore
path, who = sys.argv[1:]
with Memory.open(path, durability="off") as memory:
    store = LangGraphStore(memory)
    for n in range(20):
        store.put(("shared", who), str(n), {"text": f"{who} {n}"})
        store.put(("shared",), "last", {"who": who, "n": n})
"""


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    Memory.open(path, budget="4 MiB").close()
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(path)]
    both = [subprocess.Popen([*command, who]) for who in "ab"]
    assert [one.wait(timeout=60) for one in both] == [0, 0]
    with Memory.open(path) as memory:
        found = LangGraphStore(memory).search(("shared",), limit=100)
        want = {("shared", who): {str(n) for n in range(20)} for who in "ab"}
        for namespace, names in want.items():
            assert {one.key for one in found if one.namespace == namespace} == names
        assert len(found) == 41
        assert next(one.value["n"] for one in found if one.key == "last") == 19


def test_asyncio_answers_the_same(store: LangGraphStore) -> None:
    async def main() -> Any:
        puts = (store.aput(("a", str(n % 3)), str(n), {"n": n}) for n in range(12))
        await asyncio.gather(*puts)
        await store.adelete(("a", "0"), "0")
        return (
            await store.aget(("a", "1"), "1"),
            await store.asearch(("a",), filter={"n": {"$lt": 4}}, limit=20),
            await store.alist_namespaces(prefix=("a",), suffix=("*",)),
        )

    item, found, listed = asyncio.run(main())
    assert item == store.get(("a", "1"), "1")
    assert sorted(one.value["n"] for one in found) == [1, 2, 3]
    assert listed == [("a", "0"), ("a", "1"), ("a", "2")]


def test_the_same_text_is_told_once(store: LangGraphStore, memory: Memory) -> None:
    for n in range(5):
        store.put(("a",), "k", {"text": "The lamp is on.", "n": n}, index=["text"])
    assert [record.text for record in memory.log() if record.text == "The lamp is on."] == [
        "The lamp is on."
    ]
    assert store.search(("a",), query="lamp")[0].score is not None
    store.put(("a",), "k", {"text": "The lamp is on."}, index=False)
    assert store.search(("a",), query="lamp")[0].score is None
    assert store.search(("a",), query="lamp")[0].value == {"text": "The lamp is on."}


def test_items_have_a_history_and_tiers(store: LangGraphStore, memory: Memory) -> None:
    store.put(("a",), "k", {"n": 1})
    store.put(("a",), "k", {"n": 2})
    past = memory.document_history("langgraph:k", scope="a")
    assert [one.value["value"] for one in past] == [{"n": 1}, {"n": 2}]
    assert memory.get(past[-1].seq).tier == Tier.VERBATIM
    assert memory.get(past[-1].seq).text == "n: 2"


def test_what_another_puts_meanwhile_leaves_no_item_under_a_text_not_its_own(
    memory: Memory, store: LangGraphStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(("a",), "k", {"text": "green tea"})
    look, other = store._says, LangGraphStore(memory, clock=store._clock)

    def slow(kept: Any, text: str) -> bool:
        says = look(kept, text)
        other.put(("a",), "k", {"text": "black coffee"})
        return says

    monkeypatch.setattr(store, "_says", slow)
    store.put(("a",), "k", {"text": "green tea"})
    (found,) = store.search(("a",), query="green tea")
    assert found.value == {"text": "green tea"}
    assert found.score is not None
    event = memory.document("langgraph:k", scope="a").value["event"]
    assert "green tea" in memory.get(event).text
