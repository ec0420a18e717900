"""What happens in a history, made from its seed: requests and when they come, faults, settings."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.chaos.special import special
from app.chaos.workload import MID_E8
from schemas.numbers import ONE, format_e8
from schemas.records import Record
from tables.instructions import NOTHING
from tests.simulation.group import SESSION_S
from tests.simulation.setting import ACCOUNTS, CODEC, LANES, SYMBOLS, place_of
from tests.tables.words import (
    NOON_US,
    cancel_order,
    mass_cancel,
    move_cash,
    move_holding,
    new_order,
    quote,
    replace_order,
    set_account,
    set_limits,
    symbol_control,
)

# Accounts of one lane: their requests come to each book in one order, whatever happens.
ONE_LANE = tuple(account for account in ACCOUNTS if place_of(mass_cancel(account=account))[1] == 0)


class Sent(NamedTuple):
    """A record of an outsider, so many seconds after the start."""

    at_s: float
    short: str
    lane: int
    value: bytes
    text: str


class Fault(NamedTuple):
    """Comes with the `at`th request of a worker to the broker; `seconds` where it lasts."""

    at: int
    kind: str
    seconds: float = 0.0

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.2f} s" if self.seconds else ""
        return f"at request {self.at}: {self.kind}{lasting}"


@dataclass(frozen=True)
class Plan:
    """A history to be; `fixed`: its trades are the same whatever happens."""

    seed: int
    workers: int = 2
    requests: tuple[Sent, ...] = ()
    faults: tuple[Fault, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    batch_records: int = 100
    read_records: int = 1000
    # How many of the workers have a clock that is wrong.
    wrong_clocks: float = 0.0
    fixed: bool = False


def sent(at_s: float, record: Record, lane: int | None = None) -> Sent:
    """A record on its way to its lane, or to another one."""
    short, right = place_of(record)
    value = CODEC.encode(record.kind, record.message)
    return Sent(at_s, short, right if lane is None else lane, value, _told(record))


def _told(record: Record) -> str:
    """A record in words: the fields that say something."""
    quiet = ("entered_us", "entered_by", "door", "at_us", "venue")
    decimals = ("quantity", "limit_price", "bid", "ask", "amount")
    fields = {
        name: format_e8(value) if name in decimals and value is not None else value
        for name, value in record.message.items()
        if name not in quiet and value not in (None, "", 0)
    }
    return f"{record.kind} " + " ".join(f"{name}={value}" for name, value in fields.items())


# Faults and their weights. Those that end or stop a worker come most.
KINDS = {
    "kill": 4,
    "kill after sending": 4,
    "kill, request late": 2,
    "freeze": 3,
    "freeze after sending": 3,
    "kill another": 2,
    "freeze another": 3,
    "time out": 1,
    "lose request": 1,
    "lose answer": 2,
    "refuse": 1,
    "delay": 2,
    "join": 3,
    "leave": 2,
    "rebalance": 3,
}


def plan(seed: int) -> Plan:
    """The plan of a seed."""
    chance = random.Random(seed)
    fixed = chance.random() < 0.05
    return Plan(
        seed=seed,
        workers=chance.choice((1, 2, 2, 3)),
        requests=tuple(_requests(chance, fixed)),
        faults=tuple(_faults(chance)),
        settings=_settings(chance),
        batch_records=chance.choice((2, 100)),
        read_records=chance.choice((7, 1000)),
        wrong_clocks=chance.choice((0.0, 0.0, 0.0, 0.5)),
        fixed=fixed,
    )


def _settings(chance: random.Random) -> tuple[tuple[str, Any], ...]:
    return (
        ("cycle_records_max", chance.choice((2, 2000))),
        ("lane_bytes_max", chance.choice((1500, 8_000_000))),
        ("cycle_floor_ms", chance.choice((0.0, 1.0, 20.0))),
    )


def _faults(chance: random.Random) -> Iterator[Fault]:
    """Some at any request, others soon after them: in recovery, in a rebalance."""
    at = 0
    for _ in range(chance.choice((1, 2, 3, 4, 6))):
        at += chance.randrange(1, 15 if chance.random() < 0.5 else 120)
        (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
        seconds = 0.0
        if kind.startswith("freeze"):
            # Shorter than a session, longer, longer than a transaction may last; or until about when
            # the lanes have a new owner, who reads their state.
            seconds = chance.choice((0.05, 2.0, 8.0, 18.0)) * (0.8 + 0.4 * chance.random())
            if chance.random() < 0.5:
                seconds = SESSION_S + 0.5 * chance.random()
        elif kind == "kill, request late":
            seconds = SESSION_S + 0.5 * chance.random()
        elif kind == "delay":
            seconds = chance.choice((0.05, 0.5, 3.0)) * chance.random()
        yield Fault(at, kind, seconds)


def _requests(chance: random.Random, fixed: bool) -> Iterator[Sent]:
    at_s = 0.0
    flow = _Flow(chance, fixed)
    for number in range(chance.randrange(5, 14)):
        if chance.random() < 0.4:
            at_s += 0.15 * chance.random()
        record = flow.ordinary(number) if fixed or chance.random() < 0.85 else flow.special(number)
        if record is None:
            yield Sent(at_s, "orders", chance.randrange(LANES), b"\0\0\0\0\0nonsense", "nonsense")
            continue
        astray = not fixed and chance.random() < 0.03
        yield sent(at_s, record, chance.randrange(LANES) if astray else None)


class _Flow:
    """Requests that have to do with each other; `fixed`: what becomes of them depends on no timing."""

    def __init__(self, chance: random.Random, fixed: bool) -> None:
        self._chance = chance
        self._fixed = fixed
        self._accounts = ONE_LANE if fixed else ACCOUNTS
        self._names: list[tuple[str, str]] = []

    def ordinary(self, number: int) -> Record:
        """Orders near each other's prices, cancels, replaces; now and then a repeat."""
        chance = self._chance
        draw = chance.random()
        if draw < 0.15 and self._names:
            account, name = chance.choice(self._names)
            return cancel_order(name, account=account, client_order_id=f"x{number}")
        if draw < 0.25 and self._names and not self._fixed:
            return self._replace(number)
        return self._order(number)

    def _order(self, number: int) -> Record:
        chance = self._chance
        account, name = chance.choice(self._accounts), f"o{number}"
        if chance.random() < 0.04 and self._names and not self._fixed:
            account, name = chance.choice(self._names)
        else:
            self._names.append((account, name))
        side, symbol = chance.choice(("buy", "sell")), chance.choice(SYMBOLS)
        price = chance.choice(("99.99", "100", "100", "100.01", "100.005", "95", "120"))
        words = f"{side} {chance.randrange(1, 30)} {symbol} {price}"
        time_in_force = chance.choice(("gtc", "gtc", "day", "ioc", "fok"))
        record = new_order(name, words, account=account, time_in_force=time_in_force)
        if self._fixed or chance.random() < 0.9:
            return record
        if chance.random() < 0.2:
            link = {"link_type": chance.choice(("oco", "oto", "bracket")), "link_id": "list"}
            return record._replace(message={**record.message, "instructions": {**NOTHING, **link}})
        return record._replace(message=special(record.message, MID_E8, NOON_US, chance))

    def _replace(self, number: int) -> Record:
        chance = self._chance
        account, name = chance.choice(self._names)
        new = chance.choice(("", f"r{number}"))
        if new:
            self._names.append((account, new))
        quantity = str(chance.randrange(0, 40)) if chance.random() < 0.7 else None
        price = chance.choice(("99.98", "100", "100.02")) if chance.random() < 0.5 else None
        return replace_order(name, quantity, price, account=account, client_order_id=new)

    def special(self, number: int) -> Record | None:
        """Quotes, controls, mass cancels, and bytes that are no record (None)."""
        chance = self._chance
        account, symbol, id = chance.choice(self._accounts), chance.choice(SYMBOLS), f"c{number}"
        which = chance.randrange(13)
        match which:
            case 0 | 1:
                return quote(symbol, chance.choice(("99", "100", "101")), "101.5")
            case 2:
                return mass_cancel(account=account, client_order_id=id)
            case 3:
                return move_cash(account, "10", control_id=chance.choice(("once", id)))
            case 4:
                return move_holding(account, "10", symbol, control_id=id)
            case 5:
                return symbol_control("ExpireDay", symbol, control_id=id)
            case 6:
                state = chance.choice(("halted", "open", "open"))
                return symbol_control(
                    "SetSymbolState", symbol, control_id=id, state=state, cancel_orders=chance.random() < 0.5
                )
            case 7:
                status = chance.choice(("suspended", "active"))
                return set_account(account, status, control_id=id, cancel_orders=chance.random() < 0.5)
            case 8:
                return set_limits(account, chance.choice(("1000", "20")), "200000", control_id=id)
            case 9:
                session = chance.choice(("volatility_auction", "closing_auction", "continuous", "continuous"))
                return symbol_control("SetSession", symbol, control_id=id, session=session)
            case 10:
                return symbol_control("Uncross", symbol, control_id=id)
            case 11:
                band = {"low": 9999 * ONE // 100, "high": 10001 * ONE // 100}
                return symbol_control("SetTradingBand", symbol, control_id=id, **band)
            case _:
                return None
