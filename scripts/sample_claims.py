"""Draw a sample of extracted claims to be labelled by hand: is each what its sentence says?

    python scripts/sample_claims.py DATA --seed 1 > sample.jsonl

DATA holds one folder a set, each with ``turns.jsonl.gz`` (``definitions.jsonl.gz`` for goodai_ltm).
Turns are parted in halves by a hash of their id. Patterns are written while looking at half A; the
sample is drawn from half B, without sentences that half A has too. From each set comes one claim of
every predicate, as far as its share goes, and the rest by lot. Only sets are drawn whose licence
lets their sentences be kept beside the labels. The same seed draws the same sample.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from holdfast.extract.rules import Rules

SHARES = {
    "longmemeval_oracle_user": 0.28,
    "longmemeval_s_mini": 0.16,
    "irc_ubuntu": 0.32,
    "memorycode": 0.13,
    "realmem": 0.07,
    "goodai_ltm": 0.03,
}
NO_TIME = 1_700_000_000.0  # for sets whose turns have none


@dataclass(frozen=True)
class Turn:
    """One message of a set."""

    id: str
    who: str | None
    text: str
    at: float

    @property
    def half(self) -> str:
        """A or B, by the hash of its id."""
        return "AB"[zlib.crc32(self.id.encode()) % 2]


def turns(folder: Path) -> Iterator[Turn]:
    """The messages of one set, in order."""
    if folder.name == "goodai_ltm":
        for line in _lines(folder / "definitions.jsonl.gz"):
            for i, text in enumerate(line["script"]):
                yield Turn(f"{line['id']}#{i}", "user", text, NO_TIME)
        return
    for line in _lines(folder / "turns.jsonl.gz"):
        yield Turn(f"{line['stream']}/{line['id']}", line["who"], line["text"], _at(line["ts"]))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _at(stamp: str | None) -> float:
    try:
        return datetime.fromisoformat((stamp or "").split(" ")[0]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return NO_TIME


def claims(folder: Path, half: str) -> list[dict[str, Any]]:
    """What is extracted from one half of a set, each sentence and claim once."""
    rules, found, known = Rules(), {}, set()
    for turn in turns(folder):
        role = "assistant" if (turn.who or "").lower() == "assistant" else None
        for claim in rules.claims(turn.text, speaker=turn.who, role=role, at=turn.at):
            sentence = claim.evidence[0].quote
            if turn.half != half:
                known.add(sentence)
                continue
            said = {
                "subject": claim.subject, "predicate": claim.predicate, "value": claim.value,
                "kind": claim.kind, "stance": claim.stance, "valid_from": claim.valid_from,
            }  # fmt: skip
            row = {
                "set": folder.name, "id": turn.id, "speaker": turn.who, "at": turn.at,
                "sentence": sentence, "claim": said,
            }  # fmt: skip
            found.setdefault((sentence, claim.predicate, claim.value), row)
    return [row for row in found.values() if row["sentence"] not in known]


def draw(rows: list[dict[str, Any]], n: int, random: Random) -> list[dict[str, Any]]:
    """At most `n` rows: first one of each predicate, then by lot."""
    random.shuffle(rows)
    first = list({row["claim"]["predicate"]: row for row in reversed(rows)}.values())
    random.shuffle(first)
    rest = [row for row in rows if row not in first]
    return (first + rest)[:n]


def main() -> None:
    """Write the sample to standard output, one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--half", choices="AB", default="B")
    parser.add_argument("--without", type=Path, action="append", default=[], help="drawn before")
    options = parser.parse_args()
    random = Random(options.seed)
    before = {json.loads(line)["sentence"] for path in options.without for line in path.open("r")}
    for name, share in SHARES.items():
        rows = [r for r in claims(options.data / name, options.half) if r["sentence"] not in before]
        for row in draw(rows, round(options.n * share), random):
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
