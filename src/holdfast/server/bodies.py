"""The bodies of requests: bounded, and as JSON or as lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from starlette.requests import Request

from holdfast.errors import ArgumentsError
from holdfast.server.answers import RefusedError

NDJSON = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
LARGEST_LINE = 24 << 20  # bytes: the largest event in base 64, and its other fields
_LINE_COSTS = 128  # bytes that a line takes here beside its own


def media_type(request: Request) -> str:
    """What a body is said to be, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read(request: Request, most: int) -> bytes:
    """A whole body.

    Raises
    ------
    RefusedError
        If it has over `most` bytes; no more than that is read.
    """
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said) > most:
        raise RefusedError(413, f"the body has {int(said)} bytes, and {most} are taken at the most")
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > most:
            raise RefusedError(413, f"the body has more than the {most} bytes that are taken")
    return bytes(found)


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


async def lines(request: Request, batch_bytes: int) -> AsyncIterator[list[tuple[int, bytes]]]:
    """The lines of a body with their numbers, about `batch_bytes` of them at a time.

    The next are read from the client only when these were taken, so a client cannot send faster
    than they are stored. Linear in the bytes, however they are cut into pieces. Raises
    `RefusedError` if a line has more than `LARGEST_LINE` bytes.
    """
    rest, number, batch, size = bytearray(), 0, list[tuple[int, bytes]](), 0
    async for chunk in request.stream():
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
