"""The tools of the MCP server: each a row over an operation, told in words for a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_types import Tool as Listed
from mcp_types import ToolAnnotations

from holdfast.errors import ArgumentsError, NotFoundError
from holdfast.mcp import answers
from holdfast.operations import BY_NAME, Operation
from holdfast.seat import Seat
from holdfast.service.callers import Caller
from holdfast.wire.arguments import model_of
from holdfast.wire.schema import Schema, schema_of


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    Parameters
    ----------
    name, text
        What clients call it, what a model is told.
    operation
        The operation that it does.
    shown
        The arguments of the operation that a model may give, each with a few words if its name
        needs them. What they have in common is told once, in `holdfast.mcp.server.INSTRUCTIONS`.
    answer
        Makes text and a value of type `result` of what the operation returns.
    owners
        Arguments for callers without a principal; others speak for themselves only.
    preset
        What to pass on for arguments that were not given.
    """

    name: str
    text: str
    operation: Operation
    shown: Mapping[str, str]
    answer: Callable[[Any], tuple[str, Any]]
    result: type
    owners: frozenset[str] = frozenset()
    preset: Mapping[str, Any] = field(default_factory=dict)

    def offered_to(self, caller: Caller) -> bool:
        """Whether a caller could use it at all."""
        seated = caller.principal is not None
        return caller.allows(self.operation.effect) and (
            not seated or hasattr(Seat, self.operation.method)
        )

    def takes(self, caller: Caller) -> list[str]:
        """The arguments that a caller may give."""
        hidden = self.owners if caller.principal is not None else frozenset()
        return [name for name in self.shown if name not in hidden]

    def given(self, caller: Caller, sent: Mapping[str, Any]) -> dict[str, Any]:
        """What to call the operation with. Null stands for an argument that is left out.

        Raises
        ------
        ArgumentsError
            For an argument that this tool does not show, whatever its operation would take.
        """
        takes = self.takes(caller)
        if beyond := sorted(sent.keys() - set(takes)):
            raise ArgumentsError(
                f"{self.name} takes no argument {beyond[0][:40]!r}; "
                f"it takes {', '.join(takes) or 'none'}"
            )
        return {**self.preset, **{k: value for k, value in sent.items() if value is not None}}

    def listed(self, caller: Caller) -> Listed:
        """The tool as `tools/list` tells it. A hint that says what clients assume is left out."""
        if self.operation.effect == "read":
            hints = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        else:
            hints = ToolAnnotations(
                destructive_hint=self.operation.destructive, open_world_hint=False
            )
        return Listed(
            name=self.name,
            description=self.text,
            input_schema=_input(self, self.takes(caller)),
            output_schema=_output(self.result),
            annotations=hints,
        )


