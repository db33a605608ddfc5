"""Where an adapter's names lie in a memory: labels as parts of scope paths."""

from __future__ import annotations

from holdfast.memory import Memory
from holdfast.seat import Seat

_EMPTY = "%"  # no other label is written so: in them, two digits follow


def home(memory: Memory | Seat, scope: str | None) -> str:
    """The scope that an adapter works in: the one given, else all of a memory, a seat's own."""
    if scope is None:
        return memory.principal if isinstance(memory, Seat) else ""
    return scope.strip("/")


def join(scope: str, *labels: str) -> str:
    """The scope of some labels inside another; `split` is the inverse.

    Examples
    --------
    >>> join("team", "users", "a/b", "100%")
    'team/users/a%2Fb/100%25'
    """
    return "/".join(([scope] if scope else []) + [_write(label) for label in labels])


def split(scope: str, inside: str) -> tuple[str, ...]:
    """The labels that lead from a scope to one `inside` it.

    Examples
    --------
    >>> split("team", "team/users/a%2Fb/100%25")
    ('users', 'a/b', '100%')
    >>> split("team", "team")
    ()
    """
    rest = inside.removeprefix(scope).removeprefix("/")
    return tuple(_read(label) for label in rest.split("/")) if rest else ()


def _write(label: str) -> str:
    return label.replace("%", "%25").replace("/", "%2F") or _EMPTY


def _read(label: str) -> str:
    return "" if label == _EMPTY else label.replace("%2F", "/").replace("%25", "%")
