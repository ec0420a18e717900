"""I2, I3, I9: whatever is wrong in the life of an order turns them red."""

from tests.verify.history import History

ONE = 10**8


def test_a_fill_after_the_end_is_red() -> None:
    history = History()
    end = history.event("canceled", "r1b")
    history.add(end, after=end, event="trade", status="canceled", version=5)
    findings = history.verify()
    assert findings.red() == {"I2"}
    assert findings.shown[0].order_id == end.message["order_id"]


def test_a_doubled_end_is_red() -> None:
    history = History()
    end = history.event("expired", "d1")
    history.add(end, after=end)
    assert history.red() == {"I2"}


def test_a_doubled_acceptance_is_red() -> None:
    history = History()
    accepted = history.event("accepted", "end")
    history.add(accepted, after=accepted)
    assert history.red() == {"I1", "I2"}


def test_a_doubled_fill_is_red_and_counted_once() -> None:
    history = History()
    fill = history.event("trade", "s1")
    history.add(fill, after=fill)
    assert history.red() == {"I2"}


def test_a_hole_in_the_versions_is_red() -> None:
    history = History()
    history.change(history.event("expired", "d1"), version=3)
    assert history.red() == {"I2"}


def test_a_status_that_the_event_does_not_lead_to_is_red() -> None:
    history = History()
    history.change(history.event("expired", "d1"), status="canceled")
    assert history.red() == {"I2"}


def test_an_order_that_changes_sides_is_red() -> None:
    history = History()
    history.change(history.event("expired", "d1"), side="sell")
    assert history.red() == {"I2"}


def test_an_event_of_an_order_that_was_never_accepted_is_red() -> None:
    history = History()
    history.change(history.event("expired", "d1"), order_id="ABCDEFGHIJKLMNOP")
    assert "I2" in history.red()


def test_an_order_that_is_entered_again_after_its_end_is_red():
    """What a worker without deduplication does: each request has its answer, the order lives twice."""
    history = History()
    repeat = history.find("NewOrder", which=1, client_order_id="b1", quantity=5 * ONE)
    answer = history.find(
        "OrderEvent", request_offset=repeat.offset, event="order_status", client_order_id="b1"
    )
    history.drop(answer)
    command = history.find("ClearedOrder", client_order_id="b1")
    later = history.last(lambda s: (s.short, s.partition) == ("cleared", command.partition))
    again = history.add(
        command, after=later, request_offset=repeat.offset, time_in_force="ioc", limit_price=1
    )
    assert again.offset > later.offset
    event = history.last(lambda s: (s.kind, s.partition) == ("OrderEvent", command.partition))
    accepted = {**history.event("accepted", "b1").message, "request_offset": repeat.offset}
    first = history.add(event, after=event, **accepted)
    ended = accepted | {"event": "canceled", "status": "canceled", "version": 2, "leaves_quantity": 0}
    history.add(first, after=first, **(ended | {"reason": "MATCHING_NO_LIQUIDITY"}))
    assert "I2" in history.red()


def test_an_order_both_accepted_and_rejected_is_red() -> None:
    history = History()
    rejected = history.event("rejected", "big")
    history.change(rejected, order_id=history.event("accepted", "s1").message["order_id"])
    assert history.red() == {"I2"}


def test_a_status_that_matching_does_not_have_is_red() -> None:
    history = History()
    history.change(history.event("order_status", "m1"), version=3)
    assert history.red() == {"I2"}


def test_a_wrong_cum_quantity_is_red() -> None:
    history = History()
    history.change(history.event("expired", "s3"), cum_quantity=4 * ONE)
    findings = history.verify()
    assert findings.red() == {"I3"}
    assert findings.shown[0].text == "expired: cum_quantity 4, fills sum to 3"


def test_a_wrong_average_price_is_red() -> None:
    history = History()
    event = history.event("trade", "b2", which=-1)
    history.change(event, average_price=event.message["average_price"] + 1)
    assert history.red() == {"I3"}


def test_quantity_left_after_the_end_is_red() -> None:
    history = History()
    history.change(history.event("expired", "d1"), leaves_quantity=2 * ONE)
    assert history.red() == {"I3", "I6"}


def test_a_quantity_that_changes_without_a_replace_is_red() -> None:
    history = History()
    history.change(history.event("expired", "d1"), quantity=3 * ONE)
    assert history.red() == {"I3"}


def test_a_rejected_order_with_fills_is_red() -> None:
    history = History()
    history.change(history.event("rejected", "big"), cum_quantity=ONE)
    assert history.red() == {"I3"}


def test_an_answer_from_before_its_request_is_red() -> None:
    history = History()
    answer = history.event("cancel_rejected", "nobody's")
    history.change(answer, at_us=answer.message["at_us"] - 5_000_000)
    assert history.red() == {"I9"}


def test_a_step_from_before_the_step_before_it_is_red() -> None:
    history = History()
    event = history.event("expired", "d1")
    history.change(event, at_us=event.message["at_us"] - 5_000_000)
    assert history.red() == {"I6", "I9"}


def test_clocks_may_differ_by_less_than_a_second() -> None:
    history = History()
    answer = history.event("cancel_rejected", "nobody's")
    history.change(answer, at_us=answer.message["at_us"] - 900_000)
    assert history.red() == set()


def test_an_order_ended_by_a_mass_cancel_that_nobody_sent_is_red() -> None:
    history = History()
    request = history.find("NewOrder", client_order_id="c1")
    for kind in ("OrderEvent", "ClearedCancel"):
        history.change(
            history.find(kind, client_order_id="c1", reason="MATCHING_MASS_CANCELED"),
            request_offset=request.offset,
        )
    assert history.red() == {"I9"}
