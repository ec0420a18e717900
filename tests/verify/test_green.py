"""A day in which nothing goes wrong is green, whatever the order in which it is read."""

import ast
from pathlib import Path

from app import verify
from tests.tables.words import symbol_control
from tests.verify.history import Day, History, opened

ONE = 10**8
OURS = ("app", "agents", "tables", "schemas", "tests")


def test_a_day_in_which_everything_happens_is_green() -> None:
    findings = History().verify()
    assert findings.shown == []
    assert findings.notes == []


def test_every_invariant_was_checked() -> None:
    assert set(History().verify().checked) == {f"I{n}" for n in range(1, 11)}


def test_partitions_may_be_read_in_any_order():
    history = History()
    history.records.sort(
        key=lambda seen: (seen.short not in ("instruments", "control"), seen.short, seen.partition)
    )
    assert history.verify().shown == []


def timed_day() -> History:
    """Orders that expire by themselves, a limit state, its pause, and a reopening with a trade."""
    day = Day()
    opened(day)
    day.carrying("g1", "buy 1 AAPL 98", time_in_force="gtd", expire_at_us=day.engine.now_us + 9_000_000)
    day.engine.wait(20)
    day.order("g2", "buy 1 AAPL 98")
    day.send(symbol_control("SetTradingBand", control_id="band", low=95 * ONE, high=100 * ONE))
    day.order("at limit", "buy 2 AAPL 100")
    day.engine.wait(20)
    day.order("in pause", "sell 1 AAPL 99", account="bob")
    day.carrying("g3", "buy 1 AAPL 98", time_in_force="gtd", expire_at_us=day.engine.now_us + 9_000_000)
    day.engine.wait(400)
    day.order("after", "sell 1 AAPL 99", account="bob")
    history = History()
    history.records = day.engine.history()
    return history


def test_what_time_alone_brings_about_is_green() -> None:
    history = timed_day()
    assert history.event("expired", "g1").timestamp_us < history.event("accepted", "g2").timestamp_us
    sessions = [seen.message["session"] for seen in history.records if seen.kind == "SessionChange"]
    assert sessions == ["volatility_auction", "continuous", "volatility_auction"]
    findings = history.verify()
    assert findings.shown == []
    assert findings.notes == []


def test_an_order_that_expires_before_its_time_is_red() -> None:
    history = timed_day()
    early = history.event("expired", "g3")
    history.change(early, at_us=early.message["at_us"] - 1_000_000)
    assert "I6" in history.red()


def test_nothing_is_shared_with_the_engine_but_schemas_and_settings() -> None:
    """The naive book of docs/matching.md was written apart from the engine, for this."""
    allowed = ("app.verify", "app.naive", "app.settings", "app.resources", "schemas")
    folder = Path(verify.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in OURS:
                assert str(node.module).startswith(allowed), f"{file.name} imports {node.module}"
