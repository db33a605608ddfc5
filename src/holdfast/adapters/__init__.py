"""Holdfast inside the frameworks that agents are built with. Each loads its framework on first use.

``from holdfast.adapters import LangGraphStore`` imports LangGraph and nothing else; importing this
package imports none of them.
"""

from __future__ import annotations

from typing import Any

from holdfast.models.extras import need

# public name -> (the module that has it, the extra that installs its framework)
ADAPTERS: dict[str, tuple[str, str]] = {
    "AdkMemoryService": ("holdfast.adapters.adk", "adk"),
    "AgentsSession": ("holdfast.adapters.openai_agents", "openai-agents"),
    "AnthropicMemoryTool": ("holdfast.adapters.anthropic", "anthropic"),
    "AsyncAnthropicMemoryTool": ("holdfast.adapters.anthropic", "anthropic"),
    "LangGraphSaver": ("holdfast.adapters.langgraph_saver", "langgraph"),
    "LangGraphStore": ("holdfast.adapters.langgraph_store", "langgraph"),
    "LlamaIndexBlock": ("holdfast.adapters.llama_index", "llama-index"),
    "PydanticAIStore": ("holdfast.adapters.pydantic_ai", "pydantic-ai"),
}

__all__ = sorted(ADAPTERS)


def __getattr__(name: str) -> Any:
    if name not in ADAPTERS:
        raise AttributeError(f"module 'holdfast.adapters' has no attribute {name!r}")
    return getattr(need(*ADAPTERS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *ADAPTERS})
