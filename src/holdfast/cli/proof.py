"""`holdfast verify`, `new-key`, `checkpoint`, `prove` and `erase`: proof, and removal."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.common import (
    AT_LEAST_1,
    by_option,
    confirm,
    counted,
    file_argument,
    json_option,
    open_memory,
    print_json,
    progress,
    read_text,
    yes_option,
)
from holdfast.cli.failures import fail
from holdfast.errors import AuditError
from holdfast.wire.plain import plain

if TYPE_CHECKING:
    from holdfast.api.audit import ErasureReceipt, Signed
    from holdfast.memory import Memory

path_type = click.Path(exists=True, dir_okay=False)


@click.command()
@file_argument
@click.option("--note", type=path_type, help="A checkpoint that was kept: the log must extend it.")
@click.option(
    "--key", "keys", multiple=True, metavar="VKEY", help="A public key that may have signed it."
)
@json_option
def verify(file: str, note: str | None, keys: tuple[str, ...], as_json: bool) -> int:
    """Read everything back and check it against its checksums. Exit code 3: it does not hold.

    With --note, check that the log still begins with what an earlier `holdfast checkpoint` fixed,
    and with --key that one of these keys signed that.
    """
    if keys and note is None:
        raise click.UsageError("--key says who may have signed a --note; give one")
    with open_memory(file) as memory, progress("reading everything back"):
        found = memory.verify()
        broken = None if note is None else _broken(memory, note, keys)
    if as_json:
        problems = [*found.problems, *([broken] if broken else [])]
        print_json({**plain(found), "ok": not problems, "problems": problems})
    elif found.ok:
        click.echo(f"ok: {found.events:,} events in {found.blocks:,} blocks match their checksums")
    if note is not None and not broken and not as_json:
        signed = ", which a trusted key signed" if keys else ""
        click.echo(f"ok: the log extends the checkpoint in {note}{signed}")
    code = 0
    if not found.ok:
        message = f"{file} has {counted(len(found.problems), 'problem')}"
        hint = f"save what can be read with: holdfast export {file} OUT.jsonl"
        code = fail(
            3, "CorruptStoreError", message, hint, as_json=as_json, details=found.problems
        )  # fmt: skip
    if broken:
        message = f"{note} does not vouch for {file}: {broken}"
        hint = "check that note, key and file belong together"
        code = fail(3, "AuditError", message, hint, as_json=as_json)
    return code


@click.command("new-key")
@click.argument("name")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False), help="Where the private key goes."
)
@json_option
def new_key(name: str, out: str, as_json: bool) -> None:
    """Make an Ed25519 key called NAME that signs checkpoints; print its public half.

    Keep the file to yourself, and give the public key (a vkey) to whoever is to verify.
    """
    from holdfast.trust.note import new_key as make

    try:
        private, public = make(name)
    except AuditError as wrong:
        raise click.UsageError(str(wrong)) from None
    with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(private + "\n")
    if as_json:
        print_json({"name": name, "key": public, "out": out})
    else:
        click.echo(public)


@click.command()
@file_argument
@click.option("--key-file", type=path_type, help="Sign it with the key that `new-key` made.")
@click.option("--out", type=click.Path(dir_okay=False), help="Where to write it; else it is shown.")
@click.option("--list", "listing", is_flag=True, help="List the checkpoints that are kept instead.")
@json_option
def checkpoint(
    file: str, key_file: str | None, out: str | None, listing: bool, as_json: bool
) -> None:
    """Fix what the log is now by its Merkle root, and sign it if there is a key.

    Keep what this prints somewhere else: `holdfast verify --note` checks the memory against it.
    """
    with open_memory(file) as memory:
        if listing:
            kept = memory.checkpoints()
        else:
            key = None if key_file is None else read_text(key_file).strip()
            with progress("hashing"):
                made = memory.checkpoint(key)
    if listing:
        if as_json:
            print_json([checkpoint_json(one) for one in kept])
            return
        for one in kept:
            signed = "  signed" if one.note else ""
            click.echo(f"{counted(one.checkpoint.size, 'event'):>14}  {_base64(one)}{signed}")
        if not kept:
            click.echo(f"no checkpoints; make one with: holdfast checkpoint {file}")
        return
    text = made.note or made.checkpoint.text()
    if out is not None:
        Path(out).write_text(text, "utf-8")
    if as_json:
        print_json(checkpoint_json(made))
    elif out is None:
        click.echo(text, nl=False)
    else:
        signed = "signed checkpoint" if made.note else "checkpoint"
        click.echo(f"wrote a {signed} of {counted(made.checkpoint.size, 'event')} to {out}")


@click.command()
@file_argument
@click.argument("seq", type=AT_LEAST_1)
@click.option("--size", type=AT_LEAST_1, help="In the log of this size: that of a checkpoint.")
@json_option
def prove(file: str, seq: int, size: int | None, as_json: bool) -> None:
    """Prove that event SEQ is in the log: its leaf, and the hashes from there to the root."""
    with open_memory(file) as memory, progress("hashing"):
        found = memory.prove(seq, size)
        origin = memory.audit_origin
    if as_json:
        print_json({**plain(found), "origin": origin})
        return
    click.echo(f"e{seq} is leaf {found.index:,} of {found.size:,} in {origin}")
    click.echo(f"leaf  {found.leaf.hex()}")
    for step in found.path:
        click.echo(f"  +   {step.hex()}")
    click.echo(f"root  {found.root.hex()}")


@click.command()
@file_argument
@click.option(
    "--event", "events", type=AT_LEAST_1, multiple=True, metavar="SEQ", help="This event."
)
@click.option("--scope", help="Everything in this scope and inside it.")
@click.option("--subject", help="Beliefs about it, what they rest on, and events that name it.")
@click.option("--source", help="What this speaker, role or channel said; case matters.")
@by_option
@yes_option
@json_option
def erase(
    file: str,
    events: tuple[int, ...],
    scope: str | None,
    subject: str | None,
    source: str | None,
    by: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove all that any of these options names from every table, page and snapshot.

    It cannot be undone. Forks and other copies are yours to erase. The receipt says what went.
    """
    named = [f"event {seq}" for seq in events]
    named += [] if scope is None else [f"scope {scope!r}" if scope.strip("/") else "EVERYTHING"]
    named += [] if subject is None else [f"subject {subject!r}"]
    named += [] if source is None else [f"source {source!r}"]
    if not named:
        raise click.UsageError("say what to erase: --event, --scope, --subject or --source")
    with open_memory(file) as memory:
        copies = len(memory.snapshots())
        beside = f" and its {counted(copies, 'snapshot')}" if copies else ""
        confirm(f"Erase {', '.join(named)} from {file}{beside}? It cannot be undone", yes)
        with progress("erasing"):
            receipt = memory.erase(
                event=events, scope=scope, subject=subject, source=source, by=by
            )  # fmt: skip
    if as_json:
        print_json({**plain(receipt), "snapshots": dict(receipt.snapshots)})
    else:
        _tell_receipt(receipt)


