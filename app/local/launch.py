"""Becomes another program that ends when its parent does: `python -IS launch.py [options] -- argv`.

The supervisor starts everything through this, so that its own kill -9 leaves nothing behind. It is a
program and not a function run after fork, because a fork of a process with threads may hang.
Known limitation: only Linux tells a process that its parent died; elsewhere the next start cleans up.
"""

import argparse
import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def main() -> None:
    """Drops to the given user, ties its life to the parent's, and becomes the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--reach-any-path", action="store_true")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    if options.uid is not None:
        become(options.uid, options.gid, options.reach_any_path)
    # After the change of user, which clears it.
    die_with(options.parent, options.death_signal)
    os.execv(options.program[0], options.program)


def become(uid: int, gid: int, reach_any_path: bool) -> None:
    """Gives up root. `reach_any_path` keeps the one right that a path below another's private home needs."""
    if reach_any_path:
        _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if reach_any_path:
        _keep_capability(CAP_DAC_OVERRIDE)


def die_with(parent: int, signal_number: int) -> None:
    """Asks the kernel for `signal_number` when the parent ends; ends at once if it already has."""
    if sys.platform != "linux":
        return
    _prctl(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        sys.exit("the supervisor ended before this program started")


def _keep_capability(number: int) -> None:
    """Makes one capability the whole set, and inherited by the program."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Two words each of effective, permitted, inheritable; interleaved as (e, p, i), (e, p, i).
    bits = 1 << number
    data = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, data) != 0:
        sys.exit(
            "this root may not pass on CAP_DAC_OVERRIDE: "
            "move the project and OMS_DATA_DIR to a path that others may enter"
        )
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def _prctl(option: int, *values: int) -> None:
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if ctypes.CDLL(None, use_errno=True).prctl(option, *arguments) != 0:
        error = ctypes.get_errno()
        sys.exit(f"prctl {option}: {os.strerror(error)}")


if __name__ == "__main__":
    main()
