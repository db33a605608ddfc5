"""Conversations of chat services: every word at its time, in its place, with all that was told."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from holdfast.errors import InvalidEventError
from holdfast.interchange import Source
from holdfast.interchange.base import Found, Item
from holdfast.interchange.formats import reader
from holdfast.records import Event

T0 = 1_741_165_200.0  # 2025-03-05 09:00


def found(form: str, document: Any, name: str = "") -> list[Found]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    items: list[Item] = list(reader(form)(Source(io.BytesIO(data), name)))
    assert all(isinstance(item, Found) for item in items)
    return [item for item in items if isinstance(item, Found)]


def events(form: str, document: Any, name: str = "") -> list[Event]:
    return [item.event for item in found(form, document, name)]


def texts(form: str, document: Any) -> list[tuple[str | None, str, str]]:
    return [(one.role, one.kind, one.text) for one in events(form, document)]


# ---- ChatGPT -----------------------------------------------------------------------------------


def node(id: str, parent: str | None, message: dict[str, Any] | None, *children: str) -> Any:
    return {"id": id, "parent": parent, "message": message, "children": list(children)}


def said(id: str, role: str, *parts: Any, at: float | None = T0, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": at,
        "content": {"content_type": "text", "parts": list(parts)},
        "status": "finished_successfully",
        "metadata": {"model_slug": "gpt-x"} if role == "assistant" else {},
        "recipient": "all",
        **more,
    }


def trip() -> dict[str, Any]:
    """A conversation whose first answer was asked for again."""
    return {
        "title": "Trip to Porto",
        "conversation_id": "c/1",
        "create_time": T0,
        "update_time": T0 + 60,
        "current_node": "n4",
        "gizmo_id": None,
        "mapping": {
            "root": node("root", None, None, "n1"),
            "n1": node("n1", "root", said("m1", "system", "", at=None), "n2"),
            "n2": node("n2", "n1", said("m2", "user", "Two days in Porto?"), "old", "n4"),
            "old": node("old", "n2", said("m3", "assistant", "Stay at home.", at=T0 + 5)),
            "n4": node("n4", "n2", said("m4", "assistant", "See the bridge.", at=T0 + 9)),
        },
    }


def test_the_branch_that_was_shown_is_the_conversation() -> None:
    head, asked, answer, other = events("chatgpt", [trip()])
    assert (head.text, head.kind, head.at) == ("Trip to Porto", "note", T0)
    assert head.metadata == {"update_time": T0 + 60, "current_node": "n4"}
    assert (asked.text, asked.role, asked.speaker, asked.at) == (
        "Two days in Porto?", "user", "user", T0,
    )  # fmt: skip
    assert {one.scope for one in (head, asked, answer)} == {"chatgpt/c%2F1"}
    assert {one.channel for one in (head, asked, answer, other)} == {"import"}
    assert (answer.text, answer.at) == ("See the bridge.", T0 + 9)
    assert answer.metadata == {
        "id": "m4", "status": "finished_successfully", "recipient": "all",
        "metadata": {"model_slug": "gpt-x"},
    }  # fmt: skip
    assert (other.text, other.scope) == ("Stay at home.", "chatgpt/c%2F1/other branches")
    assert other.metadata["branch"] == "other"


def test_a_tree_without_a_current_node_ends_at_its_last_leaf() -> None:
    talk = trip() | {"current_node": "gone"}
    shown = [one.text for one in events("chatgpt", [talk]) if "other" not in one.scope]
    assert shown == ["Trip to Porto", "Two days in Porto?", "See the bridge."]


def test_a_tree_that_bites_its_tail_is_read_all_the_same() -> None:
    talk = trip()
    talk["mapping"]["root"]["parent"] = "n4"
    assert len(events("chatgpt", [talk])) == 4


def test_conversations_come_in_order_of_time() -> None:
    late = trip() | {"title": "Late", "create_time": T0 + 1e6, "mapping": {}}
    undated = trip() | {"title": "Undated", "create_time": None, "mapping": {}}
    early = trip() | {"title": "Early", "create_time": T0 - 1e6, "mapping": {}}
    assert [e.text for e in events("chatgpt", [late, undated, early])] == [
        "Early", "Late", "Undated",
    ]  # fmt: skip


CONTENTS: list[tuple[dict[str, Any], str, str, dict[str, Any]]] = [
    (
        {"content_type": "code", "language": "python", "text": "print(1)"},
        "message", "print(1)", {"content": {"language": "python", "content_type": "code"}},
    ),
    (
        {"content_type": "multimodal_text",
         "parts": [{"content_type": "image_asset_pointer", "asset_pointer": "file://7"}, "A cat?"]},
        "message", "A cat?",
        {"content": {"content_type": "multimodal_text", "parts": [
            {"content_type": "image_asset_pointer", "asset_pointer": "file://7"}]}},
    ),
    (
        {"content_type": "multimodal_text", "parts": [{"asset_pointer": "file://7"}]},
        "message", '{"parts":[{"asset_pointer":"file://7"}]}',
        {"content": {"content_type": "multimodal_text"}},
    ),
    (
        {"content_type": "multimodal_text",
         "parts": [{"content_type": "audio_transcription", "text": "Hello", "direction": "in"}]},
        "message", "Hello",
        {"content": {"content_type": "multimodal_text", "parts": [
            {"content_type": "audio_transcription", "direction": "in"}]}},
    ),
    (
        {"content_type": "thoughts", "thoughts": [{"summary": "Plan", "content": "First, ask."}]},
        "note", "Plan\nFirst, ask.", {"content": {"content_type": "thoughts"}},
    ),
    (
        {"content_type": "tether_quote", "url": "file-1", "domain": "a.txt", "text": "Quoted."},
        "message", "Quoted.",
        {"content": {"url": "file-1", "domain": "a.txt", "content_type": "tether_quote"}},
    ),
    (
        {"content_type": "user_editable_context", "user_profile": "I cook.",
         "user_instructions": "Be brief."},
        "message", "I cook.\nBe brief.", {"content": {"content_type": "user_editable_context"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("content", "kind", "text", "told"), CONTENTS)
def test_every_kind_of_content_keeps_its_text_and_the_rest(
    content: dict[str, Any], kind: str, text: str, told: dict[str, Any]
) -> None:
    talk = {"id": "c", "current_node": "n", "mapping": {
        "n": node("n", None, said("m", "assistant") | {"content": content, "metadata": {}})
    }}  # fmt: skip
    (one,) = events("chatgpt", talk)
    assert (one.kind, one.text) == (kind, text)
    assert {**one.metadata} == {
        "id": "m", "status": "finished_successfully", "recipient": "all", **told
    }  # fmt: skip


def test_tools_are_called_and_answer() -> None:
    talk = {"id": "c", "current_node": "b", "mapping": {
        "a": node("a", None, said("m1", "assistant", "search('x')", recipient="browser"), "b"),
        "b": node("b", "a", said("m2", "tool", "Found x.") | {
            "author": {"role": "tool", "name": "browser", "metadata": {"real": True}}}),
    }}  # fmt: skip
    call, result = events("chatgpt", talk)
    assert (call.kind, call.role) == ("tool_call", "assistant")
    assert (result.kind, result.role, result.speaker) == ("tool_result", "tool", "browser")
    assert result.metadata["author"] == {"name": "browser", "metadata": {"real": True}}


def test_an_archive_is_opened() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("export/conversations-001.json", json.dumps([trip()]))
        archive.writestr("export/conversations-002.json", json.dumps([trip() | {"title": "2nd"}]))
        archive.writestr("export/user.json", "{}")
    titles = [one.text for one in events("chatgpt", packed.getvalue()) if one.kind == "note"]
    assert titles == ["2nd", "Trip to Porto"]  # the last in the file is the oldest


def test_an_archive_without_conversations_says_so() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("user.json", "{}")
    with pytest.raises(InvalidEventError, match=r"no conversations\.json; unpack it"):
        events("chatgpt", packed.getvalue())
    with pytest.raises(InvalidEventError, match="the archive cannot be read"):
        events("chatgpt", packed.getvalue()[:30])


# ---- Claude ------------------------------------------------------------------------------------


def soup() -> dict[str, Any]:
    return {
        "uuid": "9-9",
        "name": "Leek soup",
        "summary": "",
        "created_at": "2025-03-05T09:00:00.000000Z",
        "updated_at": "2025-03-05T10:00:00Z",
        "account": {"uuid": "acc"},
        "chat_messages": [
            {
                "uuid": "q",
                "text": "How long do leeks take?",
                "content": [
                    {"type": "text", "text": "How long do leeks take?", "citations": []}
                ],
                "sender": "human",
                "created_at": "2025-03-05T09:00:01Z",
                "attachments": [
                    {"file_name": "soup.txt", "file_size": 9, "extracted_content": "3 leeks"}
                ],
                "files": [{"file_name": "leek.png"}],
            },
            {
                "uuid": "a",
                "text": "",
                "content": [
                    {"type": "thinking", "thinking": "Look it up.", "signature": "s"},
                    {"type": "tool_use", "id": "t", "name": "search", "input": {"q": "leeks"}},
                    {"type": "tool_result", "tool_use_id": "t", "content": "20 min"},
                    {"type": "text", "text": "Twenty minutes.", "citations": [{"url": "u"}]},
                ],
                "sender": "assistant",
                "created_at": "2025-03-05T09:00:09Z",
            },
            {"uuid": "e", "text": "", "content": [], "sender": "human"},
        ],
    }  # fmt: skip


def test_blocks_of_a_message_are_events_of_their_own() -> None:
    assert texts("claude", [soup()]) == [
        (None, "note", "Leek soup"),
        ("user", "message", "How long do leeks take?"),
        ("user", "observation", "3 leeks"),
        ("assistant", "message", "Twenty minutes."),
        ("assistant", "note", "Look it up."),
        ("assistant", "tool_call", '{"id":"t","name":"search","input":{"q":"leeks"}}'),
        ("tool", "tool_result", '{"tool_use_id":"t","content":"20 min"}'),
    ]
    head, asked, file, answer, *_ = events("claude", [soup()])
    assert {one.scope for one in events("claude", [soup()])} == {"claude/9-9"}
    assert head.metadata == {"updated_at": "2025-03-05T10:00:00Z", "account": {"uuid": "acc"}}
    assert (asked.at, answer.at) == (T0 + 1, T0 + 9)
    assert asked.metadata == {"uuid": "q", "files": [{"file_name": "leek.png"}]}
    assert file.metadata == {"message": "q", "file_name": "soup.txt", "file_size": 9}
    assert answer.metadata == {"uuid": "a", "blocks": [{"citations": [{"url": "u"}]}]}


def test_a_message_without_blocks_has_its_text() -> None:
    talk = {"uuid": "1", "created_at": "2025-03-05T09:00:00Z", "chat_messages": [
        {"uuid": "m", "sender": "assistant", "text": "Hello."}
    ]}  # fmt: skip
    (one,) = events("claude", {"conversations": [talk]})
    assert (one.text, one.at) == ("Hello.", T0)  # the time of the conversation, for want of better


# ---- Letta -------------------------------------------------------------------------------------


def agent_file() -> dict[str, Any]:
    return {
        "agents": [{
            "id": "agent-0", "name": "Sam", "system": "You keep a diary.", "agent_type": "v1",
            "llm_config": {"model": "x"}, "tool_ids": ["tool-0"], "block_ids": ["block-0"],
            "in_context_message_ids": ["message-0"],
            "messages": [
                {"id": "message-0", "type": "message", "role": "user", "name": "Ana",
                 "content": [{"type": "text", "text": "Dear diary"}],
                 "created_at": "2025-03-05T09:00:00+00:00", "tool_calls": None},
                {"id": "message-1", "role": "assistant", "content": None,
                 "created_at": "2025-03-05T09:00:05+00:00",
                 "tool_calls": [{"id": "c", "function": {"name": "note", "arguments": "{}"}}]},
                {"id": "message-2", "role": "tool", "tool_call_id": "c",
                 "content": [{"type": "text", "text": "noted"}],
                 "created_at": "2025-03-05T09:00:06+00:00",
                 "tool_returns": [{"status": "success"}]},
            ],
        }],
        "blocks": [
            {"id": "block-0", "label": "human", "value": "Ana likes leeks.", "limit": 2000},
            {"id": "block-1", "label": "shared", "value": "House rules."},
            {"id": "block-2", "label": "empty", "value": ""},
        ],
        "passages": [{"id": "p", "text": "Ana was in Porto.", "created_at": "2025-03-01"}],
        "tools": [{"id": "tool-0", "source_code": "def note(): ..."}],
    }  # fmt: skip


def test_an_agent_file_gives_blocks_passages_and_messages() -> None:
    told = [(one.scope, one.role, one.kind, one.text) for one in events("letta", agent_file())]
    assert told == [
        ("letta/Sam", "system", "note", "You keep a diary."),
        ("letta/Sam/core memory", None, "note", "Ana likes leeks."),
        ("letta/Sam", "user", "message", "Dear diary"),
        ("letta/Sam", "assistant", "tool_call",
         '{"id":"c","function":{"name":"note","arguments":"{}"}}'),
        ("letta/Sam", "tool", "tool_result", "noted"),
        ("letta/core memory", None, "note", "House rules."),
        ("letta/Sam/archive", None, "note", "Ana was in Porto."),
    ]  # fmt: skip
    _, block, message, *_, passage = events("letta", agent_file())
    assert block.metadata == {"block": "human", "id": "block-0", "limit": 2000}
    assert (message.speaker, message.at) == ("Ana", T0)
    assert message.metadata == {"id": "message-0", "type": "message"}
    assert passage.at == 1_740_787_200.0


def test_an_agent_file_of_the_first_kind_is_read_too() -> None:
    old = {
        "name": "Sam", "agent_type": "memgpt_agent", "system": "You keep a diary.",
        "core_memory": [{"label": "persona", "value": "I am Sam.", "limit": 2000}],
        "messages": [{"role": "user", "content": "Dear diary", "created_at": "2025-03-05T09:00"}],
        "llm_config": {"model": "x"}, "tools": [], "in_context_message_indices": [0],
    }  # fmt: skip
    told = [(one.scope, one.text) for one in events("letta", old)]
    assert told == [
        ("letta/Sam", "You keep a diary."),
        ("letta/Sam/core memory", "I am Sam."),
        ("letta/Sam", "Dear diary"),
    ]


# ---- what is wrong is named --------------------------------------------------------------------

WRONG = [
    ("chatgpt", [trip() | {"mapping": []}], r"conversation 1, mapping is a list, not an object"),
    ("chatgpt", ["x"], "conversation 1 is a text, not an object"),
    ("chatgpt", [trip() | {"create_time": "noon"}], "conversation 1: 'create_time' is a text, not"),
    ("chatgpt", [{"mapping": {"n": 5}}], "conversation 1, mapping, node 'n' is a number"),
    ("claude", [{"chat_messages": [None]}], "conversation 1, message 1 is null, not an object"),
    ("claude", [{"chat_messages": [{"text": 5.5}]}], "message 1: 'text' is a number, not a text"),
    ("claude", [{"chat_messages": [{"content": [{"text": []}]}]}], "block 1: 'text' is a list"),
    ("letta", {"agents": [{"messages": {}}]}, "^agent 1: 'messages' is an object, not a"),
    ("letta", [1], "the file is a list, not an object"),
]


@pytest.mark.parametrize(("form", "document", "message"), WRONG)
def test_what_is_wrong_is_named_by_its_place(form: str, document: Any, message: str) -> None:
    with pytest.raises(InvalidEventError, match=message):
        found(form, document)


def test_what_is_no_json_is_named_by_its_line() -> None:
    with pytest.raises(InvalidEventError, match=r"the file is not JSON \(line 2, column 1"):
        found("chatgpt", b"[1,\n")
    with pytest.raises(InvalidEventError, match=r"line 2 is not JSON"):
        found("claude", b'{"uuid": "1"}\n{nonsense\n')
    with pytest.raises(InvalidEventError, match=r"line 1 is not UTF-8 \(byte 10\)"):
        found("claude", b'{"uuid": "\xff"}')
    with pytest.raises(InvalidEventError, match="the file is not JSON: it holds NaN"):
        found("claude", b"[NaN]")
    with pytest.raises(InvalidEventError, match="nested too deeply"):
        found("claude", b"[" * 100_000)
