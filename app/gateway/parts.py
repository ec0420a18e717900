"""What handlers work with, in one place."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from app.gateway.answers import Answers
from app.gateway.auth import Keys, Limits
from app.gateway.hub import Hub
from app.gateway.instruments import Instruments
from app.gateway.latest import Latest
from app.gateway.link import Link
from app.gateway.store import Store
from app.latest import rank
from app.settings import Settings

_RECENT_MAX = 50_000


class Recent:
    """Orders that went through this gateway, so that one just entered is known before any sink has it."""

    def __init__(self) -> None:
        self._orders: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._of_client: dict[tuple[str, str], str] = {}

    def put(self, order: dict[str, Any]) -> None:
        """Remembers an order unless a later state of it is known."""
        known = self._orders.pop(order["order_id"], None)
        # The answer to a repeat is no later state: when it was entered is known only of the first.
        self._orders[order["order_id"]] = order if known is None else newer(known, order)
        self._of_client[order["account"], order["client_order_id"]] = order["order_id"]
        if len(self._orders) > _RECENT_MAX:
            _, oldest = self._orders.popitem(last=False)
            self._of_client.pop((oldest["account"], oldest["client_order_id"]), None)

    def refuse(self, order: dict[str, Any]) -> None:
        """Remembers that an order was refused before it became one, unless it became one since."""
        known = self._orders.get(order["order_id"])
        if known is not None and not known["version"]:
            self._orders[order["order_id"]] = order

    def get(self, order_id: str) -> dict[str, Any] | None:
        """The order as last seen here."""
        return self._orders.get(order_id)

    def of_client(self, account: str, client_order_id: str) -> dict[str, Any] | None:
        """The order of a client's id as last seen here."""
        return self._orders.get(self._of_client.get((account, client_order_id), ""))


def newer(order: dict[str, Any], other: dict[str, Any] | None) -> dict[str, Any]:
    """The later of two states of an order; the first where they are the same.

    Their times do not count: a repeat is answered with the state of before, at the time of the repeat.
    """
    return order if other is None or _rank(order) >= _rank(other) else other


def _rank(order: dict[str, Any]) -> tuple[int, bool, int | str]:
    return rank(order["version"], order["status"], 0)


@dataclass
class Parts:
    """The parts of one gateway."""

    settings: Settings
    link: Link
    answers: Answers
    instruments: Instruments
    store: Store
    latest: Latest
    keys: Keys
    limits: Limits
    hub: Hub
    recent: Recent = field(default_factory=Recent)


async def _parts(connection: HTTPConnection) -> Parts:
    # A coroutine, because FastAPI would send a plain function to a thread: half of a request's time.
    parts: Parts = connection.app.state.parts
    return parts


Using = Annotated[Parts, Depends(_parts)]
