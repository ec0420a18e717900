"""Generated order files: the same for a seed, a realistic mix, every line understood."""

from collections import Counter
from pathlib import Path

from app.files import BadLine, RowFile
from app.market.demo_instruments import PROFILES, demo_instruments, tick_at
from app.submit.generate import OrderFile, write_orders
from app.submit.lines import parse
from app.submit.submit import messages_of
from schemas.numbers import parse_e8

COUNT = 5000


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_orders(tmp_path / f"{name}.jsonl.gz", 300, seed, lambda written: None)
    first, same, other = ((tmp_path / f"{name}.jsonl.gz").read_bytes() for name in "abc")
    assert first == same
    # No time in the gzip header: the same bytes tomorrow as well.
    assert first[4:8] == bytes(4)
    assert first != other


def test_every_line_is_understood(tmp_path: Path) -> None:
    write_orders(tmp_path / "o.jsonl", COUNT, 7, lambda written: None)
    bad: list[BadLine] = []
    kinds = Counter(kind for kind, _ in messages_of(RowFile(tmp_path / "o.jsonl"), {}, bad.append))
    assert bad == []
    assert kinds.total() == COUNT
    assert 0.7 < kinds["NewOrder"] / COUNT < 0.9
    assert kinds["CancelOrder"] > kinds["ReplaceOrder"] > kinds["MassCancel"] > 0


def test_all_but_a_few_per_cent_are_on_tick_on_lot_and_near_the_reference() -> None:
    instruments = demo_instruments(1)
    wrong = 0
    orders = [line for line in OrderFile(7).lines(COUNT) if line["type"] == "new_order"]
    for line in orders:
        _, order = parse(line)
        instrument = instruments.get(order["symbol"])
        price_e8 = order["limit_price"]
        if instrument is None or order["quantity"] <= 0 or order["quantity"] % instrument["lot_size"]:
            wrong += 1
        elif price_e8 is not None:
            reference_e8 = parse_e8(PROFILES[order["symbol"]].price)
            off = price_e8 <= 0 or price_e8 % tick_at(instrument["ticks"], price_e8)
            wrong += bool(off) or abs(price_e8 - reference_e8) > reference_e8 // 50
    assert 0.01 < wrong / len(orders) < 0.06


def test_new_ids_are_fresh_and_a_repeat_is_the_same_order() -> None:
    first: dict[tuple[str, str], dict[str, str]] = {}
    repeats = 0
    for line in OrderFile(7).lines(COUNT):
        if line["type"] == "new_order" and len(line["client_order_id"]) < 65:
            name = (line["account"], line["client_order_id"])
            repeats += name in first
            assert first.setdefault(name, line) == line
    assert 0 < repeats < COUNT / 50


def test_changes_are_of_orders_that_were_entered_before() -> None:
    entered: set[tuple[str, str]] = set()
    late = 0
    for line in OrderFile(7).lines(COUNT):
        if line["type"] == "new_order":
            entered.add((line["account"], line["client_order_id"]))
        elif line["type"] in ("cancel_order", "replace_order"):
            late += (line["account"], line["order"]) not in entered
    assert late == 0
