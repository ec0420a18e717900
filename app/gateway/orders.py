"""Routes of orders: enter, look up, replace, cancel."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app.gateway import docs
from app.gateway.auth import Caller, Reader, Trader
from app.gateway.listing import Listing, Moment, as_page
from app.gateway.parts import Parts, Using, newer
from app.gateway.problems import Problem
from app.gateway.replies import reply
from app.gateway.requests import (
    Entry,
    Waiting,
    cancel_all_after,
    cancel_many,
    cancel_order,
    enter_order,
    replace_order,
)
from app.gateway.shapes import (
    CancelAllAfterBody,
    ClientOrderId,
    ExactRoute,
    Name,
    OrderBody,
    ReplaceBody,
    Side,
)
from app.gateway.store import Filter

WAIT_MS_MAX = 30_000
OrderId = Annotated[str, Path(min_length=1, max_length=64, examples=["3569352b7754ba17bb2f"])]

router = APIRouter(prefix="/orders", tags=["orders"], route_class=ExactRoute)


class WaitParams(BaseModel):
    """Whether to answer at once, with the answer of the pipeline, or with the end of the order."""

    model_config = ConfigDict(extra="forbid")
    wait: Literal["accepted", "terminal"] | None = None
    timeout_ms: int = Field(5000, ge=0, le=WAIT_MS_MAX, description="How long to wait, milliseconds.")

    def waiting(self) -> Waiting | None:
        """The wait that is asked for."""
        return None if self.wait is None else Waiting(self.wait, self.timeout_ms / 1000)


class MassParams(BaseModel):
    """Which orders to cancel. A parameter with another name is refused: it would cancel more than meant."""

    model_config = ConfigDict(extra="forbid")
    account: Name
    symbol: str = Field("", max_length=64, description="Only this instrument.")
    side: Side | None = Field(None, description="Only this side.")
    wait: Literal["accepted"] | None = None
    timeout_ms: int = Field(5000, ge=0, le=WAIT_MS_MAX)


class OrderListing(Listing):
    """Which orders to list."""

    account: Name | None = None
    symbol: Name | None = None
    status: str | None = Field(
        None, description="One or more, with commas; `live`: all that can still trade."
    )
    client_order_id: ClientOrderId | None = None
    side: Side | None = None
    since: Moment | None = Field(None, description="Entered at or after this time (RFC 3339).")
    until: Moment | None = Field(None, description="Entered before this time (RFC 3339).")


Waits = Annotated[WaitParams, Query()]


@router.post("", status_code=202, responses=docs.ORDER_ENTRY, response_model=None)
async def enter(body: OrderBody, waits: Waits, caller: Trader, parts: Using) -> Response:
    """Enters an order. 202: Kafka has it; with `wait`: 201 accepted, 200 a repeat, 422 refused."""
    order, status = await enter_order(parts, Entry(caller, "rest"), body, waits.waiting())
    return reply(order, status, {"Location": f"/api/v1/orders/{order['order_id']}"})


@router.get("", responses=docs.page("Order"), response_model=None)
async def list_orders(query: Annotated[OrderListing, Query()], caller: Reader, parts: Using) -> Response:
    """Orders, the last entered first."""
    return as_page(await parts.store.orders(_filters(query, caller), query.cursor, query.limit))


def _filters(query: OrderListing, caller: Caller) -> list[Filter]:
    filters = []
    scope = caller.scope(query.account)
    if scope is not None:
        filters.append(Filter("account = ANY(%s)", [scope]))
    if query.symbol is not None:
        filters.append(Filter("symbol = %s", [query.symbol]))
    if query.status == "live":
        filters.append(Filter("status NOT IN ('filled', 'canceled', 'rejected', 'expired')", []))
    elif query.status is not None:
        filters.append(Filter("status = ANY(%s)", [query.status.split(",")]))
    if query.client_order_id is not None:
        ids = [query.client_order_id, query.client_order_id]
        filters.append(Filter("(client_order_id = %s OR entry_id = %s)", ids))
    if query.side is not None:
        filters.append(Filter("side = %s", [query.side]))
    if query.since is not None:
        filters.append(Filter("entered_at >= %s", [query.since]))
    if query.until is not None:
        filters.append(Filter("entered_at < %s", [query.until]))
    return filters


@router.delete("", status_code=202, responses=docs.MASS_CANCEL, response_model=None)
async def cancel_all(query: Annotated[MassParams, Query()], caller: Trader, parts: Using) -> Response:
    """Cancels every live order of an account, or those of one symbol or side."""
    waiting = None if query.wait is None else Waiting(query.wait, query.timeout_ms / 1000)
    entry = Entry(caller, "rest")
    report, status = await cancel_many(
        parts, entry, query.account, query.symbol, query.side or "unknown", waiting
    )
    return reply(report, status)


@router.post("/cancel-all-after", status_code=202, responses=docs.MASS_CANCEL, response_model=None)
async def cancel_after(body: CancelAllAfterBody, waits: Waits, caller: Trader, parts: Using) -> Response:
    """Cancels every order of an account unless this is sent again within `timeout_ms`; 0 ends it."""
    entry = Entry(caller, "rest")
    return reply(*await cancel_all_after(parts, entry, body.account, body.timeout_ms, waits.waiting()))


ByClient = "/by-client-id/{account}/{client_order_id:path}"


@router.get(ByClient, responses=docs.ORDER, response_model=None)
async def get_by_client(account: str, client_order_id: str, caller: Reader, parts: Using) -> Response:
    """The latest order of an account by the client's own id, as entered or as last replaced."""
    caller.need(account)
    order = await parts.latest.order_of_client(account, client_order_id)
    if order is None:
        order = await parts.store.order_of_client(account, client_order_id)
    if order is None:
        order = parts.recent.of_client(account, client_order_id)
    if order is None:
        raise Problem("UNKNOWN_ORDER", f"account {account} has no order {client_order_id}")
    return reply(newer(order, parts.recent.get(order["order_id"])))


