"""Small disks of the run's own, which can be filled: tmpfs in a mount namespace that ends with the run.

Needs the right to mount (root, as in a container). Without it, the faults that fill a disk are left out, with
a word. A run that is killed leaves no mount behind: the namespace ends with its last process.
"""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_BALLAST = "ballast"
_CHUNK = 1 << 20


def unavailable() -> str:
    """Makes the mount namespace of this process; "" or why there can be none. Before any thread starts."""
    if sys.platform != "linux":
        return "only Linux has private mounts"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        return f"no private mounts: {os.strerror(ctypes.get_errno())}"
    # Else what is mounted here would be seen by all.
    return _run("mount", "--make-rprivate", "/")


class Disk:
    """A tmpfs at `path`, to be mounted before anything is in it."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self._megabytes = megabytes

    def mount(self) -> str:
        """Mounts it; "" or why it could not be."""
        self.path.mkdir(parents=True, exist_ok=True)
        return _run("mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "tmpfs", str(self.path))

    def fill(self) -> int:
        """Leaves not a byte free; bytes written."""
        written, chunk = 0, b"\0" * _CHUNK
        with (self.path / _BALLAST).open("ab", buffering=0) as file:
            while chunk:
                try:
                    written += file.write(chunk)
                except OSError:
                    chunk = chunk[: len(chunk) // 2]
        return written

    def empty(self) -> None:
        """Frees what `fill` took."""
        (self.path / _BALLAST).unlink(missing_ok=True)


def _run(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{argv[0]}: {error.strerror}"
    return "" if done.returncode == 0 else done.stderr.strip() or f"{argv[0]} failed"
