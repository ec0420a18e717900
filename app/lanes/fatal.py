"""Crash-only: whatever is unexpected ends the process at once, with one clear line.

The state that a lane recovers is that of its last committed cycle, so ending is always safe and going
on half-alive never is. A supervisor starts the process again.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from typing import NoReturn

log = logging.getLogger("oms.lanes")

EXIT_LANE = 71
EXIT_STANDSTILL = 72


def die(reason: str, error: BaseException | None = None, code: int = EXIT_LANE) -> NoReturn:
    """Ends the process without flushing, committing or waiting for anything."""
    log.critical("worker ends: %s", reason, exc_info=error)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


class Watchdog(threading.Thread):
    """Ends the process when its event loop stands still for longer than `limit_s` seconds."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._limit_s = limit_s
        self._seen_s = time.monotonic()

    def seen(self) -> None:
        """The event loop is alive: called by it every second."""
        self._seen_s = time.monotonic()

    def run(self) -> None:
        """Looks once a second; a process that was stopped and continued gets one more look."""
        last_s = time.monotonic()
        while True:
            time.sleep(1.0)
            now_s = time.monotonic()
            slept_s, last_s = now_s - last_s, now_s
            if slept_s < 3.0 and now_s - self._seen_s > self._limit_s:
                faulthandler.dump_traceback(all_threads=True)
                die(f"event loop stood still for {now_s - self._seen_s:.0f} s", code=EXIT_STANDSTILL)
