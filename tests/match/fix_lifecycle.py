"""FIX's life-cycle scenarios: `python -m tests.match.fix_lifecycle` prints which pass, and why others cannot.

The engine decides; its events are told as FIX's execution reports by a small order handler (below), which
does what a FIX gateway would: it acknowledges requests as pending, shows the status of the highest
precedence, remembers finished orders. Every change of status is looked up in the table of tables/orders.py.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tables.engine import Engine
from tables.orders import PRECEDENCE, TERMINAL, TRANSITIONS
from tests.match.fix_scenarios import SCENARIOS, Scenario
from tests.naive.desk import AnyEngine

# FIX 4.4, appendix D: what the table of the project has, and the two states that only requests bring.
FIX_PRECEDENCE: dict[str, int] = {"pending_replace": 11, "pending_cancel": 12}
FIX_PRECEDENCE.update(PRECEDENCE.items())
PRICE = 100
# Rows that are told in another word here; the scenario's remark says so.
TOLD_AS = {"done_for_day": "expired"}


class Outcome(NamedTuple):
    """A scenario and where it went another way; rows of a refusal that the venue never gives are counted."""

    scenario: Scenario
    rows: int
    skipped: int
    wrong: tuple[str, ...]


class Request(NamedTuple):
    """A message that is not decided yet."""

    kind: str
    name: str
    of: str
    quantity: int
    force: str


class Handler:
    """An order handler in front of an engine: messages in, reports out, each as a line of a scenario."""

    def __init__(self, engine: AnyEngine, liquidity: int = 0) -> None:
        self._engine = engine
        self._at_us = 0
        self._counters = 0
        self._requests: dict[str, Request] = {}
        self._pending: dict[str, str] = {}
        self._reports: deque[str] = deque()
        self._order: dict[str, Any] = {}
        self._finished: dict[str, str] = {}
        self._liquidity = liquidity

    # What comes in.

    def receive(self, kind: str, *words: str) -> None:
        """Takes a message; it is decided when its answer is asked for."""
        name, *rest = words
        of = rest[1] if rest[:1] == ["of"] else ""
        numbers = rest[2:] if of else rest
        quantity = int(numbers[0]) if numbers else 0
        if kind == "status":
            return
        self._requests[name] = Request(kind, name, of, quantity, numbers[1] if len(numbers) > 1 else "day")
        if kind == "new" and not self._order:
            self._order = {"id": name, "status": "pending_new", "quantity": quantity, "cum": 0}

    def event(self, what: str) -> None:
        """What happens without a message."""
        does: dict[str, tuple[dict[str, Any], ...]] = {
            "cancel_agreed_by_voice": ({"type": "mass_cancel", "account": "me"},),
            "trading_halt_starts": ({"type": "control", "action": "halt"}, {"type": "mass_cancel"}),
            "end_of_day": ({"type": "control", "action": "expire_day"},),
            "next_day": (
                {"type": "control", "action": "closed"},
                {"type": "control", "action": "expire_day"},
                {"type": "control", "action": "continuous"},
            ),
        }
        for command in does[what]:
            self._apply(command)

    # What goes out.

    def answer(self, row: str) -> str:
        """The next report; does what the row is about where nothing is waiting to be told."""
        if not self._reports:
            words = row.split()
            name, of = words[0], words[2] if words[1] == "of" else ""
            kind = words[3] if of else words[1]
            self._act(kind, name, int(words[-1]) if kind in ("trade", "restated") else 0, row)
        return self._reports.popleft() if self._reports else "nothing"

    def refusal(self, row: str) -> str:
        """The report of the branch that refuses: the market is halted for a moment; "": it never does."""
        name = row.split()[0]
        request, state = self._requests[name], (dict(self._order), dict(self._pending))
        if request.kind == "cancel" or self._order.get("status") in TERMINAL:
            return ""
        self._apply({"type": "control", "action": "halt"})
        self._pending.pop(name, None)
        self._decide(request)
        self._apply({"type": "control", "action": "continuous"})
        self._order, self._pending = state
        self._requests[name] = request
        return self._reports.popleft()

    def left(self) -> list[str]:
        """Reports that nobody asked for."""
        return list(self._reports)

    def _act(self, kind: str, name: str, quantity: int, row: str) -> None:
        if kind in ("pending_cancel", "pending_replace"):
            self._pending[name] = kind
            self._tell(name, self._requests[name].of, kind)
        elif kind == "trade":
            self._counter(quantity)
        elif kind == "restated":
            wanted = int(row.split()[3])
            self._counter(self._order["quantity"] - wanted, account="me", stp="decrement")
        elif kind == "order_status":
            self._status(name)
        elif kind == "cancel_reject" and self._overtakes(name):
            self._reports.append(f"{name} of {self._order['id']} cancel_reject {self._shown()} {_ALREADY}")
        elif kind == "cancel_reject" and self._is_live(self._requests[name].of):
            self._reports.append(self.refusal(row))
            self._pending.pop(name, None)
        elif name in self._requests:
            self._decide(self._requests[name])

    def _overtakes(self, name: str) -> bool:
        """Whether a replace came while another is under way: one at a time."""
        others = [pending for pending in self._pending if pending != name]
        return self._requests[name].kind == "replace" and bool(others)

    def _is_live(self, name: str) -> bool:
        return self._order.get("id") == name and self._order["status"] not in TERMINAL

    def _decide(self, request: Request) -> None:
        """Hands a request to the engine."""
        self._pending.pop(request.name, None)
        del self._requests[request.name]
        if request.kind == "new":
            if self._liquidity:
                self._counter(self._liquidity, time_in_force="day")
            order = {"side": "buy", "order_type": "limit", "limit_price": PRICE, "quantity": request.quantity}
            named = {"client_order_id": request.name, "time_in_force": request.force}
            self._apply({"type": "new_order", "account": "me", **order, **named}, request)
        else:
            change = {"client_order_id": request.name, "quantity": request.quantity}
            command = {"type": f"{request.kind}_order", "account": "me", "order": request.of}
            self._apply(command | (change if request.kind == "replace" else {}), request)

    def _counter(self, quantity: int, account: str = "other", **fields: Any) -> None:
        self._counters += 1
        order = {"client_order_id": f"c{self._counters}", "side": "sell", "order_type": "limit"}
        terms = {"limit_price": PRICE, "quantity": quantity, "time_in_force": "ioc", **fields}
        self._apply({"type": "new_order", "account": account, **order, **terms})

    def _apply(self, command: dict[str, Any], request: Request | None = None) -> None:
        self._at_us += 1
        for happening in self._engine.apply({"symbol": "S", **command}, self._at_us):
            self._hear(happening, request)
        self._engine.check()

    # Events of the engine as reports.

    def _hear(self, happening: dict[str, Any], request: Request | None) -> None:
        event = happening["event"]
        if event == "trade":
            for party in (happening["maker"], happening["taker"]):
                if party["account"] == "me":
                    step = "filled" if party["status"] == "filled" else "partially_filled"
                    self._move(step, party)
                    self._tell(party["client_order_id"], "", "trade", happening["quantity"])
        elif happening.get("account") != "me" or happening.get("client_order_id", "").startswith("c"):
            return
        elif event in ("cancel_rejected", "replace_rejected"):
            self._refuse(happening, request)
        elif event == "rejected":
            self._reject(happening)
        else:
            self._change(happening, request)

    def _change(self, happening: dict[str, Any], request: Request | None) -> None:
        event = happening["event"]
        closes = event == "replaced" and happening["status"] == "filled"
        self._move("closed" if closes else event, happening)
        if event == "accepted":
            self._tell(self._order["id"], "", "new")
        elif request is not None and request.of:
            self._tell(request.name, request.of, event)
        else:
            # Nobody asked for it.
            self._tell(self._order["id"], "", "restated" if event == "replaced" else event)

    def _move(self, step: Any, shown: dict[str, Any]) -> None:
        """Takes the engine's word, if the life-cycle table allows the step."""
        status = TRANSITIONS[self._order["status"]].get(step)
        assert status == shown["status"], f"{self._order['status']}: {step} is no step to {shown['status']}"
        self._order |= {"id": shown["client_order_id"], "status": status, "cum": shown["cum_quantity"]}
        self._order["quantity"] = shown.get("quantity", self._order["quantity"])
        if status in TERMINAL:
            self._finished[self._order["id"]] = status

    def _shown(self) -> str:
        """The status of the highest precedence."""
        return max(
            (self._order["status"], *self._pending.values()), key=lambda status: FIX_PRECEDENCE[status]
        )

    def _tell(self, name: str, of: str, kind: str, last: int = 0) -> None:
        status, cum, quantity = self._order["status"], self._order["cum"], self._order["quantity"]
        leaves = 0 if status in TERMINAL else quantity - cum
        named = f"{name} of {of}" if of else name
        self._reports.append(f"{named} {kind} {self._shown()} {quantity} {cum} {leaves} {last}")

    def _status(self, name: str) -> None:
        if self._order.get("id") == name:
            self._tell(name, "", "order_status")
        else:
            self._reports.append(f"{name} order_status rejected 0 0 0 0")

    def _reject(self, happening: dict[str, Any]) -> None:
        """A new order was refused; where its id is that of a live order, the report shows that one."""
        if self._order["status"] == "pending_new":
            assert TRANSITIONS["pending_new"]["rejected"] == happening["status"]
            self._reports.append(
                f"{happening['client_order_id']} rejected rejected {happening['quantity']} 0 0 0"
            )
        else:
            assert happening["reason"] == "MATCHING_DUPLICATE_ORDER"
            self._tell(happening["client_order_id"], "", "rejected")

    def _refuse(self, happening: dict[str, Any], request: Request | None) -> None:
        assert request is not None
        status, reason = self._shown() if self._order else happening["status"], ""
        if happening["reason"] == "MATCHING_UNKNOWN_ORDER":
            # The engine forgets what is finished; who it asked for is remembered outside.
            status = self._finished.get(request.of, "rejected")
            reason = "" if request.of in self._finished else " unknown_order"
        self._reports.append(f"{request.name} of {request.of} cancel_reject {status}{reason}")


