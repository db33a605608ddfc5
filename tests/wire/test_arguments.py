"""Arguments from programs: what fits becomes what the method takes, the rest one typed error."""

from __future__ import annotations

import inspect
import json
from enum import Enum
from typing import Any

import pytest

pytest.importorskip("pydantic", reason="the server needs the extra 'server'")

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import ArgumentsError
from holdfast.operations import BY_NAME, Operation
from holdfast.service.call import offered
from holdfast.state.automaton import Automaton
from holdfast.state.records import Trust
from holdfast.wire.arguments import PAGE, arguments, model_of, pages
from holdfast.wire.plain import plain

from fullworld import CALLS, OVEN

jsonschema = pytest.importorskip("jsonschema", reason="schemas are checked by jsonschema")

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())  # lone surrogates, too: JSON can name them
    | st.sampled_from(["", "nan", "Infinity", "1e999", "2026-03-01", "-1", "read", "user"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
EXAMPLES = [
    (one.name, {**one.example, **({"automaton": OVEN} if one.name == "declare" else {})})
    for one in offered()
    if one.name not in ("export", "import")
]


@pytest.mark.parametrize(("name", "given_"), [*EXAMPLES, *CALLS], ids=lambda one: str(one)[:30])
def test_what_fits_is_taken_as_the_method_takes_it(name: str, given_: dict[str, Any]) -> None:
    operation = BY_NAME[name]
    jsonschema.validate(given_, model_of(operation).model_json_schema())
    filled = arguments(operation, given_)
    assert filled.keys() == given_.keys()  # defaults are left to the method
    filled.pop(PAGE, None) if pages(operation) else None
    inspect.signature(operation.function).bind(None, **filled)
    again = json.loads(json.dumps({k: plain(v) for k, v in filled.items()}))
    assert arguments(operation, again) == filled


@pytest.mark.parametrize("operation", offered(), ids=lambda one: one.name)
@settings(max_examples=40)
@given(st.data())
def test_no_json_raises_anything_but_an_error_of_arguments(
    operation: Operation, data: st.DataObject
) -> None:
    names = st.sampled_from([*model_of(operation).model_fields, "self", "nobody"])
    given_ = data.draw(st.dictionaries(names, JSON, max_size=4))
    try:
        filled = arguments(operation, given_)
    except ArgumentsError:
        return
    assert filled.keys() == given_.keys()


@given(JSON)
def test_a_canary_among_wrong_arguments_is_not_in_the_message(rest: Any) -> None:
    for name in ("tokens", "scope", "limit", "explain", "since"):
        with pytest.raises(ArgumentsError) as wrong:
            arguments(BY_NAME["recall"], {name: ["CANARY", rest], "query": {"CANARY": rest}})
        assert "CANARY" not in str(wrong.value)


def test_names_of_arguments_in_messages_are_cut_short() -> None:
    with pytest.raises(ArgumentsError) as wrong:
        arguments(BY_NAME["usage"], {"x" * 10_000: 1})
    assert len(str(wrong.value)) < 200


def test_bytes_enums_and_records_are_said_by_plainer_means() -> None:
    assert arguments(BY_NAME["observe"], {"content": {"base64": "AAE="}})["content"] == b"\0\1"
    stated = {"subject": "a", "predicate": "b", "value": "c", "trust": "owner"}
    trust = arguments(BY_NAME["believe"], stated)["trust"]
    assert isinstance(trust, Enum)
    assert trust is Trust.OWNER
    oven = arguments(BY_NAME["declare"], {"automaton": OVEN})["automaton"]
    assert oven == Automaton("kiln", ("cold", "hot"), "cold", (("cold", "light", "hot"),), ("hot",))


@pytest.mark.parametrize(
    ("name", "given_", "said"),
    [
        ("observe", {"content": {"base64": "?"}}, "content"),
        ("observe", {"content": "a", "speaker": 5}, "speaker: input should be a valid string"),
        ("recall", {}, "query: field required"),
        ("recall", {"query": "a", "previous": {}}, "previous: extra inputs"),
        ("checkpoint", {"key": "PRIVATE"}, "key: extra inputs"),
        ("log", {"limit": 10_001}, "limit: input should be less than or equal to 10000"),
        ("log", {"limit": 0}, "limit: input should be greater than or equal to 1"),
        ("believe", {"subject": "a", "predicate": "b", "value": "c", "trust": "God"}, "trust"),
        ("grant", {"principal": "a", "right": "all", "scope": ""}, "right"),
        ("put_document", {"name": "a", "value": 1, "expect": "x"}, "expect"),
    ],
)
def test_what_does_not_fit_is_named(name: str, given_: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentsError) as wrong:
        arguments(BY_NAME[name], given_)
    assert said in str(wrong.value)
    assert "PRIVATE" not in str(wrong.value)
    assert "God" not in str(wrong.value)


def test_a_time_in_a_query_may_be_a_number_as_text() -> None:
    filled = arguments(BY_NAME["recall"], {"query": "a", "since": "1700000000.5", "until": "nan"})
    assert filled == {"query": "a", "since": 1700000000.5, "until": "nan"}  # the latter is refused
    assert arguments(BY_NAME["diff"], {"a": "2026"}) == {"a": "2026"}  # the name of a snapshot


@pytest.mark.parametrize("name", ["export", "import"])
def test_what_takes_a_stream_takes_no_arguments_instead(name: str) -> None:
    with pytest.raises(ArgumentsError, match="a stream"):
        arguments(BY_NAME[name], {})


def test_a_number_is_no_larger_than_the_engine_takes() -> None:
    for name, given_ in (
        ("get", {"seq": 1 << 63}),
        ("log", {"after": -(1 << 64)}),
        ("recall", {"query": "a", "tokens": 10**30}),
        ("used_events", {"events": [10**30]}),
        ("history", {"subject": "a", "as_of": 1e308}),
        ("recall", {"query": "a", "since": "-1e300"}),
        ("resize", {"budget": "9999999 TiB"}),
        ("budget_for", {"fidelity": 1.5}),
        ("beliefs", {"limit": -1}),
    ):
        with pytest.raises(ArgumentsError):
            arguments(BY_NAME[name], given_)
