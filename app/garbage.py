"""How whoever keeps books has Python look for garbage."""

import gc

# Collect after so many more objects than went, the middle generation after so many of these, the oldest after
# so many of those: the first two look at some 10,000 and 100,000 objects, milliseconds; the last at all there
# is, and practically never.
THRESHOLDS = (10_000, 10, 1_000)


def tune() -> None:
    """Short collections, and nothing of the start-up is looked at again.

    Messages and rows have no cycles: reference counts free them. With the default thresholds the collector
    walks a growing book again and again, tens of milliseconds each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
