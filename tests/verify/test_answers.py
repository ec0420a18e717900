"""I1: whatever is wrong with an answer turns it red, and nothing else."""

from app.verify.records import Snapshot
from tests.verify.history import History


def test_a_missing_answer_is_red() -> None:
    history = History()
    history.drop(history.event("cancel_rejected", "nobody's"))
    findings = history.verify()
    assert findings.red() == {"I1"}
    request = history.find("CancelOrder", order="nobody's")
    assert findings.shown[0].places == (request.place,)


def test_a_doubled_answer_is_red_and_shows_both() -> None:
    history = History()
    answer = history.event("cancel_rejected", "nobody's")
    more = history.add(answer, after=answer)
    findings = history.verify()
    assert findings.red() == {"I1"}
    request = history.find("CancelOrder", order="nobody's")
    assert findings.shown[0].places == (request.place, answer.place, more.place)


def test_an_answer_to_no_request_is_red():
    history = History()
    answer = history.last(lambda seen: seen.message.get("event") == "cancel_rejected")
    history.add(answer, after=answer, request_offset=400)
    assert history.red() == {"I1"}


def test_an_answer_that_names_no_request_is_red() -> None:
    history = History()
    answer = history.event("cancel_rejected", "nobody's")
    history.add(answer, after=answer, request_offset=-1)
    findings = history.verify()
    assert findings.red() == {"I1"}
    assert findings.shown[0].text == "cancel_rejected names no request"


def test_an_answer_to_another_account_is_red() -> None:
    history = History()
    history.change(history.event("cancel_rejected", "nobody's"), account="mallory")
    assert history.red() == {"I1"}


def test_an_answer_of_another_kind_is_red() -> None:
    history = History()
    history.change(history.event("cancel_rejected", "nobody's"), event="replace_rejected")
    assert history.red() == {"I1"}


def test_an_answer_with_the_id_of_another_request_is_red() -> None:
    history = History()
    history.change(history.event("cancel_rejected", "nobody's"), request_id="x3")
    assert history.red() == {"I1"}


def test_an_order_accepted_with_other_terms_than_asked_is_red() -> None:
    history = History()
    history.change(history.find("NewOrder", client_order_id="end"), time_in_force="day")
    assert history.red() == {"I1"}


def test_an_order_id_that_is_not_made_of_the_order_is_red() -> None:
    history = History()
    order = history.event("accepted", "end")
    for seen in list(history.records):
        if seen.message.get("order_id") == order.message["order_id"]:
            history.change(seen, order_id="ABCDEFGHIJKLMNOP")
    assert history.red() == {"I1"}


def test_a_mass_cancel_without_a_report_is_red() -> None:
    history = History()
    history.drop(history.find("MassCancelReport"))
    assert history.red() == {"I1"}


def test_a_control_without_a_report_is_red() -> None:
    history = History()
    history.drop(history.find("ControlReport", control="ExpireDay"))
    assert history.red() == {"I1", "I6"}


def test_a_control_reported_twice_is_red() -> None:
    history = History()
    report = history.find("ControlReport", control="MoveCash")
    history.add(report, after=report)
    assert history.red() == {"I1"}


def test_an_undecodable_record_without_a_dead_letter_is_red() -> None:
    history = History()
    history.drop(history.find("DeadLetter"))
    assert history.red() == {"I1"}


def test_a_second_dead_letter_is_red() -> None:
    history = History()
    letter = history.find("DeadLetter")
    history.add(letter, after=letter)
    assert history.red() == {"I1"}


def test_a_dead_letter_with_other_bytes_is_red() -> None:
    history = History()
    history.change(history.find("DeadLetter"), value=b"other nonsense")
    assert history.red() == {"I1"}


def test_a_dead_letter_of_a_request_that_was_answered_is_red() -> None:
    history = History()
    letter, request = history.find("DeadLetter"), history.find("NewOrder", client_order_id="end")
    history.add(letter, after=letter, partition=request.partition, offset=request.offset)
    assert history.red() == {"I1"}


def test_a_request_that_became_a_dead_letter_for_its_unknown_schema_is_green() -> None:
    history = History()
    request = history.find("CancelOrder", order="nobody's")
    history.drop(history.event("cancel_rejected", "nobody's"))
    letter = history.find("DeadLetter")
    place = {"partition": request.partition, "offset": request.offset}
    what = {"reason": "DECODE_UNKNOWN_SCHEMA", "key": request.key, "value": request.value}
    history.add(letter, after=letter, **place, **what)
    assert history.red() == set()


def test_a_record_in_a_wrong_lane_without_its_copy_is_red() -> None:
    history = History()
    for seen in list(history.records):
        if seen.message.get("client_order_id") == "lost" and seen.forwarded:
            history.drop(seen)
    assert "I1" in history.red()


def test_a_copy_forwarded_twice_is_red():
    history = History()
    copy = next(seen for seen in history.records if seen.forwarded)
    last = history.last(lambda seen: (seen.short, seen.partition) == ("orders", copy.partition))
    history.add(copy, after=last)
    assert history.red() == {"I1"}


def test_a_record_whose_sender_marked_it_as_forwarded_is_no_copy_of_another():
    history = History()
    original = history.find("NewOrder", client_order_id="lost")
    answer = history.find("DeadLetter")
    last = history.last(lambda seen: (seen.short, seen.partition) == ("orders", original.partition))
    forged = history.add(original._replace(forwarded=True), after=last)
    place = {"partition": forged.partition, "offset": forged.offset}
    what = {"reason": "LANE_MISROUTED", "key": forged.key, "value": forged.value}
    history.add(answer, after=answer, **place, **what)
    assert history.red() == set()


def test_a_record_in_a_wrong_lane_that_was_answered_there_as_well_is_red() -> None:
    history = History()
    lost = next(
        s for s in history.records if s.message.get("client_order_id") == "lost" and s.short == "orders"
    )
    answer = history.find("OrderEvent", event="rejected", client_order_id="late")
    history.add(answer, after=answer, request_offset=lost.offset)
    assert history.red() == {"I1"}


def test_what_came_after_the_snapshot_need_not_be_answered_yet():
    history = History()
    answer = history.last(lambda seen: seen.message.get("event") == "cancel_rejected")
    history.drop(answer)
    request = history.find("CancelOrder", which=-1)
    before = Snapshot({("orders", request.partition): request.offset})
    assert history.verify(before).red() == set()
    assert list(history.verifier(before).waiting()) == []
    after = Snapshot({("orders", request.partition): request.offset + 1})
    assert list(history.verifier(after).waiting()) == [request.place]
    assert history.verify(after).red() == {"I1"}


def test_an_unreadable_record_of_a_lane_is_red() -> None:
    history = History()
    event = history.event("cancel_rejected", "nobody's")
    history.records[history.records.index(event)] = event._replace(kind="", message={}, error="DECODE_FAILED")
    assert history.red() == {"I1"}
