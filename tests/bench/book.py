"""How fast the engine is, alone and with all that matching says, and what a resting order weighs.

`python -m tests.bench.book`. The mix is 60 % orders that rest, 30 % cancels of resting orders, 10 %
orders that trade, on about 1,000 resting orders, or 100,000 on 3,500 levels; the cancel-heavy flow is half
orders that rest, half cancels. The same commands in every run, made beforehand from a seed. One operation
is one command, whatever it trades; all that happened is told in each. As in a lane, a command has just been
decoded when its turn comes, which is not timed, and garbage is looked for after every so many, which is.
Runs of all figures take turns, so that a slow moment of the machine hits them alike. Time is that of the
processor. Each run is a process of its own, of the code as it is and of the same compiled.
"""

import gc
import random
import tracemalloc
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time_ns
from typing import Any, NamedTuple

from app import garbage
from schemas.codec import Codec
from schemas.ids import order_id
from schemas.numbers import ONE
from schemas.records import Record
from tables.engine import Engine
from tables.engine.market import Market
from tables.engine.orders import Instructions, Order
from tables.instrument_rules import InstrumentRules
from tables.matching import Matching
from tables.reference import Instruments
from tests.bench import native, others
from tests.bench.steps import SYMBOL, run_engine

RUNS = 5
RESTING = 1_000
COMMANDS = 100_000
CYCLE = 500
TICK_E8 = ONE // 100
MID_E8 = 100 * ONE


class Command(NamedTuple):
    """A cancel (side empty) or an order."""

    name: str
    side: str = ""
    price_e8: int = 0
    quantity_e8: int = 0


class Flow:
    """Makes commands that suit the book they lead to, with about as many orders coming as going."""

    def __init__(self, seed: int, resting: int = RESTING, ticks: int = 100) -> None:
        self.random = random.Random(seed)
        self.resting = resting
        self.ticks = ticks
        self.market = empty_market()
        self.names: list[str] = []
        self.number = 0

    def passive(self) -> Command:
        """An order that rests: most near the middle, some up to a hundred ticks away."""
        away = 1 + min(int(self.random.expovariate(8 / self.ticks)), self.ticks - 1)
        return self._order(-away * TICK_E8, self.random.randint(1, 20))

    def aggressive(self) -> Command:
        """An order that trades with some orders, with more of them when there are many."""
        many = len(self.market.live) > self.resting
        return self._order(100 * TICK_E8, self.random.randint(1, 20) * (5 if many else 2))

    def cancel(self) -> Command:
        """A cancel of any resting order."""
        while True:
            at = self.random.randrange(len(self.names))
            self.names[at], self.names[-1] = self.names[-1], self.names[at]
            name = self.names.pop()
            if name in self.market.live:
                return self._applied(Command(name))

    def mixed(self) -> Command:
        """The next command of the mix."""
        chance = self.random.random()
        if chance < 0.6:
            return self.passive()
        return self.cancel() if chance < 0.9 else self.aggressive()

    def canceling(self) -> Command:
        """The next command of the cancel-heavy flow."""
        return self.passive() if self.random.random() < 0.5 else self.cancel()

    def _order(self, towards_e8: int, lots: int) -> Command:
        self.number += 1
        name = order_id("ACC-000001", f"order-{self.number}", 0)
        side, sign = self.random.choice((("buy", 1), ("sell", -1)))
        self.names.append(name)
        return self._applied(Command(name, side, MID_E8 + sign * towards_e8, lots * ONE))

    def _applied(self, command: Command) -> Command:
        run_engine(self.market, [(*command,)])
        return command


def empty_market() -> Market:
    """A market of the engine in which everything is plain."""
    return Market(SYMBOL, InstrumentRules(SYMBOL), {})


# A command whose name is still bytes.
Encoded = tuple[bytes, str, int, int]


def encoded(commands: Sequence[Command]) -> list[Encoded]:
    """Commands before they are decoded; equal numbers are one object, as the codec's are."""
    known: dict[int, int] = {}
    return [
        (name.encode(), side, known.setdefault(price_e8, price_e8), known.setdefault(quantity, quantity))
        for name, side, price_e8, quantity in commands
    ]


def decoded(commands: Sequence[Encoded]) -> list[others.Told]:
    """The same with names as texts, as plain tuples."""
    return [(name.decode(), side, price_e8, quantity) for name, side, price_e8, quantity in commands]


def run_dicts(engine: Engine, commands: Sequence[dict[str, Any]]) -> None:
    """The engine with dictionaries in and out, as `oms match` uses it."""
    apply = engine.apply
    for command in commands:
        apply(command, 0)


def dict_of(command: Command) -> dict[str, Any]:
    """A command in the words of `oms match`."""
    account = "ACC-000001"
    if not command.side:
        return {"type": "cancel_order", "symbol": SYMBOL, "account": account, "order": command.name}
    return {
        "type": "new_order",
        "symbol": SYMBOL,
        "account": account,
        "client_order_id": command.name,
        "side": command.side,
        "order_type": "limit",
        "quantity": command.quantity_e8,
        "limit_price": command.price_e8,
        "time_in_force": "gtc",
    }


