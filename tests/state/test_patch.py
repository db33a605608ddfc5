"""Patches against the examples of their RFCs, against jsonpatch, and round trips."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.errors import PatchError
from holdfast.state.patch import (
    MAX_DEPTH,
    apply_merge,
    apply_patch,
    check_json,
    clone,
    diff,
    encode,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)
pieces = st.sampled_from(["", "/0", "/00", "/-", "/~", "/~2", "x", "/-1", "/a", "/", "/٠"])
keys = st.sampled_from(["a", "b", "", "/", "~", "~1", "0", "-", "é"])


def values(leaves: st.SearchStrategy[Any] = scalars) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


def same(a: Any, b: Any) -> bool:
    return encode(a) == encode(b)


# RFC 6902, appendix A: document, patch, result (None where it must be refused).
APPENDIX = {
    "A.1": (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux"}],
        {"baz": "qux", "foo": "bar"},
    ),
    "A.2": (
        {"foo": ["bar", "baz"]},
        [{"op": "add", "path": "/foo/1", "value": "qux"}],
        {"foo": ["bar", "qux", "baz"]},
    ),
    "A.3": (
        {"baz": "qux", "foo": "bar"},
        [{"op": "remove", "path": "/baz"}],
        {"foo": "bar"},
    ),
    "A.4": (
        {"foo": ["bar", "qux", "baz"]},
        [{"op": "remove", "path": "/foo/1"}],
        {"foo": ["bar", "baz"]},
    ),
    "A.5": (
        {"baz": "qux", "foo": "bar"},
        [{"op": "replace", "path": "/baz", "value": "boo"}],
        {"baz": "boo", "foo": "bar"},
    ),
    "A.6": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "A.7": (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "A.8": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [
            {"op": "test", "path": "/baz", "value": "qux"},
            {"op": "test", "path": "/foo/1", "value": 2},
        ],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "A.9": ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], None),
    "A.10": (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    "A.11": (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
        {"foo": "bar", "baz": "qux"},
    ),
    "A.12": ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], None),
    # A.13 is a repeated member, which is lost before a patch gets here.
    "A.14": (
        {"/": 9, "~1": 10},
        [{"op": "test", "path": "/~01", "value": 10}],
        {"/": 9, "~1": 10},
    ),
    "A.15": ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}], None),
    "A.16": (
        {"foo": ["bar"]},
        [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
        {"foo": ["bar", ["abc", "def"]]},
    ),
}


@pytest.mark.parametrize("case", APPENDIX)
def test_the_appendix_of_rfc_6902(case: str) -> None:
    document, patch, result = APPENDIX[case]
    if result is None:
        with pytest.raises(PatchError):
            apply_patch(document, patch)
    else:
        assert same(apply_patch(document, patch), result)


MERGES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("document", "patch", "result"), MERGES)
def test_the_appendix_of_rfc_7396(document: Any, patch: Any, result: Any) -> None:
    assert same(apply_merge(document, patch), result)


# RFC 6901, section 5.
POINTED = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5,
    'k"l': 6, " ": 7, "m~n": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", POINTED), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1),
        ("/c%d", 2), ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8),
    ],
)  # fmt: skip
def test_the_pointers_of_rfc_6901(pointer: str, value: Any) -> None:
    assert apply_patch(POINTED, [{"op": "test", "path": pointer, "value": value}]) == POINTED


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        ([1], {"op": "remove", "path": "/00"}),
        ([1], {"op": "remove", "path": "/-"}),
        ([1], {"op": "remove", "path": "/-1"}),
        ([1], {"op": "remove", "path": "/٠"}),
        ([1], {"op": "remove", "path": "/1"}),
        ([1], {"op": "remove", "path": "/" + "9" * 5000}),
        ([1], {"op": "add", "path": "/2", "value": 1}),
        ([1], {"op": "add", "path": "/0\n", "value": 1}),
        ([1], {"op": "replace", "path": "/-", "value": 1}),
        ("text", {"op": "remove", "path": "/0"}),
        ("text", {"op": "add", "path": "/0", "value": "x"}),
        ({"a": 1}, {"op": "remove", "path": ""}),
        ({"a": 1}, {"op": "remove", "path": "a"}),
        ({"~": 1}, {"op": "remove", "path": "/~"}),
        ({"~2": 1}, {"op": "remove", "path": "/~2"}),
        ({"a": 1}, {"op": "replace", "path": "/b", "value": 1}),
        ({"a": {"b": 1}}, {"op": "move", "from": "/a", "path": "/a/b"}),
        ({"a": {"b": 1}}, {"op": "move", "from": "", "path": "/a"}),
        ({"a": 1}, {"op": "move", "from": "/b", "path": "/b"}),
        ({"a": 1}, {"op": "copy", "path": "/b"}),
        ({"a": 1}, {"op": "add", "path": "/b"}),
        ({"a": 1}, {"op": "add", "value": 1}),
        ({"a": 1}, {"op": "add", "path": 7, "value": 1}),
        ({"a": 1}, {"op": "spam", "path": "/a"}),
        ({"a": 1}, {"op": ["add"], "path": "/a"}),
        ({"a": 1}, {"path": "/a"}),
        ({"a": 1}, "add"),
        ({"a": True}, {"op": "test", "path": "/a", "value": 1}),
        ({"a": 0}, {"op": "test", "path": "/a", "value": False}),
        ({"a": [[0]]}, {"op": "test", "path": "/a", "value": [[False]]}),
        ({"a": {}}, {"op": "test", "path": "/a", "value": []}),
        ({"a": None}, {"op": "test", "path": "/a", "value": {"b": None}}),
    ],
)
def test_what_is_refused(document: Any, operation: Any) -> None:
    kept = deepcopy(document)
    with pytest.raises(PatchError, match=r"^operation 0 "):
        apply_patch(document, [operation])
    assert same(document, kept)


def test_numbers_are_equal_by_value() -> None:
    assert apply_patch([1], [{"op": "test", "path": "/0", "value": 1.0}]) == [1]
    assert apply_patch([-0.0], [{"op": "test", "path": "", "value": [0]}]) == [0]


def test_a_move_to_its_own_place_changes_nothing() -> None:
    document = {"a": [1, 2]}
    assert apply_patch(document, [{"op": "move", "from": "/a/1", "path": "/a/1"}]) == document
    assert apply_patch(document, [{"op": "move", "from": "", "path": ""}]) == document


def test_a_name_that_begins_alike_is_no_child() -> None:
    moved = apply_patch({"a": 1, "ab": {}}, [{"op": "move", "from": "/a", "path": "/ab/a"}])
    assert moved == {"ab": {"a": 1}}


def test_the_whole_document_is_a_place_too() -> None:
    assert apply_patch({"a": 1}, [{"op": "add", "path": "", "value": [1]}]) == [1]
    assert apply_patch({"a": 1}, [{"op": "replace", "path": "", "value": None}]) is None
    assert apply_patch({"a": [1]}, [{"op": "move", "from": "/a", "path": ""}]) == [1]
    assert apply_patch({"a": 1}, [{"op": "copy", "from": "", "path": "/b"}]) == {
        "a": 1,
        "b": {"a": 1},
    }


def test_a_replaced_member_keeps_its_place() -> None:
    patched = apply_patch({"a": 1, "b": 2}, [{"op": "replace", "path": "/a", "value": 3}])
    assert list(patched) == ["a", "b"]


def test_a_patch_that_fails_late_changes_nothing() -> None:
    document = {"a": [1, {"b": 2}]}
    patch = [
        {"op": "remove", "path": "/a/1/b"},
        {"op": "add", "path": "/a/0", "value": 0},
        {"op": "test", "path": "/a/0", "value": 1},
    ]
    with pytest.raises(PatchError, match=r"^operation 2 \(test at '/a/0'\)"):
        apply_patch(document, patch)
    assert document == {"a": [1, {"b": 2}]}


def test_messages_name_the_place_and_not_what_is_stored() -> None:
    document = {"a": "secret-one", "b": {"secret-two": 1}}
    for operation in (
        {"op": "test", "path": "/a", "value": "secret-three"},
        {"op": "remove", "path": "/b/x"},
        {"op": "add", "path": "/a/x", "value": "secret-four"},
        {"op": "spam", "path": {"secret-five": 1}},
        {"op": "add", "path": {"secret-six": 1}, "value": 1},
    ):
        with pytest.raises(PatchError) as caught:
            apply_patch(document, [operation])
        assert "secret" not in str(caught.value)


class Odd(str):
    pass


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), (1,), b"x", {1: 2}, {None: 1}, {True: 1}, {1, 2}, object(),
        Odd("x"), "\ud800", {"\udfff": 1}, 1 << 1025, CYCLE, [[float("-inf")]],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_not_json(value: Any) -> None:
    for refused in (
        lambda: check_json(value),
        lambda: apply_patch(value, []),
        lambda: apply_patch({}, [{"op": "add", "path": "/a", "value": value}]),
        lambda: apply_merge({}, {"a": value}),
        lambda: diff(value, {}),
        lambda: diff({}, value),
    ):
        with pytest.raises(PatchError):
            refused()


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = {"a": value}
    return value


def test_depth_is_bounded() -> None:
    assert check_json(nested(MAX_DEPTH)) > 0
    with pytest.raises(PatchError, match="levels"):
        check_json(nested(MAX_DEPTH + 1))
    deep = [nested(MAX_DEPTH - 1), nested(3)]
    with pytest.raises(PatchError, match="levels"):
        apply_patch(deep, [{"op": "move", "from": "/1", "path": "/0" + "/a" * (MAX_DEPTH - 1)}])


def test_what_shares_its_parts_is_measured_as_it_would_be_written() -> None:
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    with pytest.raises(PatchError, match="has over 10000 bytes"):
        check_json(value, max_bytes=10_000)


def test_a_single_operation_is_no_patch() -> None:
    with pytest.raises(PatchError, match="put a single one in a list"):
        apply_patch({}, {"op": "add", "path": "/a", "value": 1})


def test_moves_cannot_nest_beyond_recursion() -> None:
    document = [{"k": {}} for _ in range(3000)]
    patch = [{"op": "move", "from": f"/{n}", "path": f"/{n - 1}/k/x"} for n in range(2999, 0, -1)]
    with pytest.raises(PatchError, match="levels"):
        apply_patch(document, patch)


def test_size_is_bounded_and_copies_cannot_blow_it_up() -> None:
    assert check_json("é" * 4, max_bytes=10) == 10
    with pytest.raises(PatchError, match="11 bytes"):
        check_json("é" * 4 + "x", max_bytes=10)
    doubling = [{"op": "copy", "from": "", "path": "/-"}] * 40
    with pytest.raises(PatchError, match="copies"):
        apply_patch([1], doubling, max_bytes=10_000)
    with pytest.raises(PatchError, match="merged"):
        apply_merge({"a": "x" * 50}, {"b": "y" * 50}, max_bytes=100)
    with pytest.raises(PatchError, match="patched"):
        apply_patch({"a": "x" * 60}, [{"op": "copy", "from": "/a", "path": "/b"}], max_bytes=100)


def pointers(document: Any, prefix: str = "") -> list[str]:
    """Every place of a document, and those where something may be added."""
    found = [prefix]
    if isinstance(document, dict):
        for key, value in document.items():
            name = key.replace("~", "~0").replace("/", "~1")
            found += pointers(value, f"{prefix}/{name}")
        found += [f"{prefix}/new"]
    elif isinstance(document, list):
        for n, value in enumerate(document):
            found += pointers(value, f"{prefix}/{n}")
        found += [f"{prefix}/-", f"{prefix}/{len(document)}"]
    return found


@st.composite
def patched(draw: st.DrawFn, leaves: st.SearchStrategy[Any] = scalars) -> tuple[Any, list[Any]]:
    """A document and a patch whose operations mostly apply."""
    document = draw(values(leaves))
    now, patch = clone(document), []
    for _ in range(draw(st.integers(0, 5))):
        places = st.sampled_from(pointers(now))
        op = draw(st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]))
        operation = {"op": op, "path": draw(places)}
        if op in ("move", "copy"):
            operation["from"] = draw(places)
        elif op != "remove":
            operation["value"] = draw(values(leaves))
        patch.append(operation)
        try:
            now = apply_patch(now, [operation])
        except PatchError:
            if draw(st.booleans()):
                patch.pop()  # so that most go on
    return document, patch


@given(patched(), st.integers(0, 4), pieces)
def test_the_same_as_jsonpatch(case: tuple[Any, list[Any]], place: int, piece: str) -> None:
    """No difference is known in what either does with JSON within our limits."""
    jsonpatch = pytest.importorskip("jsonpatch", "1.48")  # older ones take 1 for true, 01 for 1
    pytest.importorskip("jsonpointer")
    document, patch = case
    if place < len(patch):
        patch[place]["path"] += piece
    try:
        ours = [apply_patch(document, patch)]
    except PatchError:
        ours = []
    try:
        theirs = [jsonpatch.apply_patch(clone(document), clone(patch))]
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
        theirs = []
    assert same(ours, theirs)


@given(values(), values())
def test_merges_as_the_rfc_writes_it(document: Any, patch: Any) -> None:
    def merge(target: Any, patch: Any) -> Any:  # RFC 7396, section 2
        if not isinstance(patch, dict):
            return patch
        target = target if isinstance(target, dict) else {}
        for name, value in patch.items():
            if value is None:
                target.pop(name, None)
            else:
                target[name] = merge(target.get(name), value)
        return target

    assert same(apply_merge(document, patch), merge(deepcopy(document), deepcopy(patch)))


@given(values(), values())
@example(1, 1.0)
@example(0.0, -0.0)
@example([True], [1])
@example({"a": [1, 2, 3]}, {"a": [3]})
def test_a_diff_leads_from_one_to_the_other(before: Any, after: Any) -> None:
    patch = diff(before, after)
    assert same(apply_patch(before, patch), after)
    whole = [{"op": "replace", "path": "", "value": after}]
    assert len(encode(patch)) <= len(encode(whole))
    assert (patch == []) == same(before, after)


@given(patched())
def test_a_diff_of_a_small_change(case: tuple[Any, list[Any]]) -> None:
    document, patch = case
    try:
        after = apply_patch(document, patch)
    except PatchError:
        after = document
    assert same(apply_patch(document, diff(document, after)), after)


def test_a_diff_is_small() -> None:
    long = [{"id": n, "text": "x" * 20} for n in range(50)]
    assert diff(long, long[:20] + long[21:]) == [{"op": "remove", "path": "/20"}]
    assert diff(long[:20] + long[21:], long) == [{"op": "add", "path": "/20", "value": long[20]}]
    assert diff({"a/b": {"~": 1}, "c": long}, {"a/b": {"~": 2}, "c": long}) == [
        {"op": "replace", "path": "/a~1b/~0", "value": 2}
    ]


def shared(a: Any, b: Any) -> bool:
    """Whether two values have a list or a dict in common."""

    def parts(value: Any) -> list[int]:
        inner = value.values() if isinstance(value, dict) else value
        if not isinstance(value, dict | list):
            return []
        return [id(value), *(part for item in inner for part in parts(item))]

    return bool(set(parts(a)) & set(parts(b)))


@given(patched(), values())
def test_inputs_stay_as_they_are_and_nothing_is_shared(
    case: tuple[Any, list[Any]], other: Any
) -> None:
    document, patch = case
    kept = deepcopy((document, patch, other))
    merged, step = apply_merge(document, other), diff(document, other)
    assert not shared(merged, [document, other])
    assert not shared(step, [document, other])
    try:
        result = apply_patch(document, patch)
    except PatchError:
        result = None
    assert not shared(result, [document, patch])
    assert same(list(kept), [document, patch, other])
