"""Sharing: grants, promotion from private to shared, credit for what was used, watching changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from holdfast.api.base import Parts, Scopes, scopes
from holdfast.errors import AccessError, ClosedError, NotFoundError
from holdfast.records import Receipt, Scope
from holdfast.state.access import Grant, Right
from holdfast.state.aliases import Use
from holdfast.state.asked import Asked
from holdfast.state.credit import ENOUGH
from holdfast.state.journal import MOST_PER_EVENT
from holdfast.state.records import Belief, Change, Claim, Trust

if TYPE_CHECKING:
    from holdfast.memory import Memory
    from holdfast.seat import Seat

_POLL_S = 0.2  # how often a watcher looks for what other processes wrote


class SharingApi(Parts):
    """The methods of a memory that are about who may see and who made use of what."""

    def seat(self, principal: str) -> Seat:
        """The memory as one principal sees it, held to its rights; see `holdfast.seat.Seat`.

        Raises `InvalidClaimError` for a name that no principal can have.
        """
        from holdfast.seat import Seat

        return Seat(cast("Memory", self), principal)

    def grant(self, principal: str, right: Right, scope: str, *, by: str = "") -> Receipt:
        """Give a principal a right over a scope and all inside it; an event says so.

        Parameters
        ----------
        right
            "read", "write", or "directive": the right to state instructions.

        Raises `InvalidClaimError` for a right that there is not.
        """
        return self._grant(Grant(principal.strip("/"), right, scope.strip("/")), by)

    def withdraw(self, principal: str, right: Right, scope: str, *, by: str = "") -> Receipt:
        """Take a granted right back; withdrawing what was never granted changes nothing."""
        who = principal.strip("/")
        return self._grant(Grant(who, right, scope.strip("/"), given=False), by)

    def grants(self) -> tuple[Grant, ...]:
        """What is granted now."""
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.access.grants()

    def promote(
        self, id: str, to: str, *, by: str = "", approve: bool = False, key: str | None = None
    ) -> Receipt:
        """Copy a current belief into a wider scope; an event says by whom.

        Its trust and evidence go along, so in the shared scope it never retires what somebody more
        trusted said; it goes when the only source of the belief is revoked. Whose promotions
        others never use need approval.

        Raises
        ------
        NotFoundError
            If there is no such belief, or it is not current.
        AccessError
            If the source's record is too poor and `approve` is not given.
        """
        found = self._current(id)
        source = by or (found.sources[-1] if found.sources else "")
        return self._promote(id, to, source, key, Trust.OWNER, approve)

    def _promote(
        self, id: str, to: str, source: str, key: str | None, most: Trust, approve: bool = False
    ) -> Receipt:
        """Promote at the trust of the belief, but `most` at the most."""
        found = self._current(id)
        with self._mirror.lock:
            weight = self._mirror.state.credit.weight(source)
        if weight < ENOUGH and not approve:
            raise AccessError(
                f"others made use of too few promotions of {source!r} (weight {weight:.2f}, "
                f"{ENOUGH} is needed); have it approved"
            )
        claim = Claim(
            found.subject, found.predicate, found.value, found.kind, to.strip("/"),
            inferred=found.status == "inferred", evidence=found.evidence,
            many=self._many(id), why_it_matters=found.why_it_matters, aliases=found.aliases,
            confidence=found.confidence, valid_from=found.valid_from,
            valid_until=found.valid_until,
        )  # fmt: skip
        asked = Asked((claim,), source, min(found.trust, most), promoted=found.id)
        text = f"promote {found.id}: {found.text}"
        return self._change_state(text, to, asked, key)

    def used(
        self, id: str, query: str, *, by: str = "", helpful: bool = True, key: str | None = None
    ) -> Receipt:
        """Tell that a belief answered a question, or did not; an event like any other.

        The words of the question become aliases under which the belief is found, the more so the
        more principals use them; whoever shared the belief gains credit, or loses it.
        """
        found = self._current(id)
        with self._mirror.lock:
            slot = self._mirror.state.slot(found.id)
        assert slot is not None, "a belief that is found has a slot"
        use = Use(slot.key, query, by, 0, 0, 0.0, helpful)
        text = f"{'used' if helpful else 'not helped by'} {found.id}"
        return self._change_state(text, found.scope, Asked((use,), by, Trust.USER), key)

    def credit(self, source: str) -> float:
        """How much the promotions of a source count, from 0.1 to 1; see `state.credit`."""
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.credit.weight(source)

    def changes(self, *, scope: Scopes = "", after: int = 0) -> list[Change]:
        """Every change of state in a scope by an event with a number over `after`, in order.

        If the journal no longer reaches back to `after`, the first one has the action "gap".
        """
        self._refresh()
        wanted = [Scope(one) for one in scopes(scope)]
        with self._mirror.lock:
            found = [entry.change for entry in self._mirror.state.after(after, MOST_PER_EVENT - 1)]
            horizon = self._mirror.state_horizon
        seen = [one for one in found if any(each.covers(one.scope) for each in wanted)]
        if after < horizon:
            return [Change(horizon, 0, 0.0, "gap", ""), *seen]
        return seen

    def watch(
        self, *, scope: Scopes = "", after: int = 0, timeout_s: float | None = None
    ) -> Iterator[Change]:
        """Changes of state as they come, in order, from any process; resumable.

        Parameters
        ----------
        after
            The event number to go on from: that of the last change that was dealt with.
        timeout_s
            How long to wait for the next one before ending; None: until the memory is closed.

        Notes
        -----
        Changes of one event come together; resume after an event only when all of its changes
        are dealt with. A change by another process is seen within a fifth of a second.
        """
        pages = self._pages(scope=scope, after=after, timeout_s=timeout_s)
        return (change for page in pages for change in page)

    def _pages(
        self, *, scope: Scopes = "", after: int = 0, timeout_s: float | None = None
    ) -> Iterator[list[Change]]:
        return self._paged(partial(self.changes, scope=scope), after, timeout_s)

    def _paged(
        self, look: Callable[..., list[Change]], after: int, timeout_s: float | None
    ) -> Iterator[list[Change]]:
        """What there is to `look` at after each event, as it comes; none for a while of waiting."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                fresh = look(after=after)
            except ClosedError:
                return
            yield fresh
            if fresh:
                after = max(after, fresh[-1].seq)
                deadline = None if timeout_s is None else time.monotonic() + timeout_s
            left = _POLL_S if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return
            self._mirror.wait(min(left, _POLL_S))

    def _grant(self, grant: Grant, by: str) -> Receipt:
        verb = "grant" if grant.given else "withdraw"
        text = f"{verb} {grant.right} over {grant.scope or 'everything'}: {grant.principal}"
        return self._change_state(text, grant.scope, Asked((grant,), by, Trust.OWNER))

    def _current(self, id: str) -> Belief:
        self._refresh()
        with self._mirror.lock:
            found = self._mirror.state.belief(id)
        if found is None or not found.current:
            raise NotFoundError(f"belief {id} is not held now; see beliefs() for what is")
        return found

    def _many(self, id: str) -> bool:
        slot = self._mirror.state.slot(id)
        return slot is not None and bool(slot.value)
