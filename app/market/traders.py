"""Demo traders: market makers who quote round the mid, and takers who cross the spread now and then.

They only decide: quotes and events go in, requests come out; who sends them is in demo.py. A trader has
at most one request under way per order, and knows its orders from `oms.events.v1` alone, so a request
that waits for a worker's restart is simply answered later. A refusal makes it wait longer each time.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from app.market.demo_instruments import tick_at
from schemas.messages import Instrument, MassCancel, NewOrder, Quote, ReplaceOrder, Side, TimeInForce
from schemas.records import Said

_TERMINAL = frozenset({"filled", "canceled", "rejected", "expired"})
_ANSWERS = frozenset(
    {"accepted", "rejected", "order_status", "canceled", "cancel_rejected", "replaced", "replace_rejected"}
)
_REST_S, _REST_S_MAX = 2.0, 60.0
# A maker moves its quote when it is further than this from where it should be, per step behind the best.
_TOLERANCE = 0.0002
_STEP = 0.0002
_ENTERED_BY = "demo"
_SIDES: tuple[Side, Side] = ("buy", "sell")


@dataclass
class Working:
    """One order of a trader, as far as it knows."""

    client_order_id: str
    price_e8: int
    leaves_e8: int
    answered: bool = False
    changing: bool = False


@dataclass
class Slot:
    """Where a trader keeps one order: the order, and how long it stays away after a refusal."""

    account: str
    symbol: str
    side: Side
    depth: int
    order: Working | None = None
    refusals: int = 0
    rests_until_s: float = 0.0

    def heard(self, event: Mapping[str, Any], now_s: float) -> None:
        """Takes an event of its order."""
        assert self.order is not None
        if event["event"] in _ANSWERS:
            self.order.answered, self.order.changing = True, False
        if event["event"] == "rejected":
            self.refusals += 1
            self.rests_until_s = now_s + min(_REST_S * 2**self.refusals, _REST_S_MAX)
        elif event["event"] in ("trade", "accepted"):
            self.refusals = 0
        if event["status"] in _TERMINAL:
            self.order = None
        elif event["event"] not in ("cancel_rejected", "replace_rejected"):
            self.order.price_e8, self.order.leaves_e8 = event["limit_price"], event["leaves_quantity"]

    def idle(self, now_s: float) -> bool:
        """Whether a new order may be entered now."""
        return self.order is None and now_s >= self.rests_until_s


class Traders:
    """All makers and takers of the demo. `session` makes their order ids differ from former runs'."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        makers: Iterable[str],
        takers: Iterable[str],
        *,
        seed: int,
        session: str,
    ) -> None:
        self._instruments = instruments
        self._makers = tuple(makers)
        self._takers = tuple(takers)
        self._random = Random(seed)
        self._session = session
        self._number = 0
        self._slots = {
            (account, symbol, side): Slot(account, symbol, side, depth)
            for depth, account in enumerate(self._makers)
            for symbol in instruments
            for side in _SIDES
        }
        self._taking = {account: Slot(account, "", "buy", 0) for account in self._takers}
        self._owners: dict[str, Slot] = {}
        self._quotes: dict[str, Quote] = {}

    def open(self) -> list[Said]:
        """Cancels what a former session left, so that what is known is all there is."""
        return [
            (
                "MassCancel",
                MassCancel(
                    account=account,
                    client_order_id=self._id(),
                    symbol="",
                    side="unknown",
                    entered_us=0,
                    entered_by=_ENTERED_BY,
                    door="kafka",
                ),
            )
            for account in self._makers
        ]

    def heard(self, kind: str, event: Mapping[str, Any], now_s: float) -> None:
        """Takes a record of `oms.events.v1`, of whomever."""
        slot = self._owners.get(event["client_order_id"]) if kind == "OrderEvent" else None
        if slot is None or slot.order is None or slot.order.client_order_id != event["client_order_id"]:
            return
        slot.heard(event, now_s)
        if slot.order is None:
            del self._owners[event["client_order_id"]]

    def saw(self, quote: Quote) -> None:
        """Takes a quote."""
        self._quotes[quote["symbol"]] = quote

    def requests(self, now_s: float, take: float) -> list[Said]:
        """What the traders do now; `take` is the chance that a taker trades."""
        return [*self._quoting(now_s), *self._taking_now(now_s, take)]

    def _quoting(self, now_s: float) -> Iterator[Said]:
        for account in self._makers:
            for symbol, quote in self._quotes.items():
                pair = [self._slots[account, symbol, side] for side in _SIDES]
                targets = [self._target(slot, quote) for slot in pair]
                busy = any(slot.order and (slot.order.changing or not slot.order.answered) for slot in pair)
                wanted = (
                    self._wants(slot, price_e8, now_s) for slot, price_e8 in zip(pair, targets, strict=True)
                )
                if not busy and any(wanted):
                    yield from self._move(pair, targets, quote, now_s)

    def _wants(self, slot: Slot, price_e8: int, now_s: float) -> bool:
        """Whether a maker should do something about one side of its quote."""
        return slot.idle(now_s) or (slot.order is not None and self._away(slot, slot.order, price_e8))

    def _move(self, pair: list[Slot], targets: list[int], quote: Quote, now_s: float) -> Iterator[Said]:
        """Moves both sides, first the one that makes room, so that a maker does not trade with itself."""
        moves = list(zip(pair, targets, strict=True))
        sell = pair[1].order
        if sell is not None and targets[1] > sell.price_e8:
            moves.reverse()
        for slot, price_e8 in moves:
            if slot.idle(now_s):
                yield self._enter(slot, price_e8, self._size(quote, slot), "gtc")
            elif slot.order is not None and slot.order.price_e8 != price_e8:
                yield self._replace(slot, slot.order, price_e8)

    def _taking_now(self, now_s: float, take: float) -> Iterator[Said]:
        random = self._random
        if not self._quotes or random.random() >= take:
            return
        slot = self._taking[random.choice(self._takers)]
        if not slot.idle(now_s):
            return
        quote = self._quotes[random.choice(list(self._quotes))]
        slot.symbol, slot.side = quote["symbol"], random.choice(_SIDES)
        # Far enough through the spread to meet one or two makers.
        away = _STEP * random.choice((1, 1, 2, 3))
        price_e8 = int(quote["ask"] * (1 + away)) if slot.side == "buy" else int(quote["bid"] * (1 - away))
        yield self._enter(slot, self._on_tick(slot, price_e8), self._size(quote, slot), "ioc")

    def _target(self, slot: Slot, quote: Quote) -> int:
        """The price a maker wants: the outside quote's, a step worse for each maker before it."""
        if slot.side == "buy":
            return self._on_tick(slot, int(quote["bid"] * (1 - _STEP * slot.depth)))
        return self._on_tick(slot, int(quote["ask"] * (1 + _STEP * slot.depth)))

    def _on_tick(self, slot: Slot, price_e8: int) -> int:
        """The price on tick, never nearer to the other side."""
        tick_e8 = tick_at(self._instruments[slot.symbol]["ticks"], price_e8)
        if slot.side == "buy":
            return max(price_e8 // tick_e8, 1) * tick_e8
        return -(-price_e8 // tick_e8) * tick_e8

    def _away(self, slot: Slot, order: Working, price_e8: int) -> bool:
        """Whether a quote is so far from its target that it is worth moving."""
        return abs(order.price_e8 - price_e8) > price_e8 * _TOLERANCE * (1 + slot.depth)

    def _size(self, quote: Quote, slot: Slot) -> int:
        """A quantity in lots: a maker's about the outside size, a taker's a part of it."""
        lot_e8 = self._instruments[slot.symbol]["lot_size"]
        share = (
            self._random.uniform(0.5, 1.5)
            if slot.account in self._makers
            else self._random.uniform(0.05, 0.8)
        )
        return max(int(quote["bid_size"] * share) // lot_e8, 1) * lot_e8

    def _enter(self, slot: Slot, price_e8: int, quantity_e8: int, time_in_force: TimeInForce) -> Said:
        slot.order = Working(self._id(), price_e8, quantity_e8)
        self._owners[slot.order.client_order_id] = slot
        return "NewOrder", NewOrder(
            account=slot.account,
            client_order_id=slot.order.client_order_id,
            symbol=slot.symbol,
            side=slot.side,
            order_type="limit",
            quantity=quantity_e8,
            limit_price=price_e8,
            time_in_force=time_in_force,
            entered_us=0,
            entered_by=_ENTERED_BY,
            door="kafka",
        )

    def _replace(self, slot: Slot, order: Working, price_e8: int) -> Said:
        order.changing = True
        return "ReplaceOrder", ReplaceOrder(
            account=slot.account,
            order=order.client_order_id,
            client_order_id="",
            symbol=slot.symbol,
            quantity=None,
            limit_price=price_e8,
            entered_us=0,
            entered_by=_ENTERED_BY,
            door="kafka",
        )

    def _id(self) -> str:
        self._number += 1
        return f"{self._session}-{self._number}"
