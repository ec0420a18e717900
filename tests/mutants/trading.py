"""Mutants of matching: priority, prices, lives of orders, sequences, and what is told of books."""

from bisect import bisect_left
from typing import Any

from schemas.records import Record, Said
from tables import book_orders, markets, matching
from tables.engine import rows
from tables.engine.market import Market
from tables.engine.orders import order_happening
from tables.matching import Matching
from tests.mutants.break_ import Mutants, Patches, each, nth, twice, without

mutant = Mutants("matching")


def _applying(patches: Patches, change: Any) -> None:
    """What matching says to a record is changed."""
    patches.saying(Matching, "apply", change)


@mutant("matches out of time priority: the youngest of a level first", "I6")
def youngest_first(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def take_level(market: Any, taker: Any, level: Any, leaves_e8: int, said: list[Any]) -> int:
            _line_up(level, level.displayed()[::-1])
            return int(original(market, taker, level, leaves_e8, said))

        return take_level

    patches(Market, "_take_level", make)


def _line_up(level: Any, orders: list[Any]) -> None:
    """Has the orders of a level stand in this order."""
    level.oldest, level.newest = orders[0], orders[-1]
    for older, order, newer in zip([None, *orders], orders, [*orders[1:], None], strict=False):
        order.older, order.newer = older, newer


@mutant("matches out of price priority: the worst price within the limit first", "I6")
def worst_first(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def take(market: Any, taker: Any, side: Any, limit_key: int, at_us: int, said: list[Any]) -> None:
            leaves_e8 = taker.leaves_e8
            while leaves_e8 and side.keys and side.keys[-1] >= limit_key:
                level = side.levels[side.keys[bisect_left(side.keys, limit_key)]]
                if not level.touched:
                    side.touch(level)
                leaves_e8 = market._take_level(taker, level, leaves_e8, said)
                if level.oldest is None:
                    side.close_level(level)

        return take

    patches(Market, "_take", make)


@mutant("trades at the taker's price", "I4", "I6")
def takers_price(patches: Patches) -> None:
    price = {"Trade": "price", "OrderEvent": "last_price", "Execution": "last_price"}

    def make(original: Any) -> Any:
        def apply(table: Matching, record: Record, at_us: int) -> list[Said]:
            said = original(table, record, at_us)
            if record.kind != "ClearedOrder":
                return list(said)
            price_e8 = record.message["limit_price"]
            return [
                (kind, {**message, price[kind]: price_e8} if message.get(price.get(kind)) else message)
                for kind, message in said
            ]

        return apply

    patches(Matching, "apply", make)


@mutant("trades beyond the taker's limit", "I4", "I6")
def beyond_the_limit(patches: Patches) -> None:
    """By 1 %."""
    patches.unchecked()

    def make(original: Any) -> Any:
        def take(market: Any, taker: Any, side: Any, limit_key: int, *more: Any) -> None:
            original(market, taker, side, limit_key - abs(limit_key) // 100, *more)

        return take

    patches(Market, "_take", make)


@mutant("fills a fill-or-kill order in part", "I6")
def partly_killed(patches: Patches) -> None:
    patches(Market, "_fillable", lambda original: lambda market, order, said: True)


@mutant("lets the rest of an immediate-or-cancel order rest", "I6")
def resting_ioc(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def new(market: Any, order: Any, *more: Any) -> Any:
            force = order.time_in_force
            order.time_in_force = "gtc"
            happened = original(market, order, *more)
            order.time_in_force = force
            return happened

        return new

    patches(Market, "new", make)


@mutant("keeps the place of an order whose quantity grew", "I6")
def kept_place(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def replace(market: Any, order: Any, asked: Any, at_us: int, checked: bool) -> Any:
            if order is None or (asked.quantity_e8 or 0) <= order.quantity_e8 or asked.limit_price_e8:
                return original(market, order, asked, at_us, checked)
            order.quantity_e8 = asked.quantity_e8
            market.side_of(order).show(order, 0, order.quantity_e8 - order.cum_quantity_e8)
            order.move("replaced")
            return [order_happening("replaced", order)]

        return replace

    patches(Market, "replace", make)


@mutant("loses the place of an order whose quantity fell", "I6")
def lost_place(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def replace(market: Any, order: Any, asked: Any, at_us: int, checked: bool) -> Any:
            happened = original(market, order, asked, at_us, checked)
            if order is not None and order.level is not None:
                market.side_of(order).refresh(order, market.next_arrival())
            return happened

        return replace

    patches(Market, "replace", make)


@mutant("forgets what was filled when an order is replaced", "I3")
def forgotten_fills(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "leaves_quantity": m["quantity"]},
            lambda m: m["event"] == "replaced" and m["cum_quantity"] > 0,
        ),
    )


@mutant("says canceled and leaves the order in the book", "I7")
def left_in_the_book(patches: Patches) -> None:
    """Under another order_id, since the book is told that it has gone."""
    patches.unchecked()

    def make(original: Any) -> Any:
        def cancel(market: Any, order: Any, *more: Any) -> Any:
            row = None if order is None else rows.order_row(order)
            happened = original(market, order, *more)
            if row is not None:
                ghost = rows.order_of({**row, "order_id": f"G{row['order_id'][1:]}"})
                market.live[ghost.order_id] = ghost
                market.rest(ghost)
            return happened

        return cancel

    patches(Market, "cancel", make)


@mutant("tells an order's end twice", "I2")
def ended_twice(patches: Patches) -> None:
    _applying(patches, twice("OrderEvent", lambda m: m["event"] == "expired"))


@mutant("cancels an order after it was filled", "I2")
def canceled_after_filled(patches: Patches) -> None:
    def change(said: list[Said]) -> list[Said]:
        more: list[Said] = []
        for kind, message in said:
            more.append((kind, message))
            if kind == "OrderEvent" and message["status"] == "filled":
                after = {"event": "canceled", "status": "canceled", "version": message["version"] + 1}
                more.append((kind, {**message, **after, "last_quantity": 0, "last_price": 0}))
        return more

    _applying(patches, change)


@mutant("counts no version for a partial fill", "I2")
def same_version(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "version": m["version"] - 1},
            lambda m: m["event"] == "trade" and m["status"] == "partially_filled",
        ),
    )


@mutant("says filled while something is left", "I2")
def filled_too_early(patches: Patches) -> None:
    _applying(
        patches,
        each("OrderEvent", lambda m: {**m, "status": "filled"}, lambda m: m["status"] == "partially_filled"),
    )


@mutant("tells wrong leaves", "I3")
def wrong_leaves(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "leaves_quantity": m["leaves_quantity"] + 1},
            lambda m: m["event"] == "trade" and m["leaves_quantity"] > 0,
        ),
    )


