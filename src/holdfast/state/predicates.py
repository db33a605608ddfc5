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

PREDICATES: dict[str, Predicate] = {
    **dict.fromkeys(
        ("likes", "loves", "enjoys", "prefers", "dislikes", "hates", "avoids"), _OPINION
    ),
    **dict.fromkeys(
        (
            "allergic_to", "speaks", "has", "owns", "has_pet", "has_child", "visited", "bought",
            "read", "watched", "plans", "wants", "knows", "plays", "studies", "member_of",
            "part_of", "decided", "learned", "asks",
        ),
        _MANY,
    ),
}  # fmt: skip


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
