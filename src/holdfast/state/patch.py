"""Changing JSON values: JSON Patch, JSON Merge Patch, and the patch between two values.

Pure: the value given is never changed, the one returned shares nothing with it, and a patch that
fails anywhere changes nothing. A `PatchError` names an operation's place and pointer, never what
is stored there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from holdfast.errors import PatchError

Json: TypeAlias = Any
"""None, a bool, an int, a finite float, a str, a list of such, or a dict from str to such."""

MAX_DEPTH = 64  # levels of lists and dicts
MAX_BYTES = 1 << 20  # of a value as `encode` writes it
_MAX_INT_BITS = 1024  # as far as a float reaches

_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}")
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")


def encode(value: Json) -> str:
    """Return the shortest JSON text of `value`, keys sorted: equal texts, equal values.

    >>> encode({"b": [1, 1.0], "a": "é"})
    '{"a":"é","b":[1,1.0]}'
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def clone(value: Json) -> Json:
    """Return `value` with new lists and dicts all the way down."""
    if isinstance(value, dict):
        return {key: clone(member) for key, member in value.items()}
    return [clone(item) for item in value] if isinstance(value, list) else value


def check_json(value: Json, what: str = "the value", max_bytes: int = MAX_BYTES) -> int:
    """Return the bytes of `value` as `encode` writes it, or refuse it; `what` is its name.

    Raises
    ------
    PatchError
        If it holds anything but JSON (subclasses of its types too: they would come back as
        another type), NaN or an infinity, an integer of over 1024 bits, half a surrogate pair,
        over `MAX_DEPTH` levels (as cycles do) or over `max_bytes` bytes.

    Notes
    -----
    O(size); stops after `max_bytes` values.

    Examples
    --------
    >>> check_json({"door": "open"})
    15
    >>> check_json([float("nan")])
    Traceback (most recent call last):
    holdfast.errors.PatchError: the value holds a number that is not finite; use null instead
    """
    left = max_bytes

    def walk(value: Json, depth: int) -> None:
        nonlocal left
        left -= 1  # whatever it is, its text has a byte
        if depth > MAX_DEPTH or left < 0:
            limit = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{max_bytes} bytes"
            raise PatchError(f"{what} has over {limit}; store less, or split it")
        kind = type(value)
        if kind is dict:
            if wrong := next((type(key) for key in value if type(key) is not str), None):
                raise PatchError(f"{what} has a key that is a {wrong.__name__}; use a str")
            value = value.values()
        if kind in (dict, list):
            for item in value:
                walk(item, depth + 1)
        elif kind is float and not math.isfinite(value):
            raise PatchError(f"{what} holds a number that is not finite; use null instead")
        elif kind is int and value.bit_length() > _MAX_INT_BITS:
            raise PatchError(f"{what} holds an integer of over {_MAX_INT_BITS} bits; use a str")
        elif value is not None and kind not in (bool, int, float, str):
            raise PatchError(f"{what} holds a {kind.__name__}, which is not JSON; convert it")

    walk(value, 0)
    try:
        size = len(encode(value).encode())
    except UnicodeEncodeError:
        raise PatchError(f"{what} holds text with half a surrogate pair; repair it") from None
    if size > max_bytes:
        raise PatchError(f"{what} has {size} bytes, over {max_bytes}; store less, or split it")
    return size


