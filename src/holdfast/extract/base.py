"""What an extractor is: something that reads a text and says which claims it makes."""

from __future__ import annotations

from typing import Protocol

from holdfast.state.records import Claim


class Extractor(Protocol):
    """Reads one text; returns the claims it makes.

    Pure and deterministic: the same arguments give the same claims, and nothing is kept between
    calls. Never raises on any text, whatever its script, its length or its lone surrogates.

    Parameters of `claims`
    ----------------------
    text
        What was said. Never altered: evidence cites its UTF-8 bytes (lone surrogates as
        ``surrogatepass`` encodes them).
    speaker
        Who said it; None if not known. First-person claims are about them.
    role
        "user", "assistant" and the like; None if not known.
    at
        When it was said, POSIX seconds: what "yesterday" in it counts from.

    Each claim comes with one piece of evidence whose `seq` is 0, the event at hand.
    """

    @property
    def name(self) -> str:
        """Under which name it is asked for."""
        ...

    def claims(self, text: str, *, speaker: str | None, role: str | None, at: float) -> list[Claim]:
        """The claims of a text, in order of appearance, each once."""
        ...
