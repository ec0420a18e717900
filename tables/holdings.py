"""Accounts, and what they have: cash by currency, holdings by symbol, and what live orders hold of each.

Of an asset, `total_e8` includes `reserved_e8`; what is free is the difference. Amounts move only
through `Ledger.move` and `Ledger.hold`, so that every change is told: one Position per cycle and
asset, with a version that counts them without a gap.

Never two members of an OCO trade, nor two exits of a bracket, so together they hold what the one that needs
most needs.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schemas.messages import AccountStatus, AssetKind
from schemas.records import Row, Said
from tables.changes import Changes

if TYPE_CHECKING:
    from tables.account_orders import AccountOrder
    from tables.order_memory import Alias


# Symbol, id of the list, order_id of its parent ("" for an OCO): orders of which at most one may trade.
Exclusive = tuple[str, str, str]


class Asset:
    """What an account has of one currency or instrument, scaled by 10^8."""

    __slots__ = ("account", "asset", "changed", "kind", "moved", "reserved_e8", "total_e8", "version")

    def __init__(self, account: str, asset: str, kind: AssetKind) -> None:
        self.account = account
        self.asset = asset
        self.kind: AssetKind = kind
        self.total_e8 = 0
        self.reserved_e8 = 0
        self.version = 0
        self.moved = False
        self.changed = False

    def row(self) -> Row:
        """Its AssetRow."""
        return Row(
            f"asset|{self.account}|{self.kind}|{self.asset}",
            "AssetRow",
            {
                "account": self.account,
                "asset": self.asset,
                "kind": self.kind,
                "total": self.total_e8,
                "reserved": self.reserved_e8,
                "version": self.version,
            },
        )

    def position(self, at_us: int) -> Said:
        """Its Position message."""
        return "Position", {
            "account": self.account,
            "asset": self.asset,
            "kind": self.kind,
            "total": self.total_e8,
            "reserved": self.reserved_e8,
            "version": self.version,
            "at_us": at_us,
        }


class Account:
    """One account: its status, its limits (0: none), its assets, and its orders by client_order_id."""

    __slots__ = (
        "account",
        "aliases",
        "allow_short",
        "cancel_at_us",
        "cancel_id",
        "cash",
        "changed",
        "exclusive",
        "finished",
        "holdings",
        "live",
        "max_order_notional_e8",
        "max_order_quantity_e8",
        "name",
        "parents",
        "status",
    )

    def __init__(self, account: str) -> None:
        self.account = account
        self.status: AccountStatus = "unknown"
        self.name = ""
        self.max_order_quantity_e8 = 0
        self.max_order_notional_e8 = 0
        self.allow_short = False
        # CancelAllAfter: when it is due, and the id of the request; 0: it is off.
        self.cancel_at_us = 0
        self.cancel_id = ""
        self.cash: dict[str, Asset] = {}
        self.holdings: dict[str, Asset] = {}
        self.live: dict[str, AccountOrder] = {}
        # Live orders of which at most one may trade, by client_order_id.
        self.exclusive: dict[Exclusive, dict[str, AccountOrder]] = {}
        # The first order, refused or not, of each list whose others wait for it, by symbol and id.
        self.parents: dict[tuple[str, str], AccountOrder] = {}
        self.finished: dict[str, AccountOrder] = {}
        self.aliases: dict[str, Alias] = {}
        self.changed = False

    def assets(self, kind: AssetKind) -> dict[str, Asset]:
        """Its cash by currency, or its holdings by symbol."""
        return self.cash if kind == "cash" else self.holdings

    def enter(self, order: "AccountOrder") -> None:
        """Takes a live order."""
        self.live[order.client_order_id] = order
        exclusive = order.exclusive()
        if exclusive is not None:
            self.exclusive.setdefault(exclusive, {})[order.client_order_id] = order

    def leave(self, order: "AccountOrder") -> None:
        """Lets an order go that has ended, or was never live."""
        self.live.pop(order.client_order_id, None)
        exclusive = order.exclusive()
        if exclusive is not None and exclusive in self.exclusive:
            self.exclusive[exclusive].pop(order.client_order_id, None)
            if not self.exclusive[exclusive]:
                del self.exclusive[exclusive]

    def link(self, order: "AccountOrder") -> None:
        """Has a new order of a list name the parent that it waits for; the first of a list is the parent.

        Also where that was refused: so matching refuses the others, and none of them takes its place.
        """
        found = order.waiting_list()
        if found is None or order.instructions is None:
            return
        parent = self.parents.setdefault(found, order)
        if parent is not order:
            order.instructions["link_parent"] = parent.order_id

    def remember(self, order: "AccountOrder") -> None:
        """Takes an order of the changelog: a parent is known again to those that wait for it."""
        found = order.waiting_list()
        if found is not None and order.instructions is not None and not order.instructions["link_parent"]:
            self.parents[found] = order

    def forget(self, order: "AccountOrder") -> None:
        """Forgets a finished order; its list may begin anew."""
        del self.finished[order.client_order_id]
        found = order.waiting_list()
        if found is not None and self.parents.get(found) is order:
            del self.parents[found]

    def row(self) -> Row:
        """Its AccountRow."""
        return Row(
            f"account|{self.account}",
            "AccountRow",
            {
                "account": self.account,
                "status": self.status,
                "name": self.name,
                "max_order_quantity": self.max_order_quantity_e8,
                "max_order_notional": self.max_order_notional_e8,
                "allow_short": self.allow_short,
                "cancel_at_us": self.cancel_at_us,
                "cancel_id": self.cancel_id,
            },
        )


class Ledger:
    """Every account of a lane with its assets."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._moved: list[Asset] = []
        self.accounts: dict[str, Account] = {}

    def open(self, account_id: str) -> Account:
        """The account of an id, made where there is none."""
        account = self.accounts.get(account_id)
        if account is None:
            account = self.accounts[account_id] = Account(account_id)
        return account

    def asset(self, account: Account, kind: AssetKind, name: str) -> Asset:
        """An asset of an account, made where there is none."""
        assets = account.cash if kind == "cash" else account.holdings
        asset = assets.get(name)
        if asset is None:
            asset = assets[name] = Asset(account.account, name, kind)
        return asset

    def held_by(self, order: "AccountOrder", currency: str) -> Asset:
        """What an order is paid with: cash for a buy, the holding for a sell."""
        if order.side == "buy":
            return self.asset(order.account, "cash", currency)
        return self.asset(order.account, "holding", order.symbol)

    @staticmethod
    def free_e8(account: Account, kind: AssetKind, name: str) -> int:
        """What the account has of an asset that no order holds."""
        asset = (account.cash if kind == "cash" else account.holdings).get(name)
        return 0 if asset is None else asset.total_e8 - asset.reserved_e8

    def move(self, asset: Asset, amount_e8: int) -> None:
        """Adds a signed amount to what there is."""
        asset.total_e8 += amount_e8
        if not asset.moved:
            asset.moved = True
            self._moved.append(asset)

    def hold(self, order: "AccountOrder", asset: Asset, amount_e8: int) -> None:
        """Has an order hold so much of an asset, and no longer what it held."""
        more_e8 = amount_e8 - order.reserved_e8
        if order.instructions is not None:
            others_e8 = order.others_hold_e8()
            more_e8 = max(amount_e8, others_e8) - max(order.reserved_e8, others_e8)
        order.reserved_e8 = amount_e8
        self._reserve(asset, more_e8)

    def hold_together(
        self, orders: "Sequence[AccountOrder]", asset: Asset, amounts_e8: Sequence[int]
    ) -> None:
        """Has all orders of one side, of which at most one may trade, hold so much of an asset each.

        There is one at least. Order by order, with many of them, each would look at all the others.
        """
        before_e8 = max(order.reserved_e8 for order in orders)
        for order, amount_e8 in zip(orders, amounts_e8, strict=True):
            order.reserved_e8 = amount_e8
        self._reserve(asset, max(amounts_e8) - before_e8)

    def _reserve(self, asset: Asset, more_e8: int) -> None:
        """Adds a signed amount to what orders hold; nothing is no change."""
        if not more_e8:
            return
        asset.reserved_e8 += more_e8
        if not asset.moved:
            asset.moved = True
            self._moved.append(asset)

    def positions(self, at_us: int) -> list[Said]:
        """One Position per asset that moved since the last call."""
        said: list[Said] = []
        for asset in self._moved:
            asset.moved = False
            asset.version += 1
            self._changes.touch(asset)
            said.append(asset.position(at_us))
        self._moved.clear()
        return said

    def restore_account(self, row: Mapping[str, Any]) -> None:
        """Takes an AccountRow."""
        account = self.open(row["account"])
        account.status = row["status"]
        account.name = row["name"]
        account.max_order_quantity_e8 = row["max_order_quantity"]
        account.max_order_notional_e8 = row["max_order_notional"]
        account.allow_short = row["allow_short"]
        account.cancel_at_us = row["cancel_at_us"]
        account.cancel_id = row["cancel_id"]

    def restore_asset(self, row: Mapping[str, Any]) -> None:
        """Takes an AssetRow."""
        asset = self.asset(self.open(row["account"]), row["kind"], row["asset"])
        asset.total_e8 = row["total"]
        asset.reserved_e8 = row["reserved"]
        asset.version = row["version"]
