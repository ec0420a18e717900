"""A live system: Redis, REST and the stream agree with its topics, and --follow sees what goes wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread
from typing import Any

import orjson
import psycopg
import pytest
from redis import Redis

from app.market.generator import generate
from app.market.seed import seed
from app.settings import Settings
from app.verify.check import Asked, Check, Outcome
from app.verify.log import CannotVerify
from tests.conftest import run
from tests.e2e.system import ADMIN_KEY, System, eventually, system
from tests.verify.test_real import doubled, ordered


def checked(found: System, grace_s: float = 30.0, api_key: str = ADMIN_KEY) -> Outcome:
    asked = Asked(storage=True, redis=True, gateway=found.gateway, api_key=api_key)
    return run(Check(found.settings, grace_s, lambda stage, done, total: None).run(asked=asked))


def market(settings: Settings, orders: int, number: int) -> None:
    """Fresh quotes, then orders."""
    run(generate(settings, rate=0, seed=number, count=200, progress=lambda done: None))
    run(ordered(settings, orders, number))


def test_doors_agree_until_they_are_falsified_and_following_tells_what_happens(
    settings: Settings,
) -> None:
    with system(settings) as found:
        run(seed(settings, 30))
        market(settings, 500, 1)
        with followed(found) as lines:
            with flowing(settings):
                moving = checked(found)
            assert [violation.text for violation in moving.findings.shown] == []
            green = checked(found)
            assert [violation.text for violation in green.findings.shown] == []
            assert green.findings.notes == []
            assert green.findings.checked["I11"] > 100
            _wait_for(lines, lambda line: line["type"] == "status" and line["trades"] > 50)
            trade_id = run(doubled(settings, "trades", "sequence = 1"))
            violation = _wait_for(lines, lambda line: line["type"] == "violation")
            assert violation["invariant"] == "I5"
            assert violation["records"][-1]["message"]["trade_id"] == trade_id
        with pytest.raises(CannotVerify, match="--api-key"):
            checked(found, api_key="nobody's")
        _falsify(settings)
        wrong = checked(found, 0.5)
        # The doubled trade's row is one that no trade has.
        assert wrong.findings.red() >= {"I5", "I11"}
        doors = {violation.text.split(":")[0] for violation in wrong.findings.shown}
        assert doors >= {"Redis", "REST", "the stream"}


@contextmanager
def flowing(settings: Settings) -> Iterator[None]:
    """Orders and quotes all the time, beside the block."""
    over = Event()

    def flow() -> None:
        for number in count(2):
            market(settings, 50, number)
            if over.is_set():
                return

    thread = Thread(target=flow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(120)


@contextmanager
def followed(found: System) -> Iterator[Any]:
    """`oms verify --follow --json` beside the block; SIGINT must end it with exit status 1 and the result."""
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "verify", "--follow", "--json", "--grace", "5"],
        env={**os.environ, **found.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=90)
            assert process.returncode == 1, err
            result = json.loads(out.splitlines()[-1])
            assert (result["type"], result["verdict"]) == ("result", "red")
            assert result["invariants"]["I5"]["violations"] == 1
        finally:
            process.kill()


def _wait_for(process: Any, wanted: Any) -> dict[str, Any]:
    """The first line that is wanted."""
    for text in process.stdout:
        line: dict[str, Any] = json.loads(text)
        if wanted(line):
            return line
    raise AssertionError(process.stderr.read())


def _falsify(settings: Settings) -> None:
    """One live order is in another state in Redis, one in PostgreSQL."""
    with Redis.from_url(settings.redis) as redis, psycopg.connect(settings.postgres) as connection:

        def live() -> list[str]:
            rows = connection.execute(
                "SELECT order_id FROM orders WHERE status IN ('new', 'partially_filled') ORDER BY order_id"
            )
            return [row[0] for row in rows]

        cached, stored = eventually(live)[:2]
        order = orjson.loads(redis.get(f"order:{cached}") or b"")
        redis.set(f"order:{cached}", orjson.dumps({**order, "leaves_quantity": "777"}))
        connection.execute("UPDATE orders SET leaves_quantity = 777 WHERE order_id = %s", (stored,))
