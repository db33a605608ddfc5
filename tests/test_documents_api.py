"""Documents through the API: all of them at once, and those that are recalled by their text."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Memory
from holdfast.errors import AccessError, BudgetError, ConflictError, NotFoundError
from holdfast.records import Scope
from holdfast.state.documents import Documents, Edit

from worlds import opened

PLACES = st.sampled_from(["", "a", "a/b", "ab", "A", "a\n", "%"])


@given(st.lists(st.tuples(PLACES, st.sampled_from("xy"), st.booleans()), max_size=12), PLACES)
def test_all_documents_are_those_of_each_scope(
    edits: list[tuple[str, str, bool]], scope: str
) -> None:
    documents = Documents()
    for n, (where, name, gone) in enumerate(edits):
        documents.apply(Edit(name, where, "delete" if gone else "put", n, seq=n))
    inside = sorted({where for where, _, _ in edits if Scope(scope).covers(where)})
    wanted = [documents.get(name, where) for where in inside for name in documents.names(where)]
    assert documents.within(scope) == wanted
    every = {(where, name) for where, name, gone in edits if documents.version(name, where)}
    found = documents.within(scope, deleted=True)
    assert [(one.scope, one.name) for one in found] == sorted(
        (where, name) for where, name in every if where in inside
    )
    assert [one for one in found if not one.deleted] == wanted


def test_all_documents_of_a_memory_and_of_a_seat() -> None:
    with opened() as memory:
        memory.put_document("desk", {"lamp": "on"}, scope="lab/one")
        memory.put_document("desk", 2, scope="laboratory")
        memory.delete_document("desk", scope="laboratory")
        found = memory.all_documents(scope="/lab/")
        assert [(one.scope, one.value) for one in found] == [("lab/one", {"lamp": "on"})]
        found[0].value["lamp"] = "off"
        assert memory.document("desk", scope="lab/one").value == {"lamp": "on"}
        assert [one.deleted for one in memory.all_documents(deleted=True)] == [False, True]
        bo = memory.seat("agent/bo")
        bo.put_document("desk", 3, scope="agent/bo/inner")
        assert [one.value for one in bo.all_documents()] == [3]
        with pytest.raises(AccessError):
            bo.all_documents(scope="")
        memory.grant("agent/bo", "read", "lab")
        assert len(bo.all_documents(scope="lab")) == 1


def test_a_document_is_recalled_by_its_text() -> None:
    with opened() as memory:
        made = memory.put_document("desk", {"lamp": "on"}, scope="lab", by="Ana", text="Lamp on.")
        event = memory.get(made.seq).event
        assert (event.content, event.kind, event.speaker, event.scope) == (
            "Lamp on.", "note", "Ana", "lab",
        )  # fmt: skip
        assert [item.seq for item in memory.recall("is the lamp on?").items] == [made.seq]
        assert memory.recall("is the lamp on?", scope="home").items == ()
        quiet = memory.put_document("shelf", {"lamp": "broken"}, scope="lab")
        assert quiet.seq not in [hit.seq for hit in memory.rank("broken shelf and lamp")]
        assert memory.verify().ok


def test_text_and_document_are_written_both_or_neither() -> None:
    with opened() as memory:
        made = memory.put_document("desk", 1, text="Lamp on.", key="k")
        with pytest.raises(ConflictError):
            memory.put_document("desk", 2, text="Lamp off.", expect=7)
        assert [record.text for record in memory.log()] == ["Lamp on."]
        assert memory.put_document("desk", 1, text="Lamp on.", key="k") == made
        memory.erase(event=made.seq)
        assert not memory.recall("lamp").items
        with pytest.raises(NotFoundError):
            memory.document("desk")


def test_a_seat_tells_in_its_own_name() -> None:
    with opened() as memory:
        bo = memory.seat("agent/bo")
        made = bo.put_document("desk", 1, text="Lamp on.")
        assert bo.get(made.seq).event.speaker == "agent/bo"
        memory.revoke("agent/bo")
        assert not memory.recall("lamp").items
        assert memory.all_documents() == []
        memory.reinstate("agent/bo")
        assert [one.value for one in memory.all_documents()] == [1]


def test_a_full_memory_takes_documents_again_once_others_are_deleted(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "full.holdfast", budget="1 MiB") as memory:
        made = 0
        with contextlib.suppress(BudgetError):
            for made in itertools.count():
                memory.put_document(f"d{made}", {"noise": os.urandom(3000).hex()})
        for n in range(made - 5):
            memory.delete_document(f"d{n}")
        for n in range(20):
            memory.put_document(f"new{n}", {"noise": os.urandom(8000).hex()})
        assert len(memory.documents()) == 25
        assert memory.verify().ok


def test_several_edits_are_one_change(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a.holdfast", budget="1 MiB") as memory:
        memory.put_document("a", 1, scope="lab")
        both = [Edit("b", "/lab/", "put", 2), Edit("a", "lab", "put", 3, expect=2)]
        with pytest.raises(ConflictError, match="expected at version 2 but is at 1"):
            memory.edit_documents(both)
        assert memory.documents(scope="lab") == ["a"]
        memory.edit_documents([both[0], Edit("a", "lab", "put", 3, expect=1)])
        found = memory.all_documents(scope="lab")
        assert [(one.name, one.value, one.version) for one in found] == [("a", 3, 2), ("b", 2, 1)]
        assert found[0].seq == found[1].seq
        memory.edit_documents([])
        assert len(memory) == 2
        bo = memory.seat("agent/bo")
        with pytest.raises(AccessError):
            bo.edit_documents([Edit("c", "agent/bo", "put", 1), Edit("a", "lab", "delete")])
        assert bo.documents() == []
        bo.edit_documents([Edit("c", "agent/bo", "put", 1)])
        assert bo.document("c").value == 1
