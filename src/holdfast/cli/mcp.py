"""`holdfast mcp`: a memory for a client that speaks the Model Context Protocol."""

from __future__ import annotations

import contextlib

import click

from holdfast.cli.common import budget_option, file_argument
from holdfast.models.extras import need


@click.command()
@file_argument
@budget_option
@click.option(
    "--principal", metavar="NAME", help="Whom the client speaks for, as agent/bo; it has a seat."
)
@click.option("--read-only", is_flag=True, help="It may recall, but store nothing.")
def mcp(file: str, budget: str | None, principal: str | None, read_only: bool) -> None:
    """Serve FILE over MCP on standard input and output, until the input ends.

    MCP clients start this; `holdfast setup` tells them how. A new FILE gets a budget of 64 MiB
    unless another is given. Any number of clients may have the same FILE. An interrupt ends it as
    the end of the input does.
    """
    with contextlib.suppress(KeyboardInterrupt):  # before or after it listens for one itself
        need("holdfast.mcp.stdio", "mcp").serve(
            file, budget=budget, principal=principal, read_only=read_only
        )
