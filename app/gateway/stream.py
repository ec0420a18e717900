"""`WS /api/v1/stream`: orders, trades, quotes and books as they change.

The client sends `{"subscribe": ["book", "trades"], "symbols": ["AAPL"]}` or
`{"subscribe": ["orders"], "accounts": ["demo-1"]}`, likewise `unsubscribe`; `["*"]` is all symbols, and no
accounts are those of the key. It gets snapshot, update, gap and error messages. Orders are entered here, too:
app.gateway.entry. The key comes as header, as `?api_key=`, or as a first message `{"api_key": "..."}`.

Rule: a client that reads too slowly is disconnected (4008), so that no one's backlog grows without bound.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.gateway import metrics
from app.gateway.auth import Caller, key_of
from app.gateway.entry import Entries, is_request
from app.gateway.feeds import CHANNELS, Feed
from app.gateway.parts import Parts
from app.gateway.problems import Problem, invalid, of_shape
from app.gateway.shapes import Name, exact_json

log = logging.getLogger(__name__)

UNAUTHORIZED = 4401
SLOW_CONSUMER = 4008
FEEDS_MAX = 2000
_KEY_WITHIN_S = 10.0
_CLOSE_WITHIN_S = 2.0

router = APIRouter()
ChannelName = Literal["orders", "trades", "quotes", "book"]


class Command(BaseModel):
    """What a client may send."""

    model_config = ConfigDict(extra="forbid", strict=True)
    subscribe: list[ChannelName] = []
    unsubscribe: list[ChannelName] = []
    symbols: list[Name] = Field([], max_length=1000)
    accounts: list[Name] = Field([], max_length=1000)


class SlowConsumer(Exception):
    """The client's backlog is full."""


class Client:
    """One connection: its feeds, its requests, and what waits to be sent."""

    def __init__(self, websocket: WebSocket, parts: Parts, caller: Caller, key: str) -> None:
        self._websocket = websocket
        self._parts = parts
        self._caller = caller
        self._entries = Entries(parts, key, self.push)
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._backlog: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._full = asyncio.Event()

    def push(self, message: bytes) -> None:
        """Queues a message; what is beyond the backlog ends the connection."""
        if len(self._backlog) >= self._parts.settings.gateway_stream_backlog:
            self._full.set()
            return
        self._backlog.append(message)
        self._wake.set()

    async def serve(self) -> None:
        """Reads and writes until either ends. Raises SlowConsumer, WebSocketDisconnect, Problem."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        tasks.append(asyncio.create_task(self._watch()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._entries.close()
            for feed in self._feeds.values():
                await feed.close()

    async def _read(self) -> None:
        while True:
            text = await self._websocket.receive_text()
            try:
                message = _message(text)
                if is_request(message):
                    await self._entries.take(message)
                else:
                    await self._obey(_command(message))
            except Problem as problem:
                if problem.code == "UNAUTHORIZED":
                    raise
                self.push(orjson.dumps({"type": "error", "problem": problem.document()}))

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._backlog:
                await self._websocket.send_text(self._backlog.popleft().decode())

    async def _watch(self) -> None:
        """Notices a full backlog although the writer is stuck in a send."""
        await self._full.wait()
        raise SlowConsumer

    async def _obey(self, command: Command) -> None:
        for channel, key in self._named(command.unsubscribe, command):
            feed = self._feeds.pop((channel, key), None)
            if feed is not None:
                await feed.close()
        wanted = [pair for pair in self._named(command.subscribe, command) if pair not in self._feeds]
        if len(self._feeds) + len(wanted) > FEEDS_MAX:
            raise Problem("INVALID_FIELD", f"a connection has at most {FEEDS_MAX} subscriptions")
        for channel, key in wanted:
            self._feeds[channel, key] = Feed(self._parts, self._caller, channel, key, self.push)
            await self._feeds[channel, key].open()

    def _named(self, channels: Iterable[str], command: Command) -> list[tuple[str, str]]:
        """Every (channel, key) that a command means. Raises Problem."""
        pairs = []
        for channel in channels:
            names = self._accounts(command) if CHANNELS[channel].key == "account" else self._symbols(command)
            pairs += [(channel, name) for name in names]
        return pairs

    def _accounts(self, command: Command) -> list[str]:
        accounts = command.accounts or sorted(self._caller.accounts or ())
        if not accounts:
            raise invalid("accounts", "is required with a key for all accounts")
        for account in accounts:
            self._caller.need(account)
        return accounts

    def _symbols(self, command: Command) -> list[str]:
        if not command.symbols:
            raise invalid("symbols", 'is required; ["*"] is all')
        if command.symbols == ["*"]:
            return self._parts.instruments.symbols()
        for symbol in command.symbols:
            self._parts.instruments.need(symbol)
        return command.symbols


def _message(text: str) -> Any:
    """A client's message as JSON. Raises Problem."""
    try:
        return exact_json(text)
    except json.JSONDecodeError as error:
        raise Problem("INVALID_JSON", f"{error.msg} at character {error.pos}") from None


def _command(message: Any) -> Command:
    """A client's command about its feeds. Raises Problem."""
    try:
        return Command.model_validate(message)
    except ValidationError as error:
        raise of_shape(error) from None


@router.websocket("/stream")
async def stream(websocket: WebSocket) -> None:
    """Serves one client until it leaves."""
    parts: Parts = websocket.app.state.parts
    await websocket.accept()
    metrics.STREAM_CLIENTS.inc()
    try:
        key = await _key(websocket)
        caller = await parts.keys.caller(key)
        await Client(websocket, parts, caller, key).serve()
    except Problem as problem:
        await _close(websocket, UNAUTHORIZED, problem.code, {"type": "error", "problem": problem.document()})
    except SlowConsumer:
        metrics.STREAM_DROPPED.inc()
        await _close(websocket, SLOW_CONSUMER, "slow consumer")
    except WebSocketDisconnect:
        log.debug("a stream client left")
    finally:
        metrics.STREAM_CLIENTS.dec()


async def _key(websocket: WebSocket) -> str:
    """The key in a header, in the query, or in the first message."""
    key = key_of(websocket) or websocket.query_params.get("api_key", "")
    if key:
        return key
    try:
        async with asyncio.timeout(_KEY_WITHIN_S):
            first: Any = orjson.loads(await websocket.receive_text())
    except (TimeoutError, ValueError):
        return ""
    return str(first.get("api_key", "")) if isinstance(first, dict) else ""


async def _close(websocket: WebSocket, code: int, reason: str, last: Any = None) -> None:
    try:
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            if last is not None:
                await websocket.send_text(orjson.dumps(last).decode())
            await websocket.close(code, reason)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        log.debug("a stream client did not hear its close")
