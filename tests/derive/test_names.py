"""Named things and numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.names import names, numbers

anything = st.text(st.characters(codec=None), max_size=200)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yesterday I met Ana Souza at Blue Bottle.", ["Ana Souza", "Blue Bottle"]),
        ("Painting is fun. We paint on Sundays with Mel.", ["Sundays", "Mel"]),
        ("Hey Caroline! Thanks, Mel.", ["Caroline", "Mel"]),
        ("Lisbon is hot. I love Lisbon.", ["Lisbon"]),
        ("New York never sleeps", ["New York"]),
        ("we run PostgreSQL on NASA hardware", ["PostgreSQL", "NASA"]),
        ("GPT-4 answered", ["GPT-4"]),
        ("the University of Cape Town", ["University of Cape Town"]),
        ("ask @kai_dev, not me@home.org", ["@kai_dev"]),
        ("she read “the long way” twice", ["the long way"]),
        ('he said "fine by me" and left', ["fine by me"]),
        ("Ana's dog barks at Ana", ["Ana"]),
        ("i have nothing to name", []),
        ("so Émile met Zoë", ["Émile", "Zoë"]),
    ],
)
def test_names(text: str, expected: list[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It cost $1,200 in 2019.", ["$1,200", "2019"]),
        ("3 miles at 7:30, 15%", ["3 miles", "7:30", "15%"]),
        ("2023-05-07 and 3.5 kg", ["2023-05-07", "3.5 kg"]),
        ("the 5th of 5", ["5th", "5"]),
        ("mp3 and v2.1", []),
        ("2 and 2", ["2"]),
    ],
)
def test_numbers(text: str, expected: list[str]) -> None:
    assert numbers(text) == expected


@given(anything)
def test_found_as_written_and_once(text: str) -> None:
    for found in (names(text), numbers(text)):
        assert len(found) == len(set(found))
        assert all(part and part in text for part in found)
