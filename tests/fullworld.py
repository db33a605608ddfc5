"""A memory with something of everything in it, and calls of every operation that fit it."""

from __future__ import annotations

import atexit
import base64
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from holdfast import Event, Memory
from holdfast.state.automaton import Automaton

from worlds import T0, prose, ticking

BUDGET = "640 KiB"
RAW = bytes(range(256))
OVEN = {
    "name": "kiln",
    "states": ["cold", "hot"],
    "initial": "cold",
    "transitions": [["cold", "light", "hot"]],
    "final": ["hot"],
}


def options() -> dict[str, Any]:
    """How such a memory is opened, for `Memory.open`: a clock of its own, no waiting for a disk."""
    return {"durability": "off", "clock": ticking(T0 + 1e6)}


@cache
def _template() -> Path:
    made = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, made)
    fill(made / "ana.holdfast")
    return made


def copy_to(folder: Path, name: str = "ana") -> None:
    """Put such a memory into a folder, with its snapshots; it is made once and then copied."""
    made = _template()
    shutil.copyfile(made / "ana.holdfast", folder / f"{name}.holdfast")
    shutil.copytree(made / "ana.holdfast-snapshots", folder / f"{name}.holdfast-snapshots")


def fill(path: Path) -> None:
    """Make the memory: every kind of event, tier, belief and record that there is."""
    with Memory.open(path, BUDGET, durability="off", clock=ticking()) as memory:
        memory.observe("The spare key is under the blue pot.", speaker="Ana", metadata={"n": 1})
        memory.observe(RAW, channel="camera", kind="observation", scope="lab")
        memory.observe("Lone \ud800 surrogates too.", scope="lab/bench", key="k1", parents=(1, 2))
        memory.observe("I live in Porto.", speaker="Ana", role="user", pinned=True)
        memory.believe("Ana", "lives_in", "Braga", by="Ana", aliases=["home"], confidence=0.75)
        memory.believe("Ana", "likes", "tea", by="Ana", many=True, valid_until="2030-01-01")
        memory.believe("desk", "colour", "red", by="agent/bo", scope="agent/bo", inferred=True)
        memory.put_document("desk", {"lamp": "off", "list": [1, 2.5, None, True]})
        memory.patch_document("desk", [{"op": "replace", "path": "/lamp", "value": "on"}])
        memory.put_document("gone", [1], scope="lab")
        memory.delete_document("gone", scope="lab")
        moves = (("idle", "heat", "hot"), ("hot", "cool", "idle"))
        memory.declare(Automaton("oven", ("idle", "hot"), "idle", moves))
        memory.step("oven", "heat")
        memory.grant("agent/bo", "read", "team")
        memory.grant("agent/bo", "write", "team")
        memory.snapshot("monday")
        memory.checkpoint()
        rng = random.Random(5)
        memory.observe_many(
            Event(prose(rng, 900, 9), speaker="Cy", scope=f"long/{i % 3}") for i in range(90)
        )
        memory.used_events([1])
        memory.erase(event=2)
        memory.observe(RAW, channel="camera", kind="observation", scope="lab")
        memory.checkpoint()


CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("usage", {}),
    ("recall", {"query": "where is the spare key?", "tokens": 400, "explain": True}),
    ("recall", {"query": "copper kettle", "scope": ["long/1", "lab"], "valid_at": "2030-01-01"}),
    ("recall", {"query": "where does Ana live?", "as_of": T0 + 20, "hops": 1}),
    ("recall", {"query": ""}),
    ("rank", {"query": "copper kettle", "limit": 5}),
    ("rank_scopes", {"query": "copper kettle"}),
    ("why_not", {"seq": 1, "query": "compass"}),
    ("log", {"limit": 7}),
    ("log", {"after": 20, "limit": 300}),
    ("log", {"scope": "lab"}),
    ("get", {"seq": 1}),
    ("get", {"seq": 2}),
    ("get", {"seq": 10**6}),
    ("episodes", {}),
    ("forgotten", {"query": "where was the copper kettle?"}),
    ("ledger", {}),
    ("loss_totals", {}),
    ("beliefs", {}),
    ("beliefs", {"query": "where does Ana live?"}),
    ("beliefs", {"subject": "Ana", "status": "all"}),
    ("beliefs", {"query": "Ana", "status": "all"}),
    ("history", {"subject": "Ana"}),
    ("belief", {"id": "b5.0"}),
    ("belief", {"id": "b999.0"}),
    ("state_hash", {}),
    ("document", {"name": "desk"}),
    ("document", {"name": "desk", "version": 1}),
    ("documents", {}),
    ("all_documents", {"deleted": True}),
    ("document_history", {"name": "desk"}),
    ("document_diff", {"name": "desk", "a": 1, "b": 2}),
    ("automaton", {"name": "oven"}),
    ("automata", {}),
    ("automaton_history", {"name": "oven"}),
    ("grants", {}),
    ("credit", {"source": "agent/bo"}),
    ("changes", {"after": 0}),
    ("watch", {"after": 0, "timeout_s": 0.0, "limit": 3}),
    ("snapshots", {}),
    ("diff", {"a": "monday"}),
    ("checkpoints", {}),
    ("prove", {"seq": 3}),
    ("fidelity", {"tokens": 500, "sample": 20}),
    ("budget_for", {"fidelity": 0.9, "tier": "trace"}),
    ("verify", {}),
    # what changes it
    ("observe", {"content": "The lamp is in the attic.", "speaker": "Bo", "metadata": {"a": [1]}}),
    ("observe", {"content": {"base64": base64.b64encode(RAW).decode()}, "kind": "observation"}),
    ("observe_many", {"events": ["One thing.", "Another thing."]}),
    ("used_events", {"events": [1, 4]}),
    ("believe", {"subject": "Ana", "predicate": "lives_in", "value": "Faro", "by": "Ana"}),
    ("believe", {"subject": "cat", "predicate": "name", "value": "Mo", "trust": "untrusted"}),
    ("retract", {"subject": "Ana", "predicate": "likes", "value": "tea", "by": "Ana"}),
    ("put_document", {"name": "shelf", "value": [1, {"a": None}]}),
    ("put_document", {"name": "desk", "value": 1, "expect": 9}),
    ("patch_document", {"name": "desk", "patch": {"lamp": None}}),
    ("delete_document", {"name": "shelf"}),
    ("declare", {"automaton": OVEN}),
    ("step", {"name": "kiln", "event": "light", "expect": "cold"}),
    ("step", {"name": "kiln", "event": "light"}),
    ("grant", {"principal": "agent/cy", "right": "read", "scope": "team"}),
    ("withdraw", {"principal": "agent/cy", "right": "read", "scope": "team"}),
    ("promote", {"id": "b7.0", "to": "team", "approve": True}),
    ("used", {"id": "b7.0", "query": "which hue has it?"}),
    ("snapshot", {"name": "tuesday"}),
    ("rollback", {"name": "tuesday"}),
    ("delete_snapshot", {"name": "tuesday"}),
    ("checkpoint", {}),
    ("erase", {"subject": "cat"}),
    ("revoke", {"source": "Cy"}),
    ("reinstate", {"source": "Cy"}),
    ("resize", {"budget": "1 MiB"}),
)  # fmt: skip
"""One after the other on a memory that `fill` made. `export` and `import` are not among them: what
they take is no JSON."""
