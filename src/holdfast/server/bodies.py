"""What requests bring: arguments in a query, and bodies, bounded, as JSON or as lines."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.errors import ArgumentsError
from holdfast.server.answers import caller_of
from holdfast.wire.http import RefusedError

Hold = Callable[[int], None]
"""Told how many bytes of a body are held now."""

NDJSON = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
LARGEST_LINE = 24 << 20  # bytes: the largest event in base 64, and its other fields
_LARGEST_QUESTION = 1 << 20  # bytes: what only asks has no need of more
_SILENCE_S = 30.0  # that a client may take for the next piece of a body
_LINE_COSTS = 128  # bytes that a line takes here beside its own


def media_type(request: Request) -> str:
    """What a body is said to be, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class Room:
    """The bytes of bodies that all requests together may hold.

    Parameters
    ----------
    most_bytes
        So many at once. One caller may hold half of them.
    """

    def __init__(self, most_bytes: int = 128 << 20) -> None:
        self._most, self._held = most_bytes, Counter[str]()

    @contextmanager
    def share(self, name: str) -> Iterator[Hold]:
        """Give what is to be told the bytes that one body of a caller holds by now.

        It raises `RefusedError` if that is too much. After the block they count no more.
        """
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            more = size - mine
            if more > 0 and (
                self._held.total() + more > self._most or self._held[name] + more > self._most // 2
            ):
                why = "other bodies take up all the room there is for them; try again in 1 s"
                raise RefusedError(429, why, **{"retry-after": "1"})
            self._held[name] += more
            mine = size

        try:
            yield hold
        finally:
            hold(0)
            self._held = +self._held  # of those who hold nothing, nothing is kept


async def read(request: Request, most: int, hold: Hold = lambda size: None) -> bytes:
    """A whole body.

    Parameters
    ----------
    hold
        Told how much of it is here; see `Room`.

    Raises
    ------
    RefusedError
        If it has over `most` bytes; no more than that is read. Or if it does not come.
    """
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said) > most:
        raise RefusedError(413, f"the body has {int(said)} bytes, and {most} are taken at the most")
    found = bytearray()
    async for chunk in _chunks(request):
        if len(found) + len(chunk) > most:
            raise RefusedError(413, f"the body has more than the {most} bytes that are taken")
        hold(len(found) + len(chunk))
        found += chunk
    return bytes(found)


class Bounded:
    """An application of somebody else's, whose bodies are bounded as all others are.

    Parameters
    ----------
    app
        What is given the whole body at once.
    most
        Bytes of a body.
    room
        Where it is held.
    """

    def __init__(self, app: ASGIApp, most: int, room: Room) -> None:
        self._app, self._most, self._room = app, most, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then let it answer."""
        request = Request(scope, receive)
        caller = caller_of(request)
        with self._room.share(caller.name) as hold:
            body = await read(request, most_of(self._most, caller.may), hold)
            whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

            async def receiving() -> Message:
                return whole.pop() if whole else await receive()

            await self._app(scope, receiving, send)


def most_of(most: int, effect: str) -> int:
    """The bytes that a body may have, if `most` is for what stores something.

    >>> most_of(32 << 20, "write"), most_of(32 << 20, "read")
    (33554432, 1048576)
    """
    return min(most, _LARGEST_QUESTION) if effect == "read" else most


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The pieces of a body, as they come. Raises `RefusedError` if none comes for too long."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(_SILENCE_S):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            late = f"nothing more of the body has come for {_SILENCE_S:g} s"
            raise RefusedError(408, late, connection="close") from None
        yield chunk


def arguments(request: Request, body: bytes) -> dict[str, Any]:
    """The arguments that a body has: a JSON object; none without a body.

    Raises
    ------
    RefusedError
        If it is said to be something else than JSON.
    ArgumentsError
        If it is not a JSON object.
    """
    kind = media_type(request)
    if not body or body.isspace():
        return {}
    if kind != "application/json" and not kind.endswith("+json"):
        raise RefusedError(415, "the body must be JSON; say so by content-type: application/json")
    found = parse(body)
    if not isinstance(found, dict):
        raise ArgumentsError("the body must be a JSON object of arguments by name")
    return found


def asked(request: Request) -> dict[str, Any]:
    """The arguments in a query; a name that comes several times has a list of values."""
    known = request.query_params
    return {
        name: values[0] if len(values) == 1 else values
        for name in known
        if (values := known.getlist(name))
    }


def parse(text: bytes | str) -> Any:
    """A JSON value. Raises `ArgumentsError` if it is none, or nested too deeply."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ArgumentsError("the body is nested too deeply") from None
    except UnicodeDecodeError:
        raise ArgumentsError("the body is not UTF-8") from None
    except json.JSONDecodeError as wrong:
        where = f"line {wrong.lineno}, column {wrong.colno}"
        raise ArgumentsError(f"the body is not JSON ({where}: {wrong.msg.lower()})") from None
    except ValueError:  # a number of too many digits, or one of those that JSON does not have
        raise ArgumentsError("the body is not JSON: it has a number that cannot be read") from None


async def lines(
    request: Request, batch_bytes: int, hold: Hold = lambda size: None
) -> AsyncIterator[list[tuple[int, bytes]]]:
    """The lines of a body with their numbers, about `batch_bytes` of them at a time.

    The next are read from the client only when these were taken, so a client cannot send faster
    than they are stored. Linear in the bytes, however they are cut into pieces. Raises
    `RefusedError` if a line has more than `LARGEST_LINE` bytes.
    """
    rest, number, batch, size = bytearray(), 0, list[tuple[int, bytes]](), 0
    async for chunk in _chunks(request):
        hold(len(rest) + size + len(chunk))
        head, newline, more = chunk.partition(b"\n")
        rest += head
        if len(rest) > LARGEST_LINE:
            raise RefusedError(413, f"line {number + 1} has over {LARGEST_LINE} bytes")
        if not newline:
            continue
        *whole, tail = more.split(b"\n")
        for line in (bytes(rest), *whole):
            number += 1
            batch.append((number, line))
            size += len(line) + _LINE_COSTS
        rest = bytearray(tail)
        if size >= batch_bytes:
            yield batch
            batch, size = [], 0
    if rest:
        batch.append((number + 1, bytes(rest)))
    if batch:
        yield batch


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
