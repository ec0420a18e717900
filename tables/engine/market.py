"""One symbol's market: what it knows, the path of plain orders, and the steps of every command.

`unusual` is the one question that a plain order is asked: whether there is anything in the market beyond
orders in the book and stops that do not trail, in continuous trading. Without that a command is done here;
with it, or for an order that carries instructions, it goes through the steps of docs/matching.md one by one.

A command returns what happened, in order. Times are microseconds and never go back.
"""

from heapq import heappop, heappush
from typing import Final

from tables.engine import auction, entering, lists, pegs, replacing, sessions, triggers
from tables.engine.book import BookSide, Level
from tables.engine.checks import Asked
from tables.engine.lists import Action, OrderList
from tables.engine.orders import (
    BOOK,
    CALLS,
    CONTINGENT,
    HELD,
    LIMIT,
    NO_LIMIT,
    NOWHERE,
    PARKED,
    PEGGED,
    TRIGGERS,
    Happening,
    Order,
    order_happening,
)
from tables.instrument_rules import InstrumentRules

# No time is later; the last that compiled code compares as a word.
NEVER_US: Final = (1 << 62) - 1


class Market:
    """One symbol's market. `live` has every live order of all markets by its order_id.

    `low_e8`, `high_e8`: the band, 0 for none; `last_e8`, `bid_e8`, `ask_e8`, `static_e8` (reference of the
    static collar): 0 for none. `limit_since_us` is -1 outside a limit state and its pause. `interrupted` is
    the session before a halt. `wake_us` is when the next order may expire, or a limit state or pause be over.
    """

    __slots__ = (
        "actions",
        "arrivals",
        "ask_e8",
        "asks",
        "at_us",
        "bid_e8",
        "bids",
        "changed",
        "collared",
        "contingent",
        "expiries",
        "fall_at_e8",
        "fresh",
        "gtd",
        "held",
        "high_e8",
        "indicative",
        "interrupted",
        "joined",
        "last_e8",
        "last_us",
        "limit_since_us",
        "lists",
        "lists_changed",
        "live",
        "low_e8",
        "parked",
        "pegged_by",
        "pegs",
        "prices",
        "rise_at_e8",
        "rules",
        "said",
        "session",
        "static_e8",
        "symbol",
        "trades",
        "trailing",
        "triggered",
        "triggers",
        "unfollowed",
        "unusual",
        "wake_us",
    )

    def __init__(
        self, symbol: str, rules: InstrumentRules, live: dict[str, Order], watched: bool = False
    ) -> None:
        self.symbol: str = symbol
        self.rules: InstrumentRules = rules
        self.live: dict[str, Order] = live
        self.bids: BookSide = BookSide("buy", 1, watched)
        self.asks: BookSide = BookSide("sell", -1, watched)
        self.session: str = "continuous"
        self.interrupted: str = ""
        self.arrivals: int = 0
        self.trades: int = 0
        self.last_e8: int = 0
        self.last_us: int = 0
        self.static_e8: int = 0
        self.bid_e8: int = 0
        self.ask_e8: int = 0
        self.low_e8: int = 0
        self.high_e8: int = 0
        self.limit_since_us: int = -1
        self.indicative: tuple[int, int, int] = (0, 0, 0)
        # Orders by entry: those not in the book by their place, and those of which something must be known.
        self.triggers: dict[int, Order] = {}
        self.contingent: dict[int, Order] = {}
        self.parked: dict[int, Order] = {}
        self.held: dict[int, Order] = {}
        self.pegs: dict[int, Order] = {}
        # Bid, ask and band by which all pegs stand.
        self.pegged_by: tuple[int, int, int, int] = pegs.NOTHING
        self.gtd: dict[int, Order] = {}
        self.expiries: list[tuple[int, int]] = []
        self.trailing: dict[int, Order] = {}
        self.lists: dict[tuple[str, str], OrderList] = {}
        # Those with a live member.
        self.joined: dict[tuple[str, str], OrderList] = {}
        self.lists_changed: dict[tuple[str, str], OrderList] = {}
        self.rise_at_e8: int = NO_LIMIT
        self.fall_at_e8: int = 0
        # Of the command being done. `changed` has orders whose state changed without a word.
        self.said: list[Happening] = []
        self.at_us: int = 0
        self.actions: list[Action] = []
        self.prices: list[tuple[int, int]] = []
        self.fresh: list[Order] = []
        self.collared: bool = False
        self.triggered: list[Order] = []
        self.changed: list[Order] = []
        # Rules came of which nothing has followed yet.
        self.unfollowed: bool = False
        self.unusual: bool = False
        self.wake_us: int = NEVER_US
        self.settle()

    def __del__(self) -> None:
        """Parts the orders of lists when the market ends, see `Order`."""
        for found in self.lists.values():
            found.members.clear()

    # Commands.

    def new(self, order: Order, at_us: int, reason: str = "") -> list[Happening]:
        """Enters an order; `reason`: why its own values are refused, if they are."""
        if (
            self.unusual
            or order.extra is not None
            or reason
            or at_us >= self.wake_us
            # Most orders rest, so it is among the live ones at once: a second look would cost more.
            or self.live.setdefault(order.order_id, order) is not order
        ):
            return entering.new(self, order, at_us, reason)
        entry = self.arrivals + 1
        self.arrivals = order.entry = order.arrival = entry
        order.status = "new"
        order.version = 1
        quantity: object = order.quantity_e8
        # As `order_happening` says it, of an order of which most is known.
        said: list[Happening] = [
            ("accepted", order, "new", 1, quantity, order.limit_price_e8, 0, quantity, 0, "NONE", "")
        ]
        force = order.time_in_force
        if force == "fok" and not self._fillable(order, said):
            del self.live[order.order_id]
            return said
        if order.sign > 0:
            side, against = self.bids, self.asks
            limit_key = -(order.limit_price_e8 or NO_LIMIT)
        else:
            side, against = self.asks, self.bids
            limit_key = order.limit_price_e8
        first_e8 = 0
        best = against.best
        if best is not None and best.key >= limit_key:
            first_e8 = best.price_e8
            self._take(order, against, limit_key, at_us, said)
        if order.leaves_e8 and order.kind == LIMIT and (force == "gtc" or force == "day"):
            side.add(order)
        else:
            self.live.pop(order.order_id, None)
            if order.leaves_e8:
                self._end(order, "canceled", "MATCHING_NO_LIQUIDITY", said)
        return self._look(first_e8, said, at_us) if first_e8 and self.triggers else said

    def cancel(self, order: Order | None, at_us: int, reason: str) -> list[Happening]:
        """Cancels a live order of this market; None: one that is not."""
        if order is None or self.unusual or order.extra is not None or at_us >= self.wake_us:
            return self._cancel_unusual(order, at_us, reason)
        (self.bids if order.sign > 0 else self.asks).remove(order)
        del self.live[order.order_id]
        order.leaves_e8 = 0
        order.status = "canceled"
        order.version += 1
        return [order_happening("canceled", order, reason)]

    def _cancel_unusual(self, order: Order | None, at_us: int, reason: str) -> list[Happening]:
        self.begin(at_us)
        if order is None or not order.leaves_e8:
            self.said.append(("unknown", "cancel_rejected"))
            return self.refused()
        self.end(order, "canceled", reason)
        lists.work_off(self)
        return self.finish()

    def replace(self, order: Order | None, asked: Asked, at_us: int, checked: bool) -> list[Happening]:
        """Replaces fields of a live order of this market; None: one that is not.

        `checked`: the values were found valid.
        """
        plain = order is not None and order.extra is None and not self.unusual and at_us < self.wake_us
        if order is None or not (plain and checked) or asked.is_special():
            return replacing.replace(self, order, asked, at_us)
        if replacing.changes_nothing(order, asked):
            return replacing.replace(self, order, asked, at_us)
        said: list[Happening] = []
        quantity_e8 = order.quantity_e8 if asked.quantity_e8 is None else asked.quantity_e8
        price_e8 = order.limit_price_e8 if asked.limit_price_e8 is None else asked.limit_price_e8
        quantity_e8 = max(quantity_e8, order.cum_quantity_e8)
        leaves_e8 = quantity_e8 - order.cum_quantity_e8
        if not leaves_e8:
            price_e8 = order.limit_price_e8
        side = self.bids if order.sign > 0 else self.asks
        kept = price_e8 == order.limit_price_e8 and 0 < leaves_e8 <= order.leaves_e8
        if kept:
            side.show(order, 0, leaves_e8)
        else:
            side.remove(order)
            order.leaves_e8 = leaves_e8
        order.quantity_e8 = quantity_e8
        order.limit_price_e8 = order.price_e8 = price_e8
        if asked.client_order_id:
            order.rename(asked.client_order_id)
        order.move("replaced" if leaves_e8 else "closed")
        said.append(order_happening("replaced", order))
        if kept:
            return said
        first_e8 = 0
        if leaves_e8:
            against = self.asks if order.sign > 0 else self.bids
            first_e8 = against.best_e8()
            self._take(order, against, against.key_of(price_e8), at_us, said)
        if order.leaves_e8:
            order.arrival = self.next_arrival()
            side.add(order)
        else:
            self.live.pop(order.order_id, None)
        return self._look(first_e8, said, at_us) if len(said) > 1 and self.triggers else said

    def _look(self, first_e8: int, said: list[Happening], at_us: int) -> list[Happening]:
        """Goes on with what the trades of a plain order trigger, if anything; the first price, and the
        last one, have all others between them.
        """
        low_e8, high_e8 = self.fall_at_e8, self.rise_at_e8
        if low_e8 < first_e8 < high_e8 and low_e8 < self.last_e8 < high_e8:
            return said
        self.prices = [(happening[2], happening[2]) for happening in said if happening[0] == "trade"]
        self.said, self.at_us = said, at_us
        return self.finish()

    def end_all(self, orders: list[Order], how: str, reason: str, at_us: int) -> list[Happening]:
        """Ends live orders in the order given, as one command."""
        self.begin(at_us)
        for order in orders:
            if order.leaves_e8:
                self.end(order, how, reason)
        lists.work_off(self)
        return self.finish()

    def mass_cancel(self, account: str, side: str, at_us: int) -> list[Happening]:
        """Cancels every live order, of an account and of a side where one is named."""
        self.begin(at_us)
        for order in self.listing():
            if (not account or order.account == account) and (not side or order.side == side):
                self.end(order, "canceled", "MATCHING_MASS_CANCELED")
        lists.work_off(self)
        return self.finish()

    def quote(self, bid_e8: int, ask_e8: int, last_e8: int, at_us: int) -> list[Happening]:
        """Takes another market's quote, 0 for what it has not."""
        if not self.unusual and not self.triggers and at_us < self.wake_us:
            self.bid_e8, self.ask_e8 = bid_e8, ask_e8
            self.last_e8 = last_e8 or self.last_e8
            return []
        self.begin(at_us)
        self.bid_e8, self.ask_e8 = bid_e8, ask_e8
        if last_e8:
            self.last_e8 = last_e8
            self.prices.append((last_e8, last_e8))
        elif ask_e8 or bid_e8:
            self.prices.append((ask_e8, bid_e8))
        return self.finish()

    def set_session(self, session: str, at_us: int, reason: str = "NONE") -> list[Happening]:
        """Changes the session."""
        self.begin(at_us)
        sessions.change(self, session, reason)
        lists.work_off(self)
        return self.finish()

    def uncross(self, at_us: int) -> list[Happening]:
        """Trades what crosses in a call phase, which goes on."""
        self.begin(at_us)
        if self.session in CALLS:
            price_e8 = auction.uncross(self)
            sessions.end_unpriced(self, price_e8)
            self.said.append(("session", self.symbol, self.session, "NONE"))
            lists.work_off(self)
        return self.finish()

    def set_band(self, low_e8: int, high_e8: int, at_us: int) -> list[Happening]:
        """Sets the band, 0 for none, and cancels what it refuses."""
        self.begin(at_us)
        self.low_e8, self.high_e8 = low_e8, high_e8
        for order in self.listing():
            if order.kind == LIMIT and self.refuses(order, order.limit_price_e8):
                self.end(order, "canceled", "MATCHING_PRICE_BAND")
            elif order.kind == PEGGED and order.price_e8 and self.refuses(order, order.price_e8):
                pegs.park(self, order)
        lists.work_off(self)
        return self.finish()

    def expire_day(self, at_us: int) -> list[Happening]:
        """Ends day orders, and forgets lists that have no live order."""
        self.begin(at_us)
        for order in self.listing():
            if order.time_in_force == "day":
                self.end(order, "expired", "MATCHING_END_OF_DAY")
        lists.work_off(self)
        lists.forget(self)
        return self.finish()

    # Steps.

    def begin(self, at_us: int) -> None:
        """Step 1: what time alone brings about, each when it was due, as if a command had come then."""
        self.said = []
        while at_us >= self.wake_us:
            self.at_us = self.wake_us
            self._fall_due()
            self.finish()
        self.at_us = at_us

    def wake(self, at_us: int) -> list[Happening]:
        """What was due until now; it happens as if the next command had brought it about."""
        self.begin(at_us)
        return self.said

    def _fall_due(self) -> None:
        sessions.end_limit_state(self)
        lists.work_off(self)
        expiries = self.expiries
        while expiries and expiries[0][0] <= self.at_us:
            expire_at_us, entry = heappop(expiries)
            if self._expires(entry, expire_at_us):
                self.end(self.gtd[entry], "expired", "MATCHING_EXPIRED")
        lists.work_off(self)

    def _expires(self, entry: int, expire_at_us: int) -> bool:
        """Whether the order is still to expire at that time."""
        order = self.gtd.get(entry)
        return order is not None and order.extra is not None and order.extra.expire_at_us == expire_at_us

    def finish(self) -> list[Happening]:
        """Steps 3 and 4, and what the next command must know; returns what happened."""
        if self.session == "continuous":
            self._follow()
            sessions.look_at_limit_state(self)
        if self.session in CALLS:
            auction.indicate(self)
        self.prices.clear()
        self.fresh.clear()
        self.unfollowed = False
        self.settle()
        return self.said

    def refused(self) -> list[Happening]:
        """What happened when a command was refused: the market is as the one before left it, so that
        nothing follows, unless rules changed meanwhile.
        """
        return self.finish() if self.unfollowed else self.said

    def take_rules(self, rules: InstrumentRules) -> None:
        """Trades by other rules from now on; what follows from them follows with the next command."""
        self.rules = rules
        self.pegged_by = pegs.NOTHING
        self.unfollowed = True
        self.settle()

    def _follow(self) -> None:
        while self.session == "continuous" and (
            triggers.look(self) or entering.release_contingent(self) or pegs.move(self)
        ):
            pass

    def settle(self) -> None:
        """Answers the one question of plain orders anew, and when time matters next."""
        rules = self.rules
        self.unusual = bool(
            self.session != "continuous"
            or self.trailing
            or self.contingent
            or self.parked
            or self.held
            or self.pegs
            or self.joined
            or self.low_e8
            or self.high_e8
            or rules.stp != "none"
            or rules.allocation != "price_time"
            or rules.static_collar_bps
            or rules.dynamic_collar_bps
        )
        self.wake_us = NEVER_US
        if self.limit_since_us >= 0:
            self.wake_us = sessions.limit_state_ends_us(self)
        expiries = self.expiries
        # Of orders that have ended or got another time.
        while expiries and not self._expires(expiries[0][1], expiries[0][0]):
            heappop(expiries)
        if expiries:
            self.wake_us = min(self.wake_us, expiries[0][0])

    # What the steps share.

    def next_arrival(self) -> int:
        """The next number of the count of entries and arrivals."""
        self.arrivals += 1
        return self.arrivals

    def side_of(self, order: Order) -> BookSide:
        """The side on which an order rests."""
        return self.bids if order.sign > 0 else self.asks

    def against(self, order: Order) -> BookSide:
        """The side with which an order trades."""
        return self.asks if order.sign > 0 else self.bids

    def refuses(self, order: Order, limit_e8: int) -> bool:
        """Whether the band refuses a limit price of the order's side."""
        if order.sign > 0:
            return bool(self.high_e8) and limit_e8 > self.high_e8
        return bool(self.low_e8) and limit_e8 < self.low_e8

    def worst_e8(self, order: Order) -> int:
        """The worst price at which an order may trade: its limit, as far as the band allows it."""
        limit_e8 = order.price_e8 or order.limit_price_e8
        if order.sign > 0:
            return min(limit_e8 or NO_LIMIT, self.high_e8 or NO_LIMIT)
        return max(limit_e8, self.low_e8)

    def rest(self, order: Order, arrival: int = 0) -> None:
        """Puts an order into the book, without trading; without a price into the queue of those."""
        self.changed.append(order)
        order.arrival = arrival or self.next_arrival()
        side = self.side_of(order)
        if order.price_e8:
            side.add(order)
            return
        side.unpriced[order.arrival] = order
        if order.extra is not None:
            order.extra.place = BOOK

    def put(self, order: Order, place: int) -> None:
        """Puts an order elsewhere than into the book."""
        self.changed.append(order)
        if order.extra is not None:
            order.extra.place = place
        self.place(place)[order.entry] = order
        if place == TRIGGERS:
            triggers.watch(self, order)

    def place(self, place: int) -> dict[int, Order]:
        """The orders of a place other than the book."""
        if place == TRIGGERS:
            return self.triggers
        if place == CONTINGENT:
            return self.contingent
        return self.parked if place == PARKED else self.held

    def take_out(self, order: Order) -> None:
        """Takes an order out of its place."""
        extra = order.extra
        place = BOOK if extra is None else extra.place
        if place == BOOK:
            if order.level is not None or order.arrival in self.side_of(order).unpriced:
                self.side_of(order).remove(order)
        elif place != NOWHERE:
            del self.place(place)[order.entry]
            self.trailing.pop(order.entry, None)
        if extra is not None:
            extra.place = NOWHERE

    def end(self, order: Order, how: str, reason: str, text: str = "") -> None:
        """Ends what is left of a live order, wherever it is; how: canceled or expired."""
        self.take_out(order)
        self.drop(order)
        self._end(order, how, reason, self.said, text)
        if order.extra is not None and order.extra.list is not None:
            lists.changed(self, order)

    def set_expiry(self, order: Order) -> None:
        """Has an order expire at its time, which may have changed, or never."""
        extra = order.extra
        if extra is None or order.time_in_force != "gtd":
            self.gtd.pop(order.entry, None)
            return
        self.gtd[order.entry] = order
        heappush(self.expiries, (extra.expire_at_us, order.entry))

    def drop(self, order: Order) -> None:
        """Forgets an order that has ended."""
        self.live.pop(order.order_id, None)
        if order.extra is not None:
            self.pegs.pop(order.entry, None)
            self.gtd.pop(order.entry, None)
            for alias in order.extra.aliases or ():
                self.live.pop(alias, None)

    def listing(self) -> list[Order]:
        """Every live order: bids by priority, asks by priority, then those not in the book by entry."""
        away: list[Order] = []
        for place in (self.triggers, self.contingent, self.parked, self.held):
            away += place.values()
        away.sort(key=_entry)
        return self.bids.orders() + self.asks.orders() + away

    # The path of plain orders.

    def _end(self, order: Order, how: str, reason: str, said: list[Happening], text: str = "") -> None:
        order.leaves_e8 = 0
        order.move(how)
        said.append(order_happening(how, order, reason, text))

    def _fillable(self, order: Order, said: list[Happening]) -> bool:
        """Whether a plain FOK finds all it wants; if not, it is canceled."""
        available_e8 = entering.available_e8(self, order, order.leaves_e8)
        if available_e8 >= order.leaves_e8:
            return True
        text = entering.shortage(available_e8, order.leaves_e8)
        self._end(order, "canceled", "MATCHING_NOT_FILLABLE", said, text)
        return False

    def _take(self, taker: Order, side: BookSide, limit_key: int, at_us: int, said: list[Happening]) -> None:
        """Trades a plain order with what it crosses."""
        leaves_e8 = taker.leaves_e8
        while leaves_e8:
            level = side.best
            if level is None or level.key < limit_key:
                return
            if not self.static_e8:
                self.static_e8 = level.price_e8
            if level.special:
                self._take_special(taker, at_us, said)
                return
            if not level.touched:
                side.touch(level)
            leaves_e8 = self._take_level(taker, level, leaves_e8, said)
            self.last_e8 = level.price_e8
            self.last_us = at_us
            if level.oldest is None:
                side.close_level(level)

    def _take_special(self, taker: Order, at_us: int, said: list[Happening]) -> None:
        """Goes on where there are icebergs or hidden orders."""
        self.said, self.at_us = said, at_us
        entering.take(self, taker)
        self.prices.clear()

    def _take_level(self, taker: Order, level: Level, leaves_e8: int, said: list[Happening]) -> int:
        """Takes from one level, oldest first; returns the quantity still wanted.

        Compiled, a number that is told becomes an object, which costs as much as all else here: those of
        type `object` are told more than once.
        """
        price_e8, live, side_name = level.price_e8, self.live, taker.side
        price: object = price_e8
        taker_quantity: object = taker.quantity_e8
        taker_limit: object = taker.limit_price_e8
        maker = level.oldest
        wanted_e8, number, version = leaves_e8, self.trades, taker.version
        cum_e8, notional_e16, status = taker.cum_quantity_e8, taker.cum_notional_e16, taker.status
        while maker is not None and leaves_e8:
            quantity_e8 = maker.leaves_e8
            if quantity_e8 <= leaves_e8:
                maker_leaves_e8 = 0
                maker.status = "filled"
            else:
                maker_leaves_e8 = quantity_e8 - leaves_e8
                maker.status = "partially_filled"
                quantity_e8 = leaves_e8
            traded: object = quantity_e8
            value_e16 = quantity_e8 * price_e8
            # Sums that begin are not added: values do not fit into a word.
            notional_e16 = notional_e16 + value_e16 if cum_e8 else value_e16
            cum_e8 += quantity_e8
            leaves_e8 -= quantity_e8
            status = "partially_filled" if leaves_e8 else "filled"
            version += 1
            number += 1
            maker.leaves_e8 = maker_leaves_e8
            maker_cum = traded
            if maker.cum_quantity_e8:
                maker_cum = maker.cum_quantity_e8 = maker.cum_quantity_e8 + quantity_e8
                maker.cum_notional_e16 += value_e16
            else:
                maker.cum_quantity_e8, maker.cum_notional_e16 = quantity_e8, value_e16
            maker.version += 1
            said.append((
                "trade", number, price, traded, side_name,
                taker, status, version, taker_quantity, taker_limit, cum_e8, leaves_e8, notional_e16,
                maker, maker.status, maker.version, maker.quantity_e8 if maker_leaves_e8 else maker_cum,
                price if maker.extra is None else maker.limit_price_e8,
                maker_cum, maker_leaves_e8, maker.cum_notional_e16,
            ))  # fmt: skip
            if maker_leaves_e8:
                break
            del live[maker.order_id]
            newer = maker.newer
            maker.level = maker.older = maker.newer = None
            level.orders -= 1
            if maker.extra is not None:
                self.drop(maker)
            maker = newer
        self.trades = number
        taker.leaves_e8, taker.status, taker.version = leaves_e8, status, version
        taker.cum_quantity_e8, taker.cum_notional_e16 = cum_e8, notional_e16
        level.oldest = maker
        if maker is None:
            level.newest = None
        else:
            maker.older = None
        level.quantity_e8 -= wanted_e8 - leaves_e8
        return leaves_e8


def _entry(order: Order) -> int:
    return order.entry


__all__ = ["HELD", "NEVER_US", "Market"]
