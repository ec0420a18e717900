"""Replays recorded order flow (L3): a snapshot of resting orders and the adds and cancels after it.

Each resting order and each add becomes a NewOrder whose client_order_id is the recorded order id, each
cancel a CancelOrder. Order matters: every symbol has one account of its own, so that all of its requests
travel one lane and meet in the recorded order. Within a price level of the snapshot, queue_pos is the
time priority. An order recorded at price 0, which is what a feed shows of a price below its precision,
is entered at one tick, the nearest price there is, and counted in `at_one_tick`.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from app.files import BadLine, FileError, Row, RowFile, parse_time_us
from app.market.derive import Grain, create_missing, instrument, open_band
from app.market.seed import Funding, open_account
from app.settings import Settings
from app.submit.controls import apply_controls
from schemas.messages import CancelOrder, Instrument, NewOrder, Side
from schemas.numbers import parse_e8
from schemas.records import Said

Report = Callable[[BadLine], None]

_SNAPSHOT_COLUMNS = ("symbol", "side", "queue_pos", "order_id", "price", "size")
_EVENT_COLUMNS = ("ts_ns", "symbol", "action", "order_id", "side", "price", "size")


class Step(NamedTuple):
    """One request and when it is due, microseconds since the epoch (0 for the snapshot)."""

    due_us: int
    said: Said


class OrderFlow:
    """The requests of a snapshot and its events, and the instruments and accounts that they need."""

    def __init__(self, snapshot: Path, events: Path, account: str, report: Report) -> None:
        """Reads both files whole. Raises FileError, and what `report` raises on a bad line."""
        self._prefix = account
        self._report = report
        self.accounts: dict[str, str] = {}
        self.grains: dict[str, Grain] = {}
        self.at_one_tick = 0
        resting = [*self._rows(snapshot, _SNAPSHOT_COLUMNS)]
        changes = [*self._rows(events, _EVENT_COLUMNS)]
        self.steps = [*self._snapshot(resting), *self._events(changes)]

    def instruments(self) -> list[Instrument]:
        """An instrument per symbol that every recorded price and size fits, without price band."""
        return [
            instrument(symbol, grain, band_bps=0, max_quote_age_ms=0) for symbol, grain in self.grains.items()
        ]

    def controls(self) -> list[Said]:
        """Controls that open an account per symbol, with plenty of everything and no limits."""
        plenty = Funding("1000000000", "0", "0", "0", allow_short=False)
        return [
            control
            for market in self.instruments()
            for control in open_account(
                self.accounts[market["symbol"]],
                plenty,
                {market["symbol"]: parse_e8(plenty.cash)},
                market["currency"],
            )
        ]

    def _rows(self, path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
        """The values of good lines, their prices and sizes taken into the grain of their symbol."""
        file = RowFile(path)
        missing = [column for column in columns if column not in file.columns]
        if missing:
            raise FileError(f"{path} lacks the columns {', '.join(missing)}")
        for row in file:
            try:
                values = _checked(str(path), row)
            except BadLine as bad:
                self._report(bad)
                continue
            grain = self.grains.setdefault(values["symbol"], Grain())
            if values.get("action", "add") == "add":
                grain.see(parse_e8(values["price"]), parse_e8(values["size"]))
            yield values
        file.close()

    def _snapshot(self, resting: list[dict[str, str]]) -> Iterator[Step]:
        rank = {symbol: i for i, symbol in enumerate(self.grains)}
        for values in sorted(resting, key=lambda values: (rank[values["symbol"]], *_priority(values))):
            yield Step(0, ("NewOrder", self._new_order(values)))

    def _events(self, changes: list[dict[str, str]]) -> Iterator[Step]:
        for values in changes:
            due_us = parse_time_us(values["ts_ns"], 1)
            if values["action"] == "add":
                yield Step(due_us, ("NewOrder", self._new_order(values)))
            else:
                yield Step(due_us, ("CancelOrder", self._cancel(values)))

    def _account(self, symbol: str) -> str:
        return self.accounts.setdefault(symbol, f"{self._prefix}-{len(self.accounts) + 1}")

    def _new_order(self, values: dict[str, str]) -> NewOrder:
        price_e8 = parse_e8(values["price"])
        if not price_e8:
            price_e8 = self.grains[values["symbol"]].tick_e8
            self.at_one_tick += 1
        return NewOrder(
            account=self._account(values["symbol"]),
            client_order_id=values["order_id"],
            symbol=values["symbol"],
            side=cast(Side, values["side"]),
            order_type="limit",
            quantity=parse_e8(values["size"]),
            limit_price=price_e8,
            time_in_force="gtc",
            entered_us=0,
            entered_by="replay",
            door="replay",
        )

    def _cancel(self, values: dict[str, str]) -> CancelOrder:
        return CancelOrder(
            account=self._account(values["symbol"]),
            order=values["order_id"],
            client_order_id="",
            symbol=values["symbol"],
            entered_us=0,
            entered_by="replay",
            door="replay",
        )


def _checked(path: str, row: Row | BadLine) -> dict[str, str]:
    """The values of a snapshot or event line; raises BadLine where one cannot be used."""
    if isinstance(row, BadLine):
        raise row
    values = row.values
    for column, words in (("action", ("add", "cancel")), ("side", ("buy", "sell"))):
        if column in values and values[column] not in words:
            raise BadLine(path, row.line, column, f"{values[column]!r} is not {' or '.join(words)}")
    if values.get("action", "add") == "add":
        if _number(path, row, "price") < 0:
            raise BadLine(path, row.line, "price", "is below 0")
        if _number(path, row, "size") <= 0:
            raise BadLine(path, row.line, "size", "is not above 0")
    for column in ("queue_pos", "ts_ns"):
        if not values.get(column, "0").isdigit():
            raise BadLine(path, row.line, column, f"{values[column]!r} is not a whole number")
    return values


def _number(path: str, row: Row, column: str) -> int:
    try:
        return parse_e8(row.values[column])
    except ValueError as error:
        raise BadLine(path, row.line, column, str(error)) from None


def _priority(values: dict[str, str]) -> tuple[str, int, int]:
    """Sort key of a resting order: side, best price first, then its place in the queue."""
    price_e8 = parse_e8(values["price"])
    return values["side"], -price_e8 if values["side"] == "buy" else price_e8, int(values["queue_pos"])


async def open_for(settings: Settings, flow: OrderFlow, timeout_s: float) -> None:
    """Adds the flow's instruments, opens its accounts, lifts its symbols' bands; then workers know them.

    Raises ControlsError, KafkaError, RegistryError.
    """
    instruments = flow.instruments()
    await create_missing(settings, instruments)
    bands = [open_band(market["symbol"]) for market in instruments]
    await apply_controls(settings, [*flow.controls(), *bands], timeout_s)
