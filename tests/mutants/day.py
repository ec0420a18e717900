"""A day in which every rule is put to the test once, so that whoever breaks it shows.

To the day of tests/verify/history.py come requests that must be refused, an instrument with a narrow band and
young quotes, money that is just enough, a crash of every lane, and trading after it.
"""

from app.verify.records import CHANGELOGS, Seen
from app.verify.verifier import Verifier
from schemas.numbers import ONE
from schemas.records import Record
from tests.tables.words import (
    cancel_order,
    instrument,
    move_cash,
    move_holding,
    new_order,
    quote,
    replace_order,
    set_account,
    set_limits,
    symbol_control,
)
from tests.verify import history
from tests.verify.engine import LANES
from tests.verify.history import Day

SECOND_US = 1_000_000


def _opened(day: Day) -> None:
    """A symbol with a band of 1 %, quotes of 10 s, lots of 10; accounts with little and with much money."""
    day.engine.instrument(instrument("TSLA", band_bps=100, max_quote_age_ms=10_000, lot_size="10"))
    day.send(quote("TSLA", "199.99", "200.01"))
    for account, cash in (("dora", "20000"), ("emil", "50000000")):
        day.send(set_account(account, control_id=f"open {account}"))
        day.send(set_limits(account, "2000", "400000", control_id=f"limits of {account}"))
        day.send(move_cash(account, cash, control_id=f"cash of {account}"))
        day.send(move_holding(account, "500", "TSLA", control_id=f"TSLA of {account}"))


def _refused(day: Day) -> None:
    """One request for each check."""
    day.order("lot", "buy 5 TSLA 200", account="emil")
    day.order("tick", "buy 10 TSLA 200.001", account="emil")
    day.order("high", "buy 10 TSLA 203", account="emil")
    day.order("size", "buy 2010 TSLA 198.5", account="emil")
    day.order("value", "buy 2000 TSLA 201", account="emil")
    day.order("poor", "buy 110 TSLA 200", account="dora")
    day.order("bare", "sell 510 TSLA 200", account="dora")
    day.order("unknown", "buy 10 TSLB 200", account="dora")
    day.send(symbol_control("SetPriceBand", "TSLA", control_id="narrow", band_bps=10, max_quote_age_ms=-1))
    day.order("narrow", "buy 10 TSLA 199", account="emil")
    day.send(symbol_control("SetPriceBand", "TSLA", control_id="own", band_bps=-1, max_quote_age_ms=-1))
    day.pause()
    day.pause()
    day.pause()
    day.order("stale", "buy 10 TSLA 200", account="emil")
    day.pause()
    day.send(quote("TSLA", "199.99", "200.01"))


def _traded(day: Day) -> None:
    """Fills at better prices than were reserved for, over three levels, before and after a crash."""
    day.order("t1", "sell 10 TSLA 200.1", account="dora")
    day.order("t2", "sell 10 TSLA 200.1", account="emil")
    day.order("t3", "sell 20 TSLA 200.2", account="dora")
    day.order("t4", "buy 20 TSLA 199.5", account="dora")
    day.order("t5", "buy 30 TSLA 199.4", account="emil")
    day.engine.crash()
    day.order("t6", "buy 30 TSLA 201", account="emil")
    day.order("t7", "sell 10 TSLA 199.4", account="emil")
    day.send(replace_order("t3", "30", "200.3", account="dora", client_order_id="t3b"))
    day.send(replace_order("t5", "20", account="emil"))
    day.order("t1", "sell 10 TSLA 200.1", account="dora")
    day.send(cancel_order("t4", account="dora"))
    day.send(move_cash("dora", "20000", control_id="cash of dora"))
    day.order("t8", "buy 10 TSLA 200.3", account="emil")


def _queued(day: Day) -> None:
    """Places in a queue that are kept and lost by replaces, and a cancel that comes too late."""
    day.engine.crash()
    day.send(quote("TSLA", "199.99", "200.01"))
    for name, account in (("q1", "emil"), ("q2", "dora"), ("q3", "emil")):
        day.order(name, "buy 20 TSLA 199.7", account=account)
    day.send(replace_order("q1", "10", account="emil"))
    day.send(replace_order("q2", "30", account="dora"))
    day.order("q4", "sell 20 TSLA 199.7", account="emil")
    day.engine.send(new_order("q5", "sell 10 TSLA 199.7", account="emil"))
    day.engine.send(cancel_order("q3", account="emil", client_order_id="q3x"))
    day.engine.run()
    day.order("q6", "buy 10 TSLA 199.7", account="emil")


