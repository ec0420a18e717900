"""A file of commands by a seed: every order type, instruction and session, in a market that stays alive.

Rule: the same count and seed give the same bytes. Orders are bounded by cancels, replaces, mass cancels and
ends of day, so that a file of millions leaves a book of hundreds. Prices follow a slow random walk.
"""

from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from orjson import dumps

from app.match.lines import Command
from schemas.numbers import format_e8

SYMBOLS = ("ALFA", "BRAVO", "CHARLIE", "DELTA")
_ACCOUNTS = tuple(f"T-{number}" for number in range(1, 9))
_TICK_E8 = 1_000_000
_START_TICKS = 10_000
_RECENT = 200
# A day of a market, in commands; it begins with an opening auction and ends with a closing one.
_DAY = 20_000
_CALENDAR = {
    0: "pre_open",
    100: "opening_auction",
    300: "continuous",
    9_000: "halt",
    9_020: "continuous",
    12_000: "volatility_auction",
    12_100: "continuous",
    19_600: "closing_auction",
    19_800: "closed",
    19_810: "expire_day",
}
# After it even orders that are good till canceled are canceled: no day begins with those of many before.
_CLEARED = 19_820
_MIX = (
    ("limit", 0.46),
    ("cancel", 0.25),
    ("replace", 0.10),
    ("market", 0.05),
    ("at_once", 0.05),
    ("stop", 0.03),
    ("special", 0.05),
    ("quote", 0.0195),
    ("mass_cancel", 0.0005),
)
_SPECIALS: tuple[dict[str, Any], ...] = (
    {"hidden": True},
    {"all_or_none": True},
    {"post_only": "reject"},
    {"post_only": "reprice"},
    {"stp": "cancel_newest"},
    {"stp": "cancel_oldest"},
    {"stp": "decrement", "stp_group": "desk"},
    {"time_in_force": "at_close"},
    {"time_in_force": "auction"},
    {"time_in_force": "crossing"},
    {"reduce_only": True},
)
_STOPS = ("stop", "stop_limit", "trailing_stop", "market_if_touched")


def commands(count: int, seed: int) -> Iterator[bytes]:
    """So many lines of JSON."""
    market = _Flow(Random(seed))
    for number in range(count):
        yield dumps(market.line(number)) + b"\n"


