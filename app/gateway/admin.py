"""Routes of operators: accounts, limits, cash, instruments, halts, ends of day, quotes, API keys.

Rule: a control is answered with its report; 202 when there was none in time. Each control has an id,
made when none is sent: the same id again is applied once.
"""

import asyncio
import time
from secrets import token_urlsafe
from typing import Annotated, Any, cast
from uuid import uuid4

from fastapi import APIRouter, Query, Response

from app.gateway import docs, instruments
from app.gateway.auth import Admin, Caller, hash_of
from app.gateway.orders import WAIT_MS_MAX
from app.gateway.parts import Parts, Using
from app.gateway.problems import Problem
from app.gateway.replies import reply
from app.gateway.requests import Entry, Outcome, control, send
from app.gateway.shapes import (
    AccountBody,
    BandBody,
    CashBody,
    ControlBody,
    ExactRoute,
    HoldingBody,
    InstrumentBody,
    KeyBody,
    LimitsBody,
    QuoteBody,
    SessionBody,
    StateBody,
    TradingBandBody,
)
from app.resources import shown
from schemas.messages import Instrument, Quote
from schemas.partitioning import lane_of

router = APIRouter(tags=["admin"], route_class=ExactRoute)

TimeoutMs = Annotated[int, Query(ge=0, le=WAIT_MS_MAX, description="How long to wait for the report, ms.")]


async def _control(
    parts: Parts, caller: Caller, kind: str, body: ControlBody, timeout_ms: int, **names: str
) -> Outcome:
    fields = body.model_dump() | names
    fields["control_id"] = body.control_id or uuid4().hex
    message = fields | Entry(caller, "rest").fields()
    return await control(parts, kind, message, timeout_ms / 1000)


