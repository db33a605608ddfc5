"""What `plain` makes of a type, as a JSON Schema: the results that servers promise."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from holdfast.state.records import Belief, Trust
from holdfast.wire.plain import HEX

Schema = dict[str, Any]

_SCALARS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Path: {"type": "string"},
    Any: {},
    object: {},
}
_BYTES: Schema = {
    "type": "object",
    "properties": {"base64": {"type": "string"}},
    "required": ["base64"],
}
_LISTS = (list, Sequence, Iterable, Iterator, frozenset)


def schema_of(hint: Any, records: dict[str, Schema], prefix: str = "#/$defs/") -> Schema:
    """Return the JSON Schema of what `plain` makes of values of a type.

    Parameters
    ----------
    hint
        A resolved type, as `typing.get_type_hints` gives it.
    records
        Takes the schema of each record under its name; what is returned refers to them.
    prefix
        What such a reference begins with.

    Raises
    ------
    TypeError
        If it is a type that `plain` has no rule for.

    Examples
    --------
    >>> from holdfast.records import Quote
    >>> found = {}
    >>> schema_of(tuple[Quote, ...], found)
    {'type': 'array', 'items': {'$ref': '#/$defs/Quote'}}
    >>> found["Quote"]["properties"]["start"]
    {'type': 'integer'}
    """
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if hint is bytes:
        return dict(_BYTES)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return _any_of([schema_of(one, records, prefix) for one in inner])
    if origin is tuple and inner[-1:] != (Ellipsis,):
        items = [schema_of(one, records, prefix) for one in inner]
        return {"type": "array", "prefixItems": items, "minItems": len(items)}
    if origin is tuple or origin in _LISTS:
        return {"type": "array", "items": schema_of(inner[0], records, prefix)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": schema_of(inner[1], records, prefix)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.name.lower() for member in hint]}
    if isinstance(hint, type) and is_dataclass(hint):
        _record(hint, records, prefix)
        return {"$ref": prefix + hint.__name__}
    if hasattr(hint, "__value__"):  # a type alias
        return schema_of(hint.__value__, records, prefix)
    raise TypeError(f"no rule for how {hint!r} is written as JSON")


def _record(kind: type, records: dict[str, Schema], prefix: str) -> None:
    """Add the schema of a dataclass, and of those inside it."""
    if kind.__name__ in records:
        return
    records[kind.__name__] = {}  # it may contain itself
    hints = get_type_hints(kind)
    properties = {
        field.name: _field(field.name, hints[field.name], records, prefix) for field in fields(kind)
    }
    if hasattr(kind, "citation"):
        properties["citation"] = {"type": "string"}
    if kind is Belief:
        properties |= {
            "trust": {"enum": [level.name.lower() for level in Trust]},
            "text": {"type": "string"},
        }
    records[kind.__name__] = {
        "type": "object",
        "description": (kind.__doc__ or "").strip().split("\n\n")[0],
        "properties": properties,
        "required": list(properties),
    }


def _field(name: str, hint: Any, records: dict[str, Schema], prefix: str) -> Schema:
    if name in HEX and hint is bytes:
        return {"type": "string", "pattern": "^[0-9a-f]*$"}
    if name in HEX and get_args(hint)[:1] == (bytes,):
        return {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]*$"}}
    return schema_of(hint, records, prefix)


def _any_of(parts: list[Schema]) -> Schema:
    """A union; plain types without a word more of them are written as a list of names."""
    if all(set(part) == {"type"} and isinstance(part["type"], str) for part in parts):
        return {"type": [part["type"] for part in parts]}
    return {"anyOf": parts}
