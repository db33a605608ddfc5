"""When to try a request again, and how long to wait first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from random import Random


@dataclass(frozen=True)
class Retry:
    """Bounded retries with doubling, jittered waits that honour the server's Retry-After.

    Parameters
    ----------
    attempts
        Requests in all, the first included.
    first_wait_s, max_wait_s
        The first wait, and the most a wait may be. A server that asks for more ends the retries.
    sleep, clock, rng
        How to wait, what time it is (POSIX seconds), and where jitter comes from: a wait is
        shortened by up to a half, so that many clients do not come back at the same moment.
    """

    attempts: int = 4
    first_wait_s: float = 0.5
    max_wait_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    rng: Random = field(default_factory=Random)

    def wait_s(self, attempt: int, retry_after: str | None = None) -> float | None:
        """How long to wait after this many failed requests (1, 2, …); None: try no more."""
        if attempt >= self.attempts:
            return None
        asked = self._seconds(retry_after)
        if asked is not None:
            return asked if asked <= self.max_wait_s else None
        longest = min(self.max_wait_s, self.first_wait_s * 2.0 ** (attempt - 1))
        return longest * (1.0 - self.rng.random() / 2.0)

    def _seconds(self, retry_after: str | None) -> float | None:
        """A Retry-After header, which is a number of seconds or a date; None if neither."""
        if retry_after is None:
            return None
        if retry_after.strip().isdigit():
            return float(retry_after)
        try:
            return max(0.0, parsedate_to_datetime(retry_after).timestamp() - self.clock())
        except ValueError:
            return None
