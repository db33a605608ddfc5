"""Lines of JSON: everything out, everything back, a bad line named and nothing stored."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory, Record, Tier
from holdfast.errors import InvalidEventError
from holdfast.exchange import from_json, parse
from holdfast.records import KINDS

from worlds import T0, large_events, opened

# `st.text` has no lone surrogates; models and broken clients do.
anything = st.text(max_size=20) | st.sampled_from(["\ud800", "a\udfffb", "\u2028\n", '"\\', "\0"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
events = st.builds(
    Event,
    anything.filter(bool) | st.binary(min_size=1, max_size=40),
    speaker=st.none() | anything.filter(bool),
    role=st.sampled_from([None, "user", "assistant"]),
    channel=st.sampled_from([None, "slack"]),
    kind=st.sampled_from([kind for kind in KINDS if kind != "state"]),
    at=st.integers(0, 2**31).map(float),
    scope=st.sampled_from(["", "user/ana", "日本"]),
    metadata=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    parents=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    pinned=st.booleans(),
)


def _exported(memory: Memory) -> str:
    out = io.StringIO()
    assert memory.export(out) == len(memory)
    return out.getvalue()


@settings(max_examples=40)
@given(st.lists(events, min_size=1, max_size=6))
def test_what_goes_out_comes_back(past: list[Event]) -> None:
    with opened() as one, opened() as two:
        one.observe_many(past)
        lines = _exported(one)
        lines.encode("ascii")  # any channel carries it, lone surrogates too
        assert two.import_(io.StringIO(lines)) == len(past)
        kept = [record.event for record in two.log()]
        assert kept == [record.event for record in one.log()] == past
        assert [r.digest for r in two.log()] == [r.digest for r in one.log()]
        assert _exported(two).count("\n") == len(past)


def test_keys_travel_and_make_a_second_import_harmless() -> None:
    with opened() as one, opened() as two:
        for i in range(5):
            one.observe(f"event {i}", key=f"k{i}", at=T0 + i)
        lines = _exported(one).splitlines()
        two.import_(lines)
        two.import_(lines)
        assert [r.event for r in two.log()] == [r.event for r in one.log()]


def test_what_was_lowered_comes_back_as_what_is_left() -> None:
    with opened("640 KiB") as one, opened("8 MiB") as two:
        one.observe_many(large_events(110))
        records = list(one.log())
        assert {record.tier for record in records} >= {Tier.VERBATIM, Tier.GIST}
        lines = _exported(one).splitlines()
        _check_lines(records, [json.loads(line) for line in lines])
        assert two.import_(lines) == len(records)
        for record, copy in zip(records, two.log(), strict=True):
            assert copy.event.speaker == record.event.speaker
            assert copy.event.at == record.event.at
            if record.tier == Tier.VERBATIM:
                assert copy.event == record.event
                continue
            assert copy.event.metadata["tier"] == record.tier.name.lower()
            if record.text:
                assert copy.event.content == record.text
            else:
                assert record.digest.hex() in copy.event.text


def _check_lines(records: list[Record], lines: list[dict[str, Any]]) -> None:
    for record, line in zip(records, lines, strict=True):
        assert (line["seq"], line["tier"]) == (record.seq, record.tier.name.lower())
        assert (line["size"], line["digest"]) == (record.size, record.digest.hex())
        assert line.get("quotes", []) == [[q.start, q.end, q.text] for q in record.quotes]
        assert line.get("terms", []) == list(record.terms)


def test_a_trace_comes_back_as_its_terms() -> None:
    event = from_json({"tier": "trace", "content": "", "terms": ["safe", "Lisbon"], "at": 3.0})
    assert event == Event("safe Lisbon", at=3.0, metadata={"tier": "trace"})


def test_other_tools_lines_are_understood() -> None:
    lines = ['{"text": "hello", "user_id": 7, "metadata": {"a": 1}}', "", "  \n"]
    (event,) = parse(lines)
    assert event == Event("hello", metadata={"a": 1, "user_id": 7})


BAD = [
    "nonsense",
    "[1]",
    "null",
    "{}",
    '{"content": ""}',
    '{"content": 5}',
    '{"content": null}',
    '{"content_base64": "@@"}',
    '{"content_base64": 5}',
    '{"content": "x", "at": "2020"}',
    '{"content": "x", "at": NaN}',
    '{"content": "x", "at": 1e400}',
    '{"content": "x", "pinned": "no"}',
    '{"content": "x", "pinned": 1}',
    '{"content": "x", "metadata": {"a": NaN}}',
    '{"content": "x", "metadata": {"a": [1e999]}}',
    '{"content": "x", "heat": -Infinity}',
    '{"content": "x", "size": NaN}',
    '{"content": "x", "kind": "rumour"}',
    '{"content": "x", "scope": null}',
    '{"content": "x", "speaker": {}}',
    '{"content": "x", "key": 3}',
    '{"content": "x", "metadata": 3}',
    '{"content": "x", "parents": ["a"]}',
    '{"content": "x", "parents": 1}',
    '{"tier": "gist", "quotes": [["a"]]}',
    '{"tier": "gist", "content": ""}',
    '{"tier": "trace", "terms": [1]}',
    '{"content": "", "terms": ["a"]}',
    '{"content": "' + "x" * 2000 + '", "speaker": "' + "s" * 2000 + '"}',
    "[" * 100_000,
]


@pytest.mark.parametrize("bad", BAD, ids=[line[:40] for line in BAD])
def test_a_bad_line_is_named_and_nothing_is_stored(bad: str) -> None:
    # The good ones are more than one batch, so that storing as they come would show.
    good = [json.dumps({"content": f"event {i} " * 2000}) for i in range(12)]
    with opened() as memory:
        with pytest.raises(InvalidEventError, match="line 13 is not an event"):
            memory.import_([*good, bad])
        assert len(memory) == 0
        assert memory.import_(good) == 12


def test_a_key_known_with_another_body_is_named_and_nothing_is_stored() -> None:
    with opened() as memory:
        memory.observe("mine", key="k")
        lines = ['{"content": "new"}', '{"content": "theirs", "key": "k"}']
        with pytest.raises(InvalidEventError, match="line 2 is not an event: its idempotency key"):
            memory.import_(lines)
        twice = ['{"content": "a", "key": "n"}', '{"content": "b", "key": "n"}']
        with pytest.raises(InvalidEventError, match="line 2"):
            memory.import_(twice)
        assert len(memory) == 1
        assert memory.import_(twice[:1] * 2) == 2  # the same body twice is one event
        assert len(memory) == 2


def test_a_content_over_the_limit_is_named_by_its_line() -> None:
    with pytest.raises(InvalidEventError, match=r"line 2 .* 11 bytes is over .* 10"):
        list(parse(['{"content": "0123456789"}', '{"content": "0123456789a"}'], largest=10))


def test_a_content_over_this_memorys_limit_stores_nothing() -> None:
    good = [json.dumps({"content": f"event {i} " * 2000}) for i in range(12)]
    with opened("1 MiB") as memory:
        with pytest.raises(InvalidEventError):
            memory.import_([*good, json.dumps({"content": "x" * 900_000})])
        assert len(memory) == 0


def test_progress_is_told() -> None:
    seen: list[int] = []
    with opened() as memory:
        lines = [json.dumps({"content": f"event {i} " * 3000}) for i in range(20)]
        memory.import_(lines, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 20
    assert len(seen) > 1
