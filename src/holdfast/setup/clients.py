"""The clients that can be told about Holdfast: where their configuration is, what goes into it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from holdfast.errors import ArgumentsError
from holdfast.setup import jsonc, toml

NAME = "holdfast"
"""What the server is called in every client."""
TOKEN = "HOLDFAST_TOKEN"
"""The environment variable that holds the token; the token itself is written nowhere."""
OURS = ".holdfast/memory.holdfast"
"""Where the memory is if nothing else is said, in the home folder or a project's."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where programs keep their settings: the home folder, and the name of the system."""

    home: Path
    system: str  # as `platform.system()` says it
    codex: Path | None = None  # CODEX_HOME

    @property
    def settings(self) -> Path:
        """The folder of the settings of desktop programs."""
        folders = {"Darwin": "Library/Application Support", "Windows": "AppData/Roaming"}
        return self.home / folders.get(self.system, ".config")


@dataclass(frozen=True, slots=True)
class Local:
    """A server that the client starts itself."""

    command: str
    arguments: tuple[str, ...]

    def entry(self) -> dict[str, Any]:
        """As most clients have it."""
        return {"command": self.command, "args": list(self.arguments)}


@dataclass(frozen=True, slots=True)
class Remote:
    """A server at an address.

    Raises
    ------
    ArgumentsError
        If that is no address of one, or has a secret in it, or would have the token cross a network
        in clear text.
    """

    url: str

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ArgumentsError(
                "that is no address of a server; give one such as https://host/mcp"
            )
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ArgumentsError(
                "the token would be sent to that address in clear text; give one that begins with "
                "https, or a tunnel's end on this machine, such as http://localhost:8642/mcp"
            )
        asks = set(parse_qs(parts.query, keep_blank_values=True))
        if parts.username or parts.password or asks - {"memory"}:
            raise ArgumentsError(
                "the address has a secret or something unknown in it, and it would be written to a "
                f"file; put the token into the environment variable {TOKEN}"
            )

    def entry(self, variable: str) -> dict[str, Any]:
        """As most clients have it; `variable` is how this one refers to the environment."""
        return {"url": self.url, "headers": {"Authorization": f"Bearer {variable}"}}


Server = Local | Remote


@dataclass(frozen=True, slots=True)
class Client:
    """A client.

    Parameters
    ----------
    title
        What people call it.
    form
        How its file is written: `jsonc` or `toml`.
    key
        The object or table that its servers are in.
    entry
        What it wants to know of a server.
    ours
        Its file for one person, on a machine.
    projects
        Its file for a project, below the project's folder; None if it has none.
    folder
        How its file for a project names the project's folder, wherever that is; "" where servers
        are started in it.
    """

    title: str
    form: ModuleType
    key: str
    entry: Callable[[Server], dict[str, Any]]
    ours: Callable[[Machine], Path]
    projects: str | None = None
    folder: str = ""

    @property
    def path(self) -> tuple[str, str]:
        """Where in the file the entry is."""
        return self.key, NAME

    def file(self, machine: Machine, project: Path | None) -> Path:
        """The file to edit. Raises `ArgumentsError` if it has none for projects."""
        if project is None:
            return self.ours(machine)
        if self.projects is None:
            raise ArgumentsError(f"{self.title} has no settings of a project; leave --project out")
        return project / self.projects

    def inside(self, path: Path, project: Path) -> str:
        """A path as the file for a project names it: from the project's folder, if it is in it.

        Examples
        --------
        >>> CLIENTS["cursor"].inside(Path("/home/ana/app/notes.holdfast"), Path("/home/ana/app"))
        '${workspaceFolder}/notes.holdfast'
        """
        if not path.is_relative_to(project):
            return str(path)
        return posixpath.join(self.folder, path.relative_to(project).as_posix())


def _claude_code(server: Server) -> dict[str, Any]:
    if isinstance(server, Remote):
        return {"type": "http", **server.entry(f"${{{TOKEN}}}")}
    return {"type": "stdio", **server.entry()}


def _claude_desktop(server: Server) -> dict[str, Any]:
    if isinstance(server, Remote):
        raise ArgumentsError(
            "Claude Desktop takes the address of a server under Settings, Connectors only; "
            "add it there, or use --file"
        )
    return server.entry()


def _cursor(server: Server) -> dict[str, Any]:
    return server.entry(f"${{env:{TOKEN}}}") if isinstance(server, Remote) else server.entry()


def _vscode(server: Server) -> dict[str, Any]:
    kind = "http" if isinstance(server, Remote) else "stdio"
    return {"type": kind, **_cursor(server)}


def _codex(server: Server) -> dict[str, Any]:
    if isinstance(server, Remote):
        return {"url": server.url, "bearer_token_env_var": TOKEN}
    return server.entry()


CLIENTS: Mapping[str, Client] = {
    "claude-code": Client(
        "Claude Code", jsonc, "mcpServers", _claude_code,
        lambda machine: machine.home / ".claude.json", ".mcp.json", "${CLAUDE_PROJECT_DIR:-.}",
    ),
    "claude-desktop": Client(
        "Claude Desktop", jsonc, "mcpServers", _claude_desktop,
        lambda machine: machine.settings / "Claude" / "claude_desktop_config.json",
    ),
    "cursor": Client(
        "Cursor", jsonc, "mcpServers", _cursor,
        lambda machine: machine.home / ".cursor" / "mcp.json", ".cursor/mcp.json",
        "${workspaceFolder}",
    ),
    "vscode": Client(
        "VS Code", jsonc, "servers", _vscode,
        lambda machine: machine.settings / "Code" / "User" / "mcp.json", ".vscode/mcp.json",
        "${workspaceFolder}",
    ),
    "codex": Client(
        "Codex", toml, "mcp_servers", _codex,
        lambda machine: (machine.codex or machine.home / ".codex") / "config.toml",
        ".codex/config.toml",
    ),
}  # fmt: skip
