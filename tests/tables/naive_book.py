"""Price-time matching as plainly as it can be said: one list of orders, sorted anew for every question.

The specification that the fast book is held against. Everything is a plain integer, orders are named by
their ids, and what happened comes back as tuples.
"""

from dataclasses import dataclass


@dataclass
class NaiveOrder:
    name: str
    side: str
    price: int
    quantity: int
    day: bool
    cum: int = 0
    since: int = 0

    @property
    def leaves(self) -> int:
        return self.quantity - self.cum


class NaiveBook:
    """Orders that rest, in no particular order."""

    def __init__(self) -> None:
        self.orders: list[NaiveOrder] = []
        self.arrivals = 0

    def queue(self, side: str) -> list[NaiveOrder]:
        """Resting orders of a side, the one to trade first in front."""
        sign = -1 if side == "buy" else 1
        return sorted((o for o in self.orders if o.side == side), key=lambda o: (sign * o.price, o.since))

    def new(self, name: str, side: str, kind: str, force: str, price: int, quantity: int) -> list[tuple]:
        taker = NaiveOrder(name, side, price, quantity, force == "day")
        happened: list[tuple] = [("accepted", name)]
        if force == "fok" and sum(maker.leaves for maker in self.crossed(taker)) < quantity:
            return [*happened, ("canceled", name, 0)]
        happened += self.match(taker)
        if taker.leaves and (kind == "market" or force in ("ioc", "fok")):
            happened.append(("canceled", name, taker.cum))
        elif taker.leaves:
            self.rest(taker)
        return happened

    def crossed(self, taker: NaiveOrder) -> list[NaiveOrder]:
        if taker.side == "buy":
            return [maker for maker in self.queue("sell") if maker.price <= taker.price]
        return [maker for maker in self.queue("buy") if maker.price >= taker.price]

    def match(self, taker: NaiveOrder) -> list[tuple]:
        happened = []
        for maker in self.crossed(taker):
            quantity = min(maker.leaves, taker.leaves)
            if quantity == 0:
                break
            maker.cum += quantity
            taker.cum += quantity
            happened.append(("trade", maker.name, taker.name, maker.price, quantity))
        self.orders = [order for order in self.orders if order.leaves]
        return happened

    def rest(self, order: NaiveOrder) -> None:
        self.arrivals += 1
        order.since = self.arrivals
        self.orders.append(order)

    def find(self, name: str) -> NaiveOrder | None:
        return next((order for order in self.orders if order.name == name), None)

    def cancel(self, name: str) -> list[tuple]:
        order = self.find(name)
        if order is None:
            return [("cancel_rejected", name)]
        self.orders.remove(order)
        return [("canceled", name, order.cum)]

    def replace(self, name: str, quantity: int, price: int, renamed: bool) -> list[tuple]:
        order = self.find(name)
        if order is None:
            return [("replace_rejected", name)]
        if quantity in (0, order.quantity) and price in (0, order.price) and not renamed:
            return [("replace_rejected", name)]
        quantity = quantity or order.quantity
        # What fills the order by its quantity changes nothing else.
        price = order.price if quantity <= order.cum else price or order.price
        keeps_place = price == order.price and order.cum < quantity <= order.quantity
        order.quantity, order.price = max(quantity, order.cum), price
        happened: list[tuple] = [("replaced", name, order.quantity, order.price)]
        if not keeps_place:
            self.orders.remove(order)
            happened += self.match(order)
            if order.leaves:
                self.rest(order)
        return happened

    def end(self, how: str, day_only: bool) -> list[tuple]:
        ended = [o for o in self.queue("buy") + self.queue("sell") if o.day or not day_only]
        self.orders = [order for order in self.orders if order not in ended]
        return [(how, order.name, order.cum) for order in ended]