def checkpoint_json(made: Signed) -> dict[str, Any]:
    """Return a checkpoint as JSON, with its text or signed note."""
    checkpoint: dict[str, Any] = plain(made.checkpoint)
    return {**checkpoint, "signed": bool(made.note), "note": made.note or made.checkpoint.text()}


def _broken(memory: Memory, path: str, keys: tuple[str, ...]) -> str | None:
    """Return why a checkpoint in a file, signed or not, does not hold; None: it does."""
    from holdfast.trust.note import Checkpoint

    note = read_text(path)
    if not keys and "\n\n" in note:
        raise click.UsageError("the note is signed; name the public key that you trust by --key")
    try:
        if keys:
            memory.check_note(note, *keys)
        else:
            memory.prove_extends(Checkpoint.parse(note))
    except AuditError as wrong:
        return str(wrong)
    return None


def _tell_receipt(receipt: ErasureReceipt) -> None:
    """Print what an erasure removed and what proves it."""
    events, changes = counted(receipt.events, "event"), counted(receipt.entries, "change")
    click.echo(f"erased {events} and {changes} of state")
    for name, erased in receipt.snapshots:
        click.echo(f"  and {counted(erased, 'event')} from snapshot {name}")
    size = counted(receipt.size, "event")
    click.echo(f"recorded as e{receipt.seq}; the log of {size} has the root")
    click.echo(f"  {receipt.root.hex()}")
    if receipt.leaves:
        click.echo("leaves that stay in it, and tell nothing without their salts:")
    for leaf in receipt.leaves:
        click.echo(f"  {leaf.hex()}")


def _base64(made: Signed) -> str:
    return base64.b64encode(made.checkpoint.root).decode("ascii")
