"""Routes that only read: trades, positions, accounts, instruments, quotes, books."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from app.gateway import docs, instruments
from app.gateway.auth import Caller, Reader
from app.gateway.listing import Listing, Moment, as_page
from app.gateway.parts import Parts, Using
from app.gateway.problems import Problem
from app.gateway.replies import reply
from app.gateway.shapes import Name, Side
from app.gateway.store import Filter, Page

router = APIRouter(tags=["data"])


class TradeListing(Listing):
    """Which trades to list."""

    account: Name | None = Field(None, description="Trades with this account on either side.")
    symbol: Name | None = None
    order_id: Name | None = Field(None, description="Trades of this order.")
    aggressor_side: Side | None = None
    since: Moment | None = None
    until: Moment | None = None


_PARTY = ("account", "client_order_id", "order_id")


def as_seen_by(caller: Caller, trade: dict[str, Any]) -> dict[str, Any]:
    """A trade with null for the parties that are not in the caller's scope: the tape names nobody."""
    seen = dict(trade)
    for side in ("maker", "taker"):
        if not caller.has(trade[f"{side}_account"]):
            seen.update({f"{side}_{name}": None for name in _PARTY})
    return seen


@router.get("/trades", responses=docs.page("Trade"), response_model=None)
async def trades(query: Annotated[TradeListing, Query()], caller: Reader, parts: Using) -> Response:
    """Trades of all accounts, the latest first; parties outside the key's scope are null."""
    page = await parts.store.trades(_filters(query, caller), query.cursor, query.limit)
    return as_page(Page([as_seen_by(caller, trade) for trade in page.rows], page.next_cursor))


def _filters(query: TradeListing, caller: Caller) -> list[Filter]:
    filters = []
    if query.account is not None:
        caller.need(query.account)
        filters.append(Filter("(maker_account = %s OR taker_account = %s)", [query.account] * 2))
    if query.symbol is not None:
        filters.append(Filter("symbol = %s", [query.symbol]))
    if query.order_id is not None:
        filters.append(Filter("(maker_order_id = %s OR taker_order_id = %s)", [query.order_id] * 2))
        if caller.accounts is not None:
            scope = sorted(caller.accounts)
            filters.append(Filter("(maker_account = ANY(%s) OR taker_account = ANY(%s))", [scope, scope]))
    if query.aggressor_side is not None:
        filters.append(Filter("aggressor_side = %s", [query.aggressor_side]))
    if query.since is not None:
        filters.append(Filter("at >= %s", [query.since]))
    if query.until is not None:
        filters.append(Filter("at < %s", [query.until]))
    return filters


@router.get("/positions", responses=docs.page("Position"), response_model=None)
async def positions(caller: Reader, parts: Using, account: Name | None = None) -> Response:
    """Cash and holdings of an account, or of every account of the key."""
    scope = caller.scope(account)
    return reply({"items": await _positions(parts, scope), "next_cursor": None})


async def _positions(parts: Parts, scope: list[str] | None) -> list[dict[str, Any]]:
    """From Redis for one account; from PostgreSQL for many, or when Redis does not have it."""
    if scope is not None and len(scope) == 1:
        latest = await parts.latest.positions(scope[0])
        if latest is not None:
            return latest
    return await parts.store.positions(scope)


@router.get("/accounts", responses=docs.page("Account"), response_model=None)
async def accounts(caller: Reader, parts: Using) -> Response:
    """Accounts of the key, with status and limits."""
    return reply({"items": await parts.store.accounts(caller.scope(None)), "next_cursor": None})


@router.get("/accounts/{account}", responses=docs.ACCOUNT, response_model=None)
async def account(account: str, caller: Reader, parts: Using) -> Response:
    """An account with status, limits, cash and holdings."""
    caller.need(account)
    found = await parts.store.accounts([account])
    if not found:
        raise Problem("UNKNOWN_ACCOUNT", f"account {account}")
    owned = await _positions(parts, [account])
    return reply(
        found[0]
        | {
            "cash": [position for position in owned if position["kind"] == "cash"],
            "holdings": [position for position in owned if position["kind"] == "holding"],
        }
    )


@router.get("/instruments", responses=docs.page("Instrument"), response_model=None)
async def list_instruments(_: Reader, parts: Using) -> Response:
    """Every instrument."""
    known = _loaded(parts)
    items = [instruments.resource(known.need(symbol)) for symbol in known.symbols()]
    return reply({"items": items, "next_cursor": None})


@router.get("/instruments/{symbol}", responses=docs.INSTRUMENT, response_model=None)
async def instrument(symbol: str, _: Reader, parts: Using) -> Response:
    """An instrument: currency, tick table, lot size, price band."""
    return reply(instruments.resource(_loaded(parts).need(symbol)))


def _loaded(parts: Parts) -> instruments.Instruments:
    if not parts.instruments.loaded:
        raise Problem("NOT_READY", "instruments are not read from Kafka yet")
    return parts.instruments


@router.get("/quotes", responses=docs.page("Quote"), response_model=None)
async def quotes(_: Reader, parts: Using) -> Response:
    """The latest quote of every instrument that has one."""
    found = await parts.latest.many([f"quote:{symbol}" for symbol in _loaded(parts).symbols()])
    return reply({"items": [quote for quote in found if quote is not None], "next_cursor": None})


@router.get("/quotes/{symbol}", responses=docs.QUOTE, response_model=None)
async def quote(symbol: str, _: Reader, parts: Using) -> Response:
    """The latest quote of an instrument."""
    found = await parts.latest.one(f"quote:{symbol}")
    if found is None:
        _loaded(parts).need(symbol)
        raise Problem("NO_QUOTE", f"symbol {symbol}")
    return reply(found)


@router.get("/books/{symbol}", responses=docs.BOOK, response_model=None)
async def book(
    symbol: str, _: Reader, parts: Using, depth: Annotated[int, Query(ge=1, le=1000)] = 20
) -> Response:
    """The order book of an instrument, best prices first: `[price, quantity, orders]`."""
    found = await parts.latest.one(f"book:{symbol}")
    if found is None:
        _loaded(parts).need(symbol)
        found = {"symbol": symbol, "sequence": 0, "bids": [], "asks": [], "at": None}
    return reply(found | {"bids": found["bids"][:depth], "asks": found["asks"][:depth]})
