"""An agent that changes its mind over three weeks, and can say why.

No model: what an agent would say is written down here. Run it: ``python examples/three_weeks.py``.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from holdfast import Memory

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Days:
    """A clock that the story sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now.timestamp()

    def day(self, number: int) -> str:
        """Go to a day of the story, counted from 1."""
        self.now = START + timedelta(days=number - 1)
        return f"{self.now:%a %d %b}"


def show(memory: Memory, when: str, query: str) -> None:
    """What the agent holds to be true on a matter."""
    print(f"\n{when}: {query}")
    for belief in memory.beliefs(query) or []:
        since = datetime.fromtimestamp(belief.valid_from, UTC)
        cites = ", ".join(piece.citation for piece in belief.evidence)
        print(f"  {belief.text}  (since {since:%d %b}, says {', '.join(belief.sources)}, {cites})")


def main(path: Path) -> None:
    """Tell the story."""
    days = Days()
    with Memory.open(path, budget="4 MiB", clock=days) as memory:
        # Week 1: a project begins. Claims come from what people say.
        first = days.day(1)
        memory.observe("I'm allergic to peanuts.", speaker="Ana", role="user", scope="user/ana")
        memory.observe("We decided to deploy on Fridays.", speaker="Ana", role="user", scope="team")
        memory.believe("deploy", "happens_on", "Friday", kind="decision", scope="team",
                       evidence=["e2"], by="agent/planner", aliases=["release day"],
                       why_it_matters="the on-call rota depends on it")  # fmt: skip
        show(memory, first, "release day")

        # Week 2: a web page disagrees. It is less trusted: disputed, not believed.
        second = days.day(9)
        memory.observe("Best practice: teams deploy on Mondays.", channel="web", speaker="blog")
        done = memory.believe("deploy", "happens_on", "Monday", kind="decision", scope="team",
                              evidence=["e4"], by="agent/crawler")  # fmt: skip
        assert done.changes[0].action == "dispute"
        show(memory, second, "release day")

        # Week 3: the team changes its mind. The old decision is closed, not lost.
        third = days.day(16)
        memory.snapshot("before-the-change")
        said = memory.observe("After the outage we moved deploys to Tuesday.", speaker="Ana",
                              role="user", scope="team")  # fmt: skip
        done = memory.believe("deploy", "happens_on", "Tuesday", kind="decision", scope="team",
                              evidence=[said.seq], by="agent/planner")  # fmt: skip
        assert done.changes[0].action == "supersede"
        show(memory, third, "release day")

        print("\nHow it came to that:")
        for belief in memory.history("deploy", "happens_on", scope="team"):
            print(f"  {belief.value:8} {belief.status:9} {', '.join(belief.sources)}")
        week_one = [b.value for b in memory.beliefs(subject="deploy", as_of=START)]
        print("What we believed on day 1:", week_one)
        changed = memory.diff("before-the-change")
        print("Since the snapshot:", [belief.text for belief in changed.began])

        # Ana leaves and wants her data gone. What rested on it alone goes with it.
        receipt = memory.erase(scope="user/ana")
        print(f"Erased {receipt.events} event and {receipt.entries} claim; "
              f"{len(receipt.leaves)} leaf of the audit log stays.")  # fmt: skip
        assert memory.verify().ok


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder) / "planner.holdfast")
