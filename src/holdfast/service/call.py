"""One operation for one caller: rights, arguments, the call. Every server goes through here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from itertools import islice
from typing import Any, get_args, get_type_hints

from holdfast.errors import AccessError, NotFoundError
from holdfast.memory import Memory
from holdfast.operations import BY_NAME, Operation
from holdfast.seat import Seat
from holdfast.service.callers import Caller
from holdfast.service.root import Memories
from holdfast.wire.arguments import PAGE, arguments, pages

Observer = Callable[[Operation, str, Mapping[str, Any]], AbstractContextManager[None]]
"""Told of an operation, the name of its memory and the arguments; the call happens inside what it
returns."""

_PAGE = 1000


def offered() -> tuple[Operation, ...]:
    """The operations that servers offer."""
    return tuple(one for one in BY_NAME.values() if one.effect != "local")


class Service:
    """The operations of a folder of memories, for callers with rights.

    Parameters
    ----------
    root
        Where the memories are.
    observers
        Each watches every call, for metrics and traces.

    Notes
    -----
    Thread-safe and synchronous. A caller without a principal is given the memory itself; one with
    a principal is given its seat there, so that what it sees is what that principal may see.

    Examples
    --------
    >>> import tempfile
    >>> from holdfast.service.callers import OWNER, Caller
    >>> from holdfast.service.root import Root
    >>> service = Service(Root(tempfile.mkdtemp()))
    >>> _ = service.make(OWNER, "ana", "1 MiB")
    >>> service.call(OWNER, "ana", "observe", {"content": "The key is under the pot."}).seq
    1
    >>> service.call(Caller("bo", "read", ("*",)), "ana", "observe", {"content": "No."})
    Traceback (most recent call last):
    holdfast.errors.AccessError: bo may only read here, and this needs 'write'
    >>> service.close()
    """

    def __init__(self, root: Memories, observers: Sequence[Observer] = ()) -> None:
        self.root = root
        self._observers = tuple(observers)

    def call(self, caller: Caller, memory: str, name: str, given: Mapping[str, Any]) -> Any:
        """Do one operation; the value that the method returns, of an iterator the first page.

        Raises
        ------
        NotFoundError
            If there is no such operation or no such memory that the caller may use.
        AccessError
            If the caller may use the memory, but not for this.
        ArgumentsError
            If the arguments are not those of the operation.
        HoldfastError
            Whatever the operation raises.
        """
        operation = self.operation(name)
        with (
            self.watched(operation, memory, given),
            self.enter(caller, memory, operation.effect) as at,
        ):
            method = bound(at, operation, caller)
            filled = arguments(operation, given)
            limit = filled.pop(PAGE, _PAGE) if pages(operation) else None
            result = method(**filled)
            return list(islice(result, limit)) if isinstance(result, Iterator) else result

    @contextmanager
    def watched(
        self, operation: Operation, memory: str, given: Mapping[str, Any]
    ) -> Iterator[None]:
        """Let the observers watch what happens in the block."""
        with ExitStack() as watching:
            for observer in self._observers:
                watching.enter_context(observer(operation, memory, given))
            yield

    def operation(self, name: str) -> Operation:
        """The operation of this name. Raises `NotFoundError` if no server offers one."""
        found = BY_NAME.get(name)
        if found is None or found.effect == "local":
            raise NotFoundError(f"there is no operation {name[:40]!r}; see the list of them")
        return found

    @contextmanager
    def enter(self, caller: Caller, memory: str, effect: str) -> Iterator[Memory | Seat]:
        """Give a memory as a caller may see it, for something of this effect."""
        self.admit(caller, memory, effect)
        with self.root.hold(memory) as found:
            yield found if caller.principal is None else found.seat(caller.principal)

    def admit(self, caller: Caller, memory: str, effect: str) -> None:
        """Refuse what a caller may not do.

        Raises
        ------
        NotFoundError
            If it may not use a memory of this name, whether there is one or not.
        AccessError
            If it may, but not for this.
        """
        if not caller.may_use(memory):
            self.root.path(memory)
            raise NotFoundError(f"there is no memory {memory} that {caller.name} may use")
        if not caller.allows(effect):
            raise AccessError(
                f"{caller.name} may only {caller.may} here, and this needs {effect!r}"
            )

    def names(self, caller: Caller) -> list[str]:
        """The memories that a caller may use."""
        return [name for name in self.root.names() if caller.may_use(name)]

    def make(self, caller: Caller, memory: str, budget: int | str) -> bool:
        """Make a memory, or give the one there is this budget; whether it is new."""
        self.admit(caller, memory, "govern")
        if caller.principal is not None:
            raise AccessError(f"{caller.name} has a seat; making memories needs a key without one")
        return self.root.make(memory, budget)

    def close(self) -> None:
        """Close every memory, once nobody uses it any more."""
        self.root.close()


def bound(at: Memory | Seat, operation: Operation, caller: Caller) -> Callable[..., Any]:
    """The method to call, of a memory or of a seat.

    Raises
    ------
    AccessError
        If a seat has no such method: it is about the whole of a memory.
    """
    method: Callable[..., Any] | None = getattr(at, operation.method, None)
    if method is None:
        raise AccessError(
            f"{caller.name} has a seat, and {operation.name} is about the whole memory; use a key "
            "without a principal"
        )
    if not isinstance(at, Seat):
        return method
    takes = _taken(getattr(Seat, operation.method))

    def seated(**given: Any) -> Any:
        if beyond := given.keys() - takes:
            raise AccessError(
                f"{caller.name} speaks as {caller.principal!r} only; leave out "
                f"{', '.join(sorted(beyond))}"
            )
        return method(**given)

    return seated


@cache
def _taken(method: Callable[..., Any]) -> frozenset[str]:
    """The names of all arguments of a method, those of its ``**options`` among them."""
    known = inspect.signature(method).parameters
    if "options" not in known:
        return frozenset(known)
    (options,) = get_args(get_type_hints(method, include_extras=True)["options"])
    return frozenset({*known, *options.__annotations__})
