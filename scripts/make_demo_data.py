"""Make the demo's stream from LongMemEval's evidence sessions (see NOTICE).

Run it as ``python scripts/make_demo_data.py DIR``, with DIR holding `turns.jsonl.gz` and
`queries.jsonl.gz` of the set (``../shared/data/longmemeval_oracle_user``). It writes
`src/holdfast/demo/stream.jsonl.zst` and `questions.jsonl.zst`, byte for byte the same each time.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import zstandard

OUT = Path(__file__).parent.parent / "src" / "holdfast" / "demo"

# The source gives each session's time as a tick from 0 to 200, linear in real time. Three sessions
# whose dates are published (ticks 144, 161 and 183) fix the line; they lie within 5 days of it.
SECONDS_PER_TICK = 407_494
TICK_0 = 1_626_541_168


def read(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a gzip'd JSON Lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def events(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the turns as events, in the form that `holdfast observe` reads."""
    result = []
    for nth, turn in enumerate(turns):
        ticks = int(turn["ts"].removeprefix("tick:"))
        result.append(
            {
                "content": turn["text"],
                "speaker": "user",
                "role": "user",
                "scope": f"session/{turn['session']}",
                "at": TICK_0 + ticks * SECONDS_PER_TICK + nth,
            }
        )
    return result


def questions(turns: list[dict[str, Any]], queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the questions whose evidence lies in the stream, gold as sequence numbers from 1."""
    seq = {turn["id"]: nth for nth, turn in enumerate(turns, start=1)}
    result = []
    for query in queries:
        if not query["gold"]:
            continue
        stale = set(query.get("stale") or ())
        answer = query["answer"] if isinstance(query["answer"], list) else [query["answer"]]
        result.append(
            {
                "id": query["qid"],
                "question": query["q"],
                "type": query["type"],
                "answer": "; ".join(str(part) for part in answer),
                "gold": sorted(seq[id_] for id_ in query["gold"] if id_ not in stale),
                "stale": sorted(seq[id_] for id_ in stale),
            }
        )
    return result


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write `rows` as compressed JSON Lines."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(zstandard.ZstdCompressor(level=22).compress(text.encode()))
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size:,} bytes")


def main(source: Path) -> None:
    """Write both files."""
    turns, queries = read(source / "turns.jsonl.gz"), read(source / "queries.jsonl.gz")
    write(OUT / "stream.jsonl.zst", events(turns))
    write(OUT / "questions.jsonl.zst", questions(turns, queries))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
