"""Results as files: Markdown tables and drawings beside `results.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.bench.markdown import page
from holdfast.bench.pictures import drawings


def write(results: Mapping[str, Any], folder: str | Path) -> list[Path]:
    """Write `table.md` and every drawing; return all there is to look at."""
    out = Path(folder)
    files = {"table.md": f"# Recall\n\n{page(results)}", **drawings(results)}
    for name, text in files.items():
        (out / name).write_text(text, "utf-8")
    return [out / name for name in ("results.json", *files)]
