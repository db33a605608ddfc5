"""A small server for tests, and memories that have something of everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from holdfast import Event, Memory
from holdfast.inspector import Rates, routes
from holdfast.inspector.app import Run
from holdfast.retention.ladder import DemotionLadder
from holdfast.service.call import Service
from holdfast.service.callers import OWNER, Caller
from holdfast.service.root import Root

START = 1_767_225_600.0  # 1 January 2026
DAY = 86_400.0


class As:
    """Middleware: every request is by one caller."""

    def __init__(self, app: Any, caller: Caller | None) -> None:
        self.app, self.caller = app, caller

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {})["caller"] = self.caller
        await self.app(scope, receive, send)


async def on_thread(
    request: Request, function: Callable[[], Response], costly: bool = False
) -> Response:
    """The plainest `run`."""
    return await anyio.to_thread.run_sync(function)


def application(folder: Path, caller: Caller | None = OWNER, run: Run = on_thread) -> Starlette:
    """The inspector over a folder of memories."""
    rates = Rates()
    service = Service(Root(folder), [rates])

    @asynccontextmanager
    async def life(app: Starlette) -> Any:
        yield
        service.close()

    app = Starlette(
        routes=routes(service, run, rates=rates),
        middleware=[Middleware(As, caller=caller)],
        lifespan=life,
    )
    app.state.service = service
    return app


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def furnish(folder: Path, name: str = "ana", *, events: int = 4200) -> None:
    """A full memory: every tier, a ledger, beliefs that changed, grants, receipts, checkpoints."""
    clock, made = Clock(), Random(7)
    words = ["".join(made.choices("abcdefghiklmnoprstuvz", k=7)) for _ in range(4000)]
    with Memory.open(
        folder / f"{name}.holdfast",
        "704 KiB",
        retention=DemotionLadder(values=(1.0, 0.9, 0.8)),
        clock=clock,
        durability="off",
    ) as memory:
        people = ("Ana", "Bo", "Chidi")
        for start in range(0, events, 200):
            clock.now += DAY
            memory.observe_many(
                Event(
                    f"Note {n} about the {_THINGS[n % 7]} in the {_PLACES[n % 5]}. "
                    + " ".join(
                        f"{' '.join(made.choices(words, k=9)).capitalize()}." for _ in range(7)
                    ),
                    speaker=people[n % 3],
                    scope=f"team/{_PLACES[n % 5]}",
                    at=clock.now + n % 200,
                )
                for n in range(start, min(start + 200, events))
            )
            if start % 600 == 0:
                thing = f"the {_THINGS[start // 600 % 7]} in the {_PLACES[start // 600 % 5]}"
                memory.believe("Bo", "works_on", thing, scope="team", by="Bo")
        told = memory.observe(
            "I moved from Lisbon to Porto in May. The spare key is under the blue pot.",
            speaker="Ana", scope="team/garden", metadata={"client": "desk", "n": 7}, key="k-1",
        ).seq  # fmt: skip
        memory.believe(
            "Ana", "lives_in", "a small flat in Lisbon", valid_from=START, scope="team", by="Ana"
        )
        clock.now += DAY
        memory.believe(
            "Ana", "lives_in", "a small house in Porto", valid_from=START + 30 * DAY, scope="team",
            by="Ana", evidence=[f"e{told}[0:36]"], why_it_matters="where to send things",
        )  # fmt: skip
        memory.believe("Bo", "likes", "green tea", kind="preference", scope="team", by="Bo")
        memory.believe("Chidi", "decided", "to plant figs", kind="decision", by="Chidi")
        memory.grant("agent/bo", "read", "team", by="Ana")
        memory.grant("agent/cho", "directive", "team/garden", by="Ana")
        memory.put_document("desk", {"lamp": "off"}, by="Ana")
        memory.checkpoint()
        memory.observe("Forget this one.", speaker="Dora", scope="team/attic")
        memory.erase(source="Dora", by="Ana")
        memory.revoke("web", by="Ana")
        memory.snapshot("monday", by="Ana")
        memory.observe(b"\x00\x01\x02 bytes", speaker="camera")
        clock.now += DAY
        memory.observe("The last event.", speaker="Bo", scope="team/kitchen", parents=(told,))
        memory.checkpoint()


_THINGS = ("ladder", "kettle", "bench", "lamp", "shutter", "gate", "barrel")
_PLACES = ("garden", "kitchen", "attic", "cellar", "yard")

PAYLOADS = (
    "<script>window.__pwned=1</script>",
    "<ScRiPt src=data:text/javascript,window.__pwned=1></sCrIpT>",
    "<img src=x onerror=window.__pwned=1>",
    "<svg onload=window.__pwned=1><animate onbegin=window.__pwned=1 attributeName=x dur=1s>",
    "<svg><script>window.__pwned=1</script></svg>",
    '"><img src=x onerror="window.__pwned=1">',
    "' onmouseover='window.__pwned=1' autofocus onfocus='window.__pwned=1",
    "javascript:window.__pwned=1",
    "data:text/html,<script>window.__pwned=1</script>",
    "</pre></title></textarea></style></script><script>window.__pwned=1</script>",
    "<iframe srcdoc='<script>parent.__pwned=1</script>'></iframe>",
    "<details open ontoggle=window.__pwned=1><summary>x</summary></details>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.__pwned=1>",
    "<a href=javascript:window.__pwned=1>click</a>",
    "<form action=javascript:window.__pwned=1><button>go</button></form>",
    "<meta http-equiv=refresh content='0;url=javascript:window.__pwned=1'>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "${7*7} #{7*7} <%= 7*7 %> {{constructor.constructor('window.__pwned=1')()}}",
    "<!--><script>window.__pwned=1</script>-->",
    "<![CDATA[<script>window.__pwned=1</script>]]>",
    "&lt;script&gt;window.__pwned=1&lt;/script&gt; &#x3c;img src=x&#x3e;",
    "+ADw-script+AD4-window.__pwned=1+ADw-/script+AD4-",
    "\u202egnp.exe\u202c \u2066isolate\u2069 \u200fright",
    "NUL \x00 ESC \x1b[31m BEL \x07 DEL \x7f C1 \x9b",
    "half a character \ud83d and \udc00",
    "overlong \xc0\xbc\u2028line\u2029paragraph\ufeffbom",
    "a" * 300 + "<b>" + "\U0001f9ff" * 50,
)
"""What somebody who writes into a memory might try on who looks at it."""


def attack(folder: Path, name: str = "attacked") -> None:
    """A memory with every payload as content, speaker, scope, belief, metadata and names."""
    clock = Clock()
    with Memory.open(folder / f"{name}.holdfast", "2 MiB", clock=clock) as memory:
        for payload in PAYLOADS:
            clock.now += 60
            named = payload.encode("utf-8", "replace").decode().replace("\x00", "")[:120]
            for attempt in (payload, named):  # where a rule refuses the first, the second stands
                try:
                    seq = memory.observe(
                        attempt, speaker=named, role=named, channel=named, scope=named,
                        metadata={named: [attempt]}, key=f"{named}{clock.now}",
                    ).seq  # fmt: skip
                    break
                except ValueError:
                    continue
            clean = "".join(mark for mark in named if mark.isprintable())
            for value in (clean, f"{clean} again"):
                try:
                    memory.believe(
                        clean, "says", value, scope=named, by=clean, evidence=[seq],
                        why_it_matters=clean, aliases=[clean],
                    )  # fmt: skip
                except ValueError:
                    continue
            try:
                memory.grant(clean, "read", clean, by=clean)
                memory.put_document(clean, {clean: clean}, by=clean)
                memory.revoke(f"{clean} revoked", by=clean)
            except ValueError:
                continue
