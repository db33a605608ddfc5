"""Every public operation, declared once: command line, HTTP, MCP and reference derive from it.

Importing this module loads nothing else; an operation finds its method when it is asked for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from keyword import iskeyword
from typing import Any, Literal

Effect = Literal["read", "write", "govern", "local"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a memory can do.

    Parameters
    ----------
    name
        The verb, as people say it and as shells spell it; `Memory` has a method of this name.
    summary
        One line, in the imperative, without a full stop.
    example
        Arguments that work, by name.
    command
        The words of the command line that do it, if there are some, with the option that makes
        them do it.
    effect
        What it needs to be allowed: "read" tells what is held, "write" adds to it, "govern" decides
        over the whole of a memory. "local" is for who has the object in hand; no server offers it.
    destructive
        Whether something that could be read before can be gone after it.
    grows
        Whether its cost grows with all that is kept, or with a stream that is sent; servers do
        such calls where they hold up no others. Not said of "local" ones.
    """

    name: str
    summary: str
    example: Mapping[str, Any] = field(default_factory=dict, hash=False)
    command: str | None = None
    effect: Effect = "read"
    destructive: bool = False
    grows: bool = False

    @property
    def method(self) -> str:
        """The method of `Memory`: the name, but where Python has that word for itself."""
        return f"{self.name}_" if iskeyword(self.name) else self.name

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
            if parameter.kind is parameter.VAR_POSITIONAL:
                parts.append(f"*{name}")
                starred = True
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
    if isinstance(default, Enum):
        return f"{type(default).__name__}.{default.name}"
    return getattr(default, "__name__", None) or repr(default)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "open",
        "Open a memory, or make one with a hard budget of bytes on disk",
        {"path": "ana.holdfast", "budget": "64 MiB"},
        effect="local",
    ),
    Operation(
        "observe",
        "Store one event; on return it is durable, within the budget, and findable",
        {"content": "The spare key is under the blue pot.", "speaker": "Ana"},
        command="observe",
        effect="write",
    ),
    Operation(
        "observe_many",
        "Store a stream of events in large commits",
        {"events": ["The spare key is under the blue pot."]},
        effect="write",
        grows=True,
    ),
    Operation(
        "recall",
        "Return cited, byte-exact context for a question, within a budget of tokens",
        {"query": "where is the spare key?", "tokens": 400},
        command="recall",
    ),
    Operation(
        "rank",
        "Return the events that match a question, best first, with their scores by part",
        {"query": "where is the spare key?", "limit": 10},
    ),
    Operation(
        "rank_scopes",
        "Return the scopes (sessions) that a question is about, best first",
        {"query": "where is the spare key?", "limit": 10},
        grows=True,
    ),
    Operation(
        "why_not",
        "Say why an event did not come back for a question",
        {"seq": 1, "query": "where is the spare key?"},
        command="why-not",
    ),
    Operation(
        "log", "Iterate over what is kept, in the order it was stored", {"after": 0}, command="log"
    ),
    Operation("get", "Return one event by its sequence number", {"seq": 1}),
    Operation("episodes", "Iterate over the episodes, oldest first"),
    # forgetting
    Operation(
        "forgotten",
        "Say whether something was known once and is not any more, with its chances",
        {"query": "where is the spare key?"},
        command="forgotten",
        grows=True,
    ),
    Operation(
        "ledger",
        "Return what was let go of to make room: what, when, by which policy, for what",
        {"after": 0, "scope": ""},
        command="ledger",
        grows=True,
    ),
    Operation("loss_totals", "Return all that ever went down a tier or left, exact for ever"),
    Operation(
        "used_events",
        "Tell that events, or all items of a context, were of use",
        {"events": [1]},
        effect="write",
    ),
    # beliefs
    Operation(
        "believe",
        "State that something is so; what it supersedes stays readable",
        {"subject": "Ana", "predicate": "lives_in", "value": "Porto", "by": "Ana"},
        command="believe",
        effect="write",
    ),
    Operation(
        "retract",
        "State that something is no longer so",
        {"subject": "Ana", "predicate": "lives_in", "value": "Porto"},
        command="retract",
        effect="write",
    ),
    Operation(
        "beliefs",
        "Return what is held to be true, now or as of a time",
        {"query": "where does Ana live?", "valid_at": "2026-03-01"},
        command="beliefs",
    ),
    Operation(
        "history",
        "Return all that was ever held about a subject, oldest first",
        {"subject": "Ana", "predicate": "lives_in"},
        command="history",
    ),
    Operation("belief", "Return one belief by its id", {"id": "b1.0"}),
    Operation(
        "state_hash",
        "Return a hash over all that is held; equal states, equal hashes",
        command="state show",
        grows=True,
    ),
    # documents and automata
    Operation(
        "put_document",
        "Put a JSON value in the place of a document, or make it",
        {"name": "desk", "value": {"lamp": "off"}, "expect": 0},
        command="state put",
        effect="write",
    ),
    Operation(
        "patch_document",
        "Change a document by a JSON Patch or a merge patch",
        {"name": "desk", "patch": {"lamp": "on"}, "expect": 1},
        command="state patch",
        effect="write",
    ),
    Operation(
        "document",
        "Return a document as it is, or as it was",
        {"name": "desk", "version": 1},
        command="state get",
    ),
    Operation(
        "edit_documents",
        "Make several edits of documents in one change, all or none",
        {"edits": '[Edit("desk", "lab", "put", {"lamp": "off"})]'},
        effect="local",
    ),
    Operation("documents", "Name the documents of a scope", {"scope": ""}),
    Operation(
        "all_documents",
        "Return every document of a scope and of those inside it",
        {"scope": "lab"},
        grows=True,
    ),
    Operation(
        "document_history",
        "Return every version of a document that is kept, oldest first",
        {"name": "desk"},
        command="state log",
    ),
    Operation(
        "document_diff",
        "Return the JSON Patch from one version of a document to another",
        {"name": "desk", "a": 1, "b": 2},
        command="state diff",
    ),
    Operation(
        "delete_document",
        "Delete a document; its versions stay readable",
        {"name": "desk"},
        command="state delete",
        effect="write",
    ),
    Operation(
        "declare",
        "Declare an automaton: its states, and the steps between them",
        {"automaton": 'Automaton("oven", ("idle", "hot"), "idle", (("idle", "heat", "hot"),))'},
        command="state declare",
        effect="write",
    ),
    Operation(
        "step",
        "Take a step of an automaton; one that is illegal is refused",
        {"name": "oven", "event": "heat", "expect": "idle"},
        command="state step",
        effect="write",
    ),
    Operation("automaton", "Return the state that an automaton is in, or was in", {"name": "oven"}),
    Operation("automata", "Name the automata of a scope", {"scope": ""}),
    Operation(
        "automaton_history",
        "Return every state that an automaton was in, oldest first",
        {"name": "oven"},
    ),
    # sharing
    Operation(
        "seat",
        "Return the memory as one principal sees it, held to its rights",
        {"principal": "agent/bo"},
        effect="local",
    ),
    Operation(
        "grant",
        "Give a principal a right over a scope",
        {"principal": "agent/bo", "right": "read", "scope": "team"},
        command="grant",
        effect="govern",
    ),
    Operation(
        "withdraw",
        "Take a granted right back",
        {"principal": "agent/bo", "right": "read", "scope": "team"},
        command="grant --withdraw",
        effect="govern",
    ),
    Operation("grants", "Return what is granted now", command="grants"),
    Operation(
        "promote",
        "Copy a belief into a wider scope",
        {"id": "b1.0", "to": "team"},
        command="promote",
        effect="write",
    ),
    Operation(
        "used",
        "Tell that a belief answered a question, or did not",
        {"id": "b1.0", "query": "where does Ana live?"},
        command="used",
        effect="write",
    ),
    Operation("credit", "Say how much the promotions of a source count", {"source": "agent/bo"}),
    Operation(
        "changes",
        "Return every change of state so far, in order",
        {"after": 0},
        command="watch --once",
        grows=True,
    ),
    Operation(
        "watch",
        "Follow changes of state as they come, from any process",
        {"after": 0, "timeout_s": 5.0},
        command="watch",
    ),
    # time
    Operation(
        "snapshot",
        "Keep this moment under a name",
        {"name": "monday"},
        command="snapshot",
        effect="govern",
        grows=True,
    ),
    Operation("snapshots", "Return every snapshot, oldest first"),
    Operation(
        "delete_snapshot",
        "Delete a snapshot; its bytes come back at once",
        {"name": "monday"},
        command="snapshot --delete",
        effect="govern",
        destructive=True,
    ),
    Operation(
        "fork",
        "Start another memory as this one, or one of its snapshots, is",
        {"path": "trial.holdfast", "snapshot": "monday"},
        command="fork",
        effect="local",
    ),
    Operation(
        "diff",
        "Say what changed from one moment to another",
        {"a": "monday", "b": "2026-03-01"},
        command="diff",
        grows=True,
    ),
    Operation(
        "rollback",
        "Make the content what it was at a snapshot",
        {"name": "monday"},
        command="rollback",
        effect="govern",
        destructive=True,
        grows=True,
    ),
    # proof and erasure
    Operation(
        "checkpoint",
        "Fix what the log is now by its Merkle root, and sign it",
        command="checkpoint",
        effect="govern",
        grows=True,
    ),
    Operation(
        "checkpoints",
        "Return the checkpoints that are kept, oldest first",
        command="checkpoint --list",
    ),
    Operation(
        "prove", "Prove that an event is in the log", {"seq": 1}, command="prove", grows=True
    ),
    Operation(
        "prove_extends",
        "Prove that the log of now begins with that of a checkpoint",
        {"old": "an earlier checkpoint"},
        command="verify --note",
        effect="local",
    ),
    Operation(
        "check_note",
        "Check a signed checkpoint, and that the log of now extends it",
        {"note": "a signed note", "keys": "the public keys that are trusted"},
        command="verify --key",
        effect="local",
    ),
    Operation(
        "erase",
        "Remove something from every table, page and snapshot",
        {"subject": "Ana"},
        command="erase",
        effect="govern",
        destructive=True,
        grows=True,
    ),
    Operation(
        "revoke",
        "Hold what would be held if a source had never spoken",
        {"source": "web"},
        command="revoke",
        effect="govern",
        grows=True,
    ),
    Operation(
        "reinstate",
        "Take a revoked source back in",
        {"source": "web"},
        command="reinstate",
        effect="govern",
        grows=True,
    ),
    # the whole
    Operation(
        "usage",
        "Say where the bytes are, and how many events are kept at each tier",
        command="status",
    ),
    Operation(
        "fidelity",
        "Measure how much of what was ever observed can still be recalled",
        {"tokens": 1000},
        command="fidelity",
        grows=True,
    ),
    Operation(
        "meter",
        "Measure that in the background, and say when too little comes back",
        {"share": 0.05, "alarm": 0.5},
        effect="local",
    ),
    Operation(
        "budget_for",
        "Say which budget would have kept so much of what was observed",
        {"fidelity": 0.95},
        command="advise",
        grows=True,
    ),
    Operation(
        "verify",
        "Read everything back and check it against its checksums",
        command="verify",
        grows=True,
    ),
    Operation(
        "resize",
        "Change the budget; shrinking lets go of enough to fit, or refuses",
        {"budget": "32 MiB"},
        command="resize",
        effect="govern",
        destructive=True,
        grows=True,
    ),
    Operation(
        "export",
        "Write what is kept as JSON Lines",
        {"out": "a file open for writing"},
        command="export",
        grows=True,
    ),
    Operation(
        "import",
        "Read JSON Lines that `export` wrote",
        {"lines": "a file open for reading"},
        command="import",
        effect="govern",
        grows=True,
    ),
    Operation(
        "settle",
        "Wait until the embedder has made every vector",
        {"timeout_s": 60.0},
        effect="local",
    ),
    Operation(
        "close", "Finish what is queued, hand back the lock and close the file", effect="local"
    ),
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
