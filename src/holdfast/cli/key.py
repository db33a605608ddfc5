"""`holdfast key`: the keys of a folder that is served."""

from __future__ import annotations

import os
import re
import time
from typing import cast

import click

from holdfast.cli.common import json_option, print_json, show_time
from holdfast.service.callers import LEVELS, May
from holdfast.service.keys import Key, Keys

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType):  # type: ignore[type-arg]  # older releases of click have none
    """A span of time, as ``90d``, ``12h``, ``30m`` or ``45s``; the value is in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is no span of time; write it like 90d, 12h or 30m", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


root_argument = click.argument("root", type=click.Path(file_okay=False))
id_argument = click.argument("id")


@click.group()
def key() -> None:
    """Make, list, replace and revoke the keys of a served folder."""


@key.command("create")
@root_argument
@click.option("--label", default="", help="What it is for, in words.")
@click.option(
    "--may",
    type=click.Choice(LEVELS),
    default="write",
    show_default=True,
    help="read; write, too; or govern: grant, erase, roll back, resize.",
)
@click.option(
    "--memory",
    "memories",
    multiple=True,
    default=("*",),
    show_default=True,
    help="A memory it is good for, * for any; more than once for several.",
)
@click.option("--principal", help="Who it speaks as, and whose scope it sees; left out: the owner.")
@click.option("--expires", type=Duration(), help="After how long, as 90d; left out: never.")
@json_option
def create(
    root: str,
    label: str,
    may: str,
    memories: tuple[str, ...],
    principal: str | None,
    expires: float | None,
    as_json: bool,
) -> None:
    """Make a key for the memories under ROOT. It is shown once and kept only as a hash."""
    os.makedirs(root, exist_ok=True)
    made, token = Keys(root).create(
        label, may=cast(May, may), memories=memories, principal=principal, ttl_s=expires
    )
    _print_made(made, token, as_json)


@key.command("list")
@root_argument
@json_option
def list_(root: str, as_json: bool) -> None:
    """List the keys of ROOT: who they are for and what they may do, never the keys themselves."""
    found, now = Keys(root).all(), time.time()
    if as_json:
        print_json([_told(one) for one in found])
        return
    for one in found:
        who = one.principal or "the owner"
        until = "for ever" if one.expires_at is None else f"until {show_time(one.expires_at)} UTC"
        if one.expired(now):
            until = f"expired {show_time(one.expires_at or now)} UTC"
        label = f"  {one.label}" if one.label else ""
        click.echo(f"{one.id}  {one.may:6}  {', '.join(one.memories)}  as {who}  {until}{label}")
    if not found:
        closed = Keys(root).begun
        click.echo("no keys" if closed else "no keys: on this machine everybody is the owner")


@key.command("rotate")
@root_argument
@id_argument
@click.option("--grace", type=Duration(), default="0s", help="How long the old one still holds.")
@json_option
def rotate(root: str, id: str, grace: float, as_json: bool) -> None:
    """Make a new key with the rights of key ID of ROOT, which then ends."""
    made, token = Keys(root).rotate(id, grace_s=grace)
    _print_made(made, token, as_json)


@key.command("revoke")
@root_argument
@id_argument
@json_option
def revoke(root: str, id: str, as_json: bool) -> None:
    """End key ID of ROOT at once."""
    Keys(root).revoke(id)
    if as_json:
        print_json({"revoked": id})
    else:
        click.echo(f"key {id} is worth nothing from now on")
        if not Keys(root).all():
            click.echo("it was the last: nobody is let in until you make another", err=True)


def _told(one: Key) -> dict[str, object]:
    """A key as it may be shown."""
    return {
        "id": one.id,
        "label": one.label,
        "may": one.may,
        "memories": one.memories,
        "principal": one.principal,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
    }


def _print_made(made: Key, token: str, as_json: bool) -> None:
    if as_json:
        print_json({**_told(made), "key": token})
        return
    click.echo(token)
    click.echo(f"key {made.id} is shown this once; keep it safe", err=True)
