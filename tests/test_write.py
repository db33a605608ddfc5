"""What is let in, what is refused, and what a refusal leaves behind: nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Event, Memory
from holdfast.codec import content_bytes
from holdfast.errors import EventTooLargeError, InvalidEventError
from holdfast.records import KINDS
from holdfast.write import admit, to_events

from worlds import T0, large_events, opened


@pytest.fixture
def memory() -> Iterator[Memory]:
    with opened() as memory:
        yield memory


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"content": ""}, "at least 1 byte"),
    ({"content": b""}, "at least 1 byte"),
    ({"content": 5}, "text or bytes, not int"),
    ({"content": None}, "text or bytes, not NoneType"),
    ({"content": bytearray(b"x")}, "text or bytes, not bytearray"),
    ({"kind": "rumour"}, "kind 'rumour' is unknown; it is one of message"),
    ({"at": float("nan")}, "POSIX seconds"),
    ({"at": float("inf")}, "POSIX seconds"),
    ({"at": 253_402_300_800.0}, "POSIX seconds"),
    ({"at": -1e300}, "POSIX seconds"),
    ({"speaker": 5}, "speaker must be text, not int"),
    ({"role": b"user"}, "role must be text, not bytes"),
    ({"channel": []}, "channel must be text, not list"),
    ({"key": 7}, "key must be text, not int"),
    ({"scope": None}, "scope must be text, not NoneType"),
    ({"speaker": "x" * 1025}, "speaker of 1025 bytes is over the limit of 1024"),
    ({"scope": "é" * 513}, "scope of 1026 bytes is over the limit of 1024"),
    ({"key": "🐙" * 257}, "key of 1028 bytes is over the limit of 1024"),
    ({"metadata": {"a": object()}}, "metadata must be what JSON can hold"),
    ({"metadata": {"a": b"x"}}, "metadata must be what JSON can hold"),
    ({"metadata": {(1, 2): 3}}, "metadata must be what JSON can hold"),
    ({"metadata": 5}, "metadata must be what JSON can hold"),
    ({"metadata": {"a": "x" * 65_536}}, "metadata of 65545 bytes is over the limit of 65536"),
    ({"parents": tuple(range(1025))}, "at most 1024 sequence numbers"),
    ({"parents": ("1",)}, "at most 1024 sequence numbers"),
    ({"parents": (1.0,)}, "at most 1024 sequence numbers"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=[str(f)[:40] for f, _ in REFUSED])
def test_what_breaks_a_rule_is_refused_and_leaves_nothing(
    memory: Memory, fields: dict[str, Any], message: str
) -> None:
    memory.observe("before")
    event = Event(**{"content": "x", **fields})
    with pytest.raises(InvalidEventError, match=message):
        memory.observe(event)
    with pytest.raises(InvalidEventError, match=message):
        memory.observe_many(["fine", event])
    assert [record.event.content for record in memory.log()] == ["before"]
    assert memory.observe("after").seq == 2


ODD: list[dict[str, Any]] = [
    {"at": "2020-01-01"},
    {"parents": 5},
    {"parents": (10**5000,)},
    {"metadata": {1: 1, "a": 2}, "key": "k"},
]


@pytest.mark.parametrize("fields", ODD, ids=[str(list(f)) for f in ODD])
def test_wrong_types_are_refused_as_invalid(memory: Memory, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidEventError):
        memory.observe(Event("x", **fields))


@pytest.mark.parametrize("fields", ODD, ids=[str(list(f)) for f in ODD])
def test_wrong_types_harm_nothing(memory: Memory, fields: dict[str, Any]) -> None:
    memory.observe("before")
    with pytest.raises((TypeError, ValueError)):
        memory.observe(Event("x", **fields))
    assert memory.observe("after").seq == 2
    assert memory.verify().ok


def test_the_largest_of_everything_is_kept_exactly(memory: Memory) -> None:
    event = Event(
        "x" * 100_000,
        speaker="s" * 1024, role="é" * 512, channel="c" * 1024, kind="tool_result",
        at=-123.456789, scope="d" * 1024, metadata={"a": "x" * 65_000}, key="🐙" * 256,
        parents=tuple(range(1, 1025)), pinned=True,
    )  # fmt: skip
    receipt = memory.observe(event)
    assert memory.get(receipt.seq).event == event
    assert memory.usage().disk <= memory.usage().budget


labels = st.none() | st.text(min_size=1, max_size=8) | st.just("\udfff")


@given(
    st.text(min_size=1) | st.binary(min_size=1) | st.just("a\ud800b"),
    labels, labels, st.sampled_from([kind for kind in KINDS if kind != "state"]),
    st.floats(-1e9, 1e10).map(lambda at: round(at, 3)), st.booleans(),
)  # fmt: skip
def test_what_goes_in_is_what_is_kept(
    content: str | bytes, speaker: str | None, channel: str | None, kind: Any, at: float,
    pinned: bool,
) -> None:  # fmt: skip
    event = Event(content, speaker, None, channel, kind, at, "a/b", {"é": [None]}, pinned=pinned)
    assert admit(event, 10**6) == content_bytes(content)
    with opened() as memory:
        receipt = memory.observe(event)
        record = memory.get(receipt.seq)
        assert record.event == event
        assert record.size == len(content_bytes(content))
        assert receipt.recorded_at == record.recorded_at == T0 + 1
        assert (receipt.durable, receipt.findable) == (False, True)


def test_the_limit_is_exact() -> None:
    assert admit(Event("é" * 5), 10) == ("é" * 5).encode()
    with pytest.raises(EventTooLargeError, match=r"11 bytes is over .* limit of 10"):
        admit(Event("é" * 5 + "x"), 10)


def test_bare_contents_become_events() -> None:
    event = Event("c", speaker="Ana")
    assert list(to_events(["a", b"b", event])) == [Event("a"), Event(b"b"), event]


def test_bulk_is_the_same_as_one_by_one() -> None:
    rng = random.Random(1)
    past = large_events(30, n_words=200) + [Event(f"small {i}") for i in range(300)]
    rng.shuffle(past)
    with opened("4 MiB") as one, opened("4 MiB") as bulk:
        receipts = [one.observe(event) for event in past]
        done = bulk.observe_many(past)
        assert [(r.seq, r.event.content, r.episode) for r in one.log()] == [
            (r.seq, r.event.content, r.episode) for r in bulk.log()
        ]
        ranked = [(h.seq, pytest.approx(h.score)) for h in one.rank("kelp harbour small 7")]
        assert [(h.seq, h.score) for h in bulk.rank("kelp harbour small 7")] == ranked
    assert [receipt.seq for receipt in receipts] == list(range(1, len(past) + 1))
    assert (done.events, done.duplicates, done.first, done.last) == (len(past), 0, 1, len(past))


def test_bulk_counts_duplicates_and_losses() -> None:
    past = large_events(260)
    with opened("640 KiB") as memory:
        done = memory.observe_many(past)
        usage = memory.usage().events
        assert done.evicted == usage["evicted"]
        assert done.evicted + done.demoted > 0
    with opened() as memory:
        memory.observe("a", key="1")
        done = memory.observe_many([Event("a", key="1"), Event("b", key="2"), Event("b", key="2")])
        assert (done.events, done.duplicates, done.first, done.last) == (3, 2, 2, 2)
        nothing = memory.observe_many([])
        assert (nothing.events, nothing.first, nothing.last) == (0, 0, 2)


def test_bulk_stops_at_the_first_bad_event_and_keeps_whole_batches() -> None:
    good = [Event(f"event {i} " * 2000) for i in range(12)]
    seen: list[int] = []
    with opened() as memory:
        with pytest.raises(InvalidEventError):
            memory.observe_many([*good, "", "never"], seen.append)
        assert seen
        assert len(memory) == seen[-1] <= 12
        assert [r.event for r in memory.log()] == [
            Event(e.content, at=r.event.at) for e, r in zip(good, memory.log(), strict=False)
        ]


def test_a_change_of_state_that_can_never_fit_evicts_nothing() -> None:
    with opened("1 MiB") as memory:
        memory.observe_many(large_events(20))
        (key,) = memory.believe("Ana", "lives_in", "Porto").changes
        with pytest.raises(EventTooLargeError, match="change of state"):
            memory.put_document("d", {"a": "x" * 300_000})
        with pytest.raises(EventTooLargeError, match="change of state"):
            memory.used(key.what, "where " * 50_000)
        assert memory.usage().events["verbatim"] == 21
