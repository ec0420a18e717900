"""The ids by which an account's orders are found, and how long each is remembered.

A finished order is remembered for the window, and until its UTC day of entry has passed, since its
order_id names that day, until the answer to a replace under way has come, and while an exit of its bracket
lives. An id that a replace gave is remembered with its order, or until the window has passed since a later
id took its place.
"""

from collections.abc import Mapping
from typing import Any

from schemas.ids import DAY_US
from schemas.messages import OrderStatus
from schemas.reasons import Reason
from schemas.records import Row
from tables.account_orders import AccountOrder
from tables.changes import Changes
from tables.holdings import Account
from tables.window import MINUTE_US, Window

# How far the time that a request gives may be from the log's, to be taken as it is.
ENTRY_TOLERANCE_US = 300_000_000

# Most ids forgotten per cycle beyond as many as came in it: no cycle is long, and none falls behind.
FORGET_MAX = 1000


class Alias:
    """An id that a replace gave to an order; `at_us` is when it came or, once replaced itself, went."""

    __slots__ = ("at_us", "changed", "id", "order")

    def __init__(self, order: AccountOrder, id: str, at_us: int) -> None:
        self.order = order
        self.id = id
        self.at_us = at_us
        self.changed = False

    def key(self) -> str:
        """Key of its row."""
        return f"alias|{self.order.account.account}|{self.id}"

    def row(self) -> Row:
        """Its AliasRow."""
        order = self.order
        return Row(
            self.key(),
            "AliasRow",
            {
                "account": order.account.account,
                "id": self.id,
                "client_order_id": order.client_order_id,
                "at_us": self.at_us,
            },
        )


class OrderMemory:
    """Finds orders by id, remembers finished ones for the window, and forgets them a little at a time.

    Times count to when the log received the request that asks (`heard`), so that a lane that is behind
    forgets nothing that waiting requests may still name.
    """

    def __init__(self, changes: Changes, window_us: int) -> None:
        self._changes = changes
        self._window_us = window_us
        self._finished: Window[AccountOrder] = Window()
        self._aliases: Window[Alias] = Window()
        self._heard_us = 0
        # Ids to be forgotten one day that came since `forget_old` was asked.
        self._new = 0

    def heard(self, logged_us: int) -> None:
        """Notes the log's time of a request."""
        if logged_us > self._heard_us:
            self._heard_us = logged_us

    def find(self, account: Account, id: str, logged_us: int) -> AccountOrder | None:
        """The order of an id: the one it was entered with, or one that a replace gave it."""
        order = account.live.get(id)
        if order is not None:
            return order
        order = account.finished.get(id)
        if order is not None:
            if self._is_remembered(order, logged_us):
                return order
            self._forget(order)
        alias = account.aliases.get(id)
        if alias is None:
            return None
        if self._is_named_by(alias, logged_us):
            return alias.order
        self._forget_alias(alias)
        return None

    def _until_us(self, order: AccountOrder) -> int:
        """When a finished order may be forgotten; a new one of its id then has another order_id."""
        day_passed_us = (order.entered_us // DAY_US + 1) * DAY_US + ENTRY_TOLERANCE_US
        return max(order.finished_us + self._window_us, day_passed_us)

    def _is_remembered(self, order: AccountOrder, logged_us: int) -> bool:
        # The answer to a replace under way must find its order, however late it comes; exits their entry.
        wanted = order.replacing_e8 is not None or (order.instructions is not None and order.exits())
        return bool(wanted) or logged_us < self._until_us(order)

    def _is_named_by(self, alias: Alias, logged_us: int) -> bool:
        order = alias.order
        if order.finished_us:
            return self._is_remembered(order, logged_us)
        # While a replace is under way its id is not the order's latest yet.
        current = alias.id == order.latest_id or order.replacing_e8 is not None
        return current or logged_us < alias.at_us + self._window_us

    def finish(self, order: AccountOrder, status: OrderStatus, reason: Reason, at_us: int) -> None:
        """Ends an order, live until now or never."""
        order.status = status
        order.reason = reason
        order.finished_us = at_us
        account = order.account
        account.leave(order)
        account.finished[order.client_order_id] = order
        self._finished.remember(order, self._until_us(order))
        self._new += 1
        self._changes.touch(order)

    def name(self, order: AccountOrder, id: str, at_us: int) -> None:
        """Gives an order one more id."""
        self._keep_alias(Alias(order, id, at_us))
        self._new += 1
        self._changes.touch(order.account.aliases[id])

    def renamed(self, order: AccountOrder, id: str, at_us: int) -> None:
        """Makes an id the order's latest; the one before is remembered for the window from now."""
        former = order.account.aliases.get(order.latest_id)
        if former is not None:
            former.at_us = at_us
            self._changes.touch(former)
        order.latest_id = id

    def _keep_alias(self, alias: Alias) -> None:
        order = alias.order
        order.account.aliases[alias.id] = alias
        if order.aliases is None:
            order.aliases = {}
        order.aliases[alias.id] = alias
        self._aliases.remember(alias, alias.at_us + self._window_us)

    def forget_old(self) -> None:
        """Forgets some of what is remembered no longer: more than came since it was last asked."""
        limit, self._new = FORGET_MAX + self._new, 0
        for order in self._finished.due(self._heard_us, limit):
            if order.account.finished.get(order.client_order_id) is not order:
                continue
            if self._is_remembered(order, self._heard_us):
                self._finished.remember(order, self._heard_us + MINUTE_US)
            else:
                self._forget(order)
        for alias in self._aliases.due(self._heard_us, limit):
            if alias.order.account.aliases.get(alias.id) is not alias:
                continue
            if self._is_named_by(alias, self._heard_us):
                self._aliases.remember(alias, self._heard_us + self._window_us)
            else:
                self._forget_alias(alias)

    def _forget(self, order: AccountOrder) -> None:
        order.account.forget(order)
        self._changes.forget(order.key(), "AccountOrderRow")
        for alias in list((order.aliases or {}).values()):
            self._forget_alias(alias)

    def _forget_alias(self, alias: Alias) -> None:
        order = alias.order
        del order.account.aliases[alias.id]
        if order.aliases is not None:
            del order.aliases[alias.id]
        self._changes.forget(alias.key(), "AliasRow")

    def restore(self, account: Account, row: Mapping[str, Any]) -> None:
        """Takes an AccountOrderRow."""
        order = AccountOrder.from_row(account, row)
        account.remember(order)
        if order.finished_us:
            account.finished[order.client_order_id] = order
            self._finished.remember(order, self._until_us(order))
        else:
            account.enter(order)

    def restore_alias(self, account: Account, row: Mapping[str, Any]) -> None:
        """Takes an AliasRow of an order; its order must have been taken before."""
        id = row["client_order_id"]
        order = account.live.get(id) or account.finished.get(id)
        if order is None:
            raise AssertionError(f"id {row['id']} of account {account.account} names order {id}: no such row")
        self._keep_alias(Alias(order, row["id"], row["at_us"]))
