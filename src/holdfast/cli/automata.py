"""`holdfast state declare` and `step`: automata, which know what may happen next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.common import (
    Json,
    budget_option,
    by_option,
    file_argument,
    json_option,
    open_memory,
    open_or_make,
    print_json,
    scope_option,
)
from holdfast.wire.plain import plain

if TYPE_CHECKING:
    from holdfast.state.automaton import Automaton, State

name_argument = click.argument("name")


@click.command(short_help="Declare an automaton: its states and steps.")
@file_argument
@name_argument
@click.argument("value", type=Json(), metavar="JSON")
@scope_option
@by_option
@budget_option
@json_option
def declare(
    file: str, name: str, value: Any, scope: str, by: str, budget: str | None, as_json: bool
) -> None:
    """Declare the automaton NAME, or declare it anew.

    JSON is an object, @FILE or - for standard input: {"states": ["idle", "hot"], "initial": "idle",
    "transitions": [["idle", "heat", "hot"]], "final": ["hot"]}. A transition is a state, an event
    and the next state.
    """
    automaton = _automaton(name, value)
    with open_or_make(file, budget) as memory:
        tell_automaton(memory.declare(automaton, scope=scope, by=by), as_json)


@click.command(short_help="Take a step; one that is illegal is refused.")
@file_argument
@name_argument
@click.argument("event")
@scope_option
@click.option("--expect", metavar="STATE", help="The state it must be in.")
@by_option
@click.option("--key", help="The same key with the same step is one event.")
@json_option
def step(
    file: str,
    name: str,
    event: str,
    scope: str,
    expect: str | None,
    by: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Take the step of the automaton NAME that EVENT leads to; an illegal one is refused."""
    with open_memory(file) as memory:
        done = memory.step(name, event, scope=scope, expect=expect, by=by, key=key)
    tell_automaton(done, as_json)


def automaton_json(found: State) -> dict[str, Any]:
    """Return an automaton as JSON, with the events that are legal now."""
    return {**plain(found), "events": list(found.events), "final": found.final}


def tell_automaton(found: State, as_json: bool) -> None:
    """Say where an automaton is and what may happen next."""
    if as_json:
        print_json(automaton_json(found))
    else:
        from holdfast.cli.tell import automaton_line, console

        console().print(automaton_line(found))


def _automaton(name: str, value: Any) -> Automaton:
    from holdfast.state.automaton import Automaton

    fields = {"states", "initial", "transitions", "final", "name"}
    if not isinstance(value, dict) or not {"states", "initial", "transitions"} <= set(value):
        raise click.UsageError("an automaton is an object with states, initial and transitions")
    if unknown := sorted(set(value) - fields):
        raise click.UsageError(
            f"an automaton has no {unknown[0]!r}; it has {', '.join(sorted(fields))}"
        )
    rows = {key: value.get(key, []) for key in ("states", "transitions", "final")}
    lists = all(isinstance(row, list) for row in rows.values())
    if not lists or not all(isinstance(move, list) for move in rows["transitions"]):
        raise click.UsageError("states, final, transitions and each of these are lists")
    moves = tuple(tuple(move) for move in rows["transitions"])
    return Automaton(name, tuple(rows["states"]), value["initial"], moves, tuple(rows["final"]))
