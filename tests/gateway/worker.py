"""A worker by script: answers the requests of a test gateway on its real topics, without tables.

What an order's client_order_id begins with says what becomes of it: `reject`, `fill`, `mute` (never
answered), else it rests.
"""

import asyncio
import threading
from typing import Any, cast

from aiokafka import AIOKafkaProducer

from app import topics
from app.reader import Read, TopicReader
from app.settings import Settings
from schemas.codec import Codec
from schemas.ids import order_id
from schemas.messages import OrderEvent

Said = tuple[str, str, dict[str, Any]]


class ScriptedWorker:
    """Runs in its own thread from `start` to `stop`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._orders: dict[tuple[str, str], dict[str, Any]] = {}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.heard: list[Read] = []

    def start(self) -> None:
        """Returns when it reads."""
        self._thread.start()
        assert self._ready.wait(60), "the scripted worker is not ready"

    def stop(self) -> None:
        """Ends the thread."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def last(self, kind: str) -> dict[str, Any]:
        """The last request of a kind."""
        return next(read.message for read in reversed(self.heard) if read.kind == kind)

    def _run(self) -> None:
        self._task = self._loop.create_task(self._work())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            self._loop.close()

    async def _work(self) -> None:
        codec = Codec(await topics.prepare(self._settings))
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.endpoint("kafka"), linger_ms=0)
        await producer.start()
        events = self._settings.topic("events")
        try:
            async with TopicReader(self._settings, ["orders", "control"]) as reader:
                self._ready.set()
                async for batch in reader.batches():
                    for read in batch:
                        self.heard.append(read)
                        for kind, key, message in self._answers(read):
                            value = codec.encode(kind, message)
                            await producer.send_and_wait(events, value, key.encode(), read.partition)
        finally:
            await producer.stop()

    def _answers(self, read: Read) -> list[Said]:
        if read.short == "control":
            return [self._report(read)]
        if read.message["client_order_id"].startswith("mute"):
            return []
        if read.kind in ("MassCancel", "CancelAllAfter"):
            return [self._mass_cancel(read)]
        if read.kind == "NewOrder":
            return [self._event(event) for event in self._entered(read)]
        return [self._event(self._changed(read))]

    def _event(self, event: OrderEvent) -> Said:
        return "OrderEvent", event["order_id"], dict(event)

    def _entered(self, read: Read) -> list[OrderEvent]:
        order = read.message
        if order["account"] == "NOBODY":
            refused = NOTHING | {name: order[name] for name in ("account", "client_order_id")}
            return [event_of(refused, read.offset, "rejected", "ACCOUNTS_UNKNOWN_ACCOUNT", "account=NOBODY")]
        key = (order["account"], order["client_order_id"])
        if key in self._orders:
            return [event_of(self._orders[key], read.offset, "order_status")]
        known = self._orders[key] = order | {
            "order_id": order_id(*key, order["entered_us"]),
            "status": "new",
            "version": 1,
            "cum": 0,
        }
        if order["client_order_id"].startswith("reject"):
            known["status"] = "rejected"
            return [event_of(known, read.offset, "rejected", "ACCOUNTS_INSUFFICIENT_CASH", "free=1 asked=2")]
        said = [event_of(known, read.offset, "accepted")]
        if order["client_order_id"].startswith("fill"):
            known |= {"status": "filled", "version": 2, "cum": order["quantity"]}
            said.append(event_of(known, read.offset, "trade"))
        return said

    def _changed(self, read: Read) -> OrderEvent:
        request = read.message
        refused, done = ("cancel_rejected", "canceled")
        if read.kind == "ReplaceOrder":
            refused, done = ("replace_rejected", "replaced")
        known = self._orders.get((request["account"], request["order"]))
        if known is None:
            unknown = NOTHING | {"account": request["account"], "client_order_id": request["order"]}
            return event_of(unknown, read.offset, refused, "ACCOUNTS_UNKNOWN_ORDER", request=request)
        if known["status"] != "new":
            return event_of(known, read.offset, refused, "ACCOUNTS_TOO_LATE", request=request)
        known["version"] += 1
        if read.kind == "CancelOrder":
            known["status"] = "canceled"
        else:
            known["quantity"] = request["quantity"] or known["quantity"]
            known["limit_price"] = request["limit_price"] or known["limit_price"]
        return event_of(known, read.offset, done, request=request)

    def _mass_cancel(self, read: Read) -> Said:
        request = read.message
        live = [key for key, order in self._orders.items() if key[0] == request["account"]]
        report = {
            "account": request["account"],
            "request_id": request["client_order_id"],
            "symbol": request.get("symbol", ""),
            "side": request.get("side", "unknown"),
            "outcome": "applied",
            "reason": "NONE",
            "text": "",
            "orders": len(live),
            "request_offset": read.offset,
            "entered_by": request["entered_by"],
            "door": request["door"],
            "at_us": request["entered_us"],
        }
        return "MassCancelReport", request["account"], report

    def _report(self, read: Read) -> Said:
        control = read.message
        refused = control.get("amount", 0) < 0
        report = {
            "control": read.kind,
            "account": control.get("account", ""),
            "symbol": control["symbol"] if "account" not in control else "",
            "control_id": control["control_id"],
            "outcome": "rejected" if refused else "applied",
            "reason": "ACCOUNTS_INSUFFICIENT_CASH" if refused else "NONE",
            "text": "free=0 asked=5" if refused else "",
            "control_offset": read.offset,
            "entered_by": control["entered_by"],
            "door": control["door"],
            "at_us": control["entered_us"],
        }
        return "ControlReport", report["account"] or report["symbol"], report


NOTHING: dict[str, Any] = {
    "order_id": "NONE",
    "symbol": "",
    "side": "unknown",
    "order_type": "unknown",
    "time_in_force": "unknown",
    "status": "rejected",
    "version": 0,
    "quantity": 0,
    "limit_price": 0,
    "cum": 0,
    "entered_by": "",
    "door": "unknown",
    "entered_us": 1,
}


def event_of(
    order: dict[str, Any],
    offset: int,
    event: str,
    reason: str = "NONE",
    text: str = "",
    request: dict[str, Any] | None = None,
) -> OrderEvent:
    """An OrderEvent of a scripted order."""
    finished = order["status"] in {"filled", "canceled", "rejected"}
    fill = order["cum"] if event == "trade" else 0
    price = order["limit_price"] or 0
    said = {name: order[name] for name in OrderEvent.__annotations__ if name in order} | {
        "event": event,
        "limit_price": price,
        "cum_quantity": order["cum"],
        "leaves_quantity": 0 if finished else order["quantity"] - order["cum"],
        "average_price": price if order["cum"] else 0,
        "last_quantity": fill,
        "last_price": price if fill else 0,
        "trade_id": "",
        "reason": reason,
        "text": text,
        "request_offset": offset,
        "request_id": request["client_order_id"] if request else "",
        "at_us": order["entered_us"],
    }
    return cast(OrderEvent, said)