class _Flow:
    """What the accounts of some markets do."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._ticks = dict.fromkeys(SYMBOLS, _START_TICKS)
        self._recent: dict[str, deque[Command]] = {symbol: deque(maxlen=_RECENT) for symbol in SYMBOLS}
        self._number = 0
        self._names, weights = zip(*_MIX, strict=True)
        self._weights = [sum(weights[: end + 1]) for end in range(len(weights))]
        self._makers: dict[str, Callable[[str], Command]] = {
            "limit": self._limit,
            "cancel": self._cancel,
            "replace": self._replace,
            "market": self._market,
            "at_once": self._at_once,
            "stop": self._stop,
            "special": self._special,
            "quote": self._quote,
            "mass_cancel": self._mass_cancel,
        }

    def line(self, number: int) -> Command:
        """The command of a line."""
        symbol = SYMBOLS[number % len(SYMBOLS)]
        turn = number // len(SYMBOLS) % _DAY
        if turn in _CALENDAR:
            return {"type": "control", "symbol": symbol, "action": _CALENDAR[turn]}
        if turn == _CLEARED:
            return {"type": "mass_cancel", "symbol": symbol}
        if self._random.random() < 0.1:
            self._ticks[symbol] = max(1_000, self._ticks[symbol] + self._random.choice((-1, 1)))
        name = self._random.choices(self._names, cum_weights=self._weights)[0]
        return self._makers[name](symbol)

    def _order(self, symbol: str, order_type: str, **fields: Any) -> Command:
        self._number += 1
        order = {
            "type": "new_order",
            "symbol": symbol,
            "account": self._random.choice(_ACCOUNTS),
            "client_order_id": f"o{self._number}",
            "side": self._random.choice(("buy", "sell")),
            "order_type": order_type,
            "quantity": str(self._random.randint(1, 20) * 5),
            **fields,
        }
        self._recent[symbol].append(order)
        return order

    def _price(self, symbol: str, ticks: int) -> str:
        return format_e8((self._ticks[symbol] + ticks) * _TICK_E8)

    def _near(self, symbol: str, side: str, apart: float) -> str:
        """A price on the passive side of the present one, on average."""
        ticks = round(self._random.gauss(apart, 6))
        return self._price(symbol, -ticks if side == "buy" else ticks)

    def _limit(self, symbol: str) -> Command:
        order = self._order(symbol, "limit")
        order["limit_price"] = self._near(symbol, order["side"], 6)
        chance = self._random.random()
        if chance < 0.1:
            order["display_quantity"] = "5"
        elif chance < 0.3:
            order["time_in_force"] = "gtc"
        return order

    def _at_once(self, symbol: str) -> Command:
        order = self._order(symbol, "limit", time_in_force=self._random.choice(("ioc", "fok")))
        order["limit_price"] = self._near(symbol, order["side"], -4)
        return order

    def _market(self, symbol: str) -> Command:
        return self._order(symbol, self._random.choice(("market", "market", "market_to_limit")))

    def _stop(self, symbol: str) -> Command:
        order = self._order(symbol, self._random.choice(_STOPS))
        rising = (order["side"] == "buy") != (order["order_type"] == "market_if_touched")
        away = self._random.randint(1, 30)
        if order["order_type"] == "trailing_stop":
            order["trail_amount"] = format_e8(away * _TICK_E8)
        else:
            order["stop_price"] = self._price(symbol, away if rising else -away)
        if order["order_type"] == "stop_limit":
            order["limit_price"] = self._price(symbol, away + 5 if rising else -away - 5)
        return order

    def _special(self, symbol: str) -> Command:
        chance = self._random.random()
        if chance < 0.2:
            offset = format_e8(self._random.randint(-5, 0) * _TICK_E8)
            peg = self._order(symbol, "pegged", peg=self._random.choice(("bid", "mid")), peg_offset=offset)
            return {**peg, "side": "buy"}
        order = self._limit(symbol)
        order.pop("display_quantity", None)
        order.pop("time_in_force", None)
        if chance < 0.3:
            order["min_quantity"] = order["quantity"]
        elif chance < 0.5:
            link = {"type": self._random.choice(("oco", "oto", "bracket")), "id": f"l{self._number // 50}"}
            order["link"] = link
        else:
            order |= self._random.choice(_SPECIALS)
        return order

    def _cancel(self, symbol: str) -> Command:
        return self._meaning("cancel_order", symbol)

    def _replace(self, symbol: str) -> Command:
        replace = self._meaning("replace_order", symbol)
        if self._random.random() < 0.5:
            replace["quantity"] = str(self._random.randint(1, 20) * 5)
        else:
            replace["limit_price"] = self._price(symbol, self._random.randint(-12, 12))
        return replace

    def _meaning(self, kind: str, symbol: str) -> Command:
        """A command that means an order of late, most of which have ended since."""
        recent = self._recent[symbol]
        if not recent:
            return self._limit(symbol)
        order = self._random.choice(recent)
        return {
            "type": kind,
            "symbol": symbol,
            "account": order["account"],
            "order": order["client_order_id"],
        }

    def _quote(self, symbol: str) -> Command:
        return {
            "type": "quote",
            "symbol": symbol,
            "bid": self._price(symbol, -2),
            "ask": self._price(symbol, 2),
        }

    def _mass_cancel(self, symbol: str) -> Command:
        return {"type": "mass_cancel", "symbol": symbol, "account": self._random.choice(_ACCOUNTS)}
