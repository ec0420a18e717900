"""I2 and I3: the life of every order, as its events tell it; I9 within one order.

An order's changes of state (accepted, triggered, trade, replaced, canceled, expired) come from the lane of
its symbol, so in the order in which they happened: versions count from 1 without a gap, and nothing comes
after a terminal status. A rejected order has the one event (again for each repeat of its request).
Refusals of cancels and replaces and repeated statuses change nothing; accounts says them as it knows the
order, which may be some executions behind, so of them only the arithmetic is checked.
"""

from app.verify.findings import Findings
from app.verify.numbers import Numbers, number_of
from app.verify.records import Message, Place, Seen
from schemas.numbers import format_e8

TERMINAL = frozenset({"filled", "canceled", "rejected", "expired"})
CHANGES = frozenset({"accepted", "triggered", "trade", "replaced", "canceled", "expired"})
# Of these an order waits outside the book in some sessions.
_SOMETIMES = frozenset({"at_open", "at_close", "auction", "crossing"})
_LASTING = ("account", "symbol", "side", "order_type", "time_in_force")


class Order:
    """A live order as its events left it."""

    __slots__ = (
        "_simple",
        "accepted_us",
        "account",
        "at_us",
        "cause",
        "client_order_id",
        "cum_e8",
        "entry_id",
        "event",
        "exclusive",
        "gets_limit",
        "leaves_e8",
        "limit_price_e8",
        "order_type",
        "parent_id",
        "place",
        "quantity_e8",
        "side",
        "status",
        "sum_e16",
        "symbol",
        "time_in_force",
        "version",
    )

    def __init__(self, event: Message, place: Place) -> None:
        self.account: str = event["account"]
        self.symbol: str = event["symbol"]
        self.side: str = event["side"]
        self.order_type: str = event["order_type"]
        self.entry_id: str = event["client_order_id"]
        self.accepted_us: int = event["at_us"]
        self.sum_e16 = 0
        instructions = event.get("instructions") or {}
        self._simple = self.order_type == "limit" and not instructions
        kind, link_id = instructions.get("link_type"), instructions.get("link_id", "")
        reprices = instructions.get("post_only") == "reprice" and kind in ("oto", "bracket")
        # Whether its limit may change although nobody replaced it.
        self.gets_limit = self.order_type == "market_to_limit" or reprices
        # The order_id of its bracket's entry, where it is an exit of one.
        self.parent_id: str = instructions.get("link_parent", "") if kind == "bracket" else ""
        # Its list and that, where at most one of several may trade.
        self.exclusive = (link_id, self.parent_id) if kind == "oco" or self.parent_id else None
        self.cause: int = event["request_offset"]
        self.become(event, place)

    @property
    def plain(self) -> bool:
        """Whether all of it is shown in the book at its limit as long as it lives."""
        return self._simple and self.time_in_force not in _SOMETIMES

    def become(self, event: Message, place: Place) -> None:
        """Takes the state that an event gives."""
        self.client_order_id: str = event["client_order_id"]
        self.version: int = event["version"]
        self.status: str = event["status"]
        self.time_in_force = event["time_in_force"]
        self.quantity_e8: int = event["quantity"]
        self.limit_price_e8: int = event["limit_price"]
        self.cum_e8: int = event["cum_quantity"]
        self.leaves_e8: int = event["leaves_quantity"]
        self.at_us: int = event["at_us"]
        self.place = place


