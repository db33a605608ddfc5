"""Results that are kept as soon as they are measured, so that a long run can be taken up again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from holdfast.bench import recall, scorers

Cell = dict[str, Any]
VALUES = ("any@5", "all@5", "coverage@10", f"budgeted@{recall.TOKENS}")


class Cells:
    """A file of measured cells, each with the conditions it was measured under.

    A cell is made only if none is kept under its key with the same conditions. The file is
    replaced whole after every cell, so it is never half written. `about` stands at its head.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path, self._about = path, dict(about)
        self._kept: dict[str, Cell] = {}
        if path.is_file():
            self._kept = json.loads(path.read_text("utf-8"))["cells"]

    def cell(
        self,
        key: tuple[str, ...],
        conditions: Mapping[str, Any],
        make: Callable[[], Mapping[str, Any]],
    ) -> Cell:
        """The figures under a key: those that are kept, or made now and kept."""
        name = "/".join(key)
        known = self._kept.get(name)
        if known is None or known["conditions"] != conditions:
            known = {"conditions": dict(conditions), **make()}
            self._kept[name] = known
            self.write()
        return known

    def results(self) -> dict[str, Any]:
        """Everything that is kept, as it stands in the file."""
        return {**self._about, "cells": self._kept}

    def write(self) -> None:
        """Replace the file."""
        beside = self._path.with_suffix(".tmp")
        text = json.dumps(self.results(), ensure_ascii=False, allow_nan=False)
        beside.write_text(text + "\n", "utf-8")
        os.replace(beside, self._path)


def valid(results: Mapping[str, Any], kind: str) -> dict[tuple[str, ...], Cell]:
    """The cells of one kind that were measured as the head of the file says, by their other keys.

    What an older engine, protocol or a shorter run left behind is not among them.
    """
    found = {}
    for name, cell in results["cells"].items():
        first, *rest = name.split("/")
        conditions = cell["conditions"]
        if (
            first == kind
            and conditions["engine"] in (None, results["engine"])
            and conditions["protocol"] == results["protocol"]
            and conditions["streams"] == results["streams"]
        ):
            found[tuple(rest)] = cell
    return found


def with_values(tally: recall.Tally) -> dict[str, Any]:
    """The figures of a tally, and the values that paired differences are taken of."""
    streams = list(dict.fromkeys(query.stream for query, _ in tally.rows))
    return {
        **recall.report(tally),
        "n_streams": len(streams),
        "stream_of": [streams.index(query.stream) for query, _ in tally.rows],
        "values": {
            metric: [round(row[metric], 4) if metric in row else None for _, row in tally.rows]
            for metric in VALUES
        },
    }


def difference(ours: Cell, theirs: Cell, metric: str) -> tuple[float, float, float] | None:
    """Mean paired difference of two systems on the same questions, and its 95% interval.

    Over the questions for which both have the metric; None where there is none. Streams are drawn,
    questions where there is one stream.
    """
    first, second = ours["values"][metric], theirs["values"][metric]
    if ours["stream_of"] != theirs["stream_of"]:
        return None
    groups: list[list[float]] = [[] for _ in range(ours["n_streams"])]
    for stream, a, b in zip(ours["stream_of"], first, second, strict=True):
        if a is not None and b is not None:
            groups[stream].append(a - b)
    values = [value for group in groups for value in group]
    return (sum(values) / len(values), *scorers.bootstrap(groups)) if values else None
