"""Lists of linked orders: one cancels the other, one triggers the other, bracket.

A fill cancels those that its order excludes before anything else trades, so that never two of them do. What
else a fill or an end of a member asks for is queued and worked off when whatever caused it is done.
"""

from typing import TYPE_CHECKING, Final

from tables.engine import entering
from tables.engine.orders import HELD, NO_LIMIT, Order, order_happening

if TYPE_CHECKING:
    from tables.engine.market import Market

# Kinds of actions.
CANCEL: Final = 0
RELEASE: Final = 1
ENTER: Final = 2


class OrderList:
    """A list of one account; `members` are its live orders by entry.

    `stage`: open; released (the parent was filled, `parent_quantity_e8` of it); ended (nobody may join any
    more).
    """

    __slots__ = ("account", "link_id", "link_type", "members", "parent_id", "parent_quantity_e8", "stage")

    def __init__(self, account: str, link_id: str, link_type: str, parent_id: str) -> None:
        self.account: str = account
        self.link_id: str = link_id
        self.link_type: str = link_type
        self.parent_id: str = parent_id
        self.parent_quantity_e8: int = 0
        self.stage: str = "open"
        self.members: dict[int, Order] = {}

    def exclusive(self) -> bool:
        """Whether at most one of its members may trade: an OCO, or the children of a bracket."""
        return self.link_type == "oco" or (self.link_type == "bracket" and self.stage != "open")


class Action:
    """Something to be done for a list: its members canceled or released, or an order that enters."""

    __slots__ = ("kind", "list", "order")

    def __init__(self, kind: int, order: Order, of: OrderList | None) -> None:
        self.kind: int = kind
        self.order: Order = order
        self.list: OrderList | None = of


def refusal(market: "Market", order: Order) -> str:
    """The reason why an order may not join its list; empty: it may."""
    extra = order.extra
    if extra is None or not extra.link_type:
        return ""
    found = market.lists.get((order.account, extra.link_id))
    if found is None:
        # Its parent was refused on the way here.
        return "MATCHING_LINK_ENDED" if extra.parent_id else ""
    if found.link_type != extra.link_type:
        return "MATCHING_LINK"
    other = extra.parent_id and extra.parent_id != found.parent_id
    return "MATCHING_LINK_ENDED" if other or found.stage == "ended" else ""


def refused(market: "Market", order: Order) -> None:
    """After a new order was refused: where others were to wait for it, they must not become active."""
    extra = order.extra
    if extra is None or extra.link_type not in ("oto", "bracket") or not extra.link_id or extra.parent_id:
        return
    key = (order.account, extra.link_id)
    if key in market.lists:
        return
    found = OrderList(order.account, extra.link_id, extra.link_type, order.order_id)
    market.lists[key] = found
    _set_stage(market, found, "ended")


def join(market: "Market", order: Order) -> bool:
    """Makes an accepted order a member of its list; returns whether it is held."""
    extra = order.extra
    if extra is None or not extra.link_type:
        return False
    key = (order.account, extra.link_id)
    found = market.lists.get(key)
    first = found is None
    if found is None:
        parent_id = "" if extra.link_type == "oco" else order.order_id
        found = OrderList(order.account, extra.link_id, extra.link_type, parent_id)
        market.lists[key] = found
        market.lists_changed[key] = found
    found.members[order.entry] = order
    market.joined[key] = found
    extra.list = found
    if first or found.link_type == "oco":
        return False
    if found.stage != "open":
        _fit(market, order)
        return False
    market.put(order, HELD)
    return True


def filled(market: "Market", order: Order) -> None:
    """After a fill of a member: cancels those that it excludes at once, or queues what its list asks for."""
    extra = order.extra
    if extra is None or extra.list is None:
        return
    found = extra.list
    if not found.exclusive():
        changed(market, order)
        return
    _leave(market, found, order)
    if found.stage != "ended":
        _set_stage(market, found, "ended")
    _cancel_others(market, found, order)


