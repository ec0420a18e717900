"""Hears requests, executions and account controls; owns who may trade and with what.

Hears `orders`, `executions`, `control`; says `cleared`, `events`, `positions`.
"""

from collections.abc import AsyncIterator

from agents.batch import Batch
from tables.accounts import Accounts


async def accounts(batches: AsyncIterator[Batch[Accounts]]) -> None:
    """Reserves before matching, settles or releases after."""
    async for batch in batches:
        apply, at_us = batch.table.apply, batch.at_us
        for record in batch.records:
            batch.say(apply(record, at_us))
        batch.say(batch.table.end_cycle(at_us))
