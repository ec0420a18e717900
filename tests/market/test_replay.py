"""Recorded quotes and trades become whole quotes; what cannot be used is named and left out."""

import gzip
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from app.files import BadLine, FileError, RowFile
from app.market.derive import instruments_of_quotes, quote_currency
from app.market.replay import Tape, Tick, ticks
from schemas.messages import Quote
from schemas.numbers import format_e8
from tests.market.l3_expectations import DATA, needs_data

QUOTES = "ts_ns,recv_ts_ns,symbol,bid_px,bid_sz,ask_px,ask_sz\n"
TRADES = "ts_ns,recv_ts_ns,symbol,price,size,aggressor_side,trade_id\n"


def read(
    path: Path, renamed: dict[str, str] | None = None, prefix: str = ""
) -> tuple[list[Tick], list[BadLine]]:
    bad: list[BadLine] = []
    return list(ticks(RowFile(path), renamed or {}, prefix, bad.append)), bad


def written(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_a_trade_carries_the_quote_before_it_and_a_quote_the_trade(tmp_path: Path) -> None:
    lines = QUOTES + "1000,1000,A,10.1,5,10.2,6\n3000,3000,A,10.3,7,10.4,8\n"
    quotes, _ = read(written(tmp_path / "quotes.csv", lines))
    trades, _ = read(written(tmp_path / "trades.csv.gz", TRADES + "2000,2000,A,10.2,1,buy,t1\n"))
    tape = Tape("test")
    out = [tape.quote(tick) for tick in sorted([*quotes, *trades])]
    shown = [tuple(format_e8(quote[name]) for name in ("bid", "ask", "last", "last_size")) for quote in out]
    assert shown == [
        ("10.1", "10.2", "0", "0"),
        ("10.1", "10.2", "10.2", "1"),
        ("10.3", "10.4", "10.2", "1"),
    ]
    assert [quote["at_us"] for quote in out] == [1, 2, 3]


def test_bad_lines_are_named_by_number_and_field_and_the_others_pass(tmp_path: Path) -> None:
    lines = (
        "1000,1000,A,10.1,5,10.2,6\n"
        "1000,1000,A,abc,5,10.2,6\n"
        "soon,soon,A,10.1,5,10.2,6\n"
        "1000,1000,,10.1,5,10.2,6\n"
        "1000,1000,A,10.3,5,10.2,6\n"
        "1000,1000,A,10.123456789,5,10.2,6\n"
        "1000,1000,A,-1,5,10.2,6\n"
        "1000,1000,A\n"
        "1000,1000,A,,,,\n"
        "1000,1000,A,10.1,5,10.2,6\n"
    )
    good, bad = read(written(tmp_path / "q.csv", QUOTES + lines))
    assert len(good) == 2
    assert [(line.line, line.field) for line in bad] == [
        (3, "bid_px"),
        (4, "recv_ts_ns"),
        (5, "symbol"),
        (6, "bid_px"),
        (7, "bid_px"),
        (8, "bid_px"),
        (9, ""),
        (10, ""),
    ]
    assert "crossed: bid 10.3 above ask 10.2" in bad[3].text


def test_bytes_that_are_no_text_spoil_their_line_only(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes(QUOTES.encode() + b"1,1,\xff\xfe,1,1,2,1\n1,1,A,1,1,2,1\n")
    good, bad = read(path)
    assert [tick.symbol for tick in good] == ["A"]
    assert [(line.line, line.text) for line in bad] == [(2, "is not UTF-8")]


def test_columns_of_other_names_are_mapped_and_symbols_prefixed(tmp_path: Path) -> None:
    lines = "when,ticker,b,a\n2026-01-02T03:04:05Z,X,1.5,1.6\n"
    renamed = {"when": "ts_ns", "ticker": "symbol", "b": "bid_px", "a": "ask"}
    good, _ = read(written(tmp_path / "q.csv", lines), renamed, "T:")
    assert good == [Tick(1767323045000000, 1767323045000000, "T:X", {"bid": 150_000_000, "ask": 160_000_000})]


def test_a_file_without_usable_columns_says_which_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="has columns a, b; wanted are symbol"):
        read(written(tmp_path / "q.csv", "a,b\n1,2\n"))


def test_a_file_that_ends_too_early_is_an_error_not_an_end(tmp_path: Path) -> None:
    path = tmp_path / "q.csv.gz"
    path.write_bytes(gzip.compress((QUOTES + "1,1,A,1,1,2,1\n" * 9999).encode())[:-20])
    with pytest.raises(FileError, match="Is it complete"):
        read(path)


def test_parquet_gives_what_the_same_csv_gives(tmp_path: Path) -> None:
    lines = QUOTES + "1000,1000,A,10.1,5,10.2,6\n2000,2000,B,0.3,0.123456789,0.7,6\n"
    from_csv, bad = read(written(tmp_path / "q.csv", lines))
    table = pyarrow.table(
        {
            "ts_ns": [1000, 2000],
            "recv_ts_ns": pyarrow.array([1000, 2000], pyarrow.timestamp("ns")),
            "symbol": ["A", "B"],
            "bid_px": [10.1, 0.1 + 0.2],
            "bid_sz": [5.0, 0.5],
            "ask_px": [10.2, 0.7],
            "ask_sz": ["6", None],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "q.parquet")
    from_parquet, none_bad = read(tmp_path / "q.parquet")
    assert len(bad) == 1
    assert none_bad == []
    assert from_parquet[0] == from_csv[0]
    # A floating-point 0.30000000000000004 is rounded to what was meant.
    assert from_parquet[1].fields == {"bid": 30_000_000, "bid_size": 50_000_000, "ask": 70_000_000}


def test_tick_and_lot_are_the_coarsest_that_fit_every_value(tmp_path: Path) -> None:
    lines = QUOTES + "1,1,A/USD,10.10,5,10.25,0.06\n1,1,FX_B_JPY,5859870.0,20,5862038,40\n"
    found = instruments_of_quotes([written(tmp_path / "q.csv", lines)], {}, "")
    told = {i["symbol"]: (format_e8(i["ticks"][0]["tick_size"]), format_e8(i["lot_size"])) for i in found}
    assert told == {"A/USD": ("0.01", "0.01"), "FX_B_JPY": ("1", "1")}
    assert [quote_currency(symbol) for symbol in told] == ["USD", "JPY"]


@needs_data
@pytest.mark.parametrize(
    ("folder", "quotes", "trades", "symbols"),
    [("ticks_bybit_2021-04-17", 1972, 244, 10), ("ticks_bitflyer_2021-12-12", 249, 162, 10)],
)
def test_the_real_quotes_and_trades_are_read_whole(
    folder: str, quotes: int, trades: int, symbols: int
) -> None:
    tape = Tape("test")
    count: Counter[str] = Counter()
    latest: dict[str, Quote] = {}
    lines = []
    for name in ("quotes", "trades"):
        good, bad = read(DATA / folder / f"{name}.csv.gz")
        assert bad == []
        count[name] = len(good)
        lines += good
    for tick in sorted(lines, key=lambda tick: tick.due_us):
        latest[tick.symbol] = tape.quote(tick)
    assert count == {"quotes": quotes, "trades": trades}
    assert len(latest) == symbols
    assert all(0 < quote["bid"] <= quote["ask"] for quote in latest.values())
