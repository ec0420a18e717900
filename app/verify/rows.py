"""I7 for what is not a book: the changelogs of accounts and risk hold what was said.

A changelog is what the next owner of a lane goes on from: a row that is missing or old would come to light
only after the next crash. Compared are live orders, cash and holdings, status and limits of accounts, and
state and band of symbols. What something was said of after verifying began may be on its way from a topic
to its row, and is left out. Rows of finished orders and of control ids are not compared: what they must
say would take a day's memory.
"""

from collections.abc import Container, Mapping

from app.verify.findings import Findings
from app.verify.orders import Order
from app.verify.records import Message, Place, Seen
from schemas.numbers import format_e8

_ORDER = (("quantity", "quantity_e8"), ("limit_price", "limit_price_e8"), ("cum_quantity", "cum_e8"))
_UNLIMITED = tuple(each for each in _ORDER if each[0] != "limit_price")
_ASSET = ("total", "reserved", "version")


class Rows:
    """Keeps what the changelogs hold, by what it is of; finished orders are forgotten at once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._orders: dict[bytes, Seen] = {}
        self._assets: dict[tuple[str, str, str], Seen] = {}
        self._accounts: dict[str, Seen] = {}
        self._symbols: dict[str, Seen] = {}
        self._limits: dict[str, tuple[Message, Place]] = {}
        self._status: dict[str, tuple[Message, Place]] = {}
        self._states: dict[str, tuple[Message, Place]] = {}
        self._bands: dict[str, tuple[Message, Place]] = {}
        self._by_kind = {
            "SetAccount": (self._status, "account"),
            "SetLimits": (self._limits, "account"),
            "SetSymbolState": (self._states, "symbol"),
            "SetPriceBand": (self._bands, "symbol"),
        }
        self._marked = False
        self._moving: set[str] = set()

    def mark(self) -> None:
        """The changelogs are read from now on; what a control changes meanwhile is left out."""
        self._marked = True

    def control(self, control: Message, kind: str, report: Seen) -> None:
        """Takes an applied control."""
        if kind in self._by_kind:
            kept, name = self._by_kind[kind]
            kept[control[name]] = control, report.place
            if self._marked:
                self._moving.add(control[name])

    def row(self, seen: Seen) -> None:
        """Takes a record of the changelog of accounts or risk."""
        key, row = seen.key or b"", seen.message
        if seen.kind == "AccountOrderRow" and not row["finished_us"]:
            self._orders[key] = seen
        elif seen.value is None or seen.kind == "AccountOrderRow":
            self._orders.pop(key, None)
        elif seen.kind == "AssetRow":
            self._assets[row["account"], row["kind"], row["asset"]] = seen
        elif seen.kind == "AccountRow":
            self._accounts[row["account"]] = seen
        elif seen.kind == "RiskRow":
            self._symbols[row["symbol"]] = seen

    # The end.

    def finish(
        self,
        live: Mapping[str, Order],
        held: Mapping[str, int],
        positions: Mapping[tuple[str, str, str], Seen],
        moving: Container[str],
    ) -> None:
        """Compares; accounts of `moving` are left out, `held` has prices that are not an order's limit."""
        # A changelog that has nothing is one that lost everything.
        if self._marked:
            self._compare_orders(live, held, moving)
            self._compare_assets(positions, moving)
            self._compare_accounts()
            self._compare_symbols()

    def _compare_orders(
        self, live: Mapping[str, Order], held: Mapping[str, int], moving: Container[str]
    ) -> None:
        rows = {row.message["order_id"]: row for row in self._orders.values()}
        for order_id, order in live.items():
            if order.account in moving:
                continue
            self._findings.check("I7")
            row = rows.get(order_id)
            if row is None:
                text = f"order {order_id} is {order.status}, and accounts' changelog has no live row of it"
                self._findings.wrong("I7", text, [order.place], order_id)
                continue
            # Without a limit of its own, the row has what protects it.
            limited = order.order_type in ("limit", "stop_limit")
            for field, ours in _ORDER if limited else _UNLIMITED:
                told_e8, right_e8 = row.message[field], getattr(order, ours)
                if field == "limit_price":
                    right_e8 = held.get(order_id, right_e8)
                if told_e8 != right_e8:
                    told = f"{field} {format_e8(told_e8)}, the events {format_e8(right_e8)}"
                    text = f"order {order_id}: accounts' changelog says {told}"
                    self._findings.wrong("I7", text, [order.place, row.place], order_id)
        for order_id, row in rows.items():
            if order_id not in live and row.message["account"] not in moving:
                text = f"order {order_id} has a live row in accounts' changelog, and does not live"
                self._findings.wrong("I7", text, [row.place], order_id)

    def _compare_assets(self, positions: Mapping[tuple[str, str, str], Seen], moving: Container[str]) -> None:
        for asset in {**positions, **self._assets}:
            if asset[0] in moving:
                continue
            self._findings.check("I7")
            position, row = positions.get(asset), self._assets.get(asset)
            told, right = _asset(row), _asset(position)
            if told != right:
                text = f"{asset[1]} {asset[2]} of {asset[0]}: the changelog says {told}, the position {right}"
                places = [None if seen is None else seen.place for seen in (position, row)]
                self._findings.wrong("I7", text, places)

    def _compare_accounts(self) -> None:
        for account in {**self._status, **self._limits, **self._accounts}:
            if account in self._moving:
                continue
            right: dict[str, object] = {}
            places: list[Place] = []
            if account in self._status:
                control, place = self._status[account]
                right["status"] = control["status"]
                places.append(place)
            if account in self._limits:
                control, place = self._limits[account]
                names = ("max_order_quantity", "max_order_notional", "allow_short")
                right |= {name: control[name] for name in names}
                places.append(place)
            self._compare(f"account {account}", self._accounts.get(account), right, places)

    def _compare_symbols(self) -> None:
        for symbol in {**self._states, **self._bands}:
            if symbol in self._moving:
                continue
            right: dict[str, object] = {}
            places: list[Place] = []
            if symbol in self._states:
                control, place = self._states[symbol]
                right["state"] = control["state"]
                places.append(place)
            if symbol in self._bands:
                control, place = self._bands[symbol]
                right |= {name: control[name] for name in ("band_bps", "max_quote_age_ms")}
                places.append(place)
            self._compare(symbol, self._symbols.get(symbol), right, places)

    def _compare(self, name: str, row: Seen | None, right: dict[str, object], places: list[Place]) -> None:
        self._findings.check("I7")
        told = {} if row is None else {field: row.message[field] for field in right}
        if told != right or row is None:
            said = "has no row" if row is None else f"says {told}"
            where = [*places, *([] if row is None else [row.place])]
            self._findings.wrong("I7", f"{name}: the changelog {said}, controls {right}", where)


def _asset(seen: Seen | None) -> str:
    if seen is None:
        return "nothing"
    total, reserved, version = (seen.message[name] for name in _ASSET)
    return f"{format_e8(total)}, reserved {format_e8(reserved)}, version {version}"
