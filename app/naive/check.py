"""What must be true of a market between two commands."""

from itertools import pairwise

from app.naive.market import Market
from app.naive.order import CONTINUOUS, Order
from app.naive.steps import target
from app.naive.trading import available, bound_on_entering


def check_market(market: Market) -> None:
    """Asserts the order of places, quantities, and what continuous trading leaves no room for."""
    for place, orders in market.places.items():
        for order in orders:
            _check_order(order, place)
    for side in market.book.values():
        for order in side:
            _check_order(order, "book")
        assert all(a.rank < b.rank for a, b in pairwise(side)), "priority is broken"
    for orders in market.places.values():
        assert all(a.entry < b.entry for a, b in pairwise(orders)), "entry order is broken"
    assert market.traded["buy"] == market.traded["sell"], "bought is not what was sold"
    assert market.pegged == sorted(
        (order for order in market.live() if order.order_type == "pegged"), key=lambda order: order.entry
    )
    timed = {order for order in market.live() if order.expire_at_us}
    assert timed == set(market.timed)
    assert len(timed) == len(market.timed)
    assert not market.queue, "lists have caused what was not done"
    if market.session == CONTINUOUS:
        _check_continuous(market)


def _check_order(order: Order, place: str) -> None:
    assert order.place == place
    assert not order.ended
    assert 0 <= order.cum < order.quantity, f"{order.client_order_id} has nothing left"
    assert order.leaves == order.quantity - order.cum
    if place == "book" and not order.hidden:
        assert 0 < order.shown <= order.leaves, f"{order.client_order_id} shows what it has not"
        assert order.shown <= (order.display_quantity or order.leaves)
        assert order.display_quantity or order.shown == order.leaves
    if place == "book":
        assert not order.required, f"{order.client_order_id} rests although it requires something"


def _check_continuous(market: Market) -> None:
    bid, ask = market.best("buy"), market.best("sell")
    for best in (bid, ask):
        assert best is None or best.price is not None, "an order rests without price"
    if bid is not None and ask is not None:
        assert (bid.price or 0) < (ask.price or 0), "the book is crossed"
    assert not market.looks, "prices were not looked at"
    assert not market.fresh, "a new stop was not looked at"
    for order in market.places["contingent"]:
        bound = bound_on_entering(market, order)
        reachable = order.order_type != "market_to_limit" or bound is not None
        could = reachable and available(market, order, bound) >= order.required
        assert not could, f"{order.client_order_id} waits for what is there"
    for order in market.pegged:
        if order.place != "held":
            assert order.price == target(market, order), f"{order.client_order_id} is not at its target"
