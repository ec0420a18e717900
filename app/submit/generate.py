"""Generates order files: a realistic mix for the demo's instruments and accounts, the same for a seed.

Most are limit orders near the reference price, some market, IOC and FOK; then cancels and replaces of
recent orders, mass cancels, repeats of the same order, and a few per cent that must be rejected.
"""

import gzip
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from app.market.demo_instruments import PROFILES, demo_instruments, tick_at
from app.market.seed import DEMO_ACCOUNTS
from schemas.messages import Instrument
from schemas.numbers import ONE, format_e8, parse_e8

Line = dict[str, Any]

_RECENT = 200
_MIX: tuple[tuple[str, float], ...] = (
    ("limit", 0.62),
    ("market", 0.07),
    ("ioc", 0.05),
    ("fok", 0.03),
    ("cancel", 0.13),
    ("replace", 0.06),
    ("mass_cancel", 0.0005),
    ("repeat", 0.005),
    ("invalid", 0.0345),
)
# Prices scatter round a point this far on the passive side of the reference, so that about a quarter cross.
_PASSIVE, _SCATTER = 0.0006, 0.001
# A usual order is worth this much; a few are worth ten times as much.
_NOTIONAL = 4_000


class OrderFile:
    """The lines of a generated file, one after the other."""

    def __init__(self, seed: int, accounts: Sequence[str] = DEMO_ACCOUNTS) -> None:
        self._seed = seed
        self._random = Random(seed)
        self._accounts = accounts
        self._instruments = list(demo_instruments(1).values())
        self._recent: deque[Line] = deque(maxlen=_RECENT)
        self._number = 0
        self._names, self._weights = zip(*_MIX, strict=True)
        self._makers: dict[str, Callable[[], Line]] = {
            "limit": self._resting,
            "market": self._market,
            "ioc": lambda: self._limit("ioc"),
            "fok": lambda: self._limit("fok"),
            "cancel": self._cancel,
            "replace": self._replace,
            "mass_cancel": self._mass_cancel,
            "repeat": self._repeat,
            "invalid": self._invalid,
        }

    def lines(self, count: int) -> Iterator[Line]:
        """`count` lines; more of the same with each call."""
        for name in self._random.choices(self._names, self._weights, k=count):
            yield self._makers[name]()

    def _resting(self) -> Line:
        line = self._limit("gtc" if self._random.random() < 0.2 else "day")
        self._recent.append(line)
        return line

    def _limit(self, time_in_force: str) -> Line:
        instrument = self._random.choice(self._instruments)
        side = self._random.choice(("buy", "sell"))
        price_e8 = self._price(instrument, side)
        return self._order(instrument, side, price_e8) | {
            "order_type": "limit",
            "limit_price": format_e8(price_e8),
            "time_in_force": time_in_force,
        }

    def _market(self) -> Line:
        instrument = self._random.choice(self._instruments)
        side = self._random.choice(("buy", "sell"))
        return self._order(instrument, side, _reference(instrument)) | {
            "order_type": "market",
            "time_in_force": "ioc",
        }

    def _cancel(self) -> Line:
        return self._change(self._some_recent(), "cancel_order")

    def _replace(self) -> Line:
        order = self._some_recent()
        change = self._change(order, "replace_order")
        instrument = next(known for known in self._instruments if known["symbol"] == order["symbol"])
        if self._random.random() < 0.5:
            return change | {"limit_price": format_e8(self._price(instrument, order["side"]))}
        lot_e8 = instrument["lot_size"]
        half_e8 = parse_e8(order["quantity"]) // 2 // lot_e8 * lot_e8
        return change | {"quantity": format_e8(max(half_e8, lot_e8))}

    def _change(self, order: Line, kind: str) -> Line:
        return {
            "type": kind,
            "account": order["account"],
            "symbol": order["symbol"],
            "order": order["client_order_id"],
            "client_order_id": self._id(),
        }

    def _mass_cancel(self) -> Line:
        account = self._random.choice(self._accounts)
        symbol = self._random.choice(self._instruments)["symbol"]
        return {
            "type": "mass_cancel",
            "account": account,
            "symbol": symbol,
            "client_order_id": self._id(),
        }

    def _repeat(self) -> Line:
        """The same order once more, as after a lost answer."""
        return dict(self._some_recent())

    def _invalid(self) -> Line:
        """An order that is well formed but must be rejected."""
        line = self._limit("day")
        return {**line, **self._random.choice(_FLAWS)(line)}

    def _some_recent(self) -> Line:
        return self._random.choice(self._recent) if self._recent else self._resting()

    def _order(self, instrument: Instrument, side: str, price_e8: int) -> Line:
        return {
            "type": "new_order",
            "account": self._random.choice(self._accounts),
            "client_order_id": self._id(),
            "symbol": instrument["symbol"],
            "side": side,
            "quantity": format_e8(self._quantity(instrument, price_e8)),
        }

    def _id(self) -> str:
        self._number += 1
        return f"g{self._seed}-{self._number}"

    def _price(self, instrument: Instrument, side: str) -> int:
        """A price on tick, mostly a little on the passive side of the reference."""
        away = self._random.gauss(_PASSIVE, _SCATTER)
        reference_e8 = _reference(instrument)
        shift_e8 = int(reference_e8 * away)
        price_e8 = reference_e8 - shift_e8 if side == "buy" else reference_e8 + shift_e8
        tick_e8 = tick_at(instrument["ticks"], price_e8)
        return price_e8 // tick_e8 * tick_e8

    def _quantity(self, instrument: Instrument, price_e8: int) -> int:
        """A quantity in whole lots, worth a usual order at the price."""
        worth = _NOTIONAL * self._random.lognormvariate(0.0, 0.8)
        lot_e8 = instrument["lot_size"]
        return max(int(worth * ONE) * ONE // price_e8 // lot_e8, 1) * lot_e8


def _reference(instrument: Instrument) -> int:
    return parse_e8(PROFILES[instrument["symbol"]].price)


def _scaled_price(line: Line, percent: int) -> str:
    return format_e8(parse_e8(line["limit_price"]) * percent // 100 // ONE * ONE)


# Each turns a good order into one that must be rejected.
_FLAWS: tuple[Callable[[Line], Line], ...] = (
    lambda line: {"account": "NOBODY"},
    lambda line: {"symbol": "NOSUCH"},
    lambda line: {"quantity": "0"},
    lambda line: {"quantity": f"-{line['quantity']}"},
    lambda line: {"quantity": "1000001"},
    lambda line: {"quantity": f"{line['quantity'].partition('.')[0]}.00000001"},
    lambda line: {"limit_price": f"{line['limit_price'].partition('.')[0]}.00500001"},
    lambda line: {"limit_price": _scaled_price(line, 150)},
    lambda line: {"limit_price": _scaled_price(line, 60)},
    lambda line: {"limit_price": "0"},
    lambda line: {"limit_price": ""},
    lambda line: {"client_order_id": "x" * 65},
)


def write_orders(path: Path, count: int, seed: int, progress: Callable[[int], None]) -> None:
    """Writes a file of `count` lines as JSON lines; gzipped when its name ends in .gz."""
    # A fixed time in the gzip header: the same seed gives the same bytes.
    with path.open("wb") as raw:
        out = gzip.GzipFile("", "wb", 6, raw, mtime=0) if path.suffix == ".gz" else raw
        for number, line in enumerate(OrderFile(seed).lines(count), start=1):
            out.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            if number % 1000 == 0:
                progress(number)
        out.flush()
        if out is not raw:
            out.close()
