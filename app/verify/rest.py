"""REST and the WebSocket stream of a gateway as doors.

The lists (orders, trades, positions) and what is asked for one by one come from different stores behind the
gateway, so both are asked. Compared are the accounts in the scope of the API key.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from app.verify.agree import Answer, Answers
from app.verify.contents import book_of_json, order_of_json, position_of_json, quote_of_json, trade_of_json
from app.verify.latest import TRADES_MAX, Key, Latest
from app.verify.log import CannotVerify
from schemas.client import HttpClient

_TIMEOUT_S = 30.0
_PAGE = 1000
# Orders that are asked for one by one, beside the list of all.
_ONE_BY_ONE = 100
_AT_ONCE = 20
_AGAIN = frozenset({429, 502, 503, 504})
_AGAIN_S = 0.5
_PATIENCE = 40
# Subscriptions of one connection, below what the gateway allows.
_FEEDS_MAX = 1500
_SNAPSHOTS_S = 15.0

Json = Mapping[str, Any]


class Gateway:
    """REST; an async context manager. `accounts` are those in the key's scope."""

    name = "REST"

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url.rstrip("/")
        self.api_key = api_key
        self.accounts: set[str] = set()
        self._http = HttpClient(
            base_url=f"{self.url}/api/v1", headers={"X-API-Key": api_key}, timeout=_TIMEOUT_S
        )

    async def __aenter__(self) -> "Gateway":
        self.accounts = {item["account"] for item in await self._items("/accounts")}
        if not self.accounts:
            # Nothing would be compared, and that would look like agreement.
            text = "lists no account. Give --api-key one whose scope has accounts, or see `oms status`"
            raise CannotVerify(f"GET /accounts of the gateway at {self.url} {text}")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def ask(self, latest: Latest, wanted: set[Key] | None) -> Answers:
        """Asks the routes of what is wanted. Raises CannotVerify."""
        answers = Answers()
        await self._live(answers, wanted)
        await self._orders(answers, latest, wanted)
        await self._positions(answers, latest, wanted)
        for symbol in latest.names("book"):
            if _is_wanted(("book", symbol), wanted):
                book = await self._get(f"/books/{symbol}", depth=_PAGE)
                answers.states.append(Answer(("book", symbol), book_of_json(book), "GET /books"))
        await self._quotes(answers, latest, wanted)
        for symbol in latest.trades:
            if _is_wanted(("trades", symbol), wanted):
                page = await self._get("/trades", symbol=symbol, limit=TRADES_MAX)
                trades = [trade_of_json(item) for item in reversed(page["items"])]
                answers.trades[symbol, "GET /trades"] = trades
        return answers

    async def _live(self, answers: Answers, wanted: set[Key] | None) -> None:
        """The list of live orders: of all accounts at first, later of those that differ."""
        where = "GET /orders"
        if wanted is None:
            found = await self._items("/orders", status="live", limit=_PAGE)
            answers.live = {(account, where): set() for account in self.accounts}
        else:
            found = []
            for account in sorted({name for kind, name in wanted if kind == "live"} & self.accounts):
                answers.live[account, where] = set()
                found += await self._items("/orders", status="live", account=account, limit=_PAGE)
        for order in found:
            answers.live.setdefault((order["account"], where), set()).add(order["order_id"])
            answers.states.append(Answer(("order", order["order_id"]), order_of_json(order), where))

    async def _orders(self, answers: Answers, latest: Latest, wanted: set[Key] | None) -> None:
        """Some orders one by one: the last that ended, and the last that live."""
        known = latest.known
        ours = [name for name in latest.names("order") if known["order", name].account in self.accounts]
        if wanted is None:
            ended = [name for name in ours if known["order", name].ended]
            living = [name for name in ours if not known["order", name].ended]
            ours = ended[-_ONE_BY_ONE:] + living[-_ONE_BY_ONE:]
        else:
            ours = [name for name in ours if ("order", name) in wanted]
        for begin in range(0, len(ours), _AT_ONCE):
            some = ours[begin : begin + _AT_ONCE]
            answers.states += await asyncio.gather(*(self._order(order_id) for order_id in some))

    async def _order(self, order_id: str) -> Answer:
        found = await self._get(f"/orders/{order_id}", missing=True)
        told = None if found is None else order_of_json(found)
        return Answer(("order", order_id), told, "GET /orders/{order_id}")

    async def _positions(self, answers: Answers, latest: Latest, wanted: set[Key] | None) -> None:
        names = [
            name
            for name in latest.names("position")
            if latest.known["position", name].account in self.accounts
        ]
        names = [name for name in names if _is_wanted(("position", name), wanted)]
        if names:
            items = await self._items("/positions")
            told = {f"{p['account']}|{p['kind']}|{p['asset']}": position_of_json(p) for p in items}
            where = "GET /positions"
            answers.states += [Answer(("position", name), told.get(name), where) for name in names]

    async def _quotes(self, answers: Answers, latest: Latest, wanted: set[Key] | None) -> None:
        names = [name for name in latest.names("quote") if _is_wanted(("quote", name), wanted)]
        if names:
            told = {item["symbol"]: quote_of_json(item) for item in await self._items("/quotes")}
            answers.states += [Answer(("quote", name), told.get(name), "GET /quotes") for name in names]

    async def _items(self, path: str, **query: Any) -> list[Json]:
        """All pages of a list."""
        items: list[Json] = []
        cursor = None
        while True:
            page = await self._get(path, **query, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    async def _get(self, path: str, missing: bool = False, **query: Any) -> Any:
        """The body of an answer; None for what is not there, where that may be. Raises CannotVerify."""
        text = ""
        for _ in range(_PATIENCE):
            try:
                answer = await self._http.get(path, params=query)
            except httpx.HTTPError as error:
                text = f"{type(error).__name__}: {error}"
                break
            if answer.is_success:
                return answer.json()
            if missing and answer.status_code == httpx.codes.NOT_FOUND:
                return None
            text = f"{answer.status_code} {answer.text[:300]}"
            if answer.status_code not in _AGAIN:
                break
            await asyncio.sleep(_AGAIN_S)
        raise CannotVerify(
            f"GET {path} of the gateway at {self.url}: {text}. Check --gateway and --api-key, or `oms status`"
        )


class Stream:
    """The WebSocket stream of a gateway: its snapshots."""

    name = "the stream"

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._url = f"ws{gateway.url.removeprefix('http')}/api/v1/stream"

    async def ask(self, latest: Latest, wanted: set[Key] | None) -> Answers:
        """Subscribes to what is wanted, and takes each snapshot. Raises CannotVerify."""
        feeds = [feed for feed in self._feeds(latest) if _is_feed_wanted(feed, wanted)]
        answers = Answers()
        try:
            for begin in range(0, len(feeds), _FEEDS_MAX):
                async with asyncio.timeout(_SNAPSHOTS_S):
                    await self._snapshots(answers, set(feeds[begin : begin + _FEEDS_MAX]))
        except TimeoutError:
            raise CannotVerify(f"{self._url} sent no snapshots within {_SNAPSHOTS_S:.0f} s") from None
        except (WebSocketException, OSError) as error:
            text = f"{self._url}: {error}. Check --gateway and --api-key, or `oms status`"
            raise CannotVerify(text) from error
        return answers

    def _feeds(self, latest: Latest) -> list[tuple[str, str]]:
        feeds = [("orders", account) for account in sorted(self._gateway.accounts)]
        for channel, names in (
            ("book", latest.names("book")),
            ("quotes", latest.names("quote")),
            ("trades", list(latest.trades)),
        ):
            feeds += [(channel, name) for name in names]
        return feeds

    async def _snapshots(self, answers: Answers, feeds: set[tuple[str, str]]) -> None:
        headers = {"X-API-Key": self._gateway.api_key}
        async with connect(self._url, additional_headers=headers, max_size=None) as websocket:
            for channel, names in _by_channel(feeds).items():
                key = "accounts" if channel == "orders" else "symbols"
                for begin in range(0, len(names), _PAGE):
                    some = names[begin : begin + _PAGE]
                    await websocket.send(json.dumps({"subscribe": [channel], key: some}))
            async for text in websocket:
                message = json.loads(text)
                if message["type"] == "error":
                    raise CannotVerify(f"{self._url}: {message['problem'].get('detail')}")
                feed = (message["channel"], message.get("account") or message.get("symbol"))
                if message["type"] == "snapshot" and feed in feeds:
                    feeds.remove(feed)
                    _take(answers, *feed, message["data"])
                if not feeds:
                    return
        raise CannotVerify(f"{self._url} ended before its snapshots: {websocket.close_reason}")


def _take(answers: Answers, channel: str, name: str, data: Any) -> None:
    """A snapshot of a channel."""
    where = f"channel {channel}"
    if channel == "orders":
        answers.live[name, where] = {order["order_id"] for order in data}
        answers.states += [
            Answer(("order", order["order_id"]), order_of_json(order), where) for order in data
        ]
    elif channel == "trades":
        answers.trades[name, where] = [trade_of_json(trade) for trade in data]
    elif channel == "book":
        answers.states.append(Answer(("book", name), book_of_json(data), where))
    else:
        told = None if data is None else quote_of_json(data)
        answers.states.append(Answer(("quote", name), told, where))


_KIND = {"book": "book", "quotes": "quote", "trades": "trades"}


def _is_wanted(key: Key, wanted: set[Key] | None) -> bool:
    return wanted is None or key in wanted


def _is_feed_wanted(feed: tuple[str, str], wanted: set[Key] | None) -> bool:
    """Whether a feed tells something that is wanted; which account an order has is not asked for."""
    if wanted is None:
        return True
    if feed[0] == "orders":
        return any(kind in ("order", "live") for kind, _ in wanted)
    return (_KIND[feed[0]], feed[1]) in wanted


def _by_channel(feeds: set[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for channel, name in sorted(feeds):
        found.setdefault(channel, []).append(name)
    return found
