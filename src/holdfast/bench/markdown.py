"""The results of `bench recall --all` as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.bench.cells import Cell, difference, valid
from holdfast.bench.suite import LIMITS, OURS, OURS_WITH_MODEL, PAIRS, PEER, in_order

Results = Mapping[str, Any]
Cells = Mapping[tuple[str, ...], Cell]
BUDGETED = "budgeted@1000"
_SHORT = {"coverage@10": "coverage@10", BUDGETED: "coverage within 1,000 tokens"}
_METRICS = (
    "any@5",
    "any@10",
    "all@5",
    "all@10",
    "coverage@10",
    "ndcg@10",
    "mrr",
    BUDGETED,
    "fresh_before_stale",
)


def page(results: Results) -> str:
    """Every table, each under a heading, with the conditions first."""
    parts = (
        ("Coverage of the evidence among the first 10", lambda r: headline(r, "coverage@10")),
        ("Coverage of the evidence within 1,000 tokens", lambda r: headline(r, BUDGETED)),
        ("Other memories, their own ranking of the same turns and vectors", others),
        ("What each signal adds", ablation),
        ("Knowing what is not there", abstention),
        ("Whole history or a choice", crossover),
        ("Stable beginnings", prefix),
        ("Set by set", by_set),
    )
    texts = [conditions(results)]
    for title, make in parts:
        if text := make(results):
            texts.append(f"## {title}\n\n{text}")
    return "\n".join(texts)


def conditions(results: Results) -> str:
    """What all tables have in common, as one paragraph."""
    on = results["machine"]
    streams = f" Only the first {results['streams']} streams of each set." * bool(
        results["streams"]
    )
    return (
        f"Holdfast {results['version']} (engine {results['engine']}), model "
        f"{results['embedder'] or 'none'}, {on['cpu']}, Python {on['python']}. No bound on memory "
        f"was in force. Rankings are 50 long; intervals are 95%, by bootstrap over streams (over "
        f"questions where there is one stream). Latencies are of a context of 1,000 tokens, "
        f"without the model's time: vectors were made beforehand.{streams}\n"
    )


def headline(results: Results, metric: str) -> str:
    """One row per set, one column per system, and paired differences without and with a model."""
    cells = valid(results, "recall")
    cases, rows = _named(cells)
    rows = [row for row in rows if row not in LIMITS and not row.startswith(PEER)]
    if metric == BUDGETED:  # a context does not depend on the unit: once for each set is enough
        twins = {case.replace(", turn", ", session") for case in cases if ", turn" in case}
        cases = [case for case in cases if case not in twins]
    return _compared(cells, cases, rows, PAIRS, metric)


def others(results: Results) -> str:
    """Holdfast beside other memories, on the sets they were asked about."""
    cells = valid(results, "recall")
    cases, rows = _named(cells)
    rows = [row for row in rows if row in (OURS, OURS_WITH_MODEL) or row.startswith(PEER)]
    peers = [row for row in rows if row.startswith(PEER)]
    cases = [case for case in cases if any((case, row) in cells for row in peers)]
    texts = [
        f"{metric}:\n\n{_compared(cells, cases, rows, (), metric)}"
        for metric in ("coverage@10", BUDGETED)
    ]
    names = {row: cells[case, row] for case in cases for row in peers if (case, row) in cells}
    versions = [
        f"{row.removeprefix(PEER)} {cell['version']} ({cell['settings']})"
        for row, cell in names.items()
    ]
    return "\n".join([*texts, f"{'; '.join(versions)}.\n"]) if peers else ""


def _compared(
    cells: Cells,
    cases: Sequence[str],
    rows: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    metric: str,
) -> str:
    body = []
    for case in cases:
        found = [cells.get((case, row)) for row in rows]
        known = [cell for cell in found if cell and metric in cell["metrics"]]
        if not known:
            continue
        n = known[0]["n_budgeted" if metric == BUDGETED else "n"]
        line = [case, f"{n:,}", *(_interval(cell, metric) for cell in found)]
        for first, second in pairs:
            ours, theirs = cells.get((case, first)), cells.get((case, second))
            line.append(_signed(difference(ours, theirs, metric) if ours and theirs else None))
        body.append(line)
    differences = [f"{first} − {second}" for first, second in pairs]
    return table(["set, unit", "questions", *rows, *differences], body)


def by_set(results: Results) -> str:
    """A table per set with every metric; latencies are without a model's time."""
    cells = valid(results, "recall")
    texts = []
    cases, names = _named(cells)
    for case in cases:
        rows = {row: cells[case, row] for row in names if (case, row) in cells}
        first = next(iter(rows.values()))
        alone = ", intervals over questions" if first["n_streams"] == 1 else ""
        shown = [m for m in _METRICS if any(m in cell["metrics"] for cell in rows.values())]
        body = [
            [
                row,
                *(share(cell["metrics"].get(metric)) for metric in shown),
                f"{cell['context_tokens']:,}",
                f"{cell['latency_ms']['p50']:.3g}" if cell["latency_ms"] else "–",
            ]
            for row, cell in rows.items()
        ]
        title = (
            f"### {case}\n\n{first['n']:,} questions over {first['n_streams']} streams{alone}; "
            f"{first['left_out']} left out because nothing is right.\n"
        )
        late = sum(cell.get("degraded", 0) for cell in rows.values())
        if late:
            title += f"\n{late} answers of Holdfast went without a vector that came too late.\n"
        texts.append(f"{title}\n{table(['system', *shown, 'tokens', 'ms p50'], body)}")
    return "\n".join(texts)


