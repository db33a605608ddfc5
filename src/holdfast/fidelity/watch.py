"""The meter in the background: in slices, with a bounded share of a processor, and resumable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from holdfast.commit import Committer
from holdfast.errors import BudgetError, ClosedError, StoreError
from holdfast.fidelity.meter import Meter
from holdfast.fidelity.notes import Notes
from holdfast.fidelity.probes import NOTES_ID
from holdfast.fidelity.report import Estimate, Fidelity
from holdfast.mirror import Mirror
from holdfast.stores.base import Store

_SLICE_S = 0.05  # processor time after which a pause is due
_SAVE_EVERY_S = 2.0
_LOOK_EVERY_S = 0.25  # for something new, once everything was asked
_AGAIN = 1 / 32  # of the stream that must be new before everything is asked again
_NEW = 64  # events that must be new at least
_NOTES_BYTES = 16 * 1024  # pages that saving may dirty


class Watch:
    """Asks the probes of a memory again and again, and says when too little comes back.

    Parameters
    ----------
    share
        Of one processor, at the most.
    alarm
        Below which share of questions that bring back their event `tell` is called, once each time
        it falls below; None: never.
    tell
        Records a sentence about that.

    Notes
    -----
    Reports at any moment; what was not asked yet in this pass counts as it was found in the one
    before. What it found is stored every 2 s in one small transaction, where the budget has room
    for it, so whoever opens the file after a crash goes on from there.
    """

    def __init__(
        self,
        meter: Meter,
        mirror: Mirror,
        committer: Committer,
        store: Store,
        *,
        share: float,
        alarm: float | None,
        tell: Callable[[str], None],
    ) -> None:
        self._meter, self._mirror, self._committer, self._store = meter, mirror, committer, store
        self._share, self._alarm, self._tell = share, alarm, tell
        self._notes = Notes.from_bytes(mirror.probes.notes, meter.tokens)
        meter.outcomes = self._notes.outcomes
        self._asked_at = mirror.next_seq  # the next event when the latest pass began
        self._under_way = True
        self._saved_at = time.monotonic()
        self._closing = threading.Event()
        self._passed = threading.Condition()
        self.failure: StoreError | BudgetError | None = None
        """Why it could not go on the last time; it tries again."""
        self._worker = threading.Thread(target=self._work, name="holdfast-meter", daemon=True)
        self._worker.start()

    @property
    def passes(self) -> int:
        """How often every probe was asked, since the file was made."""
        return self._notes.passes

    def report(self) -> Fidelity:
        """What is known by now."""
        return self._meter.report()

    def settle(self, timeout_s: float = 60.0) -> bool:
        """Wait until every probe was asked since much was new; whether that came in time."""
        with self._passed:
            return self._passed.wait_for(lambda: not (self._under_way or self._is_new()), timeout_s)

    def stop(self) -> None:
        """End after the question that is being asked."""
        self._closing.set()
        if threading.current_thread() is not self._worker:
            self._worker.join()

    # ---- the worker ------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._closing.is_set():
            begun = time.thread_time()
            try:
                self._committer.refresh()
                idle = not self._slice()
            except ClosedError:
                return
            except (StoreError, BudgetError) as error:
                self.failure, idle = error, True
            spent = time.thread_time() - begun
            pause_s = spent * (1.0 / self._share - 1.0)
            self._closing.wait(max(pause_s, _LOOK_EVERY_S if idle else 0.0))

    def _slice(self) -> bool:
        """Ask for a while; False if nothing is due."""
        notes, begun = self._notes, time.thread_time()
        if not self._under_way and not self._is_new():
            return False
        self._under_way = True
        due = [one for one in self._meter.chosen() if one.seq not in notes.done]
        if not notes.done:
            self._asked_at = self._mirror.next_seq
        for probe in due:
            self._meter.step([probe])
            notes.done.add(probe.seq)
            if time.thread_time() - begun > _SLICE_S or self._closing.is_set():
                break
        else:
            self._end_pass()
        if time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            self._save()
        return True

    def _is_new(self) -> bool:
        new = self._mirror.next_seq - self._asked_at
        return new >= max(_NEW, int(_AGAIN * self._mirror.next_seq))

    def _end_pass(self) -> None:
        notes = self._notes
        found = self._meter.found()
        low = self._alarm is not None and found.n > 0 and found.value < self._alarm
        if low and not notes.alarmed:
            self._tell(_sentence(found, self._alarm or 0.0))
        with self._passed:
            notes.alarmed = low
            notes.keep({probe.seq: probe for probe in self._meter.chosen()})
            self._meter.outcomes = notes.outcomes
            notes.done.clear()
            notes.passes += 1
            self._under_way = False
            self._passed.notify_all()
        self._save()

    def _save(self) -> None:
        """Store what was found, if there is room; if not, a crash costs a pass."""
        data = self._notes.to_bytes()
        with self._committer.still():
            if self._store.room_for(len(data)) < 0:
                return
            with self._store.transaction(_NOTES_BYTES) as tx:
                tx.put_cell("probe", NOTES_ID, data)
            self._mirror.probes.notes = data
        self._saved_at = time.monotonic()


def _sentence(found: Estimate, level: float) -> str:
    return (
        f"Fidelity alarm: {found.value:.0%} of questions about the past bring back their event "
        f"(95 % interval {found.low:.0%} to {found.high:.0%}), below the level of {level:.0%}."
    )
