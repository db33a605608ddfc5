"""Putting what a reader found into a memory: checked before any is stored; once, however often."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from holdfast.codec import content_bytes, digest
from holdfast.errors import IdempotencyError, InvalidClaimError, InvalidEventError, NotFoundError
from holdfast.exchange import Progress, known_keys, refuse_conflict
from holdfast.interchange.base import CHANNEL, Found, Item, Stated, in_words
from holdfast.interchange.formats import FORMATS, LOSSLESS, detect, reader
from holdfast.interchange.source import Source
from holdfast.memory import Memory
from holdfast.records import Event, Tier
from holdfast.state.records import Claim, Trust
from holdfast.write import admit

_AS_IT_IS = "jsonl"  # the format whose events have channels and keys of their own
_TEXTUAL = (_AS_IT_IS, "markdown")  # formats that are no JSON document

_Mark = tuple[str, str | None, bytes, int | None]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `known` counts events and beliefs that an earlier one had stored."""

    format: str
    events: int
    known: int = 0
    beliefs: int = 0


def load(
    memory: Memory,
    source: Source,
    form: str = "auto",
    *,
    scope: str = "",
    progress: Progress = None,
) -> Imported:
    """Import what another program remembers.

    Parameters
    ----------
    source
        An open file; see `opened`.
    form
        A name from `FORMATS`, or "auto".
    scope
        A scope to put everything into.
    progress
        Is told how many events and beliefs are stored.

    Returns
    -------
    Imported

    Raises
    ------
    InvalidEventError
        Naming the place of what is not as the format has it, or breaks a rule of this memory; or if
        a format that was named finds nothing in a source that says something. Nothing is stored.
    UnknownNameError
        If there is no such format.

    Notes
    -----
    The source is read twice: once to check all of it, once to store it. If the storing itself is
    cut short (a full disk, a crash), what came before stays stored; a second run adds what is
    missing, and lines of "jsonl" that have no key are stored again by it. Events keep their times,
    come by the channel "import" (so nothing is read from them as said by the people the memory is
    for) and have keys made from the source's ids and what they say; fields that an event has no
    place for are in its metadata. Records without any text are left out. What is kept already, at
    whatever tier, is not stored again. Beliefs are `Trust.UNTRUSTED`, stated by the name of the
    format. Events of "jsonl" are stored as they are, with their own keys or none. Linear in the
    source and in what is kept.

    Examples
    --------
    >>> import io, os, tempfile
    >>> dump = b'{"results": [{"id": "7", "memory": "Likes tea", "user_id": "ana"}]}'
    >>> path = os.path.join(tempfile.mkdtemp(), "ana.holdfast")
    >>> with Memory.open(path, budget="1 MiB") as memory:
    ...     print(load(memory, Source(io.BytesIO(dump))))
    ...     print(load(memory, Source(io.BytesIO(dump))))
    ...     print([(record.event.scope, record.text) for record in memory.log()])
    Imported(format='mem0', events=1, known=0, beliefs=0)
    Imported(format='mem0', events=0, known=1, beliefs=0)
    [('user/ana', 'Likes tea')]
    """
    return prepare(memory, source, form, scope=scope).store(progress)


