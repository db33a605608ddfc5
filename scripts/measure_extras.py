"""Measure what installing Holdfast, each of its extras and its peers brings along.

    python scripts/measure_extras.py [NAME …] > docs/extras.json

Each is installed into an environment of its own, which is thrown away. Sizes are of the files in
``site-packages``, without those of pip itself and without compiled ``.pyc``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = (
    "server", "mcp", "minilm", "audit", "langgraph", "anthropic", "openai-agents", "pydantic-ai",
    "llama-index", "adk",
)  # fmt: skip
PEERS = ("mem0ai", "langmem", "graphiti-core", "chromadb", "letta")
OURS_TO_INSTALL = {"pip", "setuptools", "wheel"}


def measure(*specs: str) -> dict[str, object]:
    """What installing these brings: packages and MiB."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-qq", *specs], check=True, stderr=subprocess.DEVNULL)
        listed = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True)
        names = {one["name"]: one["version"] for one in json.loads(listed.stdout)}
        (site,) = Path(folder).glob("lib/python*/site-packages")
        size = sum(path.stat().st_size for path in files(site))
        packages = len(names.keys() - OURS_TO_INSTALL)
    return {"packages": packages, "mib": round(size / 2**20, 1), "version": names.get(specs[0])}


def files(site: Path) -> Iterator[Path]:
    """The files that were installed, without those of the installer."""
    for path in site.rglob("*"):
        top = path.relative_to(site).parts[0].split("-")[0].lower()
        if path.is_file() and path.suffix != ".pyc" and top not in OURS_TO_INSTALL:
            yield path


def main(wanted: list[str]) -> None:
    """Measure everything, or what is named, and print it as JSON."""
    specs = {"holdfast": (str(ROOT),)}
    specs |= {f"holdfast[{extra}]": (f"{ROOT}[{extra}]",) for extra in EXTRAS}
    specs |= {peer: (peer,) for peer in PEERS}
    found: dict[str, object] = {}
    for name, spec in specs.items():
        if wanted and name not in wanted:
            continue
        try:
            found[name] = measure(*spec)
        except subprocess.CalledProcessError as failure:
            print(f"{name}: cannot be installed here ({failure.returncode})", file=sys.stderr)
        print(name, found.get(name), file=sys.stderr)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
