"""A block of LlamaIndex's memory: what leaves the short-term history, recalled when it matters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Self

from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.bridge.pydantic import Field
from llama_index.core.memory import BaseMemoryBlock

from holdfast.adapters.scopes import home, join
from holdfast.memory import Memory
from holdfast.records import Context, Event
from holdfast.seat import Seat

_PROMPTS = frozenset({MessageRole.SYSTEM, MessageRole.DEVELOPER})
_RESULTS = frozenset({MessageRole.TOOL, MessageRole.FUNCTION})
_MARGIN = 1.4  # the most that the built-in counter exceeds a tokenizer by, on prose


class LlamaIndexBlock(BaseMemoryBlock[str]):
    """A memory block that keeps messages in a memory's file and recalls what the user asks of.

    Beside what `VectorMemoryBlock` does, it needs neither an embedding model nor a vector store,
    is durable within a byte budget, bounds what it gives by tokens and cites every line, keeps one
    event per message with its role and session, knows which of two claims is the later one, and
    when there is too little room gives less, where that block gives nothing.

    Parameters
    ----------
    memory
        An open memory, or a seat that may read and write the scope. A seat is the speaker of all
        that it stores.
    scope
        Where messages go, each session in a scope inside it, and what is recalled from: every
        session there. Give each user one. None: a seat's home, or the root.
    tokens
        The most that one recall may give, as the memory counts.
    **fields
        ``name``, ``description``, ``priority`` and ``accept_short_term_memory``, as of every block.

    Raises
    ------
    InvalidEventError, BudgetError, StoreError, AccessError
        By `aput`, if a message cannot be stored; those before it are.

    Notes
    -----
    Messages are spoken by the ``name`` in their ``additional_kwargs``, or by their role. Tool
    calls and results are events of those kinds; system messages, which the application sends
    anyway, and whatever is neither text nor a tool call are not stored.

    To cut what it gave by so many tokens, the block recalls again within fewer. The built-in
    counter of a memory over-estimates, and so the cut is made 1.4 times as deep.

    Cost: `aput` one synced write; `aget` and `atruncate` one recall each.

    Examples
    --------
    Needs ``llama-index-core``::

        block = LlamaIndexBlock(memory, scope="user/ana", tokens=500, priority=1)
        chat = llama_index.core.memory.Memory.from_defaults(memory_blocks=[block])
    """

    name: str = Field(default="holdfast", description="The name of the block in the prompt.")
    memory: Any = Field(exclude=True, description="The memory or seat that messages are kept in.")
    scope: str = Field(default="", description="Where they are kept, and recalled from.")
    tokens: int = Field(default=1000, description="The most that one recall may give.")

    def __init__(self, memory: Memory | Seat, *, scope: str | None = None, **fields: Any) -> None:
        super().__init__(memory=memory, scope=home(memory, scope), **fields)

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex knows it by."""
        return "LlamaIndexBlock"

    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        """What the memory can say about the latest message of the user; "" if nothing."""
        latest = (one for one in reversed(messages or []) if one.role == MessageRole.USER)
        query = next((one.content for one in latest if one.content), None)
        return "" if query is None else await self._recall(query, self.tokens)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        """Store each message as an event, or several if it calls tools."""
        events = [event for message in messages for event in self._events(message)]
        if events:
            await asyncio.to_thread(self.memory.observe_many, events)

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """The same recall within fewer tokens; None if nothing fits."""
        if not isinstance(content, _Recalled):
            return None
        room = content.context.tokens - int(tokens_to_truncate * _MARGIN)
        return await self._recall(content.context.query, room) or None if room > 0 else None

    async def _recall(self, query: str, tokens: int) -> str:
        ask = partial(self.memory.recall, query, tokens=tokens, scope=self.scope)
        return _Recalled.of(await asyncio.to_thread(ask))

    def _events(self, message: ChatMessage) -> Iterator[Event]:
        if message.role in _PROMPTS:
            return
        extra = dict(message.additional_kwargs)
        session, name = extra.pop("session_id", None), extra.pop("name", None)
        said = partial(
            Event,
            # A seat is the speaker of what it stores, whose words they are.
            speaker=None if isinstance(self.memory, Seat) else name or message.role.value,
            role=message.role.value,
            scope=self.scope if session is None else join(self.scope, session),
            metadata={k: v for k, v in extra.items() if isinstance(v, (str, int, float, bool))},
        )
        if message.content:
            yield said(
                message.content, kind="tool_result" if message.role in _RESULTS else "message"
            )
        for block in message.blocks:
            if isinstance(block, ToolCallBlock):
                call = {"tool": block.tool_name, "arguments": block.tool_kwargs}
                yield said(json.dumps(call, ensure_ascii=False), kind="tool_call")


class _Recalled(str):
    """The text of a context, from which the recall can be made again."""

    context: Context

    @classmethod
    def of(cls, context: Context) -> Self:
        """Return the text of a context."""
        made = cls(context.text)
        made.context = context
        return made
