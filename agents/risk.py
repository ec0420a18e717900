"""Hears quotes, cleared requests and symbol controls; owns at which price and size one may trade.

Hears `quotes`, `cleared`, `control`; says `events`, `executions`, `reference-prices`; what it has
nothing against goes on to matching within the cycle.
"""

from collections.abc import AsyncIterator

from agents.batch import Batch
from tables.risk import Risk


async def risk(batches: AsyncIterator[Batch[Risk]]) -> None:
    """Holds prices and sizes against the latest quotes."""
    async for batch in batches:
        apply, at_us, ahead = batch.table.apply, batch.at_us, batch.table.ahead
        for record in batch.records:
            refusal = apply(record, at_us)
            if refusal is None:
                if ahead:
                    batch.passed += ahead
                    ahead.clear()
                batch.pass_on(record)
            else:
                batch.say(refusal)
        batch.say(batch.table.end_cycle(at_us))
