"""The passages of a text: runs of whole sentences, each of which gets a vector of its own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from holdfast.derive.sentences import Span, sentences

MOST = 4
"""Passages of one text, at most."""
TARGET = 160
"""Characters of a passage, about, while a text is short enough for that."""
SCHEME = f"passages-{MOST}x{TARGET}"
"""What is embedded, in a word: kept with the embedder's name, so that a change remakes vectors."""

_OVER = 1.15  # times its size that a passage may have rather than leave a sentence to the next
LONGEST = _OVER * TARGET
"""Characters of a passage where neither a long text nor a long sentence makes it longer."""
_WIDER = 1.1  # how much longer passages become until there are few enough


def passages(text: str, most: int = MOST, target: int = TARGET) -> list[Span]:
    """Character spans of a text's passages, in order: never more than `most`.

    Parameters
    ----------
    text
        Any text.
    most
        Passages at most, from 1.
    target
        Characters of a passage, about; in a text of more than ``most * target``, an equal share.

    Notes
    -----
    Every sentence lies in exactly one passage. A text has at least one, unless it is all white
    space. Linear in the text.

    Examples
    --------
    >>> text = "I moved to Oslo. It rains. My sister stayed."
    >>> [text[a:b] for a, b in passages(text, target=24)]
    ['I moved to Oslo. It rains.', 'My sister stayed.']
    >>> [text[a:b] for a, b in passages(text, most=1, target=24)] == [text]
    True
    """
    spans = sentences(text)
    if not spans:
        return []
    limit = _OVER * max(target, (spans[-1][1] - spans[0][0]) / most)
    while len(found := list(_runs(spans, limit))) > most:
        limit *= _WIDER
    return found


def _runs(spans: Sequence[Span], limit: float) -> Iterator[Span]:
    """Join sentences while together they are not over `limit`; one may be so by itself."""
    ends = [end for _, end in spans]
    i = 0
    while i < len(spans):
        start = spans[i][0]
        i = max(i + 1, bisect_right(ends, start + limit))
        yield start, ends[i - 1]


def embeddable(speaker: str | None, text: str) -> list[str]:
    """The texts whose vectors stand for an event; at least one, whatever the text.

    A speaker's name before each passage tells the model whose words they are.

    Examples
    --------
    >>> embeddable("Ana", "The key is under the pot.")
    ['Ana: The key is under the pot.']
    """
    parts = [text[start:end] for start, end in passages(text)] or [text or " "]
    return [f"{speaker}: {part}" for part in parts] if speaker else parts
