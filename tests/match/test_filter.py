"""The filter from bytes to bytes: what it prints, and what it keeps itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.files import BadLine
from app.match.filter import Filter
from app.match.generate import commands
from app.match.instruments import read_instruments
from app.match.risk import RiskChecks
from app.match.run import run
from app.naive import Engine as NaiveEngine
from tables.engine import Engine as FastEngine
from tests.match.example import EXAMPLE, Bytes, matched


def play(*lines: dict[str, Any] | str, **options: Any) -> list[dict[str, Any]]:
    """What comes of some lines."""
    matcher = Filter(FastEngine(options.pop("rules", None)), **options)
    said = [matcher.take(_bytes(line)) for line in lines]
    return [json.loads(text) for texts in said for text in texts]


def _bytes(line: dict[str, Any] | str) -> bytes:
    return (line if isinstance(line, str) else json.dumps(line)).encode()


def order(name: str, side: str, quantity: str, price: str | None = "10", **fields: Any) -> dict[str, Any]:
    """A limit order, without price a market order; of account `a` unless said."""
    kind = "market" if price is None else "limit"
    told = {"type": "new_order", "symbol": "S", "account": "a", "client_order_id": name, "side": side}
    return {**told, "order_type": kind, "quantity": quantity, "limit_price": price, **fields}


def test_numbers_come_out_in_their_shortest_form() -> None:
    (accepted,) = play(order("1", "buy", "5.50", "0010.10"))
    assert list(accepted) == [
        *("line", "seq", "event", "symbol", "account", "client_order_id", "side", "status"),
        *("limit_price", "quantity", "cum_quantity", "leaves_quantity", "reason"),
    ]
    assert (accepted["limit_price"], accepted["quantity"], accepted["cum_quantity"]) == ("10.1", "5.5", "0")
    (market,) = play(order("1", "buy", "1e-8", None))[:1]
    assert (market["limit_price"], market["quantity"]) == (None, "0.00000001")


def test_lines_and_sequence_are_counted_from_one() -> None:
    said = play("", order("1", "sell", "5"), "  ", order("2", "buy", "5", account="b"))
    assert [(event["line"], event["seq"], event["event"]) for event in said] == [
        (2, 1, "accepted"),
        (4, 2, "accepted"),
        (4, 3, "trade"),
    ]


def test_time_goes_on_by_one_and_never_back() -> None:
    last = order("2", "buy", "5", time_in_force="gtd", expire_at_us=101, at_us=99)
    assert [event["event"] for event in play(last, {"type": "quote", "symbol": "S"})] == ["accepted"]
    said = play(last, {"type": "quote", "symbol": "S"}, {"type": "quote", "symbol": "S"})
    assert [event["event"] for event in said] == ["accepted", "expired"]
    with pytest.raises(ValueError, match="at_us: 98 is before 99"):
        play(last, {"type": "quote", "symbol": "S", "at_us": 98})


def test_only_the_events_that_are_asked_for() -> None:
    (trade,) = play(order("1", "sell", "5"), order("2", "buy", "5"), only=frozenset(["trade"]))
    assert (trade["seq"], trade["maker"]["status"], trade["trade_id"]) == (3, "filled", "S-1")


def test_the_depth_follows_every_line() -> None:
    cancels = {"type": "mass_cancel"}
    said = play(order("1", "sell", "5"), order("2", "sell", "4", display_quantity="1"), cancels, books=True)
    books = [(event["line"], event["bids"], event["asks"]) for event in said if event["event"] == "book"]
    assert books == [(1, [], [["10", "5", 1]]), (2, [], [["10", "6", 2]]), (3, [], [])]


def test_the_worked_example_is_the_same_in_both_engines() -> None:
    assert matched(EXAMPLE, NaiveEngine()) == matched(EXAMPLE, FastEngine())


# Bytes.


def through(data: bytes, **options: Any) -> tuple[list[dict[str, Any]], list[BadLine]]:
    """What is printed and reported of a file."""
    said: list[bytes] = []
    bad: list[BadLine] = []
    run(Filter(NaiveEngine()), Bytes(data), said.append, name="f", report=bad.append, **options)
    return [json.loads(text) for text in b"".join(said).splitlines()], bad


def test_an_empty_file_says_nothing() -> None:
    assert through(b"") == ([], [])
    assert through(b"\xef\xbb\xbf\r\n\n") == ([], [])


def test_a_mark_crlf_and_a_missing_last_newline_are_passed_over() -> None:
    one, two = _bytes(order("1", "sell", "5")), _bytes(order("2", "sell", "5"))
    said, bad = through(b"\xef\xbb\xbf" + one + b"\r\n" + two)
    assert [event["line"] for event in said] == [1, 2]
    assert not bad


def test_bad_lines_are_passed_over_and_reported_by_number_and_field() -> None:
    good = _bytes(order("1", "sell", "5"))
    long = b"x" * (3 << 20)
    said, bad = through(b"\n".join([b"nonsense", good, b'{"type": "quote"}', long, good, b"{"]))
    assert [event["line"] for event in said] == [2, 5]
    assert [(line.line, line.field) for line in bad] == [(1, ""), (3, "symbol"), (4, ""), (6, "")]
    assert str(bad[1]) == "f:3: symbol: is missing"


def test_csv_goes_the_same_way_as_json() -> None:
    csv = b"type,symbol,account,client_order_id,side,order_type,quantity,limit_price\r\n"
    said, bad = through(csv + b"new_order,S,a,1,buy,limit,5,10.50\r\nquote,S,,,,,,\r\nquote,,,,,,,\r\n")
    assert [(event["line"], event["limit_price"]) for event in said] == [(2, "10.5")]
    assert [(line.line, line.field) for line in bad] == [(4, "symbol")]


def test_what_was_answered_is_written_before_a_strict_stop() -> None:
    said: list[bytes] = []

    def stop(bad: BadLine) -> None:
        raise bad

    data = _bytes(order("1", "sell", "5")) + b"\n{\n" + _bytes(order("2", "sell", "5")) + b"\n"
    with pytest.raises(BadLine, match="f:2: no JSON"):
        run(Filter(NaiveEngine()), Bytes(data), said.append, name="f", report=stop)
    assert [json.loads(text)["line"] for text in said] == [1]


# What the filter keeps itself.


def test_reduce_only_never_exceeds_the_position() -> None:
    deal = (order("1", "sell", "5", account="b"), order("2", "buy", "5"))
    refused = play(*deal, order("3", "sell", "6", "11", reduce_only=True))[-1]
    assert (refused["event"], refused["reason"]) == ("rejected", "MATCHING_REDUCE_ONLY")
    two = (order("3", "sell", "3", "11", reduce_only=True), order("4", "sell", "2", "12", reduce_only=True))
    assert [event["event"] for event in play(*deal, *two)][-2:] == ["accepted", "accepted"]
    assert play(*deal, *two, order("5", "sell", "1", "13", reduce_only=True))[-1]["event"] == "rejected"
    assert play(order("1", "buy", "1", reduce_only=True))[-1]["event"] == "rejected"


def test_a_new_order_that_prevention_makes_smaller_is_none_that_reduces() -> None:
    deal = (order("1", "sell", "5", "10", account="b"), order("2", "buy", "5", "10"))
    reduces = order("3", "sell", "3", "11", reduce_only=True)
    own = order("4", "buy", "5", "11", stp="decrement")
    said = play(*deal, reduces, own)
    assert [(e["event"], e["client_order_id"]) for e in said[-2:]] == [("canceled", "3"), ("replaced", "4")]


def test_reduce_only_orders_that_exceed_after_a_trade_are_canceled() -> None:
    said = play(
        order("1", "sell", "5", account="b"),
        order("2", "buy", "5"),
        order("3", "sell", "3", "11", reduce_only=True),
        {"type": "replace_order", "symbol": "S", "account": "a", "order": "3", "client_order_id": "3b"},
        order("4", "sell", "2", "12", reduce_only=True),
        order("5", "buy", "4", "9", account="b"),
        order("6", "sell", "1", "9"),
    )
    assert [(event["event"], event.get("client_order_id"), event.get("reason")) for event in said[-3:]] == [
        ("accepted", "6", "NONE"),
        ("trade", None, None),
        ("canceled", "4", "MATCHING_REDUCE_ONLY"),
    ]
    assert said[-1]["line"] == 7


@pytest.mark.parametrize("book", [FastEngine, NaiveEngine])
def test_reduce_only_is_judged_after_what_was_due(book: Callable[[], Any]) -> None:
    """An order that has expired meanwhile leaves its part to the next; the engines tell it the same way."""
    until = {"time_in_force": "gtd", "expire_at_us": 100}
    matcher = Filter(book())
    lines = (
        order("1", "sell", "5", account="b"),
        order("2", "buy", "5"),
        order("3", "sell", "5", "11", reduce_only=True, **until),
        order("4", "sell", "5", "12", reduce_only=True, at_us=200),
        order("5", "sell", "5", "12", reduce_only=True),
    )
    said = [json.loads(text) for line in lines for text in matcher.take(_bytes(line))]
    assert [(event["line"], event["event"]) for event in said[-3:]] == [
        (4, "expired"),
        (4, "accepted"),
        (5, "rejected"),
    ]


def test_reduce_only_knows_the_sides_of_an_auction() -> None:
    auction, open_ = (
        {"type": "control", "symbol": "S", "action": name} for name in ("pre_open", "continuous")
    )
    deal = (auction, order("1", "sell", "5", account="b"), order("2", "buy", "5"), open_)
    assert play(*deal, order("3", "sell", "5", "11", reduce_only=True))[-1]["event"] == "accepted"
    assert play(*deal, order("3", "buy", "5", account="b", reduce_only=True))[-1]["event"] == "accepted"


@pytest.fixture
def instruments(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an instruments file."""

    def write(text: str) -> Path:
        path = tmp_path / "instruments.jsonl"
        path.write_text(text)
        return path

    return write


