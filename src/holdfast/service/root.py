"""The memories of a folder, opened when they are asked for, a bounded number of them at once."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from holdfast.errors import (
    AccessError,
    ArgumentsError,
    ClosedError,
    FileVanishedError,
    NotFoundError,
    StoreBusyError,
)
from holdfast.memory import Memory

SUFFIX = ".holdfast"
_PATIENCE_S = 1.0  # for one of the open memories to be given back
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass
class _Open:
    """A memory that is open, or being opened, and how many calls are using it."""

    users: int = 0
    memory: Memory | None = None
    ready: threading.Lock = field(default_factory=threading.Lock)
    vanished: bool = False  # its file is not there any more


class Memories(Protocol):
    """Memories by name."""

    def names(self) -> list[str]:
        """The names of all of them, sorted."""

    def path(self, name: str) -> Path:
        """The file of a memory; raises `ArgumentsError` for what cannot be the name of one."""

    def make(self, name: str, budget: int | str) -> bool:
        """Make a memory, or give the one there is this budget; whether it is new."""

    def hold(self, name: str) -> AbstractContextManager[Memory]:
        """Give a memory, open, for as long as the block lasts."""

    def close(self) -> None:
        """Close all of them."""


class OneFile:
    """A memory in a file, under one name: what a server for a single agent stands on.

    Parameters
    ----------
    memory
        An open memory; closing this closes it.
    name
        What it is called.
    """

    def __init__(self, memory: Memory, name: str = "memory") -> None:
        self._memory, self._name = memory, name

    def names(self) -> list[str]:
        """The one name."""
        return [self._name]

    def path(self, name: str) -> Path:
        """Its file."""
        return self._memory._store.path

    def make(self, name: str, budget: int | str) -> bool:
        """Refused: there is one memory. Raises `AccessError`."""
        raise AccessError(f"this server has one memory, {self._name}; serve a folder to make more")

    @contextmanager
    def hold(self, name: str) -> Iterator[Memory]:
        """Give it. Raises `NotFoundError` for another name."""
        if name != self._name:
            raise NotFoundError(f"there is no memory {name[:64]!r} here, only {self._name}")
        yield self._memory

    def close(self) -> None:
        """Close it."""
        self._memory.close()


class Root:
    """A folder of memories.

    Parameters
    ----------
    folder
        Where the files ``NAME.holdfast`` lie; it must exist.
    most_open
        So many stay open at the most. The one that was not used for the longest is closed to open
        another; one that is in use is never closed.
    options
        For `Memory.open`: embedder, retention and the like, the same for all.

    Raises
    ------
    NotFoundError
        If there is no such folder.

    Notes
    -----
    Safe to use from any thread. A memory holds its index in RAM, so `most_open` bounds that too.
    Opening costs time linear in what is kept; a call to an open one costs a lock.

    Examples
    --------
    >>> import tempfile
    >>> root = Root(tempfile.mkdtemp(), most_open=2)
    >>> _ = root.make("ana", "1 MiB")
    >>> with root.hold("ana") as memory:
    ...     _ = memory.observe("The spare key is under the blue pot.")
    >>> root.names()
    ['ana']
    >>> root.close()
    """

    def __init__(
        self, folder: str | Path, *, most_open: int = 16, options: dict[str, Any] | None = None
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise NotFoundError(f"there is no folder {self.folder}; make it first")
        self._most_open = most_open
        self._options = options or {}
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._closed = False

    def unnamed(self) -> list[str]:
        """Files that look like memories and have a name that no address can have."""
        found = (path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))
        return sorted(name for name in found if not NAME.fullmatch(name))

    def names(self) -> list[str]:
        """The names of all memories in the folder, sorted."""
        found = (path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))
        return sorted(name for name in found if NAME.fullmatch(name))

    def path(self, name: str) -> Path:
        """The file of a memory, whether there is one or not.

        Raises
        ------
        ArgumentsError
            If a memory cannot have this name; so no name leads out of the folder.
        """
        if NAME.fullmatch(name) is None:
            raise ArgumentsError(
                "a memory's name has 1 to 64 ASCII letters, digits and ._- and begins with one of "
                "the first two; choose another"
            )
        return self.folder / f"{name}{SUFFIX}"

    def make(self, name: str, budget: int | str) -> bool:
        """Make a memory, or see that one of this name has this budget; whether it is new.

        Raises as `Memory.open` does.
        """
        path = self.path(name)
        if path.exists():
            with self.hold(name) as memory:
                memory.resize(budget)
            return False
        Memory.open(path, budget, **self._options).close()
        return True

    @contextmanager
    def hold(self, name: str) -> Iterator[Memory]:
        """Give a memory, open, for as long as the block lasts.

        Raises
        ------
        NotFoundError
            If there is none of this name.
        StoreBusyError
            If `most_open` are in use and none is given back in a second.
        ClosedError
            If this root was closed.
        """
        path = self.path(name)
        entry = self._enter(name)
        try:
            with entry.ready:
                if not path.exists():
                    raise NotFoundError(f"there is no memory {name}; make it first")
                if entry.memory is None:
                    entry.memory = Memory.open(path, **self._options)
            yield entry.memory
        except FileVanishedError:
            self._forget(name, entry)  # the next call opens what is there now
            raise
        finally:
            self._leave(name, entry)

    def close(self) -> None:
        """Close every memory, once nobody uses it any more. Nothing acknowledged is lost."""
        with self._lock:
            self._closed = True
            while any(entry.users for entry in self._open.values()):
                self._freed.wait()
            memories = [entry.memory for entry in self._open.values() if entry.memory]
            self._open.clear()
        with ExitStack() as closing:
            for memory in memories:
                closing.callback(memory.close)

    @property
    def waits_for_model(self) -> bool:
        """Whether a recall asks an embedder."""
        return self._options.get("embedder") is not None

    def opened(self) -> Iterator[tuple[str, Memory]]:
        """Those that are open now; each stays so until the next is asked for."""
        with self._lock:
            names = list(self._open)
        for name in names:
            with self._lock:
                entry = self._open.get(name)
                if entry is None or entry.memory is None:
                    continue
                entry.users += 1
            try:
                yield name, entry.memory
            finally:
                self._leave(name, entry)

    def _enter(self, name: str) -> _Open:
        with self._lock:
            idle = None if name in self._open and not self._closed else self._make_room()
            entry = self._open.setdefault(name, _Open())  # another may have come while we waited
            entry.users += 1
            self._open.move_to_end(name)
        if idle is not None:
            try:
                idle.close()
            except BaseException:  # an interrupt, too, gives the place back
                self._leave(name, entry)
                raise
        return entry

    def _make_room(self) -> Memory | None:
        """Take the idlest out if all places are taken; the lock is held."""

        def ready() -> bool:
            return self._closed or len(self._open) < self._most_open or self._idlest() is not None

        if not self._freed.wait_for(ready, timeout=_PATIENCE_S):
            raise StoreBusyError(
                f"all {self._most_open} memories that may be open at once are in use; try again"
            )
        if self._closed:
            raise ClosedError("the service is closing; try again when it is back")
        idle = self._idlest() if len(self._open) >= self._most_open else None
        return None if idle is None else self._open.pop(idle).memory

    def _forget(self, name: str, entry: _Open) -> None:
        """Close a memory whose file is gone once nobody uses it, and open another in its place."""
        with self._lock:
            if self._open.get(name) is entry:
                del self._open[name]
                entry.vanished = True

    def _idlest(self) -> str | None:
        return next((name for name, entry in self._open.items() if not entry.users), None)

    def _leave(self, name: str, entry: _Open) -> None:
        with self._lock:
            entry.users -= 1
            if entry.memory is None and not entry.users:
                self._open.pop(name, None)  # it could not be opened
            gone = entry.memory if entry.vanished and not entry.users else None
            self._freed.notify_all()
        if gone is not None:
            gone.close()
