"""The life of one order from the log, which `oms up` shows at its end: an order that became a trade."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from app.reader import TopicReader
from app.settings import Settings
from schemas.messages import OrderEvent
from schemas.numbers import format_e8

_LIMIT_S = 20.0
_ORDERS_MAX = 10_000


async def life_of_a_filled_order(settings: Settings) -> list[str]:
    """Lines on the next order that is entered and filled; none when there is none in time."""
    try:
        async with asyncio.timeout(_LIMIT_S), TopicReader(settings, ["events"], "end") as reader:
            return [_line(event) for event in await _next_filled(_events(reader))]
    except TimeoutError:
        return []


async def _events(reader: TopicReader) -> AsyncIterator[OrderEvent]:
    async for batch in reader.batches():
        for read in batch:
            if read.kind == "OrderEvent":
                yield cast(OrderEvent, read.message)


async def _next_filled(events: AsyncIterator[OrderEvent]) -> list[OrderEvent]:
    """Every event of the first order that is seen from its first event to its fill."""
    lives: dict[str, list[OrderEvent]] = {}
    async for event in events:
        if event["version"] == 1 and len(lives) < _ORDERS_MAX:
            lives[event["order_id"]] = []
        life = lives.get(event["order_id"])
        if life is None:
            continue
        life.append(event)
        if event["status"] == "filled":
            return life
    return []


def _line(event: OrderEvent) -> str:
    """One event as a sentence."""
    if event["event"] == "trade":
        what = f"{format_e8(event['last_quantity'])} at {format_e8(event['last_price'])}, {event['trade_id']}"
        return f"trade     {what}: {event['status']}"
    price = format_e8(event["limit_price"]) if event["limit_price"] else "market"
    order = f"{event['account']} {event['side']} {format_e8(event['quantity'])} {event['symbol']} at {price}"
    return f"{event['event']:<9} order {event['order_id']}: {order}"
