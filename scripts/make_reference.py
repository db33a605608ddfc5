"""Write the generated tables of the documentation, or check that they are as they should be.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. Run it without arguments to
write, with ``--check`` to compare (exit code 1: out of date).
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from holdfast import cli, errors, operations, records, write
from holdfast.adapters import ADAPTERS
from holdfast.api.audit import ErasureReceipt, Signed
from holdfast.api.history import Difference, Snapshot
from holdfast.budget import format_bytes
from holdfast.cli.failures import FAILURES
from holdfast.cli.root import SECTIONS
from holdfast.ledger.records import Forgotten, Loss, LossTotals, Move
from holdfast.registry import RETENTION, load
from holdfast.server.openapi import describe
from holdfast.service.call import offered
from holdfast.state import admit
from holdfast.state.access import Grant
from holdfast.state.automaton import Automaton, State
from holdfast.state.documents import Document
from holdfast.state.patch import MAX_BYTES
from holdfast.state.reconcile import RULES
from holdfast.state.records import Belief, Change, Claim, Evidence
from holdfast.stores import space
from holdfast.trust.log import Proof
from holdfast.trust.note import Checkpoint

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def commands() -> str:
    """Return a table of the commands, by section as `holdfast --help` shows them."""
    rows = ["| command | what it does |", "|---|---|"]
    for title, section in SECTIONS.items():
        rows.append(f"| **{title}** | |")
        rows += [f"| `holdfast {name}` | {line} |" for name, (_, line) in section.items()]
    return "\n".join(rows) + "\n"


def exit_codes() -> str:
    """Return a table of the exit codes, as the command line's own docstring lists them."""
    found = re.findall(r"^    (\d+) +(.+)$", cli.__doc__ or "", re.MULTILINE)
    return (
        "\n".join(["| code | meaning |", "|---|---|", *(f"| {c} | {m} |" for c, m in found)]) + "\n"
    )


def exceptions() -> str:
    """Return a table of the exceptions, with the built-ins they also are and the exit code."""
    rows = ["| exception | also a | what happened | exit code |", "|---|---|---|---|"]
    for name, found in vars(errors).items():
        if not (isinstance(found, type) and issubclass(found, errors.HoldfastError)):
            continue
        also = [b.__name__ for b in found.__mro__ if b.__module__ == "builtins"]
        also = [n for n in also if n not in ("Exception", "BaseException", "object")]
        code = next(code for kind, code, _ in FAILURES if issubclass(found, kind))
        rows.append(
            f"| `{name}` | {', '.join(f'`{n}`' for n in also)} | {found.__doc__} | {code} |"
        )
    return "\n".join(rows) + "\n"


def values() -> str:
    """Return a table of the records that cross the boundary, with their fields."""
    own = (found for found in vars(records).values() if is_dataclass(found))
    return _records(found for found in own if found.__module__ == records.__name__)


def state_values() -> str:
    """Return the same of the records of state, of time, of proof and of losses."""
    return _records(
        (
            Claim, Belief, Evidence, Change, Document, Automaton, State, Grant, Snapshot,
            Difference, Checkpoint, Signed, Proof, ErasureReceipt, Loss, Move, LossTotals,
            Forgotten,
        )
    )  # fmt: skip


def _records(found: Iterable[type]) -> str:
    rows = ["| record | what it is | fields |", "|---|---|---|"]
    for kind in found:
        summary = (kind.__doc__ or "").partition("\n")[0]
        properties = [n for n, v in vars(kind).items() if isinstance(v, property)]
        names = [field.name for field in fields(kind)] + properties
        rows.append(f"| `{kind.__name__}` | {summary} | {', '.join(f'`{n}`' for n in names)} |")
    return "\n".join(rows) + "\n"


