"""`bench fidelity`: the comparison on a set small enough to check, its command, its errors."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from holdfast.bench import calibration
from holdfast.bench.pooled import pooled
from holdfast.bench.sets import open_set
from holdfast.cli import main
from holdfast.errors import NotFoundError

from worlds import prose

MakeSet = Callable[..., Path]
N = 900


@pytest.fixture
def root(make_set: MakeSet) -> Path:
    """One stream in which every ninth turn answers a question that quotes it."""
    rng = random.Random(3)
    turns = [{"id": f"t{n}", "session": str(n // 30), "text": prose(rng, 40)} for n in range(N)]
    queries = [
        {"qid": f"q{n}", "q": str(turns[n]["text"])[:60], "gold": [f"t{n}"]} for n in range(0, N, 9)
    ]
    return make_set("locomo", turns, queries).parent


def test_rows_say_what_a_plain_look_at_the_memory_says(root: Path) -> None:
    said: list[str] = []
    result = calibration.run(
        root, fractions=(Fraction(1, 4), Fraction(1, 1000)), policies=("oldest",),
        progress=said.append,
    )  # fmt: skip
    assert said == ["locomo oldest 1/4"], "a thousandth is too little for any memory"
    whole, *spans = result["rows"]
    assert (whole["span"], whole["n"], whole["asked"]) == ("all", N // 9, N // 9)
    assert [row["span"] for row in spans] == ["0", "1", "2", "3", "4"]
    assert sum(row["n"] for row in spans) == whole["n"]
    assert whole["truth"]["verbatim"] == whole["truth"]["kept"] < 1.0
    assert spans[0]["truth"]["kept"] < spans[-1]["truth"]["kept"] == 1.0
    for row in result["rows"]:  # every turn is as long, so evidence is like the rest
        for measure in ("verbatim", "readable", "kept"):
            assert row["meter"][measure] == pytest.approx(row["truth"][measure], abs=0.12)
        assert 0.0 <= row["truth"]["found"] <= row["truth"]["kept"]


def test_agreement_is_the_mean_over_stretches_by_how_much_evidence_they_have() -> None:
    def row(span: str, n: int, told: float, true: float | None) -> dict[str, Any]:
        same = {"set": "s", "policy": "p", "span": span, "n": n, "asked": n}
        meter = dict.fromkeys(calibration.MEASURES, told)
        return {**same, "meter": meter, "truth": dict.fromkeys(calibration.MEASURES, true)}

    rows = [row("all", 4, 0.9, 0.5), row("0", 3, 0.5, 0.6), row("1", 1, 1.0, 0.6)]
    rows.append(row("2", 0, 1.0, None))
    found = calibration.summary(rows)
    assert [one["measure"] for one in found] == list(calibration.MEASURES)
    assert found[0]["error"] == pytest.approx((3 * 0.1 + 0.4) / 4)
    assert found[0]["bias"] == pytest.approx((3 * -0.1 + 0.4) / 4)
    assert (found[0]["n"], found[0]["stretches"]) == (4, 2)
    assert found[0]["correlation"] is None, "the truth does not vary"
    assert calibration.summary([row("all", 0, 1.0, None)])[0] == {
        "set": "s", "policy": "p", "measure": "verbatim", "n": 0,
    }  # fmt: skip


def test_the_command_prints_a_table_and_writes_json(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert main(["bench", "fidelity", "--data", str(root), "--json", str(out)]) == 0
    shown = capsys.readouterr()
    assert "what the meter says" in shown.out
    assert "locomo ladder 1/2" in shown.err
    result = json.loads(out.read_text())
    assert result["benchmark"] == "fidelity"
    assert {row["measure"] for row in result["results"]} == set(calibration.MEASURES)
    page = calibration.markdown(result)
    assert page.startswith("| set |")
    assert page.count("\n") == 3


def test_a_folder_without_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no data set"):
        calibration.run(tmp_path)


def test_on_a_public_set_the_meter_is_within_a_tenth(real_set: Callable[[str], Path]) -> None:
    folder = real_set("longmemeval_oracle_user")
    found = open_set(folder.parent, folder.name)
    assert found is not None
    rows = calibration.cell(pooled(found.data), Fraction(1, 4), "oldest")
    for one in calibration.summary(rows):
        assert one["error"] < 0.1, one
