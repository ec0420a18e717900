"""One market: every live order in its place, what is remembered beside, and the steps that change both."""

from bisect import insort
from collections import deque
from typing import Any

from app.naive.lists import OrderList
from app.naive.order import CONTINUOUS, OPPOSITE, Happening, Order, order_event, party
from app.naive.rules import Rules, rounded

# Accounts' ids of live orders in all markets: (account, client_order_id).
Ids = dict[tuple[str, str], Order]


class Market:
    """The state of one symbol; `happenings` is what was said since it was last emptied."""

    def __init__(self, symbol: str, rules: Rules, ids: Ids, on_tick: bool) -> None:
        self.symbol, self.rules, self.ids, self.on_tick = symbol, rules, ids, on_tick
        self.happenings: list[Happening] = []
        # Both sides by priority, all other places by entry.
        self.book: dict[str, list[Order]] = {"buy": [], "sell": []}
        self.places: dict[str, list[Order]] = {"triggers": [], "contingent": [], "parked": [], "held": []}
        # Live orders that expire by time, and pegged ones by entry, wherever they are.
        self.timed: list[Order] = []
        self.pegged: list[Order] = []
        self.lists: dict[tuple[str, str], OrderList] = {}
        # What lists have caused and is not done yet: (what, list or order, the order that caused it).
        self.queue: deque[tuple[str, Any, Order]] = deque()
        self.session, self.interrupted = CONTINUOUS, CONTINUOUS
        self.entries = self.arrivals = self.trades = 0
        self.last: int | None = None
        # The last uncross price, else the price of the first trade.
        self.static: int | None = None
        self.quote: dict[str, int | None] = {"buy": None, "sell": None}
        self.low = self.high = 0
        self.limit_since_us: int | None = None
        self.pause_until_us: int | None = None
        # Prices that stops have not looked at, as seen by buys and by sells; stops that only know `last`.
        self.looks: list[dict[str, int | None]] = []
        self.fresh: list[Order] = []
        self.indicated: tuple[int | None, int, int] = (None, 0, 0)
        self.traded = {"buy": 0, "sell": 0}

    # Where orders are.

    def best(self, side: str) -> Order | None:
        """The first of a side by priority."""
        return self.book[side][0] if self.book[side] else None

    def live(self) -> list[Order]:
        """Every live order in listing order."""
        waiting = [order for place in self.places.values() for order in place]
        return [*self.book["buy"], *self.book["sell"], *sorted(waiting, key=lambda order: order.entry)]

    def remove(self, order: Order) -> None:
        """Takes an order out of its place; it is in none for the moment."""
        if order.place == "book":
            self.book[order.side].remove(order)
        elif order.place:
            self.places[order.place].remove(order)
        order.place = ""

    def put(self, order: Order, place: str) -> None:
        """Into a place other than the book."""
        order.place = place
        insort(self.places[place], order, key=lambda other: other.entry)

    def rest(self, order: Order) -> None:
        """Into the book, behind all others of its price."""
        if order.order_type != "pegged":
            order.price = order.limit_price if order.limited else None
        order.show()
        self.queue_up(order)

    def queue_up(self, order: Order) -> None:
        """Into the book with a new arrival, as it is."""
        self.arrivals += 1
        order.arrival = self.arrivals
        order.place = "book"
        insort(self.book[order.side], order, key=lambda other: other.rank)

    # How orders begin and end.

    def accept(self, order: Order) -> None:
        """From now on the order is live."""
        self.entries += 1
        order.entry = self.entries
        self.ids[order.account, order.client_order_id] = order
        self.time(order)
        if order.order_type == "pegged":
            self.pegged.append(order)
        if order.link_type:
            key = (order.account, order.link_id)
            self.lists.setdefault(key, OrderList(order.link_type, parent=order.name)).members.append(order)
        self.say("accepted", order)

    def time(self, order: Order) -> None:
        """Remembers whether the order expires by time."""
        if order in self.timed:
            self.timed.remove(order)
        if order.expire_at_us:
            self.timed.append(order)

    def end(self, order: Order, status: str) -> None:
        """The order is no longer live; nothing is said of it here."""
        self.remove(order)
        order.ended = status
        for name in order.ids:
            del self.ids[order.account, name]
        for remembered in (self.timed, self.pegged):
            if order in remembered:
                remembered.remove(order)

    def cancel(self, order: Order, reason: str) -> None:
        """What is left of the order is canceled."""
        self.end(order, "canceled")
        self.say("canceled", order, reason)
        self.cause(order)

    def expire(self, order: Order, reason: str) -> None:
        """The order's time in force is over."""
        self.end(order, "expired")
        self.say("expired", order, reason)
        self.cause(order)

    def say(self, event: str, order: Order, reason: str = "NONE") -> None:
        """Says what happened to an order."""
        self.happenings.append(order_event(event, order, reason))

    def list_of(self, order: Order) -> OrderList | None:
        """The list that an order names, if there is one yet."""
        return self.lists.get((order.account, order.link_id)) if order.link_type else None

    def exclusive(self, order: Order) -> OrderList | None:
        """The list whose other members a fill of the order ends, if there is one."""
        linked = self.list_of(order)
        return linked if linked and linked.excludes() else None

    def excludes(self, one: Order, other: Order) -> bool:
        """Whether a fill of one of two orders ends the other."""
        return self.exclusive(one) is not None and self.exclusive(one) is self.exclusive(other)

    def too_large(self, order: Order, quantity: int) -> bool:
        """Whether an order may not have a quantity, for its bracket's parent filled less."""
        linked = self.list_of(order)
        most = linked.most(order) if linked else None
        return most is not None and quantity > most

    def fit(self, order: Order) -> None:
        """Makes a bracket's child no larger than what its parent filled."""
        linked = self.list_of(order)
        if linked and self.too_large(order, order.quantity):
            order.quantity = linked.parent_quantity
            order.min_quantity = min(order.min_quantity, order.quantity)
            order.display_quantity = min(order.display_quantity, order.quantity)
            self.say("replaced", order, "MATCHING_LINKED")

    def cause(self, order: Order) -> None:
        """Queues what the order's list makes of its fill or its end."""
        linked = self.list_of(order)
        what = linked.caused_by(order) if linked else ""
        if what:
            self.queue.append((what, linked, order))

    # Trades.

    def fill(self, maker: Order, taker: Order, price: int, quantity: int, aggressor: str) -> None:
        """A trade: both orders change, and it is said."""
        for order in (maker, taker):
            order.cum += quantity
            order.shown -= min(quantity, order.shown)
            self.traded[order.side] += quantity
            if order.cum == order.quantity:
                self.end(order, "filled")
        self.trades += 1
        self.last = price
        self.static = price if self.static is None else self.static
        self.looks.append({"buy": price, "sell": price})
        self.happenings.append(
            {
                "event": "trade",
                "trade_id": f"{self.symbol}-{self.trades}",
                "symbol": self.symbol,
                "price": price,
                "quantity": quantity,
                "aggressor_side": aggressor,
                "maker": party(maker),
                "taker": party(taker),
            }
        )
        for order in (maker, taker):
            linked = self.list_of(order)
            for other in linked.filled(order) if linked else ():
                self.cancel(other, "MATCHING_LINKED")
            self.cause(order)

    def say_prevented(self, maker: Order, taker: Order, price: int, quantity: int) -> None:
        """Says that two orders of one owner did not trade."""
        happening = {"event": "self_trade_prevented", "symbol": self.symbol, "price": price}
        both = {"maker": party(maker), "taker": party(taker)}
        self.happenings.append({**happening, "quantity": quantity, **both})

    def refresh(self, order: Order) -> None:
        """The next part of an iceberg whose shown part is gone goes to the back."""
        if order.leaves and not order.shown and not order.hidden:
            self.remove(order)
            order.show()
            self.queue_up(order)

    # Prices.

    def in_band(self, price: int) -> bool:
        """Whether a trade at the price is allowed."""
        return price >= self.low and (not self.high or price <= self.high)

    def refuses(self, order: Order) -> bool:
        """Whether the order's limit, or a peg's price, is beyond the band."""
        price = order.limit_price if order.limited else order.price
        if price is None:
            return False
        return price < self.low if order.side == "sell" else 0 < self.high < price

    def limit_for(self, order: Order, price: int) -> int:
        """The limit that a market-to-limit order gets: a price, its protection and the band allowing."""
        bounds = (order.limit_price, self.high if order.side == "buy" else self.low)
        wanted = [price, *(bound for bound in bounds if bound)]
        limit = min(wanted) if order.side == "buy" else max(wanted)
        return rounded(self.rules, limit, order.side)

    def convert(self, order: Order, price: int) -> None:
        """Makes a market-to-limit order a limit order."""
        order.limit_price = self.limit_for(order, price)
        order.converted = True

    def reference(self, side: str) -> int | None:
        """Best bid ("buy") or ask for pegs: of the quote and of displayed orders that are not pegged."""
        fixed = (
            order.price
            for order in self.book[side]
            if order.price is not None and not order.hidden and order.order_type != "pegged"
        )
        prices = [price for price in (next(fixed, None), self.quote[side]) if price is not None]
        return (max(prices) if side == "buy" else min(prices)) if prices else None

    def middle(self) -> int | None:
        """Half way between the reference prices; none where they touch or cross."""
        bid, ask = self.reference("buy"), self.reference("sell")
        return (bid + ask) // 2 if bid is not None and ask is not None and bid < ask else None

    def prevents(self, taker: Order, maker: Order) -> bool:
        """Whether self-trade prevention keeps these two apart."""
        same = taker.account == maker.account or (taker.stp_group and taker.stp_group == maker.stp_group)
        return bool(same) and self.prevention(taker) != "none"

    def prevention(self, taker: Order) -> str:
        """The taker's instruction, or the instrument's."""
        return taker.stp or self.rules.stp

    def collides(self, price: int, static: int | None, last: int | None) -> bool:
        """Whether a price is outside the collars around these references."""
        collars = ((static, self.rules.static_collar_bps), (last, self.rules.dynamic_collar_bps))
        return any(
            reference is not None and bps and abs(price - reference) * 10_000 > reference * bps
            for reference, bps in collars
        )

    def opposite(self, order: Order) -> list[Order]:
        """The side of the book that an order would take, by priority."""
        return self.book[OPPOSITE[order.side]]
