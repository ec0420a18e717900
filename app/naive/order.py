"""An order, what it is and where it stands; and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRE_OPEN, OPENING = "pre_open", "opening_auction"
VOLATILITY, CLOSING = "volatility_auction", "closing_auction"
CONTINUOUS, HALT, CLOSED = "continuous", "halt", "closed"
CALLS = (PRE_OPEN, OPENING, VOLATILITY, CLOSING)
AUCTIONS = (OPENING, VOLATILITY, CLOSING)
OPENINGS = (PRE_OPEN, OPENING)

TRIGGERS = ("stop", "stop_limit", "trailing_stop", "market_if_touched")
MARKET_LIKE = ("market", "stop", "trailing_stop", "market_if_touched")
AT_ONCE = ("ioc", "fok")

OPPOSITE = {"buy": "sell", "sell": "buy"}

Happening = dict[str, Any]


@dataclass(eq=False)
class Order:
    """An order; 0 or "" stands for what it has not, None for a price that it has not."""

    symbol: str
    account: str
    client_order_id: str
    side: str
    order_type: str
    time_in_force: str
    quantity: int
    limit_price: int | None
    stop_price: int | None
    trail_amount: int
    trail_percent: int
    peg: str
    peg_offset: int
    expire_at_us: int
    display_quantity: int
    hidden: bool
    min_quantity: int
    all_or_none: bool
    post_only: str
    stp: str
    stp_group: str
    link_type: str
    link_id: str
    # The order that it must find as the first of its list, where it names one, and how it is named itself.
    parent: str
    name: str
    entry: int = 0
    arrival: int = 0
    cum: int = 0
    place: str = ""
    # Its price in the book; of a pegged order also on the way there.
    price: int | None = None
    shown: int = 0
    triggered: bool = False
    # A market-to-limit order that has got its limit.
    converted: bool = False
    ended: str = ""
    # Every id that it has had.
    ids: list[str] = field(default_factory=list)

    @property
    def leaves(self) -> int:
        """What may still trade."""
        return 0 if self.ended else self.quantity - self.cum

    @property
    def status(self) -> str:
        """FIX's OrdStatus."""
        return self.ended or ("partially_filled" if self.cum else "new")

    @property
    def required(self) -> int:
        """What must trade at once before anything may; 0: no requirement, or no longer."""
        if self.all_or_none:
            return self.leaves
        return min(self.min_quantity - self.cum, self.leaves) if self.cum < self.min_quantity else 0

    @property
    def limited(self) -> bool:
        """Whether `limit_price` is a limit, and not the protection of an order without price."""
        return self.order_type in ("limit", "stop_limit") or self.converted

    @property
    def bound(self) -> int | None:
        """The worst price that it trades at; None: any."""
        return self.price if self.order_type == "pegged" else self.limit_price

    @property
    def offers(self) -> int:
        """What it offers in the book at its turn."""
        return self.leaves if self.hidden else self.shown

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Its place in its side of the book: smaller is earlier.

        What rests without price comes first, where it has a protection: first at that price.
        """
        price = self.bound
        if price is None:
            return (0, 0, 0, self.arrival)
        within = 0 if self.price is None else 1 + self.hidden
        return (1, -price if self.side == "buy" else price, within, self.arrival)

    def show(self) -> None:
        """Shows the next part."""
        self.shown = min(self.display_quantity or self.leaves, self.leaves)

    def within(self, price: int, bound: int | None) -> bool:
        """Whether a price is no worse for this order than a bound."""
        return bound is None or (price <= bound if self.side == "buy" else price >= bound)


def order_of(command: Mapping[str, Any]) -> Order:
    """The order that a command of type new_order asks for."""
    link = command.get("link") or {}
    post_only = command.get("post_only") or ""
    time_in_force = command.get("time_in_force") or "day"
    all_or_none = bool(command.get("all_or_none"))
    return Order(
        symbol=command["symbol"],
        account=command["account"],
        client_order_id=command["client_order_id"],
        side=command["side"],
        order_type=command["order_type"],
        time_in_force="fok" if all_or_none and time_in_force == "ioc" else time_in_force,
        quantity=command.get("quantity") or 0,
        limit_price=command.get("limit_price"),
        stop_price=command.get("stop_price"),
        trail_amount=command.get("trail_amount") or 0,
        trail_percent=command.get("trail_percent") or 0,
        peg=command.get("peg") or "",
        peg_offset=command.get("peg_offset") or 0,
        expire_at_us=command.get("expire_at_us") or 0,
        display_quantity=command.get("display_quantity") or 0,
        hidden=bool(command.get("hidden")),
        min_quantity=command.get("min_quantity") or 0,
        # At once or not at all: that is fill or kill.
        all_or_none=all_or_none and time_in_force != "ioc",
        post_only="reject" if post_only is True else post_only,
        stp=command.get("stp") or "",
        stp_group=command.get("stp_group") or "",
        link_type=link.get("type") or "",
        link_id=link.get("id") or "",
        parent="" if link.get("type") == "oco" else link.get("parent") or "",
        name=command.get("order_id") or command["client_order_id"],
        ids=[command["client_order_id"]],
    )


def order_event(event: str, order: Order, reason: str = "NONE") -> Happening:
    """What happened to an order, with the order as it is now."""
    return {
        "event": event,
        "symbol": order.symbol,
        "account": order.account,
        "client_order_id": order.client_order_id,
        "side": order.side,
        "status": order.status,
        "limit_price": order.limit_price or None,
        "quantity": order.quantity,
        "cum_quantity": order.cum,
        "leaves_quantity": order.leaves,
        "reason": reason,
    }


def party(order: Order) -> Happening:
    """One side of a trade."""
    return {
        "account": order.account,
        "client_order_id": order.client_order_id,
        "side": order.side,
        "cum_quantity": order.cum,
        "leaves_quantity": order.leaves,
        "status": order.status,
    }


def unknown(event: str, command: Mapping[str, Any]) -> Happening:
    """The refusal of a command that means an order that is not there."""
    return {
        "event": event,
        "symbol": command["symbol"],
        "account": command["account"],
        "client_order_id": command["order"],
        "side": None,
        "status": "rejected",
        "limit_price": None,
        "quantity": 0,
        "cum_quantity": 0,
        "leaves_quantity": 0,
        "reason": "MATCHING_UNKNOWN_ORDER",
    }
