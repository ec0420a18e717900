"""What docs/match.md and docs/fix-lifecycle.md show: made by running it."""

from app.match.filter import Filter
from app.match.run import run
from tables.engine import Engine
from tables.orders import PRECEDENCE, TERMINAL, TRANSITIONS
from tests.docs.tables import table
from tests.match import fix_lifecycle
from tests.match.fix_scenarios import SCENARIOS

# A small market: an iceberg, a stop that a trade triggers, and an auction.
EXAMPLE = """\
{"type": "new_order", "symbol": "ACME", "account": "anna", "client_order_id": "a1", "side": "sell", \
"order_type": "limit", "quantity": "30", "limit_price": "10.00", "display_quantity": "10"}
{"type": "new_order", "symbol": "ACME", "account": "bob", "client_order_id": "b1", "side": "sell", \
"order_type": "limit", "quantity": 5, "limit_price": 10.00}
{"type": "new_order", "symbol": "ACME", "account": "carl", "client_order_id": "c1", "side": "buy", \
"order_type": "stop", "quantity": "2", "stop_price": "10"}
{"type": "new_order", "symbol": "ACME", "account": "dora", "client_order_id": "d1", "side": "buy", \
"order_type": "limit", "quantity": "12", "limit_price": "10.5", "time_in_force": "ioc"}
{"type": "cancel_order", "symbol": "ACME", "account": "bob", "order": "b2"}
"""


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int, /) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return piece


def matched(text: str) -> str:
    """What `oms match --book-at-end` prints for some lines."""
    said: list[bytes] = []

    def report(bad: Exception) -> None:
        raise bad

    run(Filter(Engine()), _Bytes(text.encode()), said.append, name="", report=report, book_at_end=True)
    return b"".join(said).decode()


def example() -> str:
    """The worked example: lines in, lines out."""
    return f"```json\n{EXAMPLE}```\n\n```json\n{matched(EXAMPLE)}```"


def scenarios() -> str:
    """Every scenario: whether it passes, and what to know of it."""
    found = {outcome.scenario.id: outcome for outcome in fix_lifecycle.outcomes(Engine)}
    lines = []
    for scenario in SCENARIOS:
        outcome = found.get(scenario.id)
        passes = "no" if outcome is None else "fails" if outcome.wrong else "passes"
        lines.append(
            (scenario.id, scenario.title, scenario.known, passes, scenario.missing or scenario.remark)
        )
    return "\n\n".join((fix_lifecycle.summary(Engine)[0], table(("id", "", "table", "here", ""), lines)))


def statuses() -> str:
    """Every status with its precedence and the steps that lead out of it."""
    lines = [
        (
            f"`{status}`",
            str(PRECEDENCE[status]),
            ", ".join(f"{step} → `{after}`" for step, after in TRANSITIONS[status].items()),
            "yes" if status in TERMINAL else "",
        )
        for status in TRANSITIONS
    ]
    return table(("status", "precedence", "steps", "ends the order"), lines)
