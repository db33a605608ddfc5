"""What a search of a LangGraph store looks at: filters over values, and the text of a value."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from langgraph.store.base import get_text_at_path

WHOLE = "$"
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le,
}  # fmt: skip


def matches(value: Any, wanted: Any) -> bool:
    """Whether a value is what a filter wants.

    An object with an operator for a key (``$eq``, ``$ne``, ``$gt``, ``$gte``, ``$lt``, ``$lte``) is
    a condition, any other one wants those members; a list wants as many items; the rest is
    compared. What is no number is neither over nor under one.

    Raises
    ------
    ValueError
        If there is no such operator, or it is asked to order by something that is no number.
    """
    if isinstance(wanted, Mapping):
        if any(key.startswith("$") for key in wanted):
            return all(_holds(value, name, bound) for name, bound in wanted.items())
        return isinstance(value, Mapping) and all(
            matches(value.get(key), part) for key, part in wanted.items()
        )
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(value, (list, tuple))
            and len(value) == len(wanted)
            and all(map(matches, value, wanted))
        )
    return bool(value == wanted)


def _holds(value: Any, name: str, bound: Any) -> bool:
    if name == "$eq":
        return bool(value == bound)
    if name == "$ne":
        return bool(value != bound)
    if name not in _ORDER:
        known = ", ".join(("$eq", "$ne", *_ORDER))
        raise ValueError(f"a filter has no operator {name!r}; use one of {known}")
    limit, number = _number(bound), _number(value)
    if limit is None:
        raise ValueError(
            f"filter operator {name} was given a {type(bound).__name__} that is no number; "
            "give it one"
        )
    return number is not None and _ORDER[name](number, limit)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def text_of(value: Mapping[str, Any], paths: Sequence[str]) -> str:
    """The text that a value is found by: what lies at each path, a line each.

    ``"$"`` is the whole value, each of its leaves under the name it has. Other paths are read as
    LangGraph reads them: ``"a.b"``, ``"items[*].text"``.
    """
    lines: list[str] = []
    for path in paths:
        lines += _leaves(dict(value)) if path == WHOLE else get_text_at_path(dict(value), path)
    return "\n".join(line for line in lines if line.strip())


def _leaves(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, key)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part, name)
    elif value is not None and value != "":
        yield f"{name}: {value}" if name else str(value)
