"""What the engine knows of every kept event without touching the disk: one array per fact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.codec import PINNED, Block, Row, Who
from holdfast.derive.terms import words
from holdfast.records import KINDS, Episode, Scope

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_SEGMENT = -1
NO_EPISODE = 0  # of events that only say how state was changed
ASSISTANTS = frozenset({"assistant", "ai", "bot", "model"})
"""Roles, or names in place of one, of those who answer."""
_USERS = frozenset({"user", "human"})
_MOST = 65_535
_STATE = KINDS.index("state")

_FIELDS = np.dtype(
    [
        ("seq", np.int64),
        ("at", np.float64),
        ("surprise", np.float16),
        ("size", np.uint32),  # bytes of the original content
        ("tokens", np.uint16),  # at most 65,535 are told apart
        ("length", np.uint16),  # index terms, likewise
        ("episode", np.int32),
        ("segment", np.int32),  # persisted index segment that holds it, -1 if none does
        ("who", np.int32),  # index into `Columns.whos`
        ("before", np.int32),  # row of the previous event of the same scope, -1 if none
        ("after", np.int32),  # row of the next one
        ("tier", np.uint8),
        ("flags", np.uint8),
        ("kind", np.uint8),  # place in `KINDS`
    ]
)


class EpisodeStats(NamedTuple):
    """What scoring an episode needs to know of all of them."""

    total: int
    events: int
    terms: float
    sizes: npt.NDArray[np.float64]  # (n, 2): events and terms of the episodes asked for


class Columns:
    """Growable columns over the kept events, oldest first. A row is a place in them.

    Rows are stable until `compact`. Evicted events leave a hole (`alive` False) until then.
    """

    def __init__(self) -> None:
        self.n = 0
        self.dead = 0
        self._data = {name: np.zeros(1024, _FIELDS[name]) for name in _FIELDS.names or ()}
        self._alive = np.zeros(1024, np.bool_)
        self.whos: list[Who] = []
        self._who_of: dict[Who, int] = {}
        self._last_of: dict[str, int] = {}  # scope -> newest row
        self._speaking: dict[str, list[int]] = {}  # word of a speaker's name -> whos
        self._episodes: dict[int, list[int]] = {}  # episode -> [events, terms]
        self._roles: dict[frozenset[str], npt.NDArray[np.float64]] = {}
        self._scopes: dict[str, int] = {}  # numbered as they are first asked for
        self._scope_ids = np.zeros(0, np.int64)
        self.total_length = 0
        self.states = 0  # kept rows that only say how state was changed

    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        try:
            column: npt.NDArray[Any] = self.__dict__["_data"][name]
        except KeyError:
            raise AttributeError(name) from None
        return column[: self.n]

    @property
    def alive(self) -> Bools:
        return self._alive[: self.n]

    def __len__(self) -> int:
        return self.n - self.dead

    @property
    def said(self) -> int:
        """Kept events that say something themselves."""
        return len(self) - self.states

    def append(self, row: Row) -> int:
        """Add one event; returns its row."""
        at = self.n
        if at == len(self._alive):
            self._grow()
        data = self._data
        scope = row.who.scope
        plain = row.kind != _STATE
        before = self._last_of.get(scope, -1) if plain else -1
        who = self._who(row.who)
        data["seq"][at] = row.seq
        data["at"][at] = row.at / 1e6
        data["surprise"][at] = row.surprise
        data["size"][at] = row.size
        length = min(row.length, _MOST)
        data["tokens"][at] = min(row.tokens, _MOST)
        data["length"][at] = length
        data["episode"][at] = row.episode
        data["who"][at] = who
        data["before"][at] = before
        data["after"][at] = -1
        data["segment"][at] = NO_SEGMENT
        data["tier"][at] = row.tier
        data["flags"][at] = row.flags
        data["kind"][at] = row.kind
        if before >= 0:
            data["after"][before] = at
        if plain:
            self._last_of[scope] = at
        else:
            self.states += 1
        self._alive[at] = True
        self._weigh(row.episode, 1, length)
        self.n = at + 1
        return at

    def load(self, blocks: Sequence[Block]) -> None:
        """Fill empty columns from decoded blocks, in order; as so many `append`s, but at once."""
        assert not self.n, "columns are loaded once, when they are made"
        n = sum(map(len, blocks))
        if not n:
            return
        data = {name: np.zeros(n, _FIELDS[name]) for name in self._data}
        for name in ("seq", "size", "episode", "surprise", "tier", "flags", "kind"):
            data[name][:] = np.concatenate([block.head[name] for block in blocks])
        for name in ("tokens", "length"):
            found = np.concatenate([block.head[name] for block in blocks])
            data[name][:] = np.minimum(found, _MOST)
        data["at"][:] = np.concatenate([block.head["at"] for block in blocks]) / 1e6
        data["segment"][:] = NO_SEGMENT
        whos = [np.array([self._who(who) for who in block.who], np.int32) for block in blocks]
        data["who"][:] = np.concatenate(
            [ids[block.head["who"]] for ids, block in zip(whos, blocks, strict=True)]
        )
        self._data, self._alive, self.n = data, np.ones(n, np.bool_), n
        self.states = int((data["kind"] == _STATE).sum())
        self._link()
        self.total_length = int(data["length"].sum())
        held, inverse, counts = np.unique(data["episode"], return_inverse=True, return_counts=True)
        terms = np.bincount(inverse, weights=data["length"])
        self._episodes = {
            int(e): [int(c), int(t)]
            for e, c, t in zip(held, counts, terms, strict=True)
            if e != NO_EPISODE
        }

    def _link(self) -> None:
        """Set `before`, `after` and the newest row of every scope."""
        scopes: dict[str, int] = {}
        scope_of = np.array([scopes.setdefault(who.scope, len(scopes)) for who in self.whos])
        scope = scope_of[self._data["who"]]
        order = np.argsort(scope, kind="stable")
        order = order[self._data["kind"][order] != _STATE]
        same = scope[order][1:] == scope[order][:-1]
        for name, source, target in (
            ("before", order[:-1], order[1:]), ("after", order[1:], order[:-1])
        ):  # fmt: skip
            self._data[name][:] = -1
            self._data[name][target[same]] = source[same]
        ends = order[np.append(~same, True)] if len(order) else order
        names = list(scopes)
        self._last_of = {names[int(scope[row])]: int(row) for row in ends}

    def _who(self, who: Who) -> int:
        known = self._who_of.get(who)
        return self._add_who(who) if known is None else known

    def _add_who(self, who: Who) -> int:
        at = self._who_of[who] = len(self.whos)
        self.whos.append(who)
        for word in words(who.speaker or ""):
            self._speaking.setdefault(word, []).append(at)
        return at

    def _weigh(self, episode: int, events: int, terms: int) -> None:
        if episode == NO_EPISODE:
            return
        self.total_length += terms
        size = self._episodes.setdefault(episode, [0, 0])
        size[0] += events
        size[1] += terms
        if not size[0]:
            del self._episodes[episode]

    def _grow(self) -> None:
        self._data = {name: _doubled(column, self.n) for name, column in self._data.items()}
        self._alive = _doubled(self._alive, self.n)

    def find(self, seq: int) -> int | None:
        """The row of an event, None if it is not kept."""
        row = int(np.searchsorted(self.seq, seq))
        return row if row < self.n and self.seq[row] == seq and self._alive[row] else None

    def find_all(self, seqs: Rows) -> Rows:
        """The rows of events that are known to be kept."""
        return np.searchsorted(self.seq, seqs)

    def change(self, row: int, tier: int, length: int, tokens: int) -> None:
        """An event went down a tier."""
        length = min(length, _MOST)
        self._weigh(int(self._data["episode"][row]), 0, length - int(self._data["length"][row]))
        self._data["tier"][row] = tier
        self._data["segment"][row] = NO_SEGMENT
        self._data["length"][row] = length
        self._data["tokens"][row] = min(tokens, _MOST)

    def remove(self, rows: Rows) -> None:
        """Some events were evicted: their neighbours close the gaps."""
        data = self._data
        before, after, scope_of = data["before"], data["after"], self.whos
        for row in rows.tolist():
            left, right = int(before[row]), int(after[row])
            if data["kind"][row] == _STATE:
                self.states -= 1
                continue
            if left >= 0:
                after[left] = right
            if right >= 0:
                before[right] = left
            elif left >= 0:
                self._last_of[scope_of[int(data["who"][row])].scope] = left
            else:
                self._last_of.pop(scope_of[int(data["who"][row])].scope, None)
        lengths = self.length[rows].astype(np.int64)
        episodes = self.episode[rows]
        for episode, length in zip(episodes.tolist(), lengths.tolist(), strict=True):
            self._weigh(episode, -1, -length)
        self._alive[rows] = False
        self.dead += len(rows)

    def compact(self) -> Rows:
        """Close the holes; returns the new row of each old one, -1 for the gone."""
        alive = self.alive
        moved = np.full(self.n, -1, np.int64)
        moved[alive] = np.arange(len(self))
        for name, column in self._data.items():
            kept = column[: self.n][alive]
            if name in ("before", "after"):
                kept = np.where(kept >= 0, moved[kept], -1).astype(column.dtype)
            self._data[name] = kept
        who = self._data["who"]
        used = np.unique(who)
        kept_whos = [self.whos[i] for i in used]
        self.whos, self._who_of, self._speaking, self._roles = [], {}, {}, {}
        self._scopes, self._scope_ids = {}, np.zeros(0, np.int64)
        for label in kept_whos:
            self._add_who(label)
        self._data["who"] = np.searchsorted(used, who).astype(np.int32)
        self._last_of = {scope: int(moved[row]) for scope, row in self._last_of.items()}
        self.n, self.dead = len(who), 0
        self._alive = np.ones(self.n, np.bool_)
        return moved

    def visible(
        self,
        scope: str | Sequence[str],
        since: float | None,
        until: float | None,
        before: int | None,
    ) -> Bools | None:
        """Which rows a filtered query may see, (n,); None if it may see all of them.

        Events that only say how state was changed are never seen: what they changed is.
        """
        seen = self.alive if self.dead else None
        if self.states:
            seen = _both(seen, self.kind != _STATE)
        inside = [Scope(one) for one in ([scope] if isinstance(scope, str) else scope)]
        if all(one.path for one in inside):
            covered = np.array(
                [any(one.covers(who.scope) for one in inside) for who in self.whos], np.bool_
            )
            seen = _both(seen, covered[self.who])
        if before is not None and (not self.n or before > int(self.seq[-1])):
            before = None
        if (since, until, before) != (None, None, None):
            seen = _both(seen, self.inside(np.arange(self.n), since, until, before))
        return seen

    def inside(
        self, rows: Rows, since: float | None, until: float | None, before: int | None
    ) -> Bools:
        """Which rows happened in a span of time and before an event, in the shape of `rows`."""
        seen = np.ones(rows.shape, np.bool_)
        if since is not None:
            seen &= self.at[rows] >= since
        if until is not None:
            seen &= self.at[rows] < until
        if before is not None:
            seen &= self.seq[rows] < before
        return seen

    def spoken_by(self, named: frozenset[str]) -> npt.NDArray[np.float64] | None:
        """1 for each of `whos` whose speaker's name has one of these words; None if none has."""
        found = [who for word in named for who in self._speaking.get(word, ())]
        if not found:
            return None
        said = np.zeros(len(self.whos))
        said[found] = 1.0
        return said

    def assistants(self) -> npt.NDArray[np.float64]:
        """1 for each of `whos` that is an assistant by its role, or by its name."""
        return self._of_role(ASSISTANTS)

    def users(self) -> npt.NDArray[np.float64]:
        """1 for each of `whos` that is a user by its role, or by its name."""
        return self._of_role(_USERS)

    def _of_role(self, names: frozenset[str]) -> npt.NDArray[np.float64]:
        known = self._roles.get(names, np.zeros(0))
        if len(known) < len(self.whos):
            fresh = [(w.role or w.speaker or "").lower() in names for w in self.whos[len(known) :]]
            known = self._roles[names] = np.append(known, np.array(fresh, np.float64))
        return known

    def episodes(self) -> Iterator[Episode]:
        """The kept runs of events in one scope, in order of their first event."""
        rows = np.flatnonzero(self.alive & (self.episode != NO_EPISODE))
        order = rows[np.argsort(self.episode[rows], kind="stable")]
        held = self.episode[order]
        starts = np.flatnonzero(np.diff(held, prepend=-1))
        ends = np.append(starts[1:], len(order)) if len(starts) else starts
        found = [
            Episode(
                id=int(held[a]),
                scope=self.whos[int(self.who[order[a]])].scope,
                first=int(self.seq[order[a]]),
                last=int(self.seq[order[b - 1]]),
                started_at=float(self.at[order[a]]),
                ended_at=float(self.at[order[b - 1]]),
                events=int(b - a),
            )
            for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        yield from sorted(found, key=lambda episode: episode.first)

    def scope_ids(self) -> Rows:
        """A number for the scope of each of `whos`, (whos,); see `scope_names`."""
        fresh = self.whos[len(self._scope_ids) :]
        if fresh:
            ids = [self._scopes.setdefault(who.scope, len(self._scopes)) for who in fresh]
            self._scope_ids = np.append(self._scope_ids, np.array(ids, np.int64))
        return self._scope_ids

    def scope_names(self) -> list[str]:
        """The scopes by their numbers."""
        self.scope_ids()
        return list(self._scopes)

    def open_episodes(self, most: int) -> list[tuple[str, int, float, int]]:
        """The newest episode of the most recent scopes: scope, id, time of its last event, events.

        Least recent first.
        """
        newest = sorted(self._last_of.items(), key=lambda item: item[1])[-most:]
        found = []
        for scope, row in newest:
            episode = int(self.episode[row])
            found.append((scope, episode, float(self.at[row]), self._episodes[episode][0]))
        return found

    @property
    def episode_count(self) -> int:
        return len(self._episodes)

    def episode_sizes(self, episodes: Rows) -> npt.NDArray[np.float64]:
        """Events and index terms of each episode, (n, 2)."""
        return np.array([self._episodes[e] for e in episodes.tolist()], np.float64).reshape(-1, 2)

    def visible_episodes(self, visible: Bools, episodes: Rows) -> EpisodeStats:
        """As if only the visible rows were held; O(rows)."""
        held = self.episode[visible]
        start = int(held.min(initial=0))
        events = np.bincount(held - start)
        terms = np.bincount(held - start, weights=self.length[visible])
        sizes = np.column_stack([events, terms]).astype(np.float64)[episodes - start]
        return EpisodeStats(int((events > 0).sum()), len(held), float(terms.sum()), sizes)

    def all_episodes(self, episodes: Rows) -> EpisodeStats:
        """Of everything that is held, without looking at every row."""
        return EpisodeStats(
            len(self._episodes), self.said, self.total_length, self.episode_sizes(episodes)
        )

    @property
    def pinned(self) -> Bools:
        return (self.flags & PINNED) > 0


def _doubled(column: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """A column with twice the room; the half that is not used yet is not touched: no RAM for it."""
    larger = np.zeros(max(1024, 2 * n), column.dtype)
    larger[:n] = column[:n]
    return larger


def _both(left: Bools | None, right: Bools) -> Bools:
    return right if left is None else left & right