def apply_patch(document: Json, operations: Json, *, max_bytes: int = MAX_BYTES) -> Json:
    """Return `document` as changed by the operations of a JSON Patch, all of them or none.

    Parameters
    ----------
    document
        The JSON value to start from; left as it is.
    operations
        A list of ``{"op": ..., "path": ...}`` with "value" (add, replace, test) or "from" (move,
        copy). Other members are ignored, as the RFC asks.
    max_bytes
        Limit of `document`, of `operations`, of the result and of all copies it makes together.

    Raises
    ------
    PatchError
        If anything is not JSON, too large or too deep, an operation is malformed, its place is
        missing, its test fails, or it moves a value into itself.

    Notes
    -----
    O(size of both), and for each operation its depth and, in a list, the items after it. Differs
    from RFC 6902: the whole document cannot be removed, for nothing would be left to patch.

    Examples
    --------
    >>> apply_patch({"door": "shut"}, [{"op": "add", "path": "/lamp", "value": True}])
    {'door': 'shut', 'lamp': True}
    >>> apply_patch({"door": "shut"}, [{"op": "remove", "path": "/lamp"}])
    Traceback (most recent call last):
    holdfast.errors.PatchError: operation 0 (remove at '/lamp'): nothing is there; read it again

    References
    ----------
    RFC 6902, JavaScript Object Notation (JSON) Patch; RFC 6901, JSON Pointer
    """
    check_json(document, "the document", max_bytes)
    check_json(operations, "the patch", max_bytes)
    if not isinstance(operations, list):
        raise PatchError("a patch is a list of operations; put a single one in a list")
    top, left = {"": clone(document)}, max_bytes
    for place, operation in enumerate(operations):
        if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
            raise PatchError(f'operation {place} has no "op" of {", ".join(_OPERATIONS)}; name one')
        try:
            left -= _run(top, operation, left)
        except PatchError as error:
            path = operation.get("path")
            at = ascii(path)[:80] if isinstance(path, str) else "no path"
            raise PatchError(f"operation {place} ({operation['op']} at {at}): {error}") from None
    check_json(top[""], "the patched document", max_bytes)
    return top[""]


def apply_merge(document: Json, patch: Json, *, max_bytes: int = MAX_BYTES) -> Json:
    """Return `document` as changed by a JSON Merge Patch: null removes, the rest replaces.

    Raises
    ------
    PatchError
        If either, or the result, is not JSON or is too large or deep.

    Notes
    -----
    O(size of both). A merge patch cannot store a null in an object, nor change part of a list.

    Examples
    --------
    >>> apply_merge({"door": "shut", "lamp": True}, {"door": "open", "lamp": None})
    {'door': 'open'}

    References
    ----------
    RFC 7396, JSON Merge Patch
    """
    check_json(document, "the document", max_bytes)
    check_json(patch, "the merge patch", max_bytes)
    merged = _merge(clone(document), patch)
    check_json(merged, "the merged document", max_bytes)
    return merged


def diff(before: Json, after: Json, *, max_bytes: int = MAX_BYTES) -> list[dict[str, Json]]:
    """Return the operations of a JSON Patch (RFC 6902) that turn `before` into `after`.

    Raises
    ------
    PatchError
        If either is not JSON or is too large or deep.

    Notes
    -----
    Exact, also between 1 and 1.0, which the RFC calls equal; never longer than replacing the
    whole. Lists are trimmed of what they begin and end with in common and the rest is compared in
    pairs, so it is not always the shortest. O(size x depth).

    Examples
    --------
    >>> diff({"door": "shut", "seen": ["ann", "bob", "cy"]}, {"door": "shut", "seen": ["ann"]})
    [{'op': 'replace', 'path': '/seen', 'value': ['ann']}]
    """
    check_json(before, "the value before", max_bytes)
    check_json(after, "the value after", max_bytes)
    return _diff("", before, after)


def _run(top: dict[str, Json], operation: dict[str, Json], left: int) -> int:
    """Do one operation on ``top[""]`` in place; return the bytes it copied, at most `left`."""
    path, copied = _pointer(operation, "path"), 0
    match operation["op"]:
        case "add":
            _add(top, path, clone(_value(operation)))
        case "remove":
            _take(top, path)
        case "replace":
            node, key = _existing(top, path)
            node[key] = clone(_value(operation))
        case "test":
            node, key = _existing(top, path)
            if not _equal(node[key], _value(operation)):
                raise PatchError("another value is there; read it again")
        case "copy":
            node, key = _existing(top, _pointer(operation, "from"))
            copied = check_json(node[key], "what the patch copies", left)
            _add(top, path, clone(node[key]))
        case "move":
            start = _pointer(operation, "from")
            if path.startswith(start + "/"):
                raise PatchError("a value cannot be moved into itself; copy it")
            if path == start:
                _existing(top, path)
            else:
                _add(top, path, _take(top, start))
    return copied