def test_instruments_rule_and_risk_bands_hold(instruments: Callable[[str], Path]) -> None:
    known = read_instruments(
        instruments('{"symbol": "S", "tick_size": "0.5", "lot_size": 2, "band_bps": 100, "name": "Some"}\n')
    )
    rules = {symbol: instrument.rules for symbol, instrument in known.items()}
    off_tick, off_lot, elsewhere = play(
        order("1", "buy", "2", "10.25"),
        order("2", "buy", "3"),
        order("3", "buy", "2", symbol="T"),
        rules=rules,
    )
    assert off_tick["reason"] == "MATCHING_INVALID_PRICE"
    assert off_lot["reason"] == "MATCHING_INVALID_QUANTITY"
    assert elsewhere["reason"] == "RISK_UNKNOWN_SYMBOL"
    quote = {"type": "quote", "symbol": "S", "bid": "99", "ask": "101"}
    lines = (
        order("1", "buy", "2", "100"),
        quote,
        order("2", "buy", "2", "100"),
        order("3", "buy", "2", "102"),
    )
    said = play(*lines, rules=rules, risk=RiskChecks(known))
    assert [event["reason"] for event in said] == ["RISK_NO_QUOTE", "NONE", "RISK_PRICE_BAND"]
    bracket = {"link": {"type": "bracket", "id": "1"}}
    entry, exit = order("1", "buy", "2", "102", **bracket), order("2", "sell", "2", "100", **bracket)
    said = play(quote, entry, exit, rules=rules, risk=RiskChecks(known))
    assert [event["reason"] for event in said] == ["RISK_PRICE_BAND", "MATCHING_LINK_ENDED"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no instrument"),
        ('{"tick_size": "1"}', "symbol: is missing"),
        ('{"symbol": "S"}\n{"symbol": "S"}', ":2: symbol: S is there twice"),
        ('{"symbol": "S", "tick_size": "0"}', "tick_size: must be above 0"),
        ('{"symbol": "S", "ticks": [["0", "1"]]}', "ticks: must be a list of objects"),
        ('{"symbol": "S", "ticks": [{"from_price": "1", "tick_size": "1"}]}', "ticks: must begin"),
        ('{"symbol": "S", "stp": "maybe"}', "stp: must be one of none"),
        ('{"symbol": "S", "top_order": "maybe"}', "top_order: must be true or false"),
        ('{"symbol": "S", "band_bps": -1}', "band_bps: must be a whole number"),
        ('{"symbol": "S", "tik_size": "1"}', "tik_size: is no field"),
        ("{", "no JSON"),
    ],
)
def test_a_bad_instruments_file_is_refused_by_line_and_field(
    instruments: Callable[[str], Path], text: str, words: str
) -> None:
    with pytest.raises(BadLine) as error:
        read_instruments(instruments(text))
    assert words in str(error.value)


# The same file, the same bytes, in both engines.


@pytest.mark.parametrize("seed", [1, 2])
def test_both_engines_print_the_same_of_a_generated_file(seed: int) -> None:
    lines = list(commands(2500, seed))
    assert lines == list(commands(2500, seed))
    naive, fast = Filter(NaiveEngine()), Filter(FastEngine())
    for line in lines:
        assert naive.take(line) == fast.take(line), line
    assert list(naive.resting()) == list(fast.resting())