def _special(day: Day) -> None:
    """Orders that wait, hide, follow and belong together; own orders that meet; auctions and bands."""
    day.engine.instrument(instrument("NVDA", band_bps=0, max_quote_age_ms=0))
    day.send(quote("NVDA", "499.9", "500.1", last="500"))
    for account in ("emil", "fred"):
        day.send(set_account(account, control_id=f"NVDA for {account}"))
        day.send(move_holding(account, "1000", "NVDA", control_id=f"NVDA of {account}"))
    day.send(move_cash("fred", "9000000", control_id="cash of fred"))
    _waiting(day)
    _together(day)
    _in_auctions(day)
    _excluding(day)
    _exiting(day)


def _waiting(day: Day) -> None:
    day.carrying("i1", "sell 100 NVDA 500.1", account="fred", display_quantity=20 * ONE)
    day.order("i2", "sell 30 NVDA 500.1", account="fred")
    day.carrying("h1", "sell 50 NVDA 500.1", account="fred", hidden=True)
    day.order("n1", "buy 60 NVDA 500.1", account="emil")
    day.order("n2", "buy 60 NVDA 500.1", account="emil")
    day.carrying("st", "sell 10 NVDA 498", account="emil", order_type="stop_limit", stop_price=499 * ONE)
    day.carrying("tr", "sell 10 NVDA market", account="emil", order_type="trailing_stop", trail_amount=ONE)
    day.carrying("sb", "buy 10 NVDA market", account="fred", order_type="stop", stop_price=510 * ONE)
    day.send(replace_order("sb", "20", account="fred"))
    # Refused: a stop has no limit of its own, and nobody has so much.
    day.send(replace_order("sb", None, "520", account="fred"))
    day.send(replace_order("sb", "900000", account="fred"))
    day.carrying("pg", "buy 10 NVDA 500", account="fred", order_type="pegged", peg="bid")
    day.carrying("mq", "buy 30 NVDA 499", account="fred", min_quantity=20 * ONE)
    day.send(quote("NVDA", "499.8", "500.2", last="499.9"))
    day.send(quote("NVDA", "498.8", "499.2", last="498.9"))
    day.order("ml", "sell 5 NVDA market", account="emil", order_type="market_to_limit", time_in_force="gtc")
    day.carrying("po", "buy 5 NVDA 500.1", account="emil", post_only="reject")
    day.carrying("pr", "buy 5 NVDA 500.1", account="emil", post_only="reprice")
    day.send(cancel_order("pr", account="emil"))


def _together(day: Day) -> None:
    day.carrying("o1", "sell 10 NVDA 501", account="emil", link_type="oco", link_id="pair")
    day.carrying(
        "o2",
        "sell 10 NVDA 496",
        account="emil",
        order_type="stop_limit",
        stop_price=497 * ONE,
        link_type="oco",
        link_id="pair",
    )
    day.order("n3", "buy 110 NVDA 501", account="fred")
    day.order("own", "sell 10 NVDA 502", account="fred")
    day.carrying("own2", "buy 4 NVDA 502", account="fred", stp="decrement")
    day.send(
        Record(
            "CancelAllAfter",
            {
                "account": "fred",
                "client_order_id": "dead",
                "timeout_ms": 0,
                "entered_us": 0,
                "entered_by": "",
                "door": "kafka",
            },
            0,
            0,
        )
    )


