"""Demo traders decide from quotes and events alone."""

from typing import Any

from app.market.demo_instruments import PROFILES, demo_instruments
from app.market.prices import Market
from app.market.traders import Traders
from schemas.messages import Quote
from schemas.records import Said

AAPL = {"AAPL": demo_instruments(4)["AAPL"]}


def quote(bid: int, ask: int) -> Quote:
    return {
        "symbol": "AAPL",
        "bid": bid * 10**6,
        "bid_size": 100 * 10**8,
        "ask": ask * 10**6,
        "ask_size": 100 * 10**8,
        "last": 0,
        "last_size": 0,
        "venue": "",
        "at_us": 0,
    }


def traders(makers: tuple[str, ...] = ("MM-1",), takers: tuple[str, ...] = ("T-1",)) -> Traders:
    return Traders(AAPL, makers, takers, seed=1, session="s")


def event(order: dict[str, Any], name: str, status: str, leaves: int | None = None) -> dict[str, Any]:
    return {
        "event": name,
        "status": status,
        "client_order_id": order.get("order") or order["client_order_id"],
        "limit_price": order["limit_price"],
        "leaves_quantity": order.get("quantity") if leaves is None else leaves,
    }


def sent(requests: list[Said]) -> list[dict[str, Any]]:
    return [dict(message) for _, message in requests]


def accepted(desk: Traders, now_s: float = 0.0) -> list[dict[str, Any]]:
    """A maker's two orders, entered round 100.00 x 100.10 and accepted."""
    desk.saw(quote(10000, 10010))
    orders = sent(desk.requests(now_s, 0.0))
    for order in orders:
        desk.heard("OrderEvent", event(order, "accepted", "new"), now_s)
    return orders


def test_a_maker_quotes_both_sides_of_the_outside_quote() -> None:
    orders = accepted(traders())
    told = [(order["side"], order["limit_price"] // 10**6, order["time_in_force"]) for order in orders]
    assert told == [("buy", 10000, "gtc"), ("sell", 10010, "gtc")]


def test_makers_behind_the_first_quote_worse_prices() -> None:
    orders = accepted(traders(makers=("MM-1", "MM-2")))
    told = [(order["account"], order["side"], order["limit_price"] // 10**6) for order in orders]
    assert told == [
        ("MM-1", "buy", 10000),
        ("MM-1", "sell", 10010),
        ("MM-2", "buy", 9998),
        ("MM-2", "sell", 10013),
    ]


def test_a_maker_does_nothing_more_until_it_is_answered() -> None:
    desk = traders()
    desk.saw(quote(10000, 10010))
    assert len(desk.requests(0.0, 0.0)) == 2
    desk.saw(quote(11000, 11010))
    assert desk.requests(1.0, 0.0) == []


def test_a_maker_follows_the_price_once_it_has_moved_far_enough() -> None:
    desk = traders()
    orders = accepted(desk)
    desk.saw(quote(10001, 10011))
    assert desk.requests(1.0, 0.0) == []
    desk.saw(quote(10010, 10020))
    replaces = desk.requests(1.0, 0.0)
    assert [kind for kind, _ in replaces] == ["ReplaceOrder", "ReplaceOrder"]
    buy, sell = (order["client_order_id"] for order in orders)
    assert [message["order"] for _, message in replaces] == [sell, buy]
    assert desk.requests(1.0, 0.0) == []
    for message in sent(replaces):
        desk.heard("OrderEvent", event({**message, "quantity": 1}, "replaced", "new"), 1.0)
    assert desk.requests(1.0, 0.0) == []


def test_a_maker_never_trades_with_itself() -> None:
    desk = traders()
    market = Market(AAPL.values(), PROFILES, seed=5, rate=0.05)
    resting: dict[str, tuple[str, int]] = {}
    moves = 0
    for now in range(500):
        desk.saw(market.next_quote(0))
        for kind, message in desk.requests(float(now), 0.0):
            name = message["order"] if kind == "ReplaceOrder" else message["client_order_id"]
            side = resting[name][0] if kind == "ReplaceOrder" else message["side"]
            resting[name] = (side, message["limit_price"])
            prices = dict(resting.values())
            assert prices.get("buy", 0) < prices.get("sell", 2**63)
            what = "replaced" if kind == "ReplaceOrder" else "accepted"
            desk.heard("OrderEvent", event({**message, "quantity": 1}, what, "new"), float(now))
            moves += kind == "ReplaceOrder"
    assert moves > 200


def test_a_filled_quote_is_entered_anew_and_a_partly_filled_one_stays() -> None:
    desk = traders()
    buy, sell = accepted(desk)
    desk.heard("OrderEvent", event(buy, "trade", "filled", 0), 1.0)
    desk.heard("OrderEvent", event(sell, "trade", "partially_filled", 5), 1.0)
    again = sent(desk.requests(1.0, 0.0))
    assert [order["side"] for order in again] == ["buy"]
    assert again[0]["client_order_id"] != buy["client_order_id"]


def test_a_refused_maker_waits_longer_each_time() -> None:
    desk = traders()
    desk.saw(quote(10000, 10010))
    asked_at = []
    for now_s in range(100):
        requests = sent(desk.requests(float(now_s), 0.0))
        if requests:
            asked_at.append(now_s)
        for order in requests:
            desk.heard("OrderEvent", event(order, "rejected", "rejected", 0), float(now_s))
    assert asked_at == [0, 4, 12, 28, 60]


def test_a_refused_replace_may_be_tried_again() -> None:
    desk = traders()
    accepted(desk)
    desk.saw(quote(10100, 10110))
    for message in sent(desk.requests(1.0, 0.0)):
        desk.heard("OrderEvent", event({**message, "quantity": 1}, "replace_rejected", "new"), 1.0)
    assert len(desk.requests(2.0, 0.0)) == 2


def test_a_taker_crosses_the_spread_with_an_order_that_never_rests() -> None:
    desk = traders(makers=())
    desk.saw(quote(10000, 10010))
    (order,) = sent(desk.requests(0.0, 1.0))
    assert order["time_in_force"] == "ioc"
    if order["side"] == "buy":
        assert order["limit_price"] >= 10010 * 10**6
    else:
        assert order["limit_price"] <= 10000 * 10**6
    assert desk.requests(0.0, 1.0) == []
    desk.heard("OrderEvent", event(order, "accepted", "new"), 0.0)
    desk.heard("OrderEvent", event(order, "canceled", "canceled", 0), 0.0)
    assert len(desk.requests(0.0, 1.0)) == 1


def test_a_new_session_cancels_what_the_last_one_left_and_ignores_its_orders() -> None:
    desk = traders(makers=("MM-1", "MM-2"))
    assert [(kind, message["account"]) for kind, message in desk.open()] == [
        ("MassCancel", "MM-1"),
        ("MassCancel", "MM-2"),
    ]
    desk.heard(
        "OrderEvent", event({"client_order_id": "old", "limit_price": 1, "quantity": 1}, "trade", "filled"), 0
    )


def test_the_same_seed_trades_the_same() -> None:
    def history() -> list[Said]:
        desk = traders()
        desk.saw(quote(10000, 10010))
        return [said for now in range(20) for said in desk.requests(float(now), 0.5)]

    assert history() == history()
