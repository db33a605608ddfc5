"""What is known of predicates: whether a subject has one value or many, and which exclude which.

A predicate that is not listed has one value at a time: a later claim supersedes. Claims about a
predicate with many values stand beside each other, one slot for each value; within such a slot the
predicates of one family exclude each other, so that "dislikes coffee" retires "likes coffee".
"""

from __future__ import annotations

from typing import NamedTuple


class Predicate(NamedTuple):
    """How claims with one predicate relate."""

    many: bool = False
    family: str | None = None  # shared by predicates that exclude each other for one value


_ONE = Predicate()
_MANY = Predicate(many=True)
_OPINION = Predicate(many=True, family="opinion")
_RULE = Predicate(many=True, family="rule")

# By what they speak of, so that a new one finds its place.
_TASTES = "likes loves enjoys prefers dislikes hates avoids"
_RULES = "always never"
_BELONGING = "has owns has_pet bought got uses plays collects wears drives"
_PEOPLE = """
has_child sister brother son daughter cousin aunt uncle niece nephew friend colleague neighbour
roommate grandmother grandfather stepson stepdaughter godson goddaughter teacher sister_in_law
brother_in_law
"""
_KNOWLEDGE = (
    "speaks knows studies learning learned degree graduated_from interested_in reads watches"
)
_HEALTH = "allergic_to diet_or_condition diagnosed_with eats drinks takes"
_MEMBERSHIP = "member_of part_of goes_to"
_DOINGS = """
visited read watched attended joined completed finished received volunteered_at participated_in
submitted launched planted hosted baked repaired replaced signed_up_for enrolled_in registered_for
subscribed_to sold finished_reading finished_watching installed started has_been usually booked
"""
_MIND = "plans wants decided asks"
_CODE = "include decorated_with imports"

PREDICATES: dict[str, Predicate] = {
    **dict.fromkeys(_TASTES.split(), _OPINION),
    **dict.fromkeys(_RULES.split(), _RULE),
    **dict.fromkeys(
        " ".join(
            (_BELONGING, _PEOPLE, _KNOWLEDGE, _HEALTH, _MEMBERSHIP, _DOINGS, _MIND, _CODE)
        ).split(),
        _MANY,
    ),
}


def predicate(name: str) -> Predicate:
    """What is known of a predicate; one value and no family if it is not listed.

    Examples
    --------
    >>> predicate("likes").family == predicate("hates").family
    True
    >>> predicate("lives_in").many
    False
    """
    return PREDICATES.get(name, _ONE)
