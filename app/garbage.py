"""How whoever keeps books has Python look for garbage: often, at what is new, and never at all there is."""

import ctypes
import gc
from contextlib import suppress

# By itself Python collects after so many more objects than went (recovery does without, a cycle stays below).
# Of all that there is: never.
THRESHOLDS = (200_000, 0, 2**31 - 1)


def tune() -> None:
    """Nothing of the start-up is looked at again.

    Messages and rows have no cycles: reference counts free them. With the default thresholds the collector
    walks a growing book again and again, tens of milliseconds each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def collect() -> None:
    """Looks at what was made since the last time, and then never again; to be called between pieces of work.

    Python counts what was made less what went. In a book where orders come in place of others that is
    little, while the new ones pile up for one long pause.
    """
    gc.collect(1)


def give_back() -> None:
    """Gives the system what a large piece of work had in hand; only glibc keeps that otherwise."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
