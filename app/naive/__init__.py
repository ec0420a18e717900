"""The naive matching engine: docs/matching.md as code, in sorted lists and without cleverness.

`Engine` takes commands and says what happened. It shares nothing with the engine of the pipeline, so that
each can be held against the other; where both differ, the page decides. Prices and quantities are integers
scaled by 10^8. The words (place, entry, arrival, taker, ...) are those of the page.
"""

from app.naive.engine import Engine

__all__ = ["Engine"]
