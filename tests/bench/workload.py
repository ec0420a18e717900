"""The flow that the whole-path benchmark sends: deterministic, 60 % adds, 30 % cancels, 10 % marketable."""

import random
from collections.abc import Iterator
from typing import Any

from app.chaos.workload import plain_instrument
from schemas.numbers import ONE
from schemas.records import Said

SYMBOLS = tuple(f"BEN{i:02d}" for i in range(16))
ACCOUNTS = tuple(f"BENCH-{i:03d}" for i in range(200))
MID_E8 = 100 * ONE
TICK_E8 = ONE // 100
ENTERED: dict[str, Any] = {"entered_us": 0, "entered_by": "", "door": "kafka"}


def setup(partitions: int) -> Iterator[Said]:
    """Instruments spread over the lanes, and accounts with cash and leave to sell short."""
    for i, symbol in enumerate(SYMBOLS):
        yield plain_instrument(symbol, i % partitions)
    for account in ACCOUNTS:
        base = {"account": account, "control_id": "bench", **ENTERED}
        yield "SetAccount", {**base, "status": "active", "name": "", "cancel_orders": False}
        yield (
            "SetLimits",
            {
                **base,
                "control_id": "bench-limits",
                "max_order_quantity": 0,
                "max_order_notional": 0,
                "allow_short": True,
            },
        )
        yield (
            "MoveCash",
            {**base, "control_id": "bench-cash", "currency": "USD", "amount": 10**9 * ONE, "text": ""},
        )


def requests(count: int, seed: int = 1) -> Iterator[Said]:
    """`count` requests: orders that rest up to 50 ticks from the mid, cancels of them, takers."""
    chance = random.Random(seed)
    live: list[tuple[str, str]] = []
    for number in range(count):
        draw = chance.random()
        if draw < 0.3 and live:
            at = chance.randrange(len(live))
            live[at], live[-1] = live[-1], live[at]
            account, order = live.pop()
            yield (
                "CancelOrder",
                {"account": account, "order": order, "client_order_id": "", "symbol": "", **ENTERED},
            )
            continue
        account, name = chance.choice(ACCOUNTS), f"b{seed}-{number}"
        side = chance.choice(("buy", "sell"))
        away = chance.randrange(1, 51) * TICK_E8
        takes = draw > 0.9
        worse = away if takes == (side == "buy") else -away
        if not takes:
            live.append((account, name))
        yield (
            "NewOrder",
            {
                "account": account,
                "client_order_id": name,
                "symbol": chance.choice(SYMBOLS),
                "side": side,
                "order_type": "limit",
                "quantity": chance.randrange(1, 20) * ONE,
                "limit_price": MID_E8 + worse,
                "time_in_force": "ioc" if takes else "gtc",
                **ENTERED,
            },
        )
