"""An OpenAI-compatible chat endpoint on 127.0.0.1 that answers and misbehaves as scripted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.models.scripted_server import Reply, ScriptedServer

_HUGE = 16_777_216


@dataclass(frozen=True)
class ChatReply(Reply):
    """One scripted answer of a chat.

    Parameters
    ----------
    text
        What the model says. None: what the server's `answer` makes of the messages.
    usage
        Tokens of question and answer, as reported; None: not reported.
    finish
        Why the answer ended: "stop", or "length" where it was cut.
    code
        What an error calls itself; None: after the behaviour.
    """

    text: str | None = None
    usage: tuple[int, int] | None = (100, 20)
    finish: str = "stop"
    code: str | None = None


def _nothing(messages: Sequence[Mapping[str, str]]) -> str:
    return "{}"


@dataclass
class ScriptedChatServer(ScriptedServer):
    """`ScriptedServer` for ``POST /chat/completions``: real HTTP, scripted answers.

    Parameters
    ----------
    answer
        What the model says to messages where no reply of the script says it.
    formats
        Which response formats the endpoint takes; it answers 400 to any other.

    Examples
    --------
    >>> from holdfast.models.chat import OpenAIChat
    >>> with ScriptedChatServer(answer=lambda messages: messages[-1]["content"][::-1]) as server:
    ...     with OpenAIChat("any", server.base_url) as chat:
    ...         chat.complete([{"role": "user", "content": "abc"}]).text
    'cba'
    """

    answer: Callable[[Sequence[Mapping[str, str]]], str] = _nothing
    formats: tuple[str, ...] = ("json_schema", "json_object", "plain")

    def next_reply(self, request: dict[str, Any]) -> Reply:
        """Record a request; unless its format is refused, take its answer off the script."""
        if self._format(request["body"]) not in self.formats:
            with self._lock:
                self.requests.append(request)
            return ChatReply("bad request", code="response_format")
        reply = super().next_reply(request)
        return (
            reply if isinstance(reply, ChatReply) else ChatReply(reply.behaviour, reply.retry_after)
        )

    def error_code(self, reply: Reply) -> str:
        """What an error calls itself."""
        code = reply.code if isinstance(reply, ChatReply) else None
        return code or super().error_code(reply)

    def body(self, reply: Reply, request: dict[str, Any]) -> bytes:
        """A chat completion, or what is sent in its place."""
        assert isinstance(reply, ChatReply), "next_reply makes no other"
        text = self.answer(request["messages"]) if reply.text is None else reply.text
        content: Any = [text] if reply.behaviour == "not text" else text
        message = {"role": "assistant", "content": content}
        whole: dict[str, Any] = {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
        }
        if reply.usage is not None:
            whole["usage"] = dict(
                zip(("prompt_tokens", "completion_tokens"), reply.usage, strict=True)
            )
        sent = json.dumps(whole).encode()
        if reply.behaviour == "malformed":
            return sent[: len(sent) // 2]
        instead = {"not an object": b"[1, 2]", "no data": b"{}", "huge": b" " * _HUGE}
        return instead.get(reply.behaviour, sent)

    @staticmethod
    def _format(body: Mapping[str, Any]) -> str:
        return str(body.get("response_format", {"type": "plain"})["type"])
