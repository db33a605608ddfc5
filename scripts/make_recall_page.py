"""Write the generated part of docs/recall.md out of measured results, or check that it is current.

The part stands between ``<!-- generated: recall -->`` and ``<!-- end of recall -->``. The results
are those of ``holdfast bench recall --all``; with ``--check`` nothing is written (exit code 1: out
of date).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from holdfast.bench.markdown import page

PAGE = Path(__file__).parent.parent / "docs" / "recall.md"
OPEN, CLOSE = "<!-- generated: recall -->\n", "<!-- end of recall -->"
EMPTY = f"# How Holdfast finds things\n\n{OPEN}{CLOSE}\n"


def renewed(text: str, generated: str) -> str:
    """Return the page with its generated part made anew."""
    before, opened, rest = text.partition(OPEN)
    _, closed, after = rest.partition(CLOSE)
    if not opened or not closed:
        raise SystemExit(f"{PAGE} has no line {OPEN.strip()} with {CLOSE} after it")
    return f"{before}{OPEN}{generated}{CLOSE}{after}"


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="results.json of a run")
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    given = parser.parse_args()
    text = PAGE.read_text("utf-8") if PAGE.is_file() else EMPTY
    new = renewed(text, page(json.loads(given.results.read_text("utf-8"))))
    if PAGE.is_file() and new == text:
        return 0
    if given.check:
        print(f"{PAGE}: out of date; run scripts/make_recall_page.py --results {given.results}")
        return 1
    PAGE.write_text(new, "utf-8")
    print(f"{PAGE}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
