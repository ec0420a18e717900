"""Answers are matched to requests by account and offset, whichever is known first."""

from typing import Any

from app.reader import Read
from app.settings import Settings
from app.submit.answers import Answers
from app.writer import Place
from schemas.partitioning import lane_of
from schemas.records import Said

LANE = lane_of("A", 4)


def answers(terminal: bool = False) -> tuple[Answers, list[str]]:
    told: list[str] = []
    settings = Settings(_env_file=None, kafka="none:1", registry="http://none")
    listening = Answers(settings, terminal=terminal, heard=lambda read: told.append(read.message["event"]))
    return listening, told


def order(kind: str = "NewOrder") -> Said:
    return kind, {"account": "A"}


def place(offset: int) -> Place:
    return Place("oms.orders.v1", LANE, offset)


def event(name: str, offset: int, status: str = "new", **more: Any) -> Read:
    message = {
        "account": "A",
        "event": name,
        "status": status,
        "order_id": f"O{offset}",
        "version": 1,
        "reason": "NONE",
        "request_offset": offset,
        **more,
    }
    return Read("events", 0, 0, 0, None, b"", "OrderEvent", message, None)


def test_an_answer_after_the_confirmation_is_counted() -> None:
    listening, told = answers()
    listening.expect([order()])
    listening.sent([order()], [place(5)])
    assert listening.unanswered == 1
    listening.hear(event("accepted", 5))
    assert (listening.unanswered, told, listening.outcomes) == (0, ["accepted"], {"accepted": 1})


def test_what_answers_no_one_is_passed_over() -> None:
    listening, told = answers()
    listening.expect([order()])
    listening.sent([order()], [place(5)])
    listening.hear(Read("events", 0, 0, 0, None, b"", "QuoteTaken", {"symbol": "A"}, None))
    assert (listening.unanswered, told) == (1, [])


def test_an_answer_before_the_confirmation_is_counted_too() -> None:
    listening, told = answers()
    listening.expect([order()])
    listening.hear(event("rejected", 5, "rejected", reason="RISK_PRICE_BAND"))
    assert told == []
    listening.sent([order()], [place(5)])
    assert (listening.unanswered, told) == (0, ["rejected"])
    assert listening.reasons == {"RISK_PRICE_BAND": 1}


def test_only_the_first_event_of_a_request_answers_it() -> None:
    listening, told = answers()
    listening.expect([order()])
    listening.sent([order()], [place(5)])
    for name in ("accepted", "trade", "canceled"):
        listening.hear(event(name, 5))
    assert told == ["accepted"]


def test_a_cancel_is_answered_by_canceled_not_by_the_trade_before_it() -> None:
    listening, told = answers()
    listening.expect([order("CancelOrder")])
    listening.sent([order("CancelOrder")], [place(6)])
    listening.hear(event("trade", 6))
    assert listening.unanswered == 1
    listening.hear(event("cancel_rejected", 6, "filled", reason="ACCOUNTS_TOO_LATE"))
    assert told == ["cancel_rejected"]


def test_events_of_others_are_passed_over() -> None:
    listening, told = answers()
    listening.expect([order()])
    listening.sent([order()], [place(5)])
    listening.hear(event("accepted", 5, account="B"))
    listening.hear(event("accepted", 4))
    assert (listening.unanswered, told) == (1, [])


def test_with_terminal_an_order_is_awaited_to_its_end() -> None:
    listening, told = answers(terminal=True)
    listening.expect([order(), order()])
    listening.sent([order(), order()], [place(5), place(6)])
    listening.hear(event("accepted", 5))
    listening.hear(event("accepted", 6))
    assert (listening.unanswered, listening.unfinished) == (0, 2)
    listening.hear(event("trade", 5, "filled"))
    listening.hear(event("trade", 6, "partially_filled"))
    assert listening.unfinished == 1
    assert told == ["accepted", "accepted", "trade"]


def test_an_end_that_is_read_before_the_confirmation_counts() -> None:
    listening, _ = answers(terminal=True)
    listening.expect([order()])
    listening.hear(event("accepted", 5))
    listening.hear(event("canceled", 5, "canceled"))
    listening.sent([order()], [place(5)])
    assert (listening.unanswered, listening.unfinished) == (0, 0)


def test_the_refusal_of_a_duplicate_does_not_end_the_order_it_duplicates() -> None:
    listening, _ = answers(terminal=True)
    listening.expect([order(), order()])
    listening.sent([order(), order()], [place(5), place(6)])
    listening.hear(event("accepted", 5))
    listening.hear(event("rejected", 6, "rejected", order_id="O5", reason="ACCOUNTS_DUPLICATE_ORDER"))
    assert (listening.unanswered, listening.unfinished) == (0, 1)
