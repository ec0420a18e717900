"""What following tells: on a terminal, as lines, as JSON."""

import io
import json

from rich.console import Console

from app.verify import live
from app.verify.findings import Violation
from app.verify.follow import Status
from tests.verify.history import History

GREEN = Status(1000, 250.0, {}, 90, 30, 40, 0, 1.5)
RED = GREEN._replace(violations={"I5": 2}, behind=7)
AWAY = GREEN._replace(trouble="Kafka does not answer")


def _found():
    trade = History().find("Trade")
    return Violation("I5", "trade AAPL-1 comes after AAPL-1", (trade.place,)), {trade.place: trade}


def test_lines_come_at_changes_and_not_each_time() -> None:
    out = io.StringIO()
    with live.as_lines(Console(file=out, width=240)) as tell:
        for status in (GREEN, GREEN, RED, RED, AWAY):
            tell.on_status(status)
        tell.on_violation(*_found())
    lines = out.getvalue().splitlines()
    assert " green records 1,000, 250/s, orders 90, of which 30 live" in lines[0]
    assert " red I5:2 " in lines[1]
    assert "behind 7 offsets" in lines[1]
    assert "trouble Kafka does not answer" in lines[2]
    assert lines[4].startswith("I5 trade AAPL-1 comes after")
    assert "trades-" in lines[5]


def test_a_terminal_shows_a_table_and_violations_above_it() -> None:
    out = io.StringIO()
    with live.on_terminal(Console(file=out, width=120, force_terminal=True)) as tell:
        tell.progress("reading", 5, 10)
        tell.on_violation(*_found())
        tell.on_status(RED)
    told = out.getvalue()
    for words in ("oms verify --follow", "sequences gapless", "Ctrl-C ends", "trade AAPL-1 comes after"):
        assert words in told


def test_json_has_one_object_a_line() -> None:
    lines: list[str] = []
    with live.as_json(lines.append) as tell:
        tell.on_status(GREEN)
        tell.on_status(GREEN)
        tell.on_violation(*_found())
    status, violation = map(json.loads, lines)
    assert (status["type"], status["verdict"], status["live_orders"]) == ("status", "green", 30)
    assert (violation["type"], violation["invariant"]) == ("violation", "I5")
    assert violation["records"][0]["message"]["symbol"] in ("AAPL", "MSFT")
