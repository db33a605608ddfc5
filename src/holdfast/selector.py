"""What an erasure takes along: which events and entries a selector names, and what rests on them.

An event takes along every claim that rests on it alone, the events that recorded those claims, and
the uses of what is then held no more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from holdfast.codec import Row, to_record
from holdfast.derive import terms
from holdfast.mirror import Mirror
from holdfast.records import KINDS, Record, Scope, Tier
from holdfast.state.journal import SINCE, Entry, statement
from holdfast.state.slots import plain, slot_of
from holdfast.trust.levels import source_of

LASTING = frozenset({"erase", "revoke"})
"""Operations whose entries stay when their events go: what was erased or revoked remains so."""
_STATE = KINDS.index("state")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True, slots=True)
class Selector:
    """What to erase: everything that any of these names."""

    events: frozenset[int] = frozenset()
    scope: str | None = None
    subject: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Doomed:
    """Events and journal entries to erase, by number."""

    seqs: frozenset[int] = frozenset()
    entries: frozenset[int] = frozenset()

    def __or__(self, other: Doomed) -> Doomed:
        return Doomed(self.seqs | other.seqs, self.entries | other.entries)


def select(mirror: Mirror, selector: Selector) -> Doomed:
    """Everything that a selector names, and all that rests on it alone. Linear in what is kept.

    Of events that are kept no more, the journal and the idempotency keys may still hold something:
    those named by number, and those that brought a doomed entry, are among the doomed.
    """
    state = mirror.state
    seqs = {seq for seq in selector.events if 0 < seq < mirror.next_seq}
    seqs |= {row.seq for row in mirror.rows() if _names(selector, row)}
    entries = {entry.id for entry in state.entries.values() if _names_entry(selector, entry)}
    if selector.subject is not None:
        for id in entries:
            seqs |= {piece[0] for piece in _evidence(state.entries[id])}
    entries |= {id for id, entry in state.entries.items() if _may_hold(mirror, entry, seqs)}
    changed = True
    while changed:
        changed = False
        for entry in state.entries.values():
            if entry.id not in entries and _falls(entry, seqs):
                entries.add(entry.id)
                changed = True
        for entry in _idle_uses(mirror, entries):
            entries.add(entry.id)
            changed = True
        for id in entries:
            seq = state.entries[id].seq
            if seq not in seqs and _goes_along(mirror, seq):
                seqs.add(seq)
                changed = True
    return Doomed(frozenset(seqs), frozenset(entries))


def _names(selector: Selector, row: Row) -> bool:
    if row.seq in selector.events:
        return True
    if selector.scope is not None and Scope(selector.scope).covers(row.who.scope):
        return True
    if selector.source is not None and source_of(row.who) == selector.source:
        return True
    return selector.subject is not None and _tells_of(selector.subject, to_record(row))


def _tells_of(subject: str, record: Record) -> bool:
    """Whether a name is anywhere in what is kept of an event."""
    event = record.event
    labels = (event.speaker, event.role, event.channel, event.scope, event.key)
    said = [record.text, *filter(None, labels), *_strings(dict(event.metadata))]
    if isinstance(event.content, bytes):
        said.append(event.content.decode("utf-8", "replace"))
    if any(mentions(subject, text) for text in said):
        return True
    stems = set(terms.words(subject))
    return record.tier == Tier.TRACE and bool(stems) and stems <= set(terms.words(record.text))


def _names_entry(selector: Selector, entry: Entry) -> bool:
    if entry.op in LASTING:
        return False
    if selector.scope is not None and Scope(selector.scope).covers(entry.scope):
        return True
    if selector.source is not None and selector.source in entry.sources:
        return True
    if selector.subject is None:
        return False
    said = (entry.scope, entry.what, *entry.sources, *_strings(entry.body))
    return any(mentions(selector.subject, text) for text in said)


def mentions(name: str, text: str) -> bool:
    """Whether a text has a name as a word of its own, whatever its case.

    Examples
    --------
    >>> mentions("Ana", "ANA's flat"), mentions("Ana", "bananas"), mentions("田中", "田中さんは")
    (True, False, True)
    """
    return _pattern(plain(name)).search(unicodedata.normalize("NFKC", text).casefold()) is not None


@lru_cache(maxsize=16)
def _pattern(bare: str) -> re.Pattern[str]:
    words = r"\s+".join(map(re.escape, bare.split()))
    before = "" if _is_unspaced(bare[0]) else r"(?<!\w)"
    after = "" if _is_unspaced(bare[-1]) else r"(?!\w)"
    return re.compile(f"{before}{words}{after}")


def _is_unspaced(character: str) -> bool:
    """Whether it is of a script that writes words without spaces between them, or with endings."""
    return unicodedata.name(character, "").startswith(_UNSPACED)


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def _falls(entry: Entry, seqs: set[int]) -> bool:
    """Whether an entry goes with some events: one of them brought it, or all it rests on goes."""
    if entry.op in LASTING:
        return False
    if entry.seq in seqs:
        return True
    evidence = _evidence(entry)
    return bool(evidence) and all(piece[0] in seqs for piece in evidence)


def _may_hold(mirror: Mirror, entry: Entry, seqs: set[int]) -> bool:
    """Whether an entry that stands for others may hold what one of some events brought.

    Which events those were is not kept: any may be one whose own entry is gone, and of which the
    log does not tell that it was another.
    """
    since = entry.body.get(SINCE, entry.seq)
    if since == entry.seq:
        return False
    left = {seq for seq in seqs if since <= seq < entry.seq}
    left -= {one.seq for one in mirror.state.entries.values()}
    return any(_may_tell_of(entry, mirror.row(seq)) for seq in left)


def _may_tell_of(entry: Entry, row: Row | None) -> bool:
    """Whether an event may have changed the document or automaton of an entry."""
    if row is None or row.kind != _STATE:
        return row is None
    return row.who.scope == entry.scope and entry.what in to_record(row).text


def _evidence(entry: Entry) -> Sequence[Any]:
    """The pieces of evidence of a claim, each with its event first."""
    return entry.body.get("e", ()) if entry.op == "claim" else ()


def _idle_uses(mirror: Mirror, entries: set[int]) -> list[Entry]:
    """Uses of slots about which nothing is left once some claims are gone."""
    every = mirror.state.entries.values()
    uses = [entry for entry in every if entry.op == "use" and entry.id not in entries]
    if not uses:
        return []
    claims = [entry for entry in every if entry.op == "claim"]
    gone = {_key(entry) for entry in claims if entry.id in entries}
    left = {_key(entry) for entry in claims if entry.id not in entries}
    return [entry for entry in uses if entry.body["s"] in gone - left]


def _key(claim: Entry) -> str:
    return slot_of(statement(claim).claim, claim.scope).key


def _goes_along(mirror: Mirror, seq: int) -> bool:
    """Whether the event of a doomed entry is nothing but a change of state, or is kept no more."""
    row = mirror.columns.find(seq)
    return row is None or int(mirror.columns.kind[row]) == _STATE
