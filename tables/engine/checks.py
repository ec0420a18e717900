"""What a new order or a replace must fulfil; the first that fails is the reason."""

from typing import TYPE_CHECKING, Final

from tables.engine import entering, lists
from tables.engine.orders import CALLS, LIMIT, OPENINGS, PLAIN_FORCES, Instructions, Order
from tables.instrument_rules import InstrumentRules

if TYPE_CHECKING:
    from tables.engine.market import Market

TRIGGERED: Final = ("stop", "stop_limit", "trailing_stop", "market_if_touched")
MARKET_LIKE: Final = ("market", "stop", "trailing_stop", "market_if_touched")
FORCES: Final = (*PLAIN_FORCES, "gtd", "at_open", "at_close", "auction", "crossing")
PERCENT_MAX_E8: Final = 100 * 100_000_000


class Asked:
    """What a replace asks for; None stays as it is. `alias` is another key of the order from now on.

    `protection_e8` is the limit of an order that has none of its own; its account moves it with the stop.
    """

    __slots__ = (
        "alias",
        "client_order_id",
        "display_e8",
        "expire_at_us",
        "limit_price_e8",
        "protection_e8",
        "quantity_e8",
        "stop_price_e8",
        "time_in_force",
    )

    def __init__(self) -> None:
        self.client_order_id: str = ""
        self.protection_e8: int = 0
        self.alias: str = ""
        self.quantity_e8: int | None = None
        self.limit_price_e8: int | None = None
        self.stop_price_e8: int | None = None
        self.display_e8: int | None = None
        self.time_in_force: str | None = None
        self.expire_at_us: int | None = None

    def is_special(self) -> bool:
        """Whether more is asked for than another quantity, limit price or name."""
        return (
            self.time_in_force is not None
            or self.display_e8 is not None
            or self.stop_price_e8 is not None
            or self.expire_at_us is not None
        )


def refuse(market: "Market", order: Order, reason: str) -> str:
    """The reason to refuse a new order, in the order of checks; empty: none.

    `reason` is what its own values gave. A post-only order is repriced if nothing else is against it.
    """
    if order.order_id in market.live:
        return "MATCHING_DUPLICATE_ORDER"
    reason = session_refusal(market.session, order.time_in_force) or reason
    if reason:
        return reason
    if order.kind == LIMIT and market.refuses(order, order.limit_price_e8):
        return "MATCHING_PRICE_BAND"
    reason = lists.refusal(market, order)
    if reason:
        return reason
    return _post_only(market, order)


def session_refusal(session: str, force: str) -> str:
    """The reason why a session takes no order of a time in force."""
    if session == "halt":
        return "MATCHING_HALTED"
    if session == "closed":
        return "MATCHING_CLOSED"
    if force == "at_open" and session not in OPENINGS:
        return "MATCHING_TIME_IN_FORCE"
    if session in CALLS and force in ("ioc", "fok", "crossing"):
        return "MATCHING_TIME_IN_FORCE"
    return ""


def _post_only(market: "Market", order: Order) -> str:
    extra = order.extra
    if extra is None or not extra.post_only or market.session != "continuous":
        return ""
    if order.time_in_force in ("at_close", "auction") or _will_be_held(market, order, extra):
        return ""
    if not entering.would_trade(market, order, order.limit_price_e8):
        return ""
    limit_e8 = entering.repriced_e8(market, order) if extra.post_only == "reprice" else 0
    if limit_e8 <= 0:
        return "MATCHING_POST_ONLY"
    order.limit_price_e8 = order.price_e8 = limit_e8
    return ""


def _will_be_held(market: "Market", order: Order, extra: Instructions) -> bool:
    if not extra.link_type or extra.link_type == "oco":
        return False
    found = market.lists.get((order.account, extra.link_id))
    return found is not None and found.stage == "open"


