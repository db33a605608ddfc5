"""Where one episode ends and the next begins, decided as events arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

OPEN_SCOPES = 4096  # scopes with an open episode
_TOPICS = 128  # scopes whose topic is followed
_WINDOW = 12  # events on each side of a possible change of topic
_STEP = 6  # events between two looks
_TERMS = 64  # of one event that count for its topic
_WARM = 8  # looks before the first cut by topic
_LEARN = 0.02  # how fast the usual cohesion follows the stream
_PRIOR = 2  # looks for which the usual cohesion counts in an episode's own
_FAR = 0.45  # share of that cohesion below which the topic has shifted


class _Open:
    """The open episode of one scope."""

    __slots__ = ("at", "events", "id")

    def __init__(self, episode: int, at: float | None, events: int = 0) -> None:
        self.id = episode
        self.at = at  # of its last event with a known time
        self.events = events


class _Topic:
    """The terms of an open episode's last 24 events, 6 to a block, and how well they cohered."""

    __slots__ = ("blocks", "cohesion", "events", "looks")

    def __init__(self) -> None:
        self.blocks: list[set[int]] = [set()]  # the last one is being filled
        self.events = 0  # in the last block
        self.looks = 0
        self.cohesion = 0.0  # sum over the looks


class Episodes:
    """Cuts the stream of each scope into episodes.

    An event opens a new episode if its scope has none open; if it lies over `gap_s` from the
    scope's last event (an unknown time never does); if the open one has `longest` events; or if
    the topic has shifted: the last 12 events share far fewer terms with the 12 before them than
    such neighbours usually do.

    Parameters
    ----------
    gap_s
        Seconds between two events that end an episode.
    longest
        Events of the longest episode.

    Notes
    -----
    O(terms) per event. Bounded: 4,096 scopes have an open episode and 128 a topic; beyond that,
    the scope longest untouched loses it. Ids count up from 1 in the order of first events. A
    shift is seen about 12 events after it happened: it takes as many to tell it from an aside,
    and the episode is cut where the shift is seen, for no event changes its episode.

    References
    ----------
    Hearst, TextTiling: Segmenting Text into Multi-paragraph Subtopic Passages, Computational
    Linguistics 23(1), 1997. Differs: online, one look every six events, and against the mean of
    the looks so far instead of the peaks on both sides.

    Examples
    --------
    >>> episodes = Episodes(gap_s=60)
    >>> [episodes.place("chat", at, [1, 2]) for at in (0.0, 30.0, 500.0)]
    [(1, True), (1, False), (2, True)]
    """

    def __init__(self, gap_s: float = 3600.0, longest: int = 512) -> None:
        self._gap = gap_s
        self._longest = longest
        self._next = 1
        self._open: dict[str, _Open] = {}  # both: least recently used first
        self._topics: dict[str, _Topic] = {}
        self._looks = 0
        self._usual = 0.0  # cohesion, a running mean

    def place(self, scope: str, at: float | None, terms: Sequence[int]) -> tuple[int, bool]:
        """The episode of a scope's next event, and whether the event opens it."""
        now = self._open.pop(scope, None)
        topic = self._topics.pop(scope, None)
        if (
            now is None
            or now.events >= self._longest
            or (at is not None and now.at is not None and abs(at - now.at) > self._gap)
            or (topic is not None and topic.events == _STEP and self._shifted(topic))
        ):
            now, topic = _Open(self._next, at), None
            self._next += 1
            if len(self._open) >= OPEN_SCOPES:
                del self._open[next(iter(self._open))]
        if topic is None:
            topic = _Topic()
            if len(self._topics) >= _TOPICS:
                del self._topics[next(iter(self._topics))]
        self._open[scope], self._topics[scope] = now, topic
        now.events += 1
        if at is not None:
            now.at = at
        topic.events += 1
        topic.blocks[-1].update(terms if len(terms) <= _TERMS else terms[:_TERMS])
        return now.id, now.events == 1

    def _shifted(self, topic: _Topic) -> bool:
        """Close the block; once there are two windows, look whether they still cohere."""
        blocks, half = topic.blocks, _WINDOW // _STEP
        found = len(blocks) == 2 * half and self._look(topic, blocks[:half], blocks[half:])
        if len(blocks) == 2 * half:
            del blocks[0]
        blocks.append(set())
        topic.events = 0
        return found

    def _look(self, topic: _Topic, earlier: list[set[int]], later: list[set[int]]) -> bool:
        before, after = set[int]().union(*earlier), set[int]().union(*later)
        if not before or not after:
            return False
        cohesion = len(before & after) / sqrt(len(before) * len(after))
        expected = (_PRIOR * self._usual + topic.cohesion) / (_PRIOR + topic.looks)
        if self._looks >= _WARM and cohesion < _FAR * expected:
            return True
        self._looks += 1
        self._usual += max(_LEARN, 1 / self._looks) * (cohesion - self._usual)
        topic.looks += 1
        topic.cohesion += cohesion
        return False

    def state(self) -> dict[str, Any]:
        """What must outlive the process, as plain JSON values.

        Topics are not part of it: after `restore`, a scope's topic is followed afresh.
        """
        return {
            "next": self._next,
            "looks": self._looks,
            "usual": self._usual,
            "open": [[scope, now.id, now.at, now.events] for scope, now in self._open.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._next = int(state["next"])
        self._looks = int(state["looks"])
        self._usual = float(state["usual"])
        self._open = {
            scope: _Open(episode, at, events) for scope, episode, at, events in state["open"]
        }
        self._topics = {}
