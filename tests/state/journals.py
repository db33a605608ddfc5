"""Journals as histories make them: what a state staged, in order, for tests that replay it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from holdfast.errors import HoldfastError
from holdfast.state.access import Grant
from holdfast.state.aliases import Use
from holdfast.state.asked import Asked, Note, Operation, Place, Revoke
from holdfast.state.automaton import Automaton, Declare, Step
from holdfast.state.documents import Edit
from holdfast.state.fold import Draft, State
from holdfast.state.journal import Entry
from holdfast.state.records import STANCES, Claim, Trust
from holdfast.state.slots import slot_of

GATE = Automaton(
    "gate", ("shut", "open"), "shut", (("shut", "push", "open"), ("open", "pull", "shut"))
)
_subjects = st.sampled_from(["Ana", "the pot"])
_scopes = st.sampled_from(["", "team"])

claims = st.builds(
    Claim, _subjects, st.sampled_from(["lives_in", "likes", "dislikes"]),
    st.sampled_from(["Lisbon", "Porto", "the Rome"]), scope=_scopes,
    stance=st.sampled_from(STANCES), inferred=st.booleans(),
    kind=st.sampled_from(["fact", "fact", "instruction"]),
    why_it_matters=st.none() | st.sampled_from(["rent", "work"]),
    aliases=st.lists(st.sampled_from(["home", "flat", "nest"]), max_size=2).map(tuple),
    confidence=st.sampled_from([1.0, 0.5]),
    valid_from=st.none() | st.sampled_from([-5.0, 3.0, 20.0, 900.0]),
    valid_until=st.none() | st.sampled_from([950.0, 1e6]),
)  # fmt: skip
_values = st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=2)
edits = st.one_of(
    st.builds(Edit, st.sampled_from(["desk", "plan"]), _scopes, st.just("put"), _values),
    st.builds(Edit, st.sampled_from(["desk", "plan"]), _scopes, st.just("merge"), _values),
    st.builds(Edit, st.just("desk"), _scopes, st.just("delete")),
    st.builds(
        Edit, st.just("desk"), _scopes, st.just("patch"),
        st.just([{"op": "replace", "path": "/a", "value": 9}]),
    ),
)  # fmt: skip
moves = st.just(Declare(GATE, "")) | st.builds(
    Step, st.just("gate"), st.just(""), st.sampled_from(["push", "pull"])
)
uses = st.builds(
    lambda claim, query, helpful: Use(
        slot_of(claim, claim.scope).key, query, "", 0, 0, 0.0, helpful
    ),
    claims, st.sampled_from(["where is her nest", "the nest in Lisbon", "old haunt"]),
    st.booleans(),
)  # fmt: skip
others = st.one_of(
    st.builds(Grant, st.sampled_from(["ana", "bo"]), st.just("read"), _scopes, st.booleans()),
    st.builds(Revoke, st.sampled_from(["web", "bo"]), st.booleans()),
    st.builds(Note, st.sampled_from(["snapshot", "erase"]), st.just("x")),
)
operations: st.SearchStrategy[Operation] = st.one_of(claims, claims, edits, moves, uses, others)
told = st.tuples(
    operations, st.sampled_from(["ana", "bo", "web"]), st.sampled_from(list(Trust)), st.booleans()
)
tellings = st.lists(told, max_size=25)


@dataclass
class Journal:
    """A state that is told things, one event each, and every entry that came of it."""

    state: State = field(default_factory=State)
    entries: list[Entry] = field(default_factory=list)
    seq: int = 0

    def tell(self, one: Operation, source: str = "ana", trust: int = 2, late: bool = False) -> bool:
        """Whether it may be done; then it is."""
        self.seq += 1
        at = float(self.seq - 3 if late else self.seq)
        promoted = "b1.0" if isinstance(one, Claim) and one.confidence == 0.5 and late else None
        place = Place(self.seq, at, float(self.seq), "", b"it was said")
        draft = Draft()
        try:
            staged = self.state.stage(draft, Asked((one,), source, trust, promoted), place)
        except HoldfastError:
            assert not draft.entries
            return False
        self.state.apply(staged)
        self.entries += staged
        return True


def journal(several: list[Any]) -> Journal:
    made = Journal()
    for one in several:
        made.tell(*one)
    return made


def picture(state: State) -> dict[str, Any]:
    """Everything that can be asked of a state, numbers included."""
    documents = {
        (scope, name): [
            (d.version, d.value, d.recorded_at, d.seq, d.deleted)
            for d in state.documents.history(name, scope)
        ]
        for scope in ("", "team")
        for name in ("desk", "plan")
    }
    return {
        "hash": state.hash(),
        "beliefs": [b for slot, _ in sorted(state.statements()) for b in state.of(slot)],
        "documents": documents,
        "gate": [(s.version, s.state, s.seq) for s in state.automata.history("gate", "")],
        "aliases": state.aliases.canonical(),
        "credit": state.credit.canonical(),
        "grants": state.access.grants(),
        "revoked": state.revoked,
        "entries": list(state.entries.items()),
    }
