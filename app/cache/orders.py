"""The orders that a batch changes: from their events, and as Redis had them, to commands.

Rules: only the last state of a batch is written. An order that ended stays for FINISHED_S after its last
event; one that ended before that is not written at all, so that filling an empty Redis with a long
history costs little. A client_order_id that a replace took away still finds its order for REPLACED_S.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from app.latest import FINISHED, changes_order, rank
from app.reader import Read
from app.resources import order_of_event, rfc3339

Json = dict[str, Any]
Command = tuple[str | bytes | int, ...]

FINISHED_S = 3600
REPLACED_S = 86_400


def orders_of(batch: Iterable[Read]) -> list[str]:
    """Ids of the orders that a batch changes."""
    return list(
        dict.fromkeys(
            read.message["order_id"]
            for read in batch
            if read.kind == "OrderEvent" and changes_order(read.message)
        )
    )


class _Order:
    """An order while its events are taken: whether Redis knows it, and all names that clients gave it."""

    __slots__ = ("entered_at", "event", "known", "names", "rank")

    def __init__(self, stored: Json | None) -> None:
        self.known = stored is not None
        self.event: Mapping[str, Any] | None = None
        self.rank: tuple[int, bool, int | str] = (0, False, "")
        self.entered_at = ""
        self.names: dict[str, None] = {}
        if stored is not None:
            self.rank = rank(stored["version"], stored["status"], stored["updated_at"])
            self.entered_at = stored["entered_at"]
            self.names[stored["client_order_id"]] = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Takes a state, if it is later; what was only rejected before is entered now."""
        at = rfc3339(event["at_us"])
        this = rank(event["version"], event["status"], at)
        if this <= self.rank:
            return
        if not self.rank[1]:
            self.entered_at = at
        self.rank, self.event = this, event
        self.names[event["client_order_id"]] = None

    def commands(self, now_s: float) -> Iterator[Command]:
        """What writes its last state."""
        event = self.event
        if event is None:
            return
        key, live = f"order:{event['order_id']}", f"orders:live:{event['account']}"
        name = f"client:{event['account']}:{event['client_order_id']}"
        former = [f"client:{event['account']}:{n}" for n in self.names if n != event["client_order_id"]]
        left_s = int(FINISHED_S - (now_s - event["at_us"] / 1_000_000))
        if event["status"] not in FINISHED:
            yield "SET", key, self._value(event)
            yield "SADD", live, event["order_id"]
            yield "SET", name, event["order_id"]
        elif left_s > 0:
            yield "SET", key, self._value(event), "EX", left_s
            yield "SREM", live, event["order_id"]
            yield "SET", name, event["order_id"], "EX", left_s
        elif self.known:
            yield "DEL", key, name, *former
            yield "SREM", live, event["order_id"]
            return
        else:
            return
        for former_name in former:
            yield "SET", former_name, event["order_id"], "EX", REPLACED_S

    def _value(self, event: Mapping[str, Any]) -> bytes:
        return orjson.dumps(order_of_event(event) | {"entered_at": self.entered_at})


class OrderChanges:
    """Takes the events of a batch; `stored` are the orders of `orders_of` as Redis has them."""

    def __init__(self, stored: Mapping[str, Json]) -> None:
        self._stored = stored
        self._orders: dict[str, _Order] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        """Takes one OrderEvent."""
        if changes_order(event):
            order_id = event["order_id"]
            if order_id not in self._orders:
                self._orders[order_id] = _Order(self._stored.get(order_id))
            self._orders[order_id].take(event)

    def commands(self, now_s: float) -> list[Command]:
        """What writes the last states."""
        return [command for order in self._orders.values() for command in order.commands(now_s)]
