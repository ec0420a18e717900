"""What the log begins with: instruments, accounts with money, quotes, all of it committed.

It is made once per process by lanes themselves, without faults, and copied for each history.
"""

from collections.abc import Iterator
from functools import cache
from random import Random

from schemas.records import Record
from tests.simulation.broker import Broker
from tests.simulation.plan import Plan, sent
from tests.simulation.setting import ACCOUNTS, CODEC, SETTINGS, SYMBOLS, Ground, messages
from tests.simulation.world import World
from tests.tables.words import NOON_US, move_cash, move_holding, quote, set_account, set_limits


def _opening() -> Iterator[Record]:
    for symbol in SYMBOLS:
        yield quote(symbol, "99.99", "100.01")
    for account in ACCOUNTS:
        yield set_account(account, control_id=f"open {account}")
        yield set_limits(account, "1000", "200000", control_id=f"limits of {account}")
        yield move_cash(account, "1000000", control_id=f"cash of {account}")
        for symbol in SYMBOLS:
            yield move_holding(account, "1000", symbol, control_id=f"{symbol} of {account}")


@cache
def ground() -> Ground:
    """The ground; edges must be replaced."""
    bare = Broker(lambda *_, **__: None, lambda: NOON_US, Random(0))
    for message in messages():
        value = CODEC.encode("Instrument", message)
        bare.append((SETTINGS.topic("instruments"), message["lane"]), message["symbol"].encode(), value)
    plan = Plan(seed=0, workers=1, requests=tuple(sent(0.5, record) for record in _opening()))
    world = World(plan, Ground(bare)).play()
    assert not world.wrong, world.wrong
    return Ground(world.broker, world.now_us())
