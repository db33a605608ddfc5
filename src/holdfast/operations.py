"""Every public operation, declared once: the command line's help and the reference derive from it.

Importing this module loads nothing else; an operation finds its method when it is asked for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a memory can do.

    Parameters
    ----------
    name
        The verb, as people say it and as shells spell it.
    method
        The method of `Memory` that does it.
    summary
        One line, in the imperative, without a full stop.
    example
        Arguments that work, by name.
    command
        The word of the command line, if it has one.
    """

    name: str
    method: str
    summary: str
    example: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None

    @property
    def function(self) -> Callable[..., Any]:
        """The method itself. Importing `Memory` is put off until here."""
        from holdfast.memory import Memory

        function: Callable[..., Any] = getattr(Memory, self.method)
        return function

    @property
    def signature(self) -> str:
        """How it is called, types left out: ``recall(query, *, tokens=1000, …)``."""
        parts, starred = [], False
        for name, parameter in inspect.signature(self.function).parameters.items():
            if name in ("self", "cls"):
                continue
            if parameter.kind is parameter.KEYWORD_ONLY and not starred:
                parts.append("*")
                starred = True
            parts.append(
                name
                if parameter.default is parameter.empty
                else f"{name}={_show(parameter.default)}"
            )
        return f"{self.method}({', '.join(parts)})"


def _show(default: object) -> str:
    """Return a default value as source; a function by its name alone, since its repr moves."""
    return getattr(default, "__name__", None) or repr(default)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "open",
        "open",
        "Open a memory, or make one with a hard budget of bytes on disk",
        {"path": "ana.holdfast", "budget": "64 MiB"},
    ),
    Operation(
        "observe",
        "observe",
        "Store one event; on return it is durable, within the budget, and findable",
        {"content": "The spare key is under the blue pot.", "speaker": "Ana"},
        command="observe",
    ),
    Operation(
        "observe_many",
        "observe_many",
        "Store a stream of events in large commits",
        {"events": ["The spare key is under the blue pot."]},
    ),
    Operation(
        "recall",
        "recall",
        "Return cited, byte-exact context for a question, within a budget of tokens",
        {"query": "where is the spare key?", "tokens": 400},
        command="recall",
    ),
    Operation(
        "rank",
        "rank",
        "Return the events that match a question, best first, with their scores by part",
        {"query": "where is the spare key?", "limit": 10},
    ),
    Operation(
        "rank_scopes",
        "rank_scopes",
        "Return the scopes (sessions) that a question is about, best first",
        {"query": "where is the spare key?", "limit": 10},
    ),
    Operation(
        "why_not",
        "why_not",
        "Say why an event did not come back for a question",
        {"seq": 1, "query": "where is the spare key?"},
        command="why-not",
    ),
    Operation(
        "log",
        "log",
        "Iterate over what is kept, in the order it was stored",
        {"after": 0},
        command="log",
    ),
    Operation("get", "get", "Return one event by its sequence number", {"seq": 1}),
    Operation("episodes", "episodes", "Iterate over the episodes, oldest first"),
    Operation(
        "usage",
        "usage",
        "Say where the bytes are, and how many events are kept at each tier",
        command="status",
    ),
    Operation(
        "verify",
        "verify",
        "Read everything back and check it against its checksums",
        command="verify",
    ),
    Operation(
        "resize",
        "resize",
        "Change the budget; shrinking lets go of enough to fit, or refuses",
        {"budget": "32 MiB"},
        command="resize",
    ),
    Operation(
        "export",
        "export",
        "Write what is kept as JSON Lines",
        {"out": "a file open for writing"},
        command="export",
    ),
    Operation(
        "import",
        "import_",
        "Read JSON Lines that `export` wrote",
        {"lines": "a file open for reading"},
        command="import",
    ),
    Operation(
        "settle",
        "settle",
        "Wait until the embedder has made every vector",
        {"timeout_s": 60.0},
    ),
    Operation("close", "close", "Finish what is queued, hand back the lock and close the file"),
)

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}


def summary_of(command: str) -> str:
    """Return the summary of the operation behind a command, with its full stop."""
    return next(op.summary for op in OPERATIONS if op.command == command) + "."


def markdown() -> str:
    """Return the reference table of operations."""
    rows = ["| operation | call | what it does | command |", "|---|---|---|---|"]
    for op in OPERATIONS:
        command = f"`holdfast {op.command}`" if op.command else ""
        rows.append(f"| {op.name} | `{op.signature}` | {op.summary} | {command} |")
    return "\n".join(rows) + "\n"
