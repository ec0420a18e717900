"""The bare book: places in the queue, best prices, and what changed."""

import pytest

from tables.book import Book, Entry, LevelView


def book_of(*entries: Entry) -> Book[Entry]:
    book: Book[Entry] = Book()
    for entry in entries:
        book.add(entry)
    return book


def buy(name: str, price: int, quantity: int, arrival: int) -> Entry:
    return Entry(name, "buy", price, quantity, arrival)


def sell(name: str, price: int, quantity: int, arrival: int) -> Entry:
    return Entry(name, "sell", price, quantity, arrival)


def names(book: Book[Entry]) -> list[str]:
    return [entry.order_id for entry in book.by_priority()]


def fills(book: Book[Entry], side: str, limit: int, quantity: int) -> list[tuple[str, int]]:
    taken = [(entry.order_id, quantity) for entry, quantity in book.take(side, limit, quantity)]
    book.check()
    return taken


def test_better_prices_stand_before_older_orders() -> None:
    book = book_of(
        buy("b1", 99, 1, 1),
        buy("b2", 100, 1, 2),
        buy("b3", 99, 1, 3),
        sell("s1", 102, 1, 4),
        sell("s2", 101, 1, 5),
    )
    book.check()
    assert names(book) == ["b2", "b1", "b3", "s2", "s1"]


def test_an_order_takes_best_price_first_then_oldest_first() -> None:
    book = book_of(sell("late", 101, 2, 1), sell("first", 100, 1, 2), sell("second", 100, 1, 3))
    assert fills(book, "buy", 101, 3) == [("first", 1), ("second", 1), ("late", 1)]
    assert names(book) == ["late"]


def test_a_sweep_stops_at_the_limit() -> None:
    book = book_of(buy("a", 100, 1, 1), buy("b", 99, 1, 2), buy("c", 98, 1, 3))
    assert fills(book, "sell", 99, 5) == [("a", 1), ("b", 1)]
    assert names(book) == ["c"]


def test_a_sweep_of_ten_thousand_levels_needs_no_recursion() -> None:
    book = book_of(*(sell(f"s{price}", price, 1, price) for price in range(1, 10_001)))
    assert len(fills(book, "buy", 10_000, 20_000)) == 10_000
    assert names(book) == []


def test_nothing_is_taken_when_nothing_crosses_or_nothing_is_wanted() -> None:
    book = book_of(sell("a", 101, 1, 1))
    assert fills(book, "buy", 100, 1) == []
    assert fills(book, "buy", 101, 0) == []
    assert fills(Book(), "sell", 1, 1) == []


def test_an_order_that_is_filled_exactly_makes_no_trade_of_nothing() -> None:
    book = book_of(sell("a", 100, 2, 1), sell("b", 100, 2, 2), sell("c", 101, 2, 3))
    assert fills(book, "buy", 101, 2) == [("a", 2)]
    assert fills(book, "buy", 101, 2) == [("b", 2)]


@pytest.mark.parametrize("gone", ["first", "middle", "last"])
def test_cancel_anywhere_in_a_level_keeps_the_order_of_the_others(gone: str) -> None:
    book = book_of(buy("first", 100, 1, 1), buy("middle", 100, 1, 2), buy("last", 100, 1, 3))
    book.remove(book.entries[gone])
    book.check()
    expected = [name for name in ("first", "middle", "last") if name != gone]
    assert fills(book, "sell", 100, 2) == [(name, 1) for name in expected]


def test_best_price_is_never_stale_after_a_cancel() -> None:
    book = book_of(buy("best", 100, 1, 1), buy("next", 99, 1, 2))
    book.remove(book.entries["best"])
    book.check()
    assert book.bids.depth(1) == [LevelView(99, 1, 1)]
    assert fills(book, "sell", 99, 1) == [("next", 1)]


def test_cancel_of_a_level_between_others_leaves_them() -> None:
    book = book_of(sell("a", 101, 1, 1), sell("b", 102, 1, 2), sell("c", 103, 1, 3))
    book.remove(book.entries["b"])
    book.check()
    assert [level.price_e8 for level in book.asks] == [101, 103]


