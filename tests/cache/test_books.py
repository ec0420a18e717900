"""Books from their updates, told by the real matching's market."""

from typing import Any

from app.cache.books import BookImage, update_json
from schemas.numbers import ONE
from tables.book_orders import order_of
from tables.engine.orders import Order
from tables.markets import Market
from tests.flow import START_US

BID, ASK = 18_712_000_000, 18_713_000_000


class Desk:
    """A market of AAPL that orders rest in and leave, and what it says of its book."""

    def __init__(self) -> None:
        self.market = Market("AAPL")
        self.orders = 0

    def rest(self, side: str, price_e8: int, quantity: int) -> Order:
        self.orders += 1
        message = {
            "account": "A", "client_order_id": str(self.orders), "order_id": f"O{self.orders}",
            "side": side, "order_type": "limit", "time_in_force": "gtc", "quantity": quantity * ONE,
            "limit_price": price_e8, "entered_by": "A", "door": "kafka",
        }  # fmt: skip
        order = order_of(message, "AAPL")
        self.market.core.rest(order)
        return order

    def update(self) -> dict[str, Any]:
        said = self.market.update(START_US)
        assert said is not None
        return dict(said[1])


def sides(image: BookImage) -> tuple[object, object]:
    shown = image.as_json()
    return shown["bids"], shown["asks"]


def test_the_image_follows_the_market() -> None:
    desk, image = Desk(), BookImage("AAPL")
    desk.rest("buy", BID, 5)
    desk.rest("sell", ASK, 3)
    assert image.take(desk.update())
    lower = desk.rest("buy", BID - ONE, 1)
    desk.rest("buy", BID, 2)
    assert image.take(desk.update())
    assert sides(image) == ([["187.12", "7", 2], ["186.12", "1", 1]], [["187.13", "3", 1]])
    desk.market.core.bids.remove(lower)
    assert image.take(desk.update())
    assert sides(image) == ([["187.12", "7", 2]], [["187.13", "3", 1]])
    assert not image.stale


def test_a_gap_makes_the_book_stale_until_the_next_snapshot() -> None:
    desk, image = Desk(), BookImage("AAPL")
    desk.rest("buy", BID, 5)
    image.take(desk.update())
    desk.rest("buy", BID, 1)
    desk.update()  # lost
    desk.rest("buy", BID, 1)
    assert not image.take(desk.update())
    assert image.stale
    assert sides(image) == ([["187.12", "5", 1]], [])
    desk.market.snapshot_due = True
    desk.rest("sell", ASK, 1)
    assert image.take(desk.update())
    assert not image.stale
    assert sides(image) == ([["187.12", "7", 3]], [["187.13", "1", 1]])


def test_levels_that_the_checksum_denies_are_stale() -> None:
    desk, image = Desk(), BookImage("AAPL")
    desk.rest("buy", BID, 5)
    assert not image.take(desk.update() | {"checksum": 1})
    assert image.stale


def test_an_update_that_was_taken_is_ignored() -> None:
    desk, image = Desk(), BookImage("AAPL")
    desk.rest("buy", BID, 5)
    first = desk.update()
    desk.rest("buy", BID, 2)
    second = desk.update()
    image.take(first)
    image.take(second)
    assert not image.take(first)
    assert not image.take(second)
    assert sides(image) == ([["187.12", "7", 2]], [])
    assert not image.stale


def test_a_book_begun_in_the_middle_is_stale() -> None:
    desk, image = Desk(), BookImage("AAPL")
    desk.rest("buy", BID, 5)
    desk.update()
    desk.rest("buy", BID, 2)
    assert not image.take(desk.update())
    assert image.as_json() == {
        "symbol": "AAPL", "sequence": 0, "bids": [], "asks": [], "checksum": 0, "at": None, "stale": True,
    }  # fmt: skip


def test_a_book_goes_on_from_its_json() -> None:
    desk, image = Desk(), BookImage("AAPL")
    desk.rest("buy", BID, 5)
    desk.rest("sell", ASK, 5)
    image.take(desk.update())
    again = BookImage.of_json(image.as_json())
    desk.rest("buy", BID - 1, 2)
    update = desk.update()
    assert again.take(update)
    assert image.take(update)
    assert again.as_json() == image.as_json()


def test_subscribers_get_prices_as_text_and_gone_levels_as_zero() -> None:
    desk = Desk()
    order = desk.rest("buy", BID, 5)
    desk.update()
    desk.market.core.bids.remove(order)
    shown = update_json(desk.update())
    assert (shown["sequence"], shown["snapshot"], shown["bids"]) == (2, False, [["187.12", "0", 0]])
