"""Proof and erasure: checkpoints, inclusion, consistency; erase with a receipt; revoke a source."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from holdfast.api.base import Parts
from holdfast.commit import Committer
from holdfast.erase import ERASING, Erased, Mark, begin, erase, summary
from holdfast.errors import AuditError, InvalidEventError, NotFoundError
from holdfast.mirror import Mirror
from holdfast.records import Receipt, Tier
from holdfast.retain import Retainer
from holdfast.retention.oldest import Oldest
from holdfast.selector import Doomed, Selector, select
from holdfast.state.asked import Asked, Note, Revoke
from holdfast.state.records import Trust
from holdfast.state.slots import plain
from holdfast.stores.sqlite import SqliteStore
from holdfast.trust.log import Proof, checkpoints
from holdfast.trust.note import Checkpoint, open_note, sign
from holdfast.trust.tree import verify_consistency, verify_inclusion


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What an erasure removed, and what proves it.

    `leaves` are the audit log's leaves of the erased events that were kept whole until then; their
    salts are destroyed, so that nobody can tell what they stood for. `snapshots` has the events
    erased from each snapshot. `seq` is the event that records the erasure; `size` and `root` are
    the audit log's after it.
    """

    events: int
    entries: int
    snapshots: tuple[tuple[str, int], ...]
    leaves: tuple[bytes, ...]
    seq: int
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint, and the signed note that says it; empty if it was not signed."""

    checkpoint: Checkpoint
    note: str


class AuditApi(Parts):
    """The methods of a memory that are about proof and erasure."""

    def checkpoint(self, key: str | None = None) -> Signed:
        """Fix what the log is now: its size and the root of its Merkle tree.

        Parameters
        ----------
        key
            A private key from `holdfast.trust.note.new_key` to sign it with, named as
            `audit_origin` says or as you like. None: the checkpoint is not signed.

        Notes
        -----
        Keep it elsewhere: whoever can write to the file can rewrite all of it, but not so that an
        earlier checkpoint still fits. The memory keeps up to 64 itself and stays provable against
        those. O(events kept), about 3 µs each; writers wait.

        Raises
        ------
        MissingExtraError
            If it is to be signed and the `audit` extra is not installed.

        References
        ----------
        RFC 9162; C2SP tlog-checkpoint and signed-note.
        """
        with self._committer.still():
            size, audit = self._mirror.next_seq - self._mirror.audit.first, self._mirror.audit
            tree = audit.tree(self._mirror.rows(), self._mirror.next_seq)
            lines = (f"time {math.floor(self._clock())}", f"state {self._mirror.state.hash()}")
            made = Checkpoint(audit.origin, size, tree.root(), lines)
            note = sign(made.text(), key) if key else ""
            with self._store.transaction() as tx:
                audit.keep(tx, self._store, made, note)
                audit.thin(tx, self._store)
        return Signed(made, note)

    def checkpoints(self) -> list[Signed]:
        """The checkpoints that are kept, oldest first."""
        self._refresh()
        return [Signed(one, line["n"]) for one, line in checkpoints(self._store)]

    def prove(self, seq: int, size: int | None = None) -> Proof:
        """That an event which is kept whole is in the log of a size; None: of now.

        `check_proof` checks it, as does any implementation of RFC 9162.

        Raises
        ------
        NotFoundError
            If the event is not kept whole.
        AuditError
            If the tree of that size cannot be made any more: no checkpoint of it is kept.
        """
        with self._committer.still():
            row, audit = self._mirror.row(seq), self._mirror.audit
            if row is None or row.tier != Tier.VERBATIM or seq < audit.first:
                raise NotFoundError(f"event {seq} is not kept whole, so there is nothing to prove")
            tree = audit.tree(self._mirror.rows(), self._mirror.next_seq)
            whole = self._mirror.next_seq - audit.first if size is None else size
            path = tuple(tree.inclusion(seq - audit.first, whole))
            return Proof(seq, seq - audit.first, whole, audit.leaf(row), path, tree.root(whole))

    def prove_extends(self, old: Checkpoint | Signed) -> tuple[bytes, ...]:
        """That the log of now begins with that of a checkpoint (RFC 9162, consistency).

        Raises
        ------
        AuditError
            If it does not, or if that size cannot be proved any more.
        """
        earlier = old.checkpoint if isinstance(old, Signed) else old
        with self._committer.still():
            audit = self._mirror.audit
            size = self._mirror.next_seq - audit.first
            if earlier.size > size:
                raise AuditError(
                    f"the checkpoint has {earlier.size} leaves and the log {size}: it was cut short"
                )
            tree = audit.tree(self._mirror.rows(), self._mirror.next_seq)
            proof = tuple(tree.consistency(earlier.size, size))
            verify_consistency(earlier.size, size, proof, earlier.root, tree.root())
        return proof

    def check_note(self, note: str, *keys: str) -> tuple[bytes, ...]:
        """That a signed checkpoint is by one of these keys and that the log of now extends it.

        Raises `AuditError` if either does not hold.
        """
        return self.prove_extends(Checkpoint.parse(open_note(note, *keys)))

    @property
    def audit_origin(self) -> str:
        """The name of this memory's audit log."""
        return self._mirror.audit.origin

    def erase(
        self,
        *,
        event: int | Iterable[int] | None = None,
        scope: str | None = None,
        subject: str | None = None,
        source: str | None = None,
        by: str = "",
    ) -> ErasureReceipt:
        """Remove everything that any of these names from every table, page and snapshot.

        Parameters
        ----------
        event
            A sequence number, or several.
        scope
            Everything in a scope and inside it.
        subject
            Beliefs about a subject, the events they rest on, and every event that names it.
        source
            Everything that a speaker, role or channel said or claimed.

        Notes
        -----
        A belief that rests on erased events alone goes with them; one that rests on others too
        keeps those. What an erased claim had retired is held again. The audit log keeps the
        leaves, without the salts that would tell what they were. Every page is written anew, so
        that no byte of it is left in the file, its log or its snapshots; copies elsewhere, forks
        included, are yours to erase. Linear in what is kept; writers wait. If it is interrupted,
        the next to open the memory finishes it.

        A subject is compared as a word, whatever its case; other spellings, endings and pronouns
        are not found. A source is compared exactly, upper and lower case told apart. What is not
        there is no error: the receipt counts 0 events. A revocation of a source stays, and so does
        its name in it.

        Raises
        ------
        InvalidEventError
            If nothing is named.
        """
        numbers = (event,) if isinstance(event, int) else tuple(event or ())
        if not numbers and scope is None and subject is None and source is None:
            raise InvalidEventError("name what to erase: an event, a scope, a subject or a source")
        if subject is not None and not plain(subject):
            raise InvalidEventError("an empty name is no subject; name whom or what to erase")
        chosen = Selector(
            frozenset(numbers), None if scope is None else scope.strip("/"), subject, source
        )
        with self._committer.rewriting():
            mark = Mark(select(self._mirror, chosen), chosen)
            begin(self._committer, self._store, mark)
            snapshots, done = self._erase_everywhere(mark)
        receipt = self._note_erased(done, by)
        with self._committer.still():
            tree = self._mirror.audit.tree(self._mirror.rows(), self._mirror.next_seq)
            size = self._mirror.next_seq - self._mirror.audit.first
            root = tree.root()
        return ErasureReceipt(
            done.events, done.entries, snapshots, done.leaves, receipt.seq, size, root
        )

    def revoke(self, source: str, *, by: str = "") -> Receipt:
        """Hold what would be held if a source had never spoken, from now on.

        Its events stay in the log but do not come back from recall; `reinstate` undoes it. One
        that has not spoken is no error: if it ever does, it does not count. Names are compared
        exactly, upper and lower case told apart.

        Notes
        -----
        The state's hash is that of a memory which everything but this source was told.
        O(entries of the journal).
        """
        asked = Asked((Revoke(source),), by, Trust.OWNER)
        return self._change_state(f"revoke {source}", "", asked)

    def reinstate(self, source: str, *, by: str = "") -> Receipt:
        """Take a revoked source back in, with all that it ever said."""
        asked = Asked((Revoke(source, revoked=False),), by, Trust.OWNER)
        return self._change_state(f"reinstate {source}", "", asked)

    def _note_erased(self, done: Erased, by: str = "") -> Receipt:
        note = Note("erase", "", summary(done))
        text = f"erased {done.events} events and {done.entries} entries"
        return self._change_state(text, "", Asked((note,), by, Trust.OWNER))

    def _erase_everywhere(self, mark: Mark) -> tuple[tuple[tuple[str, int], ...], Erased]:
        """Erase from every snapshot, then here; the mark that is left ends with that."""
        snapshots: list[tuple[str, int]] = []
        if mark.selector is not None:
            self._drop_drafts()
            snapshots += [
                (path.stem, _erase_file(path, mark.selector)) for path in self._snapshot_files()
            ]
        return tuple(snapshots), erase(
            self._committer, self._mirror, self._store, mark.doomed, mark.selector
        )

    def _finish_erasing(self) -> None:
        """Go on with what was cut short; writers are kept out."""
        text = self._store.meta(ERASING)
        if text is not None:
            self._finished.append(self._erase_everywhere(Mark.from_text(text))[1])


def check_proof(proof: Proof, root: bytes | None = None) -> None:
    """Check that a proof leads from its leaf to a root; None: to the one it names.

    Raises `AuditError` if it does not.
    """
    verify_inclusion(
        proof.index, proof.size, proof.leaf, proof.path, proof.root if root is None else root
    )


def _erase_file(path: Path, chosen: Selector) -> int:
    """Erase from a snapshot; how many events that was."""
    store = SqliteStore(path)
    try:
        with store.exclusive():
            mirror = Mirror(store, None)
        committer = Committer(store, mirror, Retainer(Oldest()), time.time, durable=True)
        with committer.still():
            text = store.meta(ERASING)
            begun = Doomed() if text is None else Mark.from_text(text).doomed
            doomed = select(mirror, chosen) | begun
            begin(committer, store, Mark(doomed))
            return erase(committer, mirror, store, doomed, chosen).events
    finally:
        store.close()
