"""`holdfast state …`: all of it, and each document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.automata import automaton_json, declare, step, tell_automaton
from holdfast.cli.candidates import memories
from holdfast.cli.common import (
    Json,
    as_of_option,
    budget_option,
    by_option,
    file_argument,
    json_option,
    open_memory,
    open_or_make,
    pretty,
    print_json,
    scope_option,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from holdfast.memory import Memory
    from holdfast.state.documents import Document

name_argument = click.argument("name")
value_argument = click.argument("value", type=Json(), metavar="JSON")
version_option = click.option(
    "--expect", type=int, metavar="VERSION", help="The version it must be at; 0: it must be new."
)


class StateGroup(click.Group):
    """A group that shows everything when it is given a file and no command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [*super().shell_complete(ctx, incomplete), *memories(incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and ("." in args[0] or "/" in args[0]):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=StateGroup, invoke_without_command=True)
@click.pass_context
def state(ctx: click.Context) -> None:
    """Show, change and step through documents and automata.

    `holdfast state FILE` shows them all. A document is a named JSON value, kept in every version;
    an automaton knows which state a task is in and which events are legal there. Every command
    takes --json.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@state.command(short_help="Show all documents and automata, and the state's hash.")
@file_argument
@click.option("--scope", default="", help="Only what lies in this scope.")
@as_of_option
@json_option
def show(file: str, scope: str, as_of: float | None, as_json: bool) -> None:
    """Show the documents and automata of a scope and all inside it, and the hash of the state."""
    from holdfast.records import Scope

    with open_memory(file) as memory:
        found = memory.diff(0.0, as_of)  # from nothing: all there is, in whatever scope
        inside = Scope(scope).covers
        documents = [
            memory.document(name, scope=where, as_of=as_of)
            for where, name in sorted(found.documents)
            if inside(where)
        ]
        automata = [
            memory.automaton(name, scope=where, as_of=as_of)
            for where, name in sorted(found.automata)
            if inside(where)
        ]
        digest = memory.state_hash() if as_of is None else None
    if as_json:
        shown = {"documents": documents, "automata": [automaton_json(one) for one in automata]}
        print_json({**shown, "hash": digest})
        return
    from holdfast.cli.tell import automaton_line, console, document_line

    out = console()
    for document in documents:
        out.print(document_line(document))
        out.print_json(json.dumps(document.value, ensure_ascii=False), indent=2)
    for automaton in automata:
        out.print(automaton_line(automaton))
    if not documents and not automata:
        out.print("no documents and no automata")
    if digest:
        out.print(f"state {digest}", style="dim")


@state.command(short_help="Print a document, or an automaton.")
@file_argument
@name_argument
@scope_option
@click.option("--version", type=int, help="As it was at this version.")
@as_of_option
@json_option
def get(
    file: str, name: str, scope: str, version: int | None, as_of: float | None, as_json: bool
) -> None:
    """Print the document NAME, or the automaton if there is no such document.

    A pipe gets the document's value alone, ready for `state put`.
    """
    with open_memory(file) as memory:
        if _is_automaton(memory, name, scope):
            tell_automaton(memory.automaton(name, scope=scope, as_of=as_of), as_json)
            return
        document = memory.document(name, scope=scope, version=version, as_of=as_of)
    _tell_document(document, as_json)


@state.command(short_help="Make a document, or replace it.")
@file_argument
@name_argument
@value_argument
@scope_option
@version_option
@by_option
@click.option("--key", help="The same key with the same change is one event.")
@budget_option
@json_option
def put(
    file: str,
    name: str,
    value: Any,
    scope: str,
    expect: int | None,
    by: str,
    key: str | None,
    budget: str | None,
    as_json: bool,
) -> None:
    """Put a JSON value in the place of the document NAME, or make it.

    JSON is the value itself, @FILE or - for standard input.
    """
    with open_or_make(file, budget) as memory:
        done = memory.put_document(name, value, scope=scope, expect=expect, by=by, key=key)
    _tell_edit(done, as_json)


@state.command(short_help="Change a document by a JSON Patch or a merge patch.")
@file_argument
@name_argument
@value_argument
@scope_option
@version_option
@by_option
@click.option("--key", help="The same key with the same change is one event.")
@json_option
def patch(
    file: str,
    name: str,
    value: Any,
    scope: str,
    expect: int | None,
    by: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Change the document NAME: a list is a JSON Patch (RFC 6902), an object a merge patch.

    JSON is the patch itself, @FILE or - for standard input.
    """
    with open_memory(file) as memory:
        done = memory.patch_document(name, value, scope=scope, expect=expect, by=by, key=key)
    _tell_edit(done, as_json)


@state.command(short_help="Delete a document; its versions stay readable.")
@file_argument
@name_argument
@scope_option
@version_option
@by_option
@json_option
def delete(file: str, name: str, scope: str, expect: int | None, by: str, as_json: bool) -> None:
    """Delete the document NAME; its versions stay readable."""
    with open_memory(file) as memory:
        memory.delete_document(name, scope=scope, expect=expect, by=by)
        done = memory.document_history(name, scope=scope)[-1]
    _tell_edit(done, as_json)


@state.command(short_help="Print the versions of a document, the steps of an automaton.")
@file_argument
@name_argument
@scope_option
@json_option
def log(file: str, name: str, scope: str, as_json: bool) -> None:
    """Print every version of the document NAME, or every state of the automaton."""
    from holdfast.cli.tell import print_documents, print_steps

    with open_memory(file) as memory:
        if _is_automaton(memory, name, scope):
            states = memory.automaton_history(name, scope=scope)
            if as_json:
                print_json([automaton_json(one) for one in states])
            else:
                print_steps(states)
            return
        versions = memory.document_history(name, scope=scope)
        if not versions:
            memory.document(name, scope=scope)  # says that there is none
    if as_json:
        print_json(versions)
    else:
        print_documents(versions)


@state.command(short_help="Print the JSON Patch between two versions of a document.")
@file_argument
@name_argument
@click.argument("a", type=int)
@click.argument("b", type=int)
@scope_option
@json_option
def diff(file: str, name: str, a: int, b: int, scope: str, as_json: bool) -> None:
    """Print the JSON Patch that leads from version A of the document NAME to version B."""
    with open_memory(file) as memory:
        steps = memory.document_diff(name, a, b, scope=scope)
    if as_json or not pretty():
        print_json(steps)
        return
    for change in steps:
        click.echo(json.dumps(change, ensure_ascii=False))
    if not steps:
        click.echo("nothing differs")


def _is_automaton(memory: Memory, name: str, scope: str) -> bool:
    """Whether an automaton has this name and no document ever had it."""
    known = name in memory.automata(scope=scope)
    return known and not memory.document_history(name, scope=scope)


def _tell_document(document: Document, as_json: bool) -> None:
    """Print a document: its value for a pipe, with a heading for people."""
    if as_json:
        print_json(document)
    elif pretty():
        from holdfast.cli.tell import print_document

        print_document(document)
    else:
        click.echo(json.dumps(document.value, ensure_ascii=False, indent=2))


def _tell_edit(document: Document, as_json: bool) -> None:
    """Say which version a change made."""
    if as_json:
        print_json(document)
    else:
        from holdfast.cli.tell import console, document_line

        console().print(document_line(document))


state.add_command(declare)
state.add_command(step)
