"""Imports point one way, importing is cheap, and the public names are a list."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from inspect import ismodule
from pathlib import Path

import pytest

import holdfast

SRC = Path(holdfast.__file__).parent

# From the ground up. A module may import from its own row and from rows above it. The longest
# name that fits decides, so a file can stand apart from its package.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "state.records"),
    ("records",),
    ("budget", "codec", "derive", "heap", "registry"),
    ("retention", "models", "stores", "recall"),
    ("lower", "state", "trust", "extract"),
    ("fidelity.question", "fidelity.sample", "fidelity.tally", "fidelity.worth"),
    ("paged", "uses", "ledger", "fidelity.cells", "fidelity.probe", "fidelity.probes"),
    ("mirror",),
    ("charge", "salience", "pins"),
    ("retain",),
    ("written", "selector", "upkeep"),
    ("commit", "write", "read", "exchange", "verify", "backlog", "rewrite", "erase"),
    ("forgotten",),
    ("fidelity",),
    ("api", "rights", "seat"),
    ("memory",),
    ("aio", "operations", "several"),
    ("wire", "interchange", "doctor"),
    ("adapters", "service", "setup"),
    ("server", "mcp", "inspector"),
    ("checks", "demo", "bench"),
    ("cli",),
    ("__main__",),
)
ROOT_OF_PACKAGE = len(LAYERS)  # `holdfast` itself names everything, lazily
HEAVY = (
    "numpy",
    "apsw",
    "zstandard",
    "click",
    "rich",
    "Stemmer",
    "onnxruntime",
    "asyncio",
    "torch",
)


def modules() -> list[str]:
    """Every module of the package, without its first name: "", "cli", "cli.root", …"""
    found = []
    for path in SRC.rglob("*.py"):
        parts = path.relative_to(SRC).with_suffix("").parts
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(found)


def layer(module: str) -> int:
    """The row a module stands in."""
    if not module:
        return ROOT_OF_PACKAGE
    fits = [
        (len(name), row)
        for row, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    assert fits, f"holdfast.{module} has no place in LAYERS"
    return max(fits)[1]


def path_of(module: str) -> Path:
    """The file of a module."""
    base = SRC.joinpath(*module.split(".")) if module else SRC
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def imported(module: str, *, at_load: bool) -> Iterator[str]:
    """Modules of ours that `module` imports; `at_load`: only those that loading it loads."""
    known = set(modules())
    tree = ast.parse(path_of(module).read_text("utf-8"))
    for node in _walk(tree, at_load):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"holdfast.{module} imports relatively"
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names]
            names = [n if n.removeprefix("holdfast.") in known else base for n in names]
        else:
            continue
        for name in names:
            if name == "holdfast":
                yield ""
            elif name.startswith("holdfast."):
                yield name.removeprefix("holdfast.")


def _walk(tree: ast.AST, at_load: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue  # names for the type checker, which sees no order
        if at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield node
        yield from _walk(node, at_load)


@pytest.mark.parametrize("module", modules())
def test_imports_point_one_way(module: str) -> None:
    above = {
        name
        for name in imported(module, at_load=False)
        if layer(name) > layer(module) and not (name == "" and layer(module) >= layer("server"))
    }
    if not module:
        above = set()
    assert above == set(), f"holdfast.{module} imports from layers above its own"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module: set(imported(module, at_load=True)) - {module} for module in modules()}
    graph[""] = set()  # the package's own names are loaded last, one by one
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done:
            for name in graph[module]:
                visit(name, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import holdfast").isdisjoint(HEAVY)


def test_records_and_errors_are_there_without_the_engine() -> None:
    loaded = loaded_by("from holdfast import Event, errors; Event('x')")
    assert "holdfast.memory" not in loaded
    assert loaded.isdisjoint(HEAVY)


def test_help_needs_click_and_nothing_else() -> None:
    show = "from holdfast.cli import main; main(['--help'])"
    assert loaded_by(show).isdisjoint(set(HEAVY) - {"click"})


def test_public_names() -> None:
    names = holdfast.__all__
    assert sorted(names) == list(names), "__all__ is sorted"
    for name in names:
        assert getattr(holdfast, name) is not None
    eager = {n for n, v in vars(holdfast).items() if n[0] != "_" and not ismodule(v)}
    assert eager - {"annotations", "Any", "TYPE_CHECKING"} <= set(names)
    lazy = set(names) - eager
    assert lazy <= {
        "AsyncMemory", "Automaton", "Memory", "Seat", "Verification", "errors", "recall_across",
    }  # fmt: skip


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Memroy"):
        holdfast.Memroy  # noqa: B018


@pytest.mark.parametrize("module", modules())
def test_modules_are_of_a_size_to_read(module: str) -> None:
    lines = path_of(module).read_text("utf-8").count("\n")
    assert lines <= 500, f"look for the second idea inside holdfast.{module}"
