"""Grants: what a principal may do, against a plain reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import AccessError, InvalidClaimError
from holdfast.state.access import RIGHTS, Access, Grant

parts = st.sampled_from(("a", "b", "ab", "team", "agent"))
paths = st.lists(parts, max_size=3).map("/".join)
principals = st.lists(parts, min_size=1, max_size=2).map("/".join)
rights = st.sampled_from(RIGHTS)
grants = st.lists(st.builds(Grant, principals, rights, paths, st.booleans()), max_size=12)


def inside(scope: str, around: str) -> bool:
    """Whether a scope is another, or part of it: by whole names, one by one."""
    inner, outer = scope.split("/") if scope else [], around.split("/") if around else []
    return inner[: len(outer)] == outer


@given(grants, principals, rights, paths)
def test_the_last_word_on_each_grant_counts(
    given_: list[Grant], principal: str, right: str, scope: str
) -> None:
    access = Access()
    last: dict[tuple[str, str, str], bool] = {}
    for one in given_:
        access.apply(one)
        last[one.principal, one.right, one.scope] = one.given
    granted = any(
        given and (who, has) == (principal, right) and inside(scope, where)
        for (who, has, where), given in last.items()
    )
    at_home = right != "directive" and inside(scope, principal)
    assert access.may(principal, right, scope) == (granted or at_home)  # type: ignore[arg-type]
    assert {(g.principal, g.right, g.scope) for g in access.grants()} == {
        key for key, given in last.items() if given
    }


@given(grants, principals, paths)
def test_readable_scopes_are_all_that_may_be_read_and_none_lies_in_another(
    given_: list[Grant], principal: str, scope: str
) -> None:
    access = Access()
    for one in given_:
        access.apply(one)
    readable = access.readable(principal)
    assert access.may(principal, "read", scope) == any(inside(scope, one) for one in readable)
    assert not any(inside(a, b) for a in readable for b in readable if a != b)


@given(grants, grants)
def test_grants_to_one_give_nothing_to_another(mine: list[Grant], theirs: list[Grant]) -> None:
    with_them, without = Access(), Access()
    for one in mine:
        for access in (with_them, without):
            access.apply(Grant("me", one.right, one.scope, one.given))
    for one in theirs:
        with_them.apply(one)
    assert with_them.readable("me") == without.readable("me")


def test_nobody_is_at_home_nowhere() -> None:
    access = Access()
    for nobody in ("", "/"):
        assert access.readable(nobody) == ()
        assert not access.may(nobody, "read", "team")
        assert not access.may(nobody, "write", "")


def test_a_name_that_begins_alike_is_another_scope() -> None:
    access = Access()
    access.apply(Grant("agent/bo", "read", "team"))
    assert access.may("agent/bo", "read", "team/x")
    assert not access.may("agent/bo", "read", "teams")
    assert not access.may("agent/bo", "read", "agent/bob")
    assert not access.may("agent/bob", "read", "team")


def test_what_is_refused_is_named() -> None:
    access = Access()
    with pytest.raises(AccessError, match=r"'bo' may not write to scope 'team'; grant it 'write'"):
        access.require("bo", "write", "team")
    access.require("bo", "write", "bo/notes")
    with pytest.raises(AccessError, match="state instructions in"):
        access.require("bo", "directive", "bo")
    with pytest.raises(InvalidClaimError, match="no right 'own'"):
        access.check(Grant("bo", "own", "team"))  # type: ignore[arg-type]
    with pytest.raises(InvalidClaimError, match="principal"):
        access.check(Grant("", "read", "team"))


@given(grants)
def test_the_order_of_grants_to_different_ends_does_not_matter(given_: list[Grant]) -> None:
    last = {(one.principal, one.right, one.scope): one for one in given_}
    forth, back = Access(), Access()
    for one in last.values():
        forth.apply(one)
    for one in reversed(last.values()):
        back.apply(Grant.from_json(one.to_json()))
    assert forth.canonical() == back.canonical()
