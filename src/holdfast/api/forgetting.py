"""Forgetting: what was let go of, whether something was known once, and what was of use."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.api.base import Parts, Scopes, Time, scopes
from holdfast.errors import InvalidEventError
from holdfast.forgotten import forgotten
from holdfast.ledger.records import Forgotten, Loss, LossTotals
from holdfast.records import Context, Scope
from holdfast.written import Used

_AT_ONCE = 512  # events that one row of feedback is about


def _numbers(events: Iterable[int] | Context) -> list[int]:
    return [one.seq for one in events.items] if isinstance(events, Context) else list(events)


class ForgettingApi(Parts):
    """The methods of a memory that are about what it let go of, and what it should not."""

    def ledger(self, *, after: int = 0, scope: Scopes = "") -> list[Loss]:
        """What was let go of to make room, oldest first: when, by which policy, for what.

        Parameters
        ----------
        after
            Only what was let go of for events with a larger sequence number.
        scope
            Only what may have lain inside a scope, or any of several: a loss names the scopes that
            most of its events lay in, and counts the others.

        Notes
        -----
        The newest losses are exact; older ones are added up in pairs, again and again, so that the
        ledger never takes more than one part in 128 of the budget. `loss_totals` stays exact.
        """
        self._refresh()
        inside = [Scope(one) for one in scopes(scope)]
        with self._mirror.lock:
            return list(self._mirror.ledger.losses(after, inside))

    def loss_totals(self) -> LossTotals:
        """All that ever left the memory or went down a tier in it, exact for ever."""
        self._refresh()
        with self._mirror.lock:
            gone = self._mirror.next_seq - 1 - len(self._mirror.columns)
            return self._mirror.ledger.totals.public(gone)

    def forgotten(
        self, query: str, *, scope: Scopes = "", since: Time = None, until: Time = None,
        speaker: str | None = None,
    ) -> Forgotten:  # fmt: skip
        """Whether the memory knew once what a query asks about, and does not know any more.

        It answers "still known" if what is kept seems to answer the query, "knew once" if only
        traces of that are kept, or if words of the query were lost with events that are gone,
        "never knew" if it has words that never came up, and "don't know" unless one of these is
        likely enough. It never makes up a detail: what is gone is gone.

        Parameters
        ----------
        scope, since, until
            See only events of a scope or a time. Lost words are kept without either, so that what
            these tell may be about another scope.

        Notes
        -----
        Words are remembered in a filter of one part in 256 of the budget; a word in it was once
        there except in one case of 500 or fewer, while the filter has the room for all of them.
        """
        self._refresh()
        filters = self._filters(scope, since, until)
        return self._run(forgotten(self._reader, query, filters, speaker))

    def used_events(self, events: Iterable[int] | Context) -> int:
        """Tell that some events were of use, or all items of a context; how many were noted.

        Retention policies that look at use keep these longer. Numbers of events that are not kept
        (any more) are passed over. Durable when this returns.

        Raises
        ------
        InvalidEventError
            If something else than a sequence number is given.
        """
        given = _numbers(events)
        if not all(isinstance(one, int) and not isinstance(one, bool) for one in given):
            raise InvalidEventError("events are named by their sequence numbers; give integers")
        numbers = sorted(set(given))
        noted = 0
        for start in range(0, len(numbers), _AT_ONCE):
            (outcome,) = self._committer.submit([Used(numbers[start : start + _AT_ONCE])])
            assert isinstance(outcome, int)
            noted += outcome
        return noted
