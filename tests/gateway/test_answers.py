"""Which event answers which request, without Kafka."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.gateway.answers import Answers, Wait
from app.gateway.flow import Flow, Flows
from app.gateway.problems import Problem

FLOWS = Flows(1, 1, 1, lambda _: "way")
REQUEST = {"account": "A1", "client_order_id": "c1"}


def event(offset: int, name: str, version: int = 1, **more: Any) -> dict[str, Any]:
    """An OrderEvent of A1."""
    return {
        "event": name,
        "account": "A1",
        "order_id": "O1",
        "status": "new",
        "request_offset": offset,
        "version": version,
    } | more


async def reached(answers: Answers, wait: Wait, offset: int, *events: dict[str, Any]) -> None:
    """Hears events while the wait goes on; none of them is late."""
    task = asyncio.create_task(answers.reached(wait, offset, 0.05))
    await asyncio.sleep(0)
    for each in events:
        answers.hear("OrderEvent", each)
    await task


async def test_only_the_event_of_its_own_account_and_offset_answers() -> None:
    answers = Answers(FLOWS)
    with answers.wait("NewOrder", REQUEST) as wait:
        other = event(7, "accepted", account="A2")
        await reached(answers, wait, 7, other, event(8, "accepted"), event(7, "accepted", order_id="MINE"))
    assert wait.answer is not None
    assert wait.answer["order_id"] == "MINE"


async def test_what_answers_no_one_is_passed_over() -> None:
    """A market's quotes and prevented self-trades are on the topic, too."""
    answers = Answers(FLOWS)
    with answers.wait("NewOrder", REQUEST) as wait:
        answers.hear("QuoteTaken", {"symbol": "A1", "bid": 1, "ask": 2, "last": 0, "at_us": 0})
        answers.hear("SelfTradePrevented", {"symbol": "A1", "price": 1, "quantity": 2})
        await reached(answers, wait, 7, event(7, "accepted"))
        assert wait.over


async def test_an_answer_that_overtakes_the_receipt_is_not_missed() -> None:
    answers = Answers(FLOWS)
    with answers.wait("NewOrder", REQUEST, terminal=True) as wait:
        answers.hear("OrderEvent", event(7, "accepted"))
        answers.hear("OrderEvent", event(7, "trade", 2, status="filled"))
        await answers.reached(wait, 7, 1)
    assert wait.over
    assert wait.latest is not None
    assert wait.latest["status"] == "filled"


async def test_a_fill_caused_by_a_request_does_not_answer_it() -> None:
    answers = Answers(FLOWS)
    with answers.wait("CancelOrder", REQUEST) as wait:
        await reached(answers, wait, 7, event(7, "trade"), event(7, "cancel_rejected"))
    assert wait.answer is not None
    assert wait.answer["event"] == "cancel_rejected"


async def test_a_wait_for_the_end_follows_the_order_that_the_answer_names() -> None:
    answers = Answers(FLOWS)
    with answers.wait("NewOrder", REQUEST, terminal=True) as wait:
        await reached(
            answers,
            wait,
            7,
            event(7, "order_status", 3, order_id="OLD"),
            event(1, "canceled", 2, order_id="OLD", status="canceled"),
            event(9, "canceled", 4, order_id="O1", status="canceled"),
            event(9, "canceled", 4, order_id="OLD", status="canceled", text="this"),
        )
    assert wait.over
    assert wait.latest is not None
    assert wait.latest["text"] == "this"


async def test_a_mass_cancel_is_answered_by_its_report_only() -> None:
    answers = Answers(FLOWS)
    with answers.wait("MassCancel", REQUEST) as wait:
        await reached(answers, wait, 7, event(7, "canceled"))
        assert wait.answer is None
        answers.hear("MassCancelReport", {"account": "A1", "request_offset": 7})
    assert wait.over


async def test_without_waits_nothing_is_decoded_and_nothing_is_kept() -> None:
    answers = Answers(FLOWS)
    record: Any = SimpleNamespace(value=b"..A1..")
    assert not answers.wants(record)
    with answers.wait("NewOrder", REQUEST) as wait:
        assert answers.wants(record)
        assert not answers.wants(SimpleNamespace(value=b"..B1.."))
        await reached(answers, wait, 7, event(7, "accepted"))
    assert not answers.wants(record)
    assert not any((answers._unplaced, answers._placed, answers._following, answers._keys))


async def test_an_answer_that_comes_after_the_wait_counts_as_one() -> None:
    flow = Flow(1, 1, 60)
    answers = Answers(cast(Flows, SimpleNamespace(of=lambda _: flow)))
    wait = answers.begin("NewOrder", REQUEST)
    await reached(answers, wait, 7)
    answers.leave(wait)
    with pytest.raises(Problem):
        flow.admit("NewOrder")
    answers.hear("OrderEvent", event(7, "accepted"))
    flow.admit("NewOrder")
    assert flow.rate() == 1
    assert not any((answers._unplaced, answers._placed, answers._following, answers._keys))


async def test_an_answer_that_nobody_waits_for_is_noticed_once() -> None:
    answers = Answers(FLOWS)
    noticed: list[Wait] = []
    wait = answers.begin("NewOrder", REQUEST)
    answers.notice(wait, 7, noticed.append)
    answers.hear("OrderEvent", event(7, "accepted"))
    answers.hear("OrderEvent", event(7, "accepted"))
    assert noticed == [wait]
    assert not any((answers._unplaced, answers._placed, answers._following, answers._keys))
