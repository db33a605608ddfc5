"""The alias flywheel: a pure, bounded fold that no single principal can bend."""

from __future__ import annotations

import json
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.terms import terms
from holdfast.state.aliases import MOST_PHRASES, Aliases, Phrase, Use, from_json, to_json
from holdfast.state.slots import Slot
from holdfast.state.wording import asked_terms, phrases

PORT = Slot("", "staging database", "port").key
HOST = Slot("", "staging database", "host").key


def use(query: str, by: str = "ana", seq: int = 1, slot: str = PORT, helpful: bool = True) -> Use:
    return Use(slot, query, by, seq, 0, float(seq), helpful)


def learnt(*uses: Use, known: str = "") -> Aliases:
    aliases = Aliases()
    for one in uses:
        aliases.learn(one, known)
    return aliases


def test_phrases_are_runs_of_new_words() -> None:
    assert phrases("please tell me the number of the big green box", "the box is 12") == [
        "number", "big", "green", "big green",
    ]  # fmt: skip
    assert phrases("what is it and where?") == []
    assert phrases("Ana's flat, upstairs") == ["ana", "flat", "upstairs", "ana flat"]


def test_words_of_asking_depend_on_who_they_stand_beside() -> None:
    assert asked_terms("do you know where Ana lives") == terms("Ana lives")
    assert asked_terms("whom does Ana know") == terms("Ana knows")
    assert asked_terms("what does Ana like") == terms("Ana likes")
    assert asked_terms("I'd like the port") == terms("port")
    assert asked_terms("tell me") == terms("tell me")  # rather than nothing


def test_an_alias_seen_once_weighs_little_and_grows_with_independent_askers() -> None:
    aliases = Aliases()
    weights = [0.0]
    for n in range(6):
        aliases.learn(use("the sandbox", by=f"u{n}", seq=n))
        weights.append(aliases.of(PORT)["sandbox"])
    assert 0 < weights[1] < 0.4
    assert weights == sorted(weights)
    assert len(set(weights)) == len(weights)
    assert weights[-1] < 1


def test_one_principal_never_weighs_as_much_as_two() -> None:
    alone = learnt(*(use("the sandbox", seq=n) for n in range(100)))
    two = learnt(use("the sandbox", "ana"), use("the sandbox", "bo", 2))
    assert alone.of(PORT)["sandbox"] < two.of(PORT)["sandbox"]


def test_failures_lower_a_weight_and_one_principal_cannot_take_away_what_three_gave() -> None:
    told = [use("the sandbox", by, n) for n, by in enumerate(("ana", "bo", "cy"))]
    before = learnt(*told).of(PORT)["sandbox"]
    failed = [use("the sandbox", "eve", 10 + n, helpful=False) for n in range(100)]
    assert 0 < learnt(*told, *failed).of(PORT)["sandbox"] < before
    assert learnt(told[0], use("sandbox", "ana", 5, helpful=False)).of(PORT) == {}
    assert learnt(use("sandbox", helpful=False)).of(PORT) == {}


def test_a_phrase_that_is_used_for_many_subjects_loses_weight_within_its_scope_only() -> None:
    aliases = learnt(use("the sandbox"))
    before = aliases.of(PORT)["sandbox"]
    aliases.learn(use("the sandbox", slot=HOST))
    assert aliases.of(PORT)["sandbox"] == before  # the same subject
    aliases.learn(use("the sandbox", slot=Slot("user/jon", "cache", "port").key))
    assert aliases.of(PORT)["sandbox"] == before  # another scope
    other = Slot("", "cache", "port").key
    assert PORT in aliases.learn(use("the sandbox", slot=other))
    assert aliases.of(PORT)["sandbox"] < before
    assert PORT in aliases.forget(other)
    assert aliases.of(PORT)["sandbox"] == before


def test_what_a_phrase_stands_for_is_what_the_use_did_not_name() -> None:
    def stands(query: str, slot: str = PORT) -> str:
        (phrase,) = (p for p in learnt(use(query, slot=slot)).of(slot) if p == "sandbox")
        assert isinstance(phrase, Phrase)
        return phrase.stands

    assert stands("which port has the sandbox") == "subject"
    assert stands("sandbox of the staging database") == "attribute"
    assert stands("the sandbox") == "belief"
    likes = Slot("", "ana", "opinion", "coffee").key
    assert stands("opinion of ana on the sandbox", likes) == "belief"  # it may be the value
    mixed = learnt(use("which port has the sandbox"), use("the sandbox", seq=2))
    assert [(str(p), p.stands) for p in mixed.of(PORT) if isinstance(p, Phrase)] == [
        ("sandbox", "belief")
    ]


def test_a_slot_keeps_its_firmest_phrases() -> None:
    aliases = learnt(use("sandbox", "ana"), use("sandbox", "bo", 2))
    for n in range(40):
        aliases.learn(use(f"word{n}a word{n}b word{n}c", seq=10 + n))
        assert len(aliases.of(PORT)) <= MOST_PHRASES
    assert "sandbox" in aliases.of(PORT)
    assert "word39a" in aliases.of(PORT)


def test_forgetting_leaves_nothing() -> None:
    aliases = learnt(use("the sandbox"), use("the sandbox", slot=HOST))
    aliases.forget(PORT)
    assert aliases.of(PORT) == {}
    assert aliases.canonical() == learnt(use("the sandbox", slot=HOST)).canonical()
    aliases.forget(HOST)
    assert aliases.canonical() == Aliases().canonical()
    assert len(aliases) == 0
    assert aliases.forget(HOST) == ()


def test_a_use_survives_its_journal() -> None:
    one = use("wo ist „die Kiste“?", helpful=False)
    assert from_json(json.loads(json.dumps(to_json(one)))) == one
    assert all(len(key) == 1 for key in to_json(one))


_WORDS = ("box", "lamp", "port", "cache", "goose", "what", "the", "red")
_USES = st.lists(
    st.builds(
        Use,
        st.sampled_from((PORT, HOST, Slot("", "cache", "port").key, Slot("s", "x", "y").key)),
        st.lists(st.sampled_from(_WORDS), max_size=6).map(" ".join),
        st.sampled_from(("ana", "bo", "cy")),
        st.integers(1, 50),
        st.integers(0, 3),
        st.just(0.0),
        st.booleans(),
    ),
    max_size=30,
)


@given(_USES)
def test_the_same_uses_give_the_same_state_and_bounded_weights(uses: list[Use]) -> None:
    aliases, again = learnt(*uses), learnt(*uses)
    assert aliases.canonical() == again.canonical()
    for slot in {one.slot for one in uses}:
        weights = aliases.of(slot)
        assert weights == again.of(slot)
        assert len(weights) <= MOST_PHRASES
        assert all(0 < weight < 1 for weight in weights.values())


@given(_USES)
def test_learning_says_which_slots_weigh_otherwise(uses: list[Use]) -> None:
    aliases = Aliases()
    slots = {one.slot for one in uses}
    for one in uses:
        before = {slot: dict(aliases.of(slot)) for slot in slots}
        touched = aliases.learn(one)
        assert all(slot in touched or before[slot] == aliases.of(slot) for slot in slots)


def test_the_order_of_few_uses_does_not_matter() -> None:
    uses = [use("the sandbox", "ana", 1), use("grumpy box", "bo", 2), use("box", "cy", 3)]
    assert len({learnt(*order).canonical() for order in permutations(uses)}) == 1
