"""The documentation is true: its code runs, its tables are current, its links lead somewhere."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import io
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from holdfast import Memory, errors, operations
from holdfast.cli import main
from holdfast.cli.root import COMMANDS, cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)?(?:#([\w-]+))?\)")
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NOT_RUN = {"", "text", "bash"}  # layouts, output, and commands that set up a machine


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the name of the file it is, its text, its line."""

    language: str
    file: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    source = page.read_text("utf-8")
    found = []
    for match in FENCE.finditer(source):
        language, rest, text = match.groups()
        file = rest.strip().removeprefix("file=")
        found.append(Block(language, file, text, source[: match.start()].count("\n") + 1))
    return found


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "docs"}
    for block in blocks(page):
        where = f"{name(page)}, line {block.line}"
        if block.language == "python":
            if needs := block.file.removeprefix("needs="):
                with contextlib.suppress(ImportError):
                    importlib.import_module(needs)
                if needs not in sys.modules:
                    continue  # tried where the frameworks are: make test-adapters
            source = "\n" * block.line + block.text  # so that a traceback has the page's lines
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(source, str(page), "exec", dont_inherit=True), names)
        elif block.language == "jsonl":
            tmp_path.joinpath(block.file).write_text(block.text, "utf-8")
        elif block.language == "console":
            for command, expected in sessions(block.text):
                check(command, expected, where)
        else:
            assert block.language in NOT_RUN, f"{where}: nobody runs {block.language}"


def sessions(text: str) -> list[tuple[str, str]]:
    """The commands of a console block with what should follow each."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    assert not parts[0].strip(), "a console block begins with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def check(command: str, expected: str, where: str) -> None:
    """Run a command in this process and compare what it prints; ``...`` matches anything."""
    program, *arguments = shlex.split(command)
    assert program == "holdfast", f"{where}: {program} is not ours to run"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    assert code == 0, f"{where}: {command} exits with {code}: {err.getvalue()}"
    if expected:
        same = doctest.OutputChecker().check_output(expected, out.getvalue(), LOOSE)
        assert same, f"{where}: {command} prints\n{out.getvalue()}\nnot\n{expected}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text("utf-8")):
        target = page.parent / path if path else page
        if path.startswith(("http:", "https:")):
            continue
        assert target.exists(), f"{name(page)} links to {path}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in heads}


def test_tables_are_current() -> None:
    path = ROOT / "scripts" / "make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for page in PAGES:
        text = page.read_text("utf-8")
        assert script.renewed(text) == text, f"{name(page)}: run scripts/make_reference.py"


def test_every_public_method_is_an_operation() -> None:
    methods = {n for n in dir(Memory) if n[0] != "_" and callable(getattr(Memory, n))}
    assert {operation.method for operation in operations.OPERATIONS} == methods


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda op: op.name)
def test_operation_is_declared_well(operation: operations.Operation) -> None:
    parameters = operation.signature
    assert operation.function.__doc__, f"{operation.name} has a docstring"
    assert all(name in parameters for name in operation.example)
    assert operation.summary[0].isupper()
    assert not operation.summary.endswith(".")
    assert operation.command is None or is_command(operation.command)
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    assert f"`{operation.signature}`" in reference


def is_command(words: str) -> bool:
    """Whether the words name a command, or a command of a group, and perhaps an option of it."""
    name, *rest = words.split()
    if name not in COMMANDS:
        return False
    command = cli.get_command(click.Context(cli), name)
    if rest and isinstance(command, click.Group):
        command = command.commands.get(rest.pop(0))
    assert command is not None, f"holdfast {words} is no command"
    return set(rest) <= {option for known in command.params for option in known.opts}


def test_operation_names_are_unique() -> None:
    names = [operation.name for operation in operations.OPERATIONS]
    assert len(set(names)) == len(names)
    assert dict(operations.BY_NAME).keys() == set(names)


def test_every_error_is_drawn_in_the_tree() -> None:
    tree = errors.__doc__ or ""
    for found, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.HoldfastError):
            assert re.search(rf"\b{found}\b", tree), f"{found} is missing in errors.py's tree"


def test_exit_codes_are_the_same_everywhere() -> None:
    from holdfast import cli as shell

    code = r"^\s*\|? ?(\d+) +\|? ?(\w[^|\n]*?) ?\|?$"
    in_module = dict(re.findall(code, shell.__doc__ or "", re.MULTILINE))
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    section = reference.split("### Exit codes")[1].split("\n## ")[0]
    assert len(in_module) == 10
    assert dict(re.findall(code, section, re.MULTILINE)) == in_module


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_shipped_pages_name_no_place_but_the_repository(page: Path) -> None:
    assert not re.search(r"/work/|/tmp/|localhost", page.read_text("utf-8"))
