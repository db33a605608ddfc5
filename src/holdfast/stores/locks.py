"""Where a store may live, and who may write to it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from holdfast.errors import FileVanishedError, StoreBusyError, UnsafeFilesystemError

# File systems on which advisory locks or shared memory maps do not hold between machines.
_NETWORK = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    ]
)
_POLL_S = 0.0005


def identity(path: Path) -> tuple[int, int] | None:
    """Which file it is that has this name now; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def check_identity(path: Path, opened: tuple[int, int] | None) -> None:
    """Refuse to go on with a file that somebody deleted, or put another in the place of.

    SQLite would go on writing to it, and nobody would find it again. `opened` is the file's
    `identity` when it was opened; None if it had no name of its own then.
    """
    if opened is not None and (now := identity(path)) != opened:
        what = "deleted" if now is None else "replaced by another file"
        raise FileVanishedError(
            f"{path.name} was {what} while it was open here; nothing was written: close it, and "
            "open what is there now"
        )


def mounted(path: Path, mounts: Path = Path("/proc/mounts")) -> tuple[str, str]:
    """The kind of the file system that a path lies on, and where it is mounted.

    Empty texts where the mount table cannot be read (not Linux).
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return "", ""
    where = os.path.realpath(path.parent)
    kind, best = "", ""
    for line in lines:
        _, mount, fstype, *_ = line.split(" ")
        mount = mount.encode().decode("unicode_escape")
        inside = where == mount or where.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            kind, best = fstype, mount
    return kind, best


def check_filesystem(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Refuse a file system that cannot keep the durability promise.

    Raises
    ------
    UnsafeFilesystemError
        If `path` lies on a network file system. Where the mount table cannot be read (not Linux),
        nothing is checked.
    """
    kind, at = mounted(path, mounts)
    if kind in _NETWORK:
        raise UnsafeFilesystemError(
            f"{path} lies on {kind} (mounted at {at}), where locks and synced writes are not "
            "dependable; put the memory on a local disk"
        )


class FileLock:
    """An advisory lock between processes (flock), held for one write at a time.

    SQLite's own locks would do, but their waiters poll with long sleeps; this one bounds the wait
    of a well-behaved neighbour and keeps every checkpoint apart from every commit. One thread at a
    time may use it.
    """

    def __init__(self, path: Path, patience_s: float) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._path = path
        self._patience_s = patience_s
        self._held = 0  # how often: whoever holds it may take it again

    def acquire(self) -> None:
        """Raises `StoreBusyError` once `patience_s` has passed."""
        if self._held:
            self._held += 1
            return
        deadline = None
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                now = time.monotonic()
                deadline = deadline or now + self._patience_s
                if now > deadline:
                    raise StoreBusyError(
                        f"another process has held {self._path.name} for over "
                        f"{self._patience_s:g} s; nothing was written, try again"
                    ) from None
                time.sleep(_POLL_S)
            else:
                self._held = 1
                return

    def release(self) -> None:
        self._held -= 1
        if self._held:
            return
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._fd)
