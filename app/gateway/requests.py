"""From a body to a request in Kafka to what the pipeline said of it, for every door of the gateway.

Rule: 202 means that Kafka has the request; with a wait, 201 or 200 mean that what was waited for is
reached, and 202 that the time was over first. A refusal of the pipeline is a Problem 422 with its reason.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypedDict, cast
from uuid import uuid4

from aiokafka.structs import RecordMetadata

from app.gateway import metrics
from app.gateway.answers import ANSWERS, Message, Wait
from app.gateway.auth import Caller
from app.gateway.parts import Parts
from app.gateway.problems import Problem
from app.gateway.shapes import OrderBody, ReplaceBody
from app.resources import order_just_entered, order_of_event, rfc3339, shown
from schemas.ids import order_id
from schemas.messages import CancelAllAfter, CancelOrder, Door, MassCancel, NewOrder, ReplaceOrder, Side

_REFUSED_EVENTS = frozenset({"rejected", "cancel_rejected", "replace_rejected"})


class Waiting(NamedTuple):
    """What to wait for after Kafka has the request, and how long."""

    until: Literal["accepted", "terminal"]
    timeout_s: float


class Outcome(NamedTuple):
    """Body and HTTP status of an answer."""

    body: dict[str, Any]
    status: int


class Stamp(TypedDict):
    """When a request was entered, by whom, by which door."""

    entered_us: int
    entered_by: str
    door: Door


class Entry(NamedTuple):
    """Who enters a request, and by which door."""

    caller: Caller
    door: Door

    def fields(self) -> Stamp:
        """The fields that every request and control has."""
        return {"entered_us": time.time_ns() // 1000, "entered_by": self.caller.name, "door": self.door}


def _nothing() -> None:
    return


async def ask(
    parts: Parts,
    kind: str,
    message: Mapping[str, Any],
    waiting: Waiting | None,
    confirmed: Callable[[], None] = _nothing,
    **lookup: Any,
) -> Wait | None:
    """Sends a request, calls `confirmed` once Kafka has it, and waits if it is to. Raises Problem."""
    wait, place = await _begin(parts, kind, message, waiting, **lookup)
    confirmed()
    if waiting is None:
        parts.answers.notice(wait, place.offset, lambda _: None)
        return None
    try:
        began = time.monotonic()
        await parts.answers.reached(wait, place.offset, waiting.timeout_s)
        metrics.WAIT_SECONDS.labels(waiting.until, wait.over).observe(time.monotonic() - began)
        return wait
    finally:
        parts.answers.leave(wait)


async def _begin(
    parts: Parts, kind: str, message: Mapping[str, Any], waiting: Waiting | None, **lookup: Any
) -> tuple[Wait, RecordMetadata]:
    """Sends a request if there is room for it; its wait and its place in the log. Raises Problem."""
    parts.answers.expire()
    if kind in ANSWERS:
        parts.answers.flows.of(message).admit(kind)
    wait = parts.answers.begin(kind, message, waiting is not None and waiting.until == "terminal")
    try:
        return wait, await send(parts, kind, message, **lookup)
    except BaseException:
        parts.answers.forget(wait)
        raise


async def send(parts: Parts, kind: str, message: Mapping[str, Any], **lookup: Any) -> RecordMetadata:
    """Sends a message and counts what became of it; its place in the log. Raises Problem."""
    door = message.get("door", "rest")
    try:
        place = await parts.link.send(kind, message, **lookup)
    except Problem as problem:
        outcome = "unknown" if problem.code == "OUTCOME_UNKNOWN" else "not_ready"
        metrics.REQUESTS_SENT.labels(kind, door, outcome).inc()
        raise
    metrics.REQUESTS_SENT.labels(kind, door, "confirmed").inc()
    return place


async def enter_order(parts: Parts, entry: Entry, body: OrderBody, waiting: Waiting | None) -> Outcome:
    """Enters an order. Raises Problem."""
    entry.caller.need(body.account)
    fields = body.message() | {"client_order_id": body.client_order_id or uuid4().hex}
    message = cast(NewOrder, fields | entry.fields())
    named = order_id(message["account"], message["client_order_id"], message["entered_us"])
    order = order_just_entered(message, named)
    lookup = {
        "lookup": f"/api/v1/orders/{named}",
        "order_id": named,
        "client_order_id": message["client_order_id"],
    }
    if waiting is None:
        await _enter_unwaited(parts, message, order, lookup)
        return Outcome(order, 202)
    wait = await ask(parts, "NewOrder", message, waiting, lambda: parts.recent.put(order), **lookup)
    created = wait is not None and wait.answer is not None and wait.answer["event"] == "accepted"
    return _order_outcome(parts, wait, order, 201 if created else 200)


async def _enter_unwaited(
    parts: Parts, message: NewOrder, order: dict[str, Any], lookup: Mapping[str, Any]
) -> None:
    """Sends an order; its answer is noticed, for who asks later: some refusals reach no sink by order_id."""
    wait, place = await _begin(parts, "NewOrder", message, None, **lookup)
    parts.recent.put(order)
    parts.answers.notice(wait, place.offset, lambda heard: _remember(parts, heard, order))


def _answered(wait: Wait, order: dict[str, Any]) -> dict[str, Any]:
    """The order as the pipeline says it is."""
    assert wait.answer is not None
    assert wait.latest is not None
    return order_of_event(wait.latest) | {"entered_at": _entered_at(wait.answer, order)}


def _remember(parts: Parts, wait: Wait, order: dict[str, Any]) -> None:
    """Keeps what the pipeline says of an order, for who asks before the sinks know it."""
    assert wait.answer is not None
    known = _answered(wait, order)
    # A duplicate's rejection speaks of the duplicate, not of the order that has the id.
    if wait.answer["reason"] == "ACCOUNTS_DUPLICATE_ORDER":
        return
    if known["version"]:
        parts.recent.put(known)
    elif wait.answer["event"] == "rejected":
        parts.recent.refuse(known | {"order_id": order["order_id"]})


def _order_outcome(parts: Parts, wait: Wait | None, order: dict[str, Any], done: int) -> Outcome:
    """The order as far as it is known; raises Problem when the pipeline refused the request."""
    if wait is None or wait.latest is None or wait.answer is None:
        return Outcome(order, 202)
    _remember(parts, wait, order)
    order = _answered(wait, order)
    if wait.answer["event"] in _REFUSED_EVENTS:
        raise _refusal(wait.answer, order=order)
    return Outcome(order, done if wait.over else 202)


def _entered_at(answer: Message, order: Mapping[str, Any]) -> str | None:
    """When an order was entered, as the sinks will say; None where an answer does not tell."""
    if answer["event"] == "accepted":
        return rfc3339(answer["at_us"])
    return None if answer["event"] == "order_status" else order.get("entered_at")


def _refusal(answer: Message, **members: Any) -> Problem:
    return Problem(answer["reason"], answer["text"], **members)


async def cancel_order(parts: Parts, entry: Entry, order: dict[str, Any], waiting: Waiting | None) -> Outcome:
    """Cancels what is left of an order. Raises Problem."""
    entry.caller.need(order["account"])
    message = CancelOrder(
        account=order["account"],
        order=order["client_order_id"],
        client_order_id=uuid4().hex,
        symbol=order["symbol"],
        **entry.fields(),
    )
    wait = await ask(parts, "CancelOrder", message, waiting, lookup=_link(order))
    return _order_outcome(parts, wait, order | {"request_id": message["client_order_id"]}, 200)


async def replace_order(
    parts: Parts, entry: Entry, order: dict[str, Any], body: ReplaceBody, waiting: Waiting | None
) -> Outcome:
    """Changes quantity, price or client_order_id of an order. Raises Problem."""
    entry.caller.need(order["account"])
    message = ReplaceOrder(
        account=order["account"],
        order=order["client_order_id"],
        client_order_id=body.client_order_id or "",
        symbol=order["symbol"],
        quantity=body.quantity,
        limit_price=body.limit_price,
        changes=body.changes(),
        **entry.fields(),
    )
    wait = await ask(parts, "ReplaceOrder", message, waiting, lookup=_link(order))
    return _order_outcome(parts, wait, order | {"request_id": message["client_order_id"]}, 200)


def _link(order: Mapping[str, Any]) -> str:
    """Where an order is looked up: by its id, or by the client's where only that is known."""
    if order.get("order_id"):
        return f"/api/v1/orders/{order['order_id']}"
    return f"/api/v1/orders/by-client-id/{order['account']}/{order['client_order_id']}"


