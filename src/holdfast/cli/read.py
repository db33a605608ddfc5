"""`holdfast recall`, `why-not` and `log`: what a memory still knows."""

from __future__ import annotations

import itertools

import click

from holdfast.cli.common import (
    AT_LEAST_0,
    AT_LEAST_1,
    Time,
    as_of_option,
    file_argument,
    json_option,
    open_memory,
    pretty,
    print_json,
    scopes_option,
    too_few,
    valid_at_option,
)


@click.command()
@file_argument
@click.argument("query")
@click.option(
    "--tokens",
    type=AT_LEAST_1,
    default=1000,
    show_default=True,
    help="The most the context may hold.",
)
@scopes_option
@click.option("--since", type=Time(), help="Only what happened at this time or later.")
@click.option("--until", type=Time(), help="Only what happened before this time.")
@click.option("--before", type=AT_LEAST_1, metavar="SEQ", help="Only events before this one.")
@as_of_option
@valid_at_option
@click.option(
    "--limit", type=AT_LEAST_1, default=50, show_default=True, help="Matches to consider."
)
@click.option("--speaker", help="Who asks: what a message goes on from is theirs, too.")
@click.option(
    "--explain", is_flag=True, help="Give each entry's score by part, and what is missing."
)
@json_option
def recall(
    file: str,
    query: str,
    tokens: int,
    scope: tuple[str, ...],
    since: float | None,
    until: float | None,
    before: int | None,
    as_of: float | None,
    valid_at: float | None,
    limit: int,
    speaker: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Return cited, byte-exact context for QUERY, within a budget of tokens.

    Standard output is exactly the text a model should be given, unless a person is looking; it is
    empty if there is none.
    """
    with open_memory(file) as memory:
        context = memory.recall(
            query,
            tokens=tokens,
            scope=scope,
            since=since,
            until=until,
            before=before,
            as_of=as_of,
            valid_at=valid_at,
            limit=limit,
            speaker=speaker,
            explain=explain,
        )
    if as_json:
        print_json(context)
    elif pretty() or explain:
        from holdfast.cli.render import print_context

        print_context(context, explain=explain)
    elif context.text:
        click.echo(context.text)
    elif context.omissions:
        click.echo(f"hint: {too_few(context)}", err=True)


@click.command("why-not")
@file_argument
@click.argument("seq", type=AT_LEAST_1)
@click.argument("query")
@click.option(
    "--tokens",
    type=AT_LEAST_1,
    default=1000,
    show_default=True,
    help="The token budget to explain for.",
)
@scopes_option
@as_of_option
@valid_at_option
@json_option
def why_not(
    file: str,
    seq: int,
    query: str,
    tokens: int,
    scope: tuple[str, ...],
    as_of: float | None,
    valid_at: float | None,
    as_json: bool,
) -> None:
    """Say why event SEQ did not come back for QUERY."""
    with open_memory(file) as memory:
        reason = memory.why_not(
            seq, query, tokens=tokens, scope=scope, as_of=as_of, valid_at=valid_at
        )
    if as_json:
        print_json({"seq": seq, "query": query, "reason": reason})
    else:
        click.echo(reason)


@click.command()
@file_argument
@click.option(
    "--after",
    type=AT_LEAST_0,
    default=0,
    show_default=True,
    metavar="SEQ",
    help="Only events after it.",
)
@click.option("--limit", type=AT_LEAST_0, help="At most so many events.")
@scopes_option
@as_of_option
@valid_at_option
@json_option
def log(
    file: str,
    after: int,
    limit: int | None,
    scope: tuple[str, ...],
    as_of: float | None,
    valid_at: float | None,
    as_json: bool,
) -> None:
    """Print what is kept, in the order it was stored; with --json one object a line."""
    with open_memory(file) as memory:
        kept = memory.log(after, scope=scope, as_of=as_of, valid_at=valid_at)
        records = itertools.islice(kept, limit)
        if as_json:
            for record in records:
                print_json(record)
            return
        from holdfast.cli.render import print_record

        for record in records:
            print_record(record)
