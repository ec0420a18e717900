"""`--risk`: the price checks of the pipeline's agent `risk` before matching sees a new order.

They hold a limit (or protection) price against the tick and, with a band (`band_bps`), against the mid of
the latest quote. Sessions, cancels and replaces are matching's.
"""

from collections.abc import Mapping
from typing import Any

from app.match.instruments import MatchInstrument
from schemas.records import Record
from tables.reference import Instruments
from tables.risk import Risk

Command = Mapping[str, Any]
# What a refusal copies from a cleared order and a line of a file has not.
_NOT_OURS = {"order_id": "", "request_offset": 0, "entered_by": "", "door": "unknown"}


class RiskChecks:
    """The risk table, fed with the quotes and new orders of a file."""

    def __init__(self, instruments: Mapping[str, MatchInstrument]) -> None:
        known = Instruments()
        for instrument in instruments.values():
            known.put(instrument.message())
        self._risk = Risk(0, known)

    def quote(self, command: Command, at_us: int) -> None:
        """Takes a quote."""
        prices = {name: command.get(name) or 0 for name in ("bid", "ask", "last")}
        self._apply("Quote", {"symbol": command["symbol"], **prices}, at_us)

    def refusal(self, command: Command, at_us: int) -> dict[str, Any] | None:
        """The rejection of a new order, None where it may go on."""
        order = {**_NOT_OURS, **command, "time_in_force": command.get("time_in_force") or "day"}
        order["limit_price"] = command.get("limit_price") or 0
        said = self._apply("ClearedOrder", order, at_us)
        if not said:
            return None
        event = said[0][1]
        return {
            "event": "rejected",
            "symbol": command["symbol"],
            "account": command["account"],
            "client_order_id": command["client_order_id"],
            "side": command["side"],
            "status": "rejected",
            "limit_price": command.get("limit_price"),
            "quantity": command["quantity"],
            "cum_quantity": 0,
            "leaves_quantity": 0,
            "reason": event["reason"],
        }

    def _apply(self, kind: str, message: dict[str, Any], at_us: int) -> Any:
        return self._risk.apply(Record(kind, message, 0, at_us), at_us)
