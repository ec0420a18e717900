"""Order entry over the stream: orders, their changes and their ends, each by a request_id of the client's.

Rules: what REST checks is checked here by the same code: key, rate, role, scope, shapes, waits. What comes on
a connection is handed to Kafka in its order, but a cancel or replace by `order_id`, which is looked up first.
Answers come when they are there, so one may overtake another: the request_id tells them apart. Accounts with
cancel_on_disconnect have their orders canceled when the connection ends, however it does; a gateway that is
killed cannot do that: cancel_all_after is for it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import Field, ValidationError, model_validator

from app.gateway import metrics
from app.gateway.auth import need_trader
from app.gateway.orders import WAIT_MS_MAX, find_order, named
from app.gateway.parts import Parts
from app.gateway.problems import Problem, invalid, kind, of_shape
from app.gateway.requests import (
    Entry,
    Outcome,
    Waiting,
    cancel_all_after,
    cancel_many,
    cancel_order,
    enter_order,
    replace_order,
)
from app.gateway.shapes import CancelAllAfterBody, ClientOrderId, Name, OrderBody, ReplaceBody, Shape, Side

log = logging.getLogger(__name__)

UNDER_WAY_MAX = 1000
VERBS = ("new_order", "cancel", "replace", "mass_cancel", "cancel_all_after", "cancel_on_disconnect")
Push = Callable[[bytes], None]
RequestId = Annotated[str, Field(min_length=1, max_length=64)]


class CancelEntry(Shape):
    """Cancels what is left of an order: the one of `order_id`, or of `account` and `order`."""

    order_id: Name | None = None
    account: Name | None = None
    order: ClientOrderId | None = Field(None, description="The client's own id of the order.")

    @model_validator(mode="after")
    def _names_one_order(self) -> Self:
        """Two names might name two orders."""
        by_client = self.account is not None and self.order is not None
        one_half = (self.account is None) != (self.order is None)
        if one_half or by_client == (self.order_id is not None):
            raise ValueError("must name the order by order_id, or by account and order")
        return self


class ReplaceEntry(ReplaceBody, CancelEntry):
    """Changes an order, named as in a cancel; what is absent stays."""

    def body(self) -> ReplaceBody:
        """What to change."""
        return ReplaceBody.model_construct(**{name: getattr(self, name) for name in ReplaceBody.model_fields})


class MassCancelEntry(Shape):
    """Cancels every live order of an account, or those of one symbol or side."""

    account: Name
    symbol: Annotated[str, Field(max_length=64)] = ""
    side: Side | None = None


class DisconnectEntry(Shape):
    """Has every live order of an account canceled when this connection ends, or no longer."""

    account: Name
    enabled: bool = True


class StreamRequest(Shape):
    """One request: its id, exactly one of the others, and what to wait for."""

    request_id: RequestId = Field(description="Your id of this request; its answer has it.")
    new_order: OrderBody | None = None
    cancel: CancelEntry | None = None
    replace: ReplaceEntry | None = None
    mass_cancel: MassCancelEntry | None = None
    cancel_all_after: CancelAllAfterBody | None = None
    cancel_on_disconnect: DisconnectEntry | None = None
    wait: Literal["accepted", "terminal"] | None = None
    timeout_ms: int = Field(5000, ge=0, le=WAIT_MS_MAX, description="How long to wait, milliseconds.")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        """A message with two requests would have two answers."""
        if sum(getattr(self, verb) is not None for verb in VERBS) != 1:
            raise ValueError(f"must have exactly one of {', '.join(VERBS)}")
        return self

    @property
    def verb(self) -> str:
        """What is asked for."""
        return next(verb for verb in VERBS if getattr(self, verb) is not None)

    def waiting(self) -> Waiting | None:
        """The wait that is asked for."""
        return None if self.wait is None else Waiting(self.wait, self.timeout_ms / 1000)


def is_request(message: Any) -> bool:
    """Whether a message of a client is one for this module."""
    return isinstance(message, dict) and any(name in message for name in ("request_id", "requestId", *VERBS))


class Entries:
    """Requests under way on one connection; `push` takes their answers."""

    def __init__(self, parts: Parts, key: str, push: Push) -> None:
        self._parts = parts
        self._key = key
        self._push = push
        self._under_way: dict[str, asyncio.Task[None]] = {}
        # Accounts whose orders end with the connection, and who asked for it.
        self._end_with_it: dict[str, Entry] = {}

    async def take(self, message: Mapping[str, Any]) -> None:
        """Begins a request; what is wrong with it is its answer.

        Raises Problem UNAUTHORIZED when the key is no longer one.
        """
        began = time.monotonic()
        try:
            # Each time, as with REST: a key may be revoked while a connection lasts.
            caller = await self._parts.keys.caller(self._key)
            self._parts.limits.take(caller.name)
            need_trader(caller)
            request = self._request(message)
        except Problem as problem:
            if problem.code == "UNAUTHORIZED":
                raise
            self._answer(_id_of(message), "unknown", problem, began)
            return
        # Tasks begin in the order in which they are made.
        task = asyncio.create_task(self._serve(request, Entry(caller, "ws"), began))
        self._under_way[request.request_id] = task

    async def close(self) -> None:
        """Ends the waits; what was handed to Kafka goes its way. Cancels what ends with the connection."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for account, entry in self._end_with_it.items():
            try:
                await cancel_many(self._parts, entry, account, "", "unknown", None)
            except Problem as problem:
                log.error("the orders of %s stay although their client left: %s", account, problem)

    def _request(self, message: Mapping[str, Any]) -> StreamRequest:
        """The request in a message. Raises Problem."""
        try:
            request = StreamRequest.model_validate(message)
        except ValidationError as error:
            raise of_shape(error) from None
        many = request.mass_cancel is not None or request.cancel_all_after is not None
        if many and request.wait == "terminal":
            raise invalid("wait", f"is accepted or absent for {request.verb}")
        if request.request_id in self._under_way:
            raise invalid("request_id", f"{request.request_id} is under way: choose another")
        if len(self._under_way) >= UNDER_WAY_MAX:
            raise Problem(
                "RATE_LIMITED",
                f"a connection may have {UNDER_WAY_MAX} requests under way",
                headers={"Retry-After": "1"},
            )
        return request

    async def _serve(self, request: StreamRequest, entry: Entry, began: float) -> None:
        answer: Outcome | Problem
        try:
            answer = await self._done(request, entry)
        except Problem as problem:
            answer = problem
        except Exception:
            log.exception("%s over the stream failed", request.verb)
            answer = Problem("INTERNAL", request.verb)
        finally:
            del self._under_way[request.request_id]
        self._answer(request.request_id, request.verb, answer, began)

    async def _done(self, request: StreamRequest, entry: Entry) -> Outcome:
        """Does what is asked. Raises Problem."""
        parts, waiting = self._parts, request.waiting()
        if request.new_order is not None:
            return await enter_order(parts, entry, request.new_order, waiting)
        if request.cancel is not None:
            order = await self._order(request.cancel, entry)
            return await cancel_order(parts, entry, order, waiting)
        if request.replace is not None:
            order = await self._order(request.replace, entry)
            return await replace_order(parts, entry, order, request.replace.body(), waiting)
        if request.cancel_all_after is not None:
            switch = request.cancel_all_after
            return await cancel_all_after(parts, entry, switch.account, switch.timeout_ms, waiting)
        if request.cancel_on_disconnect is not None:
            return self._end_with_connection(request.cancel_on_disconnect, entry)
        assert request.mass_cancel is not None
        account, symbol, side = (getattr(request.mass_cancel, name) for name in ("account", "symbol", "side"))
        return await cancel_many(parts, entry, account, symbol, side or "unknown", waiting)

    def _end_with_connection(self, asked: DisconnectEntry, entry: Entry) -> Outcome:
        """Takes note of what is to end with the connection. Raises Problem."""
        entry.caller.need(asked.account)
        if asked.enabled:
            self._end_with_it[asked.account] = entry
        else:
            self._end_with_it.pop(asked.account, None)
        return Outcome({"account": asked.account, "enabled": asked.enabled}, 200)

    async def _order(self, names: CancelEntry, entry: Entry) -> dict[str, Any]:
        if names.order_id is not None:
            return await find_order(self._parts, names.order_id, entry.caller)
        assert names.account is not None
        assert names.order is not None
        return named(names.account, names.order)

    def _answer(self, request_id: str | None, verb: str, answer: Outcome | Problem, began: float) -> None:
        if isinstance(answer, Problem):
            status = kind(answer.code).status
            said: dict[str, Any] = {"type": "error", "request_id": request_id, "problem": answer.document()}
        else:
            status = answer.status
            said = {"type": "answer", "request_id": request_id, "status": status, "data": answer.body}
        metrics.STREAM_REQUEST_SECONDS.labels(verb, str(status)).observe(time.monotonic() - began)
        self._push(orjson.dumps(said))


def _id_of(message: Mapping[str, Any]) -> str | None:
    """The request_id of a message that is no request, if it has one that can be told back."""
    found = message.get("request_id", message.get("requestId"))
    return found if isinstance(found, str) and found.isprintable() else None
