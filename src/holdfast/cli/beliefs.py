"""`holdfast believe`, `retract`, `beliefs` and `history`: what is held to be true."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from holdfast.cli.common import (
    AT_LEAST_0,
    Time,
    as_of_option,
    budget_option,
    by_option,
    file_argument,
    json_option,
    open_memory,
    open_or_make,
    print_json,
    scope_option,
    scopes_option,
    valid_at_option,
)
from holdfast.errors import NotFoundError
from holdfast.state.records import BELIEF_KINDS, Belief, BeliefKind, Trust

if TYPE_CHECKING:
    from holdfast.api.beliefs import Wanted
    from holdfast.memory import Memory
    from holdfast.records import Receipt

evidence_option = click.option(
    "--evidence",
    "-e",
    multiple=True,
    metavar="CITATION",
    help="Where it was said, as e12 or e12[0:36]; more than once for more.",
)
many_option = click.option(
    "--many/--one",
    default=None,
    help="Whether there may be several values at once; by default as the predicate usually has it.",
)
trust_option = click.option(
    "--trust",
    type=click.Choice([level.name.lower() for level in Trust]),
    default="user",
    show_default=True,
    help="How far who says so is believed; never more than the evidence.",
)
at_option = click.option("--at", type=Time(), help="When it is said; by default now.")
key_option = click.option("--key", help="The same key with the same statement is one event.")


@click.command()
@file_argument
@click.argument("subject")
@click.argument("predicate")
@click.argument("value")
@click.option("--kind", type=click.Choice(BELIEF_KINDS), default="fact", show_default=True)
@click.option("--scope", default="", help="Where it holds.")
@evidence_option
@click.option("--why", help="Why it matters.")
@click.option("--alias", "aliases", multiple=True, help="Another word under which people ask.")
@click.option("--confidence", type=float, default=1.0, show_default=True, help="From 0 to 1.")
@click.option("--valid-from", type=Time(), help="When it began; by default now.")
@click.option("--valid-until", type=Time(), help="When it ceases to be so.")
@many_option
@click.option("--corrects", is_flag=True, help="What was held before never was so.")
@click.option("--inferred", is_flag=True, help="It is concluded, not said in so many words.")
@by_option
@trust_option
@at_option
@key_option
@budget_option
@json_option
def believe(
    file: str,
    subject: str,
    predicate: str,
    value: str,
    kind: BeliefKind,
    scope: str,
    evidence: tuple[str, ...],
    why: str | None,
    aliases: tuple[str, ...],
    confidence: float,
    valid_from: float | None,
    valid_until: float | None,
    many: bool | None,
    corrects: bool,
    inferred: bool,
    by: str,
    trust: str,
    at: float | None,
    key: str | None,
    budget: str | None,
    as_json: bool,
) -> None:
    """State that something is so: holdfast believe FILE Ana lives_in Porto.

    What it supersedes is closed and stays readable. Without --evidence the statement itself is
    recorded, and is the evidence.
    """
    with open_or_make(file, budget) as memory:
        receipt = memory.believe(
            subject,
            predicate,
            value,
            kind=kind,
            scope=scope,
            evidence=evidence,
            why_it_matters=why,
            aliases=aliases,
            confidence=confidence,
            valid_from=valid_from,
            valid_until=valid_until,
            many=many,
            corrects=corrects,
            inferred=inferred,
            by=by,
            trust=Trust[trust.upper()],
            at=at,
            key=key,
        )
        report(memory, receipt, as_json)


@click.command()
@file_argument
@click.argument("subject")
@click.argument("predicate")
@click.argument("value", default="")
@scope_option
@evidence_option
@many_option
@click.option("--valid-from", type=Time(), help="Since when it is no longer so; by default now.")
@by_option
@trust_option
@at_option
@key_option
@json_option
def retract(
    file: str,
    subject: str,
    predicate: str,
    value: str,
    scope: str,
    evidence: tuple[str, ...],
    many: bool | None,
    valid_from: float | None,
    by: str,
    trust: str,
    at: float | None,
    key: str | None,
    as_json: bool,
) -> None:
    """State that something is no longer so; without VALUE, whatever is held."""
    with open_memory(file) as memory:
        receipt = memory.retract(
            subject,
            predicate,
            value,
            scope=scope,
            evidence=evidence,
            many=many,
            valid_from=valid_from,
            by=by,
            trust=Trust[trust.upper()],
            at=at,
            key=key,
        )
        report(memory, receipt, as_json)


@click.command()
@file_argument
@click.argument("query", required=False)
@click.option("--subject", help="Only about this subject.")
@click.option("--predicate", help="Only with this predicate.")
@click.option("--kind", type=click.Choice(BELIEF_KINDS), help="Only of this kind.")
@scopes_option
@click.option(
    "--status",
    type=click.Choice(["current", "disputed", "retired", "all"]),
    default="current",
    show_default=True,
    help="What holds, what is said against it, what ended, or all; QUERY finds what holds only.",
)
@as_of_option
@valid_at_option
@click.option("--limit", type=AT_LEAST_0, default=100, show_default=True, help="At most so many.")
@json_option
def beliefs(
    file: str,
    query: str | None,
    subject: str | None,
    predicate: str | None,
    kind: BeliefKind | None,
    scope: tuple[str, ...],
    status: Wanted,
    as_of: float | None,
    valid_at: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """Return what is held to be true; with QUERY what matches it, best first.

    --as-of asks what was thought at a time, --valid-at what was so; both may be given.
    """
    with open_memory(file) as memory:
        found = memory.beliefs(
            query,
            subject=subject,
            predicate=predicate,
            kind=kind,
            scope=scope,
            status=status,
            as_of=as_of,
            valid_at=valid_at,
            limit=limit,
        )
    if as_json:
        print_json(found)
    else:
        from holdfast.cli.tell import print_beliefs

        print_beliefs(found)


@click.command()
@file_argument
@click.argument("subject")
@click.argument("predicate", required=False)
@scopes_option
@as_of_option
@json_option
def history(
    file: str,
    subject: str,
    predicate: str | None,
    scope: tuple[str, ...],
    as_of: float | None,
    as_json: bool,
) -> None:
    """Return all that was ever held about SUBJECT: since when, by whom, and what became of it."""
    with open_memory(file) as memory:
        found = memory.history(subject, predicate, scope=scope, as_of=as_of)
    if as_json:
        print_json(found)
    else:
        from holdfast.cli.tell import print_timeline

        print_timeline(found)


def report(memory: Memory, receipt: Receipt, as_json: bool) -> None:
    """Say what a change of state did to which beliefs."""
    if as_json:
        print_json(receipt)
        return
    from holdfast.cli.tell import print_outcome

    for change in receipt.changes:
        print_outcome(change, _touched(memory, change.what, change.retired))


def _touched(memory: Memory, what: str, retired: tuple[str, ...]) -> list[Belief]:
    """Return the belief that a change is about, and those that ended with it."""
    found = []
    for id in dict.fromkeys((what, *retired)):
        with suppress(NotFoundError):  # a claim that changed nothing made no belief
            found.append(memory.belief(id))
    return found