def ablation(results: Results) -> str:
    """What Holdfast loses without one signal: all signals − the rest, in points of 100."""
    cells, whole = valid(results, "ablation"), valid(results, "recall")
    cases, _ = in_order([case for case, _, _ in cells], [])
    body = []
    for row, name in dict.fromkeys((row, name) for _, row, name in cells):
        line = [f"`{name}`", row]
        for case in cases:
            full, rest = whole.get((case, row)), cells.get((case, row, name))
            for metric in ("coverage@10", BUDGETED):
                line.append(_points(difference(full, rest, metric) if full and rest else None))
        body.append(line)
    heads = [f"{case}: {_SHORT[m]}" for case in cases for m in ("coverage@10", BUDGETED)]
    return table(["without", "system", *heads], body)


def abstention(results: Results) -> str:
    """AUROC that a confidence tells answerable questions from others; a coin is .5."""
    cells = valid(results, "abstention")
    cases, rows = _named(cells)
    body = []
    for case in cases:
        found = [cells.get((case, row)) for row in rows]
        one = next(cell for cell in found if cell)
        body.append(
            [
                case,
                f"{one['n_answerable']} + {one['n_not']}",
                *(_ranged(cell["auroc"], cell["interval_95"]) if cell else "–" for cell in found),
            ]
        )
    return table(["set, unanswerable ones", "answerable + not", *rows], body)


def crossover(results: Results) -> str:
    """Holdfast's share of the evidence / that of the whole history or its newest part."""
    texts = []
    for (name, _), cell in valid(results, "crossover").items():
        budgets = list(cell["chosen"])
        body = [
            [
                f"{size:,}",
                cell["n"][n],
                *(
                    f"{share(cell['chosen'][b][n])} / {share(cell['newest'][b][n])}"
                    for b in budgets
                ),
            ]
            for n, size in enumerate(cell["sizes"])
        ]
        crosses = [f"{cell['crosses'][b]:,}" if cell["crosses"][b] else "–" for b in budgets]
        body.append(["**better from**", "", *crosses])
        heads = ["tokens of history", "questions", *(f"budget {int(b):,}" for b in budgets)]
        texts.append(f"### {name}\n\n{table(heads, body)}")
    return "\n".join(texts)


def prefix(results: Results) -> str:
    """How much of a context the next one begins with; after the stroke: what those cover."""
    cells = {key: cell for key, cell in valid(results, "prefix").items() if cell["n"]}
    cases, rows = _named(cells)
    body = []
    for case in cases:
        found = [cells.get((case, row)) for row in rows]
        one = next(cell for cell in found if cell)
        body.append(
            [
                case,
                one["n"],
                *(_stable(cell) for cell in found),
            ]
        )
    return table(["set, unit", "pairs of questions", *rows], body)


def table(columns: Sequence[str], body: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, numbers to the right; nothing without rows."""
    if not body:
        return ""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (columns, *body)]
    lines.insert(1, "|---|" + "---:|" * (len(columns) - 1))
    return "\n".join(lines) + "\n"


def share(value: float | None) -> str:
    """A share with three decimals and no leading zero."""
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def _named(cells: Cells) -> tuple[list[str], list[str]]:
    return in_order([case for case, _ in cells], [row for _, row in cells])


def _stable(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return f"{_ranged(cell['csr_prefix'], cell['interval_95'])} / {share(cell['budgeted'])}"


def _both(ours: float, theirs: float) -> str:
    return f"{share(ours)} / {share(theirs)}"


def _metric(cell: Cell | None, metric: str) -> float | None:
    return None if cell is None else cell["metrics"].get(metric)


def _interval(cell: Cell | None, metric: str) -> str:
    value = _metric(cell, metric)
    if cell is None or value is None:
        return "–"
    return _ranged(value, cell["intervals_95"][metric])


def _ranged(value: float, interval: Sequence[float]) -> str:
    return f"{share(value)} [{share(interval[0])}, {share(interval[1])}]"


def _signed(found: tuple[float, float, float] | None) -> str:
    if found is None:
        return "–"
    value, low, high = (f"{each:+.3f}".replace("0.", ".", 1).replace("-", "−") for each in found)
    return f"{value} [{low}, {high}]"


def _points(found: tuple[float, float, float] | None) -> str:
    """A difference in points, in bold where its interval leaves zero out."""
    if found is None:
        return "–"
    value, low, high = found
    text = f"{100 * value:+.1f}".replace("-", "−")
    return f"**{text}**" if low > 0 or high < 0 else text
