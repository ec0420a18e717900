"""How many unanswered requests a gateway takes, by a clock of the test's own."""

import pytest

from app.gateway.flow import Flow, Flows
from app.gateway.problems import Problem


class Clock:
    """Seconds that pass when they are told to, and what was sent and not answered since."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.sent: list[tuple[float, object]] = []

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flow(clock: Clock) -> Flow:
    """Target half a second, at least 10 unanswered, none older than 3 seconds."""
    return Flow(0.5, 10, 3, clock)


def refused(flow: Flow, kind: str = "NewOrder") -> Problem:
    with pytest.raises(Problem) as found:
        flow.admit(kind)
    assert found.value.code == "OVERLOADED"
    return found.value


def steady(flow: Flow, clock: Clock, per_s: int, latency_s: float, seconds: float) -> int:
    """An endless queue of clients before a system of so many answers a second; the most in flight."""
    sent, most, end_s = clock.sent, 0, clock.now_s + seconds
    while clock.now_s < end_s:
        try:
            while True:
                flow.admit("NewOrder")
                request = object()
                flow.sent(request)
                sent.append((clock.now_s, request))
        except Problem:
            most = max(most, len(sent))
        clock.now_s += 1 / per_s
        if sent and sent[0][0] + latency_s <= clock.now_s:
            flow.answered(sent.pop(0)[1])
    return most


def test_a_quiet_system_takes_the_floor_and_no_more(flow: Flow) -> None:
    for number in range(10):
        flow.admit("NewOrder")
        flow.sent(number)
    assert refused(flow).document()["retry_after_s"] == 2
    flow.answered(3)
    flow.admit("NewOrder")


def test_a_faster_system_gets_as_many_as_it_answers_within_the_target(flow: Flow, clock: Clock) -> None:
    steady(flow, clock, 1000, 0.01, 5)
    assert flow.limit() == pytest.approx(500, rel=0.02)
    assert steady(flow, clock, 1000, 0.01, 5) <= 520
    while len(clock.sent) < flow.limit():
        flow.sent(object())
        clock.sent.append((clock.now_s, object()))
    assert refused(flow).document()["retry_after_s"] == 1


def test_the_limit_follows_a_system_that_gets_slower_within_a_second(flow: Flow, clock: Clock) -> None:
    steady(flow, clock, 1000, 0.01, 5)
    steady(flow, clock, 100, 0.01, 10)
    assert flow.limit() == pytest.approx(50, rel=0.05)
    assert steady(flow, clock, 100, 0.01, 5) <= 60


def test_nothing_is_taken_while_the_oldest_waits_too_long_but_cancels_a_little_longer(
    flow: Flow, clock: Clock
) -> None:
    flow.sent("old")
    clock.now_s += 4
    refused(flow)
    flow.admit("CancelOrder")
    clock.now_s += 3
    refused(flow, "CancelOrder")
    flow.given_up("old")
    flow.admit("NewOrder")


def test_cancels_have_twice_the_room(flow: Flow) -> None:
    for number in range(19):
        flow.sent(number)
    refused(flow)
    refused(flow, "ReplaceOrder")
    flow.admit("CancelOrder")
    flow.sent(19)
    refused(flow, "MassCancel")


def test_a_way_that_stands_still_holds_up_no_other(clock: Clock) -> None:
    flows = Flows(0.5, 10, 3, lambda message: message["symbol"], clock)
    for number in range(10):
        flows.of({"symbol": "A"}).sent(number)
    clock.now_s += 4
    refused(flows.of({"symbol": "A"}))
    flows.of({"symbol": "B"}).admit("NewOrder")
