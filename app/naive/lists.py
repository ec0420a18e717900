"""Lists of orders: one cancels other, one triggers other, bracket. They only say what they cause."""

from dataclasses import dataclass, field

from app.naive.order import Order


@dataclass(eq=False)
class OrderList:
    """Orders of an account that were linked by an id, in the order in which they came."""

    type: str
    members: list[Order] = field(default_factory=list)
    # The parent was filled.
    released: bool = False
    # Nobody joins any more.
    over: bool = False
    # The first order, also where it was refused, and what it filled.
    parent: str = ""
    parent_quantity: int = 0

    def is_parent(self, order: Order) -> bool:
        """Whether the others wait for this one."""
        return self.type != "oco" and bool(self.members) and self.members[0] is order

    def holds(self) -> bool:
        """Whether a child that joins now must wait."""
        return self.type != "oco" and not self.released

    def excludes(self) -> bool:
        """Whether the fill of one is the end of the others."""
        return self.type == "oco" or (self.type == "bracket" and self.released)

    def filled(self, order: Order) -> list[Order]:
        """Whom the fill of a member ends at once."""
        if not self.excludes():
            return []
        self.over = True
        return [other for other in self.live() if other is not order]

    def caused_by(self, order: Order) -> str:
        """What the fill or the end of a member causes later: "release", "cancel" or ""; each only once."""
        if self.over:
            return ""
        if self.is_parent(order):
            return self._caused_by_parent(order)
        if not self.excludes():
            return ""
        self.over = True
        return "cancel"

    def _caused_by_parent(self, parent: Order) -> str:
        if not parent.ended or self.released:
            return ""
        self.released = parent.ended == "filled"
        self.parent_quantity = parent.cum
        self.over = not self.released
        return "release" if self.released else "cancel"

    def most(self, order: Order) -> int | None:
        """The largest quantity that a member may have: of a bracket's child, what its parent filled."""
        fits = self.type == "bracket" and self.released and order.parent
        return self.parent_quantity if fits else None

    def live(self) -> list[Order]:
        """Members that have not ended, by entry."""
        return [order for order in self.members if not order.ended]
