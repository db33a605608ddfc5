"""A span of OpenTelemetry for every call, by the GenAI conventions for memory.

Nothing is exported unless the process sets up an exporter, and no content is recorded unless that
is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from holdfast import __version__
from holdfast.operations import Operation

# The conventions are in development and the Python package has no constants for memory yet; these
# are the names of their revision of November 2026.
OPERATION = "gen_ai.operation.name"
STORE = "gen_ai.memory.store.id"
QUERY = "gen_ai.memory.query.text"
_LONGEST_NAME = 64
_CREATES = frozenset({"observe", "observe_many", "believe", "declare", "import"})
_DELETES = frozenset({"erase", "retract", "delete_document", "delete_snapshot"})


def convention(operation: Operation) -> str:
    """What the conventions call an operation.

    >>> from holdfast.operations import BY_NAME
    >>> [convention(BY_NAME[name]) for name in ("recall", "observe", "erase", "step", "get")]
    ['search_memory', 'create_memory', 'delete_memory', 'update_memory', 'search_memory']
    """
    if operation.name in _CREATES:
        return "create_memory"
    if operation.name in _DELETES:
        return "delete_memory"
    if operation.effect == "read":
        return "search_memory"
    return "update_memory"


def tracing(
    *, content: bool = False, provider: trace.TracerProvider | None = None
) -> Callable[[Operation, str, Mapping[str, Any]], AbstractContextManager[None]]:
    """An observer for a `Service` that makes a span of each call.

    Parameters
    ----------
    content
        Whether the text of queries is recorded.
    provider
        Where spans go; None: the provider of the process, which exports nothing by default.
    """
    tracer = trace.get_tracer("holdfast", __version__, tracer_provider=provider)

    @contextmanager
    def observer(operation: Operation, memory: str, given: Mapping[str, Any]) -> Iterator[None]:
        name = convention(operation)
        told = {
            OPERATION: name,
            STORE: memory[:_LONGEST_NAME],
            "holdfast.operation": operation.name,
        }
        if content and isinstance(query := given.get("query"), str):
            told[QUERY] = query
        with tracer.start_as_current_span(
            name,
            kind=SpanKind.INTERNAL,
            attributes=told,
            record_exception=False,  # its message may name what was asked for
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as failure:  # an interrupt, too, ended it; it goes on
                span.set_attribute("error.type", type(failure).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    return observer
