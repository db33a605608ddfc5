"""A client that asks a server as fast as it answers, in a process of its own.

Reads what to do as JSON from standard input, and writes what came of it to standard output:
``python -m holdfast.bench.load``.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from holdfast.bench.probe import quantiles_ms

WINDOW_S = 0.5  # for which a p99 of its own is told
_PATIENCE_S = 30.0  # for an answer; a server that takes longer has hung


@dataclass(frozen=True, slots=True)
class Load:
    """What to send to whom.

    Parameters
    ----------
    port
        On loopback.
    path, bodies
        Where to post JSON bodies, in turn and round again.
    connections
        Each has one request under way at any time, and sends the next as soon as that is answered,
        whatever the answer was: no client could be ruder.
    seconds
        How long.
    """

    port: int
    path: str
    bodies: Sequence[str]
    connections: int
    seconds: float


@dataclass(slots=True)
class _Seen:
    began: float = 0.0
    last: float = 1e-9
    accepted_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    windows: dict[int, list[float]] = field(default_factory=dict)


def run(load: Load) -> dict[str, Any]:
    """Send it; how many a second were accepted and refused, and after what time."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    seen = _Seen()
    asyncio.run(_all(load, seen))
    accepted, refused = len(seen.accepted_s), len(seen.refused_s)
    # Up to the last that was accepted: those that were refused may be told so a second later.
    wall = seen.last - seen.began
    return {
        "connections": load.connections,
        "per_s": round(accepted / wall, 1),
        "refused_per_s": round(refused / wall, 1),
        "accepted_ms": quantiles_ms(seen.accepted_s),
        "refused_ms": quantiles_ms(seen.refused_s),
        "statuses": {str(status): n for status, n in sorted(seen.statuses.items())},
        "without_retry_after": seen.without_retry_after,
        "window_p99_ms": [
            quantiles_ms(seen.windows.get(n, [_PATIENCE_S]))["p99"]
            for n in range(int(load.seconds / WINDOW_S))
        ],
    }


async def _all(load: Load, seen: _Seen) -> None:
    requests = [_request(load, body.encode()) for body in load.bodies]
    seen.began = time.perf_counter()
    await asyncio.gather(*(_one(load, requests, n, seen) for n in range(load.connections)))


async def _one(load: Load, requests: list[bytes], n: int, seen: _Seen) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    try:
        while (begun := time.perf_counter()) < seen.began + load.seconds:
            writer.write(requests[n % len(requests)])
            status, head = await asyncio.wait_for(_answer(reader), _PATIENCE_S)
            ended = time.perf_counter()
            took = ended - begun
            seen.statuses[status] += 1
            (seen.accepted_s if status == 200 else seen.refused_s).append(took)
            if status == 200:
                seen.last, window = ended, int((begun - seen.began) / WINDOW_S)
                seen.windows.setdefault(window, []).append(took)
            if status == 429 and b"retry-after:" not in head:
                seen.without_retry_after += 1
            n += 7  # connections ask for different things at a time
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the headers of an answer; its body is read and dropped."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12]), head


def _request(load: Load, body: bytes) -> bytes:
    head = (
        f"POST {load.path} HTTP/1.1\r\nhost: 127.0.0.1:{load.port}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask_for(load: Load) -> str:
    """What to write to this module's standard input."""
    return json.dumps(asdict(load))


if __name__ == "__main__":
    print(json.dumps(run(Load(**json.load(sys.stdin)))))
