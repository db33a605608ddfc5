"""`holdfast setup`: tells an MCP client about a memory, and can take it back."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import click

from holdfast.cli.candidates import MemoryFile
from holdfast.cli.common import json_option, print_json
from holdfast.models.extras import need
from holdfast.setup.clients import (
    CLIENTS,
    NAME,
    OURS,
    TOKEN,
    Client,
    Local,
    Machine,
    Remote,
    Server,
)
from holdfast.setup.files import Change, apply, install, undo


@click.command()
@click.argument("client", type=click.Choice(list(CLIENTS)), metavar="CLIENT")
@click.option("--file", type=MemoryFile(), help=f"The memory. [~/{OURS}]")
@click.option("--url", help="A Holdfast server instead, such as https://host/mcp.")
@click.option(
    "--project",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    metavar="DIR",
    help="For this project only; the file can be shared, and the memory is in DIR/.holdfast.",
)
@click.option("--undo", "undoing", is_flag=True, help="Take it out again.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def setup(
    client: str,
    file: str | None,
    url: str | None,
    project: Path | None,
    undoing: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Tell an MCP client about a memory: one entry in its configuration.

    CLIENT is claude-code, claude-desktop, cursor, vscode or codex. All else in its file stays as it
    is, and so does the file that was there, beside it. Doing it twice is doing it once. Without
    --url, the client starts 'holdfast mcp', which needs the extra mcp.
    """
    if sum((file is not None, url is not None, undoing)) > 1:
        raise click.UsageError("--file, --url and --undo exclude each other; say one of them")
    chosen, machine = CLIENTS[client], _machine()
    project = project and _whole(project)
    path = chosen.file(machine, project)
    server = None if undoing else _server(chosen, machine, file, url, project)
    change = undo(chosen, path) if server is None else install(chosen, path, server)
    if not dry_run:
        apply(change)
    if as_json:
        print_json(_told(change, dry_run))
    else:
        click.echo("\n".join(_lines(chosen, change, dry_run, server, project)))


def _machine() -> Machine:
    codex = os.environ.get("CODEX_HOME")
    return Machine(Path.home(), platform.system(), Path(codex) if codex else None)


def _whole(path: Path) -> Path:
    """A path from the root, links left as they are."""
    return Path(os.path.abspath(path))


def _server(
    client: Client, machine: Machine, file: str | None, url: str | None, project: Path | None
) -> Server:
    """The server to name. Raises `MissingExtraError` if it is one that could not start."""
    if url is not None:
        return Remote(url)
    need("holdfast.mcp.stdio", "mcp")
    path = _whole(Path(file)) if file else (project or machine.home) / OURS
    named = str(path) if project is None else client.inside(path, project)
    return Local(_command(shared=project is not None), ("mcp", named))


def _command(*, shared: bool) -> str:
    """How to start Holdfast: by where it is, since desktop programs search few folders.

    A file that is shared with a project has its name alone, since it is elsewhere for others.
    """
    beside = Path(sys.executable).with_name("holdfast")
    found = str(beside) if beside.exists() else shutil.which("holdfast")
    return "holdfast" if shared or found is None else found


def _told(change: Change, dry_run: bool) -> dict[str, object]:
    after = change.after
    return {
        "path": str(change.path),
        "changed": change.needed and not dry_run,
        "backup": str(change.backup) if change.needed and _kept(change) else None,
        "content": after.decode() if after is not None and dry_run else None,
    }


def _kept(change: Change) -> bool:
    """Whether there was something to keep."""
    return change.backup is not None and change.before is not None


def _lines(
    client: Client, change: Change, dry_run: bool, server: Server | None, project: Path | None
) -> list[str]:
    """What was done, and what is left to do."""
    would = "would be " if dry_run else ""
    if not change.needed:
        return [f"{change.path} has it already; nothing to do"]
    if server is None:
        what = "removed" if change.after is None else "restored" if change.done_with else "edited"
        return [f"{change.path} {would}{what}; {client.title} no longer knows {NAME}"]
    lines = [f"{NAME} {would}written to {change.path}"]
    if _kept(change):
        lines.append(f"what was there {would}kept in {change.backup}")
    if isinstance(server, Remote):
        lines.append(f"put the token into the environment of {client.title} as {TOKEN}")
    elif project is not None and os.path.isabs(server.arguments[-1]):
        lines.append(f"who shares that file needs a memory at {server.arguments[-1]}, too")
    elif project is not None:
        lines.append("what is remembered is not for sharing: keep the memory out of git")
    lines.append(f"start {client.title} again for it to be seen")
    return lines
