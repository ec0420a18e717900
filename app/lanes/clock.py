"""The worker's clock, which fault injection (`oms chaos`) can make step.

`OMS_CLOCK_STEP=SECONDS@AFTER`, read once at the start: AFTER seconds from then on the clock is wrong by
SECONDS, which may be negative, as after a step by NTP or by hand. Unset, it is the machine's.
"""

import os
import time
from collections.abc import Callable

VARIABLE = "OMS_CLOCK_STEP"


def _machine_us() -> int:
    return time.time_ns() // 1000


def stepping(text: str) -> Callable[[], int]:
    """A clock in microseconds for a value of the variable. Raises SystemExit for one that means nothing."""
    if not text:
        return _machine_us
    step, _, after = text.partition("@")
    try:
        step_us, from_s = int(float(step) * 1_000_000), time.monotonic() + float(after or 0)
    except ValueError:
        raise SystemExit(f"{VARIABLE}={text}: must be SECONDS@AFTER, as in -3@5; or unset it") from None
    return lambda: _machine_us() + (step_us if time.monotonic() >= from_s else 0)


now_us = stepping(os.environ.get(VARIABLE, ""))
