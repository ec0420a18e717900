"""The fast engine and the naive one, driven step by step over every order type by Hypothesis.

Each step is one command to both. What they say, the orders they keep and the depth must be the same, and
both engines hold their own `check` (`TwoEngines.apply`). A failure is shrunk to few steps, which Hypothesis
prints as a program and tries first in the next run. `python -m tests.tables.soak` goes further.
"""

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from schemas.numbers import ONE
from tables.instrument_rules import InstrumentRules
from tests.tables.differential import TwoEngines

SYMBOLS = st.sampled_from(["AAA"] * 5 + ["BBB"])
ACCOUNTS = st.sampled_from(["A", "B", "C"])
SIDES = st.sampled_from(["buy", "sell"])
PRICES = st.integers(17, 23).map(lambda price: price * ONE)
OFFSETS = st.integers(-2, 2).map(lambda ticks: ticks * ONE)
LOTS = st.integers(1, 8).map(lambda lots: lots * ONE)
# Mostly an instant later; now and then long enough for orders that expire and for a limit state.
LATER_US = st.sampled_from([1] * 16 + [0, 1_000_000, 6_000_000, 15_000_000, 300_000_000])
CALLS = ("pre_open", "opening_auction", "volatility_auction", "closing_auction")
BANDS = ((0, 0), (0, 0), (18, 22), (19, 0), (0, 21))
PREVENTIONS = ("none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement")
NONE: st.SearchStrategy[dict[str, Any]] = st.just({})