@mutant("tells a wrong cumulative quantity", "I3")
def wrong_cum(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "cum_quantity": m["last_quantity"]},
            lambda m: m["cum_quantity"] > m["last_quantity"] > 0,
        ),
    )


@mutant("rounds the average price down", "I3")
def rounded_down(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda sum_e16, quantity_e8: sum_e16 // quantity_e8

    patches(book_orders, "average_price_e8", make)


@mutant("fills more than there is", "I3")
def overfilled(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "cum_quantity": m["quantity"] + 1},
            lambda m: m["event"] == "trade" and m["status"] == "filled",
        ),
    )


@mutant("does one trade twice, with ids of their own", "I4")
def phantom_trade(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def told(table: Any, market: Any, *arguments: Any) -> list[Said]:
            said = list(original(table, market, *arguments))
            trades = [message for kind, message in said if kind == "Trade"]
            if trades:
                market.core.trades += 1
                number = market.core.trades
                names = {"sequence": number, "trade_id": f"{market.symbol}-{number}"}
                said.append(("Trade", {**trades[-1], **names}))
            return said

        return told

    patches(Matching, "_told", make)


@mutant("leaves a gap in the sequence of trades", "I5")
def gap(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def take(market: Any, *arguments: Any) -> None:
            market.trades += 1
            original(market, *arguments)

        return take

    patches(Market, "_take", make)


@mutant("names another trade in the events than in the trade", "I4")
def other_trade_id(patches: Patches) -> None:
    third = nth(3)
    _applying(
        patches,
        each("OrderEvent", lambda m: {**m, "trade_id": "TSLA-99"}, lambda m: bool(m["trade_id"]) and third()),
    )


@mutant("swaps buyer and seller of a trade", "I4", "I8")
def swapped_sides(patches: Patches) -> None:
    _applying(
        patches,
        each("Trade", lambda m: {**m, "aggressor_side": "sell"}, lambda m: m["aggressor_side"] == "buy"),
    )


@mutant("tells one side of a trade another quantity", "I4")
def unequal_sides(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "last_quantity": m["last_quantity"] + 1},
            lambda m: m["event"] == "trade" and m["request_offset"] == -1,
        ),
    )


