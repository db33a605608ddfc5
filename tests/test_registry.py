from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from holdfast.errors import UnknownNameError
from holdfast.registry import EMBEDDERS, RETENTION, known, load, resolve
from holdfast.retention.base import Policy
from holdfast.retention.oldest import Oldest
from holdfast.retention.sink_window import SinkWindow

POLICIES = ", ".join(sorted(RETENTION))


@pytest.mark.parametrize("name", sorted(RETENTION))
def test_every_policy_is_made_without_options(name: str) -> None:
    assert isinstance(resolve("retention", name), Policy)


@pytest.mark.parametrize("target", [*RETENTION.values(), *EMBEDDERS.values()])
def test_every_target_is_a_module_of_ours(target: str) -> None:
    module, _, attribute = target.partition(":")
    assert find_spec(module) is not None
    assert attribute.isidentifier()


def test_options_in_the_name_are_read_and_keywords_win() -> None:
    assert resolve("retention", "sink_window:n_sink=8") == SinkWindow(n_sink=8)
    assert resolve("retention", "sink_window:n_sink=8", n_sink=2) == SinkWindow(n_sink=2)
    assert resolve("retention", "ladder: surprise=3, decay=0.5").decay == 0.5  # type: ignore[attr-defined]
    assert resolve("retention", "per_group:share=equal").share == "equal"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "oldset",
            f"no retention policy 'oldset'; did you mean 'oldest'? Known: {POLICIES}.",
        ),
        (
            "zzz",
            f"no retention policy 'zzz'. Known: {POLICIES}.",
        ),
        (
            "sink_window:n_snk=3",
            "retention policy 'sink_window' has no option 'n_snk'; did you mean 'n_sink'? "
            "Known: n_sink.",
        ),
        ("oldest:x=1", "retention policy 'oldest' has no option 'x'. Known: none."),
        ("sink_window:8", "'8' is not an option; write options as key=value"),
    ],
)
def test_a_wrong_name_says_what_there_is(spec: str, message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        resolve("retention", spec)
    assert str(caught.value) == message


def test_an_unknown_embedder() -> None:
    with pytest.raises(UnknownNameError, match="no embedder 'mini'; did you mean 'minilm'"):
        resolve("embedder", "mini")


def test_plugins_add_names_but_replace_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outsider.py").write_text(
        "from holdfast.retention.sink_window import SinkWindow\nclass Mine(SinkWindow): ...\n"
    )
    info = tmp_path / "outsider-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[holdfast.retention]\nmine = outsider:Mine\noldest = outsider:Mine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "mine" in known("retention")
    assert load("retention", "oldest") is Oldest
    assert type(resolve("retention", "mine:n_sink=1")).__name__ == "Mine"
