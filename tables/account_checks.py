"""What must be true of every account, at every moment."""

from tables.account_orders import AccountOrder
from tables.holdings import Account, Asset, Exclusive, Ledger
from tables.reference import Instruments


def check(ledger: Ledger, instruments: Instruments) -> None:
    """Raises AssertionError unless every asset holds exactly what its live orders need."""
    for account in ledger.accounts.values():
        if account.status == "unknown":
            raise AssertionError(f"account {account.account} has assets or orders but no row of its own")
        held: dict[tuple[str, str], int] = {}
        shared: dict[tuple[tuple[str, str], Exclusive], int] = {}
        for order in account.live.values():
            asset, exclusive = _check_order(order, instruments), order.exclusive()
            if exclusive is None:
                held[asset] = held.get(asset, 0) + order.reserved_e8
            else:
                shared[asset, exclusive] = max(shared.get((asset, exclusive), 0), order.reserved_e8)
        for (asset, _), most_e8 in shared.items():
            held[asset] = held.get(asset, 0) + most_e8
        for asset_kept in [*account.cash.values(), *account.holdings.values()]:
            _check_asset(asset_kept, held.pop((asset_kept.kind, asset_kept.asset), 0))
        if any(held.values()):
            raise AssertionError(f"account {account.account} has orders on assets it lacks: {held}")
        _check_finished(account)


def _check_order(order: AccountOrder, instruments: Instruments) -> tuple[str, str]:
    """The asset that a live order holds, having seen that it holds the right amount."""
    instrument = instruments.get(order.symbol)
    if instrument is None:
        raise AssertionError(f"order {order.key()} is of {order.symbol}, which is no instrument")
    needed_e8 = order.need_e8(instrument.multiplier_e8) + (order.replacing_e8 or 0)
    if order.excluded:
        needed_e8 = 0
    if order.finished_us or order.leaves_e8() <= 0 or order.reserved_e8 != needed_e8:
        raise AssertionError(f"live order needs {needed_e8}: {order.row().row}")
    return ("cash", instrument.currency) if order.side == "buy" else ("holding", order.symbol)


def _check_asset(asset: Asset, held_e8: int) -> None:
    if asset.reserved_e8 != held_e8:
        raise AssertionError(f"live orders hold {held_e8} of {asset.row().row}")
    if asset.kind == "cash" and asset.total_e8 < asset.reserved_e8:
        raise AssertionError(f"more cash is held than there is: {asset.row().row}")


def _check_finished(account: Account) -> None:
    for order in account.finished.values():
        if not order.finished_us or order.reserved_e8:
            raise AssertionError(f"finished order holds something: {order.row().row}")