@mutant("tells a wrong quantity of a level", "I7")
def wrong_level(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda levels: [{**level, "quantity": level["quantity"] // 2} for level in original(levels)]

    patches(markets, "_book_levels", make)


@mutant("tells a wrong number of orders of a level", "I7")
def wrong_count(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda levels: [{**level, "orders": level["orders"] and 1} for level in original(levels)]

    patches(markets, "_book_levels", make)


@mutant("computes the checksum over the wrong levels", "I7")
def wrong_checksum(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda side: original(side).partition(",")[2]

    patches(markets, "top_text", make)


@mutant("does not tell of a level that is gone", "I7")
def level_not_gone(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda levels: [level for level in original(levels) if level["quantity"]]

    patches(markets, "_book_levels", make)


@mutant("confirms the cancel of an order that was filled before", "I2")
def answers_a_dead_order(patches: Patches) -> None:

    def make(original: Any) -> Any:
        def apply(table: Matching, record: Record, at_us: int) -> list[Said]:
            return [
                (
                    kind,
                    {**message, "event": "canceled"}
                    if message.get("event") == "cancel_rejected"
                    else message,
                )
                for kind, message in original(table, record, at_us)
            ]

        return apply

    patches(Matching, "apply", make)


@mutant("expires good-till-canceled orders at the end of the day", "I6")
def all_expired(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def expire(table: Any, record: Record, at_us: int) -> list[Said]:
            core = table._market(record.message["symbol"]).core
            happened = core.end_all(core.listing(), "expired", "MATCHING_END_OF_DAY", at_us)
            return list(table._controlled(record, happened, "", at_us))

        return expire

    _handler(patches, "ExpireDay", make)


@mutant("expires nothing at the end of the day", "I6")
def none_expired(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda table, record, at_us: table._controlled(record, [], "", at_us)

    _handler(patches, "ExpireDay", make)


def _handler(patches: Patches, kind: str, make: Any) -> None:
    """Another handler for a kind of record."""
    patches(matching, "_HANDLERS", lambda original: {**original, kind: make(original[kind])})


@mutant("forgets the answer to a replace", "I1")
def silent_replace(patches: Patches) -> None:
    _applying(patches, without("OrderEvent", lambda m: m["event"] == "replaced"))


@mutant("answers a cancel with the offset of another request", "I1")
def wrong_request(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "request_offset": m["request_offset"] - 1},
            lambda m: m["reason"] == "MATCHING_CANCELED_BY_REQUEST",
        ),
    )


@mutant("names another request as the cause of a trade", "I9")
def wrong_cause(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "request_offset": m["request_offset"] - 1},
            lambda m: m["event"] == "trade" and m["request_offset"] > 0,
        ),
    )


@mutant("dates an answer before its request", "I9")
def too_early(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent", lambda m: {**m, "at_us": m["at_us"] - 5_000_000}, lambda m: m["event"] == "accepted"
        ),
    )


@mutant("goes back in time within an order", "I9")
def back_in_time(patches: Patches) -> None:
    _applying(
        patches,
        each("OrderEvent", lambda m: {**m, "at_us": m["at_us"] - 5_000_000}, lambda m: m["event"] == "trade"),
    )


@mutant("cancels for a mass cancel that nobody sent", "I9")
def no_mass_cancel(patches: Patches) -> None:
    _applying(
        patches,
        each(
            "OrderEvent",
            lambda m: {**m, "request_offset": 0},
            lambda m: m["reason"] == "MATCHING_MASS_CANCELED",
        ),
    )
