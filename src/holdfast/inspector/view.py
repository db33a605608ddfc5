"""The log by its columns: filters, counts and windows that cost no walk through the events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.codec import to_record
from holdfast.errors import NotFoundError
from holdfast.memory import Memory
from holdfast.records import KINDS, Record, Scope
from holdfast.seat import Seat

Numbers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TIERS = ("verbatim", "gist", "trace")
SCAN = 20_000
"""Events that a search for words reads at most before it answers."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; None and empty: all of them."""

    scope: str | None = None
    speaker: str | None = None
    kind: str = ""
    tier: str = ""
    since: float | None = None
    until: float | None = None


class View:
    """The kept events that a caller may see.

    Parameters
    ----------
    at
        A memory, or a seat in it: then only its readable scopes are there.

    Notes
    -----
    Every count is one pass over columns in RAM, some milliseconds for a million events; an event
    is read from the log only when it is shown. The lock is held while columns are looked at.
    """

    def __init__(self, at: Memory | Seat) -> None:
        self._at = at
        memory = at._memory if isinstance(at, Seat) else at
        memory._refresh()
        self._mirror = memory._mirror
        self._scopes = at._readable(None) if isinstance(at, Seat) else None

    def numbers(self, wanted: Wanted) -> Numbers:
        """The sequence numbers of the events that are wanted, ascending."""
        with self._mirror.lock:
            columns = self._mirror.columns
            seen = self._seen()
            if wanted.scope or wanted.speaker is not None:
                inside = Scope(wanted.scope or "")
                fits = [
                    inside.covers(who.scope) and wanted.speaker in (None, who.speaker)
                    for who in columns.whos
                ]
                seen &= np.array(fits, np.bool_)[columns.who]
            if wanted.kind:
                seen &= columns.kind == KINDS.index(wanted.kind)
            if wanted.tier:
                seen &= columns.tier == TIERS.index(wanted.tier)
            if wanted.since is not None:
                seen &= columns.at >= wanted.since
            if wanted.until is not None:
                seen &= columns.at < wanted.until
            found: Numbers = columns.seq[seen]
            return found

    def get(self, seq: int) -> Record | None:
        """One event, None if it went meanwhile."""
        try:
            return self._at.get(seq)
        except NotFoundError:
            return None

    def window(self, numbers: Numbers, start: int, count: int) -> list[Record]:
        """Some of them, read from the log."""
        found = (self.get(seq) for seq in numbers[start : start + count].tolist())
        return [record for record in found if record is not None]

    def search(
        self, numbers: Numbers, start: int, count: int, contains: str
    ) -> tuple[list[Record], int]:
        """Those from `start` on whose text has some words, and how many were read to find them."""
        words, found, read = contains.casefold(), list[Record](), 0
        for seq in numbers[start : start + SCAN].tolist():
            read += 1
            row = self._mirror.row(seq)
            if row is None or words not in to_record(row).text.casefold():
                continue
            record = self.get(seq)
            if record is not None:
                found.append(record)
            if len(found) == count:
                break
        return found, read

    def strip(self, bins: int) -> list[dict[str, Any]]:
        """The stream in stretches of equal length, oldest first: what is left of each, by tier.

        A seat is not told what is gone, since that may never have been its own.
        """
        with self._mirror.lock:
            columns = self._mirror.columns
            last = self._mirror.next_seq - 1
            seen = self._seen()
            if not last or not seen.any():
                return []
            bins = min(bins, last)
            place = (columns.seq[seen] - 1) * bins // last
            code = place * len(TIERS) + columns.tier[seen]
        counts = np.bincount(code, minlength=bins * len(TIERS)).reshape(bins, len(TIERS))
        edges = -(-np.arange(bins + 1) * last // bins) + 1  # the first event of each stretch
        spans = np.diff(edges)
        rows = []
        for i, kept in enumerate(counts.tolist()):
            gone = int(spans[i]) - sum(kept) if self._scopes is None else 0
            rows.append(
                {"first": int(edges[i]), "last": int(edges[i + 1]) - 1}
                | dict(zip(TIERS, kept, strict=True))
                | {"gone": gone}
            )
        return rows

    def by_scope(self, most: int) -> tuple[list[dict[str, Any]], int]:
        """The scopes with the most kept events, by tier, and how many scopes there are."""
        return self._grouped("scope", most)

    def by_speaker(self, most: int) -> tuple[list[dict[str, Any]], int]:
        """The speakers with the most kept events, by tier, and how many speakers there are."""
        return self._grouped("speaker", most)

    def _grouped(self, field: str, most: int) -> tuple[list[dict[str, Any]], int]:
        with self._mirror.lock:
            columns = self._mirror.columns
            seen = self._seen()
            names: dict[str, int] = {}
            group = np.array(
                [names.setdefault(getattr(w, field) or "", len(names)) for w in columns.whos],
                np.int64,
            )
            if not len(group):
                return [], 0
            code = group[columns.who[seen]] * len(TIERS) + columns.tier[seen]
        counts = np.bincount(code, minlength=len(names) * len(TIERS)).reshape(-1, len(TIERS))
        totals = counts.sum(axis=1)
        listed = list(names)
        best = [i for i in np.argsort(-totals, kind="stable").tolist() if totals[i]]
        return [
            {"name": listed[i], "events": int(totals[i])}
            | dict(zip(TIERS, counts[i].tolist(), strict=True))
            for i in best[:most]
        ], len(best)

    def tokens(self) -> dict[str, int]:
        """Tokens of what is kept at each tier."""
        with self._mirror.lock:
            columns, seen = self._mirror.columns, self._seen()
            counts = np.bincount(
                columns.tier[seen], weights=columns.tokens[seen], minlength=len(TIERS)
            )
        return dict(zip(TIERS, map(int, counts), strict=False))

    def _seen(self) -> Bools:
        columns = self._mirror.columns
        seen: Bools = columns.alive.copy()
        if self._scopes is not None:
            inside = [Scope(one) for one in self._scopes]
            covered = [any(one.covers(who.scope) for one in inside) for who in columns.whos]
            seen &= np.array(covered, np.bool_)[columns.who]
        return seen
