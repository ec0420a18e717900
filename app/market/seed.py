"""Demo reference data: instruments and funded accounts, through the same topics as anybody's.

Rule: seeding again changes nothing, however long ago the first time was. An instrument that exists is left
as it is (an operator may have changed it), so is an account that was opened, and cash or a holding is
moved in only while the account has no position of it; until a worker has made that position, the fixed
control ids keep a repeat from counting twice.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

from app.lookup import read_instruments, read_to_end
from app.market.demo_instruments import PROFILES, demo_instruments
from app.settings import Settings
from app.submit.controls import apply_controls
from app.writer import TopicWriter
from schemas.numbers import parse_e8
from schemas.records import Said

DEMO_ACCOUNTS = tuple(f"DEMO-{i}" for i in range(1, 7))
MAKER_ACCOUNTS = tuple(f"MM-{i}" for i in range(1, 5))


class Funding(NamedTuple):
    """What an account starts with; decimal strings. A limit of 0 is none.

    `holding_notional` is what each holding is worth at the demo's start price.
    """

    cash: str
    holding_notional: str
    max_order_quantity: str
    max_order_notional: str
    allow_short: bool


_DEMO = Funding("100000000", "50000000", "100000", "5000000", allow_short=False)
# Market makers quote for weeks without running dry.
_MAKER = Funding("10000000000", "1000000000", "0", "0", allow_short=True)


async def seed(settings: Settings, wait_s: float = 0.0) -> list[Said]:
    """Writes what is missing of the demo's reference data; returns what was written.

    With `wait_s`, returns when a worker has applied it, and raises ControlsError when none does in time.
    """
    known = await read_instruments(settings)
    done = {_name_of(*said) async for said in _done(settings)}
    instruments: list[Said] = [
        ("Instrument", instrument)
        for symbol, instrument in demo_instruments(settings.partitions).items()
        if symbol not in known
    ]
    controls = [said for said in demo_controls() if _name_of(*said) not in done]
    if instruments or controls:
        async with TopicWriter(settings) as writer:
            await writer.send_many(instruments if wait_s else [*instruments, *controls])
    if controls and wait_s:
        await apply_controls(settings, controls, wait_s)
    return [*instruments, *controls]


async def _done(settings: Settings) -> AsyncIterator[Said]:
    """What need not be sent: controls in the log, and movements of assets that have a position."""
    async for read in read_to_end(settings, "control", "positions"):
        if read.kind in ("SetAccount", "SetLimits", "Position"):
            yield read.kind, read.message


def _name_of(kind: str, message: Mapping[str, Any]) -> tuple[str, str]:
    """An account, and what is set or which asset is moved in."""
    what = {"Position": "asset", "MoveCash": "currency", "MoveHolding": "symbol"}.get(kind, "control_id")
    return message["account"], message[what]


def demo_controls() -> Iterator[Said]:
    """The controls that open and fund the demo's accounts, account by account."""
    for account in DEMO_ACCOUNTS:
        yield from open_account(account, _DEMO, _demo_holdings(_DEMO))
    for account in MAKER_ACCOUNTS:
        yield from open_account(account, _MAKER, _demo_holdings(_MAKER))


def open_account(
    account: str, funding: Funding, holdings: dict[str, int], currency: str = "USD"
) -> Iterator[Said]:
    """Controls with fixed ids that open an account, set its limits, and move cash and holdings in."""
    common = {"account": account, "entered_us": 0, "entered_by": "seed", "door": "system"}

    def control(kind: str, what: str, **fields: Any) -> Said:
        return kind, {**common, "control_id": f"seed-{what}", **fields}

    yield control("SetAccount", "account", status="active", name=account, cancel_orders=False)
    yield control(
        "SetLimits",
        "limits",
        max_order_quantity=parse_e8(funding.max_order_quantity),
        max_order_notional=parse_e8(funding.max_order_notional),
        allow_short=funding.allow_short,
    )
    yield control(
        "MoveCash", f"cash-{currency}", currency=currency, amount=parse_e8(funding.cash), text="seed"
    )
    for symbol, quantity_e8 in holdings.items():
        yield control("MoveHolding", f"holding-{symbol}", symbol=symbol, quantity=quantity_e8, text="seed")


def _demo_holdings(funding: Funding) -> dict[str, int]:
    """Quantity of each demo instrument that is worth about `holding_notional`, in whole lots."""
    return {
        profile.symbol: _whole_lots(
            parse_e8(funding.holding_notional) * 10**8 // parse_e8(profile.price), parse_e8(profile.lot_size)
        )
        for profile in PROFILES.values()
    }


def _whole_lots(quantity_e8: int, lot_e8: int) -> int:
    return quantity_e8 // lot_e8 * lot_e8