def _in_auctions(day: Day) -> None:
    day.send(symbol_control("SetSession", "NVDA", control_id="close", session="closing_auction"))
    day.order("a1", "buy 20 NVDA 505", account="emil")
    day.order("a2", "sell 15 NVDA 495", account="fred")
    day.order("a3", "sell 15 NVDA market", account="fred")
    day.send(symbol_control("Uncross", "NVDA", control_id="uncross"))
    day.order("a4", "sell 15 NVDA 504", account="fred")
    day.send(symbol_control("SetSession", "NVDA", control_id="go on", session="continuous"))
    day.order("b1n", "buy 5 NVDA 490", account="fred")
    day.send(symbol_control("SetTradingBand", "NVDA", control_id="low", low=0, high=485 * ONE))
    day.send(symbol_control("SetTradingBand", "NVDA", control_id="off", low=0, high=0))
    day.order("d9", "buy 5 NVDA 490", account="fred", time_in_force="day")
    day.send(symbol_control("ExpireDay", "NVDA", control_id="end of NVDA"))
    soon_us = day.engine.now_us + 5 * SECOND_US
    day.carrying("g1", "buy 5 NVDA 480", account="emil", time_in_force="gtd", expire_at_us=soon_us)
    day.engine.wait(10)
    # In the meantime each lane has something else to do.
    for symbol in ("AAPL", "MSFT"):
        day.order(f"g-{symbol}", f"buy 1 {symbol} 99", account="alice", time_in_force="ioc")
    day.engine.wait(1)
    day.order("z1", "sell 7 NVDA 503", account="fred")
    day.carrying("z2", "sell 70 NVDA 503", account="fred", display_quantity=10 * ONE)


def _excluding(day: Day) -> None:
    """A taker past both orders of a list of which one may trade; two of another list, which stay."""
    for list_, low, high in (("sweep", 501, 502), ("quiet", 520, 521)):
        for price in (low, high):
            words = f"sell 5 NVDA {price}"
            day.carrying(f"{list_}{price}", words, account="emil", link_type="oco", link_id=list_)
    day.order("x1", "buy 12 NVDA 502", account="fred", time_in_force="ioc")


def _exiting(day: Day) -> None:
    """Brackets of an account that has nothing to sell: one half bought, one that became smaller meanwhile."""
    day.send(set_account("gina", control_id="gina"))
    day.send(move_cash("gina", "90000", control_id="cash of gina"))
    for list_ in ("half", "less"):
        link = {"account": "gina", "link_type": "bracket", "link_id": list_}
        day.carrying(f"{list_} in", "buy 10 NVDA 502.5", **link)
        day.carrying(f"{list_} up", "sell 10 NVDA 530", **link)
        day.carrying(f"{list_} down", "sell 4 NVDA 465", "stop_limit", stop_price=470 * ONE, **link)
    day.send(replace_order("less in", "6", account="gina"))
    day.order("y1", "sell 4 NVDA 502.5", account="fred")
    day.send(replace_order("half up", "9", account="gina"))
    day.send(replace_order("half in", None, "502.4", account="gina"))
    day.order("y2", "sell 6 NVDA 502.5", account="fred")
    day.carrying("less late", "sell 7 NVDA 531", account="gina", link_type="bracket", link_id="less")
    day.carrying("none in", "buy 1000 NVDA 502.5", account="gina", link_type="bracket", link_id="none")
    day.carrying("none up", "sell 10 NVDA 530", account="gina", link_type="bracket", link_id="none")


def _killed(day: Day) -> None:
    """A kill switch over a resting order, and someone who would have traded with it."""
    day.send(quote("TSLA", "199.99", "200.01"))
    day.order("k2", "buy 10 TSLA 199.9", account="dora")
    day.pause()
    day.send(set_account("dora", "suspended", control_id="kill dora", cancel_orders=True))
    day.pause()
    day.send(quote("TSLA", "199.99", "200.01"))
    day.order("k3", "buy 10 TSLA 199.9", account="dora")
    day.order("k4", "sell 10 TSLA 199.9", account="emil")
    day.order("last", "buy 20 TSLA 199.8", account="emil")
    day.order("last2", "buy 20 TSLA 199.8", account="emil")


def made() -> list[Seen]:
    """The records of the day, made anew."""
    day = Day()
    for part in (*history.PARTS, _opened, _refused, _traded, _queued, _special, _killed):
        part(day)
        day.pause()
    return day.engine.history()


def verified(records: list[Seen]) -> Verifier:
    """A verifier that has read everything, to be finished."""
    verifier = Verifier(LANES)
    for seen in records:
        if seen.short in CHANGELOGS:
            verifier.mark()
        verifier.take(seen)
    return verifier
