"""Dumps of other memories, and notes: what they hold as events, what they state as claims."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidEventError
from holdfast.interchange import Source
from holdfast.interchange.base import Found, Item, Stated
from holdfast.interchange.formats import reader
from holdfast.state.records import Claim

T0 = 1_741_165_200.0  # 2025-03-05 09:00


def items(form: str, document: Any, name: str = "") -> list[Item]:
    data = document.encode() if isinstance(document, str) else json.dumps(document).encode()
    return list(reader(form)(Source(io.BytesIO(data), name)))


def told(form: str, document: Any, name: str = "") -> list[tuple[str, str, float | None]]:
    found = [item.event for item in items(form, document, name) if isinstance(item, Found)]
    return [(one.scope, one.text, one.at) for one in found]


def claims(form: str, document: Any) -> list[Claim]:
    return [item.claim for item in items(form, document) if isinstance(item, Stated)]


# ---- Mem0 --------------------------------------------------------------------------------------

MEMORY = {
    "id": "7f", "memory": "Likes leek soup", "hash": "ab", "user_id": "ana", "run_id": "s/1",
    "metadata": {"category": "food"}, "created_at": "2025-03-05T01:00:00-08:00",
    "updated_at": None, "categories": ["food"],
}  # fmt: skip


def test_a_memory_is_a_note_in_the_scope_of_its_owners() -> None:
    (one,) = items("mem0", {"results": [MEMORY], "relations": []})
    assert isinstance(one, Found)
    event = one.event
    assert (event.scope, event.text, event.at) == ("user/ana/run/s%2F1", "Likes leek soup", T0)
    assert (event.kind, event.channel, event.speaker) == ("note", "import", "mem0")
    assert event.metadata == {
        "id": "7f", "hash": "ab", "metadata": {"category": "food"}, "categories": ["food"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        [MEMORY],
        MEMORY,
        {"count": 1, "next": None, "results": [MEMORY]},
        [{"results": [MEMORY]}, {"results": []}],
        f"{json.dumps(MEMORY)}\n\n{json.dumps({'results': []})}\n",
    ],
    ids=["list", "one", "page", "pages", "lines"],
)
def test_every_shape_of_a_dump_is_read(document: Any) -> None:
    assert told("mem0", document) == [("user/ana/run/s%2F1", "Likes leek soup", T0)]


def test_relations_are_claims() -> None:
    dump = {"results": [], "relations": [
        {"source": "ana", "relationship": "LIVES_IN", "target": "porto", "user_id": "ana"},
        {"source": "ana", "relationship": "", "target": "porto"},
    ]}  # fmt: skip
    assert claims("mem0", dump) == [Claim("ana", "lives_in", "porto", scope="user/ana", many=True)]


# ---- Zep and Graphiti --------------------------------------------------------------------------


def edge(id: str, name: str, to: str, valid: str | None, invalid: str | None) -> dict[str, Any]:
    return {
        "uuid": id, "group_id": "g", "source_node_uuid": "n1", "target_node_uuid": to,
        "name": name, "fact": f"Ana {name} {to}", "fact_embedding": [0.1] * 9,
        "episodes": ["ep1"], "created_at": "2025-03-05T09:00:00Z", "valid_at": valid,
        "invalid_at": invalid, "expired_at": None, "attributes": {},
    }  # fmt: skip


def graph() -> dict[str, Any]:
    return {
        "episodes": [{
            "uuid": "ep1", "group_id": "g", "name": "chat 1", "source": "message",
            "source_description": "support", "content": "ana: I moved to Porto.",
            "created_at": "2025-03-06T00:00:00Z", "valid_at": "2025-03-05T09:00:00.000000000Z",
            "entity_edges": ["e2"],
        }],
        "nodes": [
            {"uuid": "n1", "group_id": "g", "name": "Ana", "labels": ["Entity", "Person"],
             "summary": "A cook.", "name_embedding": [0.5], "created_at": "2025-03-05T09:00:00Z"},
            {"uuid": "n2", "group_id": "g", "name": "Lisbon", "summary": ""},
            {"uuid": "n3", "group_id": "g", "name": "Porto", "summary": ""},
        ],
        "edges": [
            edge("e1", "LIVES_IN", "n2", "2024-01-01T00:00:00Z", "2025-03-01T00:00:00Z"),
            edge("e2", "LIVES_IN", "n3", "2025-03-01T00:00:00Z", None),
            edge("e3", "KNOWS", "n2", None, None),
            edge("e4", "KNOWS", "n3", None, None),
            edge("e5", "LOST", "gone", None, None),
            edge("e6", "NEVER", "n3", "2025-03-01T00:00:00Z", "2025-03-01T00:00:00Z"),
        ],
    }  # fmt: skip


def test_episodes_nodes_and_facts_are_events() -> None:
    assert told("zep", graph()) == [
        ("zep/g", "ana: I moved to Porto.", T0),
        ("zep/g", "Ana: A cook.", T0),
        *(("zep/g", f"Ana {name} {to}", T0) for name, to in (
            ("LIVES_IN", "n2"), ("LIVES_IN", "n3"), ("KNOWS", "n2"), ("KNOWS", "n3"),
            ("LOST", "gone"), ("NEVER", "n3"),
        )),
    ]  # fmt: skip
    episode, node, fact, *_ = items("zep", graph())
    assert isinstance(episode, Found)
    assert episode.event.metadata == {
        "uuid": "ep1", "group_id": "g", "name": "chat 1", "source": "message",
        "source_description": "support", "created_at": "2025-03-06T00:00:00Z",
        "entity_edges": ["e2"],
    }  # fmt: skip
    assert isinstance(node, Found)
    assert node.event.metadata["labels"] == ["Entity", "Person"]
    assert isinstance(fact, Found)
    assert "fact_embedding" not in fact.event.metadata
    assert fact.event.metadata["invalid_at"] == "2025-03-01T00:00:00Z"


def test_edges_are_claims_with_their_validity() -> None:
    lisbon, porto, *known = claims("zep", graph())
    assert lisbon == Claim(
        "Ana", "lives_in", "Lisbon", scope="zep/g", valid_from=1_704_067_200.0,
        valid_until=1_740_787_200.0,
    )  # fmt: skip
    assert porto == Claim("Ana", "lives_in", "Porto", scope="zep/g", valid_from=1_740_787_200.0)
    # Two that stand at once are both so; an edge without an end, or of no duration, claims nothing.
    assert known == [
        Claim("Ana", "knows", city, scope="zep/g", many=True) for city in ("Lisbon", "Porto")
    ]
    rests = [item.rests_on for item in items("zep", graph()) if isinstance(item, Stated)]
    assert rests == ["e1", "e2", "e3", "e4"]


def test_records_in_one_list_are_sorted_out() -> None:
    flat = [*graph()["edges"], *graph()["nodes"], *graph()["episodes"]]
    assert items("zep", flat) == items("zep", graph())


def test_threads_of_messages_have_scopes_of_their_own() -> None:
    threads = {"threads": [{"thread_id": "t1", "messages": [
        {"uuid": "m", "role": "user", "name": "Ana", "content": "Hi",
         "created_at": "2025-03-05T09:00:00Z"},
    ]}]}  # fmt: skip
    (one,) = items("zep", threads)
    assert isinstance(one, Found)
    assert (one.event.scope, one.event.speaker, one.event.role, one.event.kind) == (
        "zep/t1", "Ana", "user", "message",
    )  # fmt: skip


# ---- LangGraph ---------------------------------------------------------------------------------


def item(value: Any, **more: Any) -> dict[str, Any]:
    return {
        "namespace": ["users", "ana/1"], "key": "k1", "value": value,
        "created_at": "2025-03-05T09:00:00+00:00", "updated_at": "2025-03-05T09:30:00+00:00",
    } | more  # fmt: skip


VALUES: list[tuple[Any, str, Any]] = [
    ({"text": "Likes soup"}, "Likes soup", None),
    ({"kind": "Memory", "content": {"content": "Likes soup", "n": 1}}, "Likes soup",
     {"kind": "Memory", "content": {"n": 1}}),
    ({"food": "soup", "n": 2}, '{"food":"soup","n":2}', None),
    ({"text": 5}, '{"text":5}', None),
    ("soup", "soup", None),
    ([1, 2], "[1,2]", None),
    ({"content": {"n": 1}}, '{"content":{"n":1}}', None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text", "rest"), VALUES)
def test_a_value_is_its_text_and_the_rest(value: Any, text: str, rest: Any) -> None:
    (one,) = items("langgraph", [item(value)])
    assert isinstance(one, Found)
    assert (one.event.scope, one.event.text, one.event.at) == ("users/ana%2F1", text, T0)
    expected = {"key": "k1", "updated_at": "2025-03-05T09:30:00+00:00"}
    assert one.event.metadata == expected | ({"value": rest} if rest is not None else {})


def test_rows_of_a_table_are_items_too() -> None:
    row = {"prefix": "users.ana", "key": "k", "value": '{"text": "Hi"}', "ttl_minutes": 5}
    (one,) = items("langgraph", {"items": [row]})
    assert isinstance(one, Found)
    assert (one.event.scope, one.event.text) == ("users/ana", "Hi")
    assert one.event.metadata == {"key": "k", "ttl_minutes": 5}


def test_an_item_without_a_value_says_nothing() -> None:
    assert items("langgraph", [item(None), item({}), item("")]) == []


# ---- Markdown ----------------------------------------------------------------------------------

NOTES = """\
---
tags: [home]
---
Before any heading.

