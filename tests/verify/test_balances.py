"""I7, I8, I10: books, positions, limits."""

from app.verify.records import CHANGELOG, Snapshot
from tests.verify.history import History

ONE = 10**8


def _row(history, order):
    return history.last(lambda s: s.kind == "BookOrderRow" and s.message["client_order_id"] == order)


def test_a_dropped_changelog_row_is_red() -> None:
    history = History()
    history.drop(_row(history, "end"))
    assert history.red() == {"I7"}


def test_a_changelog_row_with_another_quantity_is_red() -> None:
    history = History()
    history.change(_row(history, "end"), quantity=4 * ONE)
    assert history.red() == {"I7"}


def test_a_changelog_row_of_an_order_that_ended_is_red():
    history = History()
    gone = history.last(lambda s: s.short == CHANGELOG and s.value is None)
    history.drop(gone)
    assert history.red() == {"I7"}


def test_a_book_update_with_another_quantity_is_red() -> None:
    history = History()
    update = history.find("BookUpdate", which=-1, symbol="AAPL")
    levels = [{**level, "quantity": 9 * ONE} for level in update.message["asks"]]
    history.change(update, asks=levels)
    findings = history.verify()
    assert findings.red() == {"I7"}
    assert "ask 105: updates say 9 in 1 orders, events 3 in 1" in findings.shown[0].text


def test_a_book_update_with_another_checksum_is_red() -> None:
    history = History()
    history.change(history.find("BookUpdate", which=-1, symbol="AAPL"), checksum=1)
    assert history.red() == {"I7"}


def test_books_that_move_while_the_changelog_is_read_are_not_compared():
    history = History()
    history.drop(_row(history, "end"))
    verifier = history.verifier()
    event = history.last(lambda s: s.kind == "OrderEvent")
    verifier.take(history.event("order_status", "b1")._replace(offset=event.offset + 10))
    assert "I7" not in verifier.finish().red()


def test_a_position_that_is_no_sum_is_red() -> None:
    history = History()
    position = history.find("Position", which=-1, account="bob", asset="USD")
    history.change(position, total=position.message["total"] + 1)
    findings = history.verify()
    assert findings.red() == {"I7", "I8"}
    assert all("cash USD of bob" in found.text for found in findings.shown)


def test_a_missing_last_position_is_red() -> None:
    history = History()
    history.drop(history.find("Position", which=-1, account="bob", asset="USD"))
    assert history.red() == {"I7", "I8"}


def test_a_forgotten_release_is_red() -> None:
    history = History()
    position = history.find("Position", which=-1, account="carol", asset="USD")
    history.change(position, reserved=97 * ONE)
    assert history.red() == {"I7", "I8"}


def test_a_movement_that_counted_twice_is_red() -> None:
    history = History()
    report = history.find("ControlReport", outcome="rejected", control="MoveCash")
    history.change(report, outcome="applied", reason="NONE")
    assert history.red() == {"I1", "I8"}


def test_a_position_version_that_repeats_is_red() -> None:
    history = History()
    position = history.find("Position", which=2, account="bob", asset="USD")
    history.add(position, after=position)
    assert history.red() == {"I8"}


def test_a_position_on_its_way_is_no_violation():
    history = History()
    trade = history.find("Trade", which=-1, symbol="AAPL")
    ends = {("trades", trade.partition): trade.offset}
    history.drop(history.last(lambda s: s.kind == "Position" and s.message["asset"] == "AAPL"))
    assert history.verify(Snapshot(ends)).red() == set()


def test_reserving_more_cash_than_there_is_is_red() -> None:
    history = History()
    position = history.find("Position", which=3, account="alice", asset="USD")
    history.change(position, reserved=position.message["total"] + 1)
    assert history.red() == {"I10"}


def test_an_order_above_the_accounts_maximum_quantity_is_red() -> None:
    history = History()
    control = history.find("SetLimits", account="bob")
    history.change(control, max_order_quantity=9 * ONE)
    findings = history.verify()
    assert findings.red() == {"I7", "I10"}
    assert "quantity 10, limit 9" in findings.shown[0].text


def test_an_order_above_the_accounts_maximum_notional_is_red() -> None:
    history = History()
    history.change(history.find("SetLimits", account="bob"), max_order_notional=999 * ONE)
    assert history.red() == {"I7", "I10"}


def test_an_order_of_a_suspended_account_is_red() -> None:
    history = History()
    control = history.find("SetAccount", account="bob")
    history.change(control, status="suspended")
    assert history.red() == {"I7", "I10"}


def test_an_order_that_outlives_the_kill_switch_is_red() -> None:
    """The switch is of carol, the order of bob."""
    history = History()
    report = history.find("ControlReport", control_id="kill")
    order = history.event("accepted", "end2")
    history.change(order, account="carol", at_us=report.message["at_us"] - 3_000_000)
    assert "I10" in history.red()


def test_an_order_accepted_while_its_symbol_is_halted_is_red() -> None:
    history = History()
    rejected = history.event("rejected", "halted")
    assert rejected.message["reason"] == "RISK_HALTED"
    history.change(rejected, event="accepted", status="new", leaves_quantity=ONE, reason="NONE")
    assert "I10" in history.red()
