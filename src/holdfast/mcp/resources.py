"""What clients may attach to a conversation: the state of the memory, and stretches of its log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mcp_types import Resource, ResourceTemplate

from holdfast.errors import NotFoundError
from holdfast.wire.plain import plain

Call = Callable[[str, Mapping[str, Any]], Any]
"""Does an operation, by its name and arguments, for the caller at hand."""

MOST_STATE = 200
"""So many beliefs, and so many documents, a state tells at the most."""
MOST_EVENTS = 200
"""So many events a stretch of the log has at the most."""
MOST_BYTES = 1 << 20
"""Where a stretch of the log ends early; its first event is there whatever its size."""

_STATE, _SCOPE, _LOG = "holdfast://state", "holdfast://scope/", "holdfast://log/"

RESOURCES = (
    Resource(
        uri=_STATE,
        name="state",
        title="State",
        description="What is held to be true, and the documents, as JSON.",
        mime_type="application/json",
    ),
)
TEMPLATES = (
    ResourceTemplate(
        uri_template=f"{_SCOPE}{{+scope}}/state",
        name="scope-state",
        title="State of a scope",
        description="Beliefs and documents of a scope and of those inside it, as JSON.",
        mime_type="application/json",
    ),
    ResourceTemplate(
        uri_template=f"{_LOG}{{from}}-{{to}}",
        name="log",
        title="Stretch of the log",
        description=f"Events by number, as JSON Lines, at most {MOST_EVENTS}. A last line with "
        '"next" says where to read on.',
        mime_type="application/jsonl",
    ),
)


@dataclass(frozen=True, slots=True)
class Read:
    """The text of a resource, and what kind of text it is."""

    text: str
    mime_type: str


def read(uri: str, call: Call) -> Read:
    """Read a resource.

    Raises
    ------
    NotFoundError
        If there is none of this address.
    HoldfastError
        Whatever the operations behind it raise.
    """
    if uri == _STATE:
        return _state(call, {})
    if uri.startswith(_SCOPE) and uri.endswith("/state"):
        if scope := unquote(uri[len(_SCOPE) : -len("/state")]).strip("/"):
            return _state(call, {"scope": scope})
    elif uri.startswith(_LOG):
        first, dash, last = uri.removeprefix(_LOG).partition("-")
        if dash and all(one.isascii() and one.isdigit() and len(one) < 19 for one in (first, last)):
            return _log(call, int(first), int(last))
    raise NotFoundError(
        f"there is no resource {uri[:80]!r}; see resources/list and resources/templates/list"
    )


def _state(call: Call, where: Mapping[str, Any]) -> Read:
    """Beliefs and documents; one more than is told is asked for, to know if that is all."""
    beliefs = call("beliefs", {**where, "limit": MOST_STATE + 1})
    documents = call("all_documents", where)
    told = {
        "beliefs": beliefs[:MOST_STATE],
        "documents": [
            {"scope": one.scope, "name": one.name, "version": one.version, "value": one.value}
            for one in documents[:MOST_STATE]
        ],
        "complete": len(beliefs) <= MOST_STATE and len(documents) <= MOST_STATE,
    }
    return Read(json.dumps(plain(told), ensure_ascii=False), "application/json")


def _log(call: Call, first: int, last: int) -> Read:
    lines: list[str] = []
    size, wanted = 0, min(last - first + 1, MOST_EVENTS)
    found = call("log", {"after": max(first, 1) - 1, "limit": wanted}) if wanted > 0 else []
    reached = last
    for record in found:
        if record.seq > last:
            break
        line = json.dumps(plain(record), ensure_ascii=False)
        size += len(line.encode())
        if lines and size > MOST_BYTES:
            reached = record.seq - 1
            break
        lines.append(line)
    else:
        if len(found) == wanted and found:
            reached = found[-1].seq
    if reached < last:
        lines.append(json.dumps({"next": f"{_LOG}{reached + 1}-{last}"}))
    return Read("".join(f"{line}\n" for line in lines), "application/jsonl")