class Orders:
    """Follows every order; `broken` are symbols whose history has a hole or something too much."""

    def __init__(self, findings: Findings, skew_us: int) -> None:
        self.live: dict[str, Order] = {}
        self.broken: set[str] = set()
        self.ended: Order | None = None
        self._findings = findings
        self._skew_us = skew_us
        # Of every order that was, the number of its id.
        self._accepted = Numbers()
        self._rejected = Numbers()

    def change(self, seen: Seen) -> Order | None:
        """Takes an event that changes an order; the order as it is then, None when the event must not be."""
        event = seen.message
        self._findings.check("I2")
        order = self.live.get(event["order_id"])
        if event["event"] == "accepted":
            return self._accept(seen, order)
        if order is None:
            self._broken(seen, "comes after the order's end, or it was never accepted")
            return None
        if event["version"] <= order.version:
            self._broken(seen, f"has version {event['version']} after {order.version}", order)
            return None
        if event["version"] > order.version + 1:
            self._broken(seen, f"has version {event['version']} after {order.version}", order)
        self._advance(order, seen)
        return order

    def _accept(self, seen: Seen, before: Order | None) -> Order | None:
        event = seen.message
        if before is not None:
            self._broken(seen, f"comes although the order is {before.status}", before)
            return None
        if event["version"] != 1 or event["status"] != "new":
            self._broken(seen, f"has version {event['version']} and status {event['status']}")
        number = number_of(event["order_id"])
        if not self._accepted.add(number):
            self._broken(seen, "comes although the order was entered before and has ended")
        elif number in self._rejected:
            self._broken(seen, "comes although the order was rejected")
        order = self.live[event["order_id"]] = Order(event, seen.place)
        self._check_arithmetic(seen)
        if event["cum_quantity"] or event["last_quantity"]:
            self._wrong(seen, "a new order has fills", order)
        return order

    def _advance(self, order: Order, seen: Seen) -> None:
        """Holds an event of a live order against the one before it, and takes it."""
        event = seen.message
        status = _status_after(event)
        if event["status"] != status:
            self._broken(seen, f"leads to {event['status']}, not {status}", order)
        for field in _LASTING:
            if event[field] != getattr(order, field) and (field, event["event"]) != (
                "time_in_force",
                "replaced",
            ):
                self._broken(seen, f"has {field} {event[field]}, was {getattr(order, field)}", order)
        self._check_name(order, seen)
        self._check_fills(order, seen)
        self._check_cause(order, seen)
        order.become(event, seen.place)
        if event["status"] in TERMINAL:
            del self.live[event["order_id"]]

    def _check_name(self, order: Order, seen: Seen) -> None:
        """Only a replace gives an order another client_order_id: its own."""
        event = seen.message
        name = (event["request_id"] if event["event"] == "replaced" else "") or order.client_order_id
        if event["client_order_id"] != name:
            self._broken(seen, f"has client_order_id {event['client_order_id']}, not {name}", order)

    def _check_fills(self, order: Order, seen: Seen) -> None:
        """I3 between two events: only trades fill, only replaces change quantity and price."""
        event = seen.message
        last_e8 = event["last_quantity"]
        if (event["event"] == "trade") != (last_e8 > 0):
            self._wrong(seen, f"has last_quantity {format_e8(last_e8)}", order)
        order.sum_e16 += last_e8 * event["last_price"]
        if event["cum_quantity"] != order.cum_e8 + last_e8:
            text = f"cum_quantity {format_e8(event['cum_quantity'])}, fills sum to "
            self._wrong(seen, text + format_e8(order.cum_e8 + last_e8), order)
        elif not _is_average(event["average_price"], order.sum_e16, event["cum_quantity"]):
            text = f"average_price {format_e8(event['average_price'])} is not that of its fills"
            self._wrong(seen, text, order)
        if event["event"] != "replaced":
            for field, before_e8 in (("quantity", order.quantity_e8), ("limit_price", order.limit_price_e8)):
                # A market-to-limit order gets its limit by trading; a post-only child when it is released.
                gets_limit = field == "limit_price" and order.gets_limit
                if event[field] != before_e8 and not gets_limit:
                    text = f"{field} {format_e8(event[field])}, was {format_e8(before_e8)}"
                    self._wrong(seen, text, order)
        self._check_arithmetic(seen)

    def _check_cause(self, order: Order, seen: Seen) -> None:
        """I9: no step before the one before it; a taker's trade names the request that entered it."""
        event = seen.message
        self._findings.check("I9")
        if event["at_us"] + self._skew_us < order.at_us:
            text = f"{event['event']} happened {order.at_us - event['at_us']} us before the event before it"
            self._findings.wrong("I9", text, [order.place, seen.place], event["order_id"])
        if event["event"] == "replaced" and event["request_offset"] >= 0:
            order.cause = event["request_offset"]
        elif event["event"] == "trade" and event["request_offset"] not in (-1, order.cause):
            text = f"a trade names request {event['request_offset']}, the order came by {order.cause}"
            self._findings.wrong("I9", text, [order.place, seen.place], event["order_id"])

    def reject(self, seen: Seen) -> bool:
        """Takes a `rejected` event of an order of its own; says whether it is the order's first."""
        event = seen.message
        self._findings.check("I2")
        order = self.live.get(event["order_id"])
        if order is not None:
            self._broken(seen, f"comes although the order is {order.status}", order)
            return False
        if event["version"] != 1 or event["status"] != "rejected":
            self._broken(seen, f"has version {event['version']} and status {event['status']}")
            return False
        self._check_arithmetic(seen)
        number = number_of(event["order_id"])
        if number in self._accepted:
            self._broken(seen, "comes although the order was accepted and has ended")
        return self._rejected.add(number)

    def repeat(self, seen: Seen) -> None:
        """Takes a refusal or status that changes nothing."""
        event = seen.message
        if event["version"]:
            self._check_arithmetic(seen)
        order = self.live.get(event["order_id"])
        if order is None or event["event"] != "order_status" or order.place[1] != seen.partition:
            return
        told = (event["version"], event["status"], event["cum_quantity"], event["quantity"])
        known = (order.version, order.status, order.cum_e8, order.quantity_e8)
        if event["status"] not in TERMINAL and told != known:
            self._findings.wrong(
                "I2",
                f"the status says version {told[0]} {told[1]}, the order is at {known[0]} {known[1]}",
                [order.place, seen.place],
                event["order_id"],
            )

    def _check_arithmetic(self, seen: Seen) -> None:
        """I3 of one event: quantity = cum + leaves + canceled, where only what ended has canceled any."""
        event = seen.message
        self._findings.check("I3")
        quantity_e8, cum_e8, leaves_e8 = event["quantity"], event["cum_quantity"], event["leaves_quantity"]
        canceled_e8 = quantity_e8 - cum_e8 - leaves_e8
        status, ended = event["status"], event["status"] in TERMINAL
        if status == "rejected":
            # Its quantity is what was asked, which may be why it was refused.
            if cum_e8 or leaves_e8:
                self._wrong(seen, f"has cum_quantity {format_e8(cum_e8)}, leaves {format_e8(leaves_e8)}")
        elif cum_e8 > quantity_e8 or cum_e8 < 0 or leaves_e8 < 0:
            self._wrong(seen, f"cum_quantity {format_e8(cum_e8)} of {format_e8(quantity_e8)}")
        elif ended and leaves_e8:
            self._wrong(seen, f"is {status} with leaves_quantity {format_e8(leaves_e8)}")
        elif canceled_e8 and (not ended or status == "filled"):
            parts = f"{format_e8(cum_e8)} + {format_e8(leaves_e8)}"
            self._wrong(seen, f"is {status}, and quantity {format_e8(quantity_e8)} is not {parts}")

    def _broken(self, seen: Seen, text: str, order: Order | None = None) -> None:
        event = seen.message
        self.broken.add(event["symbol"])
        place = None if order is None else order.place
        self._findings.wrong("I2", f"{event['event']} {text}", [place, seen.place], event["order_id"])

    def _wrong(self, seen: Seen, text: str, order: Order | None = None) -> None:
        event = seen.message
        place = None if order is None else order.place
        self._findings.wrong("I3", f"{event['event']}: {text}", [place, seen.place], event["order_id"])


def _status_after(event: Message) -> str:
    """The status that a change leads to, by FIX: what is open and what was filled decide."""
    if event["event"] in ("canceled", "expired"):
        return str(event["event"])
    if not event["leaves_quantity"]:
        return "filled"
    return "partially_filled" if event["cum_quantity"] else "new"


def _is_average(average_e8: int, sum_e16: int, quantity_e8: int) -> bool:
    """Whether it is the sum over the quantity, rounded half to even; without fills it must be 0."""
    if not quantity_e8:
        return average_e8 == 0
    off = 2 * abs(average_e8 * quantity_e8 - sum_e16)
    return off < quantity_e8 or (off == quantity_e8 and average_e8 % 2 == 0)
