"""An order as the engine keeps it, and what is said of it.

A plain order (limit or market; day, gtc, ioc, fok; nothing else asked for) has no `extra`; whatever is
unusual about an order is in its `Instructions`, so that plain orders pay neither memory nor time for it.
"""

from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

from tables.orders import TRANSITIONS

if TYPE_CHECKING:
    from tables.engine.book import Level
    from tables.engine.lists import OrderList

# Something that happened: its name first, then what belongs to it (`order_happening`, `trade_happening`).
Happening = tuple[Any, ...]

# A price above all that 63 bits hold.
NO_LIMIT: Final = 1 << 63

# How an order behaves at present. One by one, since compiled code then has them in place.
LIMIT: Final = 0
MARKET: Final = 1
TO_LIMIT: Final = 2
PEGGED: Final = 3
TRIGGER: Final = 4

KINDS: Final = {
    "limit": LIMIT,
    "market": MARKET,
    "market_to_limit": TO_LIMIT,
    "pegged": PEGGED,
    "stop": TRIGGER,
    "stop_limit": TRIGGER,
    "trailing_stop": TRIGGER,
    "market_if_touched": TRIGGER,
}

# Where a live order is; nowhere while it enters.
BOOK: Final = 0
TRIGGERS: Final = 1
CONTINGENT: Final = 2
PARKED: Final = 3
HELD: Final = 4
NOWHERE: Final = 5
PLACES: Final = ("book", "triggers", "contingent", "parked", "held", "nowhere")

# Sessions; in calls orders gather and nothing trades, and those that are auctions end with an uncross.
CALLS: Final = ("pre_open", "opening_auction", "volatility_auction", "closing_auction")
OPENINGS: Final = ("pre_open", "opening_auction")
AUCTIONS: Final = ("opening_auction", "volatility_auction", "closing_auction")
SESSIONS: Final = (*CALLS, "continuous", "halt", "closed")

PLAIN_FORCES: Final = ("day", "gtc", "ioc", "fok")


class Instructions:
    """What an order carries beyond type, price and time in force, and how far it has come with it.

    0, "" and False: not used. `place`, `shown` (of an iceberg in the book), `stop_e8` (as far as it
    trailed), `triggered`, `list` and `aliases` (further keys of the order) are state; the rest is what was
    asked for.
    """

    __slots__ = (
        "aliases",
        "all_or_none",
        "display_e8",
        "expire_at_us",
        "hidden",
        "link_id",
        "link_type",
        "list",
        "min_quantity_e8",
        "parent_id",
        "peg",
        "peg_offset_e8",
        "place",
        "post_only",
        "reduce_only",
        "shown_e8",
        "stop_e8",
        "stop_price_e8",
        "stp",
        "stp_group",
        "trail_amount_e8",
        "trail_percent_e8",
        "triggered",
    )

    def __init__(self) -> None:
        self.stop_price_e8: int = 0
        self.trail_amount_e8: int = 0
        self.trail_percent_e8: int = 0
        self.peg: str = ""
        self.peg_offset_e8: int = 0
        self.expire_at_us: int = 0
        self.display_e8: int = 0
        self.hidden: bool = False
        self.min_quantity_e8: int = 0
        self.all_or_none: bool = False
        self.post_only: str = ""
        self.reduce_only: bool = False
        self.stp: str = ""
        self.stp_group: str = ""
        self.link_type: str = ""
        self.link_id: str = ""
        self.parent_id: str = ""
        self.place: int = NOWHERE
        self.shown_e8: int = 0
        self.stop_e8: int = 0
        self.triggered: bool = False
        self.list: OrderList | None = None
        self.aliases: list[str] | None = None


def used(extra: Instructions) -> bool:
    """Whether anything is asked for."""
    return bool(
        extra.stop_price_e8
        or extra.trail_amount_e8
        or extra.trail_percent_e8
        or extra.peg
        or extra.peg_offset_e8
        or extra.expire_at_us
        or extra.display_e8
        or extra.hidden
        or extra.min_quantity_e8
        or extra.all_or_none
        or extra.post_only
        or extra.reduce_only
        or extra.stp
        or extra.stp_group
        or extra.link_type
    )


