"""Random commands for the engines of docs/matching.md: few prices, few accounts, so that everything meets.

`Commands(seed)` gives one (command, at_us) after the other; what it gives hangs on the seed alone, not on
any engine. Prices and quantities are small multiples of 10^8. Most commands make sense; some do not.
"""

from random import Random
from typing import Any

from schemas.numbers import ONE
from tables.instrument_rules import InstrumentRules

Command = dict[str, Any]

SYMBOLS = ("AAA", "BBB", "CCC")
ACCOUNTS = ("A", "B", "C")
TYPES = ("stop", "stop_limit", "trailing_stop", "market_if_touched", "pegged", "market_to_limit")
CALLS = ("pre_open", "opening_auction", "volatility_auction", "closing_auction")
MIDDLE = 20
# Longer than a pause after a limit state.
LONG_US = 400_000_000
# Odd in one symbol, so that rounding shows.
TICKS = {"AAA": ((0, ONE),), "BBB": ((0, ONE), (MIDDLE * ONE, 2 * ONE)), "CCC": ((0, ONE // 2),)}


def rules(seed: int) -> dict[str, InstrumentRules]:
    """Rules of the symbols, others with every seed; the first is plain now and then."""
    random = Random(f"rules {seed}")
    return {symbol: _rules(random, symbol) for symbol in SYMBOLS}


def _rules(random: Random, symbol: str) -> InstrumentRules:
    if symbol == "AAA" and random.random() < 0.5:
        return InstrumentRules(symbol, TICKS[symbol], ONE)
    return InstrumentRules(
        symbol,
        TICKS[symbol],
        ONE,
        odd_lots=random.random() < 0.2,
        min_price=random.choice((0, 0, 14 * ONE)),
        max_price=random.choice((0, 0, 26 * ONE)),
        stp=random.choice(("none", "none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement")),
        allocation=random.choice(("price_time", "price_time", "pro_rata")),
        pro_rata_min=random.choice((0, 0, 2 * ONE)),
        top_order=random.random() < 0.5,
        static_collar_bps=random.choice((0, 0, 0, 2000)),
        dynamic_collar_bps=random.choice((0, 0, 0, 1000)),
    )


class Commands:
    """An endless stream of commands."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"commands {seed}")
        self.at_us = 1_000_000
        self.count = 0
        self.names: list[tuple[str, str, str]] = []
        self.session = dict.fromkeys(SYMBOLS, "continuous")
        # The first order of each list, as far as is known here.
        self.parents: dict[tuple[str, str, str], str] = {}

    def __next__(self) -> tuple[Command, int]:
        random = self.random
        self.at_us += random.choice((0, 1, 1, 1000, 1_000_000, 6_000_000))
        if random.random() < 0.01:
            self.at_us += LONG_US
        chance = random.random()
        if chance < 0.60:
            command = self.new()
        elif chance < 0.72:
            command = self.cancel()
        elif chance < 0.86:
            command = self.replace()
        elif chance < 0.94:
            command = self.quote()
        elif chance < 0.945:
            command = self.mass_cancel()
        else:
            command = self.control()
        return command, self.at_us

    def __iter__(self) -> "Commands":
        return self

    def price(self) -> int:
        """A price near the middle, mostly on tick, now and then none at all."""
        random = self.random
        price = (MIDDLE + random.randint(-4, 4)) * ONE
        if random.random() < 0.02:
            return random.choice((0, -ONE, price + 1))
        return price

    def quantity(self, most: int = 8) -> int:
        quantity = self.random.randint(1, most) * ONE
        return self.random.choice((0, -ONE, quantity + 1)) if self.random.random() < 0.01 else quantity

    def symbol(self) -> str:
        return self.random.choice(SYMBOLS)

    def new(self) -> Command:
        random = self.random
        self.count += 1
        symbol, account = self.symbol(), random.choice(ACCOUNTS)
        name = f"o{self.count}"
        if random.random() < 0.02 and self.names:
            name = random.choice(self.names)[2]
        order_type = random.choice(("limit", "limit", "limit", "market", random.choice(TYPES)))
        command: Command = {
            "type": "new_order",
            "symbol": symbol,
            "account": account,
            "client_order_id": name,
            "side": random.choice(("buy", "sell")),
            "order_type": order_type,
            "quantity": self.quantity(20 if random.random() < 0.1 else 8),
        }
        self.prices(command)
        force = random.choice(("day", "gtc", "gtc", "gtc", random.choice(("ioc", "fok", "gtd", "crossing"))))
        if random.random() < 0.06:
            force = random.choice(("at_open", "at_close", "auction"))
        command["time_in_force"] = force
        if force == "gtd" or random.random() < 0.005:
            command["expire_at_us"] = self.at_us + random.choice((0, 1, 1000, 2_000_000, 30_000_000))
        if random.random() < 0.45:
            self.instruct(command)
        if random.random() < 0.12:
            kind = random.choice(("oco", "oto", "bracket"))
            command["link"] = {"type": kind, "id": f"{kind}{random.randint(0, 4)}"}
            if random.random() < 0.03:
                command["link"] = {"type": kind, "id": random.choice(("", "oco1"))}
            if random.random() < 0.5:
                self.name_parent(command)
        self.names.append((symbol, account, name))
        del self.names[:-60]
        return command

    def name_parent(self, command: Command) -> None:
        """Has an order name the first of its list, as the pipeline's accounts do, now and then another."""
        key = (command["symbol"], command["account"], command["link"]["id"])
        parent = self.parents.setdefault(key, command["client_order_id"])
        if self.random.random() < 0.05:
            self.parents[key] = command["client_order_id"]
        if parent != command["client_order_id"]:
            command["link"]["parent"] = parent

    def prices(self, command: Command) -> None:
        """What its type needs, and now and then what it cannot have."""
        random, order_type = self.random, command["order_type"]
        if order_type in ("limit", "stop_limit") or random.random() < 0.2:
            command["limit_price"] = self.price()
        if order_type in ("stop", "stop_limit", "market_if_touched") or random.random() < 0.005:
            command["stop_price"] = self.price()
        if order_type == "trailing_stop":
            which = random.choice(("trail_amount", "trail_percent"))
            command[which] = random.randint(1, 6) * ONE // random.choice((1, 2))
            if random.random() < 0.4:
                command["stop_price"] = self.price()
        if order_type == "pegged":
            command["peg"] = random.choice(("bid", "ask", "mid"))
            command["peg_offset"] = random.randint(-3, 3) * ONE // 2
        if random.random() < 0.01:
            command[random.choice(("peg", "trail_amount", "peg_offset"))] = None

    def instruct(self, command: Command) -> None:
        """Instructions that suit, mostly."""
        random = self.random
        what = random.randint(0, 8)
        if what == 0:
            command["display_quantity"] = random.randint(1, 3) * ONE
        elif what == 1:
            command["hidden"] = True
        elif what == 2:
            command["min_quantity"] = random.randint(1, 6) * ONE
        elif what == 3:
            command["all_or_none"] = True
        elif what == 4:
            command["post_only"] = random.choice((True, "reject", "reprice"))
        elif what in (5, 6):
            modes = ("none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement")
            command["stp"] = random.choice(modes)
        elif what == 7:
            command["stp_group"] = random.choice(("g1", "g2"))
            command["stp"] = random.choice(("cancel_oldest", "decrement", "cancel_newest"))
        else:
            command["display_quantity"] = random.choice((0, -ONE, 9 * ONE, ONE + 1))
            command["hidden"] = random.random() < 0.3

    def named(self) -> tuple[str, str, str]:
        """Symbol, account and id of an order that may live; sometimes of none."""
        if not self.names or self.random.random() < 0.02:
            return self.symbol(), self.random.choice(ACCOUNTS), "nobody"
        return self.random.choice(self.names[-30:] if self.random.random() < 0.7 else self.names)

    def cancel(self) -> Command:
        symbol, account, name = self.named()
        return {"type": "cancel_order", "symbol": symbol, "account": account, "order": name}

    def replace(self) -> Command:
        random = self.random
        symbol, account, name = self.named()
        command: Command = {"type": "replace_order", "symbol": symbol, "account": account, "order": name}
        if random.random() < 0.5:
            command["quantity"] = self.quantity()
        if random.random() < 0.4:
            command["limit_price"] = self.price()
        if random.random() < 0.08:
            command["stop_price"] = self.price()
        if random.random() < 0.1:
            command["display_quantity"] = random.randint(0, 4) * ONE
        if random.random() < 0.1:
            command["time_in_force"] = random.choice(("day", "gtc", "gtd", "gtd"))
        if random.random() < 0.06:
            command["expire_at_us"] = self.at_us + random.choice((0, 1000, 30_000_000))
        if random.random() < 0.2:
            self.count += 1
            command["client_order_id"] = f"r{self.count}" if random.random() < 0.9 else self.named()[2]
            self.names.append((symbol, account, command["client_order_id"]))
        return command

    def quote(self) -> Command:
        random = self.random
        command: Command = {"type": "quote", "symbol": self.symbol()}
        bid = MIDDLE + random.randint(-4, 3)
        for field, price in (("bid", bid), ("ask", bid + random.randint(0, 3)), ("last", bid)):
            if random.random() < 0.6:
                command[field] = price * ONE + random.choice((0, 0, ONE // 2))
        return command

    def mass_cancel(self) -> Command:
        random = self.random
        command: Command = {"type": "mass_cancel"}
        for field, values in (("symbol", SYMBOLS), ("account", ACCOUNTS), ("side", ("buy", "sell"))):
            if random.random() < 0.8:
                command[field] = random.choice(values)
        return command

    def control(self) -> Command:
        random, symbol = self.random, self.symbol()
        command: Command = {"type": "control", "symbol": symbol}
        chance = random.random()
        if chance < 0.5:
            # Sessions that end soon: most of the time is continuous.
            back = self.session[symbol] != "continuous" and random.random() < 0.6
            session = "continuous" if back else random.choice((*CALLS, *CALLS, "halt", "closed"))
            self.session[symbol] = session
            return command | {"action": session}
        if chance < 0.74:
            return command | {"action": "uncross"}
        if chance < 0.94:
            low, high = random.randint(14, 19), random.randint(20, 26)
            band = random.choice(((0, 0), (0, 0), (low, high), (low, 0), (0, high)))
            return command | {"action": "band", "low": band[0] * ONE, "high": band[1] * ONE}
        self.parents.clear()
        return command | {"action": "expire_day"}
