"""Who may call what: every operation, at every level, for the owner and for a seat."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic", reason="the server needs the extra 'server'")

from holdfast.errors import (
    AccessError,
    ArgumentsError,
    CredentialError,
    HoldfastError,
    NotFoundError,
)  # fmt: skip
from holdfast.operations import OPERATIONS, Operation
from holdfast.seat import Seat
from holdfast.service.call import Service, offered
from holdfast.service.callers import LEVELS, OWNER, Caller
from holdfast.service.root import Root

from fullworld import CALLS, copy_to, options

ARGUMENTS = dict(reversed(CALLS))
CALLABLE = [one for one in offered() if one.name in ARGUMENTS]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("root")
    copy_to(folder)
    copy_to(folder, "other")
    made = Service(Root(folder, options=options()))
    yield made
    made.close()


def outcome(service: Service, caller: Caller, memory: str, operation: Operation) -> str:
    """What comes of a call: done, the class of what refuses it, or that the engine did."""
    try:
        service.call(caller, memory, operation.name, ARGUMENTS[operation.name])
    except (AccessError, NotFoundError, CredentialError, ArgumentsError) as wrong:
        return f"{type(wrong).__name__}: {wrong}"
    except HoldfastError:
        return "engine"
    return "done"


def test_what_is_local_is_offered_to_nobody(service: Service) -> None:
    local = [one for one in OPERATIONS if one.effect == "local"]
    assert len(local) >= 7
    for operation in local:
        with pytest.raises(NotFoundError, match="no operation"):
            service.call(OWNER, "ana", operation.name, {})
    with pytest.raises(NotFoundError):
        service.call(OWNER, "ana", "__init__", {})


@pytest.mark.parametrize("may", LEVELS)
@pytest.mark.parametrize("operation", CALLABLE, ids=lambda one: one.name)
def test_rights_are_as_the_level_says(service: Service, operation: Operation, may: Any) -> None:
    allowed = LEVELS.index(may) >= LEVELS.index(operation.effect)  # type: ignore[arg-type]
    owner = Caller("key 1", may, ("ana",))
    said = outcome(service, owner, "ana", operation)
    assert said.startswith("AccessError: key 1 may only") is not allowed, said

    seated = Caller("key 2", may, ("ana",), "agent/bo")
    said = outcome(service, seated, "ana", operation)
    assert said.startswith("AccessError: key 2 may only") is not allowed, said
    if allowed and not hasattr(Seat, operation.method):
        assert said.startswith("AccessError: key 2 has a seat"), said

    said = outcome(service, owner, "other", operation)
    assert said == "NotFoundError: there is no memory other that key 1 may use"
    same = outcome(service, owner, "nowhere", operation)
    assert same == said.replace("other", "nowhere")  # that it is there is not told


def test_govern_is_never_for_a_seat() -> None:
    for operation in offered():
        if operation.effect == "govern":
            assert not hasattr(Seat, operation.method), operation.name


def test_a_seat_cannot_speak_for_another(service: Service) -> None:
    bo = Caller("key", "write", ("ana",), "agent/bo")
    for name in ("by", "speaker"):
        for operation in CALLABLE:
            if operation.effect != "write" or not hasattr(Seat, operation.method):
                continue
            if name not in inspect.signature(operation.function).parameters:
                continue
            given = {**ARGUMENTS[operation.name], name: "Ana"}
            with pytest.raises(AccessError, match=f"speaks as 'agent/bo' only; leave out .*{name}"):
                service.call(bo, "ana", operation.name, given)


def test_what_a_seat_sees_is_what_its_principal_may_read(service: Service) -> None:
    bo = Caller("key", "read", ("ana",), "agent/bo")
    seen = service.call(bo, "ana", "log", {})
    assert {one.event.scope.split("/")[0] for one in seen} <= {"agent", "team"}
    found = service.call(bo, "ana", "recall", {"query": "where is the spare key?"})
    assert "blue pot" not in found.text


def test_a_page_is_as_long_as_asked_and_a_thousand_at_most_unasked(service: Service) -> None:
    whole = service.call(OWNER, "ana", "log", {"limit": 10_000})
    assert len(whole) > 100
    first = service.call(OWNER, "ana", "log", {"limit": 5})
    again = service.call(OWNER, "ana", "log", {"after": first[-1].seq, "limit": 5})
    assert [*first, *again] == whole[:10]


def test_observers_see_every_call_and_how_it_ended(tmp_path: Path) -> None:
    seen: list[tuple[str, ...]] = []

    @contextmanager
    def observer(operation: Operation, memory: str, given: Mapping[str, Any]) -> Iterator[None]:
        try:
            yield
        except HoldfastError as failure:
            seen.append((operation.name, memory, type(failure).__name__))
            raise
        seen.append((operation.name, memory, "done"))

    copy_to(tmp_path)
    service = Service(Root(tmp_path, options=options()), [observer])
    service.call(OWNER, "ana", "get", {"seq": 1})
    for caller, memory, name, given in (
        (OWNER, "ana", "get", {"seq": 0}),
        (OWNER, "ana", "get", {}),
        (Caller("x", "read", ("*",)), "ana", "erase", {}),
        (OWNER, "../ana", "get", {"seq": 1}),
    ):
        with pytest.raises(HoldfastError):
            service.call(caller, memory, name, given)
    service.close()
    assert seen == [
        ("get", "ana", "done"),
        ("get", "ana", "NotFoundError"),
        ("get", "ana", "ArgumentsError"),
        ("erase", "ana", "AccessError"),
        ("get", "../ana", "ArgumentsError"),
    ]


def test_only_the_owner_at_the_highest_level_makes_memories(tmp_path: Path) -> None:
    service = Service(Root(tmp_path))
    assert service.make(OWNER, "new", "1 MiB") is True
    assert service.make(OWNER, "new", "2 MiB") is False
    assert service.call(OWNER, "new", "usage", {}).budget == 2 << 20
    for caller, kind in (
        (Caller("x", "write", ("*",)), AccessError),
        (Caller("x", "govern", ("*",), "agent/bo"), AccessError),
        (Caller("x", "govern", ("a*",)), NotFoundError),
    ):
        with pytest.raises(kind):
            service.make(caller, "more", "1 MiB")
    assert service.names(OWNER) == ["new"]
    assert service.names(Caller("x", "govern", ("n?w", "a"))) == ["new"]
    assert service.names(Caller("x", "govern", ("a",))) == []
    service.close()


@pytest.mark.parametrize(
    ("memories", "only"), [(("ana",), "ana"), (("a*",), None), (("a", "b"), None), ((), None),
                           (("[a]",), None), (("?",), None)],
)  # fmt: skip
def test_a_caller_of_one_memory_need_not_name_it(memories: tuple[str, ...], only: str) -> None:
    caller = Caller("x", "read", memories)
    if only:
        assert caller.only_memory() == only
    else:
        with pytest.raises(AccessError):
            caller.only_memory()
