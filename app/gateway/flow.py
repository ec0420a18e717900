"""How much this gateway takes: so many unanswered requests as the system answers within the target latency.

Rules, by Little's law and for each way through the pipeline (the lane of the account, that of the symbol) by
itself, so that lanes which stand still hold up no others: at most `answers a second x target` requests are
unanswered, and never less than a floor, so that a quiet way can become a busy one. While the oldest of them
is older than `age_max_s`, as behind another producer's flood or in a fail-over, nothing is taken.
Cancels have twice that room, and controls are never refused. What is refused was certainly not sent (503
OVERLOADED with Retry-After). A request without an answer is given up after ten seconds (app.gateway.answers),
so that a lost event blocks nothing for ever.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from app.gateway import metrics
from app.gateway.problems import Problem

_RATE_S = 1.0
_RETRY_S_MAX = 30
# What lessens the load is let in longer.
_ROOM = {"CancelOrder": 2.0, "MassCancel": 2.0, "CancelAllAfter": 2.0}


class Flows:
    """The flow of each way; `way_of` gives the way of a request, of which there must be few."""

    def __init__(
        self,
        target_s: float,
        floor: int,
        age_max_s: float,
        way_of: Callable[[Mapping[str, Any]], Hashable],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._made = (target_s, floor, age_max_s, now)
        self._way_of = way_of
        self._flows: dict[Hashable, Flow] = {}

    def of(self, message: Mapping[str, Any]) -> "Flow":
        """The flow that a request belongs to."""
        way = self._way_of(message)
        flow = self._flows.get(way)
        if flow is None:
            flow = self._flows[way] = Flow(*self._made)
        return flow


class Flow:
    """Unanswered requests of this process on one way, and whether another one is taken."""

    def __init__(
        self, target_s: float, floor: int, age_max_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._target_s = target_s
        self._floor = floor
        self._age_max_s = age_max_s
        self._now = now
        # In the order in which they were sent.
        self._unanswered: dict[Hashable, float] = {}
        self._answers: deque[float] = deque()

    def admit(self, kind: str) -> None:
        """Raises Problem OVERLOADED when a request of this record name is not taken."""
        room = _ROOM.get(kind, 1.0)
        if self.age_s() > self._age_max_s * room:
            raise self._refused("age", f"the oldest request waits for {self.age_s():.1f} s")
        limit = self.limit() * room
        if len(self._unanswered) >= limit:
            raise self._refused("in_flight", f"{len(self._unanswered)} requests are unanswered")

    def sent(self, request: Hashable) -> None:
        """A request goes to Kafka."""
        self._unanswered[request] = self._now()
        metrics.IN_FLIGHT.inc()

    def answered(self, request: Hashable) -> None:
        """It was answered; once more changes nothing."""
        began_s = self._unanswered.pop(request, None)
        if began_s is None:
            return
        now_s = self._now()
        self._answers.append(now_s)
        self._forget_answers(now_s)
        metrics.ANSWER_SECONDS.observe(now_s - began_s)
        metrics.IN_FLIGHT.dec()

    def given_up(self, request: Hashable) -> None:
        """It was not sent, or its answer is not waited for any longer."""
        if self._unanswered.pop(request, None) is not None:
            metrics.IN_FLIGHT.dec()

    def limit(self) -> int:
        """Most unanswered requests with which a new one is taken."""
        return max(self._floor, round(self.rate() * self._target_s))

    def rate(self) -> float:
        """Answers a second, over the last one."""
        self._forget_answers(self._now())
        return len(self._answers) / _RATE_S

    def age_s(self) -> float:
        """Age of the oldest unanswered request; 0 without any."""
        oldest = next(iter(self._unanswered.values()), None)
        return 0.0 if oldest is None else self._now() - oldest

    def _forget_answers(self, now_s: float) -> None:
        while self._answers and self._answers[0] <= now_s - _RATE_S:
            self._answers.popleft()

    def _refused(self, why: str, words: str) -> Problem:
        metrics.REFUSED.labels(why).inc()
        rate = self.rate()
        # When what is under way will be done; without any answers, nobody knows.
        wait_s = math.ceil(len(self._unanswered) / rate) if rate else 2
        return Problem(
            "OVERLOADED",
            f"{words}; {rate:.0f} a second are answered on this way",
            headers={"Retry-After": str(min(_RETRY_S_MAX, max(1, wait_s)))},
        )
