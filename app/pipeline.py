"""The system on one screen: which agent hears which topic, what it owns, what it says.

    orders, executions, control -> accounts -> cleared, events, positions
    quotes, cleared, control    -> risk     -> events, executions, reference-prices; passes on to
                                   matching -> events, trades, executions, books

Steps run in this order within a cycle. `hears` gives the record names of each topic that are for
the step, in the order in which a cycle hands them over: controls before requests, releases before
reservations. Only `executions` points back, from matching to accounts.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.accounts import accounts
from agents.batch import Batch
from agents.matching import matching
from agents.risk import risk
from app.settings import Settings
from schemas.topics import TOPICS
from tables.accounts import Accounts
from tables.matching import Matching
from tables.reference import Instruments, ReferencePrices
from tables.risk import Risk


@dataclass(frozen=True)
class Step:
    """One agent: what it hears, the table it owns, what it says."""

    name: str
    agent: Callable[[AsyncIterator[Batch[Any]]], Awaitable[None]]
    hears: Mapping[str, tuple[str, ...]]
    says: tuple[str, ...]
    # Whether its table has deadlines (`due_us`), at which it is asked although nothing came.
    timed: bool = field(default=False, kw_only=True)
    table: Callable[[int, Settings, Instruments, ReferencePrices], Any]


def _all(topic: str) -> tuple[str, ...]:
    return tuple(record.__name__ for record in TOPICS[topic].records)


ACCOUNT_CONTROLS = ("SetAccount", "SetLimits", "MoveCash", "MoveHolding")
SYMBOL_CONTROLS = (
    *("SetSymbolState", "SetPriceBand", "CancelSymbol", "ExpireDay"),
    *("SetSession", "Uncross", "SetTradingBand"),
)

STEPS = (
    Step(
        name="accounts",
        agent=accounts,
        hears={"control": ACCOUNT_CONTROLS, "executions": _all("executions"), "orders": _all("orders")},
        says=("cleared", "events", "positions"),
        timed=True,
        table=lambda lane, settings, instruments, references: Accounts(
            lane,
            instruments,
            references,
            settings.order_id_window_s * 1_000_000,
            settings.market_protection_bps,
        ),
    ),
    Step(
        name="risk",
        agent=risk,
        hears={"control": SYMBOL_CONTROLS, "quotes": _all("quotes"), "cleared": _all("cleared")},
        says=("events", "executions", "reference-prices"),
        table=lambda lane, settings, instruments, references: Risk(lane, instruments),
    ),
    Step(
        name="matching",
        agent=matching,
        hears={},
        says=("events", "trades", "executions", "books"),
        timed=True,
        table=lambda lane, settings, instruments, references: Matching(lane, instruments),
    ),
)


def acquaint(tables: Mapping[str, Any]) -> None:
    """Has the tables of a lane, by step, know of each other: risk, which markets need quotes."""
    tables["risk"].watched = tables["matching"].watched


# Topics that lanes consume, in the order in which a cycle takes them.
INPUTS = ("control", "executions", "quotes", "orders", "cleared")
# Requests of outsiders: the partition they chose and the size they have are checked.
OUTSIDE = ("control", "quotes", "orders")
