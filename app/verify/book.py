"""One symbol's book in the replay: the naive engine of docs/matching.md, in the words of the pipeline.

This is all that the replay knows of matching. Commands are the cleared records and what a control does; what
must be said comes back as `Said`. An order is known to the engine by its account and client_order_id, and by
its order_id here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from app.naive import Engine
from app.verify.records import Message
from schemas.numbers import format_e8

# A cancel for one of these is owed an answer, also when there is nothing to cancel.
_OWED = frozenset({"NONE", "MATCHING_CANCELED_BY_REQUEST"})
_ABSENT = frozenset({"none", "unset", "unknown"})
# Happenings of one order that the pipeline tells as an OrderEvent.
_TOLD = frozenset(
    {"accepted", "rejected", "triggered", "replaced", "replace_rejected", "canceled", "expired"}
)
# Instructions that are one of some words.
_WORDS = frozenset({"peg", "post_only", "stp", "link_type"})

Name = tuple[str, str]
# Price: (quantity, number of orders).
Levels = dict[int, tuple[int, int]]


class Said(NamedTuple):
    """What matching says of an order, as far as it is compared."""

    event: str
    order_id: str
    last_quantity_e8: int
    last_price_e8: int
    leaves_e8: int
    # Of an order with a limit of its own, unless it is a trade or a status.
    limit_e8: int = 0
    # Where the market itself has one, see `own`.
    reason: str = ""

    def __str__(self) -> str:
        fill = f" {format_e8(self.last_quantity_e8)} at {format_e8(self.last_price_e8)}"
        at = fill if self.last_quantity_e8 else ""
        limit = f" with limit {format_e8(self.limit_e8)}" if self.limit_e8 else ""
        why = f" for {self.reason}" if self.reason else ""
        return f"{self.event}{at} of {self.order_id} leaving {format_e8(self.leaves_e8)}{limit}{why}"


def compared(event: Message) -> Said:
    """An OrderEvent, as far as it is compared."""
    fill = event["last_quantity"], event["last_price"]
    named = event["order_type"] in LIMITED and event["event"] not in ("trade", "order_status")
    limit_e8 = event["limit_price"] if named else 0
    reason = "" if event["event"] == "trade" else own(event["reason"])
    return Said(event["event"], event["order_id"], *fill, event["leaves_quantity"], limit_e8, reason)


class MarketRules:
    """An instrument's rules for the naive engine.

    Lot, tick and price range are not held against orders here but by I10, which knows what held when.
    Ticks are for the prices that an order gets in the book: post-only repriced, pegged.
    """

    lot_size = 1
    odd_lots = True
    min_price = 0
    max_price = 0

    def __init__(self) -> None:
        self.take({})

    def take(self, instrument: Message) -> None:
        """Takes what an Instrument says, from now on."""
        steps = sorted((step["from_price"], step["tick_size"]) for step in instrument.get("ticks", ()))
        self.ticks: Sequence[tuple[int, int]] = steps or ((0, 1),)
        self.stp = _given(instrument.get("stp")) or "none"
        self.allocation = _given(instrument.get("allocation")) or "price_time"
        self.pro_rata_min: int = instrument.get("pro_rata_min", 0)
        self.top_order: bool = instrument.get("top_order", False)
        self.static_collar_bps: int = instrument.get("static_collar_bps", 0)
        self.dynamic_collar_bps: int = instrument.get("dynamic_collar_bps", 0)


def _given(word: str | None) -> str:
    return "" if word is None or word in _ABSENT else word


# The limit of others is a protection, or comes from the market.
LIMITED = frozenset({"limit", "stop_limit"})
# Reasons that a command brings along; others are the market's own.
_GIVEN = frozenset(
    f"MATCHING_{name}"
    for name in (
        *("CANCELED_BY_REQUEST", "MASS_CANCELED", "CANCELED_BY_OPERATOR", "KILL_SWITCH", "CANCEL_ALL_AFTER"),
        *("REDUCE_ONLY", "UNKNOWN_ORDER"),
    )
)
_PROTECTED = frozenset({"market", "market_to_limit", "stop", "trailing_stop", "market_if_touched"})


def own(reason: str) -> str:
    """A reason if it is the market's own, else nothing."""
    return reason if reason.startswith("MATCHING_") and reason not in _GIVEN else ""


