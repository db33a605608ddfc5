"""Fit the weights of src/holdfast/forgotten.py on some sets, and measure them on others.

    python scripts/fit_forgotten.py --data ../shared/data

Prints the weights and, for each set, the Brier score and how often each verdict is right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from holdfast.bench import forgetting
from holdfast.bench.datasets import load
from holdfast.bench.forgetting import Answered
from holdfast.bench.pooled import event_of
from holdfast.forgotten import VERDICTS, held_clues, once_clues
from holdfast.records import Event

FITTED = {"beam_100k": "640 KiB", "realmem": "1 MiB"}
MEASURED = {"locomo": "640 KiB", "beam_500k": "4 MiB"}
FILLER = {"locomo": "realmem"}  # a set that is too small to fill a memory alone
POLICIES = ("demand", "oldest")
"""The default, under which it is told what is still known, and one that loses more to learn from.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[*FITTED, *MEASURED])
    args = parser.parse_args()
    fitted: list[tuple[str, str, Answered]] = []
    for name, budget in (FITTED | MEASURED).items():
        if name not in args.only:
            continue
        for policy in POLICIES:
            found = [
                one for half in (0, 1) for one in _asked(args.data, name, half, budget, policy)
            ]
            print(f"{name} {budget} {policy}: {forgetting.score(found)}", flush=True)
            fitted += [(name, policy, one) for one in found if name in FITTED]
    known, once = (VERDICTS.index(name) for name in ("still known", "knew once"))
    usual = [(name, one) for name, policy, one in fitted if policy == POLICIES[0]]
    gone = [(name, one) for name, _, one in fitted if one.truth != known]
    if gone:
        held = forgetting.fit(
            [held_clues(one.signs) for _, one in usual],
            [one.truth == known for _, one in usual],
            [name for name, _ in usual],
        )
        lost = forgetting.fit(
            [once_clues(one.signs) for _, one in gone],
            [one.truth == once for _, one in gone],
            [(name, one.truth) for name, one in gone],
        )
        print(f"HELD = {held}\nONCE = {lost}")


def _asked(folder: Path, name: str, half: int, budget: str, policy: str) -> list[Answered]:
    return forgetting.ask(load(folder / name), half, budget, policy, list(_filler(folder, name)))


def _filler(folder: Path, name: str) -> Iterator[Event]:
    if name in FILLER:
        for turns in load(folder / FILLER[name]).streams.values():
            yield from map(event_of, turns)


if __name__ == "__main__":
    main()