async def cancel_many(
    parts: Parts, entry: Entry, account: str, symbol: str, side: Side, waiting: Waiting | None
) -> Outcome:
    """Cancels all live orders of an account, or those of a symbol or side. Raises Problem."""
    entry.caller.need(account)
    message = MassCancel(
        account=account, client_order_id=uuid4().hex, symbol=symbol, side=side, **entry.fields()
    )
    lookup = f"/api/v1/orders?account={account}"
    wait = await ask(parts, "MassCancel", message, waiting, lookup=lookup)
    request = {"account": account, "symbol": symbol, "side": side, "request_id": message["client_order_id"]}
    if wait is None or wait.answer is None:
        return Outcome(request, 202)
    if wait.answer["outcome"] == "rejected":
        raise _refusal(wait.answer)
    return Outcome(shown("MassCancelReport", wait.answer), 200)


async def cancel_all_after(
    parts: Parts, entry: Entry, account: str, timeout_ms: int, waiting: Waiting | None
) -> Outcome:
    """Has every order of an account canceled unless asked again in time; 0 ends it. Raises Problem."""
    entry.caller.need(account)
    message = CancelAllAfter(
        account=account, client_order_id=uuid4().hex, timeout_ms=timeout_ms, **entry.fields()
    )
    wait = await ask(parts, "CancelAllAfter", message, waiting, lookup=f"/api/v1/orders?account={account}")
    if wait is None or wait.answer is None:
        request = {"account": account, "timeout_ms": timeout_ms, "request_id": message["client_order_id"]}
        return Outcome(request, 202)
    if wait.answer["outcome"] == "rejected":
        raise _refusal(wait.answer)
    return Outcome(shown("MassCancelReport", wait.answer), 200)


async def control(parts: Parts, kind: str, message: Mapping[str, Any], timeout_s: float) -> Outcome:
    """Sends a control and waits for its report. Raises Problem."""
    wait = await ask(parts, kind, message, Waiting("accepted", timeout_s), control_id=message["control_id"])
    if wait is None or wait.answer is None:
        unknown = {"control": kind, "control_id": message["control_id"], "outcome": "unknown"}
        return Outcome(unknown, 202)
    if wait.answer["outcome"] == "rejected":
        raise _refusal(wait.answer, report=shown("ControlReport", wait.answer))
    return Outcome(shown("ControlReport", wait.answer), 200)