class Book:
    """The replayed book of a symbol."""

    def __init__(self, symbol: str, rules: MarketRules) -> None:
        self._symbol = symbol
        self._engine = Engine({symbol: rules}, on_tick=False)
        self._at_us = 0
        # Orders with a limit of their own.
        self._limited: set[str] = set()
        # Live orders: order_id by each name, names and leaves by order_id.
        self._id_of: dict[Name, str] = {}
        self._names: dict[str, list[Name]] = {}
        self._leaves: dict[str, int] = {}

    def leaves(self) -> Mapping[str, int]:
        """Open quantity of every live order."""
        return self._leaves

    def depth(self) -> tuple[Levels, Levels]:
        """What is displayed of bids and asks: quantity and number of orders by price."""
        bids, asks = self._engine.depth(self._symbol)
        return _by_price(bids), _by_price(asks)

    def apply(self, kind: str, command: Message, at_us: int) -> list[Said]:
        """What matching must say to a cleared record."""
        if kind == "ClearedOrder":
            self._name(command["order_id"], (command["account"], command["client_order_id"]))
            if command["order_type"] in LIMITED:
                self._limited.add(command["order_id"])
            return self._do(_new_order(command), at_us)
        order_id, known = command["order_id"], command["order_id"] in self._leaves
        if kind == "ClearedStatusRequest":
            return [Said("order_status", order_id, 0, 0, self._leaves[order_id])] if known else []
        if kind == "ClearedCancel":
            if known:
                return self._do(_named("cancel_order", command), at_us)
            return [Said("cancel_rejected", order_id, 0, 0, 0)] if command["reason"] in _OWED else []
        if not known:
            return [Said("replace_rejected", order_id, 0, 0, 0)]
        return self._do(self._replace_order(command), at_us)

    def is_silent(self, kind: str, command: Message) -> bool:
        """Whether matching owes no word for a cleared record."""
        if command["order_id"] in self._leaves:
            return False
        if kind == "ClearedCancel":
            return command["reason"] not in _OWED
        return kind == "ClearedStatusRequest"

    def control(self, kind: str, control: Message, at_us: int) -> list[Said]:
        """What matching must say to a control that was applied."""
        if kind in ("CancelSymbol", "SetSymbolState"):
            return self._do({"type": "mass_cancel", "symbol": self._symbol}, at_us)
        action = {"ExpireDay": "expire_day", "Uncross": "uncross", "SetTradingBand": "band"}.get(kind)
        band = {name: control[name] for name in ("low", "high")} if action == "band" else {}
        command = {"type": "control", "symbol": self._symbol, "action": action or control["session"]}
        return self._do({**command, **band}, at_us)

    def quote(self, quote: Message) -> list[Said]:
        """What matching must say to a quote that it took."""
        prices = {name: quote[name] for name in ("bid", "ask", "last")}
        return self._do({"type": "quote", "symbol": self._symbol, **prices}, quote["at_us"])

    def wake(self, at_us: int) -> list[Said]:
        """What matching must say because of time alone."""
        return self._told(self._engine.wake(self._symbol, max(self._at_us, at_us)))

    def _replace_order(self, command: Message) -> dict[str, Any]:
        given = {name: command[name] for name in ("quantity", "limit_price") if command[name]}
        if command["order_type"] in _PROTECTED:
            # What moves with the stop is its protection, no limit that it has.
            given["protection"] = given.pop("limit_price", 0)
        changes = {name: value for name, value in (command.get("changes") or {}).items() if value is not None}
        if command["request_id"]:
            given["client_order_id"] = command["request_id"]
            self._name(command["order_id"], (command["account"], command["request_id"]))
        return {**_named("replace_order", command), **given, **changes}

    def _name(self, order_id: str, name: Name) -> None:
        self._id_of[name] = order_id
        self._names.setdefault(order_id, []).append(name)

    def _do(self, command: Mapping[str, Any], at_us: int) -> list[Said]:
        self._at_us = max(self._at_us, at_us)
        return self._told(self._engine.apply(command, self._at_us))

    def _told(self, happenings: Sequence[Mapping[str, Any]]) -> list[Said]:
        said = [each for happening in happenings for each in self._said(happening)]
        for each in said:
            if each.event in ("rejected", "replace_rejected"):
                # Of an order that lives, nothing changed.
                if each.order_id not in self._leaves:
                    self._forget(each.order_id)
            elif each.leaves_e8:
                self._leaves[each.order_id] = each.leaves_e8
            else:
                self._leaves.pop(each.order_id, None)
                self._forget(each.order_id)
        return said

    def _said(self, happening: Mapping[str, Any]) -> Iterator[Said]:
        event = happening["event"]
        if event == "trade":
            for party in (happening["taker"], happening["maker"]):
                order_id = self._id_of.get((party["account"], party["client_order_id"]), "NONE")
                fill = happening["quantity"], happening["price"]
                yield Said("trade", order_id, *fill, party["leaves_quantity"])
        elif event in _TOLD:
            order_id = self._id_of.get((happening["account"], happening["client_order_id"]), "NONE")
            limit_e8 = (happening["limit_price"] or 0) if order_id in self._limited else 0
            yield Said(
                event, order_id, 0, 0, happening["leaves_quantity"], limit_e8, own(happening["reason"])
            )

    def _forget(self, order_id: str) -> None:
        self._limited.discard(order_id)
        for name in self._names.pop(order_id, ()):
            self._id_of.pop(name, None)


def _by_price(levels: list[tuple[int, int, int]]) -> Levels:
    return {price_e8: (quantity_e8, orders) for price_e8, quantity_e8, orders in levels}


def _named(kind: str, command: Message) -> dict[str, Any]:
    """A command that means an order that is there."""
    return {
        "type": kind,
        "symbol": command["symbol"],
        "account": command["account"],
        "order": command["client_order_id"],
    }


def _new_order(command: Message) -> dict[str, Any]:
    same = ("symbol", "account", "client_order_id", "side", "order_type", "time_in_force", "quantity")
    order = {"type": "new_order", "order_id": command["order_id"], **{name: command[name] for name in same}}
    order["limit_price"] = command["limit_price"] or None
    instructions = command.get("instructions") or {}
    for name, value in instructions.items():
        order[name] = _given(value) if name in _WORDS else value
    order["stop_price"] = order.get("stop_price") or None
    if order.get("link_type"):
        order["link"] = {"type": order["link_type"], "id": order["link_id"], "parent": order["link_parent"]}
    # To say that the own orders may trade is an instruction, too; only what is unset is the instrument's.
    if instructions.get("stp") == "none":
        order["stp"] = "none"
    return order
