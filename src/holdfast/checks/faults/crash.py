"""Run something that acknowledges its writes, let it be killed, and say what it acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

SYSCALLS = ("pwrite64", "fdatasync", "ftruncate", "fsync", "unlink")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process ended, and the lines it had acknowledged by then."""

    acknowledged: tuple[str, ...]
    killed: bool


def run_until_killed(work: Callable[[Callable[[str], None]], None]) -> Outcome:
    """Fork, run ``work(acknowledge)`` in the child, and collect what it acknowledged.

    `work` opens its own connections (none may cross a fork), usually through a `CrashVFS`, and
    calls ``acknowledge(line)`` after each write that returned. POSIX only; call it from a process
    with one thread.

    Raises
    ------
    RuntimeError
        If the child failed otherwise than by SIGKILL; its traceback is on stderr.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _child(work, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        lines = _whole_lines(pipe.read())
    _, status = os.waitpid(pid, 0)
    return Outcome(lines, _killed(os.waitstatus_to_exitcode(status), "the forked child"))


def _child(work: Callable[[Callable[[str], None]], None], pipe: int) -> NoReturn:
    status = 1
    try:
        work(lambda line: _write_all(pipe, line))
        status = 0
    except BaseException:  # noqa: BLE001 - nothing of the parent's may run in the child
        traceback.print_exc()
    finally:
        os._exit(status)


def _write_all(pipe: int, line: str) -> None:
    data = (line + "\n").encode()
    while data:
        data = data[os.write(pipe, data) :]


def traced(command: Sequence[str], syscall: str, when: int, timeout_s: float = 60.0) -> Outcome:
    """Run `command` and kill it (SIGKILL) as it enters its `when`-th `syscall`, by strace.

    The command prints one line on its standard output for each acknowledged write. It is killed
    for real by the kernel, with nothing of ours in the process.

    Parameters
    ----------
    syscall
        One of `SYSCALLS`, or any name strace knows.
    when
        Which call of it, counted from 1.

    Raises
    ------
    RuntimeError
        If the command failed otherwise than by SIGKILL.
    """
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}"]
    inject = ["-e", f"inject={syscall}:signal=KILL:when={when}", "--"]
    process = subprocess.run(
        [*strace, *inject, *command], stdout=subprocess.PIPE, timeout=timeout_s, check=False
    )
    return Outcome(_whole_lines(process.stdout), _killed(process.returncode, "the traced command"))


def tracing_refused() -> str:
    """Why `traced` cannot run here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with tempfile.TemporaryDirectory() as directory:
        probe = ["strace", "-f", "-qq", "-o", f"{directory}/log", "true"]
        process = subprocess.run(probe, capture_output=True, text=True, check=False)
    return "" if process.returncode == 0 else f"strace may not trace here: {process.stderr.strip()}"


def _whole_lines(data: bytes) -> tuple[str, ...]:
    """Without a last line that the kill cut short."""
    return tuple(data[: data.rfind(b"\n") + 1].decode().splitlines())


def _killed(status: int, who: str) -> bool:
    if status not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
        raise RuntimeError(f"{who} ended with status {status}, neither done nor killed")
    return status != 0
