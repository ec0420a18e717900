"""The bare book: places in the queue, best prices, and what changed."""

import gc
from collections.abc import Callable
from weakref import ref

import pytest

from tables.engine.book import LevelView
from tables.engine.checking import check_market
from tables.engine.checks import Asked
from tables.engine.market import Market
from tables.engine.orders import Instructions, Order
from tables.engine.taking import available_e8
from tables.instrument_rules import InstrumentRules


def order(name: str, side: str, price: int, quantity: int, force: str = "gtc") -> Order:
    return Order("X", name, name, name, side, "limit", force, quantity, price)


def buy(name: str, price: int, quantity: int) -> Order:
    return order(name, "buy", price, quantity)


def sell(name: str, price: int, quantity: int) -> Order:
    return order(name, "sell", price, quantity)


def rest(market: Market, one: Order, arrival: int = 0) -> None:
    market.live[one.order_id] = one
    one.entry = arrival or market.next_arrival()
    one.move("accepted")
    market.rest(one, one.entry)


def book_of(*orders: Order) -> Market:
    """A market in which the orders rest, in the order given; nothing of it is news."""
    market = Market("X", InstrumentRules("X"), {}, watched=True)
    for one in orders:
        rest(market, one)
    check_market(market)
    return market


def settle(market: Market) -> None:
    market.bids.changes()
    market.asks.changes()


def names(market: Market) -> list[str]:
    return [one.order_id for one in market.listing()]


def fills(market: Market, side: str, limit: int, quantity: int) -> list[tuple[str, int]]:
    """Who gave how much to an immediate order."""
    taker = order(f"taker {market.arrivals}", side, limit, quantity, "ioc")
    traded = [happening for happening in market.new(taker, 0) if happening[0] == "trade"]
    check_market(market)
    assert all(happening[2] == happening[13].price_e8 for happening in traded), "not at the maker's price"
    return [(happening[13].order_id, happening[3]) for happening in traded]


def cancel(market: Market, name: str) -> None:
    market.cancel(market.live[name], 0, "MATCHING_CANCELED_BY_REQUEST")
    check_market(market)


def reduce(market: Market, name: str, quantity: int) -> None:
    asked = Asked()
    asked.quantity_e8 = quantity
    market.replace(market.live[name], asked, 0, checked=True)
    check_market(market)


def test_better_prices_stand_before_older_orders() -> None:
    book = book_of(
        buy("b1", 99, 1), buy("b2", 100, 1), buy("b3", 99, 1), sell("s1", 102, 1), sell("s2", 101, 1)
    )
    assert names(book) == ["b2", "b1", "b3", "s2", "s1"]


def test_an_order_takes_best_price_first_then_oldest_first() -> None:
    book = book_of(sell("late", 101, 2), sell("first", 100, 1), sell("second", 100, 1))
    assert fills(book, "buy", 101, 3) == [("first", 1), ("second", 1), ("late", 1)]
    assert names(book) == ["late"]


def test_a_sweep_stops_at_the_limit() -> None:
    book = book_of(buy("a", 100, 1), buy("b", 99, 1), buy("c", 98, 1))
    assert fills(book, "sell", 99, 5) == [("a", 1), ("b", 1)]
    assert names(book) == ["c"]


def test_a_sweep_of_ten_thousand_levels_needs_no_recursion() -> None:
    book = book_of(*(sell(f"s{price}", price, 1) for price in range(1, 10_001)))
    assert len(fills(book, "buy", 10_000, 20_000)) == 10_000
    assert names(book) == []


def test_nothing_is_taken_when_nothing_crosses() -> None:
    book = book_of(sell("a", 101, 1))
    assert fills(book, "buy", 100, 1) == []
    assert fills(book_of(), "sell", 1, 1) == []


def test_an_order_that_is_filled_exactly_makes_no_trade_of_nothing() -> None:
    book = book_of(sell("a", 100, 2), sell("b", 100, 2), sell("c", 101, 2))
    assert fills(book, "buy", 101, 2) == [("a", 2)]
    assert fills(book, "buy", 101, 2) == [("b", 2)]


@pytest.mark.parametrize("gone", ["first", "middle", "last"])
def test_cancel_anywhere_in_a_level_keeps_the_order_of_the_others(gone: str) -> None:
    book = book_of(buy("first", 100, 1), buy("middle", 100, 1), buy("last", 100, 1))
    cancel(book, gone)
    expected = [name for name in ("first", "middle", "last") if name != gone]
    assert fills(book, "sell", 100, 2) == [(name, 1) for name in expected]


def test_best_price_is_never_stale_after_a_cancel() -> None:
    book = book_of(buy("best", 100, 1), buy("next", 99, 1))
    cancel(book, "best")
    assert book.bids.depth(1) == [LevelView(99, 1, 1)]
    assert fills(book, "sell", 99, 1) == [("next", 1)]


def test_cancel_of_a_level_between_others_leaves_them() -> None:
    book = book_of(sell("a", 101, 1), sell("b", 102, 1), sell("c", 103, 1))
    cancel(book, "b")
    assert [level.price_e8 for level in book.asks] == [101, 103]


