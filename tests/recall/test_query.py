"""What a query asks for: a table of texts, and that any text at all can be parsed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.terms import terms
from holdfast.recall.query import Wants, asked_at, parse

from worlds import T0

DAY = 86_400.0
NOTHING, TIME, FIGURE, NAME = Wants.NOTHING, Wants.TIME, Wants.FIGURE, Wants.NAME
ADVICE, OWN, ADVISER, NOW = Wants.ADVICE, Wants.OWN, Wants.ADVISER, Wants.NOW


@pytest.mark.parametrize(
    ("text", "wants"),
    [
        ("kelp", NOTHING),
        ("", NOTHING),
        ("Did Ana plant kelp?", NOTHING),
        ("When did Ana move?", TIME),
        ("On which day did Ana move?", TIME | NAME),
        ("Whenever Ana moved", NOTHING),
        ("How long did Ana wait?", TIME | FIGURE),
        ("How many pots does Ana own?", FIGURE),
        ("What was the total? what price?", FIGURE),
        ("Somehow many pots broke", NOTHING),
        ("Who owns the boat?", NAME),
        ("WHERE is the boat?", NAME),
        ("What is the name of the boat?", NAME),
        ("Recommending a boat", ADVICE),
        ("Any tips for a dinner?", ADVICE),
        ("How should I cook?", ADVICE | OWN),
        ("What is my boat called?", OWN),
        ("What I’d cook", OWN),
        ("What did you suggest?", ADVISER | ADVICE),
        ("Find the list you already gave", ADVISER),
        ("Find your earlier answer", ADVISER),
        ("Find the list you’ve made", NOTHING),
        ("Find the list you’ve mentioned", ADVISER),
        ("Are the boats current?", NOW),
        ("the most recent boat", NOW),
        ("Do I still own the boat?", NOW | OWN),
        ("Should I ask my mother where you said it is now?", ADVICE | OWN | NAME | ADVISER | NOW),
    ],
)
def test_what_a_query_wants(text: str, wants: Wants) -> None:
    assert parse(text, T0).wants == wants
    assert parse(text.replace("’", "'"), T0).wants == wants


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        # questions
        ("When did Ana move?", True),
        ("I see. When did Ana move?", True),
        ("海藻はどこ？", True),
        ("أين القارب؟", True),
        # requests
        ("Tell me about the boat", True),
        ("Please  summarise everything that Ana said about the boat and the harbour", True),
        ("... remind me", True),
        # keywords
        ("kelp harbour Lisbon", True),
        ("kelp harbour Lisbon orchard violin copper", True),
        ("", True),
        ("?!", True),
        # messages
        ("kelp harbour Lisbon orchard violin copper anchor", False),
        ("Thanks, that worked.", False),
        ("Bo: I have the cable here", False),
        ("Kelp. Ana has it. Is that right?", False),
        ("Kelp, though?", True),
        ("Telling you everything there was to say about the boat", False),
    ],
)
def test_whether_a_text_asks_or_goes_on(text: str, asks: bool) -> None:
    assert parse(text, T0).asks is asks


chunks = st.sampled_from(["when", "who", "you", "my", "?", ".", "\n", "’s", "5", "last", "week"])


@given(st.text() | st.lists(chunks).map(" ".join), st.floats(0, 4e9))
def test_any_text_can_be_parsed(text: str, now: float) -> None:
    query = parse(text, now)
    assert query.text == text
    assert len(set(query.terms)) == len(query.terms)
    assert set(terms(text)) <= set(query.terms)
    assert all(span.start < span.end for span in query.moments)
    assert asked_at(query, now) == query


def test_terms_are_each_told_once_in_order() -> None:
    query = parse("Kelp, rock and more kelp: rocks!", T0)
    assert list(query.terms) == terms("kelp rock")
    assert query.words == {"kelp", "rock"}
    assert parse("who was it", T0).terms, "nothing but stop words keeps them"


def test_moments_are_those_of_the_time_it_is_asked() -> None:
    query = parse("What did we eat yesterday?", T0)
    assert [span.start // DAY for span in query.moments] == [T0 // DAY - 1]
    later = asked_at(query, T0 + 10 * DAY)
    assert [span.start // DAY for span in later.moments] == [T0 // DAY + 9]
    assert (later.terms, later.wants) == (query.terms, query.wants)
    plain = parse("What did we eat?", T0)
    assert plain.moments == ()
    assert asked_at(plain, 0.0) is plain