def test_a_partly_taken_order_stays_in_front() -> None:
    book = book_of(sell("a", 100, 5, 1), sell("b", 100, 5, 2))
    assert fills(book, "buy", 100, 2) == [("a", 2)]
    assert fills(book, "buy", 100, 4) == [("a", 3), ("b", 1)]
    assert book.entries["b"].leaves_e8 == 4


def test_reduce_keeps_the_place() -> None:
    book = book_of(sell("a", 100, 5, 1), sell("b", 100, 5, 2))
    book.reduce(book.entries["a"], 1)
    book.check()
    assert fills(book, "buy", 100, 2) == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("leaves", [0, -1, 6])
def test_reduce_to_nothing_or_to_more_is_refused(leaves: int) -> None:
    book = book_of(sell("a", 100, 5, 1))
    with pytest.raises(AssertionError):
        book.reduce(book.entries["a"], leaves)


def test_an_order_rests_once() -> None:
    book = book_of(buy("a", 100, 1, 1))
    with pytest.raises(AssertionError, match="rests already"):
        book.add(buy("a", 99, 1, 2))


def test_an_order_that_left_can_rest_again_at_the_back() -> None:
    book = book_of(buy("a", 100, 1, 1), buy("b", 100, 1, 2))
    entry = book.entries["a"]
    book.remove(entry)
    entry.arrival = 3
    book.add(entry)
    book.check()
    assert names(book) == ["b", "a"]


def test_what_is_available_counts_only_prices_within_the_limit() -> None:
    book = book_of(sell("a", 100, 5, 1), sell("b", 101, 5, 2), sell("c", 102, 5, 3))
    assert book.available("buy", 101, 20) == 10
    assert book.available("buy", 102, 7) == 7
    assert book.available("sell", 1, 7) == 0


def test_changes_are_the_levels_that_look_different_best_first() -> None:
    book = book_of(buy("a", 100, 5, 1), buy("b", 99, 5, 2), sell("s", 102, 1, 3))
    assert book.bids.changes() == [LevelView(100, 5, 1), LevelView(99, 5, 1)]
    assert book.asks.changes() == [LevelView(102, 1, 1)]
    book.take("sell", 100, 5)
    book.add(buy("c", 98, 1, 4))
    assert book.bids.changes() == [LevelView(100, 0, 0), LevelView(98, 1, 1)]
    assert book.bids.changes() == []


def test_less_quantity_is_a_change() -> None:
    book = book_of(buy("a", 100, 5, 1))
    book.settle()
    book.reduce(book.entries["a"], 3)
    assert book.bids.changes() == [LevelView(100, 3, 1)]


def test_what_came_and_went_is_no_change() -> None:
    book = book_of(buy("a", 100, 5, 1))
    book.settle()
    book.add(buy("b", 99, 5, 2))
    book.add(buy("c", 100, 5, 3))
    for name in "bc":
        book.remove(book.entries[name])
    assert book.bids.changes() == []


def test_another_order_of_the_same_size_is_no_visible_change() -> None:
    book = book_of(buy("a", 100, 5, 1))
    book.settle()
    book.remove(book.entries["a"])
    book.add(buy("b", 100, 5, 2))
    assert book.bids.changes() == []


BROKEN = {
    "crossed": lambda book: book.add(buy("x", 102, 1, 9)),
    "jumped the queue": lambda book: book.add(buy("x", 100, 1, 0)),
    "keys != levels": lambda book: book.bids.keys.reverse(),
    "counted": lambda book: setattr(book.bids.levels[100], "orders", 5),
    "quantity at": lambda book: setattr(book.bids.levels[100], "quantity_e8", 5),
    "nothing open": lambda book: book.add(buy("x", 99, 0, 9)),
    "in no level": lambda book: book.entries.pop("a"),
    "misplaced": lambda book: setattr(book.entries["a"], "limit_price_e8", 7),
    "empty level": lambda book: book.bids.open_level(50),
}


@pytest.mark.parametrize("word", BROKEN)
def test_check_sees_a_broken_book(word: str) -> None:
    book = book_of(buy("a", 100, 1, 1), buy("b", 99, 2, 2), sell("s", 101, 3, 3))
    book.check()
    BROKEN[word](book)
    with pytest.raises(AssertionError, match=word):
        book.check()
