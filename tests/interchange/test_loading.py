"""Imports into a memory: all or nothing, once, found by recall, and beliefs that can be undone."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_foreign_chats import agent_file, soup, trip
from test_foreign_memories import DAILY, MEMORY, graph, item

from holdfast import Tier, Trust
from holdfast.cli.keep import FORMATS as OFFERED
from holdfast.errors import InvalidEventError, StorageFullError, UnknownNameError
from holdfast.interchange import FORMATS, Imported, Source, detect, load, opened, prepare
from holdfast.interchange.base import Part, event, fitted, segment
from holdfast.write import METADATA_BYTES

from worlds import large_events, ticking
from worlds import opened as memory_opened

SOURCES: dict[str, Any] = {
    "chatgpt": [trip()],
    "claude": [soup()],
    "langgraph": [item({"text": "Likes soup"}), item({"text": "Likes tea"}, key="k2")],
    "letta": agent_file(),
    "markdown": DAILY,
    "mem0": {"results": [MEMORY], "relations": [
        {"source": "ana", "relationship": "likes", "target": "soup", "user_id": "ana"}]},
    "zep": graph(),
}  # fmt: skip


def source(document: Any, name: str = "") -> Source:
    if isinstance(document, bytes):
        return Source(io.BytesIO(document), name)
    text = document if isinstance(document, str) else json.dumps(document)
    return Source(io.BytesIO(text.encode()), name)


def test_there_is_a_source_for_every_format() -> None:
    assert SOURCES.keys() | {"jsonl"} == FORMATS.keys() == set(OFFERED)


@pytest.mark.parametrize("form", SOURCES)
def test_importing_twice_stores_once(form: str) -> None:
    with memory_opened() as memory:
        first = load(memory, source(SOURCES[form]), form)
        assert first.events > 0
        assert first.known == 0
        before, log = memory.state_hash(), list(memory.log())
        assert load(memory, source(SOURCES[form]), form) == Imported(
            form, 0, first.events + first.beliefs
        )
        assert list(memory.log()) == log
        assert memory.state_hash() == before
        assert memory.verify().ok
        assert {record.event.channel for record in log if record.event.kind != "state"} == {
            "import"
        }


@pytest.mark.parametrize("form", SOURCES)
def test_what_is_imported_is_found(form: str) -> None:
    with memory_opened() as memory:
        done = load(memory, source(SOURCES[form]), form, scope="/from/elsewhere/")
        assert all((one.event.scope + "/").startswith("from/elsewhere/") for one in memory.log())
        assert done.events + done.beliefs == len(memory)
        for record in memory.log():
            if record.event.kind == "message":
                best = memory.rank(record.text, limit=3)
                assert record.seq in [hit.seq for hit in best]


def test_a_longer_export_adds_what_is_new_and_an_edit_is_kept_beside_what_it_was() -> None:
    talk = soup()
    with memory_opened() as memory:
        first = load(memory, source([talk]), "claude")
        talk["chat_messages"].append(
            {"uuid": "n", "sender": "human", "text": "Thanks!", "created_at": "2025-03-05T09:01Z"}
        )
        talk["updated_at"] = "2025-04-01T00:00:00Z"  # of the whole: no new message
        assert load(memory, source([talk]), "claude") == Imported("claude", 1, first.events)
        talk["chat_messages"][0]["content"][0]["text"] = "How long do beets take?"
        assert load(memory, source([talk]), "claude").events == 1
        said = [record.text for record in memory.log() if record.text.startswith("How long")]
        assert said == ["How long do leeks take?", "How long do beets take?"]


def test_the_same_words_twice_are_two_events() -> None:
    dump = [MEMORY | {"id": "a"}, MEMORY | {"id": "b"}, MEMORY | {"id": "a"}]
    with memory_opened() as memory:
        assert load(memory, source(dump), "mem0") == Imported("mem0", 2, 1)
        assert load(memory, source(dump[:2]), "mem0") == Imported("mem0", 0, 2)
        more = [*dump[:2], MEMORY | {"id": "c"}]
        assert load(memory, source(more), "mem0") == Imported("mem0", 1, 2)


def test_what_was_lowered_since_is_not_stored_again() -> None:
    texts = [str(one.content) for one in large_events(110) if isinstance(one.content, str)]
    dump = [{"id": str(n), "memory": text} for n, text in enumerate(texts)]
    with memory_opened("640 KiB") as memory:
        load(memory, source(dump), "mem0")
        tiers = {record.tier for record in memory.log()}
        assert tiers > {Tier.VERBATIM}
        kept, seq = len(memory), memory._mirror.next_seq
        assert kept == len(texts)  # lowered, none evicted
        assert load(memory, source(dump), "mem0") == Imported("mem0", 0, kept)
        assert memory._mirror.next_seq == seq


# ---- nothing is half imported ------------------------------------------------------------------


def test_one_bad_record_stores_nothing() -> None:
    good = [MEMORY | {"id": str(n), "memory": f"number {n} " * 3000} for n in range(12)]
    with memory_opened() as memory:
        for bad in (
            {"memory": []},
            MEMORY | {"created_at": "soon"},
            MEMORY | {"user_id": "u" * 2000},
        ):
            with pytest.raises(InvalidEventError, match="record 13"):
                load(memory, source([*good, bad]), "mem0")
            assert len(memory) == 0
        assert load(memory, source(good), "mem0").events == 12


def test_a_text_over_the_limit_is_named_by_its_place() -> None:
    talk = soup()
    talk["chat_messages"][1]["content"][3]["text"] = "x" * 700_000
    with memory_opened("1 MiB") as memory:
        with pytest.raises(
            InvalidEventError, match="conversation 1, message 2: an event of 700000"
        ):
            load(memory, source([talk]), "claude")
        assert len(memory) == 0


def test_what_is_prepared_is_counted_and_not_stored() -> None:
    seen: list[int] = []
    with memory_opened() as memory:
        ready = prepare(memory, source(SOURCES["zep"]))
        assert (ready.format, ready.events, ready.beliefs, len(memory)) == ("zep", 8, 4, 0)
        assert ready.store(seen.append) == Imported("zep", 8, 0, 4)
    assert seen == sorted(seen)
    assert seen[-5:] == [8, 9, 10, 11, 12]


# ---- beliefs -----------------------------------------------------------------------------------


def test_statements_are_beliefs_with_their_validity_that_rest_on_their_fact() -> None:
    with memory_opened(clock=ticking(1.75e9)) as memory:
        load(memory, source(graph()))
        assert [belief.value for belief in memory.beliefs(subject="Ana", predicate="lives_in")] == [
            "Porto"
        ]
        then = memory.beliefs(subject="Ana", predicate="lives_in", valid_at="2024-06-01")
        assert [belief.value for belief in then] == ["Lisbon"]
        assert {one.value for one in memory.beliefs(subject="Ana", predicate="knows")} == {
            "Lisbon", "Porto",
        }  # fmt: skip
        (lives,) = memory.beliefs(subject="Ana", predicate="lives_in")
        assert (lives.trust, lives.sources) == (Trust.UNTRUSTED, ("zep",))
        assert [piece.quote for piece in lives.evidence] == ["Ana LIVES_IN n3"]
        memory.revoke("zep")
        assert memory.beliefs() == []


def test_what_somebody_trusted_says_stands_against_what_is_imported() -> None:
    with memory_opened(clock=ticking(1.75e9)) as memory:
        memory.believe("Ana", "lives_in", "Faro", scope="zep/g", by="ana")
        load(memory, source(graph()))
        assert [one.value for one in memory.beliefs(subject="Ana", predicate="lives_in")] == [
            "Faro"
        ]


def test_nothing_is_read_from_the_words_of_an_import() -> None:
    talk = trip()
    talk["mapping"]["n2"]["message"]["content"]["parts"] = ["I live in Porto."]
    with memory_opened() as memory:
        load(memory, source([talk]))
        assert memory.beliefs(status="all") == []


# ---- what a file is ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", SOURCES)
@pytest.mark.parametrize("indent", [None, 2])
def test_formats_are_told_by_their_looks(form: str, indent: int | None) -> None:
    if form == "markdown":
        assert detect(source(DAILY, "x/Notes.MD")) == "markdown"
        return
    assert detect(source(json.dumps(SOURCES[form], indent=indent))) == form


OTHERS: list[tuple[bytes, str, str]] = [
    (b'{"content": "x"}\n{"content": "y"}\n', "", "jsonl"),
    (b'\n\n{"text": "x"}', "", "jsonl"),
    (b'{"content_base64": "AA=="}', "", "jsonl"),
    (b'{"mood": "x"}\n{}\n', "", "jsonl"),
    (b"nonsense", "a/b.jsonl", "jsonl"),
    (b"", "empty.ndjson", "jsonl"),
    (b'\xef\xbb\xbf[{"mapping": {}}]', "", "chatgpt"),
    (b'{"memory": "a", "id": 1}\n{"memory": "b", "id": 2}\n', "", "mem0"),
    (b'{"holdfast": "lossless export", "schema": 5}\n{}\n', "", "lossless"),
    (b'{"holdfast": "lossless export", "schema": 5}', "", "lossless"),
    (b"", "sam.af", "letta"),
]


@pytest.mark.parametrize(("data", "name", "form"), OTHERS)
def test_other_files_are_told_apart(data: bytes, name: str, form: str) -> None:
    assert detect(source(data, name)) == form


@pytest.mark.parametrize("data", [b"", b"plain words\n", b"[]", b"{}", b"[1, 2]", b"a,b\n1,2\n"])
def test_what_nobody_knows_is_asked_about(data: bytes) -> None:
    with pytest.raises(InvalidEventError, match="say which: chatgpt, claude, jsonl"):
        detect(source(data))


def test_an_unknown_format_and_a_lossless_export_are_refused() -> None:
    with memory_opened() as memory:
        with pytest.raises(UnknownNameError, match="did you mean 'mem0'"):
            load(memory, source([]), "memo0")
        memory.observe("x")
        out = io.StringIO()
        memory.export(out, lossless=True)
        with pytest.raises(InvalidEventError, match="into a file that is not there yet"):
            load(memory, source(out.getvalue()))


def test_lines_of_events_are_stored_as_they_are() -> None:
    lines = '{"content": "a", "channel": "slack", "key": "k"}\n{"content": "b"}\n'
    with memory_opened() as memory:
        assert load(memory, source(lines)) == Imported("jsonl", 2)
        first, second = list(memory.log())[:2]
        assert (first.event.channel, first.event.key, second.event.key) == ("slack", "k", None)
        with pytest.raises(InvalidEventError, match="line 2 is not an event"):
            load(memory, source(lines.replace('"content": "b"', "")))
        for scope, changed in (("s", lines), ("", lines.replace('"a"', '"another"'))):
            with pytest.raises(InvalidEventError, match="event 1: its idempotency key was used"):
                load(memory, source(changed), scope=scope)
        assert len(memory) == 2
        again = '{"content": "c", "key": "n"}\n{"content": "d", "key": "n"}\n'
        with pytest.raises(InvalidEventError, match="event 2: its idempotency key"):
            load(memory, source(again))
        assert load(memory, source(lines)) == Imported("jsonl", 1, 1)


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "dump.json.gz"
    path.write_bytes(gzip.compress(json.dumps([MEMORY]).encode()))
    with opened(str(path)) as found, memory_opened() as memory:
        assert load(memory, found).events == 1


# ---- names and metadata ------------------------------------------------------------------------


@given(st.text())
def test_a_segment_says_the_whole_name(name: str) -> None:
    said = segment(name)
    assert unquote(said, errors="surrogatepass") == name
    assert "/" not in said


@given(
    st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.just("x" * 40_000), max_size=9)
)
def test_metadata_fits_and_what_is_left_out_is_named(metadata: dict[str, str]) -> None:
    kept = fitted(metadata)
    assert len(json.dumps(dict(kept))) <= METADATA_BYTES
    gone = metadata.keys() - kept.keys()
    assert gone <= kept.get("left_out", {}).keys()
    assert all(
        kept[name] == metadata[name] for name in metadata.keys() & kept.keys() - {"left_out"}
    )
    assert all(len(metadata[name]) == 40_000 for name in gone)


def test_a_part_says_where_it_stands() -> None:
    part = Part({"a": [], "n": 7, "t": 1e400, "b": True}, "page 1")
    assert part.text("missing", "n") == "7"
    for call, match in (
        (lambda: part.text("a"), "page 1: 'a' is a list, not a text"),
        (lambda: part.text("b"), "page 1: 'b' is true or false, not a text"),
        (lambda: part.part("a"), "page 1, a is a list, not an object"),
    ):
        with pytest.raises(InvalidEventError, match=match):
            call()
    assert event("x", at=part.time("t")).at == float("inf")  # refused when it is admitted


@pytest.mark.parametrize("keyed", [True, False])
def test_what_was_cut_short_is_completed_by_a_second_run(keyed: bool) -> None:
    lines = [{"content": f"event {n} " * 3000} | ({"key": f"k{n}"} if keyed else {})
             for n in range(12)]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with memory_opened() as memory:

        def full(done: int) -> None:
            raise StorageFullError("the disk is full; free some space")

        with pytest.raises(StorageFullError):
            load(memory, source(text), progress=full)
        before = len(memory)
        assert 0 < before < 12
        done = load(memory, source(text))
        assert len(memory) == (12 if keyed else before + 12)
        assert (done.events, done.known) == ((12 - before, before) if keyed else (12, 0))