def with_features(market: Market) -> Market:
    """Gives a market what plain orders do not use, away from them: stops, icebergs, hidden orders, gtd."""
    for name, order_type, force in (
        ("stop", "stop", "gtc"),
        ("iceberg", "limit", "gtc"),
        ("hidden", "limit", "gtc"),
        ("gtd", "limit", "gtd"),
    ):
        order = Order(SYMBOL, name, "ACC", name, "buy", order_type, force, 100 * ONE, ONE)
        extra = order.extra = Instructions()
        extra.hidden = name == "hidden"
        extra.display_e8 = ONE if name == "iceberg" else 0
        extra.stop_e8 = extra.stop_price_e8 = 1_000 * ONE if name == "stop" else 0
        extra.expire_at_us = 1 if force == "gtd" else 0
        market.new(order, 0)
    return market


def run_matching(matching: Matching, records: Sequence[Record]) -> None:
    """All that a lane has matching do, in cycles; what was said is dropped."""
    apply = matching.apply
    for start in range(0, len(records), CYCLE):
        for record in records[start : start + CYCLE]:
            apply(record, start)
        matching.end_cycle(start)
        list(matching.changed_rows())


def records_of(commands: list[Command]) -> list[Record]:
    """The cleared records of commands, each with words of its own as a lane would decode them."""
    codec = Codec({"ClearedOrder": 1, "ClearedCancel": 2})
    pairs = (cleared(number, command) for number, command in enumerate(commands))
    return [Record(*codec.decode(codec.encode(*pair)), number, 0) for number, pair in enumerate(pairs)]


def cleared(number: int, command: Command) -> tuple[str, dict[str, Any]]:
    """Record name and message of a command of one of a hundred accounts."""
    account = f"ACC-{number % 100:06d}"
    message: dict[str, Any] = {
        "account": account,
        "client_order_id": f"order-{number}",
        "order_id": command.name,
        "symbol": SYMBOL,
        "request_offset": number,
    }
    if not command.side:
        return "ClearedCancel", message | {"request_id": "", "reason": "NONE"}
    return "ClearedOrder", message | {
        "side": command.side,
        "order_type": "limit",
        "quantity": command.quantity_e8,
        "limit_price": command.price_e8,
        "time_in_force": "gtc",
        "entered_us": 0,
        "entered_by": account,
        "door": "kafka",
    }


def one_sided(side: str, number: int, levels: int) -> list[Command]:
    """Orders of one side: buys spread over price levels, sells that each trade with one such buy."""
    spread_e8 = TICK_E8 if side == "buy" else 0
    return [
        Command(order_id("ACC-000001", f"{side}-{n}", 0), side, MID_E8 + n % levels * spread_e8, ONE)
        for n in range(number)
    ]


def matching_with(records: list[Record]) -> Matching:
    """A Matching that has taken the records."""
    matching = Matching(0, Instruments())
    run_matching(matching, records)
    return matching


class Figure(NamedTuple):
    """What to set up, and what to time on commands; neither setting up nor decoding is timed."""

    name: str
    commands: Sequence[Any]
    prepare: Callable[[], Any]
    run: Callable[[Any, Sequence[Any]], None]
    decode: Callable[[Sequence[Any]], Sequence[Any]] = list


def figures() -> list[Figure]:
    """Every figure of time, on commands made once."""
    flow = Flow(seed=1)
    filling = [flow.passive() for _ in range(RESTING)]
    mix = [flow.mixed() for _ in range(COMMANDS)]
    heavy = Flow(seed=2)
    heavy_filling = [heavy.passive() for _ in range(RESTING)]
    canceling = [heavy.canceling() for _ in range(COMMANDS)]
    large = Flow(seed=3, resting=100_000, ticks=1_750)
    large_filling = [large.passive() for _ in range(100_000)]
    large_mix = [large.mixed() for _ in range(COMMANDS)]
    filling_records, mix_records = records_of(filling), records_of(mix)
    buys, sells = (records_of(one_sided(side, 20_000, 1_000)) for side in ("buy", "sell"))

    def engine(name: str, first: list[Command], commands: list[Command], special: bool = False) -> Figure:
        def prepare() -> Market:
            market = empty_market()
            run_engine(market, decoded(encoded(first)))
            return with_features(market) if special else market

        return Figure(name, encoded(commands), prepare, run_engine, decoded)

    mix_encoded = encoded(mix)

    def other(name: str, make: Callable[[], others.Run]) -> Figure:
        def prepare() -> others.Run:
            run = make()
            run(filling)
            return run

        return Figure(f"{name}, mix", mix_encoded, prepare, lambda run, part: run(part), decoded)

    def dicts() -> Engine:
        prepared = Engine()
        run_dicts(prepared, [dict_of(command) for command in filling])
        return prepared

    mix_dicts = [dict_of(command) for command in mix]

    def matching() -> Matching:
        return matching_with(filling_records)

    def step(name: str, prepare: Callable[[], Matching], records: list[Record]) -> Figure:
        return Figure(name, records, prepare, run_matching)

    return [
        engine("engine's step, mix", filling, mix),
        engine("engine's step, mix, beside stops, icebergs, gtd", filling, mix, special=True),
        engine("engine's step, cancel-heavy", heavy_filling, canceling),
        engine("engine's step, mix, 100,000 resting", large_filling, large_mix),
        Figure("engine with dictionaries, mix", mix_dicts, dicts, run_dicts),
        *(other(name, make) for name, make in others.installed().items()),
        step("matching, mix", matching, mix_records),
        step("matching, an order that rests", lambda: matching_with([]), buys),
        step("matching, an order that trades once", lambda: matching_with(buys), sells),
    ]


