"""Places where a worker can be told to die, for fault injection (`oms chaos`); otherwise nothing is done.

`OMS_CRASH_AT=POINT[:COUNT[:stop]]`, read once at the start: at the COUNTth time (1) that the worker comes to
POINT it kills itself as kill -9 does, or with `stop` it stops as SIGSTOP does, until someone continues it.
"""

import os
import signal
from collections.abc import Callable
from typing import Literal, get_args

Point = Literal[
    # Of a transaction: begun and empty; outputs handed over, offsets not confirmed; all confirmed; committed.
    "before-outputs",
    "between-outputs-and-offsets",
    "before-commit",
    "after-commit",
    # Of an assignment: lanes fenced and read, not open yet; lanes closed, because they were revoked.
    "recovery",
    "rebalance",
]
POINTS: tuple[str, ...] = get_args(Point)
VARIABLE = "OMS_CRASH_AT"


def _nothing(_: Point) -> None:
    return


def armed(text: str) -> Callable[[Point], None]:
    """What to do at every point, for a value of the variable. Raises SystemExit when it means nothing."""
    if not text:
        return _nothing
    words = text.split(":")
    point, count, how = (words + ["", "1", "kill"][len(words) :])[:3]
    if len(words) > 3 or point not in POINTS or not count.isdigit() or how not in ("kill", "stop"):
        raise SystemExit(
            f"{VARIABLE}={text}: must be POINT[:COUNT[:stop]], POINT one of {', '.join(POINTS)}; or unset it"
        )
    left = int(count)

    def count_down(here: Point) -> None:
        nonlocal left
        if here == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGSTOP if how == "stop" else signal.SIGKILL)

    return count_down


reached = armed(os.environ.get(VARIABLE, ""))
