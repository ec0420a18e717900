"""Requests as calls of the gateway."""

import pytest

from app.submit.lines import parse
from app.submit.rest import Call, RestError, call_of

ORDER = {
    "account": "A",
    "client_order_id": "c/1",
    "symbol": "S",
    "side": "sell",
    "quantity": "2",
    "limit_price": "1.50",
}


def test_each_request_has_its_route() -> None:
    assert call_of(*parse(ORDER)) == Call(
        "POST",
        "",
        {},
        {**ORDER, "order_type": "limit", "time_in_force": "day", "limit_price": "1.5"},
    )
    change = {"account": "A", "order": "c/1"}
    assert call_of(*parse({**change, "type": "cancel_order"})) == Call(
        "DELETE", "/by-client-id/A/c%2F1", {}, None
    )
    assert call_of(*parse({**change, "type": "replace_order", "quantity": "3"})) == Call(
        "PATCH", "/by-client-id/A/c%2F1", {}, {"quantity": "3"}
    )
    assert call_of(*parse({"type": "mass_cancel", "account": "A", "side": "buy"})) == Call(
        "DELETE", "", {"account": "A", "side": "buy"}, None
    )


def test_what_the_routes_of_orders_do_not_take_is_refused() -> None:
    with pytest.raises(RestError, match="Quote is not taken by REST"):
        call_of(*parse({"type": "quote", "symbol": "S", "bid": "1", "ask": "2"}))
