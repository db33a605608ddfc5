"""Extraction of claims with a model: off the write path, resumable, within caps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

from holdfast.errors import BudgetError, ClosedError, HoldfastError, ModelError, StoreError
from holdfast.extract.caps import Caps, Meter
from holdfast.extract.desk import Desk, Extracted, ListDesk, Pending, Spent
from holdfast.extract.prompt import SCHEMA, build_messages
from holdfast.extract.reply import Parsed, parse_reply
from holdfast.models.chat import Chat, Usage
from holdfast.models.endpoint import EndpointError

__all__ = [
    "Caps", "Desk", "Extracted", "ListDesk", "ModelExtractor", "Parsed", "Pending", "Report",
    "Spent", "build_messages", "parse_reply",
]  # fmt: skip

_WINDOW = 4  # times the events of a call: how far ahead one scope's events are looked for
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Report:
    """What one batch came to.

    `events` were answered and settled; `skipped` were given up after their tries,
    `skipped_over_cap` never asked for their price; `retried` are asked again, alone. `shortened`
    were shown only in part. `inventions` and `malformed`: see `Parsed`. `cost` and `tokens` hold
    requests without an answer at the most they can have cost. `failed`: the model raised, and
    `ModelExtractor.failure` says how; `capped`: the day's cap leaves no room for a call.
    """

    events: int = 0
    claims: int = 0
    inventions: int = 0
    malformed: int = 0
    skipped: int = 0
    skipped_over_cap: int = 0
    retried: int = 0
    shortened: int = 0
    cost: float = 0.0
    tokens: int = 0
    failed: bool = False
    capped: bool = False

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return self == Report()


class ModelExtractor:
    """Asks a model for the claims of events, a batch at a time, and settles them on a desk.

    Parameters
    ----------
    chat
        The model. What it raises and nonsense it talks cost no event.
    desk
        Where events come from and claims go: the memory.
    events_per_call
        The most events in one question. They are of one scope, so nothing crosses over in a reply.
    max_chars_per_event
        How much of a text the model is shown.
    max_tokens_per_event
        The most tokens of answer for each event of a call.
    caps
        The most that may be spent.
    tries
        Unusable answers after which an event is passed over.
    clock
        POSIX seconds; decides which day it is.

    Notes
    -----
    Resumable: the desk's cursor moves in the transaction that commits the claims. A crash between
    an answer and that transaction repeats the question (at least once), and what was spent on it
    is not counted; claims are keyed by event and place, and an event keeps its first result, so no
    claim comes twice. If the desk raises and the process lives on, the answer is kept and settled
    first next time; only then may its cost be counted twice, and never too low.

    Bounded: each batch is one call of the model, at most `events_per_call` events, and holds no
    lock meanwhile. An event whose answer is unusable is asked again alone. When single questions
    fail, the oldest event and another one are asked in turn: it is blamed only once another gets
    an answer, so neither one bad event nor an endpoint that is down loses or blocks anything.

    Caps hold before a call, for the most it can use (`Chat.bound`). Requests without an answer are
    charged in full once they are known of, so a day can end beyond its cap by those of one call.
    One thread at a time may use an extractor.

    Examples
    --------
    >>> from holdfast.models.chat import OpenAIChat
    >>> from holdfast.models.scripted_chat import ChatReply, ScriptedChatServer
    >>> said = '{"claims": [{"event": 1, "quote": "moved to Porto", "subject": "Ana", '
    >>> said += '"predicate": "lives_in", "value": "Porto"}]}'
    >>> desk = ListDesk([Pending(1, "I moved to Porto", "Ana")])
    >>> with ScriptedChatServer([ChatReply(text=said)]) as server:
    ...     with OpenAIChat("any", server.base_url) as chat:
    ...         report = ModelExtractor(chat, desk).run_once()
    >>> report.claims, desk.claims[1, 0].value
    (1, 'Porto')
    """

    def __init__(
        self,
        chat: Chat,
        desk: Desk,
        *,
        events_per_call: int = 8,
        max_chars_per_event: int = 8_000,
        max_tokens_per_event: int = 600,
        caps: Caps | None = None,
        tries: int = 3,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if min(events_per_call, max_chars_per_event, max_tokens_per_event, tries) < 1:
            raise ValueError("events, characters, tokens and tries are at least 1")
        self._chat, self._desk, self._clock = chat, desk, clock
        self._events_per_call, self._max_chars = events_per_call, max_chars_per_event
        self._max_tokens, self._most_tries = max_tokens_per_event, tries
        self.failure: HoldfastError | None = None
        self._meter = Meter(caps or Caps(), self._bound)
        self._size = events_per_call  # of the next batch: halved by failures, doubled by answers
        self._failed_alone = 0  # questions about one event that failed since the last answer
        self._tries: dict[int, int] = {}  # unusable answers, by event
        self._done: set[int] = set()  # settled, but beyond the cursor
        self._owed: tuple[list[Extracted], int, Spent] | None = None  # what the desk lacks

    def run_once(self) -> Report:
        """Take one batch from question to settled claims.

        Raises
        ------
        StoreError, BudgetError
            What the desk raises. An answer is not lost by it.
        """
        self._settle_owed()
        pending = self._desk.pending(_WINDOW * self._events_per_call)
        window = [event for event in pending if event.seq not in self._done]
        if not window:
            return Report()
        chosen = self._choose(window)
        batch = [event for event in chosen if self._meter.affordable(event)]
        over = [
            self._skip(event, "more may be spent on it than its cap")
            for event in chosen
            if event not in batch
        ]
        day = datetime.fromtimestamp(self._clock(), UTC).date().isoformat()
        before = self._desk.spent_on(day)
        capped = False
        while batch and not self._meter.fits(batch, before):
            batch.pop()
            capped = not batch
        blamed = window[0] if window[0] not in chosen else None
        report = Report(skipped_over_cap=len(over), capped=capped)
        if batch:
            report, results, spent = self._ask(batch, blamed, day, report)
            self._settle(pending, [*over, *results], spent)
        elif over:
            self._settle(pending, over, Spent(day))
        return report

    def run(self, stop: threading.Event, idle_s: float = 1.0) -> None:
        """Batch after batch until told to stop, with growing pauses while the model fails.

        Parameters
        ----------
        stop
            Ends the loop: at once during a pause, else after the batch it is at.
        idle_s
            How often to look for new events.
        """
        pause_s = _FIRST_PAUSE_S
        while not stop.is_set():
            try:
                report = self.run_once()
            except ClosedError:
                return
            except (StoreError, BudgetError) as error:  # the desk's trouble, which may pass
                self.failure = error
                report = Report(failed=True)
            if report.failed:
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            pause_s = _FIRST_PAUSE_S
            if report.capped:
                stop.wait(min(_DAY_S - self._clock() % _DAY_S, _LONGEST_PAUSE_S))
            elif report.idle:
                stop.wait(idle_s)

    # ---- which events ------------------------------------------------------------------------

    def _choose(self, window: Sequence[Pending]) -> list[Pending]:
        """The oldest event and others of its scope, or one alone where something went wrong."""
        first = window[0]
        if self._failed_alone % 2 and len(window) > 1:
            return [window[1 + self._failed_alone // 2 % (len(window) - 1)]]
        if first.seq in self._tries:
            return [first]
        fresh = (e for e in window if e.scope == first.scope and e.seq not in self._tries)
        return list(islice(fresh, self._size))

    def _bound(self, batch: Sequence[Pending]) -> Usage:
        """The most that one question about a batch can use."""
        messages = build_messages(batch, self._max_chars)
        return self._chat.bound(messages, SCHEMA, max_tokens=self._max_tokens * len(batch))

    # ---- question and answer -----------------------------------------------------------------

    def _ask(
        self, batch: Sequence[Pending], blamed: Pending | None, day: str, report: Report
    ) -> tuple[Report, list[Extracted], Spent]:
        """What became of one question; `blamed` failed just before, and is not part of it."""
        messages, most = build_messages(batch, self._max_chars), self._bound(batch)
        try:
            answer = self._chat.complete(messages, SCHEMA, max_tokens=self._max_tokens * len(batch))
        except ModelError as error:
            self.failure = error
            self._back_off(len(batch))
            lost = error.unanswered if isinstance(error, EndpointError) else 0
            spent = Spent(day, lost, lost * most.tokens, lost * most.cost)
            self._meter.charge(batch, spent)
            failed = replace(report, cost=spent.cost, tokens=spent.tokens, failed=True)
            return failed, [], spent
        self.failure, self._failed_alone = None, 0
        self._size = min(2 * self._size, self._events_per_call)
        tokens = answer.tokens_in + answer.tokens_out + answer.unanswered * most.tokens
        cost = answer.cost + answer.unanswered * most.cost
        spent = Spent(day, 1 + answer.unanswered, tokens, cost)
        self._meter.charge(batch, spent)
        parsed = parse_reply(answer.text, batch)
        results = [Extracted(seq, of, by=self._chat.name) for seq, of in parsed.claims.items()]
        lacking = [event for event in batch if event.seq not in parsed.claims]
        why = "its answers were cut short" if answer.cut else "its answers were unusable"
        given_up = self._count(lacking, why)
        if blamed is not None:
            given_up += self._count([blamed], "the model fails on it, though not on others")
        report = replace(
            report,
            events=len(results),
            claims=sum(len(result.claims) for result in results),
            inventions=parsed.inventions,
            malformed=parsed.malformed,
            skipped=len(given_up),
            retried=len(lacking) + (blamed is not None) - len(given_up),
            shortened=sum(len(event.text) > self._max_chars for event in batch),
            cost=cost,
            tokens=tokens,
        )
        return report, [*results, *given_up], spent

    def _back_off(self, size: int) -> None:
        if size > 1:
            self._size = size // 2
        else:
            self._failed_alone += 1

    def _count(self, events: Sequence[Pending], why: str) -> list[Extracted]:
        """Count a try of each; those that have had all of theirs are given up."""
        given_up = []
        for event in events:
            self._tries[event.seq] = self._tries.get(event.seq, 0) + 1
            if self._tries[event.seq] >= self._most_tries:
                given_up.append(self._skip(event, f"{why}, {self._most_tries} times"))
        return given_up

    def _skip(self, event: Pending, why: str) -> Extracted:
        return Extracted(event.seq, skipped=why, by=self._chat.name)

    # ---- settling ----------------------------------------------------------------------------

    def _settle(self, pending: Sequence[Pending], results: list[Extracted], spent: Spent) -> None:
        """Hand over results; the cursor goes up to the oldest event that has none."""
        self._done.update(result.seq for result in results)
        left = [event.seq for event in pending if event.seq not in self._done]
        upto = left[0] - 1 if left else pending[-1].seq
        for result in results:
            self._tries.pop(result.seq, None)
            self._meter.forget(result.seq)
        self._done = {seq for seq in self._done if seq > upto}
        if results or spent.calls:
            self._owed = (results, upto, spent)
            self._settle_owed()

    def _settle_owed(self) -> None:
        if self._owed is not None:
            self._desk.settle(*self._owed)
            self._owed = None
