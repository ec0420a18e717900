"""Random commands as the records that reach matching in the pipeline, and the instruments of their symbols.

Accounts and risk stand before matching there: a plain order comes with valid values, an order without a limit
price with a protection, and a cancel or replace names the order by its `order_id`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from schemas.numbers import ONE
from schemas.records import Record
from tables.engine.orders import PLAIN_FORCES, SESSIONS
from tables.instructions import MARKET_LIKE, NOTHING
from tables.instrument_rules import InstrumentRules
from tables.reference import Instruments
from tests.tables.random_commands import MIDDLE, Command
from tests.tables.words import instrument

Step = tuple[Command, int]

# How far from the middle the protection of an order without a limit price lies.
_PROTECTION = 6
_STAMP = {"entered_us": 0, "entered_by": "trader", "door": "kafka"}
_CONTROLS = {"uncross": "Uncross", "expire_day": "ExpireDay", "band": "SetTradingBand"}
_UNCHANGED = dict.fromkeys(("stop_price", "display_quantity", "time_in_force", "expire_at_us"))
# Instructions whose names and values are the same in a command and in its record.
_SAME = tuple(name for name in NOTHING if name not in ("link_id", "link_type", "link_parent", "post_only"))


def instruments_of(rules: Mapping[str, InstrumentRules]) -> Instruments:
    """Instruments with these rules."""
    instruments = Instruments()
    for each in rules.values():
        instruments.put(instrument(**asdict(each)))
    return instruments


class Records:
    """Turns commands into records; knows which order each id means."""

    def __init__(self, rules: Mapping[str, InstrumentRules]) -> None:
        self.rules = rules
        self.offset = 0
        self.order_ids: dict[tuple[str, str], str] = {}
        self.protected: set[str] = set()

    def of(self, step: Step) -> Iterator[tuple[Record, int]]:
        """The record of a command and its time; none for what accounts or risk would have stopped."""
        command, at_us = step
        self.offset += 1
        made = _MAKERS[command["type"]](self, command)
        if made is not None:
            kind, message = made
            yield Record(kind, _STAMP | message, self.offset, at_us), at_us

    def _new(self, command: Command) -> tuple[str, dict[str, Any]] | None:
        name = command["account"], command["client_order_id"]
        carried = self._instructions(command)
        plain = command["order_type"] in ("limit", "market") and command["time_in_force"] in PLAIN_FORCES
        if name in self.order_ids or (plain and carried is None and not self._valid(command)):
            return None
        self.order_ids[name] = f"id {self.offset}"
        price_e8 = command.get("limit_price") or 0
        if command["order_type"] in (*MARKET_LIKE, "pegged"):
            away = _PROTECTION if command["side"] == "buy" else -_PROTECTION
            price_e8 = (MIDDLE + away) * ONE
        if command["order_type"] in MARKET_LIKE:
            self.protected.add(self.order_ids[name])
        names = ("account", "client_order_id", "symbol", "side", "order_type", "quantity", "time_in_force")
        return "ClearedOrder", {
            **{name: command[name] for name in names},
            "order_id": self.order_ids[name],
            "limit_price": price_e8,
            "request_offset": self.offset,
            "instructions": carried,
        }

    def _instructions(self, command: Command) -> dict[str, Any] | None:
        """The order's instructions as their record has them; None where it has none."""
        given = {name: command[name] for name in _SAME if command.get(name)}
        post_only = command.get("post_only")
        if post_only:
            given["post_only"] = "reject" if post_only is True else post_only
        if "link" in command:
            link = command["link"]
            given |= {"link_id": link["id"], "link_type": link["type"]}
            if "parent" in link:
                given["link_parent"] = self.order_ids.get((command["account"], link["parent"]), "nobody")
        return {**NOTHING, **given} if given else None

    def _valid(self, command: Command) -> bool:
        """Whether accounts and risk let the values of a plain order or a replace pass."""
        rules = self.rules[command["symbol"]]
        quantity_e8, price_e8 = command.get("quantity", ONE), command.get("limit_price", 0)
        if quantity_e8 <= 0 or quantity_e8 % rules.lot_size:
            return False
        if command.get("order_type", "limit") != "limit" or "limit_price" not in command:
            return True
        return bool(price_e8 > 0 and rules.on_tick(price_e8))

    def _order(self, command: Command) -> dict[str, Any]:
        """How a cancel or replace names its order."""
        account, named = command["account"], command["order"]
        return {
            "account": account,
            "client_order_id": named,
            "order_id": self.order_ids.get((account, named), "nobody"),
            "symbol": command["symbol"],
            "request_offset": self.offset,
        }

    def _cancel(self, command: Command) -> tuple[str, dict[str, Any]]:
        # Every third is one of a mass cancel: nobody is told of those that mean no live order.
        reason = "NONE" if self.offset % 3 else "MATCHING_MASS_CANCELED"
        return "ClearedCancel", self._order(command) | {"request_id": f"x{self.offset}", "reason": reason}

    def _replace(self, command: Command) -> tuple[str, dict[str, Any]] | None:
        if not self._valid(command):
            return None
        new_id = command.get("client_order_id", "")
        message = self._order(command)
        if new_id:
            if (command["account"], new_id) in self.order_ids:
                return None
            self.order_ids[command["account"], new_id] = message["order_id"]
        changes = {name: command[name] for name in _UNCHANGED if name in command}
        protected = message["order_id"] in self.protected
        return "ClearedReplace", message | {
            "request_id": new_id,
            "quantity": command.get("quantity", 0),
            # Of an order that has none it is the protection, which moves with the stop.
            "limit_price": command.get("stop_price" if protected else "limit_price", 0),
            "order_type": "stop" if protected else "limit",
            "changes": _UNCHANGED | changes if changes else None,
        }

    def _mass_cancel(self, command: Command) -> tuple[str, dict[str, Any]] | None:
        symbol = command.get("symbol")
        return None if symbol is None else ("CancelSymbol", {"symbol": symbol, "control_id": ""})

    def _quote(self, command: Command) -> tuple[str, dict[str, Any]]:
        return "Quote", {name: command.get(name, 0) for name in ("symbol", "bid", "ask", "last")}

    def _control(self, command: Command) -> tuple[str, dict[str, Any]]:
        action = command["action"]
        message = {"symbol": command["symbol"], "control_id": ""}
        if action in SESSIONS:
            return "SetSession", message | {"session": action}
        if action == "band":
            message |= {"low": command["low"], "high": command["high"]}
        return _CONTROLS[action], message


_MAKERS = {
    "new_order": Records._new,
    "cancel_order": Records._cancel,
    "replace_order": Records._replace,
    "mass_cancel": Records._mass_cancel,
    "quote": Records._quote,
    "control": Records._control,
}
