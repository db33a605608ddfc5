"""`holdfast setup`: what it writes for each client, and that it can be undone."""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from pathlib import Path

import click.testing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.cli.setup import setup
from holdfast.errors import (
    ArgumentsError,
    ConflictError,
    HoldfastError,
    MissingExtraError,
    NotFoundError,
)
from holdfast.setup.clients import CLIENTS, Local, Machine, Remote, Server
from holdfast.setup.files import apply, install, undo

LOCAL = Local("/opt/bin/holdfast", ("mcp", "/home/ana/.holdfast/memory.holdfast"))
REMOTE = Remote("https://memory.example/mcp?memory=ana")
GOLDEN = Path(__file__).parent.parent / "golden" / "mcp_clients.txt"
MACHINE = Machine(Path("/home/ana"), "Linux")


def put(client: str, path: Path, server: Server = LOCAL) -> None:
    apply(install(CLIENTS[client], path, server))


def take_out(client: str, path: Path) -> None:
    apply(undo(CLIENTS[client], path))


def test_each_client_gets_what_the_golden_file_says(tmp_path: Path) -> None:
    found = []
    for name, client in CLIENTS.items():
        for server in (LOCAL, REMOTE):
            path = tmp_path / f"{name}-{type(server).__name__}"
            try:
                put(name, path, server)
                text = path.read_text("utf-8")
            except ArgumentsError as refused:
                text = f"{refused}\n"
            project = client.projects or "-"
            found.append(f"# {name}: {client.ours(MACHINE)}, in a project: {project}\n{text}")
    text = "\n".join(found)
    if os.environ.get("HOLDFAST_GOLDEN") == "write":
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")


def test_desktop_settings_are_where_the_system_has_them() -> None:
    mac, windows = (Machine(Path("/h"), name) for name in ("Darwin", "Windows"))
    desktop, code = CLIENTS["claude-desktop"], CLIENTS["vscode"]
    assert str(desktop.ours(mac)).startswith("/h/Library/Application Support/Claude/")
    assert str(code.ours(windows)) == "/h/AppData/Roaming/Code/User/mcp.json"
    assert CLIENTS["codex"].ours(Machine(Path("/h"), "Linux", Path("/c"))) == Path("/c/config.toml")


@pytest.mark.parametrize("client", list(CLIENTS))
def test_twice_is_once(tmp_path: Path, client: str) -> None:
    path = tmp_path / "config"
    put(client, path)
    first = path.read_bytes()
    assert not install(CLIENTS[client], path, LOCAL).needed
    put(client, path)
    assert path.read_bytes() == first
    take_out(client, path)
    assert list(tmp_path.iterdir()) == []


JSON = st.dictionaries(
    st.text(max_size=5), st.integers() | st.text(max_size=5) | st.lists(st.booleans()), max_size=3
)


@st.composite
def configurations(draw: st.DrawFn) -> tuple[str, bytes | None]:
    """A client, and what its file may hold; an entry of ours, too, that somebody wrote."""
    name = draw(st.sampled_from(list(CLIENTS)))
    key = CLIENTS[name].key
    if name == "codex":
        texts = [
            "",
            "a = 1",
            "a = 1\r\n",
            f"[{key}.other]\ncommand='x'\n\n\n",
            f'[{key}.holdfast]\ncommand = "mine"\n',
            "[x]\n# [mcp_servers.holdfast]",
        ]
        text = draw(st.sampled_from(texts))
    else:
        data = draw(JSON)
        if draw(st.booleans()):
            data[key] = draw(JSON)
        if draw(st.booleans()):
            data.setdefault(key, {})["holdfast"] = {"mine": 1}
        text = json.dumps(data, indent=draw(st.sampled_from([None, 2, "\t"])))
        text = draw(st.sampled_from(["", "// a remark\n", " \n"])) + text
        text = draw(st.sampled_from([text, text + "\n", text.replace("\n", "\r\n"), "", "\n"]))
    return name, draw(st.sampled_from([None, text.encode()]))