def _pointer(operation: dict[str, Json], member: str) -> str:
    pointer = operation.get(member)
    if not isinstance(pointer, str) or not _POINTER.fullmatch(pointer):
        raise PatchError(f'its "{member}" is no JSON Pointer; write "" or "/a/b", ~ as ~0, / as ~1')
    return pointer


def _value(operation: dict[str, Json]) -> Json:
    if "value" not in operation:
        raise PatchError('it has no "value"; give one')
    return operation["value"]


def _find(top: dict[str, Json], pointer: str) -> tuple[Json, str]:
    """Return what holds the place, and the last name on the way; the root is member "" of `top`."""
    node, name = top, ""
    for token in pointer.split("/")[1:]:
        node, name = node[_key(node, name)], token.replace("~1", "/").replace("~0", "~")
    return node, name


def _existing(top: dict[str, Json], pointer: str) -> tuple[Json, Any]:
    """Return what holds the place, and the key or index there."""
    node, name = _find(top, pointer)
    return node, _key(node, name)


def _key(node: Json, name: str) -> Any:
    if isinstance(node, list):
        return _index(name, len(node))
    if not isinstance(node, dict) or name not in node:
        raise PatchError("nothing is there; read it again")
    return name


def _index(name: str, end: int) -> int:
    if not _INDEX.fullmatch(name) or int(name) >= end:
        raise PatchError(f"a list of {end} places is there; name one, or add at -")
    return int(name)


def _add(top: dict[str, Json], pointer: str, value: Json) -> None:
    node, name = _find(top, pointer)
    if isinstance(node, dict):
        node[name] = value
    elif isinstance(node, list):
        node.insert(len(node) if name == "-" else _index(name, len(node) + 1), value)
    else:
        raise PatchError("what should hold it is no object or list; replace that first")


def _take(top: dict[str, Json], pointer: str) -> Json:
    if not pointer:
        raise PatchError("the whole document cannot be removed; replace it, or delete it")
    node, key = _existing(top, pointer)
    return node.pop(key)


def _equal(a: Json, b: Json) -> bool:
    """Whether `a` and `b` are equal as RFC 6902 says: 1 is 1.0, but neither is true."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(value, b[key]) for key, value in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _merge(target: Json, patch: Json) -> Json:
    """Return `target` merged, changed in place where it can be."""
    if not isinstance(patch, dict):
        return clone(patch)
    target = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = _merge(target.get(key), value)
    return target


def _diff(path: str, before: Json, after: Json) -> list[dict[str, Json]]:
    if encode(before) == encode(after):
        return []
    whole = [{"op": "replace", "path": path, "value": clone(after)}]
    steps: list[dict[str, Json]] = []
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            at = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in after:
                steps.append({"op": "remove", "path": at})
            elif key not in before:
                steps.append({"op": "add", "path": at, "value": clone(after[key])})
            else:
                steps += _diff(at, before[key], after[key])
    elif isinstance(before, list) and isinstance(after, list):
        head = _common(before, after)
        tail = _common(before[head:][::-1], after[head:][::-1])
        old, new = before[head : len(before) - tail], after[head : len(after) - tail]
        for n, (was, now) in enumerate(zip(old, new, strict=False), head):
            steps += _diff(f"{path}/{n}", was, now)
        steps += [{"op": "remove", "path": f"{path}/{head + len(new)}"} for _ in old[len(new) :]]
        for n, item in enumerate(new[len(old) :], head + len(old)):
            steps.append({"op": "add", "path": f"{path}/{n}", "value": clone(item)})
    else:
        return whole
    return min(steps, whole, key=lambda patch: len(encode(patch)))


def _common(a: Sequence[Json], b: Sequence[Json]) -> int:
    """Return how many items both begin with."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((n for n, (x, y) in pairs if encode(x) != encode(y)), min(len(a), len(b)))
