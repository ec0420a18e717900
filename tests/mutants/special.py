"""Mutants of what is not plain: stops, icebergs, pegs, lists, own orders that meet, auctions and bands."""

from typing import Any

from schemas.records import Record, Said
from tables.engine import auction, entering, lists, pegs, taking, triggers
from tables.engine.book import BookSide
from tables.engine.market import Market
from tables.matching import Matching
from tests.mutants.break_ import Change, Mutants, Patches, each, without

mutant = Mutants("order types and auctions")


def _told_otherwise(patches: Patches, event: str, reason: str, other: Change) -> None:
    """Events of a kind and reason that matching tells with other values."""
    patches.saying(
        Matching,
        "apply",
        each(
            "OrderEvent",
            lambda m: {**m, **other(m)},
            lambda m: m["event"] == event and m["reason"] == reason,
        ),
    )


@mutant("an iceberg keeps its place when it shows its next part", "I6")
def kept_place(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def refresh(side: Any, order: Any, arrival: int) -> None:
            side.show(order, min(order.extra.display_e8, order.leaves_e8), order.leaves_e8)

        return refresh

    patches(BookSide, "refresh", make)


@mutant("shows the whole of an iceberg", "I6")
def shown_whole(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def add(side: Any, order: Any) -> None:
            original(side, order)
            if order.extra is not None and order.extra.display_e8:
                order.level.quantity_e8 += order.leaves_e8 - order.extra.shown_e8
                order.extra.shown_e8 = order.leaves_e8

        return add

    patches(BookSide, "add", make)


@mutant("hidden orders trade like displayed ones", "I6")
def hidden_first(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def take_next(market: Any, taker: Any, side: Any, level: Any) -> None:
            displayed, level.oldest = level.oldest, None
            if level.hidden_oldest is None:
                level.oldest = displayed
            original(market, taker, side, level)
            level.oldest = level.oldest or displayed

        return take_next

    patches(taking, "_take_next", make)


@mutant("own orders trade with each other although they must not", "I6")
def own_trades(patches: Patches) -> None:
    patches(taking, "prevented", lambda original: lambda *arguments: False)


@mutant("a stop is triggered by no price", "I6")
def never_triggered(patches: Patches) -> None:
    patches(triggers, "_triggered", lambda original: lambda *arguments: [])


@mutant("a trailing stop does not trail", "I6")
def does_not_trail(patches: Patches) -> None:
    """It stays ten below where it began."""

    def make(original: Any) -> Any:
        def trail(market: Any, order: Any, price_e8: int) -> None:
            original(market, order, price_e8)
            order.extra.stop_e8 = order.extra.stop_e8 * 98 // 100

        return trail

    patches(triggers, "trail", make)


@mutant("triggers an order and does not say so", "I2")
def silently_triggered(patches: Patches) -> None:
    patches.saying(Matching, "apply", without("OrderEvent", lambda m: m["event"] == "triggered"))


@mutant("a peg stands one below its target", "I6")
def peg_below(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda market, order, best: max(1, original(market, order, best) - 10**8)

    patches(pegs, "target_e8", make)


@mutant("a post-only order rests two ticks away", "I6")
def two_ticks_away(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def repriced_e8(market: Any, order: Any) -> int:
            return int(original(market, order)) - order.sign * 10**6

        return repriced_e8

    patches(entering, "repriced_e8", make)


@mutant("ends the rest of an order for another reason", "I6")
def other_reason(patches: Patches) -> None:
    _told_otherwise(patches, "canceled", "MATCHING_NO_LIQUIDITY", lambda m: {"reason": "MATCHING_EXPIRED"})


@mutant("the fill of one order does not cancel the other", "I6")
def both_live(patches: Patches) -> None:
    patches(lists, "_cancel_others", lambda original: lambda market, found, order: None)


@mutant("a taker trades with two orders of which one may trade", "I6")
def both_trade(patches: Patches) -> None:
    patches(lists, "filled", lambda original: lists.changed)


@mutant("an uncross at another price", "I6")
def other_price(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def equilibrium(market: Any) -> Any:
            price_e8, quantity_e8, imbalance_e8 = original(market)
            return price_e8 and price_e8 - 10**8, quantity_e8, imbalance_e8

        return equilibrium

    patches(auction, "equilibrium", make)


@mutant("a call phase that trades", "I6")
def trades_in_calls(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda market, session, at_us, reason="NONE": original(
            market, "continuous" if "auction" in session else session, at_us, reason
        )

    patches(Market, "set_session", make)


@mutant("a trading band that refuses nothing", "I6")
def no_band(patches: Patches) -> None:
    patches(Market, "set_band", lambda original: lambda market, low_e8, high_e8, at_us: [])


@mutant("an order with a date does not expire", "I6")
def no_expiry(patches: Patches) -> None:
    patches(Market, "set_expiry", lambda original: lambda market, order: None)


@mutant("a lane sleeps through what is due, until something happens in that market", "I9")
def sleeps(patches: Patches) -> None:
    patches(Matching, "due_us", lambda original: lambda table: 0)
    patches(Matching, "begin_cycle", lambda original: lambda table, at_us: [])


@mutant("takes a quote and does not say so", "I6")
def quote_not_said(patches: Patches) -> None:
    patches.saying(Matching, "apply", without("QuoteTaken", lambda m: True))


@mutant("settles an uncross with buyer and seller swapped", "I8")
def swapped_parties(patches: Patches) -> None:
    """By the account that each side is of."""

    def make(original: Any) -> Any:
        def apply(table: Matching, record: Record, at_us: int) -> list[Said]:
            said: list[Said] = []
            for kind, message in original(table, record, at_us):
                changed = message
                if kind == "Trade" and message["aggressor_side"] == "unknown":
                    swap = {"maker": "taker", "taker": "maker"}
                    changed = dict(message)
                    for one, other in swap.items():
                        changed[f"{one}_account"] = message[f"{other}_account"]
                said.append((kind, changed))
            return said

        return apply

    patches(Matching, "apply", make)


@mutant("an order shrunk by self-trade prevention keeps its quantity in words", "I3")
def not_smaller(patches: Patches) -> None:
    _told_otherwise(
        patches, "replaced", "MATCHING_SELF_TRADE", lambda m: {"quantity": m["quantity"] + 4 * 10**8}
    )