TOOLS: tuple[Tool, ...] = (
    Tool(
        "remember",
        "Store one thing worth knowing later, in the exact words if you have them: what somebody "
        "said, a decision, a result. It is durable when this returns.",
        BY_NAME["observe"],
        {
            "content": "",
            "speaker": 'Who said it: a name, or "assistant" for your own conclusions.',
            "channel": 'Where it is from if not from this talk, such as "web" or "email". Such '
            "words are trusted less.",
            "at": "When it happened, if not now.",
            "scope": "",
            "key": "",
        },
        answers.stored,
        answers.Stored,
        owners=frozenset({"speaker"}),
    ),
    Tool(
        "recall",
        "Search the memory, before you answer what may have come up before. Returns quotes, each "
        "cited as [eN], and what is held to be true. No items: nothing matched.",
        BY_NAME["recall"],
        {
            "query": "A question or some words.",
            "tokens": "Most that may come back.",
            "since": "",
            "until": "",
            "as_of": "Answer from what was recorded by then.",
            "scope": "",
        },
        answers.recalled,
        answers.Recalled,
    ),
    Tool(
        "believe",
        "State that something is so. It supersedes what was held of this subject and predicate, "
        "which stays readable.",
        BY_NAME["believe"],
        {
            "subject": "",
            "predicate": "Such as lives_in or prefers.",
            "value": "",
            "kind": "",
            "evidence": "Citations, such as e12.",
            "valid_from": "",
            "corrects": "The former never was so.",
            "scope": "",
            "key": "",
        },
        answers.stored,
        answers.Stored,
    ),
    Tool(
        "retract",
        "State that something is no longer so. It stays readable.",
        BY_NAME["retract"],
        {
            "subject": "",
            "predicate": "",
            "value": "Left out: whatever is held.",
            "valid_from": "Since when.",
            "scope": "",
            "key": "",
        },
        answers.stored,
        answers.Stored,
    ),
    Tool(
        "beliefs",
        "List what is held to be true, by words or by subject, or all of it.",
        BY_NAME["beliefs"],
        {
            "query": "Not beside a status.",
            "subject": "",
            "status": "",
            "valid_at": "What was so at that time.",
            "limit": "",
            "scope": "",
        },
        answers.beliefs,
        answers.Beliefs,
        preset={"limit": 20},
    ),
    Tool(
        "history",
        "List all that was ever held about a subject, oldest first, and what superseded it.",
        BY_NAME["history"],
        {"subject": "", "predicate": "", "scope": ""},
        answers.beliefs,
        answers.Beliefs,
    ),
    Tool(
        "forget",
        "Erase events, or all about a subject, for good. Only when a person asks for it.",
        BY_NAME["erase"],
        {"event": "Numbers: of [e12], 12.", "subject": "And every event that names it."},
        answers.forgotten,
        answers.Forgotten,
    ),
    Tool(
        "status",
        "Say how full the memory is, and how much of it is whole, shortened or gone.",
        BY_NAME["usage"],
        {},
        answers.status,
        answers.Status,
    ),
)
_BY_NAME: Mapping[str, Tool] = {tool.name: tool for tool in TOOLS}


def tool_of(name: str) -> Tool:
    """The tool of this name. Raises `NotFoundError` if there is none."""
    if name not in _BY_NAME:
        raise NotFoundError(f"there is no tool {name[:40]!r}; there are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def _input(tool: Tool, takes: list[str]) -> Schema:
    """The JSON Schema of the operation's arguments, narrowed to those that are shown."""
    whole = model_of(tool.operation).model_json_schema()
    properties = {}
    for name in takes:
        properties[name] = _plainest(whole["properties"][name])
        if name in tool.preset:
            properties[name]["default"] = tool.preset[name]
        if tool.shown[name]:
            properties[name]["description"] = tool.shown[name]
    required = [name for name in whole.get("required", ()) if name in properties]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


_NOT_TOLD = frozenset({"title", "anyOf", "minimum", "maximum", "exclusiveMaximum"})


def _plainest(schema: Schema) -> Schema:
    """A schema without its null, its title and its bounds, and but one of the ways to write it."""
    kept = {name: value for name, value in schema.items() if name not in _NOT_TOLD}
    if not kept.get("default", True):  # left out says as much
        del kept["default"]
    if "items" in kept:
        kept["items"] = _plainest(kept["items"])
    ways = [_plainest(one) for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if not ways:
        return kept
    texts = [one for one in ways if one == {"type": "string"}]
    return {**kept, **(texts or ways)[0]} if texts or len(ways) == 1 else {**kept, "anyOf": ways}


def _output(result: type) -> Schema:
    """The JSON Schema of an answer: the names of its fields and their types, without prose."""
    records: dict[str, Schema] = {}
    return _inline(schema_of(result, records), records)


def _inline(schema: Schema, records: Mapping[str, Schema]) -> Schema:
    """A schema with its references followed, of values as `answers.data` writes them."""
    if "$ref" in schema:
        record = records[schema["$ref"].removeprefix("#/$defs/")]
        fields = {name: _inline(one, records) for name, one in record["properties"].items()}
        return {"type": "object", "properties": fields}
    if "items" in schema:
        return {**schema, "items": _inline(schema["items"], records)}
    kinds = schema.get("type")
    if isinstance(kinds, list):  # not every client knows a type that may be null
        return {**schema, "type": next(one for one in kinds if one != "null")}
    return schema
