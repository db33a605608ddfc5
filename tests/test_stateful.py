"""One machine drives a memory and a plain model of what it promises, side by side."""

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast import Event, Memory, Receipt, Tier
from holdfast.codec import content_bytes
from holdfast.errors import BudgetError, IdempotencyError, InvalidEventError
from holdfast.stores.space import SMALLEST_BUDGET

words = st.sampled_from(
    [
        "key",
        "pot",
        "blue",
        "garden",
        "Lisbon",
        "train",
        "Tuesday",
        "meeting",
        "42",
        "cats",
        "über",
        "東京",
        "駅",
        "где",
        "ключ",
        "🐙",
        "a",
        "the",
    ]
)
texts = st.lists(words, min_size=1, max_size=40).map(" ".join)
scopes = st.sampled_from(["", "user/ana", "user/ana/session/1", "user/bo", "team"])
contents = (
    texts
    | st.binary(min_size=1, max_size=3000)
    | st.integers(1, 30).map(lambda n: f"filler {n} " * 300)
)
KEYS_KEPT = 60  # events back that even the smallest memory remembers a key
BUDGETS = [SMALLEST_BUDGET, 1_000_000, 2_000_000]


class MemoryMachine(RuleBasedStateMachine):
    """The model is a dictionary of all events ever; the memory may keep less, never other."""

    @initialize(
        budget=st.sampled_from(BUDGETS), policy=st.sampled_from(["demand", "oldest", "merge"])
    )
    def open(self, budget: int, policy: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "m.holdfast"
        self.now = 1_700_000_000.0
        self.policy, self.budget = policy, budget
        self.events: dict[int, Event] = {}
        self.keys: dict[str, tuple[object, Receipt]] = {}
        self.memory = self._open(budget)

    def _open(self, budget: int | None = None) -> Memory:
        return Memory.open(self.path, budget, retention=self.policy, clock=lambda: self.now)

    @rule(content=contents, scope=scopes, pinned=st.integers(0, 9))
    def observe(self, content: str | bytes, scope: str, pinned: int) -> None:
        self.now += 1.5
        event = Event(content, speaker="Ana", scope=scope, pinned=pinned == 0)
        receipt = self.memory.observe(event)
        assert receipt.seq == len(self.events) + 1
        assert receipt.durable
        self.events[receipt.seq] = event
        assert self.memory.get(receipt.seq).event.content == content, "not findable at once"

    @rule(content=texts, key=st.sampled_from(["k1", "k2", "k3"]))
    def observe_with_key(self, content: str, key: str) -> None:
        try:
            receipt = self.memory.observe(content, key=key)
        except IdempotencyError:
            assert self.keys[key][0] != content
            return
        known = self.keys.get(key)
        recent = known is not None and len(self.events) - known[1].seq < KEYS_KEPT
        if known is not None and (recent or receipt.seq == known[1].seq):
            assert known == (content, receipt), "a repeated key gave another receipt"
        else:
            self.keys[key] = (content, receipt)
            self.events[receipt.seq] = Event(content, key=key)

    @rule(batch=st.lists(contents, max_size=60), times=st.integers(1, 12))
    def observe_many(self, batch: list[str | bytes], times: int) -> None:
        self.now += 100
        first = len(self.events) + 1
        done = self.memory.observe_many([Event(c, scope="bulk") for c in batch] * times)
        assert done.events == len(batch) * times
        for seq, content in enumerate(batch * times, first):
            self.events[seq] = Event(content, scope="bulk")

    @rule(bad=st.sampled_from(["", b"", 7, None]))
    def observe_nonsense(self, bad: object) -> None:
        try:
            self.memory.observe(bad)  # type: ignore[arg-type]
        except InvalidEventError:
            return
        raise AssertionError(f"{bad!r} was taken for an event")

    @rule(query=texts, tokens=st.sampled_from([0, 40, 200, 1000]), scope=scopes)
    def recall(self, query: str, tokens: int, scope: str) -> None:
        context = self.memory.recall(query, tokens=tokens, scope=scope)
        assert context.tokens <= tokens
        for item in context.items:
            event = self.events[item.seq]
            assert not scope or event.scope == scope or event.scope.startswith(scope + "/")
            if item.tier == Tier.VERBATIM and isinstance(event.content, str):
                content = content_bytes(event.content)
                if item.excerpt:
                    quotes = [
                        (content[q.start : q.end], content_bytes(q.text)) for q in item.quotes
                    ]
                    assert all(kept == shown for kept, shown in quotes)
                    continue
                assert item.text == event.content
                assert item.span == (0, len(content))

    @rule()
    def reopen(self) -> None:
        before = [self.memory.recall(query).text for query in ("key", "東京 駅", "Lisbon train")]
        kept = list(self.memory.log())
        self.memory.close()
        self.memory = self._open()
        assert list(self.memory.log()) == kept
        after = [self.memory.recall(query).text for query in ("key", "東京 駅", "Lisbon train")]
        assert after == before, "recall changed by reopening"

    @precondition(lambda self: self.budget > SMALLEST_BUDGET)
    @rule(budget=st.sampled_from(BUDGETS))
    def resize(self, budget: int) -> None:
        try:
            self.memory.resize(budget)
        except BudgetError:
            assert self.memory.usage().budget == self.budget, "a refused budget was adopted"
        else:
            self.budget = budget
            assert self.memory.usage().budget == budget

    @rule()
    def verify(self) -> None:
        found = self.memory.verify()
        assert found.ok, found.problems

    @invariant()
    def within_budget(self) -> None:
        disk = sum(
            os.stat(f"{self.path}{suffix}").st_size
            for suffix in ("", "-wal", "-shm")
            if os.path.exists(f"{self.path}{suffix}")
        )
        assert disk <= max(self.budget, self.memory.usage().budget)

    @invariant()
    def kept_and_evicted_are_all(self) -> None:
        usage = self.memory.usage()
        assert sum(usage.events.values()) == len(self.events)
        assert len(self.memory) == len(self.events) - usage.events["evicted"]

    @invariant()
    def what_is_kept_is_what_was_said(self) -> None:
        for record in self.memory.log():
            event = self.events[record.seq]
            content = content_bytes(event.content)
            assert record.size == len(content)
            if record.tier == Tier.VERBATIM:
                assert record.event.content == event.content
            assert not event.pinned or record.tier == Tier.VERBATIM
            for quote in record.quotes:
                assert content[quote.start : quote.end] == content_bytes(quote.text)

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()
            self.folder.cleanup()


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
