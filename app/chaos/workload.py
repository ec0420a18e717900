"""The flow of a run: a seeded sequence of requests, and the instruments and accounts that they need.

Many accounts meet in few books, with large resting orders that small takers eat piece by piece, so that at
any moment some order is partly filled. With `alone`, each instrument has one account: all its requests then
travel one lane in their order, and what comes of them does not depend on which lane is faster.
"""

from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from app.chaos.special import linked, special
from app.lanes import clock
from app.market.seed import Funding, open_account
from schemas.codec import defaults
from schemas.numbers import ONE
from schemas.records import Said

SYMBOLS = tuple(f"CHS{i}" for i in range(8))
ACCOUNTS = tuple(f"C-{i:02d}" for i in range(24))
MID_E8 = 100 * ONE
TICK_E8 = ONE // 100
_FUNDING = Funding("1000000000", "0", "100000", "5000000", allow_short=True)
_BY: dict[str, Any] = {"entered_us": 0, "entered_by": "chaos", "door": "kafka"}
_RECENT = 150


def plain_instrument(symbol: str, lane: int) -> Said:
    """An instrument in a given lane, with ticks of a cent and lots of one, that needs no quotes."""
    message = {
        **defaults("Instrument"),
        "symbol": symbol,
        "name": symbol,
        "asset_class": "equity",
        "currency": "USD",
        "ticks": [{"from_price": 0, "tick_size": TICK_E8}],
        "lot_size": ONE,
        "multiplier": ONE,
        "status": "active",
        "lane": lane,
        "band_bps": 0,
        "max_quote_age_ms": 0,
    }
    return "Instrument", message


def instruments(partitions: int) -> Iterator[Said]:
    """Instruments, spread evenly over the lanes."""
    for i, symbol in enumerate(SYMBOLS):
        yield plain_instrument(symbol, i % partitions)


def accounts() -> Iterator[Said]:
    """Controls that open and fund the accounts."""
    for account in ACCOUNTS:
        yield from open_account(account, _FUNDING, dict.fromkeys(SYMBOLS, 1_000_000 * ONE))


def quotes(chance: Random, at_us: int) -> Iterator[Said]:
    """One quote of each symbol round the middle."""
    for symbol in SYMBOLS:
        bid_e8 = MID_E8 + chance.randrange(-20, 20) * TICK_E8
        size_e8 = chance.randrange(1, 100) * ONE
        yield (
            "Quote",
            {
                "symbol": symbol,
                "bid": bid_e8,
                "bid_size": size_e8,
                "ask": bid_e8 + chance.randrange(1, 5) * TICK_E8,
                "ask_size": size_e8,
                "last": bid_e8,
                "last_size": ONE,
                "venue": "CHAOS",
                "at_us": at_us,
            },
        )


def sessions(chance: Random) -> Iterator[Said]:
    """Controls of one of the last symbols, to be sent with a pause after each: an auction, a narrow band."""
    symbol, end = chance.choice(SYMBOLS[-3:]), f"{chance.getrandbits(40):x}"
    auction = chance.choice(("opening_auction", "volatility_auction", "closing_auction", "halt"))
    away_e8 = chance.choice((0, 13)) * TICK_E8
    low_e8, high_e8 = (MID_E8 - away_e8, MID_E8 + away_e8) if away_e8 else (0, 0)
    base = {"symbol": symbol, **_BY}
    yield "SetSession", {**base, "control_id": f"begin-{end}", "session": auction}
    yield "SetTradingBand", {**base, "control_id": f"band-{end}", "low": low_e8, "high": high_e8}
    if chance.random() < 0.5:
        yield "Uncross", {**base, "control_id": f"uncross-{end}"}
    yield "SetSession", {**base, "control_id": f"end-{end}", "session": "continuous"}


