"""Fidelity: what a memory can still say of all it ever observed."""

from __future__ import annotations

from collections.abc import Callable

from holdfast import write
from holdfast.api.base import Parts
from holdfast.fidelity.advice import Advice, advise
from holdfast.fidelity.meter import Meter
from holdfast.fidelity.replay import Asker
from holdfast.fidelity.report import Fidelity
from holdfast.fidelity.watch import Watch
from holdfast.records import Event, Tier

ALARM = "holdfast"
"""The speaker and channel of what a memory observes about itself."""


class FidelityApi(Parts):
    """The methods of a memory that are about how much of the past it still holds."""

    _watch: Watch | None = None

    def fidelity(
        self,
        *,
        tokens: int = 1000,
        sample: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Fidelity:
        """Measure how much of what was ever observed can still be recalled. Writes nothing.

        Parameters
        ----------
        tokens
            What each question may bring back.
        sample
            Ask at most so many of the probes; None: all of them.
        progress
            Told how many were asked, and of how many.

        Notes
        -----
        What is kept is counted; what comes back is measured with up to 512 probes, each one recall
        of some milliseconds. Linear in what is kept beside that.
        """
        self._refresh()
        meter = self._meter(tokens, sample)
        due = meter.chosen()
        meter.step(due, None if progress is None else lambda done: progress(done, len(due)))
        return meter.report()

    def meter(
        self, share: float = 0.05, *, tokens: int = 1000, alarm: float | None = None
    ) -> Watch:
        """Measure in the background from now on, until it is stopped or the memory is closed.

        Parameters
        ----------
        share
            Of one processor that it may take.
        tokens
            What each question may bring back.
        alarm
            When a smaller share of the questions than this brings back its event, observe a note
            that says so, once each time it falls below; by the speaker and channel "holdfast".

        Notes
        -----
        It goes on where it was when the memory was closed, or crashed. A meter that runs already is
        stopped first.

        Raises
        ------
        ValueError
            If `share` is not over 0 and at most 1.
        """
        if not 0.0 < share <= 1.0:
            raise ValueError(f"a share of {share} of a processor is not over 0 and at most 1")
        self._stop_meter()
        self._watch = Watch(
            self._meter(tokens, None), self._mirror, self._committer, self._store,
            share=share, alarm=alarm, tell=self._tell,
        )  # fmt: skip
        return self._watch

    def budget_for(self, fidelity: float = 0.95, *, tier: Tier = Tier.GIST) -> Advice:
        """The smallest budget that would have kept so much of what was observed so far.

        Parameters
        ----------
        fidelity
            The share to be kept, each event by how likely it is to be asked about.
        tier
            The lowest tier that counts as kept.

        Notes
        -----
        See `holdfast.fidelity.advice`: the policy itself plans for other limits, and for what is
        gone the probes stand. Writes nothing.

        Raises
        ------
        ValueError
            If that is no share, or `tier` is EVICTED.
        """
        self._refresh()
        return advise(self._mirror, self._store, self._settings["retention"], fidelity, tier)

    def _meter(self, tokens: int, sample: int | None) -> Meter:
        return Meter(self._mirror, Asker(self._run, self._reader, tokens), sample)

    def _tell(self, sentence: str) -> None:
        event = Event(sentence, speaker=ALARM, channel=ALARM, kind="note")
        write.observe(self._writer, event)
        self._changed()

    def _stop_meter(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
