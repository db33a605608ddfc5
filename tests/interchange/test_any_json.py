"""Whatever a file holds: it is read, or what is wrong is named by its place; nothing else."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_loading import SOURCES

from holdfast.errors import InvalidEventError
from holdfast.interchange import FORMATS, Source, detect, load
from holdfast.interchange.base import Found
from holdfast.interchange.formats import reader
from holdfast.write import admit

from worlds import opened

# Names that readers look for, so that arbitrary objects come close to what they expect.
WORDS = """
mapping message author role name content content_type parts text create_time current_node parent
children thoughts recipient chat_messages uuid sender created_at attachments extracted_content
thinking type results relations memory id user_id source relationship target agents blocks block_ids
core_memory label value messages tool_calls tool_returns passages episodes nodes edges threads
group_id fact valid_at invalid_at source_node_uuid target_node_uuid summary namespace prefix key
items metadata tier quotes terms digest
"""
NAMES = WORDS.split()
names = st.sampled_from(NAMES) | st.text(max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6) | st.sampled_from(["\ud800", "2025-03-05", "user", "tool", "text", "all"])
    | st.just(10**400) | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6),
    max_leaves=25,
)  # fmt: skip
PLACE = re.compile(
    r"\b(line|record|page|item|conversation|agent|block|episode|node|edge|message|thread|session"
    r"|relation|passage|memory|event) \d|the file"
)
JSON = sorted(FORMATS.keys() - {"markdown"})


def read(form: str, data: bytes) -> int | None:
    """How many items there are; None if it was refused with a place."""
    count = 0
    try:
        for item in reader(form)(Source(io.BytesIO(data))):
            count += 1
            if isinstance(item, Found):
                assert item.place
                try:
                    admit(item.event, 1 << 20)
                except InvalidEventError:
                    return None
    except InvalidEventError as error:
        wrong = str(error)
    else:
        return count
    assert PLACE.search(wrong)
    return None


@pytest.mark.parametrize("form", JSON)
@settings(max_examples=60)
@given(document=values)
def test_any_json_is_read_or_refused(form: str, document: Any) -> None:
    read(form, json.dumps(document).encode())


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document where something else could stand."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


@pytest.mark.parametrize("form", sorted(SOURCES.keys() - {"markdown"}))
@settings(max_examples=60)
@given(data=st.data())
def test_a_real_file_with_one_strange_thing_in_it_is_read_or_refused(
    form: str, data: st.DataObject
) -> None:
    document = copy.deepcopy(SOURCES[form])
    where, key = data.draw(st.sampled_from(list(places(document))))
    where[key] = data.draw(values)
    text = json.dumps(document).encode()
    expected = read(form, text)
    with opened() as memory:
        try:
            done = load(memory, Source(io.BytesIO(text)), form)
        except InvalidEventError:
            assert len(memory) == 0  # nothing is half imported
        else:
            assert expected is not None
            assert done.events + done.beliefs + done.known == expected


@pytest.mark.parametrize("form", sorted(FORMATS))
@settings(max_examples=40)
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
def test_any_bytes_are_read_or_refused(form: str, data: bytes) -> None:
    read(form, data)


@settings(max_examples=150)
@given(
    document=values | st.lists(values, max_size=3),
    indent=st.none() | st.just(1),
    lines=st.booleans(),
)
def test_any_file_is_recognised_or_asked_about(
    document: Any, indent: int | None, lines: bool
) -> None:
    if lines and isinstance(document, list):
        text = "\n".join(map(json.dumps, document))
    else:
        text = json.dumps(document, indent=indent)
    try:
        form = detect(Source(io.BytesIO(text.encode())))
    except InvalidEventError as error:
        wrong = str(error)
    else:
        assert form in FORMATS
        return
    assert "the file" in wrong or "line" in wrong


@pytest.mark.parametrize("form", sorted(SOURCES.keys() - {"markdown"}))
def test_what_is_nested_without_end_is_refused(form: str) -> None:
    for depth in (200, 900, 990, 5000):
        deep = "[" * depth + "]" * depth
        text = json.dumps(SOURCES[form]).replace('"Likes leek soup"', deep)
        for old in (
            '"See the bridge."',
            '"20 min"',
            '"Likes soup"',
            "2000",
            '["Entity", "Person"]',
        ):
            text = text.replace(old, deep, 1)
        with opened() as memory:
            try:
                load(memory, Source(io.BytesIO(text.encode())), form)
            except InvalidEventError:
                assert len(memory) == 0
