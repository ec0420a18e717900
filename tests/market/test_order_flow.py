"""Recorded order flow becomes requests: the same orders, in the same order, with the same book at the end."""

from collections import defaultdict
from pathlib import Path

import pytest

from app.files import BadLine, FileError
from app.market.order_flow import OrderFlow
from schemas.numbers import format_e8
from tests.market.l3_expectations import (
    EVENTS,
    L3_EXPECTED,
    L3_REQUESTS,
    L3_UNKNOWN_CANCELS,
    SNAPSHOT,
    PlainBook,
    needs_data,
)

SNAPSHOT_HEADER = "ts_ns,symbol,side,queue_pos,order_id,price,size\n"
EVENTS_HEADER = "ts_ns,recv_ts_ns,symbol,seq,action,order_id,side,price,size\n"


def flow_of(folder: Path, snapshot: str, events: str, bad: list[BadLine] | None = None) -> OrderFlow:
    (folder / "snapshot.csv").write_text(SNAPSHOT_HEADER + snapshot)
    (folder / "events.csv").write_text(EVENTS_HEADER + events)
    report = [] if bad is None else bad
    return OrderFlow(folder / "snapshot.csv", folder / "events.csv", "T", report.append)


@needs_data
def test_the_real_order_flow_leaves_the_books_that_its_readme_states() -> None:
    flow = OrderFlow(SNAPSHOT, EVENTS, "L3", lambda bad: pytest.fail(str(bad)))
    books: dict[str, PlainBook] = defaultdict(PlainBook)
    for step in flow.steps:
        books[step.said[1]["symbol"]].take(step.said)
    assert len(flow.steps) == L3_REQUESTS
    assert {symbol: book.top() for symbol, book in books.items()} == L3_EXPECTED
    assert sum(book.unknown_cancels for book in books.values()) == L3_UNKNOWN_CANCELS
    assert sum(book.crossed for book in books.values()) == 0


@needs_data
def test_every_recorded_price_and_size_fits_the_derived_instruments() -> None:
    flow = OrderFlow(SNAPSHOT, EVENTS, "L3", lambda bad: pytest.fail(str(bad)))
    instruments = {market["symbol"]: market for market in flow.instruments()}
    for kind, message in (step.said for step in flow.steps):
        if kind == "NewOrder":
            market = instruments[message["symbol"]]
            assert message["limit_price"] % market["ticks"][0]["tick_size"] == 0
            assert message["quantity"] % market["lot_size"] == 0
    assert all(market["band_bps"] == 0 and market["max_quote_age_ms"] == 0 for market in instruments.values())


def test_within_a_level_the_queue_position_is_the_time_priority(tmp_path: Path) -> None:
    snapshot = (
        "1,A/USD,buy,7,late,10.5,1\n"
        "1,A/USD,buy,2,early,10.50,1\n"
        "1,A/USD,buy,9,best,11,1\n"
        "1,A/USD,sell,3,ask,12,1\n"
    )
    flow = flow_of(tmp_path, snapshot, "")
    names = [step.said[1]["client_order_id"] for step in flow.steps]
    assert names == ["best", "early", "late", "ask"]


def test_all_requests_of_a_symbol_go_by_one_account_in_the_recorded_order(tmp_path: Path) -> None:
    events = (
        "5,5,A/USD,1,add,a1,buy,10,1\n"
        "6,6,B/EUR,1,add,b1,sell,20,1\n"
        "7,7,A/USD,2,cancel,a1,buy,,\n"
        "8,8,A/USD,3,add,a2,buy,9,1\n"
    )
    flow = flow_of(tmp_path, "", events)
    told = [(kind, message["account"]) for kind, message in (step.said for step in flow.steps)]
    assert told == [("NewOrder", "T-1"), ("NewOrder", "T-2"), ("CancelOrder", "T-1"), ("NewOrder", "T-1")]
    assert flow.steps[2].said[1]["order"] == "a1"
    assert {market["symbol"]: market["currency"] for market in flow.instruments()} == {
        "A/USD": "USD",
        "B/EUR": "EUR",
    }


def test_a_price_of_zero_is_entered_at_one_tick(tmp_path: Path) -> None:
    flow = flow_of(tmp_path, "1,A/USD,buy,0,x,0.0,5\n1,A/USD,buy,1,y,1.25,5\n", "")
    prices = {said[1]["client_order_id"]: format_e8(said[1]["limit_price"]) for _, said in flow.steps}
    assert prices == {"x": "0.01", "y": "1.25"}
    assert flow.at_one_tick == 1


def test_bad_lines_are_reported_with_number_and_field_and_left_out(tmp_path: Path) -> None:
    bad: list[BadLine] = []
    snapshot = "1,A/USD,buy,0,a,ten,1\n1,A/USD,bid,0,b,10,1\n1,A/USD,buy,0,c,10,1\n1,A/USD,buy,x,d,10,1\n"
    events = "1,1,A/USD,1,add,e,buy,10,0\n1,1,A/USD,2,amend,f,buy,10,1\n1,1,A/USD,3,add,g,buy\n"
    flow = flow_of(tmp_path, snapshot, events, bad)
    assert [step.said[1]["client_order_id"] for step in flow.steps] == ["c"]
    told = [(Path(line.path).name, line.line, line.field) for line in bad]
    assert told == [
        ("snapshot.csv", 2, "price"),
        ("snapshot.csv", 3, "side"),
        ("snapshot.csv", 5, "queue_pos"),
        ("events.csv", 2, "size"),
        ("events.csv", 3, "action"),
        ("events.csv", 4, ""),
    ]


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("symbol,price\n")
    with pytest.raises(FileError, match="lacks the columns side, queue_pos, order_id, size"):
        OrderFlow(tmp_path / "x.csv", tmp_path / "x.csv", "T", lambda bad: None)
