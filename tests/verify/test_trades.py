"""I4, I5, I6: trades, their sides, their numbers and their priority."""

from tests.verify.history import History

ONE = 10**8


def test_a_trade_price_that_is_off_is_red_and_so_is_the_cash() -> None:
    history = History()
    trade = history.find("Trade")
    history.change(trade, price=trade.message["price"] + 1_000_000)
    assert history.red() == {"I4", "I8"}


def test_a_side_filled_at_another_price_is_red() -> None:
    history = History()
    history.change(history.event("trade", "m2"), last_price=99 * ONE)
    assert history.red() == {"I3", "I4", "I6"}


def test_a_trade_of_an_order_that_was_not_there_is_red() -> None:
    history = History()
    history.change(history.find("Trade"), maker_order_id="ABCDEFGHIJKLMNOP")
    assert history.red() == {"I4"}


def test_a_trade_with_a_wrong_aggressor_is_red_and_so_are_positions() -> None:
    history = History()
    history.change(history.find("Trade"), aggressor_side="sell")
    assert history.red() == {"I4", "I8"}


def test_a_trade_that_names_another_order_of_the_account_is_red() -> None:
    history = History()
    history.change(history.find("Trade"), taker_client_order_id="b2")
    assert history.red() == {"I4"}


def test_a_trade_beyond_the_takers_limit_is_red() -> None:
    history = History()
    for seen in list(history.records):
        if seen.message.get("client_order_id") == "ioc" and seen.message.get("limit_price"):
            history.change(seen, limit_price=99 * ONE)
    assert history.red() == {"I4", "I6"}


def test_a_trade_at_another_price_than_the_makers_limit_is_red() -> None:
    history = History()
    for seen in list(history.records):
        if seen.message.get("client_order_id") == "s1" and seen.message.get("limit_price"):
            history.change(seen, limit_price=99 * ONE)
    findings = history.verify()
    assert findings.red() == {"I4", "I6"}
    assert "the maker's limit is 99" in next(f.text for f in findings.shown if f.invariant == "I4")


def test_a_missing_trade_record_is_red() -> None:
    history = History()
    history.drop(history.find("Trade", which=-1))
    assert history.red() == {"I4", "I7", "I8"}


def test_a_doubled_trade_is_red_and_counted_once() -> None:
    history = History()
    trade = history.find("Trade", sequence=2, symbol="AAPL")
    later = history.add(trade, after=trade)
    findings = history.verify()
    assert findings.red() == {"I5"}
    assert findings.shown[0].places == (trade.place, later.place)


def test_a_gap_in_the_sequence_is_red() -> None:
    history = History()
    trade = history.find("Trade", which=-1, symbol="AAPL")
    sequence = trade.message["sequence"] + 1
    for seen in [s for s in history.records if s.message.get("trade_id") == trade.message["trade_id"]]:
        names = {"trade_id": f"AAPL-{sequence}"} | ({"sequence": sequence} if seen.kind == "Trade" else {})
        history.change(seen, **names)
    assert history.red() == {"I5", "I7"}


def test_a_gap_in_the_book_updates_is_red() -> None:
    history = History()
    history.drop(history.find("BookUpdate", which=3, symbol="AAPL"))
    assert history.red() == {"I5"}


def test_a_younger_order_that_trades_first_is_red() -> None:
    """The log has s2 before s1, matching traded s1 first."""
    history = History()
    history.swap(
        history.find("ClearedOrder", client_order_id="s1"), history.find("ClearedOrder", client_order_id="s2")
    )
    findings = history.verify()
    assert findings.red() == {"I6"}
    assert "a naive book says" in findings.shown[0].text


def test_a_worse_price_that_trades_first_is_red() -> None:
    history = History()
    s1, s3 = (history.find("ClearedOrder", client_order_id=name) for name in ("s1", "s3"))
    history.change(s1, limit_price=s3.message["limit_price"])
    history.change(s3, limit_price=s1.message["limit_price"])
    assert history.red() == {"I6"}


def test_what_matching_says_of_a_command_that_nobody_gave_is_red() -> None:
    history = History()
    history.drop(history.find("ClearedOrder", which=-1, symbol="AAPL"))
    assert history.red() == {"I6"}


def test_a_command_that_matching_never_spoke_of_is_red() -> None:
    history = History()
    command = history.find("ClearedOrder", client_order_id="end2")
    history.add(command, after=command, order_id="ABCDEFGHIJKLMNOP", client_order_id="more")
    assert history.red() == {"I6"}


def test_a_kill_switch_that_did_not_cancel_is_red() -> None:
    history = History()
    history.drop(history.event("canceled", "k1"))
    assert "I6" in history.red()
    assert "I10" in history.red()


def test_an_order_that_survives_the_end_of_its_day_is_red() -> None:
    history = History()
    command = history.find("ClearedOrder", client_order_id="d2")
    history.change(command, time_in_force="day")
    assert history.red() == {"I6"}


def test_an_order_that_expires_although_it_is_good_till_canceled_is_red() -> None:
    history = History()
    command = history.find("ClearedOrder", client_order_id="d1")
    history.change(command, time_in_force="gtc")
    assert history.red() == {"I6"}


def test_a_replace_that_keeps_its_place_although_it_should_not_is_red() -> None:
    """r1 came before r2; had its quantity grown, r2 would have been before it at one price."""
    history = History()
    replace = history.find("ClearedReplace", request_id="r1b")
    history.change(replace, quantity=20 * ONE)
    assert history.red() == {"I6"}


def test_a_symbol_whose_history_is_broken_is_not_replayed_and_says_so() -> None:
    history = History()
    end = history.event("expired", "d1")
    history.add(end, after=end)
    findings = history.verify()
    assert findings.notes == [
        "I6: AAPL is replayed no further: the history of one of its orders is broken (I2)"
    ]
