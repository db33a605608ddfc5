"""Fit src/holdfast/recall/weights.json on the sets in a folder. Needs scipy (`--group fit`).

    python scripts/fit_weights.py --data ../shared/data [--vectors build/vectors] [--write]

Prints coverage@10 of each set in the fit, with its streams held out, and with the set held out.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from holdfast.bench import abstention, fit
from holdfast.bench.datasets import Dataset, Query
from holdfast.bench.sets import engine_digest, open_set
from holdfast.bench.vectors import CachedEmbedder
from holdfast.recall.scopes import SCOPE_SIGNALS
from holdfast.recall.signals import SIGNALS
from holdfast.recall.weights import KINDS, Weights
from holdfast.registry import resolve

WEIGHTS = Path(__file__).parent.parent / "src/holdfast/recall/weights.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, default=Path("build/vectors"))
    parser.add_argument("--only", nargs="*", default=[*fit.SHARES, *fit.SHARES_OF_SCOPES])
    parser.add_argument("--model", choices=["none", "minilm", "both"], default="both")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    models: list[fit.Model] = []
    report: dict[str, Any] = {}
    for model in ("none", "minilm") if args.model == "both" else (args.model,):
        embedder = None
        if model != "none":
            embedder = CachedEmbedder(args.vectors, resolve("embedder", model))
        models.append(_fitted(args, embedder, report.setdefault(model, {})))
        _show(model, report[model], models[-1])
    if args.write and len(models) == 2:
        WEIGHTS.write_text(fit.to_json(models[0], models[1], report))


def _fitted(args: argparse.Namespace, embedder: Any, report: dict[str, Any]) -> fit.Model:
    """Events first; the scopes and the doubts are told with their weights."""

    def named(names: Iterable[str]) -> list[str]:
        return [name for name in names if embedder or name != "meaning"]

    only = [name for name in fit.SHARES if name in args.only]
    sets = {name: found for name in only if (found := _samples(args, name, embedder))}
    shares = fit.SHARES_WITH_VECTORS if embedder else fit.SHARES
    events = fit.fit(sets, named(SIGNALS), shares)
    report["turns, coverage@10"] = fit.cross_validated(sets, named(SIGNALS), shares)
    weights = Weights(dict(zip(KINDS, 2 * events.tables(), strict=True)))
    shares = fit.SHARES_OF_SCOPES
    only = [name for name in shares if name in args.only]
    sets = {name: found for name in only if (found := _samples(args, name, embedder, weights))}
    scopes = fit.fit(sets, named(SCOPE_SIGNALS), shares)
    report["sessions, coverage@10"] = fit.cross_validated(sets, named(SCOPE_SIGNALS), shares)
    doubts = _doubts(args, weights, embedder)
    report["abstention AUROC, streams held out"] = fit.doubts_held_out(doubts)
    return fit.Model(events, scopes, fit.fit_doubts(doubts))


def _doubts(args: argparse.Namespace, weights: Weights, embedder: Any) -> list[fit.Doubt]:
    """BEAM's own unanswerable questions, and questions that belong to other streams."""
    found: list[fit.Doubt] = []
    donor = open_set(args.data, "locomo")
    for name in ("beam_100k", "beam_500k", "locomo", "longmemeval_oracle_user", "realmem"):
        opened = open_set(args.data, name)
        if opened is None or donor is None:
            continue
        beam = name.startswith("beam")
        plan = abstention.own(opened.data) if beam else abstention.foreign(opened.data, donor.data)
        kind = "beam" if beam else name
        found += fit.collect_doubts(opened.data, plan, kind, weights, embedder)
        if name == "beam_100k":
            plan = abstention.foreign(opened.data)
            found += fit.collect_doubts(opened.data, plan, "beam, foreign", weights, embedder)
    return found


def _samples(
    args: argparse.Namespace, name: str, embedder: Any, weights: Weights | None = None
) -> list[fit.Sample]:
    """A set's questions, from the folder of vectors if this engine has looked at them before."""
    told = repr(weights.tables) if weights else ""
    mark = f"{engine_digest()}-{crc32(told.encode()):x}"
    kept = args.vectors / f"{name}-{'dense' if embedder else 'plain'}-{mark}.pickle"
    if kept.is_file():
        with kept.open("rb") as file:
            known: list[fit.Sample] = pickle.load(file)  # written by this script
            return known
    opened = open_set(args.data, name)
    if opened is None:
        return []
    samples = fit.collect(opened.data, _some(opened.data), embedder, weights, _say)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("wb") as file:
        pickle.dump(samples, file)
    return samples


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _some(data: Dataset) -> Any:
    """The questions of a set that count: its headline ones; of IRC, those with far evidence."""

    def counts(query: Query) -> bool:
        if data.name.startswith("irc"):
            return "gold > 50 lines back" in data.slices(query)
        return data.headline(query)

    return counts


def _show(model: str, report: Any, fitted: fit.Model) -> None:
    for title, rows in report.items():
        print(f"\n{model}: {title}")
        for name, row in rows.items():
            told = row.items() if isinstance(row, dict) else [("", row)]
            print(f"  {name:26}" + "  ".join(f"{key} {value:g}" for key, value in told))
    for found in (fitted.events, fitted.scopes):
        for name, asking, saying in zip(found.names, found.asking, found.saying, strict=True):
            other = "" if np.isclose(asking, saying) else f"{saying:9.3f}"
            print(f"  {name:14}{asking:9.3f}{other}")
    print(f"  {fitted.doubts}")


if __name__ == "__main__":
    main()