@mypyc_attr(acyclic=True)
class Order:
    """A live order; `quantity_e8` is `cum_quantity_e8` + `leaves_e8` until it ends.

    `limit_price_e8` is its limit or protection (0: none), `price_e8` the price at which it stands. `entry`
    and `arrival` are of one count, so that they are the same number while the order never lost its place.
    `level`, `older` and `newer` belong to the book. `entry_id` is the client_order_id under which it was
    entered, empty while that is still its name. `entered_by`, `door` and `logged` are the pipeline's.

    Compiled, the collector of garbage does not know of orders, which would cost with a hundred thousand. They
    do refer to each other in the book and in lists, so these let go of them when they end.
    """

    __slots__ = (
        "account",
        "arrival",
        "client_order_id",
        "cum_notional_e16",
        "cum_quantity_e8",
        "door",
        "entered_by",
        "entry",
        "entry_id",
        "extra",
        "kind",
        "leaves_e8",
        "level",
        "limit_price_e8",
        "logged",
        "newer",
        "older",
        "order_id",
        "order_type",
        "price_e8",
        "quantity_e8",
        "side",
        "sign",
        "status",
        "symbol",
        "time_in_force",
        "version",
    )

    def __init__(
        self,
        symbol: str,
        order_id: str,
        account: str,
        client_order_id: str,
        side: str,
        order_type: str,
        time_in_force: str,
        quantity_e8: int,
        limit_price_e8: int,
    ) -> None:
        # Compiled, this is how they lie in memory: first what neighbors in the book touch.
        self.level: Level | None = None
        self.older: Order | None = None
        self.newer: Order | None = None
        self.extra: Instructions | None = None
        self.symbol: str = symbol
        self.order_id: str = order_id
        self.account: str = account
        self.client_order_id: str = client_order_id
        self.entry_id: str = ""
        self.side: str = side
        self.sign: int = 1 if side == "buy" else -1
        self.order_type: str = order_type
        self.time_in_force: str = time_in_force
        self.quantity_e8: int = quantity_e8
        self.leaves_e8: int = quantity_e8
        self.limit_price_e8: int = limit_price_e8
        self.kind: int = LIMIT if order_type == "limit" else KINDS[order_type]
        self.price_e8: int = limit_price_e8 if self.kind == LIMIT else 0
        self.cum_quantity_e8: int = 0
        self.cum_notional_e16: int = 0
        self.status: str = "pending_new"
        self.version: int = 0
        self.entry: int = 0
        self.arrival: int = 0
        self.entered_by: str = ""
        self.door: str = "unknown"
        self.logged: bool = False

    def move(self, step: str) -> None:
        """The next status and version; raises KeyError for a step that its status does not allow."""
        self.status = TRANSITIONS[self.status][step]  # type: ignore[index]
        self.version += 1

    def shown_e8(self) -> int:
        """What of its leaves a book displays."""
        extra = self.extra
        if extra is None:
            return self.leaves_e8
        if extra.hidden:
            return 0
        return extra.shown_e8 if extra.display_e8 else self.leaves_e8

    def rename(self, client_order_id: str) -> None:
        """Gives it another name; that under which it was entered is kept."""
        self.entry_id = self.entry_id or self.client_order_id
        self.client_order_id = client_order_id

    def needs_e8(self) -> int:
        """What must trade at once for it to trade at all; 0: no such requirement, or it is fulfilled."""
        extra = self.extra
        if extra is None:
            return 0
        if extra.all_or_none:
            return self.leaves_e8
        return min(max(extra.min_quantity_e8 - self.cum_quantity_e8, 0), self.leaves_e8)

    def may_rest(self) -> bool:
        """Whether what is left of it may wait in the book."""
        return self.kind != MARKET and self.time_in_force != "ioc" and self.time_in_force != "fok"


def order_happening(event: str, order: Order, reason: str = "NONE", text: str = "") -> Happening:
    """An event of an order, with its state as it is now."""
    return (
        event,
        order,
        order.status,
        order.version,
        order.quantity_e8,
        order.limit_price_e8,
        order.cum_quantity_e8,
        order.leaves_e8,
        order.cum_notional_e16,
        reason,
        text,
    )


def trade_happening(
    maker: Order, taker: Order, number: int, price_e8: int, quantity_e8: int, aggressor_side: str
) -> Happening:
    """A trade, with the state of both orders after it."""
    return (
        "trade",
        number,
        price_e8,
        quantity_e8,
        aggressor_side,
        taker,
        taker.status,
        taker.version,
        taker.quantity_e8,
        taker.limit_price_e8,
        taker.cum_quantity_e8,
        taker.leaves_e8,
        taker.cum_notional_e16,
        maker,
        maker.status,
        maker.version,
        maker.quantity_e8,
        maker.limit_price_e8,
        maker.cum_quantity_e8,
        maker.leaves_e8,
        maker.cum_notional_e16,
    )
