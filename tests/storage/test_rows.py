"""Rows out of records, without a database."""

from app.reader import Read
from app.storage.rows import COLUMNS, Rows, moment, number, text
from schemas.codec import DecodeError
from schemas.numbers import ONE
from tests.flow import START_US, Said, accepted, event, filled, position


def read(said: Said, offset: int = 0) -> Read:
    return Read("events", 0, offset, START_US, None, b"", said[0], dict(said[1]), None)


def rows_of(*said: Said) -> Rows:
    return Rows("oms.{}.v1".format, [read(each, offset) for offset, each in enumerate(said)])


def orders(rows: Rows) -> list[dict[str, object]]:
    return [dict(zip(COLUMNS["orders"], row, strict=True)) for row in rows.latest["orders"].values()]


def test_the_last_event_of_a_batch_is_the_order_and_every_event_is_kept() -> None:
    rows = rows_of(accepted("1"), filled("1"))
    (order,) = orders(rows)
    assert (order["status"], order["version"], order["cum_quantity"]) == ("filled", 2, f"{10 * ONE}e-8")
    assert (order["entered_at"], order["updated_at"]) == (moment(START_US + 1), moment(START_US + 2))
    assert len(rows.appended["order_events"]) == 2


def test_arrival_does_not_decide_which_state_is_the_latest() -> None:
    assert [order["status"] for order in orders(rows_of(filled("1"), accepted("1")))] == ["filled"]


def test_refused_cancels_and_repeated_states_leave_the_order_alone() -> None:
    said = [
        ("OrderEvent", event("1", kind, "filled", 9))
        for kind in ("cancel_rejected", "replace_rejected", "order_status")
    ]
    rows = rows_of(accepted("1"), *said)
    assert [order["status"] for order in orders(rows)] == ["new"]
    assert len(rows.appended["order_events"]) == 4


def test_a_refusal_of_no_order_makes_none() -> None:
    no_order = "OrderEvent", event("1", "rejected", "rejected", 0, order_id="NONE")
    assert orders(rows_of(no_order)) == []


def test_a_duplicates_refusal_does_not_touch_the_order_whatever_its_version() -> None:
    refusal = event("1", "rejected", "rejected", 5, reason="ACCOUNTS_DUPLICATE_ORDER")
    for said in ([accepted("1"), ("OrderEvent", refusal)], [("OrderEvent", refusal), accepted("1")]):
        assert [order["status"] for order in orders(rows_of(*said))] == ["new"]


def test_an_order_that_was_rejected_and_entered_again_is_the_one_entered() -> None:
    rejected = "OrderEvent", event("1", "rejected", "rejected", 1, reason="ACCOUNTS_INVALID_QUANTITY")
    again = accepted("1", at_us=START_US + 60)
    for said in ([rejected, again], [again, rejected]):
        (order,) = orders(rows_of(*said))
        assert (order["status"], order["entered_at"]) == ("new", moment(START_US + 60))


def test_the_id_of_entry_outlives_a_replace() -> None:
    replaced = event("2", "replaced", "new", 2, order_id=accepted("1")[1]["order_id"])
    (order,) = orders(rows_of(accepted("1"), ("OrderEvent", replaced)))
    assert (order["client_order_id"], order["entry_id"]) == ("2", "1")


def test_an_older_position_does_not_replace_a_newer_one() -> None:
    rows = rows_of(position("A", "AAPL", 2, 20), position("A", "AAPL", 1, 10))
    (row,) = rows.latest["positions"].values()
    assert row[COLUMNS["positions"].index("total")] == f"{20 * ONE}e-8"


def test_a_market_order_has_no_limit_price() -> None:
    (order,) = orders(rows_of(accepted("1", limit_price=0, order_type="market")))
    assert order["limit_price"] is None


def test_an_undecodable_record_becomes_a_dead_letter_with_its_place() -> None:
    junk = Read("events", 3, 7, START_US, b"k", b"junk", "", {}, DecodeError("DECODE_NOT_FRAMED", "why"))
    (row,) = Rows("oms.{}.v1".format, [junk]).appended["dead_letters"]
    letter = dict(zip(COLUMNS["dead_letters"], row, strict=True))
    assert (letter["topic"], letter["partition"], letter["log_offset"]) == ("oms.events.v1", 3, 7)
    assert (letter["value"], letter["reason"]) == (b"junk", "DECODE_NOT_FRAMED")


def test_what_a_foreign_producer_sends_fits_the_columns() -> None:
    assert text("a\0b") == "a\ufffdb"
    assert len(text("x" * 5000)) == 257
    assert number(-(10**60)) == f"-{10**38 - 1}e-8"
    assert moment(2**62) == "9999-12-31T23:59:59.999999+00:00"
    assert moment(-5) == "1970-01-01T00:00:00+00:00"