def fields(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of a command."""
    return st.fixed_dictionaries(strategies)


def typed(name: str, **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An order type with the fields that it needs."""
    return fields(order_type=st.just(name), **strategies)


PROTECTION = NONE | fields(limit_price=PRICES)
TYPES = st.one_of(
    typed("market"),
    typed("market_to_limit"),
    typed("stop", stop_price=PRICES),
    typed("stop_limit", stop_price=PRICES, limit_price=PRICES),
    typed("market_if_touched", stop_price=PRICES),
    typed("trailing_stop", trail_amount=LOTS),
    typed("trailing_stop", trail_percent=LOTS, stop_price=PRICES),
    typed("pegged", peg=st.sampled_from(["bid", "ask", "mid"]), peg_offset=OFFSETS),
)
DATED = fields(time_in_force=st.just("gtd"), expires_in_us=st.sampled_from([2, 1_000_000, 7_000_000]))
FORCES = st.one_of(
    *[
        st.just({"time_in_force": force})
        for force in ("day", "gtc", "gtc", "gtc", "gtc", "gtc", "ioc", "fok")
    ],
    *[st.just({"time_in_force": force}) for force in ("crossing", "at_open", "at_close", "auction")],
    DATED,
)
INSTRUCTIONS = st.one_of(
    NONE,
    fields(display_quantity=st.integers(1, 3).map(lambda lots: lots * ONE)),
    fields(hidden=st.just(True)),
    fields(min_quantity=LOTS),
    fields(all_or_none=st.just(True)),
    fields(post_only=st.sampled_from(["reject", "reprice"])),
)
OWNERS = (
    NONE | fields(stp=st.sampled_from(PREVENTIONS)) | fields(stp=st.just("decrement"), stp_group=st.just("x"))
)
LINKS = st.sampled_from(["oco", "oto", "bracket"]).map(lambda kind: {"link": {"type": kind, "id": kind}})
# Values that no order may have, or not of this type; an id that may be in use.
WRONG = st.sampled_from(
    [
        {"back": 1},
        {"back": 2},
        {"quantity": 0},
        {"quantity": ONE + 1},
        {"limit_price": 0},
        {"limit_price": 20 * ONE + 1},
        {"stop_price": 20 * ONE},
        {"trail_amount": ONE, "trail_percent": ONE},
        {"display_quantity": 9 * ONE},
        {"expire_at_us": 1},
        {"link": {"type": "oco", "id": ""}},
        {"peg": "mid"},
    ]
)


def ordered(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """An order of some parts, the last of which counts."""
    return st.builds(lambda *drawn: {name: part[name] for part in drawn for name in part}, *parts)


WHO = fields(account=ACCOUNTS, symbol=SYMBOLS, side=SIDES, quantity=LOTS)
LASTING = st.just({"time_in_force": "gtc"})
SELDOM_WRONG = st.one_of(*(NONE,) * 12, WRONG)
SELDOM_LINKED = st.one_of(*(NONE,) * 3, LINKS)
ORDERS = ordered(WHO, PROTECTION, TYPES, LASTING | FORCES, OWNERS, SELDOM_LINKED, SELDOM_WRONG)
LIMIT = typed("limit", limit_price=PRICES)
LIMITED = ordered(WHO, LIMIT, LASTING | FORCES, INSTRUCTIONS, OWNERS, SELDOM_LINKED, SELDOM_WRONG)
TAKING = ordered(WHO, LIMIT | typed("market"), FORCES)
# Orders that mostly rest, so that the others find something.
RESTING = st.builds(
    lambda order, away: {**order, "limit_price": (19 - away if order["side"] == "buy" else 21 + away) * ONE},
    ordered(WHO, LIMIT, LASTING),
    st.integers(0, 2),
)
CHANGES = st.one_of(
    fields(quantity=LOTS),
    fields(limit_price=PRICES),
    fields(quantity=LOTS, limit_price=PRICES),
    fields(stop_price=PRICES),
    fields(display_quantity=st.integers(0, 3).map(lambda lots: lots * ONE)),
    fields(time_in_force=st.sampled_from(["day", "gtc"])),
    DATED,
    NONE,
)
# Sessions that end soon: most of the time is continuous.
CONTROLS = st.sampled_from(
    [
        *({"action": "continuous"},) * 12,
        *({"action": session} for session in CALLS * 2),
        *({"action": action} for action in ("halt", "closed", "uncross", "uncross", "expire_day")),
        *({"action": "band", "low": low * ONE, "high": high * ONE} for low, high in BANDS),
    ]
)

# Of whom a mass cancel cancels all.
MANY = st.one_of(
    fields(symbol=SYMBOLS), fields(account=ACCOUNTS), fields(symbol=SYMBOLS, account=ACCOUNTS, side=SIDES)
)
NOBODY = 12
NUMBERS = st.integers(0, NOBODY)
SELDOM = st.integers(0, 4)


class TwoEnginesStepByStep(RuleBasedStateMachine):
    @initialize(
        stp=st.sampled_from(PREVENTIONS),
        pro_rata=st.booleans(),
        top_order=st.booleans(),
        collars=st.sampled_from([(0, 0), (0, 0), (1_000, 0), (0, 500)]),
        half_ticks=st.booleans(),
        book=st.lists(RESTING, min_size=2, max_size=6),
    )
    def open(
        self,
        stp: Any,
        pro_rata: bool,
        top_order: bool,
        collars: tuple[int, int],
        half_ticks: bool,
        book: list[dict[str, Any]],
    ) -> None:
        """The first instrument has the rules that were drawn, the second none."""
        drawn = InstrumentRules(
            "AAA",
            ((0, ONE // 2 if half_ticks else ONE),),
            ONE,
            stp=stp,
            allocation="pro_rata" if pro_rata else "price_time",
            top_order=top_order,
            static_collar_bps=collars[0],
            dynamic_collar_bps=collars[1],
        )
        self.engines = TwoEngines({"AAA": drawn, "BBB": InstrumentRules("BBB", ((0, ONE),), ONE)})
        self.at_us, self.count = 1_000_000, 0
        for order in book:
            self.enter(order, 1)

    def apply(self, later_us: int, **command: Any) -> None:
        """Gives a command to both engines, some time after the one before."""
        self.at_us += later_us
        if "expires_in_us" in command:
            command["expire_at_us"] = self.at_us + command.pop("expires_in_us")
        self.engines.apply((command, self.at_us))

    def enter(self, order: dict[str, Any], later_us: int) -> None:
        """Enters an order under a new id, or under an earlier one, which may be in use."""
        self.count += 1
        name = f"o{max(1, self.count - order.pop('back', 0))}"
        self.apply(later_us, type="new_order", client_order_id=name, **order)

    @rule(order=ORDERS, later_us=LATER_US)
    def new(self, order: dict[str, Any], later_us: int) -> None:
        self.enter(order, later_us)

    @rule(order=LIMITED, later_us=LATER_US)
    def new_limit(self, order: dict[str, Any], later_us: int) -> None:
        self.enter(order, later_us)

    @rule(order=RESTING)
    def rest(self, order: dict[str, Any]) -> None:
        self.enter(order, 1)

    @rule(order=TAKING)
    def take(self, order: dict[str, Any]) -> None:
        self.enter(order, 1)

    def meant(self, number: int) -> dict[str, str]:
        """Names a live order by its place in the listing; where there is none, one that never was."""
        live = self.engines.naive.resting()
        if number == NOBODY or not live:
            return {"symbol": "AAA", "account": "A", "order": "nobody"}
        order = live[number % len(live)]
        return {"symbol": order["symbol"], "account": order["account"], "order": order["client_order_id"]}

    @rule(number=NUMBERS, later_us=LATER_US)
    def cancel(self, number: int, later_us: int) -> None:
        self.apply(later_us, type="cancel_order", **self.meant(number))

    @rule(number=NUMBERS, changes=CHANGES, renamed=st.booleans(), later_us=LATER_US)
    def replace(self, number: int, changes: dict[str, Any], renamed: bool, later_us: int) -> None:
        if renamed:
            self.count += 1
            changes = {**changes, "client_order_id": f"o{self.count}"}
        self.apply(later_us, type="replace_order", **self.meant(number), **changes)

    @rule(
        symbol=SYMBOLS,
        bid=NONE | fields(bid=PRICES),
        ask=NONE | fields(ask=PRICES),
        last=NONE | fields(last=PRICES),
        later_us=LATER_US,
    )
    def quote(
        self, symbol: str, bid: dict[str, int], ask: dict[str, int], last: dict[str, int], later_us: int
    ) -> None:
        self.apply(later_us, type="quote", symbol=symbol, **bid, **ask, **last)

    @rule(symbol=SYMBOLS, control=CONTROLS, later_us=LATER_US)
    def control(self, symbol: str, control: dict[str, Any], later_us: int) -> None:
        self.apply(later_us, type="control", symbol=symbol, **control)

    @rule(some=MANY, seldom=SELDOM)
    def mass_cancel(self, some: dict[str, str], seldom: int) -> None:
        """Books that are emptied all the time stay thin: most draws end nothing."""
        if not seldom:
            self.apply(1, type="mass_cancel", **some)


TestTwoEnginesStepByStep = TwoEnginesStepByStep.TestCase
TestTwoEnginesStepByStep.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