def limits() -> str:
    """Return a table of the limits."""
    largest, smallest = format_bytes(space.LARGEST_EVENT), format_bytes(space.SMALLEST_BUDGET)
    rows = (
        ("content of an event", f"1 byte to {largest}, and at most about a quarter of the budget"),
        (
            "speaker, role, channel, scope, key",
            f"{format_bytes(write.LABEL_BYTES)} each, as UTF-8",
        ),
        ("metadata", f"{format_bytes(write.METADATA_BYTES)} as JSON"),
        ("parents", f"{write.PARENTS:,} sequence numbers"),
        ("budget", f"at least {smallest}"),
        ("subject, predicate, alias, reason of a belief", f"{format_bytes(admit.NAME_BYTES)} each"),
        ("value of a belief", format_bytes(admit.VALUE_BYTES)),
        ("document", f"{format_bytes(MAX_BYTES)} as JSON"),
        ("time of an event", "before the year 10000"),
    )
    lines = [f"| {what} | {limit} |" for what, limit in rows]
    return "\n".join(["| what | limit |", "|---|---|", *lines]) + "\n"


def rules() -> str:
    """Return the rules by which claims are decided."""
    rows = ["| a claim says | its slot holds | its trust is | so it will |", "|---|---|---|---|"]
    for (stance, has, weighs), action in RULES.items():
        rows.append(f"| {stance} | {has} | {weighs} | **{action}** |")
    return "\n".join(rows) + "\n"


def policies() -> str:
    """Return a table of the retention policies: what each does and where it comes from."""
    rows = ["| name | what it does | after |", "|---|---|---|"]
    for name in sorted(RETENTION):
        text = inspect.getdoc(load("retention", name)) or ""
        papers = ", ".join(dict.fromkeys(ARXIV.findall(text)))
        rows.append(f"| `{name}` | {text.partition(chr(10))[0]} | {papers} |")
    return "\n".join(rows) + "\n"


def http() -> str:
    """Return a table of the paths of the HTTP API."""
    paths = describe()["paths"]
    rows = ["| path | methods | needs | what it does |", "|---|---|---|---|"]
    for path, methods in paths.items():
        verbs = [verb.upper() for verb in methods if verb in ("get", "put", "post")]
        told = methods[verbs[0].lower()]
        needs = next((op.effect for op in offered() if path.endswith(f"/{op.name}")), "")
        needs = needs or ("govern" if verbs == ["PUT"] else "read")
        rows.append(f"| `{path}` | {', '.join(verbs)} | {needs} | {told['summary']} |")
    return "\n".join(rows) + "\n"


def adapters() -> str:
    """Return a table of the adapters: what each is for and what installs it."""
    rows = ["| `from holdfast.adapters import` | extra |", "|---|---|"]
    rows += [f"| `{name}` | `{extra}` |" for name, (_, extra) in ADAPTERS.items()]
    return "\n".join(rows) + "\n"


def extras() -> str:
    """Return a table of what installing Holdfast, its extras and its peers brings along."""
    found = json.loads((ROOT / "docs" / "extras.json").read_text("utf-8"))
    rows = ["| install | packages | MiB |", "|---|---|---|"]
    for name, one in found.items():
        version = "" if name.startswith("holdfast") else f" {one['version']}"
        rows.append(f"| `{name}`{version} | {one['packages']} | {one['mib']:g} |")
    return "\n".join(rows) + "\n"


TABLES: Mapping[str, Callable[[], str]] = {
    "rules": rules,
    "operations": operations.markdown,
    "commands": commands,
    "exit_codes": exit_codes,
    "exceptions": exceptions,
    "records": values,
    "state_records": state_values,
    "limits": limits,
    "policies": policies,
    "http": http,
    "adapters": adapters,
    "extras": extras,
}


def renewed(text: str) -> str:
    """Return a page with its tables made anew."""
    return TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main(check: bool) -> int:
    """Write or check all pages."""
    stale = []
    for page in PAGES:
        text = page.read_text("utf-8")
        if (new := renewed(text)) != text:
            stale.append(page.relative_to(ROOT))
            if not check:
                page.write_text(new, "utf-8")
    for path in stale:
        print(f"{path}: {'out of date; run scripts/make_reference.py' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
