"""Figures of a run that do not depend on the order of records: what two runs, or two stores, compare."""

from collections import Counter
from hashlib import blake2b, md5
from typing import Any

from app.verify.markets import Markets
from app.verify.orders import TERMINAL
from app.verify.records import Message
from schemas.numbers import format_e8

REPORTS = frozenset({"ControlReport", "MassCancelReport", "SelfTradePrevented", "DeadLetter"})
_MASK = 2**64 - 1


def state_number(order_id: str, status: str, version: int, cum_e8: int) -> int:
    """31 bits of an order's state that PostgreSQL computes as well."""
    text = f"{order_id} {status} {version} {format_e8(cum_e8)}"
    return int(md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16) & 0x7FFFFFFF


class OrderSums:
    """Count and sums over orders of one symbol and status."""

    __slots__ = ("count", "cum_e8", "quantity_e8", "states")

    def __init__(self) -> None:
        self.count = self.quantity_e8 = self.cum_e8 = self.states = 0

    def add(self, event: Message, sign: int) -> None:
        """Counts an order in the state of an event, or takes it out again."""
        self.count += sign
        self.quantity_e8 += sign * event["quantity"]
        self.cum_e8 += sign * event["cum_quantity"]
        self.states += sign * state_number(
            event["order_id"], event["status"], event["version"], event["cum_quantity"]
        )


class TradeSums:
    """Count and sums over trades of one symbol."""

    __slots__ = ("count", "notional_e16", "quantity_e8")

    def __init__(self) -> None:
        self.count = self.quantity_e8 = self.notional_e16 = 0


class Totals:
    """Orders by symbol and status, trades by symbol, and hashes that any order of records leaves the same."""

    def __init__(self, markets: Markets) -> None:
        self._markets = markets
        self.orders: dict[tuple[str, str], OrderSums] = {}
        self.trades: dict[str, TradeSums] = {}
        self.records: Counter[str] = Counter()
        # By partition of events: OrderEvents, and the sum of their last_quantity.
        self.events: dict[int, list[int]] = {}
        # By kind and partition: reports and dead letters.
        self.reports: Counter[tuple[str, int]] = Counter()
        self.notional_e8: Counter[str] = Counter()
        self._orders_hash = 0
        self._trades_hash = 0

    def event(self, partition: int, event: Message) -> None:
        """Counts an OrderEvent."""
        sums = self.events.get(partition)
        if sums is None:
            sums = self.events[partition] = [0, 0]
        sums[0] += 1
        sums[1] += event["last_quantity"]

    def order(self, event: Message, entry_id: str) -> None:
        """Counts an order in its last state; `entry_id` is the id under which it was entered."""
        key = (event["symbol"], event["status"])
        sums = self.orders.get(key)
        if sums is None:
            sums = self.orders[key] = OrderSums()
        sums.add(event, 1)
        words = [entry_id, *(event[name] for name in ("account", "symbol", "side", "status"))]
        words += [event["quantity"], event["cum_quantity"]]
        self._orders_hash += _hash(words)

    def trade(self, trade: Message) -> None:
        """Counts a trade."""
        symbol = trade["symbol"]
        sums = self.trades.get(symbol)
        if sums is None:
            sums = self.trades[symbol] = TradeSums()
        sums.count += 1
        sums.quantity_e8 += trade["quantity"]
        sums.notional_e16 += trade["price"] * trade["quantity"]
        notional_e8 = self._markets.notional_e8(symbol, trade["price"], trade["quantity"])
        self.notional_e8[self._markets.currency(symbol)] += notional_e8
        names = ("symbol", "price", "quantity", "maker_client_order_id", "taker_client_order_id")
        self._trades_hash += _hash([trade[name] for name in names])

    def as_dict(self) -> dict[str, Any]:
        """All figures, decimals as strings."""
        by_status: Counter[str] = Counter()
        for (_, status), sums in self.orders.items():
            by_status[status] += sums.count
        quantity_e8 = sum(sums.quantity_e8 for sums in self.trades.values())
        return {
            "records": dict(sorted(self.records.items())),
            "orders": {"all": by_status.total(), **dict(sorted(by_status.items()))},
            "live_orders": sum(n for status, n in by_status.items() if status not in TERMINAL),
            "filled_quantity": format_e8(sum(sums.cum_e8 for sums in self.orders.values())),
            "trades": sum(sums.count for sums in self.trades.values()),
            "traded_quantity": format_e8(quantity_e8),
            "notional": {name: format_e8(sum_e8) for name, sum_e8 in sorted(self.notional_e8.items())},
            "orders_hash": f"{self._orders_hash & _MASK:016x}",
            "trades_hash": f"{self._trades_hash & _MASK:016x}",
        }


def _hash(words: list[Any]) -> int:
    text = "\0".join(map(str, words)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
