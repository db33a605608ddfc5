"""What the shell may offer for an argument: memories, snapshots of one, policies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from holdfast.registry import RETENTION

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SUFFIX = ".holdfast"


class MemoryFile(click.Path):
    """The path of a memory; shells offer the memories of a folder, and folders to look into."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return memories(incomplete)


def memories(incomplete: str) -> list[CompletionItem]:
    """Return the memories whose paths begin so, and that folders may be looked into."""
    from click.shell_completion import CompletionItem

    folder, _ = os.path.split(incomplete)
    found = [os.path.join(folder, name) for name in _memories(folder or ".")]
    items = [CompletionItem(path) for path in found if path.startswith(incomplete)]
    return [CompletionItem(incomplete, type="dir"), *items]


def snapshots(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the snapshots of the memory that was named before; it need not be opened for that."""
    file = ctx.params.get("file") or next(iter(ctx.args), None)  # an option still lacks its value
    if file is None:
        return []
    names = (name.removesuffix(SUFFIX) for name in _memories(f"{os.path.realpath(file)}-snapshots"))
    return [name for name in names if name.startswith(incomplete)]


def policies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the retention policies that have a name of their own."""
    return sorted(name for name in RETENTION if name.startswith(incomplete))


def _memories(folder: str) -> list[str]:
    """Return the names in a folder that memories have; none if it cannot be read."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(name for name in names if name.endswith(SUFFIX) and _is_text(name))


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8; no memory is opened under another."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False