@settings(max_examples=150, deadline=None)
@given(configurations(), st.lists(st.sampled_from([LOCAL, REMOTE]), min_size=1, max_size=3))
def test_undo_brings_back_what_was_there(
    configuration: tuple[str, bytes | None], servers: list[Server]
) -> None:
    client, before = configuration
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config"
        if before is not None:
            path.write_bytes(before)
        for server in servers:
            if client == "claude-desktop":
                server = LOCAL
            put(client, path, server)
            assert CLIENTS[client].form.get(path.read_text("utf-8"), CLIENTS[client].path)
        take_out(client, path)
        assert (path.read_bytes() if path.exists() else None) == before
        assert [one for one in Path(folder).iterdir() if one != path] == []


def test_what_was_added_since_stays(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{\n  "mcpServers": {\n    "a": {}\n  }\n}\n', "utf-8")
    put("cursor", path)
    path.write_text(path.read_text("utf-8").replace('"a": {}', '"a": {}, "b": {}'), "utf-8")
    take_out("cursor", path)
    assert path.read_text("utf-8") == '{\n  "mcpServers": {\n    "a": {}, "b": {}\n  }\n}\n'
    with pytest.raises(NotFoundError, match="has no entry for Holdfast"):
        take_out("cursor", path)


@pytest.mark.parametrize(
    ("client", "content"),
    [("cursor", b'{"mcpServers": {'), ("vscode", b'{"servers": 1}'), ("cursor", b"\xff\xfe"),
     ("codex", b"[mcp_servers"), ("codex", b"mcp_servers = { other = {} }")],
)  # fmt: skip
def test_a_file_that_cannot_be_edited_is_left_as_it_is(
    tmp_path: Path, client: str, content: bytes
) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(ArgumentsError, match=f"{path} is left as it is: "):
        put(client, path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_changes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config"
    change = install(CLIENTS["cursor"], path, LOCAL)
    path.write_text("{}", "utf-8")
    with pytest.raises(ConflictError):
        apply(change)
    assert path.read_text("utf-8") == "{}"


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.json", tmp_path / "mcp.json"
    real.write_text('{"secret": "t0ken"}', "utf-8")
    real.chmod(0o600)
    link.symlink_to(real)
    put("cursor", link)
    assert link.is_symlink()
    backup = tmp_path / "dotfiles.json.before-holdfast"
    assert {stat.S_IMODE(one.stat().st_mode) for one in (real, backup)} == {0o600}
    assert backup.read_text("utf-8") == '{"secret": "t0ken"}'


@pytest.mark.parametrize(
    "url",
    ["memory.example/mcp", "ftp://x/mcp", "https://ana:pw@x/mcp", "https://x/mcp?token=t",
     "https://x/mcp?memory=a&key=", "https://", "http://[::1/mcp", "http://memory.example/mcp",
     "http://10.0.0.7:8642/mcp"],
)  # fmt: skip
def test_an_address_with_a_secret_in_it_is_refused(url: str) -> None:
    with pytest.raises(ArgumentsError):
        Remote(url)


@pytest.mark.parametrize("host", ["localhost:8642", "127.0.0.1:8642", "[::1]:8642"])
def test_a_token_may_go_to_this_machine_in_clear_text(host: str) -> None:
    assert Remote(f"http://{host}/mcp").url == f"http://{host}/mcp"


# ---- the command ----------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CODEX_HOME", raising=False)
    monkeypatch.setenv("HOLDFAST_TOKEN", "s3cret")
    return tmp_path


def run(*arguments: str) -> str:
    if "--url" not in arguments and "--undo" not in arguments:
        pytest.importorskip("mcp", reason="what is set up needs the MCP SDK: holdfast[mcp]")
    found = click.testing.CliRunner().invoke(setup, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_the_command_writes_says_so_and_takes_back(home: Path) -> None:
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('model = "o9"\n', "utf-8")
    assert run("codex").splitlines() == [
        f"holdfast written to {path}",
        f"what was there kept in {path}.before-holdfast",
        "start Codex again for it to be seen",
    ]
    assert f'args = ["mcp", "{home}/.holdfast/memory.holdfast"]' in path.read_text("utf-8")
    assert run("codex") == f"{path} has it already; nothing to do\n"
    assert run("codex", "--undo") == f"{path} restored; Codex no longer knows holdfast\n"
    assert path.read_text("utf-8") == 'model = "o9"\n'


@pytest.mark.parametrize(
    ("client", "file", "named"),
    [
        ("claude-code", ".mcp.json", "${CLAUDE_PROJECT_DIR:-.}/.holdfast/memory.holdfast"),
        ("cursor", ".cursor/mcp.json", "${workspaceFolder}/.holdfast/memory.holdfast"),
        ("vscode", ".vscode/mcp.json", "${workspaceFolder}/.holdfast/memory.holdfast"),
        ("codex", ".codex/config.toml", ".holdfast/memory.holdfast"),
    ],
)
def test_a_project_file_can_be_shared(home: Path, client: str, file: str, named: str) -> None:
    told = run(client, "--project", str(home))
    written = (home / file).read_text("utf-8")
    assert json.dumps(named) in written
    assert str(home) not in written
    assert '"holdfast"' in written
    assert "keep the memory out of git" in told


def test_a_memory_in_a_project_is_named_from_it_and_another_is_told_of(home: Path) -> None:
    (home / "app").mkdir()
    run("claude-code", "--project", f"{home}/app/../app", "--file", f"{home}/app/x.holdfast")
    path = home / "app" / ".mcp.json"
    entry = json.loads(path.read_text("utf-8"))["mcpServers"]["holdfast"]
    assert entry["args"] == ["mcp", "${CLAUDE_PROJECT_DIR:-.}/x.holdfast"]
    told = run("claude-code", "--project", f"{home}/app", "--file", f"{home}/x.holdfast")
    entry = json.loads(path.read_text("utf-8"))["mcpServers"]["holdfast"]
    assert entry["args"] == ["mcp", f"{home}/x.holdfast"]
    assert f"who shares that file needs a memory at {home}/x.holdfast, too" in told


def test_a_server_that_could_not_start_is_not_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("cursor")
    written = (home / ".cursor" / "mcp.json").read_bytes()
    monkeypatch.setitem(sys.modules, "holdfast.mcp.stdio", None)
    for client in ("cursor", "codex"):
        with pytest.raises(MissingExtraError, match=r'pip install "holdfast\[mcp\]", or in a copy'):
            run(client)
    assert (home / ".cursor" / "mcp.json").read_bytes() == written
    assert not (home / ".codex").exists()
    assert "as HOLDFAST_TOKEN" in run("codex", "--url", "https://memory.example/mcp")
    assert "no longer knows" in run("cursor", "--undo")


def test_no_token_is_written(home: Path) -> None:
    for name in ("claude-code", "cursor", "vscode", "codex"):
        told = run(name, "--url", "https://memory.example/mcp")
        assert "as HOLDFAST_TOKEN" in told
    written = [one.read_text("utf-8") for one in home.rglob("*") if one.is_file()]
    assert len(written) == 8  # and beside each, that there was none
    assert not any("s3cret" in one for one in written)


def test_a_dry_run_writes_nothing(home: Path) -> None:
    told = json.loads(run("cursor", "--dry-run", "--json"))
    assert told["changed"] is False
    assert list(json.loads(told["content"])["mcpServers"]) == ["holdfast"]
    assert list(home.iterdir()) == []
    assert "would be written" in run("cursor", "--dry-run")


@pytest.mark.parametrize(
    "arguments",
    [("claude-desktop", "--url", "https://x/mcp"), ("claude-desktop", "--project", "."),
     ("cursor", "--undo")],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(home: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(HoldfastError):
        run(*arguments)
    assert list(home.iterdir()) == []
