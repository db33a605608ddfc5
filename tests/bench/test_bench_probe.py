"""What is read off the machine."""

from __future__ import annotations

from pathlib import Path

from holdfast.bench import probe


def test_every_file_of_a_memory_is_counted(tmp_path: Path) -> None:
    for name, size in (("m.holdfast", 10), ("m.holdfast-wal", 20), ("other", 40)):
        (tmp_path / name).write_bytes(bytes(size))
    assert probe.file_bytes(tmp_path / "m.holdfast") == 30


def test_the_watcher_sees_what_is_gone_again(tmp_path: Path) -> None:
    import threading

    path, grown = tmp_path / "m.holdfast", threading.Event()
    path.write_bytes(bytes(100))
    with probe.watching(path, every_s=0.0001) as most:
        path.write_bytes(bytes(5_000))
        while most[0] < 5_000:
            grown.wait(0.001)
        path.write_bytes(bytes(10))
    assert most[0] == 5_000


def test_raw_appends_leave_nothing_behind(tmp_path: Path) -> None:
    assert probe.raw_appends(tmp_path, [b"one", b"two"], 0.01) > 0
    assert list(tmp_path.iterdir()) == []


def test_quantiles_are_in_milliseconds() -> None:
    assert probe.quantiles_ms([0.001] * 99 + [0.1]) == {"p50": 1.0, "p99": 1.99}
    assert probe.quantiles_ms([]) == {}


def test_the_file_system_is_named(tmp_path: Path) -> None:
    assert probe.filesystem(tmp_path) not in ("", "unknown")
    assert probe.rss_bytes() > 1_000_000
    assert probe.machine()["cores"] >= 1
