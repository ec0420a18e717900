"""Submits requests through the gateway's REST interface and counts what it answers.

Requests of one account keep their order; several accounts go at once. A request that the gateway could
not pass on (429, 503) is sent again, which is safe: the same id and body is never done twice.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from app.resources import flat
from app.settings import Settings
from app.submit.submit import Summary, Wait
from schemas.client import HttpClient
from schemas.numbers import format_e8
from schemas.records import Said

_TIMEOUT_MS_MAX = 30_000
_TRIES = 5
_ACCOUNTS_AT_ONCE = 16


# What a 200 says of each request.
_REACHED = {
    "NewOrder": "order_status",
    "CancelOrder": "canceled",
    "ReplaceOrder": "replaced",
    "MassCancel": "applied",
    "CancelAllAfter": "applied",
}


class RestError(Exception):
    """The gateway cannot be used; the text says why and what to do."""


class Call(NamedTuple):
    """A request as the gateway takes it."""

    method: str
    path: str
    params: dict[str, str]
    body: dict[str, Any] | None


def call_of(kind: str, message: Mapping[str, Any]) -> Call:
    """The call of a request. Raises RestError for what the orders' routes do not take."""
    if kind == "NewOrder":
        names = ("account", "client_order_id", "symbol", "side", "order_type", "time_in_force")
        body = {name: message[name] for name in names} | _numbers(message)
        return Call("POST", "", {}, body | flat(message.get("instructions")))
    if kind == "CancelAllAfter":
        return Call(
            "POST", "/cancel-all-after", {}, {name: message[name] for name in ("account", "timeout_ms")}
        )
    if kind == "MassCancel":
        params = {name: message[name] for name in ("account", "symbol", "side")}
        return Call("DELETE", "", {k: v for k, v in params.items() if v not in ("", "unknown")}, None)
    if kind not in ("CancelOrder", "ReplaceOrder"):
        raise RestError(f"{kind} is not taken by REST here: submit the file with --via kafka")
    path = f"/by-client-id/{quote(message['account'], safe='')}/{quote(message['order'], safe='')}"
    if kind == "CancelOrder":
        return Call("DELETE", path, {}, None)
    named = {"client_order_id": message["client_order_id"]} if message["client_order_id"] else {}
    return Call("PATCH", path, {}, named | _numbers(message) | flat(message.get("changes")))


def _numbers(message: Mapping[str, Any]) -> dict[str, str]:
    names = ("quantity", "limit_price")
    return {name: format_e8(message[name]) for name in names if message[name] is not None}


class _Door:
    """The gateway, and the summary of what it answered."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        orders: str,
        wait: Wait,
        timeout_s: float,
        heard: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        self._http = http
        self._orders = orders
        self._wait = wait
        self._timeout_ms = min(int(timeout_s * 1000), _TIMEOUT_MS_MAX)
        self._heard = heard
        self._free = asyncio.Semaphore(_ACCOUNTS_AT_ONCE)
        self.summary = Summary(answered=True)

    async def send_in_order(self, said: Iterable[Said]) -> None:
        """Sends requests of one account, each after the answer to the one before."""
        async with self._free:
            for kind, message in said:
                self._count(kind, await self._ask(kind, call_of(kind, message)))

    async def _ask(self, kind: str, call: Call) -> httpx.Response:
        params = dict(call.params)
        if self._wait != "none":
            # A mass cancel has no end of its own to wait for.
            until = "accepted" if kind == "MassCancel" else self._wait
            params |= {"wait": until, "timeout_ms": str(self._timeout_ms)}
        for attempt in range(_TRIES):
            try:
                url = self._orders + call.path
                answer = await self._http.request(call.method, url, params=params, json=call.body)
            except httpx.HTTPError as error:
                raise RestError(f"the gateway does not answer ({error!r}): see `oms status`") from error
            if answer.status_code not in (429, 503):
                break
            await asyncio.sleep(float(answer.headers.get("Retry-After", 0.2 * 2**attempt)))
        if answer.status_code in (401, 403):
            raise RestError(f"{answer.json()['detail']}: give a key that may with --key or OMS_API_KEY")
        return answer

    def _count(self, kind: str, answer: httpx.Response) -> None:
        summary = self.summary
        body: dict[str, Any] = answer.json()
        summary.sent += 1
        summary.kinds[kind] += 1
        if answer.is_success:
            outcome = {201: "accepted", 200: str(body.get("status", "applied")), 202: "sent"}[
                answer.status_code
            ]
        else:
            outcome = "unknown" if answer.status_code >= 500 else "rejected"
            summary.reasons[body["code"]] += 1
        summary.outcomes[outcome] += 1
        summary.unanswered += outcome == "unknown" or (outcome == "sent" and self._wait != "none")
        if self._heard is not None:
            self._heard(body)


async def submit(
    settings: Settings,
    chunks: AsyncIterator[Sequence[Said]],
    *,
    key: str,
    wait: Wait = "none",
    timeout_s: float = 30.0,
    progress: Callable[[int], None] = lambda sent: None,
    heard: Callable[[dict[str, Any]], None] | None = None,
) -> Summary:
    """Sends chunks of requests as they come; `heard` is told the body of every answer. Raises RestError."""
    orders = f"{settings.endpoint('gateway').rstrip('/')}/api/v1/orders"
    started = time.monotonic()
    async with HttpClient(headers={"X-API-Key": key}, timeout=timeout_s + 10) as http:
        door = _Door(http, orders, wait, timeout_s, heard)
        async for chunk in chunks:
            by_account = sorted(chunk, key=lambda said: str(said[1].get("account", "")))
            groups = [
                list(group) for _, group in groupby(by_account, lambda said: said[1].get("account", ""))
            ]
            await asyncio.gather(*map(door.send_in_order, groups))
            progress(door.summary.sent)
    door.summary.seconds = time.monotonic() - started
    return door.summary
