"""Hears what risk passes on; owns one price-time book per symbol.

Hears `cleared` and symbol controls behind risk; says `events`, `trades`, `executions`, `books`.
"""

from collections.abc import AsyncIterator

from agents.batch import Batch
from tables.matching import Matching


async def matching(batches: AsyncIterator[Batch[Matching]]) -> None:
    """Turns orders into trades."""
    async for batch in batches:
        apply, at_us = batch.table.apply, batch.at_us
        batch.say(batch.table.begin_cycle(at_us))
        for record in batch.records:
            batch.say(apply(record, at_us))
        batch.say(batch.table.end_cycle(at_us))
