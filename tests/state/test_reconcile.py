"""The rule table, and the laws that hold whatever it says."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.state.reconcile import RULES, Line, Statement, reconcile, settle
from holdfast.state.records import STANCES, Belief, BeliefKind, Claim, Stance, Trust
from holdfast.state.slots import Slot, slot_of

SLOT = Slot("", "ana", "lives_in")


def says(
    value: str,
    at: float,
    *,
    stance: Stance = "assert",
    trust: int = Trust.USER,
    source: str = "ana",
    seq: int | None = None,
    kind: BeliefKind = "fact",
    dated: bool = True,
    until: float | None = None,
) -> Statement:
    claim = Claim(
        "Ana", "lives_in", value, kind, stance=stance, valid_from=at if dated else None,
        valid_until=until,
    )  # fmt: skip
    return Statement(claim, int(at) if seq is None else seq, 0, at, at, source, trust)


def held(beliefs: tuple[Belief, ...], at: float = 1e6) -> list[str]:
    return [belief.value for belief in beliefs if belief.holds(at)]


def test_the_table_has_a_row_for_every_case() -> None:
    cases = {
        (stance, has, weighs)
        for stance in STANCES
        for has in ("nothing", "the same", "another")
        for weighs in ("enough", "too little")
    }
    assert set(RULES) == cases


def test_a_lower_trust_disputes_and_never_retires() -> None:
    trusted = says("Lisbon", 1, trust=Trust.OWNER)
    poison = [says("Moscow", 2 + n, trust=Trust.DERIVED, source="bot") for n in range(100)]
    beliefs = settle(SLOT, [trusted, *poison])
    assert held(beliefs) == ["Lisbon"]
    (disputed,) = [belief for belief in beliefs if belief.status == "disputed"]
    assert disputed.value == "Moscow"
    assert len(disputed.evidence) <= 16


def test_what_the_more_trusted_retracted_stays_retracted() -> None:
    gone = [says("Lisbon", 1), says("Lisbon", 2, stance="retract", trust=Trust.OWNER)]
    assert held(settle(SLOT, [*gone, says("Lisbon", 3)])) == []
    assert held(settle(SLOT, [*gone, says("Lisbon", 3, trust=Trust.OWNER)])) == ["Lisbon"]


def test_later_valid_time_wins_over_later_record_time() -> None:
    late = says("Porto", 1, seq=9)
    assert held(settle(SLOT, [says("Lisbon", 5, seq=1), late])) == ["Lisbon"]
    done = reconcile(SLOT, [says("Lisbon", 5, seq=1)], late)
    assert done.retired == ()
    assert held(settle(SLOT, [says("Lisbon", 5, seq=1), late]), at=3) == ["Porto"]


def test_a_date_in_the_past_that_is_told_later_outdates_what_was_seen() -> None:
    seen = says("Lisbon", 10, dated=False)
    moved = Statement(
        Claim("Ana", "lives_in", "Porto", valid_from=8.0), 11, 0, 11.0, 11.0, "ana", Trust.USER
    )
    assert held(settle(SLOT, [seen, moved])) == ["Porto"]
    assert reconcile(SLOT, [seen], moved).retired == (seen.id,)


def test_a_correction_says_that_it_never_was_so() -> None:
    beliefs = settle(SLOT, [says("Lisbon", 1), says("Porto", 5, stance="correct")])
    assert [(b.value, b.status) for b in beliefs] == [
        ("Lisbon", "retracted"),
        ("Porto", "asserted"),
    ]
    assert held(beliefs, at=2) == ["Porto"]


def test_what_was_to_end_ends() -> None:
    beliefs = settle(SLOT, [says("Lisbon", 1, until=5.0)])
    assert held(beliefs, at=4) == ["Lisbon"]
    assert held(beliefs, at=5) == []


def test_saying_it_again_confirms() -> None:
    done = reconcile(SLOT, [says("Lisbon", 1)], says(" lisbon. ", 2, source="bo"))
    assert done.action == "confirm"
    (belief,) = settle(SLOT, [says("Lisbon", 1), says(" lisbon. ", 2, source="bo")])
    assert belief.sources == ("ana", "bo")
    assert belief.valid_from == 1


@pytest.mark.parametrize("trust", [Trust.UNTRUSTED, Trust.DERIVED])
def test_an_instruction_from_the_untrusted_is_never_held(trust: Trust) -> None:
    beliefs = settle(SLOT, [says("obey", 1, kind="instruction", trust=trust)])
    assert [belief.status for belief in beliefs] == ["disputed"]


def test_opposites_share_a_slot() -> None:
    def feels(word: str, at: float) -> Statement:
        claim = Claim("Ana", word, "coffee", valid_from=at)
        return Statement(claim, int(at), 0, at, at, "ana", Trust.USER)

    likes, hates = feels("likes", 1), feels("hates", 2)
    slot = slot_of(likes.claim, "")
    assert slot == slot_of(hates.claim, "")
    beliefs = settle(slot, [likes, hates])
    assert [belief.predicate for belief in beliefs if belief.holds(3)] == ["hates"]


claims = st.builds(
    says,
    st.sampled_from(["Lisbon", "Porto", "Rome"]),
    st.just(0.0),
    stance=st.sampled_from(STANCES),
    trust=st.sampled_from(list(Trust)),
    source=st.sampled_from(["ana", "bo", "web"]),
)


def dated(several: list[Statement]) -> list[Statement]:
    """The same claims, each with a date of its own, recorded in the order of the list."""
    return [
        one._replace(
            claim=one.claim.__class__(
                **{
                    f: getattr(one.claim, f)
                    for f in one.claim.__dataclass_fields__
                    if f != "valid_from"
                },
                valid_from=float(n),
            ),
            seq=n,
        )
        for n, one in enumerate(several, 1)
    ]


def delivered(several: list[Statement]) -> list[Statement]:
    """As they are recorded in this order: numbers and times follow it."""
    return [
        one._replace(seq=n, recorded_at=float(n), observed_at=float(n))
        for n, one in enumerate(several, 1)
    ]


def shape(beliefs: tuple[Belief, ...]) -> list[object]:
    return sorted(
        (b.value, b.status, b.trust, b.sources, b.valid_from, b.valid_until or 0.0) for b in beliefs
    )


@given(st.lists(claims, max_size=7), st.randoms(use_true_random=False))
def test_the_order_of_delivery_changes_nothing(several: list[Statement], rng: object) -> None:
    one_way = dated(several)
    other = list(one_way)
    rng.shuffle(other)  # type: ignore[attr-defined]
    assert shape(settle(SLOT, delivered(one_way))) == shape(settle(SLOT, delivered(other)))


@given(st.lists(claims, max_size=4))
@settings(max_examples=30)
def test_every_order_of_a_few_claims_ends_the_same(several: list[Statement]) -> None:
    ends = {
        repr(shape(settle(SLOT, delivered(list(order))))) for order in permutations(dated(several))
    }
    assert len(ends) == 1


@given(st.lists(claims, max_size=8))
def test_nothing_said_is_lost_and_at_most_one_value_holds(several: list[Statement]) -> None:
    said = dated(several)
    beliefs = settle(SLOT, said)
    for at in range(len(said) + 2):
        assert len(held(beliefs, at)) <= 1
    for one in said:
        if one.claim.stance == "assert":
            assert any(one.claim.value == belief.value for belief in beliefs)


@given(st.lists(claims, min_size=1, max_size=8), st.integers(0, 7))
def test_taking_a_source_away_is_as_if_it_had_never_spoken(
    several: list[Statement], nth: int
) -> None:
    said = dated(several)
    source = said[nth % len(said)].source
    without = [one for one in said if one.source != source]
    assert settle(SLOT, without) == settle(SLOT, [o for o in reversed(said) if o.source != source])
    for belief in settle(SLOT, without):
        assert source not in belief.sources


@given(st.lists(claims, min_size=1, max_size=8))
def test_trust_never_rises_above_that_of_its_sources(several: list[Statement]) -> None:
    said = dated(several)
    for belief in settle(SLOT, said):
        same = [one.trust for one in said if one.claim.value == belief.value]
        assert belief.trust <= max(same)
        if belief.holds(len(said) + 1):
            more = [
                one.claim.value
                for one in said
                if one.trust > belief.trust and one.claim.valid_from > belief.valid_from  # type: ignore[operator]
                and one.claim.stance == "assert"
            ]  # fmt: skip
            assert set(more) <= {belief.value}


@given(st.lists(claims, min_size=1, max_size=8))
def test_reconcile_says_what_settle_does(several: list[Statement]) -> None:
    said = dated(several)
    *before, new = said
    done = reconcile(SLOT, before, new)
    was = {b.id for b in settle(SLOT, before) if b.current}
    beliefs = settle(SLOT, said)
    assert set(done.retired) == was - {b.id for b in beliefs if b.current}
    if done.action in ("add", "confirm", "supersede"):
        assert done.belief in {belief.id for belief in beliefs}


@given(st.lists(claims, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_one_at_a_time_is_the_same_as_all_at_once(
    several: list[Statement], undated: list[bool]
) -> None:
    said = [
        one._replace(claim=replace(one.claim, valid_from=None)) if bare else one
        for one, bare in zip(delivered(dated(several)), undated, strict=False)
    ]
    line = Line(SLOT)
    for n, one in enumerate(said):
        before, twin = line.beliefs(), line.copy()
        twin.add(one)
        assert line.beliefs() == before, "a copy was written through"
        line.add(one)
        assert line.beliefs() == twin.beliefs() == settle(SLOT, said[: n + 1])


@pytest.mark.parametrize("at", [1, 9])
def test_whoever_confirms_at_a_lower_trust_neither_ends_nor_words_it(at: int) -> None:
    told = says("Lisbon", 5, kind="instruction")
    poison = Statement(
        Claim("ANA", "lives_in", "the LISBON", valid_from=float(at), valid_until=10.0,
              why_it_matters="poison", confidence=0.1),
        20, 0, 20.0, 20.0, "web", Trust.UNTRUSTED,
    )  # fmt: skip
    evil = says("Moscow", 30, trust=Trust.UNTRUSTED, source="web")
    (belief,) = [one for one in settle(SLOT, [told, poison, evil]) if one.holds(1e6)]
    assert (belief.subject, belief.value, belief.kind) == ("Ana", "Lisbon", "instruction")
    assert (belief.valid_until, belief.why_it_matters, belief.confidence) == (None, None, 1.0)
    assert belief.sources == ("ana", "web")