def invalid(order: Order, price_given: bool, stop_given: bool, rules: InstrumentRules, at_us: int) -> str:
    """The reason why an order's own values make no sense for its instrument; empty: they do.

    `price_given`, `stop_given`: whether it came with a limit or stop price, be it 0.
    """
    quantity_e8 = order.quantity_e8
    if quantity_e8 <= 0 or (quantity_e8 % rules.lot_size and not rules.odd_lots):
        return "MATCHING_INVALID_QUANTITY"
    if price_given:
        if not valid_price(order.limit_price_e8, rules):
            return "MATCHING_INVALID_PRICE"
    elif order.order_type in ("limit", "stop_limit"):
        return "MATCHING_INVALID_PRICE"
    extra = order.extra
    if extra is None:
        return "MATCHING_INVALID_PRICE" if stop_given else ""
    if stop_given and extra.stop_price_e8 <= 0:
        return "MATCHING_INVALID_PRICE"
    triggers = order.order_type in TRIGGERED
    if triggers and not stop_given and order.order_type != "trailing_stop":
        return "MATCHING_INVALID_PRICE"
    if stop_given and not triggers:
        return "MATCHING_INVALID_INSTRUCTION"
    return _invalid_instructions(order, extra, rules, at_us)


def valid_price(price_e8: int, rules: InstrumentRules) -> bool:
    """Whether a limit price is above 0, on tick and within the instrument's prices."""
    if price_e8 <= 0 or not rules.on_tick(price_e8) or price_e8 < rules.min_price:
        return False
    return not rules.max_price or price_e8 <= rules.max_price


def _invalid_instructions(order: Order, extra: Instructions, rules: InstrumentRules, at_us: int) -> str:
    order_type, force = order.order_type, order.time_in_force
    triggers = order_type in TRIGGERED
    wrong = (
        _invalid_trail(order_type, extra)
        or _invalid_peg(order_type, force, extra)
        or _invalid_expiry(force, extra, at_us)
        or _invalid_display(order, extra, rules)
        or _invalid_requirement(order, extra)
        or (extra.post_only != "" and (order_type != "limit" or force in ("ioc", "fok")))
        or (triggers and force in ("at_open", "at_close", "auction"))
        or (order_type == "market" and force == "gtd")
        or (extra.link_type != "" and not extra.link_id)
    )
    return "MATCHING_INVALID_INSTRUCTION" if wrong else ""


def _invalid_trail(order_type: str, extra: Instructions) -> bool:
    amount_e8, percent_e8 = extra.trail_amount_e8, extra.trail_percent_e8
    if order_type != "trailing_stop":
        return amount_e8 != 0 or percent_e8 != 0
    if amount_e8 < 0 or percent_e8 < 0 or percent_e8 >= PERCENT_MAX_E8:
        return True
    return (amount_e8 > 0) == (percent_e8 > 0)


def _invalid_peg(order_type: str, force: str, extra: Instructions) -> bool:
    if order_type != "pegged":
        return extra.peg != "" or extra.peg_offset_e8 != 0
    return extra.peg not in ("bid", "ask", "mid") or force not in ("day", "gtc", "gtd")


def _invalid_expiry(force: str, extra: Instructions, at_us: int) -> bool:
    return extra.expire_at_us <= at_us if force == "gtd" else extra.expire_at_us != 0


def invalid_part(display_e8: int, quantity_e8: int, rules: InstrumentRules) -> bool:
    """Whether a display quantity, not 0, makes no sense for a quantity."""
    if not 0 < display_e8 <= quantity_e8 or display_e8 * 1000 < quantity_e8:
        return True
    return display_e8 % rules.lot_size != 0 and not rules.odd_lots


def _invalid_display(order: Order, extra: Instructions, rules: InstrumentRules) -> bool:
    order_type, at_once = order.order_type, order.time_in_force in ("ioc", "fok")
    if extra.hidden and (order_type not in ("limit", "stop_limit", "pegged") or at_once):
        return True
    if not extra.display_e8:
        return False
    if order_type not in ("limit", "stop_limit") or extra.hidden or at_once:
        return True
    return invalid_part(extra.display_e8, order.quantity_e8, rules)


def _invalid_requirement(order: Order, extra: Instructions) -> bool:
    if not 0 <= extra.min_quantity_e8 <= order.quantity_e8:
        return True
    if not extra.min_quantity_e8 and not extra.all_or_none:
        return False
    return bool(
        (extra.min_quantity_e8 and extra.all_or_none)
        or extra.post_only
        or extra.display_e8
        or order.time_in_force in ("at_open", "at_close", "auction", "fok")
        or order.order_type == "pegged"
    )