def test_a_partly_taken_order_stays_in_front() -> None:
    book = book_of(sell("a", 100, 5), sell("b", 100, 5))
    assert fills(book, "buy", 100, 2) == [("a", 2)]
    assert fills(book, "buy", 100, 4) == [("a", 3), ("b", 1)]
    assert book.live["b"].leaves_e8 == 4


def test_less_quantity_keeps_the_place() -> None:
    book = book_of(sell("a", 100, 5), sell("b", 100, 5))
    reduce(book, "a", 1)
    assert fills(book, "buy", 100, 2) == [("a", 1), ("b", 1)]


def test_what_is_available_counts_only_prices_within_the_limit() -> None:
    book = book_of(sell("a", 100, 5), sell("b", 101, 5), sell("c", 102, 5))
    taker = buy("t", 101, 20)
    assert available_e8(book, taker, 20, 101) == 10
    assert available_e8(book, taker, 20, 102) == 15
    assert available_e8(book, sell("t", 1, 7), 7, 1) == 0


def test_changes_are_the_levels_that_look_different_best_first() -> None:
    book = book_of(buy("a", 100, 5), buy("b", 99, 5), sell("s", 102, 1))
    assert book.bids.changes() == [LevelView(100, 5, 1), LevelView(99, 5, 1)]
    assert book.asks.changes() == [LevelView(102, 1, 1)]
    assert fills(book, "sell", 100, 5) == [("a", 5)]
    book.new(buy("c", 98, 1), 0)
    assert book.bids.changes() == [LevelView(100, 0, 0), LevelView(98, 1, 1)]
    assert book.bids.changes() == []


def test_less_quantity_is_a_change() -> None:
    book = book_of(buy("a", 100, 5))
    settle(book)
    reduce(book, "a", 3)
    assert book.bids.changes() == [LevelView(100, 3, 1)]


def test_what_came_and_went_is_no_change() -> None:
    book = book_of(buy("a", 100, 5))
    settle(book)
    book.new(buy("b", 99, 5), 0)
    book.new(buy("c", 100, 5), 0)
    for name in "bc":
        cancel(book, name)
    assert book.bids.changes() == []


def test_another_order_of_the_same_size_is_no_visible_change() -> None:
    book = book_of(buy("a", 100, 5))
    settle(book)
    cancel(book, "a")
    book.new(buy("b", 100, 5), 0)
    assert book.bids.changes() == []


def test_a_book_that_nobody_follows_remembers_no_changes() -> None:
    book = Market("X", InstrumentRules("X"), {})
    book.new(buy("a", 100, 5), 0)
    cancel(book, "a")
    assert (book.bids.before, book.bids.changes()) == ({}, [])


BROKEN: dict[str, Callable[[Market], object]] = {
    "crossed": lambda book: rest(book, buy("x", 102, 1)),
    "jumped the queue": lambda book: rest(book, buy("x", 100, 1), -1),
    "keys != levels": lambda book: book.bids.keys.reverse(),
    "counted": lambda book: setattr(book.bids.levels[100], "orders", 5),
    "quantity at": lambda book: setattr(book.bids.levels[100], "quantity_e8", 5),
    "special at": lambda book: setattr(book.bids.levels[100], "special", 1),
    "nothing open": lambda book: rest(book, buy("x", 99, 0)),
    "not live": lambda book: book.live.pop("a"),
    "no place": lambda book: book.live.update(x=buy("x", 99, 1)),
    "misplaced": lambda book: setattr(book.live["a"], "price_e8", 7),
    "leaks": lambda book: setattr(book.live["a"], "quantity_e8", 7),
    "empty level": lambda book: book.bids.open_level(50),
}


@pytest.mark.parametrize("word", BROKEN)
def test_check_sees_a_broken_book(word: str) -> None:
    book = book_of(buy("a", 100, 1), buy("b", 99, 2), sell("s", 101, 3))
    BROKEN[word](book)
    with pytest.raises(AssertionError, match=word):
        check_market(book)


class Name(str):
    """A string of which one can see whether anybody still has it."""


def test_a_market_that_ends_leaves_no_orders_to_the_collector_of_garbage() -> None:
    # Compiled, orders are unknown to it: what still referred to each other would stay for ever.
    market = book_of()
    gone = []
    for number, link in enumerate(("", "", "oto", "oto", "oto")):
        name = Name(f"order {number}")
        one = order(name, "buy", 100, 5)
        if link:
            one.extra = Instructions()
            one.extra.link_type, one.extra.link_id = link, "list"
            one.extra.hidden = number == 2
            one.account = "their account"
        market.new(one, 0)
        gone.append(ref(name))
    assert [len(market.live), len(market.bids.levels), len(market.held)] == [5, 1, 2]
    del name, one
    gc.disable()
    try:
        del market
        assert [left() for left in gone] == [None] * 5
    finally:
        gc.enable()
