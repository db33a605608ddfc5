"""State is the fold of its journal: replayed, cut short, or without a source, it is what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import GATE, Journal, claims, journal, picture, tellings

from holdfast.errors import AccessError, ConflictError
from holdfast.state.aliases import Use
from holdfast.state.asked import Asked, Place, Revoke
from holdfast.state.automaton import Declare, Step
from holdfast.state.documents import Edit
from holdfast.state.fold import Draft, State
from holdfast.state.journal import decode, encode
from holdfast.state.query import Query
from holdfast.state.records import Claim, Trust
from holdfast.state.slots import slot_of


@given(tellings)
def test_a_replay_gives_the_same_state(several: list[Any]) -> None:
    made = journal(several)
    stored = [(entry.id, encode(entry)) for entry in made.entries]
    again = State(decode(id, data) for id, data in stored)
    assert picture(again) == picture(made.state)


@given(tellings, st.integers(0, 25))
def test_a_beginning_and_the_rest_are_the_whole(several: list[Any], cut: int) -> None:
    made = journal(several)
    halves = State(made.entries[:cut])
    halves.apply(made.entries[cut:])
    assert picture(halves) == picture(made.state)


@given(tellings)
def test_an_index_that_is_kept_up_answers_as_a_new_one(several: list[Any]) -> None:
    made = Journal()
    made.state.search("warm it up", Query(), 0.0)
    for one in several:
        made.tell(*one)
    fresh = State(made.entries)
    for text in ("where does Ana live", "the nest", "who likes Lisbon", "old haunt pot"):
        for at in (4.0, 30.0, 2000.0):
            now = [(h.belief.id, h.score) for h in made.state.search(text, Query(), at)]
            assert now == [(h.belief.id, h.score) for h in fresh.search(text, Query(), at)]
            past = fresh.search(text, Query(as_of=float(made.seq)), at)
            assert [(h.belief.id, h.score) for h in past] == now


@given(tellings, st.integers(0, 25))
def test_the_record_of_a_moment_is_the_state_of_that_moment(several: list[Any], cut: int) -> None:
    told = [one for one in several if not isinstance(one[0], Revoke)]
    made = journal(told)
    then = State(entry for entry in made.entries if entry.seq <= cut)
    query = Query(as_of=float(cut))
    assert list(made.state.beliefs(query)) == list(then.beliefs(Query()))
    assert list(made.state.beliefs(Query(before=cut + 1))) == list(then.beliefs(Query()))
    for text in ("where does Ana live", "the nest of Ana", "old haunt"):
        for at in (4.0, 2000.0):
            found = made.state.search(text, query, at)
            before = then.search(text, Query(), at)
            assert [(h.belief, h.score) for h in found] == [(h.belief, h.score) for h in before]


@given(tellings)
def test_a_revoked_source_has_never_spoken(several: list[Any]) -> None:
    told = [one for one in several if not isinstance(one[0], Revoke)]
    made = journal(told)
    whole = made.state.hash()
    without = made.state.without(lambda entry: entry.source == "bo")
    made.tell(Revoke("bo"))
    assert made.state.hash() == without.hash()
    assert not made.tell(Edit("desk", "", "put", {}), "bo")
    made.tell(Revoke("bo", revoked=False))
    assert made.state.hash() == whole


@given(tellings)
def test_drafts_lie_over_a_state_and_leave_it_alone(several: list[Any]) -> None:
    made = journal(several)
    before = picture(made.state)
    draft = Draft()
    for n, value in enumerate(("Oslo", "Bergen", "Oslo")):
        place = Place(1000 + n, 1000.0 + n, 1000.0 + n, "", b"said")
        made.state.stage(draft, Asked((Claim("Ana", "lives_in", value),), "ana", 3), place)
    assert picture(made.state) == before
    made.state.apply(draft.entries)
    assert picture(State([*made.entries, *draft.entries])) == picture(made.state)
    (held,) = [b for b in made.state.beliefs(Query(subject="ana", predicate="lives_in")) if
               b.scope == "" and b.holds(1e5) and b.valid_from < 1e5][-1:] or [None]  # fmt: skip
    ended = [e.retired for e in draft.entries]
    assert held is None or ended[2] == () or ended[2] == (draft.entries[1].what,)


dated = claims.map(lambda claim: replace(claim, scope=""))


@given(st.lists(dated, min_size=1, max_size=4), st.data())
@settings(max_examples=40)
def test_dated_claims_end_the_same_in_every_order(said: list[Claim], data: st.DataObject) -> None:
    """Each is said at a time of its own; what it says may have begun at any other."""
    n = len(said)
    starts = data.draw(st.permutations(range(n)))
    undated = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    given_ = [
        (
            replace(claim, valid_from=None if bare else float(start), valid_until=None),
            float(10 + at),
        )
        for at, (claim, start, bare) in enumerate(zip(said, starts, undated, strict=True))
    ]
    ends = set()
    for order in permutations(given_):
        state = State()
        for seq, (claim, at) in enumerate(order, 1):
            draft = Draft()
            asked = Asked((claim,), f"source {at}", Trust.USER)
            state.stage(draft, asked, Place(seq, at, 100.0 + seq, "", str(at).encode()))
            state.apply(draft.entries)
        content = state.canonical()
        for belief in content["beliefs"]:
            belief[10] = None  # the reason and confidence are those of whoever said it last
            belief[12] = None
        ends.add(json.dumps(content["beliefs"], sort_keys=True))
    assert len(ends) == 1


def test_what_may_not_be_done_leaves_the_draft_alone() -> None:
    made = Journal()
    made.tell(Edit("desk", "", "put", {"a": 1}))
    draft = Draft()
    with pytest.raises(ConflictError):
        made.state.stage(
            draft,
            Asked((Edit("desk", "", "put", {}, expect=7),), "ana", 2),
            Place(9, 9.0, 9.0, "", b"x"),
        )
    assert draft.entries == []
    made.tell(Revoke("ana"))
    with pytest.raises(AccessError, match="was revoked; reinstate it first"):
        made.state.stage(
            draft, Asked((Edit("desk", "", "put", {}),), "ana", 2), Place(9, 9.0, 9.0, "", b"x")
        )


def test_a_use_counts_for_what_is_held_and_not_for_what_is_disputed() -> None:
    made = Journal()
    made.tell(Claim("Ana", "lives_in", "Porto"))
    made.tell(Claim("Ana", "lives_in", "Moscow"), "web", 0)
    key = slot_of(Claim("Ana", "lives_in", ""), "").key
    made.tell(Use(key, "where is her flat", "", 0, 0, 0.0), "bo")
    assert made.entries[-1].what == "b1.0"


def test_what_was_learnt_does_not_hang_on_beliefs_that_are_gone() -> None:
    made = Journal()
    made.tell(Claim("Ana", "lives_in", "Porto"))
    key = slot_of(Claim("Ana", "lives_in", ""), "").key
    made.tell(Use(key, "her Porto flat", "", 0, 0, 0.0), "bo")
    made.tell(Claim("Ana", "lives_in", "Lisbon"))
    assert list(made.state.aliases.of(key)) == ["flat"], "a word of the belief is no news"
    made.state.drop([made.entries[0].id])
    kept = State(made.state.entries.values())
    assert picture(kept) == picture(made.state)
    assert list(kept.aliases.of(key)) == ["flat"]


@given(tellings, st.data())
def test_what_is_dropped_was_never_said(several: list[Any], data: st.DataObject) -> None:
    made = journal(several)
    loose = [entry.id for entry in made.entries if entry.op in ("claim", "use")]
    gone = data.draw(st.sets(st.sampled_from(loose))) if loose else set()
    made.state.search("warm", Query(), 0.0)
    made.state.drop(gone)
    left = State(entry for entry in made.entries if entry.id not in gone)
    assert picture(left) == picture(made.state)
    for text in ("where does Ana live", "the nest"):
        mine, fresh = (s.search(text, Query(), 50.0) for s in (made.state, left))
        assert [h.belief.id for h in mine] == [h.belief.id for h in fresh]


def test_versions_that_stand_for_others_replay_to_the_same() -> None:
    made = Journal()
    for n in range(40):
        made.tell(Edit("desk", "", "merge", {"n": n, f"k{n % 3}": n}), ("ana", "bo")[n % 2])
    made.tell(Declare(GATE, ""))
    for n in range(21):
        made.tell(Step("gate", "", ("push", "pull")[n % 2]), ("ana", "bo")[n % 2])
    digest = made.state.hash()
    found = list(made.state.compact_versions(1 << 20))
    assert [entry.op for entry, _ in found] == ["document", "declare"]
    made.state.replace(base for base, _ in found)
    assert made.state.hash() == digest
    assert [d.version for d in made.state.documents.history("desk", "")] == list(range(21, 41))
    gone = [id for _, ids in found for id in ids]
    for n in range(len(gone) + 1):  # wherever it is interrupted, in whatever order
        left = State(e for id, e in made.state.entries.items() if id not in set(gone[:n]))
        assert {**picture(left), "entries": 0} == {**picture(made.state), "entries": 0}
    made.state.drop(gone)
    assert picture(State(made.state.entries.values())) == picture(made.state)
    made.tell(Revoke("bo"))
    assert all("bo" not in one.sources for one in made.state.automata.history("gate", ""))
    assert made.state.documents.version("desk", "") < 40, "what bo did is still in there"


@given(tellings)
def test_compacting_versions_twice_changes_nothing_that_is_held(several: list[Any]) -> None:
    made = journal(several)
    before = picture(made.state)
    for _ in range(2):
        found = list(made.state.compact_versions(1 << 20))
        made.state.replace(base for base, _ in found)
        made.state.drop([id for _, ids in found for id in ids])
        assert made.state.hash() == before["hash"]
        again = State(made.state.entries.values())
        assert picture(again) == picture(made.state)
        for name, versions in picture(again)["documents"].items():
            assert (
                versions
                == before["documents"][name][len(before["documents"][name]) - len(versions) :]
            )


def test_a_slot_with_thousands_of_claims_is_read_in_linear_time() -> None:
    made = Journal()
    for n in range(3000):
        made.tell(Claim("stock", "count", str(n)))
    assert len(made.entries) == 3000
    (slot,) = (slot for slot, _ in made.state.statements())
    beliefs = made.state.of(slot)
    assert [b.value for b in beliefs if b.current] == ["2999"]
    assert [b.superseded_by for b in beliefs[:-1]] == [b.id for b in beliefs[1:]]
