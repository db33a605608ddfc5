"""What exports of conversations share: their order, and the event that heads each one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from holdfast.interchange.base import Found, Part, event, scope_of


def in_order(document: Any, created: str) -> list[Part]:
    """The conversations of a document, oldest first; exports have the newest first."""
    if isinstance(document, dict) and isinstance(document.get("conversations"), list):
        document = document["conversations"]
    found = document if isinstance(document, list) else [document]
    talks = [Part.of(one, f"conversation {n}") for n, one in enumerate(found, 1)]
    times = [talk.time(created) for talk in talks]
    known = [math.inf if at is None else at for at in times]
    return [talks[i] for i in sorted(range(len(talks)), key=lambda i: (known[i], -i))]


def head(form: str, talk: Part, name: str, title: str, created: str, *used: str) -> Iterator[Found]:
    """An event that says what a conversation is called, with all that is told of it as a whole."""
    called = talk.text(title)
    if called:
        yield Found(talk.place, f"conversation {name}", event(
            called, speaker=form, kind="note", at=talk.time(created),
            scope=scope_of(form, name), metadata=talk.rest(title, created, *used),
        ))  # fmt: skip
