"""Commands for orders out of their events, without Redis."""

from typing import Any, cast

import orjson

from app.cache.orders import FINISHED_S, REPLACED_S, Command, Json, OrderChanges, orders_of
from app.reader import Read
from tests.flow import START_US, Said, accepted, event, filled

NOW_S = START_US / 1_000_000
ID = str(accepted("1")[1]["order_id"])


def commands(*said: Said, stored: Json | None = None, now_s: float = NOW_S) -> list[Command]:
    changes = OrderChanges({} if stored is None else {ID: stored})
    for _, message in said:
        changes.take(message)
    return changes.commands(now_s)


def stored(*said: Said) -> Json:
    """The order as Redis has it after some events."""
    (value,) = (command[2] for command in commands(*said) if command[1] == f"order:{ID}")
    return dict(orjson.loads(cast(bytes, value)))


def replaced(client_order_id: str, version: int) -> Said:
    return "OrderEvent", event(client_order_id, "replaced", "new", version, order_id=ID)


def test_a_live_order_is_found_by_id_client_and_account() -> None:
    order, live, client = commands(accepted("1"))
    assert order[:2] == ("SET", f"order:{ID}")
    assert len(order) == 3
    assert live == ("SADD", "orders:live:A", ID)
    assert client == ("SET", "client:A:1", ID)


def test_the_order_is_shown_as_the_gateway_shows_it() -> None:
    assert stored(accepted("1")) == {
        "order_id": ID,
        "account": "A",
        "client_order_id": "1",
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "status": "new",
        "version": 1,
        "quantity": "10",
        "limit_price": "187.12",
        "cum_quantity": "0",
        "leaves_quantity": "10",
        "average_price": "0",
        "reason": "NONE",
        "text": "",
        "entered_by": "A",
        "door": "kafka",
        "updated_at": "2026-09-10T00:26:40.000001Z",
        "entered_at": "2026-09-10T00:26:40.000001Z",
    }


def test_a_finished_order_leaves_the_live_ones_and_ends_after_its_hour() -> None:
    order, live, client = commands(filled("1"), stored=stored(accepted("1")), now_s=NOW_S + 600)
    assert order[3:] == ("EX", FINISHED_S - 600)
    assert live == ("SREM", "orders:live:A", ID)
    assert client == ("SET", "client:A:1", ID, "EX", FINISHED_S - 600)


def test_what_ended_long_ago_is_not_written_into_an_empty_redis() -> None:
    assert commands(accepted("1"), filled("1"), now_s=NOW_S + FINISHED_S + 1) == []


def test_what_ended_long_ago_is_taken_out_of_redis() -> None:
    found = commands(filled("1"), stored=stored(accepted("1")), now_s=NOW_S + FINISHED_S + 1)
    assert found == [("DEL", f"order:{ID}", "client:A:1"), ("SREM", "orders:live:A", ID)]


def test_an_older_event_changes_nothing() -> None:
    assert commands(accepted("1"), stored=stored(filled("1"))) == []


def test_the_time_of_entry_stays() -> None:
    after = stored(accepted("1"), filled("1"))
    assert after["entered_at"] < after["updated_at"]
    (value,) = (
        c[2] for c in commands(replaced("2", 2), stored=stored(accepted("1"))) if c[1] == f"order:{ID}"
    )
    assert orjson.loads(cast(bytes, value))["entered_at"] == stored(accepted("1"))["entered_at"]


def test_a_replaced_id_still_finds_its_order_for_a_day() -> None:
    found = commands(replaced("2", 2), stored=stored(accepted("1")))
    assert ("SET", "client:A:2", ID) in found
    assert ("SET", "client:A:1", ID, "EX", REPLACED_S) in found


def test_an_id_that_comes_back_is_not_forgotten() -> None:
    found = commands(accepted("1"), replaced("2", 2), replaced("1", 3))
    assert ("SET", "client:A:1", ID) in found
    assert ("SET", "client:A:2", ID, "EX", REPLACED_S) in found


def test_refusals_of_others_do_not_touch_an_order() -> None:
    said: list[Any] = [
        ("OrderEvent", event("1", "rejected", "rejected", 5, reason="ACCOUNTS_DUPLICATE_ORDER")),
        ("OrderEvent", event("1", "cancel_rejected", "new", 1)),
        ("OrderEvent", event("1", "order_status", "new", 1)),
        ("OrderEvent", event("1", "rejected", "rejected", 0, order_id="NONE")),
    ]
    assert commands(*said, stored=stored(accepted("1"))) == []
    reads = [Read("events", 0, 0, 0, None, b"", kind, message, None) for kind, message in said]
    assert orders_of(reads) == []


def test_a_rejected_order_entered_again_is_the_one_entered() -> None:
    rejected = "OrderEvent", event("1", "rejected", "rejected", 1, reason="ACCOUNTS_INVALID_QUANTITY")
    again = stored(rejected, accepted("1", at_us=START_US + 60))
    assert (again["status"], again["entered_at"]) == ("new", "2026-09-10T00:26:40.000060Z")
    assert commands(rejected, stored=again) == []
