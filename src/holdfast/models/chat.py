"""Any OpenAI-compatible chat endpoint: one question, one answer, what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from holdfast.models.endpoint import Endpoint
from holdfast.models.retry import Retry

Message = Mapping[str, str]
"""``{"role": "system" | "user" | "assistant", "content": …}``."""

_FORMATS = ("json_schema", "json_object", "plain")  # from the strictest to none at all
_CANNOT = (400, 422)  # how endpoints answer to a field they do not know
_FRAME_TOKENS = 64  # generous for what a chat template puts around one message
_NO_OPTIONS: Mapping[str, object] = {"temperature": 0}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money, the latter in the currency of the prices."""

    tokens_in: int
    tokens_out: int
    cost: float

    @property
    def tokens(self) -> int:
        """Both ways together."""
        return self.tokens_in + self.tokens_out


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer and what it cost.

    `cut`: the answer reached its limit of tokens and may lack its end. `unanswered` counts earlier
    requests of the same call that got no answer and may be billed; the figures are without them.
    """

    text: str
    tokens_in: int
    tokens_out: int
    cost: float
    cut: bool = False
    unanswered: int = 0


class Chat(Protocol):
    """What answers messages. May be slow and may raise `ModelError`."""

    @property
    def name(self) -> str:
        """Which model, for messages and receipts."""
        ...

    def complete(
        self, messages: Sequence[Message], schema: Mapping[str, object] | None, *, max_tokens: int
    ) -> Completion:
        """Answer; in JSON of that schema where there is one and the model can."""
        ...

    def bound(
        self, messages: Sequence[Message], schema: Mapping[str, object] | None, *, max_tokens: int
    ) -> Usage:
        """The most that one request of such a call may use. Asks nobody."""
        ...


class OpenAIChat:
    """Answers from an endpoint that speaks OpenAI's ``POST /chat/completions``.

    Parameters
    ----------
    model
        The model's name, as the endpoint knows it.
    base_url
        Up to and including the version: ``"http://127.0.0.1:8080/v1"``.
    api_key
        Sent as a bearer token. Never read from the environment, never part of an error or repr.
    timeout_s
        The most one request may take, from connecting to the last byte.
    retry
        When to try again: connection failures, and statuses 408, 429 and 5xx.
    price_in_per_mtok, price_out_per_mtok
        For a million tokens of question and of answer, in any currency.
    max_answer_bytes
        A longer answer is an error; nothing beyond is read.
    limit_field
        How this endpoint calls the most tokens of an answer.
    options
        More fields of each request.

    Raises
    ------
    ValueError
        If the address is none, a price is negative, or the key has characters no header may.

    Notes
    -----
    Where a schema is given, the endpoint is asked to keep to it. One that answers 400 or 422 to
    that is asked for JSON without a schema, then for text, and what works is remembered; so
    whoever reads the answer checks it in any case. An endpoint that does not say how many tokens
    it used is taken to have used as many as there are bytes, the most there can be.

    Examples
    --------
    >>> from holdfast.models.scripted_chat import ChatReply, ScriptedChatServer
    >>> with ScriptedChatServer([ChatReply(text="Lisbon")]) as server:
    ...     with OpenAIChat("any", server.base_url) as chat:
    ...         chat.complete([{"role": "user", "content": "Where does Ana live?"}]).text
    'Lisbon'
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry: Retry | None = None,
        price_in_per_mtok: float = 0.0,
        price_out_per_mtok: float = 0.0,
        max_answer_bytes: int = 4_194_304,
        limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
        options: Mapping[str, object] = _NO_OPTIONS,
    ) -> None:
        prices = (price_in_per_mtok, price_out_per_mtok)
        if not all(math.isfinite(price) and price >= 0 for price in prices):
            raise ValueError(f"prices are finite and not negative, found {prices}")
        self.name = f"openai/{model}"
        self._model, self._prices, self._limit = model, prices, max_answer_bytes
        self._limit_field, self._options = limit_field, dict(options)
        self._works = 0  # which of _FORMATS the endpoint takes, as far as is known
        self._endpoint = Endpoint(
            self.name,
            base_url,
            "/chat/completions",
            api_key=api_key,
            timeout_s=timeout_s,
            retry=retry,
        )

    def complete(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, object] | None = None,
        *,
        max_tokens: int = 1024,
    ) -> Completion:
        """Ask once, and say what came back and what it cost.

        Parameters
        ----------
        messages
            The conversation so far.
        schema
            The JSON schema that the answer should keep to, in OpenAI's strict subset.
        max_tokens
            The most the answer may have.

        Raises
        ------
        EndpointError
            A `ModelError`: if the endpoint cannot be reached, refuses, or answers something
            unusable.
        """
        first = self._works if schema is not None else len(_FORMATS) - 1
        most, unanswered = self.bound(messages, schema, max_tokens=max_tokens), 0
        for place in range(first, len(_FORMATS)):
            last = place == len(_FORMATS) - 1
            body = self._request(messages, schema, _FORMATS[place], max_tokens)
            answer = self._endpoint.post(body, self._limit, () if last else _CANNOT)
            unanswered += answer.unanswered
            if answer.status == 200:
                if schema is not None:
                    self._works = place
                break
        return self._read(answer.body, unanswered, most)

    def bound(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, object] | None = None,
        *,
        max_tokens: int = 1024,
    ) -> Usage:
        """The most that one request of such a call may use, however its words become tokens.

        A token stands for at least one byte, and an answer has at most `max_tokens`. Some
        endpoints show the schema to the model, so it counts too.
        """
        size = sum(len(m["content"].encode("utf-8", "surrogatepass")) for m in messages)
        size += len(json.dumps(schema)) if schema is not None else 0
        return self._usage(size + _FRAME_TOKENS * (len(messages) + 1), max_tokens)

    def close(self) -> None:
        """Close the kept connections; the next call opens a new one."""
        self._endpoint.close()

    def __enter__(self) -> OpenAIChat:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _usage(self, tokens_in: int, tokens_out: int) -> Usage:
        price_in, price_out = self._prices
        cost = (tokens_in * price_in + tokens_out * price_out) / 1e6
        return Usage(tokens_in, tokens_out, cost)

    def _request(
        self,
        messages: Sequence[Message],
        schema: Mapping[str, object] | None,
        kind: str,
        max_tokens: int,
    ) -> bytes:
        request = {**self._options, "model": self._model, "messages": list(messages)}
        request[self._limit_field] = max_tokens
        if kind == "json_schema":
            named = {"name": "answer", "strict": True, "schema": schema}
            request["response_format"] = {"type": kind, kind: named}
        elif kind == "json_object":
            request["response_format"] = {"type": kind}
        return json.dumps(request).encode()

    def _read(self, body: bytes, unanswered: int, most: Usage) -> Completion:
        """The text and the figures of a good answer; a refusal in words is an empty text."""
        try:
            whole = json.loads(body)
            choice = whole["choices"][0]
            text = choice["message"].get("content")
            if not isinstance(text, str | None):
                raise TypeError
            cut = choice.get("finish_reason") == "length"
            reported = whole.get("usage")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            problem, advice = "an answer that is no chat completion", "check base_url and model"
            # It came back whole, but says nothing of its cost: as good as unanswered.
            raise self._endpoint.failure(problem, 1, advice, 200, unanswered + 1) from error
        text = text or ""
        reported = reported if isinstance(reported, dict) else {}
        size = len(text.encode("utf-8", "surrogatepass"))
        tokens_in = _count(reported.get("prompt_tokens"), most.tokens_in)
        tokens_out = _count(reported.get("completion_tokens"), min(size + 1, most.tokens_out))
        used = self._usage(tokens_in, tokens_out)
        return Completion(text, used.tokens_in, used.tokens_out, used.cost, cut, unanswered)


def _count(found: object, otherwise: int) -> int:
    """A count of tokens as reported, if it is one that can be."""
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**53:
        return found
    return otherwise