class Flow:
    """Requests without end, the same for a seed and a clock. `name` begins every client_order_id."""

    def __init__(
        self, seed: int, name: str = "k", alone: bool = False, now_us: Callable[[], int] = clock.now_us
    ) -> None:
        self._now_us = now_us
        self._chance = Random(f"{seed} {name}")
        self._name = f"{name}{seed}"
        self._alone = alone
        self._number = 0
        self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        self._replaced: set[str] = set()
        # The rest of a list of linked orders.
        self._linked: list[dict[str, Any]] = []

    def take(self, count: int) -> list[Said]:
        """The next requests."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Said:
        if self._linked:
            return "NewOrder", self.unusual()
        draw = self._chance.random()
        if draw < 0.40 or not self._recent:
            return self._rest(self._chance.randrange(1, 20))
        if draw < 0.50 and not self._alone:
            return "NewOrder", self.unusual()
        if draw < 0.54:
            return self._rest(self._chance.randrange(500, 2000))
        if draw < 0.72:
            return self._cross()
        if draw < 0.86:
            return self._cancel()
        if draw < 0.93:
            return self._replace()
        if draw < 0.96:
            # As after a lost answer.
            return "NewOrder", self._chance.choice(self._recent)
        if draw < 0.99 or self._alone:
            return self._invalid()
        return self._mass_cancel() if draw < 0.992 else self._market()

    def order(self, **changes: Any) -> dict[str, Any]:
        """A new order that rests, with changes."""
        self._number += 1
        symbol = self._chance.choice(SYMBOLS)
        account = ACCOUNTS[SYMBOLS.index(symbol)] if self._alone else self._chance.choice(ACCOUNTS)
        side = self._chance.choice(("buy", "sell"))
        away_e8 = self._chance.randrange(1, 12) * TICK_E8
        return {
            "account": account,
            "client_order_id": f"{self._name}-{self._number}",
            "symbol": symbol,
            "side": side,
            "order_type": "limit",
            "quantity": ONE,
            "limit_price": MID_E8 - away_e8 if side == "buy" else MID_E8 + away_e8,
            "time_in_force": self._chance.choice(("day", "gtc")),
            **_BY,
            **changes,
        }

    def unusual(self) -> dict[str, Any]:
        """A new order beyond plain limits, near the middle; a list's other members come next."""
        if self._linked:
            return self._linked.pop()
        orders = [self.order(quantity=self._chance.randrange(1, 20) * ONE) for _ in range(3)]
        if self._chance.random() < 0.1:
            first, *self._linked = linked(orders, self._chance)
            return first
        order = special(orders[0], MID_E8, self._now_us(), self._chance)
        if order["limit_price"] is not None:
            self._recent.append(order)
        return order

    def _rest(self, lots: int) -> Said:
        order = self.order(quantity=lots * ONE)
        self._recent.append(order)
        return "NewOrder", order

    def _cross(self) -> Said:
        """Takes what is there: its price is beyond every resting one."""
        order = self.order(quantity=self._chance.randrange(1, 40) * ONE)
        away_e8 = 15 * TICK_E8 if order["side"] == "buy" else -15 * TICK_E8
        kind = self._chance.choice(("ioc", "ioc", "fok", "day"))
        return "NewOrder", {**order, "limit_price": MID_E8 + away_e8, "time_in_force": kind}

    def _market(self) -> Said:
        order = self.order(quantity=self._chance.randrange(1, 10) * ONE)
        return "NewOrder", {**order, "order_type": "market", "limit_price": None, "time_in_force": "ioc"}

    def _invalid(self) -> Said:
        flaw = self._chance.choice(
            ({"account": "NOBODY"}, {"symbol": "NOSUCH"}, {"quantity": 0}, {"quantity": ONE // 2})
        )
        return "NewOrder", self.order(**flaw)

    def _cancel(self) -> Said:
        return "CancelOrder", self._change()

    def _replace(self) -> Said:
        order = self._chance.choice(self._recent)
        if self._alone and order["client_order_id"] in self._replaced:
            # A second one is refused as long as the first is under way: that depends on time.
            return self._cross()
        self._replaced.add(order["client_order_id"])
        change = self._change(order)
        if self._chance.random() < 0.5:
            step_e8 = self._chance.randrange(-3, 4) * TICK_E8
            return "ReplaceOrder", {**change, "quantity": None, "limit_price": order["limit_price"] + step_e8}
        # Upwards only where totals are compared: how much is filled when less is asked for is luck.
        more_e8 = self._chance.randrange(1 if self._alone else -3, 5) * ONE
        quantity_e8 = max(ONE, order["quantity"] + more_e8)
        return "ReplaceOrder", {**change, "quantity": quantity_e8, "limit_price": None}

    def _mass_cancel(self) -> Said:
        return (
            "MassCancel",
            {
                "account": self._chance.choice(ACCOUNTS),
                "client_order_id": self._id(),
                "symbol": self._chance.choice(("", *SYMBOLS)),
                "side": "unknown",
                **_BY,
            },
        )

    def _change(self, order: dict[str, Any] | None = None) -> dict[str, Any]:
        order = order or self._chance.choice(self._recent)
        return {
            "account": order["account"],
            "order": order["client_order_id"],
            "client_order_id": "",
            "symbol": order["symbol"],
            **_BY,
        }

    def _id(self) -> str:
        self._number += 1
        return f"{self._name}-{self._number}"
