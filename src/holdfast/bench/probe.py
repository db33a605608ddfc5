"""What the machine says: processor time, resident memory, file bytes, and the raw disk's pace."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def machine() -> dict[str, Any]:
    """What a figure depends on, in a few words."""
    model = ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    load = os.getloadavg()[0]
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_1m": round(load, 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def filesystem(path: Path) -> str:
    """The type of the file system a path is on, so that a RAM disk cannot pass for a disk."""
    best, kind = "", "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, mount, fstype, *_ = line.split()
            inside = mount == "/" or f"{path.resolve()}/".startswith(f"{mount}/")
            if inside and len(mount) >= len(best):
                best, kind = mount, fstype
    return kind


def rss_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def file_bytes(path: Path) -> int:
    """Bytes of every file whose name begins with this one's: database, WAL, shm, temporary."""
    total = 0
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(path.name):
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat().st_size
    return total


@contextlib.contextmanager
def watching(path: Path, every_s: float = 0.002) -> Iterator[list[int]]:
    """Poll `file_bytes` from a thread; the list's one entry is the most seen so far."""
    most, stop = [file_bytes(path)], threading.Event()

    def poll() -> None:
        while not stop.wait(every_s):
            most[0] = max(most[0], file_bytes(path))

    thread = threading.Thread(target=poll, name="holdfast-bench-watch", daemon=True)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()
        most[0] = max(most[0], file_bytes(path))


def raw_appends(folder: Path, bodies: Sequence[bytes], seconds: float) -> float:
    """Appends per second with an fdatasync after each: the fastest a durable log could be."""
    path, done = folder / "raw.log", 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            os.write(handle, bodies[done % len(bodies)])
            os.fdatasync(handle)
            done += 1
        return done / (time.perf_counter() - begun)
    finally:
        os.close(handle)
        path.unlink()


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile, in milliseconds."""
    if not seconds:
        return {}
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return {"p50": round(1e3 * float(p50), 4), "p99": round(1e3 * float(p99), 4)}
