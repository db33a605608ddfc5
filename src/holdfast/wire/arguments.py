"""JSON as the arguments of an operation: checked, and turned into the values that it takes."""

from __future__ import annotations

import contextlib
import inspect
import types
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from holdfast.api.base import Time
from holdfast.budget import parse_bytes
from holdfast.errors import ArgumentsError, BudgetError
from holdfast.operations import Operation
from holdfast.records import Context, Event, Item
from holdfast.state.records import Evidence
from holdfast.wire.plain import parse_time

NOT_ON_THE_WIRE = frozenset({"self", "previous", "progress", "out", "lines"})
"""Parameters that are objects of the process: contexts, callbacks, open files."""
SECRET = frozenset({("checkpoint", "key")})
"""Operation and parameter, where the value is a private key, which stays where it is."""
_OBJECTS = (datetime, Event, Context, Item, Evidence)  # there is a plainer way to say each of them
PAGE = "limit"
"""What servers add to an operation that iterates: at most so many, and ask again from there."""
_LARGEST_PAGE = 10_000
_LATEST = 253_402_300_800.0  # the year 10000
_LARGEST_BUDGET = 1 << 50  # a pebibyte
_SHOWN = 3  # wrong arguments that a message names
_NAME = 40  # characters of such a name
_INTEGER = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
_NUMBER = Annotated[float, Field(allow_inf_nan=False)]


def _budget(given: int | str) -> int | str:
    """A budget that no disk has is refused here; any other by the method."""
    with contextlib.suppress(BudgetError):
        if parse_bytes(given) > _LARGEST_BUDGET:
            raise ValueError(f"a budget is {_LARGEST_BUDGET} bytes at the most")
    return given


_BOUNDED: Mapping[str, Any] = {
    "budget": Annotated[int | str, AfterValidator(_budget)],
    "limit": Annotated[int, Field(ge=0, lt=1 << 63)],
    "fidelity": Annotated[float, Field(gt=0.0, le=1.0)],
}
"""Arguments that mean the same wherever they come up, and have a range."""


class Base64(BaseModel):
    """Content that is bytes, as `plain` writes it."""

    model_config = ConfigDict(extra="forbid")
    base64: str


def _time(given: Any) -> Any:
    """A time; a number may come as text, since in a query all is text."""
    if isinstance(given, str):
        with contextlib.suppress(ValueError):
            given = parse_time(given)
    if isinstance(given, (int, float)) and abs(given) > _LATEST:
        raise ValueError("a time lies between the years -10000 and 10000")
    return given  # what is no time at all is refused by the method, as from anybody


def _content(given: Any) -> Any:
    """The content of an event: text as it is, bytes from base 64."""
    return b64decode(given.base64, validate=True) if isinstance(given, Base64) else given


@cache
def model_of(operation: Operation) -> type[BaseModel]:
    """The arguments of an operation as a pydantic model, without what no program could send.

    Its JSON Schema is what servers publish.
    """
    hints = get_type_hints(operation.function)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(operation.function).parameters.items():
        if name in NOT_ON_THE_WIRE or (operation.name, name) in SECRET:
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        if isinstance(default, Enum):
            default = default.name.lower()
        accepted = _BOUNDED.get(name) or _accepted(hints[name])
        fields[name] = (accepted, Field(default, validate_default=False))
    if pages(operation):
        fields[PAGE] = (int, Field(1000, ge=1, le=_LARGEST_PAGE))
    return create_model(
        operation.name.title().replace("_", "") + "Arguments",
        __config__=ConfigDict(extra="forbid"),
        **fields,
    )


@cache
def pages(operation: Operation) -> bool:
    """Whether it iterates over as much as there is, so that a server gives it in pages."""
    return get_origin(get_type_hints(operation.function).get("return")) is Iterator


@cache
def streams(operation: Operation) -> bool:
    """Whether it cannot do without an object of the process."""
    known = inspect.signature(operation.function).parameters
    needed = {name for name, one in known.items() if one.default is one.empty} - {"self"}
    return bool(needed & NOT_ON_THE_WIRE)


def arguments(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to call the method with: only what was given, each as the method takes it.

    Raises
    ------
    ArgumentsError
        Naming what is wrong with which arguments.

    Examples
    --------
    >>> from holdfast.operations import BY_NAME
    >>> arguments(BY_NAME["recall"], {"query": "the key", "tokens": "400"})
    {'query': 'the key', 'tokens': 400}
    >>> arguments(BY_NAME["recall"], {"tokens": "many"})
    Traceback (most recent call last):
    holdfast.errors.ArgumentsError: recall cannot take its arguments: query: field required; \
tokens: input should be a valid integer, unable to parse string as an integer
    """
    if streams(operation):
        raise ArgumentsError(f"{operation.name} takes or gives a stream; it has a way of its own")
    try:
        filled = model_of(operation).model_validate(dict(given))
    except ValidationError as wrong:
        raise ArgumentsError(
            f"{operation.name} cannot take its arguments: {_told(wrong)}"
        ) from None
    except RecursionError:
        raise ArgumentsError(f"{operation.name} cannot take arguments so deeply nested") from None
    given_fields = filled.model_fields_set
    return {
        name: getattr(filled, name)
        for name in model_of(operation).model_fields
        if name in given_fields
    }


def _told(wrong: ValidationError) -> str:
    """What is wrong, without what was sent: messages name no content."""
    told: dict[str, str] = {}
    for one in wrong.errors(include_url=False, include_input=False, include_context=False):
        place = str(one["loc"][0])[:_NAME] if one["loc"] else "all of it"
        told.setdefault(place, one["msg"][:1].lower() + one["msg"][1:])
    shown = [f"{place}: {what}" for place, what in list(told.items())[:_SHOWN]]
    more = len(told) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _accepted(hint: Any) -> Any:
    """What may be sent for a parameter of this type."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        parts = [one for one in inner if one not in _OBJECTS]
        if bytes in parts:
            texts = [Base64 if one is bytes else one for one in parts]
            return Annotated[_union(texts), AfterValidator(_content)]
        union = _union([_accepted(one) for one in parts])
        # `diff` takes the name of a snapshot, too, in another order: there "2026" is a name.
        return Annotated[union, AfterValidator(_time)] if inner == get_args(Time) else union
    if origin in (Iterable, Sequence) or origin is list:
        return list[_accepted(inner[0])]  # type: ignore[misc]
    if origin is Mapping or origin is dict:
        return dict[str, Any]
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = {member.name.lower(): member for member in hint}
        return Annotated[Literal[tuple(members)], AfterValidator(members.__getitem__)]
    return {int: _INTEGER, float: _NUMBER}.get(hint, hint)


def _union(parts: Sequence[Any]) -> Any:
    return Union[tuple(parts)]  # noqa: UP007  # its parts are known only here
