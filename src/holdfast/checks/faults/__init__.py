"""Fault injection for any SQLite file: power cuts, crashes, disk errors, and a byte budget.

Everything here is a SQLite VFS that passes through to the operating system and steps in where it
is asked to, so it runs on your own store as it is: ``Memory.open(path, vfs=vfs.name)`` or
``apsw.Connection(path, vfs=vfs.name)``.

=================  ===============================================================================
`RecordingVFS`     writes down every change, so that `crash_states` can rebuild what a power cut
                   at any moment might leave on the disk
`CrashVFS`         kills the process at its N-th change; `run_until_killed` forks one to die
`FaultyVFS`        answers the N-th change with a full disk, an I/O error or a short write
`BudgetVFS`        sums every byte on disk after every change; `watched` does it from outside
`traced`           kills a command at its N-th system call, by strace
=================  ===============================================================================
"""

from holdfast.checks.faults.crash import Outcome, run_until_killed, traced, tracing_refused
from holdfast.checks.faults.inject import CrashVFS, FaultyVFS
from holdfast.checks.faults.measure import BudgetVFS, Peak, bytes_on_disk, watched
from holdfast.checks.faults.powerloss import CrashState, crash_states
from holdfast.checks.faults.record import Op, RecordingVFS
from holdfast.checks.faults.vfs import HookedFile, HookedVFS

__all__ = [
    "BudgetVFS",
    "CrashState",
    "CrashVFS",
    "FaultyVFS",
    "HookedFile",
    "HookedVFS",
    "Op",
    "Outcome",
    "Peak",
    "RecordingVFS",
    "bytes_on_disk",
    "crash_states",
    "run_until_killed",
    "traced",
    "tracing_refused",
    "watched",
]
