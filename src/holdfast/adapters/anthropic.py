"""Anthropic's memory tool: a model's own files, kept in a memory instead of a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anthropic.lib.tools import (
    BetaAbstractMemoryTool,
    BetaAsyncAbstractMemoryTool,
    ToolError,
)

from holdfast.adapters.files import Files, RefusedError
from holdfast.errors import AccessError, BudgetError, InvalidEventError, PatchError
from holdfast.memory import Memory
from holdfast.seat import Seat


class AnthropicMemoryTool(BetaAbstractMemoryTool):
    """The memory tool ``memory_20250818``, with its files in a memory.

    It answers each command in the words of the SDK's own `BetaLocalFilesystemMemoryTool`. Beside
    what that one does, every edit is a versioned event: a file can be read as it was at any time,
    and who changed it is known. Commands are all or nothing, several agents and processes may edit
    the same files without losing an edit, and all of it stays within the memory's budget.

    Parameters
    ----------
    memory
        An open memory, or a seat that may read and write the scope. Edits through a seat are its
        principal's: `Memory.revoke` takes them all back.
    scope
        Where the files are; None: a seat's home, or the root. Agents with one scope share them.
    cache_control
        As the SDK's tools take it.

    Raises
    ------
    ToolError
        By each command that cannot be carried out, with what the model is to be told. A file
        that is too large, a full memory and a missing right are told in this way too.

    Notes
    -----
    A file is the document of its path, ``/memories/notes.md``: a list of its lines. `document`
    with ``as_of`` or ``version`` reads it as it was, `document_history` and `document_diff` show
    how it became what it is; a text that `put_document` puts there is a file too. The folders are
    the document ``/memories``. A file has at most 1 MiB, as JSON. What was deleted stays readable
    there until room is needed; `erase` removes it for good. Texts of files are not recalled.

    Cost: a command that changes something is one synced write, of the lines it changes; to move
    a file or a folder writes its texts anew, at most 1000 files. To view a folder reads all files.

    Differs from the file-system tool: the size of a folder is that of its files. Where that one
    fails with an error of the host's file system, such as for a file in the place of a folder, a
    folder moved into itself, a NUL or half a surrogate pair, this one raises `ToolError` and has
    the same files afterwards, but none made for a text that cannot be stored. Names may be of any
    length. A path that climbs out of the folder that ``/memories`` is in does not come back in.

    Examples
    --------
    ::

        client = anthropic.Anthropic()
        with Memory.open("agent.holdfast", budget="64 MiB") as memory:
            tool = AnthropicMemoryTool(memory, scope="agent/bo")
            client.beta.messages.tool_runner(
                model=model, max_tokens=1024, tools=[tool], messages=messages
            ).until_done()

    References
    ----------
    Anthropic, Memory tool, platform.claude.com/docs/en/agents-and-tools/tool-use/memory-tool
    """

    def __init__(
        self, memory: Memory | Seat, *, scope: str | None = None, cache_control: Any = None
    ) -> None:
        super().__init__(cache_control=cache_control)
        self._files = Files(memory, scope)

    def view(self, command: Any) -> str:
        """Show a folder or a file."""
        with _told():
            return self._files.view(command.path, command.view_range)

    def create(self, command: Any) -> str:
        """Make a file."""
        with _told():
            return self._files.create(command.path, command.file_text)

    def str_replace(self, command: Any) -> str:
        """Change a text that a file has once."""
        with _told():
            return self._files.replace(command.path, command.old_str, command.new_str)

    def insert(self, command: Any) -> str:
        """Add a text after a line."""
        with _told():
            return self._files.insert(command.path, command.insert_line, command.insert_text)

    def delete(self, command: Any) -> str:
        """Delete a file or a folder."""
        with _told():
            return self._files.delete(command.path)

    def rename(self, command: Any) -> str:
        """Move a file or a folder."""
        with _told():
            return self._files.rename(command.old_path, command.new_path)

    def clear_all_memory(self) -> str:
        """Delete every file and folder; their history stays."""
        with _told():
            return self._files.clear()


class AsyncAnthropicMemoryTool(BetaAsyncAbstractMemoryTool):
    """`AnthropicMemoryTool` for `AsyncAnthropic`: the same tool, each command on a thread."""

    def __init__(
        self, memory: Memory | Seat, *, scope: str | None = None, cache_control: Any = None
    ) -> None:
        super().__init__(cache_control=cache_control)
        self._tool = AnthropicMemoryTool(memory, scope=scope)

    async def view(self, command: Any) -> str:
        """Show a folder or a file."""
        return await asyncio.to_thread(self._tool.view, command)

    async def create(self, command: Any) -> str:
        """Make a file."""
        return await asyncio.to_thread(self._tool.create, command)

    async def str_replace(self, command: Any) -> str:
        """Change a text that a file has once."""
        return await asyncio.to_thread(self._tool.str_replace, command)

    async def insert(self, command: Any) -> str:
        """Add a text after a line."""
        return await asyncio.to_thread(self._tool.insert, command)

    async def delete(self, command: Any) -> str:
        """Delete a file or a folder."""
        return await asyncio.to_thread(self._tool.delete, command)

    async def rename(self, command: Any) -> str:
        """Move a file or a folder."""
        return await asyncio.to_thread(self._tool.rename, command)

    async def clear_all_memory(self) -> str:
        """Delete every file and folder; their history stays."""
        return await asyncio.to_thread(self._tool.clear_all_memory)


@contextmanager
def _told() -> Iterator[None]:
    """What a command cannot do, as the model is told it; a broken store is not the model's."""
    try:
        yield
    except (RefusedError, PatchError, InvalidEventError, BudgetError, AccessError) as error:
        raise ToolError(str(error)) from error
