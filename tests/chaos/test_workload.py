"""The flow of a run through the real tables, without a broker, judged by the verifier."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import pytest

from app.chaos.special import KINDS
from app.chaos.workload import MID_E8, Flow, accounts, instruments, quotes, sessions
from app.verify.records import CHANGELOGS, Seen
from app.verify.verifier import Verifier
from schemas.records import Record, Said
from tables.instructions import NOTHING
from tests.verify.engine import LANES, Engine

PAUSE_S = 0.7


def _send(engine: Engine, said: Said) -> None:
    kind, message = said
    engine.send(Record(kind, dict(message), 0, 0))


def _opened() -> Engine:
    engine = Engine()
    for _, instrument in instruments(LANES):
        engine.instrument(dict(instrument))
    for said in accounts():
        _send(engine, said)
    engine.run()
    return engine


@cache
def day(seed: int, requests: int) -> list[Seen]:
    """Requests in cycles of some, with quotes, sessions and crashes in between."""
    engine, chance = _opened(), Random(f"{seed} day")
    flow = Flow(seed, now_us=lambda: engine.now_us)
    controls = sessions(chance)
    for number in range(requests // 10):
        for said in flow.take(10):
            _send(engine, said)
        engine.run()
        engine.wait(PAUSE_S)
        if number % 3 == 0:
            for said in quotes(chance, engine.now_us):
                _send(engine, said)
        if number % 5 == 0:
            control = next(controls, None)
            if control is None:
                controls = sessions(chance)
            else:
                _send(engine, control)
        if chance.random() < 0.02:
            engine.crash()
    engine.run()
    return engine.history()


def by_time(seen: Seen) -> Any:
    """All partitions at once, as `oms verify` reads a log that is being written."""
    return seen.timestamp_us


def by_partition(seen: Seen) -> Any:
    """One partition after the other, the last first."""
    return seen.short, -seen.partition


@pytest.mark.parametrize("order", [by_time, by_partition])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_flow_says_the_verifier_agrees_with_matching(
    seed: int, order: Callable[[Seen], Any]
) -> None:
    verifier = Verifier(LANES)
    first = {"instruments": 0, "control": 1, **dict.fromkeys(CHANGELOGS, 3)}
    for seen in sorted(day(seed, 1500), key=lambda seen: (first.get(seen.short, 2), order(seen))):
        if seen.short in CHANGELOGS:
            verifier.mark()
        verifier.take(seen)
    findings = verifier.finish()
    assert findings.shown == [], f"seed {seed}"
    assert findings.notes == [], f"seed {seed}"


def test_every_kind_of_order_is_taken() -> None:
    """A flow of refusals would prove nothing: each kind of order is accepted, and most of all are."""
    said = Counter(
        (seen.message["event"], seen.message["order_type"], _used(seen.message["instructions"]))
        for seen in day(1, 3000)
        if seen.kind == "OrderEvent" and seen.message["event"] in ("accepted", "rejected")
    )
    taken = {what for (event, *_), what in ((key, key[1:]) for key in said) if event == "accepted"}
    types, used = {kind for kind, _ in taken}, {name for _, names in taken for name in names}
    assert types == {
        *("limit", "market", "market_to_limit", "stop", "stop_limit", "trailing_stop", "market_if_touched"),
        "pegged",
    }
    assert used >= set(NOTHING) - {"peg_offset", "stp_group"}
    accepted = sum(count for key, count in said.items() if key[0] == "accepted")
    assert accepted > 0.7 * said.total()


def _used(instructions: dict[str, object] | None) -> tuple[str, ...]:
    return tuple(name for name, usual in NOTHING.items() if instructions and instructions[name] != usual)


def test_kinds_are_made_of_plain_orders() -> None:
    order, chance = Flow(1).order(), Random(1)
    for name, make in KINDS.items():
        assert make(order, MID_E8, chance)["client_order_id"] == order["client_order_id"], name