_ALREADY = "already_pending_cancel_or_replace"


def run(scenario: Scenario, engine: AnyEngine) -> Outcome:
    """Runs a scenario through an engine."""
    steps = [line.split(maxsplit=1) for line in scenario.steps.strip().splitlines()]
    at_once = any(line.endswith((" ioc", " fok")) for _, line in steps)
    trades = sum(int(line.split()[-1]) for _, line in steps if " trade " in line)
    handler = Handler(engine, trades if at_once else 0)
    rows, skipped, wrong = 0, 0, []
    for verb, line in steps:
        if verb == "in":
            handler.receive(*line.split())
        elif verb == "event":
            handler.event(line)
        else:
            refused = verb == "alt"
            expected = line.removeprefix("out ") if refused else line
            said = handler.refusal(expected) if refused else handler.answer(expected)
            rows += 1
            skipped += not said
            if said and said != _told(expected):
                wrong.append(f"{scenario.id}: expected {_told(expected)}, not {said}")
    wrong += [f"{scenario.id}: nobody expected {report}" for report in handler.left()]
    return Outcome(scenario, rows, skipped, tuple(wrong))


def _told(row: str) -> str:
    return " ".join(TOLD_AS.get(word, word) for word in row.split())


def outcomes(engine: Callable[[], AnyEngine]) -> Iterator[Outcome]:
    """Every scenario that can run, each through an engine of its own."""
    for scenario in SCENARIOS:
        if not scenario.missing:
            yield run(scenario, engine())


def summary(engine: Callable[[], AnyEngine]) -> list[str]:
    """What passes and what cannot run, in lines."""
    found = list(outcomes(engine))
    passed = [outcome for outcome in found if not outcome.wrong]
    sure = sum(outcome.scenario.known != "reconstructed" for outcome in passed)
    others = [scenario for scenario in SCENARIOS if scenario.missing]
    lines = [
        f"{len(passed)} of {len(SCENARIOS)} scenarios pass: {sure} from tables that were read or that other "
        f"texts tell of, {len(passed) - sure} reconstructed from rules. {len(others)} cannot run here."
    ]
    lines += [wrong for outcome in found for wrong in outcome.wrong]
    lines += [f"{scenario.id} {scenario.title}: {scenario.missing}." for scenario in others]
    return lines


def main() -> None:
    """Prints the summary, by the pipeline's engine."""
    print("\n".join(summary(Engine)))


if __name__ == "__main__":
    main()