# House

## Wifi

The password is on the fridge.
It is long.

- a list
- in one piece

```
## no heading

code
```
# Garden #

#hashtag, no heading
"""


def test_every_block_is_an_event_and_every_line_is_in_one() -> None:
    found = [one for one in items("markdown", NOTES, "notes/home.md") if isinstance(one, Found)]
    assert [(one.place, one.event.text, one.event.metadata.get("headings")) for one in found] == [
        ("line 1", "---\ntags: [home]\n---", None),
        ("line 4", "Before any heading.", None),
        ("line 6", "# House\n\n## Wifi\n\nThe password is on the fridge.\nIt is long.",
         ["House", "Wifi"]),
        ("line 13", "- a list\n- in one piece", ["House", "Wifi"]),
        ("line 16", "```\n## no heading\n\ncode\n```", ["House", "Wifi"]),
        ("line 21", "# Garden #\n\n#hashtag, no heading", ["Garden"]),
    ]  # fmt: skip
    assert {one.event.scope for one in found} == {"home"}
    assert {one.event.at for one in found} == {None}


DAILY = """\
# 2025-03-05
A quiet day.
- 09:30 Called the bank
  about the card
- **10:00** Paid the rent

## 14:15 Standup

Talked about leeks.

# 2025-03-06

* 8:05 Ran.
"""


def test_dates_in_headings_and_times_in_lines_are_when_it_was() -> None:
    assert [(text, at and at - T0) for _, text, at in told("markdown", DAILY)] == [
        ("# 2025-03-05\nA quiet day.", -9 * 3600),
        ("- 09:30 Called the bank\n  about the card", 1800),
        ("- **10:00** Paid the rent", 3600),
        ("## 14:15 Standup\n\nTalked about leeks.", 5.25 * 3600),
        ("# 2025-03-06\n\n* 8:05 Ran.", 23 * 3600 + 300),
    ]


def test_the_name_of_a_file_dates_it() -> None:
    assert told("markdown", "Rain.\n\n99:99 is no time\n", "diary/2025-03-05.md") == [
        ("2025-03-05", "Rain.", T0 - 9 * 3600),
        ("2025-03-05", "99:99 is no time", T0 - 9 * 3600),
    ]
    assert told("markdown", "Rain.", "2025-13-45.md") == [("2025-13-45", "Rain.", None)]


pieces = st.sampled_from([
    "# A", "## B", "###### 2025-03-05", "text", "- item", "", "  ", "```", "~~~", "09:30 x", "---",
    "    # indented", "\t", "#", "# 12:00",
])  # fmt: skip


@given(st.lists(pieces | st.text("ab#-` \t", max_size=6), max_size=25))
def test_no_line_is_lost_and_none_is_told_twice(lines: list[str]) -> None:
    found = told("markdown", "\n".join(lines), "n.md")
    said = [line.rstrip() for _, text, _ in found for line in text.split("\n") if line.strip()]
    assert said == [line.rstrip() for line in lines if line.strip()]


# ---- what is wrong is named --------------------------------------------------------------------

WRONG = [
    ("mem0", ["x"], "record 1 is a text, not an object"),
    ("mem0", {"results": [{"memory": []}]}, "memory 1: 'memory' is a list, not a text"),
    ("mem0", [{"results": [5]}], "page 1, memory 1 is a number, not an object"),
    ("zep", {"edges": [{"valid_at": "soon"}]}, "edge 1: 'valid_at' is a text, not POSIX seconds"),
    ("zep", [[]], "record 1 is a list, not an object"),
    ("langgraph", [item("x", namespace=[1])], "item 1: 'namespace' holds a number, not texts"),
    ("langgraph", [item("x", created_at=True)], "item 1: 'created_at' is true or false, not"),
    ("langgraph", [{"prefix": "a", "value": "{"}], "item 1, value is not JSON"),
]


@pytest.mark.parametrize(("form", "document", "message"), WRONG)
def test_what_is_wrong_is_named_by_its_place(form: str, document: Any, message: str) -> None:
    with pytest.raises(InvalidEventError, match=message):
        items(form, document)
