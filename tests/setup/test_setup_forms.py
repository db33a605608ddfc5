"""Editing JSON and TOML as text: the entry changes, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ArgumentsError
from holdfast.setup import jsonc, toml

PATH = ("servers", "holdfast")
ENTRY = {"command": "/usr/bin/holdfast", "args": ["mcp", "/home/ana/my file.holdfast"]}
OTHER = {"url": "https://host/mcp"}

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=4)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A configuration as some editor might have left it."""
    data = draw(OBJECTS)
    if draw(st.booleans()):
        data["servers"] = draw(OBJECTS)
        if draw(st.booleans()):
            data["servers"]["holdfast"] = draw(OBJECTS)
    indent = draw(st.sampled_from([None, 0, 2, 4, "\t"]))
    text = json.dumps(data, indent=indent, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()) and indent is not None:
        text = text.replace("\n", " // remark: {\n", 1)
    text = draw(st.sampled_from(["", "/* head */ ", "\ufeff", "\n\n"])) + text
    text += draw(st.sampled_from(["", "\n", "\n// tail"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)  # a NaN too


@given(documents())
def test_json_gains_the_entry_and_nothing_else(text: str) -> None:
    before = jsonc.load(text)
    written = jsonc.put(text, PATH, ENTRY)
    assert jsonc.get(written, PATH) == ENTRY
    assert jsonc.put(written, PATH, ENTRY) == written
    wanted = {**before, "servers": {**before.get("servers", {}), "holdfast": ENTRY}}
    assert same(jsonc.load(written), wanted)
    assert jsonc.put(jsonc.put(text, PATH, OTHER), PATH, ENTRY) == written


@given(documents())
def test_json_loses_the_entry_and_nothing_else(text: str) -> None:
    before = jsonc.load(text)
    dropped = jsonc.drop(jsonc.put(text, PATH, ENTRY), PATH)
    servers = {k: v for k, v in before.get("servers", {}).items() if k != "holdfast"}
    assert same(jsonc.load(dropped), {**before, "servers": servers})
    if before.get("servers") and "holdfast" not in before["servers"]:
        assert dropped == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"servers": {"a": {"x": 1}}}', '{"servers": {"a": {"x": 1}, "holdfast": {"u": 1}}}'),
        (
            '{\n\t"servers": {\n\t\t"a": 1, // one\n\t},\n}\n',
            '{\n\t"servers": {\n\t\t"a": 1, // one\n\t\t"holdfast": {\n'
            '\t\t\t"u": 1\n\t\t},\n\t},\n}\n',
        ),
        (
            '{\n    "servers": {\n        "a": 1 /* one */\n    }\n}',
            '{\n    "servers": {\n        "a": 1, /* one */\n        "holdfast": {\n'
            '            "u": 1\n        }\n    }\n}',
        ),
        ("{}", '{\n  "servers": {\n    "holdfast": {\n      "u": 1\n    }\n  }\n}'),
        ("", '{\n  "servers": {\n    "holdfast": {\n      "u": 1\n    }\n  }\n}\n'),
    ],
)
def test_json_is_laid_out_as_the_file_is(text: str, wanted: str) -> None:
    assert jsonc.put(text, PATH, {"u": 1}) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"servers": []}',
        '{"servers": "x"}',
        "not json",
        '{"a": 1,, }',
        "{} {}",
        "[" * 99999,
    ],
)
def test_what_is_no_json_object_is_left_alone(text: str) -> None:
    with pytest.raises(ArgumentsError, match="try again"):
        jsonc.put(text, PATH, ENTRY)


# ---- TOML -----------------------------------------------------------------------------------

TABLES = (
    'model = "o9" # the best\n',
    "[servers]\n",
    '[servers.other]\ncommand = "x"\nargs = [\n  "[servers.holdfast]",\n]\n',
    "[tools]\ntext = '''\n[servers.holdfast]\n'''\n",
    '[tools.more]\ntext = """\n[servers.holdfast]\\\n"""\n# [servers.holdfast]\n',
    "[[rows]]\nn = 1\n[[rows]]\nn = nan\n",
    '[projects."/home/ana/x"]\ntrust = "yes"\n\n',
)
OURS = (
    '[servers.holdfast]\ncommand = "old"\n',
    '[servers.holdfast]\nurl = "x" # mine\n\n[servers.holdfast.env]\nA = "b"\n# what follows\n',
    '[servers."holdfast"]\nargs = ["a"]\n',
)


@st.composite
def tomls(draw: st.DrawFn, own: bool) -> str:
    parts = draw(st.lists(st.sampled_from(TABLES), unique=True))
    parts.sort(key=lambda one: one.startswith("["))
    if own:
        parts.insert(
            draw(st.integers(parts[:1] == [TABLES[0]], len(parts))), draw(st.sampled_from(OURS))
        )
    text = "".join(parts)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@given(tomls(own=False) | tomls(own=True))
def test_toml_gains_the_entry_and_nothing_else(text: str) -> None:
    before = toml.load(text)
    written = toml.put(text, PATH, ENTRY)
    assert toml.get(written, PATH) == ENTRY
    assert toml.put(written, PATH, ENTRY) == written
    wanted = {**before, "servers": {**before.get("servers", {}), "holdfast": ENTRY}}
    assert same(toml.load(written), wanted)
    if toml.get(text, PATH) is None:
        assert written.startswith(text)


@given(tomls(own=False))
def test_toml_loses_the_entry_and_nothing_else(text: str) -> None:
    dropped = toml.drop(toml.put(text, PATH, ENTRY), PATH)
    assert dropped.rstrip("\r\n") == text.rstrip("\r\n")


@pytest.mark.parametrize(
    "text",
    ['servers = { holdfast = { command = "x" } }\n', 'servers.holdfast.command = "x"\n',
     "[servers\n", "servers = 1\n"],
)  # fmt: skip
def test_toml_that_cannot_be_edited_is_left_alone(text: str) -> None:
    with pytest.raises(ArgumentsError, match="try again"):
        toml.put(text, PATH, ENTRY)
