"""Documents: compare and set, history, time, compaction, and what a replay makes of gaps."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import ConflictError, NotFoundError, PatchError
from holdfast.state.documents import Document, Documents, Edit
from holdfast.state.patch import apply_merge, apply_patch, clone, encode

small = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("xy"),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
bodies = {
    "put": small,
    "merge": small,
    "delete": st.none(),
    "patch": st.lists(
        st.builds(
            lambda op, path, value: {"op": op, "path": path, "value": value, "from": "/a"},
            st.sampled_from(["add", "remove", "replace", "copy", "test"]),
            st.sampled_from(["", "/a", "/b", "/a/b", "/0", "/-"]),
            small,
        ),
        max_size=2,
    ),
}


@st.composite
def journals(draw: st.DrawFn, most: int = 40) -> list[Edit]:
    """Edits in order; about as many as hold or break at random."""
    edits, time = [], 0.0
    for seq in range(1, draw(st.integers(0, most)) + 1):
        form = draw(st.sampled_from(["put", "merge", "merge", "patch", "delete"]))
        time += draw(st.sampled_from([0.0, 1.0, 1.0, -1.0]))
        edits.append(
            Edit(
                draw(st.sampled_from(["desk"] * 5 + ["shelf"])),
                draw(st.sampled_from(["lab"] * 5 + ["home"])),
                form,  # type: ignore[arg-type]
                draw(bodies[form]),
                draw(st.none() | st.integers(0, 3)),
                seq=seq,
                n=draw(st.integers(0, 2)),
                recorded_at=time,
                source=draw(st.sampled_from(["ann", "bob", "cy"])),
            )
        )
    return edits


def replay(edits: list[Edit]) -> Documents:
    documents = Documents()
    for edit in edits:
        documents.apply(edit)
    return documents


GONE = object()


def brute(edits: list[Edit]) -> list[tuple[Edit, float, Any]]:
    """Every version of one document by its definition: the edit, when it counts, the value."""
    value: Any = GONE
    versions: list[tuple[Edit, float, Any]] = []
    latest = float("-inf")
    for edit in edits:
        try:
            if edit.form == "put":
                value = clone(edit.body)
            elif edit.form == "merge":
                value = apply_merge({} if value is GONE else value, edit.body)
            elif value is GONE:
                continue
            else:
                value = GONE if edit.form == "delete" else apply_patch(value, edit.body)
        except PatchError:
            continue
        latest = max(latest, edit.recorded_at)
        versions.append((edit, latest, value))
    return versions


def of(edits: list[Edit], name: str, scope: str) -> list[Edit]:
    return [edit for edit in edits if (edit.name, edit.scope) == (name, scope)]


FEW = settings(max_examples=40)
PLACES = [(name, scope) for name in ("desk", "shelf") for scope in ("lab", "home")]


@FEW
@given(journals())
def test_every_version_and_every_time_equal_their_definition(edits: list[Edit]) -> None:
    documents = replay(edits)
    applied = 0
    for name, scope in PLACES:
        versions = brute(of(edits, name, scope))
        applied += len(versions)
        history = documents.history(name, scope)
        assert [d.version for d in history] == list(range(1, len(versions) + 1))
        for found, (edit, time, value) in zip(history, versions, strict=True):
            assert (found.seq, found.recorded_at, found.deleted) == (edit.seq, time, value is GONE)
            assert encode(found.value) == encode(None if value is GONE else value)
        for time in range(-5, 50):
            known = [value for _, at, value in versions if at <= time]
            found_then = documents.at(name, scope, time)
            if not known or known[-1] is GONE:
                assert found_then is None
            else:
                assert found_then is not None
                assert (found_then.version, encode(found_then.value)) == (
                    len(known),
                    encode(known[-1]),
                )
        assert documents.horizon(name, scope) is None
    assert documents.voided == len(edits) - applied


@FEW
@given(journals(), st.sampled_from(["ann", "bob", "cy"]))
def test_without_one_source_is_as_if_it_had_never_spoken(edits: list[Edit], gone: str) -> None:
    marked = replay([replace(edit, void=edit.source == gone) for edit in edits])
    fresh = replay([edit for edit in edits if edit.source != gone])
    assert marked.canonical() == fresh.canonical()
    assert marked.voided - fresh.voided == sum(edit.source == gone for edit in edits)
    for name, scope in PLACES:
        assert marked.history(name, scope) == fresh.history(name, scope)


@FEW
@given(journals(), st.data())
def test_compaction_changes_nothing_that_is_kept(edits: list[Edit], data: st.DataObject) -> None:
    documents, before = replay(edits), replay(edits)
    last = documents.version("desk", "lab")
    if not last:
        return
    journal = list(edits)
    first = 1
    for _ in range(data.draw(st.integers(1, 2))):
        keep = data.draw(st.integers(1, last))
        base = documents.compact("desk", "lab", keep)
        assert (base is None) == (keep <= first)
        first = max(first, keep)
        if base is not None:
            known = {"seq": base.seq, "n": base.n, "recorded_at": base.recorded_at}
            assert Edit.from_json(base.to_json(), source=base.source, **known) == base
            rest = [
                e
                for e in journal
                if (e.name, e.scope) != ("desk", "lab") or (e.seq, e.n) > (base.seq, base.n)
            ]
            journal = sorted([base, *rest], key=lambda e: (e.seq, e.n))
            dropped = brute(of(edits, "desk", "lab"))[:keep]
            assert {base.source, *base.others} == {edit.source for edit, _, _ in dropped}
    for folded in (documents, replay(journal)):
        assert folded.canonical() == before.canonical()
        kept = before.history("desk", "lab")[first - 1 :]
        assert folded.history("desk", "lab") == kept
        assert folded.horizon("desk", "lab") == (kept[0].recorded_at if first > 1 else None)
        for time in range(-5, 50):
            early = time < kept[0].recorded_at
            then = None if early else before.at("desk", "lab", time)
            assert folded.at("desk", "lab", time) == then


@FEW
@given(journals())
def test_check_says_what_apply_will_do(edits: list[Edit]) -> None:
    documents = Documents()
    for edit in edits:
        state = documents.canonical()
        version = documents.version(edit.name, edit.scope)
        try:
            documents.check(edit)
        except ConflictError:
            assert edit.expect not in (None, version)
            continue
        except PatchError:
            assert documents.apply(edit) is None
            assert documents.canonical() == state
            continue
        assert documents.canonical() == state
        made = documents.apply(edit)
        assert made is not None
        assert made.version == version + 1


@FEW
@given(journals())
def test_the_journal_keeps_it_all(edits: list[Edit]) -> None:
    for edit in edits:
        data = edit.to_json()
        assert list(data) == sorted(data)
        assert all(len(key) == 1 for key in data)
        known = {key: getattr(edit, key) for key in ("seq", "n", "recorded_at", "source", "void")}
        assert Edit.from_json(data, **known) == edit


@given(journals(20), st.integers(-9, 9))
def test_the_canonical_form_knows_no_seq_and_no_time(edits: list[Edit], shift: int) -> None:
    moved = [replace(e, seq=e.seq + 7, n=e.n + 1, recorded_at=e.recorded_at + shift) for e in edits]
    assert encode(replay(moved).canonical()) == encode(replay(edits).canonical())


def test_the_canonical_form_in_full() -> None:
    documents = replay(
        [
            Edit("desk", "lab", "put", {"lamp": "on"}),
            Edit("desk", "home", "put", None),
            Edit("bin", "lab", "put", 1),
            Edit("bin", "lab", "delete"),
        ]
    )
    assert documents.canonical() == [
        ["home", "desk", 1, None],
        ["lab", "bin", 2],
        ["lab", "desk", 1, {"lamp": "on"}],
    ]


def test_compare_and_set() -> None:
    documents = Documents()
    documents.check(Edit("desk", "lab", "put", 1, expect=0))
    documents.apply(Edit("desk", "lab", "put", 1, expect=0))
    with pytest.raises(ConflictError, match=r"expected at version 0 but is at 1; .* expect=1"):
        documents.check(Edit("desk", "lab", "put", 2, expect=0))
    with pytest.raises(ConflictError, match="expected at version 2 but is at 0"):
        documents.check(Edit("desk", "home", "put", 2, expect=2))
    documents.check(Edit("desk", "lab", "put", 2, expect=1))
    documents.apply(Edit("desk", "lab", "delete"))
    with pytest.raises(ConflictError, match="is at 2"):  # a document never has a version twice
        documents.check(Edit("desk", "lab", "put", 2, expect=0))
    assert documents.apply(Edit("desk", "lab", "put", 2, expect=9)) is not None  # a replay


def test_what_the_document_is_named_in_refusals() -> None:
    documents = replay([Edit("desk", "lab", "put", {"a": "secret"})])
    step = {"op": "test", "path": "/a", "value": "other"}
    with pytest.raises(PatchError) as caught:
        documents.check(Edit("desk", "lab", "patch", [step]))
    assert str(caught.value) == (
        "document 'desk' in scope 'lab' at version 1: operation 0 (test at '/a'): "
        "another value is there; read it again"
    )


@pytest.mark.parametrize("form", ["patch", "delete"])
def test_what_is_not_there_cannot_be_changed(form: Any) -> None:
    documents = Documents()
    with pytest.raises(PatchError, match=f"no document to {form}; put it first"):
        documents.check(Edit("desk", "lab", form, []))
    documents.apply(Edit("desk", "lab", "put", 1))
    documents.apply(Edit("desk", "lab", "delete"))
    with pytest.raises(PatchError, match=f"no document to {form}; put it first"):
        documents.check(Edit("desk", "lab", form, []))


def test_malformed_edits_are_refused() -> None:
    documents = Documents(max_bytes=50)
    for edit in (
        Edit("desk", "lab", "smash", 1),  # type: ignore[arg-type]
        Edit("desk", "lab", "put", float("nan")),
        Edit("desk", "lab", "put", "x" * 50),
        Edit("desk", "lab", "merge", {1: 2}),
        Edit("", "lab", "put", 1),
    ):
        with pytest.raises(PatchError, match=r"^document '(desk)?' in scope 'lab' at version 0: "):
            documents.check(edit)
        assert documents.apply(edit) is None
    assert documents.voided == 5
    assert documents.canonical() == []


def test_reading_what_is_not_there() -> None:
    documents = replay([Edit("desk", "lab", "put", 1), Edit("desk", "lab", "delete")])
    with pytest.raises(NotFoundError, match="does not exist"):
        documents.get("shelf", "lab")
    with pytest.raises(NotFoundError, match="is deleted at version 2"):
        documents.get("desk", "lab")
    with pytest.raises(NotFoundError, match="no version 3; it has 1 to 2"):
        documents.get("desk", "lab", 3)
    with pytest.raises(NotFoundError, match="no version 3"):
        documents.compact("desk", "lab", 3)
    with pytest.raises(NotFoundError):
        documents.compact("shelf", "lab", 1)
    assert documents.get("desk", "lab", 1).value == 1
    assert documents.history("shelf", "lab") == []
    assert documents.at("shelf", "lab", 0.0) is None
    assert documents.horizon("shelf", "lab") is None


def test_names_are_those_that_exist() -> None:
    documents = replay(
        [
            Edit("desk", "lab", "put", 1),
            Edit("bin", "lab", "put", None),
            Edit("shelf", "home", "put", 1),
            Edit("desk", "lab", "delete"),
        ]
    )
    assert documents.names("lab") == ["bin"]
    assert documents.names("home") == ["shelf"]


def test_the_difference_between_versions() -> None:
    documents = Documents()
    for lamp in ("on", "off"):
        documents.apply(Edit("desk", "lab", "put", {"lamp": lamp, "cup": "the blue one"}))
    forth = [{"op": "replace", "path": "/lamp", "value": "off"}]
    back = [{"op": "replace", "path": "/lamp", "value": "on"}]
    assert documents.diff("desk", "lab", 1, 2) == forth
    assert documents.diff("desk", "lab", 2, 1) == back
    assert documents.diff("desk", "lab", 2, 2) == []


def test_dropped_versions_say_so() -> None:
    edits = [Edit("desk", "lab", "put", n, seq=n, recorded_at=10.0 * n) for n in (1, 2, 3)]
    documents = replay(edits)
    base = documents.compact("desk", "lab", 2)
    assert base == Edit("desk", "lab", "put", 2, stands_for=2, others=(), seq=2, recorded_at=20.0)
    assert documents.horizon("desk", "lab") == 20.0
    assert documents.at("desk", "lab", 15.0) is None
    with pytest.raises(NotFoundError, match="no version 1; it has 2 to 3"):
        documents.get("desk", "lab", 1)
    assert documents.compact("desk", "lab", 1) is None


def test_a_patch_of_what_only_a_removed_source_had_put_is_voided() -> None:
    edits = [
        Edit("desk", "lab", "put", {"cup": 1}, source="ann"),
        Edit("desk", "lab", "merge", {"lamp": {"on": True}}, source="bob"),
        Edit("desk", "lab", "patch", [{"op": "remove", "path": "/lamp/on"}], source="ann"),
    ]
    assert replay(edits).get("desk", "lab").value == {"cup": 1, "lamp": {}}
    without = replay([e for e in edits if e.source != "bob"])
    assert without.voided == 1
    assert without.get("desk", "lab") == Document("desk", "lab", 1, {"cup": 1}, 0.0, 0)


def test_nothing_given_or_returned_is_shared() -> None:
    body: dict[str, Any] = {"cup": [1]}
    documents = Documents()
    made = documents.apply(Edit("desk", "lab", "put", body))
    assert made is not None
    for value in (body, made.value, documents.get("desk", "lab").value):
        value["cup"].append(2)
    documents.canonical()[0][3]["cup"].append(2)
    documents.history("desk", "lab")[0].value["cup"].append(2)
    documents.apply(Edit("desk", "lab", "merge", {"lamp": 1}))
    base = documents.compact("desk", "lab", 2)
    assert base is not None
    base.body["cup"].append(2)
    assert documents.get("desk", "lab").value == {"cup": [1], "lamp": 1}
    with pytest.raises(FrozenInstanceError):
        made.version = 7  # type: ignore[misc]


def test_few_values_are_kept() -> None:
    documents = replay([Edit("desk", "lab", "put", {"n": n}) for n in range(1000)])
    assert len(documents._lines["lab", "desk"].marks) <= 1000 / 16 + 1


def test_every_version_is_read_alike_wherever_the_dropped_ones_end() -> None:
    count = [Edit("desk", "lab", "put", {"n": [0]}, seq=1)]
    for seq in range(2, 41):
        step = {"op": "add", "path": "/n/-", "value": seq}
        count.append(Edit("desk", "lab", "patch", [step], seq=seq, recorded_at=float(seq)))
    whole = replay(count).history("desk", "lab")
    assert [document.value["n"][-1] for document in whole[1:]] == list(range(2, 41))
    for keep in range(1, 41):
        documents = replay(count)
        documents.compact("desk", "lab", (keep + 1) // 2)
        documents.compact("desk", "lab", keep)
        assert documents.history("desk", "lab") == whole[keep - 1 :]
