"""`holdfast used`, `promote`, `grant`, `grants`, `revoke` and `reinstate`: whose word counts."""

from __future__ import annotations

from typing import Any

import click

from holdfast.cli.beliefs import report
from holdfast.cli.common import (
    by_option,
    file_argument,
    json_option,
    open_memory,
    print_json,
    progress,
)
from holdfast.state.access import RIGHTS, Right


class Named(click.ParamType):  # type: ignore[type-arg]  # older releases of click have none
    """A name that is not empty: the empty one is everybody who gave none."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value) if value else self.fail("it is empty; name a source", param, ctx)


@click.command()
@file_argument
@click.argument("principal")
@click.argument("right", type=click.Choice(RIGHTS), metavar="RIGHT")
@click.argument("scope")
@click.option("--withdraw", is_flag=True, help="Take it back instead.")
@by_option
@json_option
def grant(
    file: str, principal: str, right: Right, scope: str, withdraw: bool, by: str, as_json: bool
) -> None:
    """Give PRINCIPAL the RIGHT over SCOPE and all inside it; / is everything.

    RIGHT is read, write or directive, which is to state instructions. Everyone has all but the last
    in the scope of their own name.
    """
    with open_memory(file) as memory:
        change = memory.withdraw if withdraw else memory.grant
        receipt = change(principal, right, scope, by=by)
    if as_json:
        print_json(receipt)
    else:
        verb = "may no longer" if withdraw else "may"
        click.echo(f"{principal} {verb} {_right(right)} {scope.strip('/') or 'everything'}")


@click.command()
@file_argument
@json_option
def grants(file: str, as_json: bool) -> None:
    """Return what is granted now."""
    with open_memory(file) as memory:
        found = memory.grants()
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one.principal} may {_right(one.right)} {one.scope or 'everything'}")
    if not found:
        click.echo("nothing is granted; everyone has the scope of their own name")


@click.command()
@file_argument
@click.argument("id")
@click.option("--to", required=True, metavar="SCOPE", help="The wider scope.")
@click.option("--approve", is_flag=True, help="Even if the source's record is poor.")
@by_option
@json_option
def promote(file: str, id: str, to: str, approve: bool, by: str, as_json: bool) -> None:
    """Copy the belief ID, as b12.0, into a wider scope, with its trust and its evidence."""
    with open_memory(file) as memory:
        receipt = memory.promote(id, to, by=by, approve=approve)
        report(memory, receipt, as_json)


@click.command()
@file_argument
@click.argument("id")
@click.argument("query")
@click.option("--unhelpful", is_flag=True, help="It did not answer the question.")
@by_option
@json_option
def used(file: str, id: str, query: str, unhelpful: bool, by: str, as_json: bool) -> None:
    """Tell that the belief ID answered QUERY: it is found by these words from now on."""
    with open_memory(file) as memory:
        receipt = memory.used(id, query, by=by, helpful=not unhelpful)
    if as_json:
        print_json(receipt)
    else:
        noted = "did not answer it" if unhelpful else "answered it"
        click.echo(f"noted as e{receipt.seq}: {id} {noted}")


@click.command()
@file_argument
@click.argument("source", type=Named())
@by_option
@json_option
def revoke(file: str, source: str, by: str, as_json: bool) -> None:
    """Hold what would be held if SOURCE had never spoken; `reinstate` undoes it."""
    with open_memory(file) as memory, progress("deciding anew"):
        receipt = memory.revoke(source, by=by)
    if as_json:
        print_json(receipt)
    else:
        click.echo(f"revoked {source}; nothing that it said counts or comes back from recall")


@click.command()
@file_argument
@click.argument("source", type=Named())
@by_option
@json_option
def reinstate(file: str, source: str, by: str, as_json: bool) -> None:
    """Take a revoked SOURCE back in, with all that it ever said."""
    with open_memory(file) as memory, progress("deciding anew"):
        receipt = memory.reinstate(source, by=by)
    if as_json:
        print_json(receipt)
    else:
        click.echo(f"reinstated {source}; what it said counts again")


def _right(right: Right) -> str:
    """Return a right as a verb."""
    return {"read": "read", "write": "write to", "directive": "state instructions in"}[right]
