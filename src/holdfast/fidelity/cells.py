"""Probes by the cell of a store that they lie in, so that a change rewrites few rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from holdfast.fidelity.probe import CELL_BYTES, Probe, pack

_BESIDE = 12  # bytes of a cell that are no probe


class Cells:
    """Where each probe lies, and which cells are not as they are stored."""

    def __init__(self) -> None:
        self.changed: set[int] = set()
        self._probes: dict[int, Probe] = {}
        self._cell_of: dict[int, int] = {}
        self._cells: list[dict[int, bytes]] = []  # each probe as it is stored
        self._sizes: list[int] = []

    def __contains__(self, seq: int) -> bool:
        return seq in self._probes

    def __getitem__(self, seq: int) -> Probe:
        return self._probes[seq]

    def restore(self, cell: int, probes: Iterable[Probe]) -> None:
        """Take over what is stored in a cell."""
        while len(self._cells) <= cell:
            self._cells.append({})
            self._sizes.append(_BESIDE)
        for probe in probes:
            self._add(cell, probe, probe.to_bytes())

    def put(self, probe: Probe) -> None:
        """Find a probe a place: the first cell that has the room."""
        data = probe.to_bytes()
        most = CELL_BYTES - 1 - len(data)
        cell = next((n for n, used in enumerate(self._sizes) if used <= most), len(self._cells))
        self.restore(cell, ())
        self._add(cell, probe, data)
        self.changed.add(cell)

    def _add(self, cell: int, probe: Probe, data: bytes) -> None:
        self._probes[probe.seq] = probe
        self._cell_of[probe.seq] = cell
        self._cells[cell][probe.seq] = data
        self._sizes[cell] += 1 + len(data)

    def drop(self, seq: int) -> None:
        """Take a probe out, if it is there."""
        if self._probes.pop(seq, None) is not None:
            cell = self._cell_of.pop(seq)
            self._sizes[cell] -= 1 + len(self._cells[cell].pop(seq))
            self.changed.add(cell)

    def blank_lost(self, kept: Callable[[int], bool]) -> None:
        """Leave nothing that was said in the probes of events that are kept no more."""
        for probe in [one for one in self._probes.values() if one.query and not kept(one.seq)]:
            self.drop(probe.seq)
            self.put(probe.blank())

    def pack(self, cell: int, below: float) -> bytes:
        """A cell as it is stored."""
        return pack(below, self._cells[cell].values())