@router.post("/accounts", responses=docs.CONTROL, response_model=None)
async def set_account(
    body: AccountBody, caller: Admin, parts: Using, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Opens an account, or changes its status; with `cancel_orders` it is the kill switch."""
    return reply(*await _control(parts, caller, "SetAccount", body, timeout_ms))


@router.put("/accounts/{account}/limits", responses=docs.CONTROL, response_model=None)
async def set_limits(
    account: str, body: LimitsBody, caller: Admin, parts: Using, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Sets all limits of an account."""
    return reply(*await _control(parts, caller, "SetLimits", body, timeout_ms, account=account))


@router.post("/accounts/{account}/cash", responses=docs.CONTROL, response_model=None)
async def move_cash(
    account: str, body: CashBody, caller: Admin, parts: Using, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Moves cash into an account, or out of it."""
    return reply(*await _control(parts, caller, "MoveCash", body, timeout_ms, account=account))


@router.post("/accounts/{account}/holdings", responses=docs.CONTROL, response_model=None)
async def move_holding(
    account: str, body: HoldingBody, caller: Admin, parts: Using, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Moves holdings into an account, or out of it."""
    return reply(*await _control(parts, caller, "MoveHolding", body, timeout_ms, account=account))


@router.post("/instruments", status_code=201, responses=docs.INSTRUMENT, response_model=None)
async def put_instrument(body: InstrumentBody, _: Admin, parts: Using) -> Response:
    """Adds an instrument or replaces its reference data; its lane stays. 201: new, 200: replaced."""
    before = parts.instruments.get(body.symbol)
    message = body.message(time.time_ns() // 1000)
    message["lane"] = _same_lane(parts, message, before)
    place = await send(parts, "Instrument", message)
    try:
        async with asyncio.timeout(5):
            await parts.instruments.until_read(place.partition, place.offset)
    except TimeoutError:
        return reply(instruments.resource(message), 202)
    return reply(instruments.resource(message), 201 if before is None else 200)


def _same_lane(parts: Parts, message: Instrument, before: Instrument | None) -> int | None:
    """The lane to write: what is asked for if nothing was said before, else what it always was."""
    partitions = parts.settings.partitions
    asked = message["lane"]
    if asked is not None and asked >= partitions:
        raise Problem("LANE_CHANGE", f"lane {asked} is beyond the last, {partitions - 1}")
    if before is None:
        return asked
    own = before["lane"]
    is_in = lane_of(message["symbol"], partitions) if own is None else own
    if asked is not None and asked != is_in:
        raise Problem("LANE_CHANGE", f"symbol {message['symbol']} is in lane {is_in}, asked for {asked}")
    return own


@router.post("/instruments/{symbol}/state", responses=docs.CONTROL, response_model=None)
async def set_state(
    symbol: str, body: StateBody, caller: Admin, parts: Using, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Opens, halts or closes an instrument."""
    parts.instruments.need(symbol)
    return reply(*await _control(parts, caller, "SetSymbolState", body, timeout_ms, symbol=symbol))


@router.post("/instruments/{symbol}/band", responses=docs.CONTROL, response_model=None)
async def set_band(
    symbol: str, body: BandBody, caller: Admin, parts: Using, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Overrides the price band and quote age of an instrument."""
    parts.instruments.need(symbol)
    return reply(*await _control(parts, caller, "SetPriceBand", body, timeout_ms, symbol=symbol))


@router.post("/instruments/{symbol}/session", responses=docs.CONTROL, response_model=None)
async def set_session(
    symbol: str, body: SessionBody, caller: Admin, parts: Using, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Changes the trading session of an instrument; leaving a call phase uncrosses its book first."""
    parts.instruments.need(symbol)
    return reply(*await _control(parts, caller, "SetSession", body, timeout_ms, symbol=symbol))


@router.post("/instruments/{symbol}/uncross", responses=docs.CONTROL, response_model=None)
async def uncross(
    symbol: str, caller: Admin, parts: Using, body: ControlBody | None = None, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Trades what crosses in a call phase, which goes on afterwards."""
    parts.instruments.need(symbol)
    body = body or ControlBody()
    return reply(*await _control(parts, caller, "Uncross", body, timeout_ms, symbol=symbol))


@router.post("/instruments/{symbol}/trading-band", responses=docs.CONTROL, response_model=None)
async def set_trading_band(
    symbol: str, body: TradingBandBody, caller: Admin, parts: Using, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Sets the prices between which an instrument trades; 0 and 0 removes them."""
    parts.instruments.need(symbol)
    return reply(*await _control(parts, caller, "SetTradingBand", body, timeout_ms, symbol=symbol))


@router.post("/instruments/{symbol}/cancel-orders", responses=docs.CONTROL, response_model=None)
async def cancel_symbol(
    symbol: str, caller: Admin, parts: Using, body: ControlBody | None = None, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Cancels every resting order of an instrument."""
    parts.instruments.need(symbol)
    body = body or ControlBody()
    return reply(*await _control(parts, caller, "CancelSymbol", body, timeout_ms, symbol=symbol))


@router.post("/instruments/{symbol}/expire-day", responses=docs.CONTROL, response_model=None)
async def expire_day(
    symbol: str, caller: Admin, parts: Using, body: ControlBody | None = None, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Ends the day of an instrument: its day orders expire."""
    parts.instruments.need(symbol)
    body = body or ControlBody()
    return reply(*await _control(parts, caller, "ExpireDay", body, timeout_ms, symbol=symbol))


@router.post("/end-of-day", responses=docs.page("ControlReport"), response_model=None)
async def end_of_day(
    caller: Admin, parts: Using, body: ControlBody | None = None, timeout_ms: TimeoutMs = 5000
) -> Response:
    """Ends the day of every instrument; the answer has one report per symbol."""
    body = ControlBody(control_id=(body.control_id if body else "") or uuid4().hex)

    async def expire(symbol: str) -> dict[str, Any]:
        try:
            report = (await _control(parts, caller, "ExpireDay", body, timeout_ms, symbol=symbol)).body
        except Problem as problem:
            report = problem.document()
        return report | {"symbol": symbol}

    reports = await asyncio.gather(*(expire(symbol) for symbol in parts.instruments.symbols()))
    return reply({"items": reports, "next_cursor": None})


@router.post("/quotes", status_code=202, responses=docs.QUOTE, response_model=None)
async def put_quote(body: QuoteBody, _: Admin, parts: Using) -> Response:
    """Sends a quote, as a market data feed would."""
    message = cast(Quote, body.model_dump() | {"at_us": time.time_ns() // 1000})
    await send(parts, "Quote", message)
    return reply(shown("Quote", message), 202)


@router.get("/keys", responses=docs.page("ApiKey"), response_model=None)
async def list_keys(_: Admin, parts: Using) -> Response:
    """All API keys; a key itself is shown only once, when it is made."""
    return reply({"items": await parts.store.keys(), "next_cursor": None})


@router.post("/keys", status_code=201, responses=docs.KEY, response_model=None)
async def add_key(body: KeyBody, _: Admin, parts: Using) -> Response:
    """Makes an API key. Keep the `api_key` of the answer: only its hash is stored."""
    key = f"oms_{token_urlsafe(24)}"
    if not await parts.store.add_key(hash_of(key), body.name, body.role, body.accounts):
        raise Problem("NAME_TAKEN", f"name {body.name}")
    parts.keys.forget()
    return reply(body.model_dump() | {"api_key": key}, 201)


@router.delete("/keys/{name}", status_code=204, response_model=None)
async def revoke_key(name: str, _: Admin, parts: Using) -> Response:
    """Revokes an API key; other gateways take it for five seconds more."""
    if not await parts.store.revoke_key(name):
        raise Problem("UNKNOWN_KEY", f"name {name}")
    parts.keys.forget()
    return Response(status_code=204)