def time_ns(figure: Figure) -> float:
    """Nanoseconds per operation of one run."""
    subject, spent_ns = figure.prepare(), 0
    garbage.tune()
    for begin in range(0, len(figure.commands), CYCLE):
        part = figure.decode(figure.commands[begin : begin + CYCLE])
        began_ns = process_time_ns()
        figure.run(subject, part)
        garbage.collect()
        spent_ns += process_time_ns() - began_ns
    gc.unfreeze()
    return spent_ns / len(figure.commands)


def bytes_per_resting_order(number: int, levels: int) -> float:
    """Memory of a resting order, its share of levels and indices included, once its record is gone."""
    commands = one_sided("buy", number, levels)
    matching_with(records_of(commands[:10]))
    gc.collect()
    tracemalloc.start()
    matching = matching_with(records_of(commands))
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(matching.resting(SYMBOL)) == number
    return grown / number


def longest_pause_ms(number: int) -> float:
    """Longest pause by garbage collection, as workers have it, while orders rest, trade and go.

    Three times as many rest in the end.
    """
    flow = Flow(seed=4, resting=number, ticks=1_750)
    commands = [flow.passive() for _ in range(number)] + [flow.mixed() for _ in range(COMMANDS)]
    commands += [flow.passive() for _ in range(2 * number)]
    pauses: list[int] = [0]
    began_ns = [0]

    def watch(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            began_ns[0] = process_time_ns()
        else:
            pauses.append(process_time_ns() - began_ns[0])

    market = empty_market()
    # Commands of the bench are no part of the engine.
    garbage.tune()
    gc.callbacks.append(watch)
    for begin in range(0, len(commands), CYCLE):
        run_engine(market, commands[begin : begin + CYCLE])
        garbage.collect()
    gc.callbacks.remove(watch)
    gc.unfreeze()
    return max(pauses) / 1e6


def engine_bytes_per_order(number: int, levels: int) -> float:
    """The same in the engine alone."""
    commands = one_sided("buy", number, levels)
    gc.collect()
    tracemalloc.start()
    market = empty_market()
    run_engine(market, commands)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(market.live) == number
    return grown / number


def one_run() -> dict[str, float]:
    """Nanoseconds per operation of every figure, once."""
    return {figure.name: time_ns(figure) for figure in figures()}


def weights() -> dict[str, float]:
    """Bytes of a resting order, and milliseconds of the longest pause."""
    return {
        "a resting order in matching, 20 to a level, bytes": bytes_per_resting_order(20_000, 1_000),
        "a resting order in matching, 1 to a level, bytes": bytes_per_resting_order(20_000, 20_000),
        "a resting order in the engine, 29 to a level, bytes": engine_bytes_per_order(100_000, 3_500),
        "longest pause by garbage, 100,000 resting, ms": longest_pause_ms(100_000),
    }


WANTED = {
    "engine's step, mix": ">= 1,500,000",
    "engine's step, cancel-heavy": ">= 1,500,000",
    "engine's step, mix, 100,000 resting": ">= 800,000",
    "a resting order in the engine, 29 to a level, bytes": "<= 500",
    "longest pause by garbage, 100,000 resting, ms": "<= 20",
}


def main() -> None:
    """Prints the median of every figure for each kind of code, whose runs take turns."""
    homes = native.kinds()
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in homes}
    for _ in range(RUNS):
        for kind, home in homes.items():
            runs[kind].append(native.answer(home, "tests.bench.book", "one_run"))
    print(f"{'operations per second (ns each)':<54}" + "".join(f"{kind:>22}" for kind in homes))
    for name in next(iter(runs.values()))[0]:
        times = [median(run[name] for run in of_kind) for of_kind in runs.values()]
        cells = "".join(f"{1e9 / ns:>14,.0f} ({ns:>5,.0f})" for ns in times)
        ratio = f"   x {times[0] / times[1]:.2f}" if len(times) > 1 else ""
        print(f"{name:<54}{cells}{ratio}{_wanted(name)}")
    found = [native.answer(home, "tests.bench.book", "weights") for home in homes.values()]
    for name in found[0]:
        print(f"{name:<54}" + "".join(f"{each[name]:>22,.1f}" for each in found) + _wanted(name))


def _wanted(name: str) -> str:
    return f"   [want {WANTED[name]}]" if name in WANTED else ""


if __name__ == "__main__":
    main()
