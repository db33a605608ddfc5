"""State: everything that is held true, as the fold of its journal."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from holdfast.codec import digest
from holdfast.errors import AccessError
from holdfast.records import Scope
from holdfast.state.access import Access, Grant
from holdfast.state.aliases import Aliases, Use
from holdfast.state.aliases import from_json as use_from
from holdfast.state.aliases import to_json as use_to
from holdfast.state.asked import OPS, Asked, Note, Place, Revoke, as_json
from holdfast.state.automaton import Automata, Declare, Step
from holdfast.state.automaton import State as AutomatonState
from holdfast.state.credit import Credit
from holdfast.state.documents import Document, Documents, Edit
from holdfast.state.index import BeliefHit, BeliefIndex
from holdfast.state.journal import MOST_PER_EVENT, SINCE, Entry, bind, claim_to, statement
from holdfast.state.query import Query
from holdfast.state.reconcile import Line, Outcome, Statement, settle
from holdfast.state.records import Belief, Claim
from holdfast.state.slots import Slot, plain, slot_of
from holdfast.state.wording import shared

_REVOCABLE = frozenset({"claim", "document", "declare", "step", "use", "grant"})


@dataclass
class Draft:
    """Entries that a transaction is about to record, laid over a state that has not changed."""

    entries: list[Entry] = field(default_factory=list)
    _slots: dict[Slot, Line] = field(default_factory=dict)

    def add(self, slot: Slot, said: Statement, known: Mapping[Slot, Line]) -> Outcome:
        """Lay one more statement over those of a slot; what it does there."""
        line = self._slots.get(slot)
        if line is None:
            line = known[slot].copy() if slot in known else Line(slot)
            self._slots[slot] = line
        return line.add(said)


class State:
    """Beliefs, documents, automata, grants and usage, folded from entries.

    Not safe for threads: its owner holds a lock.
    """

    def __init__(
        self, entries: Iterable[Entry] = (), _revoked: frozenset[str] = frozenset()
    ) -> None:
        self.revoked = _revoked  # sources that are left out
        self.entries: dict[int, Entry] = {}  # by their ids, in order
        self.documents = Documents()
        self.automata = Automata()
        self.access = Access()
        self.aliases = Aliases()
        self.credit = Credit()
        self._slots: dict[Slot, Line] = {}
        self._slot_of: dict[str, Slot] = {}  # of each statement, by its id
        self._cited: dict[int, set[Slot]] = defaultdict(set)  # slots that rest on an event
        self._settled: dict[Slot, tuple[Belief, ...]] = {}
        self._index: BeliefIndex | None = None  # made when it is first asked
        self._indexed: dict[Slot, list[str]] = {}
        self.apply(entries)

    def __len__(self) -> int:
        return len(self.entries)

    # ---- writing ---------------------------------------------------------------------------

    def stage(self, draft: Draft, asked: Asked, place: Place) -> list[Entry]:
        """What some operations will record, laid over what `draft` has; this state stays as it is.

        Raises
        ------
        ConflictError, PatchError, TransitionError, InvalidClaimError
            If one of them may not be done; then `draft` is as it was.
        """
        staged = []
        for n, one in enumerate(asked.operations):
            if isinstance(one, Claim):
                staged.append(self._stage_claim(draft, one, n, asked, place))
            else:
                staged.append(self._stage_other(one, n, asked, place))
        draft.entries += staged
        return staged

    def _stage_claim(self, draft: Draft, one: Claim, n: int, asked: Asked, place: Place) -> Entry:
        scope = place.scope if one.scope is None else one.scope
        claim = bind(one, place.seq, place.content, digest(place.content))
        body = claim_to(claim) | ({"x": 1} if asked.read else {})
        if asked.promoted:
            others = self._answering(asked.promoted) - {asked.source}
            body |= {"pr": asked.promoted} | ({"o": sorted(others)} if others else {})
        if asked.source in self.revoked:
            return _entry(place, n, asked, scope, "claim", body, "ignore", "")
        slot = slot_of(claim, scope)
        said = statement(_entry(place, n, asked, scope, "claim", body))
        outcome = draft.add(slot, said, self._slots)
        return _entry(
            place, n, asked, scope, "claim", body,
            outcome.action, outcome.belief, outcome.retired,
        )  # fmt: skip

    def _answering(self, id: str) -> set[str]:
        """Who answers for all that a current belief rests on: without them it would not be."""
        slot = self._slot_of.get(id)
        for belief, grounds in self._slots[slot].standing() if slot is not None else ():
            if id in (belief.id, *(one.id for one in grounds)):
                return set.intersection(*(set(self.entry(one).sources) for one in grounds))
        return set()

    def _stage_other(
        self,
        one: Edit | Declare | Step | Grant | Note | Revoke | Use,
        n: int,
        asked: Asked,
        place: Place,
    ) -> Entry:
        scope, what = place.scope, ""
        if asked.source in self.revoked and OPS[type(one)] in _REVOCABLE:
            raise AccessError(f"{asked.source!r} was revoked; reinstate it first")
        if isinstance(one, Edit):
            self.documents.check(one)
            scope, what = one.scope, one.name
        elif isinstance(one, (Declare, Step)):
            self.automata.check(one)
            scope, what = one.scope, one.name
        elif isinstance(one, Grant):
            self.access.check(one)
            scope, what = one.scope, one.principal
        elif isinstance(one, Revoke):
            what = one.source
        elif isinstance(one, Note):
            return _entry(place, n, asked, scope, one.action, one.to_json(), one.action, one.what)
        else:
            return self._stage_use(one, n, asked, place)
        op = OPS[type(one)]
        return _entry(place, n, asked, scope, op, as_json(one), op, what)

    def _stage_use(self, use: Use, n: int, asked: Asked, place: Place) -> Entry:
        """A use of what its slot holds, and the words that were no news then."""
        found = self.of(Slot.of(use.slot))
        used = next((one for one in found[::-1] if one.current), found[-1] if found else None)
        what, known = (used.id, used.text) if used else ("", "")
        body = use_to(use) | {"k": shared(use.query, known)}
        return _entry(place, n, asked, place.scope, "use", body, "use", what)

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take over entries that are recorded, in the order of the journal."""
        for entry in entries:
            self.entries[entry.id] = entry
            if self.leaves_out(entry):
                continue
            if entry.op == "claim":
                self._take_claim(entry)
            else:
                self._take_other(entry)

    def leaves_out(self, entry: Entry) -> bool:
        """Whether an entry is recorded but does not count: one of its sources was revoked."""
        return entry.op in _REVOCABLE and not self.revoked.isdisjoint(entry.sources)

    def drop(self, ids: Iterable[int]) -> None:
        """Forget entries whose absence changes nothing that is held, and uses; see `compact`."""
        relearn = False
        for id in ids:
            entry = self.entries.pop(id, None)
            if entry is None:
                continue
            relearn = relearn or entry.op == "use" or "pr" in entry.body
            if entry.op != "claim":
                continue
            said = statement(entry)
            slot = self._slot_of.pop(said.id, None)
            if slot is None:
                continue  # of a revoked source
            self._slots[slot].remove(said)
            self._settled.pop(slot, None)
            if not self._slots[slot].said:
                del self._slots[slot]
            if self._index is not None:
                self._reindex(slot)
        if relearn:
            self._relearn()

    def _relearn(self) -> None:
        """Learn aliases and credit anew, from the entries that are left."""
        self.aliases, self.credit, self._index = Aliases(), Credit(), None
        for entry in self.entries.values():
            if self.leaves_out(entry):
                continue
            if entry.op == "use":
                self._take_use(entry)
            elif entry.op == "claim" and "pr" in entry.body:
                self.credit.promoted(f"b{entry.seq}.{entry.n}", entry.source)

    def replace(self, entries: Iterable[Entry]) -> None:
        """Put entries in the place of those with their ids that they stand for."""
        for entry in entries:
            self.entries[entry.id] = entry

    def statements(self) -> Iterator[tuple[Slot, list[Statement]]]:
        """Every slot, and what was ever said about it."""
        yield from ((slot, line.said) for slot, line in self._slots.items())

    def entry(self, said: Statement) -> Entry:
        """The entry of a statement."""
        return self.entries[said.seq * MOST_PER_EVENT + said.n]

    def compact_versions(self, room: int) -> Iterator[tuple[Entry, list[int]]]:
        """Drop the older half of the versions of each document and automaton, while there is room
        for the entries that stand for them.

        Yields the entry that stands for them, and the ids of those that may go.
        """
        found: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
        for entry in self.entries.values():
            if entry.op in ("document", "declare", "step"):
                fold = "document" if entry.op == "document" else "automaton"
                found[fold, entry.scope, entry.what].append(entry)
        for (fold, scope, name), entries in found.items():
            held = self.documents if fold == "document" else self.automata
            versions = held.history(name, scope)
            middle = versions[len(versions) // 2] if len(versions) > 1 else None
            if middle is None or (size := _size_of(middle)) > room:
                continue
            room -= size
            base = held.compact(name, scope, middle.version)
            if base is None:
                continue
            old = next(e for e in entries if (e.seq, e.n) == (base.seq, base.n))
            op = OPS[type(base)]
            gone = [entry.id for entry in entries if entry.id < old.id]
            since = min(entry.body.get(SINCE, entry.seq) for entry in entries)
            body = base.to_json() | {SINCE: since}
            yield replace(old, op=op, body=body, source=base.source), gone

    def _take_claim(self, entry: Entry) -> None:
        said = statement(entry)
        slot = slot_of(said.claim, entry.scope)
        line = self._slots.get(slot)
        if line is None:
            line = self._slots[slot] = Line(slot)
        line.add(said)
        self._slot_of[said.id] = slot
        for piece in said.claim.evidence:
            self._cited[piece.seq].add(slot)
        self._settled.pop(slot, None)
        if "pr" in entry.body:
            self.credit.promoted(said.id, entry.source)
        if self._index is not None:
            self._reindex(slot)

    def _take_other(self, entry: Entry) -> None:
        journal = {
            "seq": entry.seq, "n": entry.n, "recorded_at": entry.recorded_at,
            "source": entry.source,
        }  # fmt: skip
        match entry.op:
            case "document":
                self.documents.apply(Edit.from_json(entry.body, **journal))
            case "declare":
                self.automata.apply(Declare.from_json(entry.body, **journal))
            case "step":
                self.automata.apply(Step.from_json(entry.body, **journal))
            case "grant":
                self.access.apply(Grant.from_json(entry.body))
            case "use":
                self._take_use(entry)
            case "revoke":
                self._revoke(str(entry.body["s"]), bool(entry.body["r"]))

    def _revoke(self, source: str, revoked: bool) -> None:
        """Fold everything anew without what a source did, or with it again."""
        if revoked == (source in self.revoked):
            return
        entries, sources = dict(self.entries), self.revoked ^ {source}
        self.__dict__.update(State(_revoked=sources).__dict__)
        self.apply(entry for entry in entries.values() if entry.op != "revoke")
        self.entries = entries

    def _take_use(self, entry: Entry) -> None:
        self.credit.used(entry.what, entry.source, bool(entry.body["h"]))
        for key in _learn(self.aliases, entry):
            slot = Slot.of(key)
            if self._index is not None and slot in self._slots:
                self._reindex(slot)

    # ---- beliefs ---------------------------------------------------------------------------

    def belief(self, id: str) -> Belief | None:
        """A belief by its id, or by the id of any claim that it rests on."""
        slot = self._slot_of.get(id)
        if slot is None:
            return None
        found = self.of(slot)
        exact = next((belief for belief in found if belief.id == id), None)
        return exact or next((b for b in found if id in self._ids(slot, b)), None)

    def slot(self, id: str) -> Slot | None:
        """The slot of a belief."""
        return self._slot_of.get(id)

    def _ids(self, slot: Slot, belief: Belief) -> set[str]:
        rival = (plain(belief.value), belief.predicate)
        return {
            said.id
            for said in self._slots[slot].said
            if (plain(said.claim.value), said.claim.predicate) == rival
        }

    def of(self, slot: Slot) -> tuple[Belief, ...]:
        """Every belief of a slot, in order of valid time."""
        known = self._settled.get(slot)
        if known is None:
            line = self._slots.get(slot)
            known = self._settled[slot] = line.beliefs() if line is not None else ()
        return known

    def beliefs(self, query: Query) -> Iterator[Belief]:
        """Every belief that is wanted, history included, by slot and valid time."""
        for slot in sorted(slot for slot in self._slots if query.sees(slot)):
            found = self.of(slot) if query.timeless else self._as_known(slot, query)
            yield from (belief for belief in found if query.wants(belief))

    def _as_known(self, slot: Slot, query: Query) -> tuple[Belief, ...]:
        return settle(slot, [said for said in self._slots[slot].said if query.knew(said)])

    def search(
        self, text: str, query: Query, at: float, limit: int = 10, past: bool = False
    ) -> list[BeliefHit]:
        """The beliefs of a time that match some words, best first; see `BeliefIndex.search`.

        `past` says that the time is one at which something may have held that ended since; then,
        and for a past state of the record, an index is made for the occasion: O(beliefs).
        """

        def visible(scope: str) -> bool:
            return any(Scope(one).covers(scope) for one in query.scopes)

        if not past and query.timeless:
            index = self._ready_index()
        else:
            index, aliases = BeliefIndex(history=True), self._aliases_at(query)
            for belief in self.beliefs(query):
                if belief.holds(at):
                    index.put(belief, aliases.of(self._slot_of[belief.id].key))
        return index.search(text, visible=visible, limit=limit, at=at)

    def _aliases_at(self, query: Query) -> Aliases:
        """What had been learnt when the record stood as a query asks."""
        if query.timeless:
            return self.aliases
        past = Aliases()
        for entry in self.entries.values():
            if entry.op == "use" and query.knew(entry) and not self.leaves_out(entry):
                _learn(past, entry)
        return past

    def _ready_index(self) -> BeliefIndex:
        if self._index is None:
            self._index, self._indexed = BeliefIndex(), {}
            for slot in self._slots:
                self._reindex(slot)
        return self._index

    def _reindex(self, slot: Slot) -> None:
        assert self._index is not None
        for id in self._indexed.pop(slot, ()):
            self._index.remove(id)
        current = [belief for belief in self.of(slot) if belief.current]
        for belief in current:
            self._index.put(belief, self.aliases.of(slot.key))
        if current:
            self._indexed[slot] = [belief.id for belief in current]

    def cited(self) -> Iterable[int]:
        """Every event that a claim of the journal quotes."""
        return self._cited.keys()

    def resting_on(self, seq: int) -> tuple[Belief, ...]:
        """Every belief with evidence in an event, history included."""
        slots = self._cited.get(seq, ())
        return tuple(
            belief
            for slot in sorted(slots)
            for belief in self.of(slot)
            if any(piece.seq == seq for piece in belief.evidence)
        )

    # ---- the whole -------------------------------------------------------------------------

    def after(self, seq: int, n: int = -1) -> Sequence[Entry]:
        """The entries recorded after one place of the journal."""
        ids = list(self.entries)
        return [self.entries[id] for id in ids[bisect_right(ids, seq * MOST_PER_EVENT + n) :]]

    def without(self, drop: Callable[[Entry], bool]) -> State:
        """The state as if some entries had never been; O(entries)."""
        return State(entry for entry in self.entries.values() if not drop(entry))

    def canonical(self) -> dict[str, Any]:
        """Everything that is held, and on what grounds, without the numbers of its events."""
        every = chain.from_iterable(self.of(slot) for slot in sorted(self._slots))
        return {
            "beliefs": [_canonical(belief) for belief in every],
            "documents": self.documents.canonical(),
            "automata": self.automata.canonical(),
            "access": self.access.canonical(),
            "aliases": _aliases(self.aliases),
        }

    def hash(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _entry(
    place: Place,
    n: int,
    asked: Asked,
    scope: str,
    op: str,
    body: Mapping[str, Any],
    action: str = "",
    what: str = "",
    retired: tuple[str, ...] = (),
) -> Entry:
    return Entry(
        place.seq, n, place.at, place.recorded_at, asked.source, asked.trust, scope, op, body,
        action, what, retired,
    )  # fmt: skip


def _size_of(version: Document | AutomatonState) -> int:
    """Bytes of an entry that stands for a version and all before it, at the most."""
    whole = version.value if isinstance(version, Document) else version.automaton.to_json()
    return 512 + len(json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _learn(aliases: Aliases, entry: Entry) -> tuple[str, ...]:
    """Take in a use; the slots that it bears on."""
    use = use_from(entry.body)
    use = replace(use, seq=entry.seq, n=entry.n, at=entry.at, by=entry.source)
    return aliases.learn(use, entry.body.get("k", ""))


def _canonical(belief: Belief) -> list[Any]:
    return [
        belief.scope, belief.subject, belief.predicate, belief.value, belief.kind, belief.status,
        belief.trust, belief.sources, belief.valid_from, belief.valid_until,
        belief.why_it_matters, sorted(belief.aliases), belief.confidence,
        sorted([piece.digest.hex(), piece.start, piece.end] for piece in belief.evidence),
    ]  # fmt: skip


def _aliases(aliases: Aliases) -> Any:
    """What was learnt, without the numbers of the events it was learnt from."""
    learnt = json.loads(aliases.canonical())
    return {
        slot: {phrase: counts[:-2] for phrase, counts in held.items()}
        for slot, held in learnt.items()
    }
