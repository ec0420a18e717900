"""What must be true of a market between two commands; for tests, since it reads everything."""

from tables.engine.book import BookSide, Level
from tables.engine.market import Market
from tables.engine.orders import (
    BOOK,
    CONTINGENT,
    HELD,
    LIMIT,
    MARKET,
    PARKED,
    PEGGED,
    TRIGGER,
    TRIGGERS,
    Order,
)


def check_market(market: Market) -> None:
    """Asserts that a market is whole."""
    for side in (market.bids, market.asks):
        _check_side(market, side)
    check_uncrossed(market)
    orders = market.listing()
    for order in orders:
        _check_order(market, order)
    own = {order.order_id for order in market.live.values() if order.symbol == market.symbol}
    assert own == {order.order_id for order in orders}, "an order is in no place"
    assert len(own) == len(orders), "an order is in two places"
    for entry, order in (*market.pegs.items(), *market.gtd.items()):
        assert order.leaves_e8 > 0, f"{order.order_id} ended and is remembered"
        assert order.entry == entry, f"{order.order_id} is remembered by another entry"
    members = [order for found in market.lists.values() for order in found.members.values()]
    joined = {key: found for key, found in market.lists.items() if found.members}
    assert joined == market.joined, "lists with members are not those remembered"
    assert all(order.leaves_e8 for order in members), "a list has a member that ended"
    assert not market.actions, "actions were not worked off"
    assert not market.prices, "prices were not looked at"


def check_uncrossed(market: Market) -> None:
    """Asserts that the sides do not cross in continuous trading, nor in a halt of it.

    In a call phase they may; also where a market closed, since what its last uncross released rests then.
    """
    phase = market.interrupted if market.session == "halt" else market.session
    if phase != "continuous":
        return
    assert not market.bids.unpriced, "a market order rests"
    assert not market.asks.unpriced, "a market order rests"
    if market.bids.keys and market.asks.keys:
        best_bid, best_ask = market.bids.best_e8(), market.asks.best_e8()
        assert best_bid < best_ask, f"crossed: bid {best_bid} ask {best_ask}"


def _check_side(market: Market, side: BookSide) -> None:
    assert side.keys == sorted(side.levels), "keys != levels"
    assert side.best is (side.levels[side.keys[-1]] if side.keys else None), "another level is the best"
    for key, level in side.levels.items():
        assert level.key == key, f"a level away from its price {level.price_e8}"
        assert level.price_e8 == key * side.sign, f"a level away from its price {level.price_e8}"
        _check_level(side, level)
    for arrival, order in side.unpriced.items():
        assert order.arrival == arrival, f"{order.order_id} jumped the queue"
        assert not order.price_e8, f"{order.order_id} has a price"


def _check_level(side: BookSide, level: Level) -> None:
    displayed, orders = level.displayed(), level.by_priority()
    assert orders, f"empty level at {level.price_e8}"
    assert level.newest is (displayed[-1] if displayed else None), f"the newest at {level.price_e8}"
    assert level.orders == len(displayed), f"{level.orders} counted at {level.price_e8}"
    shown_e8 = sum(order.shown_e8() for order in displayed)
    assert level.quantity_e8 == shown_e8, f"quantity at {level.price_e8}"
    special = [o for o in orders if o.extra is not None and (o.extra.hidden or o.extra.display_e8)]
    assert level.special == len(special), f"special at {level.price_e8}"
    for queue in (displayed, orders[len(displayed) :]):
        for older, order in zip([None, *queue], queue, strict=False):
            assert order.older is older, f"{order.order_id} does not follow"
            assert older is None or older.arrival < order.arrival, f"{order.order_id} jumped the queue"
    for order in orders:
        hidden = order.extra is not None and order.extra.hidden
        assert hidden == (order not in displayed), f"{order.order_id} is in the wrong queue"
        assert hidden or 0 < order.shown_e8() <= order.leaves_e8, f"{order.order_id} shows nothing open"
        assert order.level is level, f"{order.order_id} names another level"
        assert (order.side, order.price_e8) == (side.name, level.price_e8), f"{order.order_id} misplaced"


def _check_order(market: Market, order: Order) -> None:
    name, extra = order.order_id, order.extra
    assert market.live.get(name) is order, f"{name} is not live"
    assert order.leaves_e8 > 0, f"{name} rests with nothing open"
    assert order.quantity_e8 == order.cum_quantity_e8 + order.leaves_e8, f"{name} leaks"
    assert order.status == ("partially_filled" if order.cum_quantity_e8 else "new"), f"{name} {order.status}"
    assert 0 < order.entry <= market.arrivals, f"{name} came after {market.arrivals}"
    assert order.arrival <= market.arrivals, f"{name} came after {market.arrivals}"
    place = BOOK if extra is None else extra.place
    if place == BOOK:
        assert order.time_in_force not in ("ioc", "fok"), f"{name} may not rest"
        assert not order.needs_e8(), f"{name} rests under a requirement"
        assert order.kind != TRIGGER, f"{name} rests before it triggered"
        assert order.kind != LIMIT or order.price_e8 == order.limit_price_e8, f"{name} misplaced"
        assert order.kind != MARKET or not order.price_e8, f"{name} has a price"
        assert not (market.refuses(order, order.price_e8) and order.kind == LIMIT), f"{name} beyond the band"
    elif place == TRIGGERS:
        assert order.kind == TRIGGER, f"{name} triggered"
    elif place == CONTINGENT:
        assert order.needs_e8(), f"{name} waits for nothing"
    elif place == PARKED:
        assert order.kind == PEGGED or order.time_in_force in ("at_close", "auction"), f"{name} parked"
    else:
        assert place == HELD, f"{name} is nowhere"
        held_by = None if extra is None else extra.list
        assert held_by is not None, f"{name} is held by no list"
        assert held_by.stage == "open", f"{name} is held by a list that is {held_by.stage}"
