"""What people see of state: beliefs, timelines, changes, differences. Plain when nobody looks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from holdfast.api.history import Difference, Snapshot
from holdfast.budget import format_bytes
from holdfast.cli.common import counted, show_time, show_when
from holdfast.state.automaton import State
from holdfast.state.documents import Document
from holdfast.state.records import Belief, Change

MARKS = {"asserted": "●", "inferred": "◐", "disputed": "◌", "ended": "○"}
COLOURS = {"asserted": "green", "inferred": "cyan", "disputed": "yellow", "ended": "bright_black"}
ACTIONS = {
    "add": "believed",
    "confirm": "confirmed",
    "supersede": "believed, in place of {retired}",
    "dispute": "disputed: somebody who is trusted more says otherwise",
    "retract": "retracted",
    "ignore": "nothing changed",
}
TINTS = {"add": "green", "supersede": "green", "dispute": "yellow", "retract": "red"}
WIDEST = 32  # cells that a value may push what follows it to the right
QUOTED = 88  # characters of a piece of evidence


def console() -> Console:
    """Return a console that leaves the breaking of lines to the terminal."""
    return Console(highlight=False, soft_wrap=True)


def standing(belief: Belief) -> str:
    """Return what a belief is now: asserted, inferred, disputed or ended."""
    if belief.status == "disputed":
        return "disputed"
    return belief.status if belief.current else "ended"


def mark(belief: Belief) -> Text:
    """Return the dot before a belief, by its standing."""
    found = standing(belief)
    return Text(MARKS[found], style=COLOURS[found])


def fate(belief: Belief) -> str:
    """Return what became of a belief, in words."""
    if belief.status == "disputed":
        return "disputed"
    if belief.superseded_by:
        corrected = belief.status == "retracted"
        return f"{'corrected' if corrected else 'superseded'} by {belief.superseded_by}"
    if belief.status == "retracted":
        return "retracted"
    if not belief.current:
        return "ended"
    return "inferred" if belief.status == "inferred" else "held"


def span(belief: Belief) -> str:
    """Return when it was so, as far as is known."""
    if belief.valid_until is None:
        return f"since {show_when(belief.valid_from)}"
    return f"{show_when(belief.valid_from)} – {show_when(belief.valid_until)}"


def by_whom(belief: Belief) -> str:
    """Return who says so; nothing if nobody is named."""
    named = [source for source in belief.sources if source]
    return f"by {', '.join(named)}" if named else ""


def aside(*words: str) -> Text:
    """Return what is of less weight on a line, each after two spaces."""
    return Text("".join(f"  {word}" for word in words if word), style="dim")


def belief_line(belief: Belief) -> Text:
    """Return a belief on one line, with when, whence and where it holds."""
    line = Text.assemble(mark(belief), (f" {belief.id}", "bold"), f"  {belief.text}")
    kind = "" if belief.kind == "fact" else belief.kind
    word = fate(belief)
    cited = " ".join(f"[{piece.citation}]" for piece in belief.evidence)
    word = "" if word == "held" else word
    return line + aside(kind, word, span(belief), by_whom(belief), cited, belief.scope)


def print_beliefs(beliefs: Sequence[Belief]) -> None:
    """Print beliefs, one on a line, and why they matter below."""
    out = console()
    for belief in beliefs:
        out.print(belief_line(belief))
        if belief.why_it_matters:
            out.print(Text(f"    {belief.why_it_matters}", style="dim italic"))
    if not beliefs:
        out.print("nothing is held that matches")


def print_timeline(beliefs: Sequence[Belief]) -> None:
    """Print the past of a subject: for each predicate its values in order of valid time."""
    out = console()
    if not beliefs:
        out.print("nothing is recorded about it")
    ends = [(show_when(b.valid_from), _end(b)) for b in beliefs]
    first, last = (max((len(pair[n]) for pair in ends), default=0) for n in (0, 1))
    value = min(WIDEST, max((len(b.value) for b in beliefs), default=0))
    rows = zip(beliefs, ends, strict=True)
    for (subject, predicate), group in itertools.groupby(
        rows, key=lambda row: (row[0].subject, row[0].predicate)
    ):
        out.print(Text(f"{subject} {predicate.replace('_', ' ')}", style="bold"))
        for belief, (start, end) in group:
            when = f"  {start:<{first}} – {end:<{last}}  "
            line = Text.assemble((when, "dim"), mark(belief), f" {belief.value:<{value}}")
            what = "" if belief.kind == "fact" else belief.kind
            out.print(line + aside(belief.id, fate(belief), by_whom(belief), what, belief.scope))
            for piece in belief.evidence:
                quote = " ".join(piece.quote.split())
                quote = quote if len(quote) <= QUOTED else quote[: QUOTED - 1] + "…"
                indent = " " * (first + last + 9)
                out.print(Text(f"{indent}{piece.citation}  “{quote}”", style="dim"))


def _end(belief: Belief) -> str:
    return "" if belief.valid_until is None else show_when(belief.valid_until)


def print_outcome(change: Change, beliefs: Iterable[Belief]) -> None:
    """Print what a claim did, the belief it did it to, and those that ended with it."""
    out = console()
    word = ACTIONS.get(change.action, change.action).format(retired=", ".join(change.retired))
    said = Text.assemble((word, TINTS.get(change.action, "")), aside(f"recorded as e{change.seq}"))
    out.print(said)
    for belief in beliefs:
        out.print(belief_line(belief))


def change_line(change: Change) -> Text:
    """Return one change of state as a watcher sees it."""
    if change.action == "gap":
        return Text(f"changes up to e{change.seq} are no longer kept", style="yellow")
    word, said = _said(change)
    ends = f"ends {', '.join(change.retired)}" if change.retired else ""
    return Text.assemble(
        (f"e{change.seq}.{change.n}", "bold"),
        (f"  {show_time(change.at)}  ", "dim"),
        (word, TINTS.get(word, "cyan")),
        f" {said}".rstrip(),
        aside(ends, change.scope),
    )


def _said(change: Change) -> tuple[str, str]:
    """Return what was done, as a verb, and to what."""
    told, what = change.detail, change.what
    if "subject" in told:
        text = f"{told['subject']} {told['predicate'].replace('_', ' ')} {told['value']}"
        return change.action, f"{what}  {text.strip()}"
    match change.action:
        case "document":
            return str(told.get("form", "change")), f"document {what}"
        case "declare":
            return "declare", f"automaton {what}"
        case "step":
            return "step", f"automaton {what}: {told.get('event', '')}"
        case "grant":
            verb = "grant" if told.get("given", True) else "withdraw"
            return verb, f"{told.get('right', '')} to {what}"
        case "revoke":
            return ("revoke" if told.get("revoked", True) else "reinstate"), what
        case "erase":
            gone = (told.get("events", 0), "event"), (told.get("entries", 0), "change")
            return "erase", ", ".join(counted(*one) for one in gone)
    return change.action.replace("_", " "), what


def print_difference(found: Difference) -> None:
    """Print what differs between two moments, as a patch reads: + began, - ended, ~ changed."""
    out = console()
    for belief in found.ended:
        out.print(_row("-", f"{belief.id}  {belief.text}", belief.scope))
    for belief in found.began:
        out.print(_row("+", f"{belief.id}  {belief.text}", belief.scope))
    for (scope, name), patch in sorted(found.documents.items()):
        if patch is None:
            out.print(_row("-", f"document {name}", scope))
            continue
        out.print(_row("~", f"document {name}", scope))
        for step in patch:
            out.print(Text(f"    {json.dumps(step, ensure_ascii=False)}", style="dim"))
    for (scope, name), (before, after) in sorted(found.automata.items()):
        moved = f"automaton {name}: {before or 'absent'} → {after or 'absent'}"
        out.print(_row("~", moved, scope))
    if not (found.began or found.ended or found.documents or found.automata):
        out.print("no belief, document or automaton differs")
    counts = (
        f"{found.events_added:,} recorded, {found.events_gone:,} no longer kept, "
        f"{found.events_lowered:,} kept at a lower tier"
    )
    out.print(Text(f"events: {counts}", style="dim"))


def _row(sign: str, words: str, scope: str) -> Text:
    """Return a line of a difference."""
    colour = {"+": "green", "-": "red", "~": "yellow"}[sign]
    return Text.assemble((f"{sign} {words}", colour), aside(scope))


def print_document(found: Document) -> None:
    """Print a document with a line that says what it is."""
    out = console()
    out.print(document_line(found))
    if not found.deleted:
        out.print_json(json.dumps(found.value, ensure_ascii=False), indent=2)


def document_line(found: Document) -> Text:
    """Return the line above a document: name, version, when."""
    gone = "deleted" if found.deleted else ""
    return Text.assemble(
        (found.name, "bold"),
        f"  version {found.version}",
        aside(gone, show_time(found.recorded_at), f"e{found.seq}", found.scope),
    )


def automaton_line(found: State) -> Text:
    """Return an automaton on one line: where it is, and what may happen next."""
    legal = f"next: {', '.join(found.events)}" if found.events else "no event is legal"
    return Text.assemble(
        (found.automaton.name, "bold"),
        "  in ",
        (found.state, "green" if found.final else "cyan"),
        aside("done" if found.final else "", legal, found.scope),
    )


def print_steps(states: Sequence[State]) -> None:
    """Print the way an automaton went."""
    out = console()
    for found in states:
        how = f"{found.event} → " if found.event else "declared: "
        who = ", ".join(source for source in found.sources if source)
        by = f"by {who}" if who else ""
        out.print(_version(found.version, found.recorded_at, how + found.state, found.seq, by))


def print_documents(versions: Sequence[Document]) -> None:
    """Print the versions of a document, one on a line."""
    out = console()
    for found in versions:
        value = "deleted" if found.deleted else json.dumps(found.value, ensure_ascii=False)
        value = value if len(value) <= QUOTED else value[: QUOTED - 1] + "…"
        out.print(_version(found.version, found.recorded_at, value, found.seq))


def _version(number: int, at: float, words: str, seq: int, by: str = "") -> Text:
    """Return the line of one version of something."""
    return Text.assemble((f"{number:>4}  {show_time(at)}  ", "dim"), words, aside(f"e{seq}", by))


def snapshot_line(found: Snapshot) -> Text:
    """Return a snapshot on one line."""
    return Text.assemble(
        (found.name, "bold"),
        f"  {show_time(found.at)}",
        aside(f"up to e{found.seq}", format_bytes(found.nbytes)),
    )
