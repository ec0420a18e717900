"""Real order flow, order by order: 3,262 orders and cancels of five pairs, and the book they must leave."""

import csv
import gzip

from schemas.numbers import format_e8, parse_e8
from schemas.records import Record
from tables.matching import Matching
from tables.reference import Instruments
from tests.market.l3_expectations import SNAPSHOT, needs_data

# Symbol: best bid, best ask, resting orders; as the data's README states.
EXPECTED = {
    "ETH/AUD": ("4726.35", "4729.7", 1067),
    "BCH/SGD": ("511.41", "516.42", 225),
    "DOT/NZD": ("33.5874", "34.1722", 246),
    "MATIC/USD": ("1.68552", "1.71021", 182),
    "PMGT/NZD": ("2755.07", "2822.72", 64),
}


def lines(name: str) -> list[dict[str, str]]:
    with gzip.open(SNAPSHOT.parent / name, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def record(number: int, line: dict[str, str]) -> Record:
    """The cleared record of a line; lines of the snapshot are orders."""
    name = line["order_id"]
    message = {
        "account": "ACC",
        "client_order_id": name,
        "order_id": name,
        "symbol": line["symbol"],
        "request_offset": number,
    }
    if line.get("action") == "cancel":
        return Record("ClearedCancel", message | {"request_id": "", "reason": "NONE"}, number, 0)
    words = {
        "side": line["side"],
        "order_type": "limit",
        "quantity": parse_e8(line["size"]),
        "limit_price": parse_e8(line["price"]),
        "time_in_force": "gtc",
        "entered_us": 0,
        "entered_by": "",
        "door": "replay",
    }
    return Record("ClearedOrder", message | words, number, 0)


@needs_data
def test_real_order_flow_leaves_the_books_it_should_and_trades_nothing() -> None:
    matching = Matching(0, Instruments())
    said = []
    for number, line in enumerate(lines("snapshot.csv.gz") + lines("events.csv.gz")):
        said += matching.apply(record(number, line), number)
    matching.check()
    left = {}
    for symbol in EXPECTED:
        orders = matching.resting(symbol)
        bids = [order.limit_price_e8 for order in orders if order.side == "buy"]
        asks = [order.limit_price_e8 for order in orders if order.side == "sell"]
        left[symbol] = (format_e8(bids[0]), format_e8(asks[0]), len(orders))
    assert left == EXPECTED
    assert not [message for kind, message in said if kind == "Trade"]
    refused = [m for kind, m in said if kind == "OrderEvent" and m["event"] == "cancel_rejected"]
    assert len(refused) == 2
