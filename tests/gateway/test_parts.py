"""What the gateway knows of orders by itself, beside what the cache says."""

from typing import Any

from app.gateway.parts import Recent, newer


def _order(version: int, status: str = "filled", updated_at: str = "10:00", **more: Any) -> dict[str, Any]:
    named = {"order_id": "o", "account": "A", "client_order_id": "c"}
    return {**named, "version": version, "status": status, "updated_at": updated_at, **more}


def test_the_answer_to_a_repeat_is_no_later_state() -> None:
    cached, repeated = _order(2), _order(2, updated_at="11:00")
    assert newer(cached, repeated) is cached
    assert newer(cached, _order(3, "canceled")) == _order(3, "canceled")
    assert newer(_order(1, "rejected"), _order(1, "new")) == _order(1, "new")


def test_what_just_came_through_is_remembered_unless_a_later_state_is_known() -> None:
    recent = Recent()
    for order in (_order(1, "new"), _order(3), _order(2, "partially_filled")):
        recent.put(order)
    assert recent.get("o") == _order(3)
    assert recent.of_client("A", "c") == _order(3)