def prepare(memory: Memory, source: Source, form: str = "auto", *, scope: str = "") -> Prepared:
    """The first half of `load`: everything is checked and counted, and nothing stored."""
    named = form != "auto"
    form = form if named else detect(source)
    if form == LOSSLESS:
        raise InvalidEventError(
            "a lossless export makes a memory of its own; import it into a file that is not there "
            "yet (holdfast.exchange.restore)"
        )
    read = reader(form)

    def items() -> Iterator[Item]:
        return (_settled(item, form, scope.strip("/")) for item in read(source))

    keys = known_keys(memory._store) if form == _AS_IT_IS else None
    found = Prepared(memory, form, items, *_check(memory, items, keys))
    if named and not found.events + found.beliefs:
        _refuse_other(source, form)
    return found


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source that was checked, ready to be stored; it must still be open."""

    memory: Memory
    format: str
    items: Callable[[], Iterator[Item]]
    events: int
    beliefs: int

    def store(self, progress: Progress = None) -> Imported:
        """Store it."""
        known = Counter[_Mark]() if self.format == _AS_IT_IS else _kept(self.memory)
        before = known.total()
        fresh = (
            item.event for item in self.items() if isinstance(item, Found) and _is_new(item, known)
        )
        stored = self.memory.observe_many(fresh, progress)
        again = stored.duplicates + before - known.total()
        done = Imported(self.format, stored.events - stored.duplicates, again)
        if not self.beliefs:
            return done
        return _believe(self.memory, self.items(), done, progress)


def _refuse_other(source: Source, form: str) -> None:
    """Raise `InvalidEventError` if a source in which a format finds nothing is of another."""
    if form in _TEXTUAL or not _says_something(source.document):
        return  # each line of these is found, or refused
    try:
        other = detect(source)
    except InvalidEventError:
        advice = f"name the format that it is in: {', '.join(FORMATS)}"
    else:
        if other == form:
            return
        advice = f"it looks like {other!r}: say so, or 'auto'"
    what = in_words(source.document)
    if isinstance(source.document, (list, dict)):
        what += f" of {len(source.document)}"
    raise InvalidEventError(f"{form!r} finds nothing to import in it ({what}); {advice}")


def _says_something(value: Any) -> bool:
    """Whether there is a text, a number or a true in a JSON value: an empty page has none."""
    found = [value]  # not by recursion: it may be nested deeply
    while found:
        one = found.pop()
        if isinstance(one, (list, dict)):
            found += one.values() if isinstance(one, dict) else one
        elif one:
            return True
    return False


def _settled(item: Item, form: str, scope: str) -> Item:
    """An item in its scope, with a key that is the same whenever the source says the same."""
    if isinstance(item, Stated):
        claim = replace(item.claim, scope=_inside(scope, item.claim.scope or ""))
        return replace(item, claim=claim, id=_key(form, item.id, claim))
    event = replace(item.event, scope=_inside(scope, item.event.scope))
    if form != _AS_IT_IS:
        event = replace(event, key=_key(form, item.id, event))
    return replace(item, event=event)


def _inside(scope: str, inner: str) -> str:
    return "/".join(filter(None, (scope, inner.strip("/"))))


def _key(form: str, id: str, said: Event | Claim) -> str:
    text = repr((id, said)).encode("utf-8", "surrogatepass")
    return f"{form}:{hashlib.blake2b(text, digest_size=16).hexdigest()}"


def _check(
    memory: Memory, items: Callable[[], Iterator[Item]], keys: dict[bytes, bytes] | None
) -> tuple[int, int]:
    """Refuse what breaks a rule before anything is stored; how many events and beliefs."""
    largest, events, beliefs = memory._store.largest_event(), 0, 0
    place = "the beginning"
    try:
        for item in items():
            place = item.place
            if isinstance(item, Stated):
                beliefs += 1  # its reader made sure that it stands
                continue
            events += 1
            try:
                content = admit(item.event, largest)
                if keys is not None:  # ours cannot be in conflict: they are made from the body
                    refuse_conflict(keys, item.event, content)
            except InvalidEventError as error:
                raise InvalidEventError(f"{item.place}: {error}") from None
    except RecursionError:
        raise InvalidEventError(f"{place} or what follows it is nested too deeply") from None
    return events, beliefs


# ---- once, however often -----------------------------------------------------------------------


def _kept(memory: Memory) -> Counter[_Mark]:
    """Imported events that are kept, at whatever tier: what is lowered loses its key."""
    found = Counter[_Mark]()
    for record in memory.log():
        if record.event.channel == CHANNEL:
            one = record.event
            for at in (one.at, None):  # a source may say no times
                found[_mark(one, record.digest, at)] += 1
    return found


def _mark(event: Event, digested: bytes, at: float | None) -> _Mark:
    return event.scope, event.speaker, digested, None if at is None else round(at * 1e6)


def _is_new(item: Found, known: Counter[_Mark]) -> bool:
    """Whether an event is not kept yet; as many of those that are alike as there are."""
    event = item.event
    mark = _mark(event, digest(content_bytes(event.content)), event.at)
    if known[mark] <= 0:
        return True
    known[mark] -= 1
    return False


# ---- beliefs -----------------------------------------------------------------------------------


def _believe(memory: Memory, items: Iterator[Item], done: Imported, progress: Progress) -> Imported:
    """State what a source states, each belief resting on the event that says so, if it is kept."""
    events: dict[str | None, int] = {}
    newest = 0
    for record in memory.log():
        newest = record.seq
        if record.tier == Tier.VERBATIM and record.event.channel == CHANNEL:
            events[record.event.key] = newest
    keys: dict[str, str | None] = {}
    stored, known = 0, 0
    for item in items:
        if isinstance(item, Found):
            keys[item.id] = item.event.key
            continue
        proof = events.get(keys.get(item.rests_on))
        new = _state(memory, item, done.format, proof, newest)
        stored, known = stored + new, known + (not new)
        if progress is not None:
            progress(done.events + stored)
    return replace(done, beliefs=stored, known=done.known + known)


def _state(memory: Memory, item: Stated, by: str, proof: int | None, newest: int) -> bool:
    """Whether a belief was stated now, and not by an earlier import."""
    claim = item.claim
    try:
        receipt = memory.believe(
            claim.subject, claim.predicate, claim.value, scope=claim.scope or "",
            many=claim.many, valid_from=claim.valid_from, valid_until=claim.valid_until,
            evidence=() if proof is None else (proof,), by=by, trust=Trust.UNTRUSTED,
            at=item.at, key=item.id,
        )  # fmt: skip
    except (NotFoundError, InvalidClaimError):
        if proof is None:
            raise
        # The event it rests on made room for beliefs before this one, or is lowered.
        return _state(memory, item, by, None, newest)
    except IdempotencyError:  # stated before, on an event that is kept no more
        return False
    return receipt.seq > newest