@router.patch(ByClient, status_code=202, responses=docs.ORDER_CHANGE, response_model=None)
async def replace_by_client(
    account: str,
    client_order_id: ClientOrderId,
    body: ReplaceBody,
    waits: Waits,
    caller: Trader,
    parts: Using,
) -> Response:
    """Changes an order by the client's own id."""
    order = named(account, client_order_id)
    return reply(*await replace_order(parts, Entry(caller, "rest"), order, body, waits.waiting()))


@router.delete(ByClient, status_code=202, responses=docs.ORDER_CHANGE, response_model=None)
async def cancel_by_client(
    account: str, client_order_id: ClientOrderId, waits: Waits, caller: Trader, parts: Using
) -> Response:
    """Cancels an order by the client's own id."""
    order = named(account, client_order_id)
    return reply(*await cancel_order(parts, Entry(caller, "rest"), order, waits.waiting()))


def named(account: str, client_order_id: str) -> dict[str, Any]:
    """An order known only by its names: the pipeline finds it, or says that there is none."""
    return {"account": account, "client_order_id": client_order_id, "symbol": ""}


@router.get("/{order_id}", responses=docs.ORDER, response_model=None)
async def get(order_id: OrderId, caller: Reader, parts: Using) -> Response:
    """An order by its id."""
    return reply(await find_order(parts, order_id, caller))


async def find_order(parts: Parts, order_id: str, caller: Caller) -> dict[str, Any]:
    """The latest state of an order in the caller's scope. Raises Problem UNKNOWN_ORDER, NOT_READY."""
    order = await parts.latest.order(order_id)
    recent = parts.recent.get(order_id)
    if order is None and (recent is None or not recent["version"]):
        order = await _stored(parts, order_id, recent is not None)
    order = newer(order, recent) if order is not None else recent
    # Another's order looks like none at all: ids are guessable by who knows the names.
    if order is None or not caller.has(order["account"]):
        raise Problem("UNKNOWN_ORDER", f"order {order_id}")
    return order


async def _stored(parts: Parts, order_id: str, known: bool) -> dict[str, Any] | None:
    try:
        return await parts.store.order(order_id)
    except Problem:
        if known:
            return None
        raise


@router.get("/{order_id}/events", responses=docs.page("OrderEvent"), response_model=None)
async def events(order_id: OrderId, caller: Reader, parts: Using) -> Response:
    """Every event of an order, oldest first."""
    found = await parts.store.events(order_id)
    if not found:
        await find_order(parts, order_id, caller)
    elif not caller.has(found[0]["account"]):
        raise Problem("UNKNOWN_ORDER", f"order {order_id}")
    return reply({"items": found, "next_cursor": None})


@router.patch("/{order_id}", status_code=202, responses=docs.ORDER_CHANGE, response_model=None)
async def replace(
    order_id: OrderId, body: ReplaceBody, waits: Waits, caller: Trader, parts: Using
) -> Response:
    """Changes quantity or price: less quantity keeps its time priority, all else loses it."""
    order = await find_order(parts, order_id, caller)
    return reply(*await replace_order(parts, Entry(caller, "rest"), order, body, waits.waiting()))


@router.delete("/{order_id}", status_code=202, responses=docs.ORDER_CHANGE, response_model=None)
async def cancel(order_id: OrderId, waits: Waits, caller: Trader, parts: Using) -> Response:
    """Cancels what is left of an order."""
    order = await find_order(parts, order_id, caller)
    return reply(*await cancel_order(parts, Entry(caller, "rest"), order, waits.waiting()))