def changed(market: "Market", order: Order) -> None:
    """After the end of a member, or a fill that excludes nobody: queues what its list asks for."""
    extra = order.extra
    if extra is None or extra.list is None:
        return
    found = extra.list
    _leave(market, found, order)
    if found.stage == "ended":
        return
    if found.exclusive():
        _set_stage(market, found, "ended")
        market.actions.append(Action(CANCEL, order, found))
    elif found.stage == "open" and order.order_id == found.parent_id and not order.leaves_e8:
        filled = order.status == "filled"
        if filled:
            found.parent_quantity_e8 = order.cum_quantity_e8
        _set_stage(market, found, "released" if filled else "ended")
        market.actions.append(Action(RELEASE if filled else CANCEL, order, found))


def _leave(market: "Market", found: OrderList, order: Order) -> None:
    if not order.leaves_e8 and found.members.pop(order.entry, None) is not None and not found.members:
        del market.joined[found.account, found.link_id]


def _cancel_others(market: "Market", found: OrderList, order: Order) -> None:
    for other in _others(found, order):
        # One may have been filled by the same trade.
        if other.leaves_e8:
            market.end(other, "canceled", "MATCHING_LINKED")


def _set_stage(market: "Market", found: OrderList, stage: str) -> None:
    found.stage = stage
    market.lists_changed[found.account, found.link_id] = found


def work_off(market: "Market") -> None:
    """Works off what lists ask for, first come first served; what that causes joins the queue."""
    actions = market.actions
    if not actions:
        return
    done = 0
    while done < len(actions):
        action = actions[done]
        done += 1
        if action.kind == ENTER:
            if action.order.leaves_e8:
                entering.enter(market, action.order)
        elif action.list is not None and action.kind == CANCEL:
            _cancel_others(market, action.list, action.order)
        elif action.list is not None:
            for order in _others(action.list, action.order):
                if order.leaves_e8 and order.extra is not None and order.extra.place == HELD:
                    market.take_out(order)
                    _fit(market, order)
                    entering.enter(market, order)
    actions.clear()


def most_e8(order: Order) -> int:
    """The largest quantity that an order may have: of a bracket's child, what its parent filled."""
    extra = order.extra
    if extra is None or extra.list is None or not extra.parent_id or extra.link_type != "bracket":
        return NO_LIMIT
    return extra.list.parent_quantity_e8 or NO_LIMIT


def _fit(market: "Market", order: Order) -> None:
    """Makes a child that becomes active no larger than what there is of its parent to close."""
    quantity_e8 = most_e8(order)
    if order.quantity_e8 <= quantity_e8:
        return
    order.quantity_e8 = order.leaves_e8 = quantity_e8
    extra = order.extra
    if extra is not None:
        extra.min_quantity_e8 = min(extra.min_quantity_e8, quantity_e8)
        extra.display_e8 = min(extra.display_e8, quantity_e8)
    order.move("replaced")
    market.said.append(order_happening("replaced", order, "MATCHING_LINKED"))
    market.changed.append(order)


def exclusive_list(order: Order) -> OrderList | None:
    """The list in which an order excludes the others, if it is in such a one."""
    extra = order.extra
    found = None if extra is None else extra.list
    return found if found is not None and found.exclusive() else None


def meet(market: "Market", maker: Order, taker: Order) -> bool:
    """Ends a taker that would trade with an order of its own exclusive list; returns whether they met so."""
    exclusive = exclusive_list(taker)
    if exclusive is None or exclusive is not exclusive_list(maker):
        return False
    market.end(taker, "canceled", "MATCHING_LINKED")
    return True


def _others(found: OrderList, order: Order) -> list[Order]:
    return [found.members[entry] for entry in sorted(found.members) if entry != order.entry]


def forget(market: "Market") -> None:
    """Forgets lists without a live member."""
    for key in [key for key, found in market.lists.items() if not found.members]:
        market.lists_changed[key] = market.lists.pop(key)
