"""The command line: each command parses, calls `Memory` and renders; nothing is decided here.

Exit codes::

    0    done
    1    it failed; the error line says why
    2    the command line itself is wrong
    3    the file is corrupt, or `verify`, a proof or a signature does not hold
    4    the input breaks a rule of events, beliefs or state; nothing was stored
    5    no room: the budget is too small, or the disk is full
    6    busy: another process holds the memory; try again
    7    a conflict: another version, state or name than the command went out from
    8    not allowed: a right is missing
    130  interrupted
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `arguments` default to the process's own."""
    from holdfast.cli.root import run

    return run(arguments)
