"""The latest quote of a symbol, the reference price it makes, and what operators have set for the symbol."""

from collections.abc import Mapping
from typing import Any

from schemas.messages import SymbolState
from schemas.numbers import MAX_E8
from schemas.records import Row, Said

# What a control sets to have the instrument's own value again.
OWN = -1


def reference_price_e8(bid_e8: int, ask_e8: int, last_e8: int) -> int:
    """Mid of bid and ask, rounded down; else the last trade; 0 for a quote that makes no price.

    A quote makes none when a price is negative or beyond what can be counted, when the bid is above the
    ask, and when it has one side only and no last trade.
    """
    if not (0 <= bid_e8 <= MAX_E8 and 0 <= ask_e8 <= MAX_E8 and 0 <= last_e8 <= MAX_E8):
        return 0
    if bid_e8 and ask_e8:
        return (bid_e8 + ask_e8) // 2 if bid_e8 <= ask_e8 else 0
    return last_e8


class SymbolRisk:
    """One symbol: trading state, band and quote age (-1: the instrument's own), latest quote.

    `published_e8` is the reference price last published, at `reference_us`; `due` says that a newer one
    waits for its second to pass.
    """

    __slots__ = (
        "ask_e8",
        "band_bps",
        "bid_e8",
        "changed",
        "due",
        "last_e8",
        "max_quote_age_ms",
        "price_e8",
        "published_e8",
        "quoted_us",
        "reference_us",
        "state",
        "symbol",
    )

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.state: SymbolState = "open"
        self.band_bps = OWN
        self.max_quote_age_ms = OWN
        self.bid_e8 = self.ask_e8 = self.last_e8 = 0
        self.price_e8 = 0
        self.quoted_us = 0
        self.reference_us = 0
        self.published_e8 = 0
        self.due = False
        self.changed = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "SymbolRisk":
        """The symbol of a RiskRow."""
        risk = cls(row["symbol"])
        risk.state = row["state"]
        risk.band_bps = row["band_bps"]
        risk.max_quote_age_ms = row["max_quote_age_ms"]
        risk.bid_e8, risk.ask_e8, risk.last_e8 = row["bid"], row["ask"], row["last"]
        risk.price_e8 = reference_price_e8(risk.bid_e8, risk.ask_e8, risk.last_e8)
        risk.quoted_us = row["quoted_us"]
        risk.reference_us = row["reference_us"]
        risk.published_e8 = row["reference_price"]
        return risk

    def row(self) -> Row:
        """Its RiskRow."""
        return Row(
            f"symbol|{self.symbol}",
            "RiskRow",
            {
                "symbol": self.symbol,
                "state": self.state,
                "band_bps": self.band_bps,
                "max_quote_age_ms": self.max_quote_age_ms,
                "bid": self.bid_e8,
                "ask": self.ask_e8,
                "last": self.last_e8,
                "quoted_us": self.quoted_us,
                "reference_us": self.reference_us,
                "reference_price": self.published_e8,
            },
        )

    def publish(self, at_us: int) -> Said:
        """Its ReferencePrice, from now on the published one."""
        self.published_e8 = self.price_e8
        self.reference_us = at_us
        return "ReferencePrice", {"symbol": self.symbol, "price": self.price_e8, "at_us": at_us}
